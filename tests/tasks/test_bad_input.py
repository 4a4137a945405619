"""Training data that is no good: refused, or the task fails with an error that says which; model and files stay as they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tailor import (
    MLArrayBatchProvider,
    MLBatchProvider,
    MLCheckpoints,
    MLFeatureError,
    MLModel,
    MLModelError,
    MLTaskState,
    MLUpdateError,
    MLUpdateGuard,
    MLUpdateTask,
)
from tests.tasks.softmax_regression import LABELS, classifier, points, provider
from tests.tasks.test_guard import neighbors

pytestmark = pytest.mark.anyio

COUNT, BAD = 1000, 700
X, PLACES = points(COUNT)
GOOD = provider(X, PLACES)
EPOCH = rf"epoch 0, mini-batch {BAD // 8}: "


class Spoilt:
    """The good examples but for one, which ``spoil`` makes of the good one."""

    count = COUNT

    def __init__(self, spoil: Callable[[Mapping[str, object]], Mapping[str, object]]) -> None:
        self._spoil = spoil

    def features_at(self, index: int) -> Mapping[str, object]:
        good = GOOD.features_at(index)
        return self._spoil(good) if index == BAD else good


def raising(features: Mapping[str, object]) -> Mapping[str, object]:
    raise OSError("the disk is gone")


class Late:
    """A feature provider that has names, but no values."""

    feature_names = ("x", "classLabel")

    def feature_value_for(self, name: str) -> object:
        raise OSError("the disk is gone")


SPOILT: dict[str, tuple[Callable[[Mapping[str, object]], Any], type[MLModelError], str]] = {
    "raises": (raising, MLUpdateError, f"example {BAD}: expected the training data to give its features, got OSError: the disk is gone"),
    "another shape": (lambda good: {**good, "x": [1.0, 2.0, 3.0]}, MLFeatureError, f"example {BAD}: training input 'x': .*2.*3"),
    "another type": (lambda good: {**good, "x": "text"}, MLFeatureError, f"example {BAD}: training input 'x': .*str"),
    "not a number": (lambda good: {**good, "x": [float("nan"), 0.0]}, MLFeatureError, f"example {BAD}: training input 'x': .*nan"),
    "no label": (lambda good: {"x": good["x"]}, MLFeatureError, f"example {BAD}: expected training input 'classLabel', got only 'x'"),
    "a label never seen": (
        lambda good: {**good, "classLabel": "nobody"},
        MLFeatureError,
        f"example {BAD}: training input 'classLabel': expected one of the class labels 'low', 'mid', 'high', got 'nobody'",
    ),
    "nothing": (lambda good: None, MLFeatureError, f"example {BAD}: expected features as a mapping.*None"),
    "raises late": (lambda good: Late(), MLUpdateError, f"example {BAD}: expected .* give its features, got OSError: the disk is gone"),
}


class Growing:
    """Has as many examples as ``counts`` says, one count a question, the last one for ever."""

    def __init__(self, *counts: Any) -> None:
        self._counts = list(counts)

    @property
    def count(self) -> int:
        count = self._counts.pop(0) if len(self._counts) > 1 else self._counts[0]
        if isinstance(count, Exception):
            raise count
        answer: int = count
        return answer

    def features_at(self, index: int) -> Mapping[str, object]:
        return GOOD.features_at(index)


async def failed(folder: Path, data: Any, guard: MLUpdateGuard | None = None) -> MLModelError:
    """The error of an update; nothing but the model may be in its folder, before and after."""
    classifier().write(folder / "points.mlmodel")
    model = MLModel(folder / "points.mlmodel")
    before = model.to_bytes()
    with pytest.raises(MLModelError) as raised:
        task = MLUpdateTask(model, data, guard=guard)
        try:
            await task
        finally:
            assert (task.state, task.error is not None) == (MLTaskState.FAILED, True)
    assert model.to_bytes() == before == (folder / "points.mlmodel").read_bytes()
    assert os.listdir(folder) == ["points.mlmodel"]
    return raised.value


def check(error: MLModelError, kind: type[MLModelError], message: str) -> None:
    with pytest.raises(kind, match=message):
        raise error
    assert type(error) is kind


@pytest.mark.parametrize(("spoil", "kind", "message"), SPOILT.values(), ids=SPOILT)
async def test_an_example_that_does_not_fit_fails_the_task(spoil: Any, kind: type[MLModelError], message: str, tmp_path: Path) -> None:
    check(await failed(tmp_path, Spoilt(spoil)), kind, f"^{EPOCH}{message}")


LEARNED_FROM, HELD_OUT = 2, 3
"""Seeds of guards; with the second one the example that is no good is held out, if its label is known."""

LABELS_READ, JUDGED, LEARNED = "guard: hold_out: ", "guard: hold_out, base model: ", "epoch 0, mini-batch [0-9]+: "
FOUND: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("raises", "no label", "nothing", "raises late"), (LABELS_READ, LABELS_READ)),
    "a label never seen": (LEARNED, LEARNED),  # the only example of a label is not held out
}
"""Where it is found out, learned from and held out."""


@pytest.mark.parametrize("case", SPOILT)
async def test_it_has_the_same_number_where_examples_are_held_out(case: str, tmp_path: Path) -> None:
    spoil, kind, message = SPOILT[case]
    for seed, found in zip((LEARNED_FROM, HELD_OUT), FOUND.get(case, (LEARNED, JUDGED)), strict=True):
        check(await failed(tmp_path, Spoilt(spoil), MLUpdateGuard(seed=seed)), kind, f"^{found}{message}")


@pytest.mark.parametrize(("spoil", "kind", "message"), SPOILT.values(), ids=SPOILT)
async def test_a_reference_set_that_does_not_fit_is_found_before_training(
    spoil: Any, kind: type[MLModelError], message: str, tmp_path: Path
) -> None:
    error = await failed(tmp_path, GOOD, MLUpdateGuard(None, Spoilt(spoil)))
    check(error, kind, f"^guard: reference, base model: .*{message}")


@pytest.mark.parametrize(
    ("of", "counts", "message"),
    [
        ("data", (COUNT, 999), "epoch 0, mini-batch 0: expected 1000 training examples, as there were .*got 999"),
        ("data", (COUNT, COUNT, 1001), "epoch 1, mini-batch 0: expected 1000 training examples, .*got 1001"),
        ("data", (COUNT, OSError("gone")), "epoch 0, mini-batch 0: .*count its examples, got OSError: gone"),
        ("reference", (30, 29), "guard: reference, base model: expected 30 training examples, .*got 29"),
        ("reference", (30, 30, 31), "guard: reference, updated model: expected 30 training examples, .*got 31"),
    ],
)
async def test_a_provider_that_changes_its_count_fails_the_task(of: str, counts: tuple[Any, ...], message: str, tmp_path: Path) -> None:
    growing = Growing(*counts)
    data, guard = (growing, None) if of == "data" else (GOOD, MLUpdateGuard(None, growing))
    check(await failed(tmp_path, data, guard), MLUpdateError, f"^{message}")


def labelled(*labels: str) -> MLArrayBatchProvider:
    return MLArrayBatchProvider([{"x": X[number], "classLabel": label} for number, label in enumerate(labels)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (labelled(*["low"] * 20), "examples of at least two labels, or a reference set, got only 'low'"),
        (labelled("low", "mid", "high"), "two examples or more of some label, got 3 examples of as many labels"),
        (labelled("low"), "at least 2 training examples, got 1"),
    ],
    ids=["one class only", "one example of each", "one example"],
)
async def test_a_hold_out_that_says_nothing_is_refused(data: MLBatchProvider, message: str, tmp_path: Path) -> None:
    classifier().write(tmp_path / "points.mlmodel")
    with pytest.raises(MLUpdateError, match=f"^guard: hold_out: expected {message}"):
        await MLUpdateTask(tmp_path / "points.mlmodel", data, guard=MLUpdateGuard())
    assert (tmp_path / "points.mlmodel").read_bytes() == classifier().to_bytes()
    judged = await MLUpdateTask(tmp_path / "points.mlmodel", data, guard=MLUpdateGuard(None, GOOD[:9]))
    assert judged.verdict is not None, "a reference set is enough"


@pytest.mark.parametrize(
    ("data", "reference", "message"),
    [
        (MLArrayBatchProvider([]), None, "^update of points: expected at least one training example, got none"),
        (GOOD, MLArrayBatchProvider([]), "^guard: reference: .*expected at least one training example, got none"),
        (GOOD, [1, 2], "^guard: reference: .*expected training data as an MLBatchProvider, got list"),
        (Growing("many"), None, "expected training data with a number of examples as its count, got 'many'"),
        (Growing(OSError("gone")), None, "count its examples, got OSError: gone"),
    ],
)
def test_a_set_of_no_examples_is_refused_when_the_task_is_made(data: Any, reference: Any, message: str) -> None:
    guard = None if reference is None else MLUpdateGuard(reference=reference)
    with pytest.raises(MLUpdateError, match=message):
        MLUpdateTask(classifier(), data, guard=guard)


async def test_neighbours_learn_labels_never_seen_and_one_class_only() -> None:
    """What classifiers with a fixed list of labels refuse is what neighbours are for."""
    far = [{"x": [50.0 + number, 50.0], "label": "far"} for number in range(4)]
    context = await MLUpdateTask(MLModel.from_spec(neighbors().spec), MLArrayBatchProvider(far))
    assert context.model.predict({"x": [51.0, 50.0]})["label"] == "far"
    assert context.rollback().predict({"x": [51.0, 50.0]})["label"] in LABELS


async def test_the_last_good_checkpoint_outlives_an_example_that_does_not_fit(tmp_path: Path) -> None:
    """And what goes on from it with that example put right ends as if nothing had happened."""
    path = tmp_path / "kept"
    with pytest.raises(MLUpdateError, match=f"example {BAD}"):
        await MLUpdateTask(classifier(), Spoilt(raising), checkpoints=MLCheckpoints(path, every_batches=1))
    assert os.listdir(tmp_path) == ["kept"]
    again = await MLUpdateTask.restore(path, classifier(), GOOD)
    assert again.model.to_bytes() == (await MLUpdateTask(classifier(), GOOD)).model.to_bytes()
