"""What a configuration says about where and with how many threads a model runs, and that it is kept to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from tailor import MLArrayBatchProvider, MLComputeUnits, MLModel, MLModelConfiguration, MLParameterError, MLUpdateTask
from tailor.runtime.network import at_most, shared_team, team, watching
from tests.network.models import digits_builder, images, teach

PROCESSORS = 3


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine of three processors, BLAS that uses them, and nobody who says anything else; small mini-batches in pieces."""
    monkeypatch.setattr(team, "PIECE_WORK", 40_000)
    monkeypatch.setattr(team, "processors", lambda: PROCESSORS)
    monkeypatch.delenv("TAILOR_THREADS", raising=False)
    with threadpool_limits(PROCESSORS, "blas"):
        yield


def digits(threads: int | None = None) -> MLModel:
    return MLModel.from_spec(teach(digits_builder(["a", "b", "c"]), loss="scores"), "digits", MLModelConfiguration(threads=threads))


@pytest.mark.parametrize("units", list(MLComputeUnits))
def test_every_choice_of_compute_units_is_taken_and_gives_the_same_bits(units: MLComputeUnits) -> None:
    spec = digits_builder().spec
    (image,) = images(1)
    model = MLModel.from_spec(spec, "digits", MLModelConfiguration(units))
    assert model.configuration.compute_units is units
    assert np.array_equal(model.predict({"image": image})["scores"], MLModel.from_spec(spec).predict({"image": image})["scores"])


@pytest.mark.parametrize(
    ("environment", "blas", "around", "expected"),
    [
        (None, None, None, PROCESSORS),
        ("2", None, None, 2),
        ("8", None, None, PROCESSORS),  # never more than there are processors
        ("", None, None, PROCESSORS),
        (None, 2, None, 2),
        ("2", 1, None, 1),
        (None, None, 2, 2),
        ("1", None, 2, 1),
    ],
)
def test_the_least_of_what_is_said_holds(
    environment: str | None, blas: int | None, around: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if blas is not None and not ThreadpoolController().select(user_api="blas").lib_controllers:
        pytest.skip("NumPy has no BLAS here whose threads can be counted")
    if environment is not None:
        monkeypatch.setenv("TAILOR_THREADS", environment)
    with ExitStack() as stack:
        if blas is not None:
            stack.enter_context(threadpool_limits(blas, "blas"))
        stack.enter_context(at_most(around))
        assert shared_team().threads == expected
        with at_most(8):
            assert shared_team().threads == expected  # what is inside cannot widen what is outside
        with at_most(1):
            assert shared_team().threads == 1
        with team.one_blas_thread():
            assert shared_team().threads == expected  # that BLAS is held meanwhile is our own doing


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_an_environment_that_makes_no_sense_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILOR_THREADS", text)
    with pytest.raises(MLParameterError, match="TAILOR_THREADS: expected a whole number of at least 1, got"):
        digits().predict({"image": images(1)[0]})


@pytest.mark.parametrize("threads", [0, -2, 1.5, True, "2"])
def test_threads_that_make_no_sense_are_refused(threads: Any) -> None:
    with pytest.raises(MLParameterError, match="threads: expected a whole number of at least 1, or None, got"):
        MLModelConfiguration(threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_threads_than_said_take_part_in_a_prediction_and_the_bits_stay(threads: int) -> None:
    rows = [{"image": image} for image in images(60)]
    expected = digits().predict(rows)
    seen: set[int] = set()
    with watching(lambda models, step: seen.add(threading.get_ident())):
        answers = digits(threads).predict(rows)
    assert 1 <= len(seen) <= threads
    assert threads > 1 or seen == {threading.get_ident()}
    assert [row["classLabel"] for row in answers] == [row["classLabel"] for row in expected]
    assert [row["scores"] for row in answers] == [row["scores"] for row in expected]


@pytest.mark.anyio
async def test_blas_has_the_users_threads_after_a_prediction_and_an_update() -> None:
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    if not libraries:
        pytest.skip("NumPy has no BLAS here whose threads can be counted")
    with threadpool_limits(2, "blas"):
        model = digits(threads=1)
        assert model.predict([{"image": image} for image in images(60)])
        assert {library.get_num_threads() for library in libraries} == {2}
        provider = MLArrayBatchProvider([{"image": image, "classLabel": "a"} for image in images(20)])
        seen: set[str] = set()
        with watching(lambda models, step: seen.add(threading.current_thread().name)):
            await MLUpdateTask(model, provider)
        assert {library.get_num_threads() for library in libraries} == {2}
    # The stretches of training may be run by different worker threads, one after the other, but by nobody who helps them.
    assert seen and not [name for name in seen if name.startswith("tailor-")]
