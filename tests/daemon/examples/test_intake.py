"""New examples become rows all or none, and an update learns from the ledger what it would from the values themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pytest
from PIL import Image

from tailor import MLArrayBatchProvider, MLFeatureError, MLLimitError, MLModel, MLUpdateTask
from tailor.client import NewExample, NewExamples
from tailor.daemon.configuration import Limits
from tailor.daemon.examples import Intake, LedgerExamples, TrainingFeatures, rows_of
from tailor.daemon.ledger import KeptModel, NewPlan, open_ledger
from tests.places import shared_model
from tests.tasks.models import regression_data, regression_model
from tests.tasks.softmax_regression import LABELS, classifier, points

from .files import png

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
FEATURES = TrainingFeatures(classifier())
LIMITS = Limits(example_bytes=200)


def new(*examples: dict[str, Any], batch: str | None = None) -> NewExamples:
    """Examples like one that fits, but for what is given."""
    fits = {"features": {"x": [0, 1], "classLabel": "low"}}
    return msgspec.convert({"examples": [fits | one for one in examples], "batch": batch}, NewExamples)


def test_examples_without_an_id_are_called_by_their_batch_and_place() -> None:
    sent = new({}, {"id": "mine"}, {}, batch="monday")
    assert [row.id for row in rows_of(sent, FEATURES, LIMITS)] == ["monday-0", "mine", "monday-2"]
    one, other = (rows_of(new({}), FEATURES, LIMITS)[0].id for _ in range(2))
    assert one != other


def test_a_row_has_what_was_sent() -> None:
    given = datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    row = rows_of(new({"source": "camera", "time": given.isoformat(), "features": {"classLabel": "mid", "x": [1, 2]}}), FEATURES, LIMITS)[0]
    assert (row.source, row.time, row.label) == ("camera", AT, "mid")
    assert row.digest == hashlib.sha256(row.body).digest()
    vector = {"shape": [2], "dtype": "float32", "data": np.array([1, 2], "<f4").tobytes()}
    assert msgspec.msgpack.decode(row.body) == {"x": vector, "classLabel": "mid"}
    assert list(msgspec.msgpack.decode(row.body)) == ["x", "classLabel"]


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"features": {"x": [1], "classLabel": "low"}}, MLFeatureError, "example 1: training input 'x': expected a float32"),
    ({"features": {"classLabel": "low"}}, MLFeatureError, "example 1: model 'points': expected training input 'x', got none"),
    ({"features": {"x": [1, 2], "classLabel": 3}}, MLFeatureError, "example 1: training input 'classLabel': expected a string"),
    ({"time": "0001-01-01T00:00:00+14:00"}, MLFeatureError, "example 1: origin of an example: time: expected one in the years 1 to 9999"),
    ({"time": "9999-12-31T23:00:00-12:00"}, MLFeatureError, "example 1: origin of an example: time: expected one in the years 1 to 9999"),
]


@pytest.mark.parametrize(("bad", "kind", "told"), REFUSED)
def test_one_that_does_not_fit_keeps_all_out(bad: dict[str, Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind) as raised:
        rows_of(new({}, bad, {}), FEATURES, LIMITS)
    assert str(raised.value).startswith(told)


def test_one_that_is_too_large_keeps_all_out() -> None:
    model = regression_model()
    model.spec.description.trainingInput[0].type.multiArrayType.shape[:] = [100]
    sent = msgspec.convert({"examples": [{"features": {"x": [1.5] * 100, "y_true": [1]}}]}, NewExamples)
    with pytest.raises(MLLimitError, match="example 0: limits.example_bytes: expected at most 200 bytes, got 4"):
        rows_of(sent, TrainingFeatures(MLModel(model.to_bytes())), LIMITS)


@pytest.mark.anyio
@pytest.mark.parametrize("count", [1, 100])
async def test_the_same_comes_of_few_at_once_and_of_many_in_a_thread(count: int) -> None:
    sent = new(*({"features": {"x": [number, 0], "classLabel": "high"}} for number in range(count)), batch="b")
    assert await Intake().rows(sent, FEATURES, LIMITS) == rows_of(sent, FEATURES, LIMITS)
    bad = new(*[{}] * (count - 1), {"features": {}})
    with pytest.raises(MLFeatureError, match=f"example {count - 1}: "):
        await Intake().rows(bad, FEATURES, LIMITS)


def file_of(pixels: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def regression() -> tuple[MLModel, list[Any], list[Any]]:
    x, y = regression_data(10)
    return (
        regression_model(),
        [{"x": a, "y_true": b} for a, b in zip(x, y, strict=True)],
        [{"x": a.tolist(), "y_true": b.tolist()} for a, b in zip(x, y, strict=True)],
    )


def classification() -> tuple[MLModel, list[Any], list[Any]]:
    x, places = points(20)
    given = [{"x": row, "classLabel": LABELS[place]} for row, place in zip(x, places, strict=True)]
    wire = [one | {"x": {"shape": [2], "dtype": "float32", "data": one["x"].tobytes()}} for one in given]
    return classifier(shuffle=False), given, wire


def drawings() -> tuple[MLModel, list[Any], list[Any]]:
    model = MLModel(shared_model("UpdatableDrawingClassifier.mlmodel"))
    pictures = np.random.default_rng(1).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    given = [{"drawing": picture, "label": f"kind {number % 2}"} for number, picture in enumerate(pictures)]
    return model, given, [one | {"drawing": file_of(one["drawing"])} for one in given]


Case: TypeAlias = Callable[[], tuple[MLModel, list[Any], list[Any]]]


@pytest.mark.anyio
@pytest.mark.parametrize("case", [regression, classification, drawings])
@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack], ids=["JSON", "msgpack"])
async def test_an_update_learns_from_the_ledger_what_it_learns_from_the_values(case: Case, codec: Any, tmp_path: Path) -> None:
    model, given, wire = case()
    ids = [f"b-{number}" for number in range(len(given))]
    expected = (await MLUpdateTask(model, MLArrayBatchProvider(given, ids=ids, sources="s", times=[AT] * len(ids)))).model
    body = codec.encode({"examples": [{"features": one, "source": "s", "time": AT} for one in wire], "batch": "b"})
    features = TrainingFeatures(model)
    rows = await Intake().rows(codec.decode(body, type=NewExamples), features, Limits())
    async with open_ledger(tmp_path / "ledger.sqlite", now=lambda: AT) as ledger:
        await ledger.put_model(KeptModel("m", "0" * 64, model.model_type, 1, AT))
        await ledger.add_examples("m", "anna", rows, AT)
        assert await ledger.plan_update(NewPlan("u", "m", "anna", "command", 100, None, "0" * 64, {}, AT)) is not None
        data = LedgerExamples(ledger, await ledger.training_rows("u"), features)
        assert data.count == len(given)
        learned = (await MLUpdateTask(model, data)).model
    assert learned.to_bytes() == expected.to_bytes()


def test_an_image_is_decoded_before_it_is_kept() -> None:
    features = TrainingFeatures(MLModel(shared_model("UpdatableDrawingClassifier.mlmodel")))
    whole, cut = (NewExample(features={"drawing": png(28, 28, rows=rows), "label": "a"}) for rows in (None, bytes(10)))
    assert [row.label for row in rows_of(NewExamples(examples=[whole]), features, Limits())] == ["a"]
    with pytest.raises(MLFeatureError, match="example 1: training input 'drawing'.*cannot be decoded"):
        rows_of(NewExamples(examples=[whole, cut]), features, Limits())
