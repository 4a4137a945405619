"""Non-maximum suppression as a model: worked by hand on boxes along a line, pair by pair for random ones, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime import MLModel
from tailor.runtime.errors import MLFeatureError, MLFormatError
from tailor.runtime.format import Model
from tailor.runtime.format.features import array_feature, double_feature, int64_feature
from tailor.runtime.format.schema.decisions_pb2 import NonMaximumSuppression
from tailor.runtime.format.schema.vectors_pb2 import Int64Vector, StringVector
from tailor.runtime.models import build_predictor
from tests.kernels.cases.boxes import overlap
from tests.models.hand_made import holding

# Boxes 2 wide at 0, 1, 2 and 10, the second of another class: neighbours overlap by 1 / 3
BOXES = np.array([[0.0, 0, 2, 1], [1, 0, 2, 1], [2, 0, 2, 1], [10, 0, 2, 1]])
SCORES = np.array([[0.7, 0.1], [0.2, 0.9], [0.6, 0.3], [0.05, 0.1]])


def suppression(
    iou: float = 0.3,
    least: float = 0.2,
    per_class: bool = False,
    scores: Sequence[int] = (),
    boxes: Sequence[int] = (),
    extra: Sequence[Any] = (),
    **fields: Any,
) -> Model:
    """A model whose outputs are of the shapes ``scores`` and ``boxes``; ``extra`` inputs."""
    message = NonMaximumSuppression(
        iouThreshold=iou,
        confidenceThreshold=least,
        confidenceInputFeatureName="scores",
        coordinatesInputFeatureName="boxes",
        confidenceOutputFeatureName="confidence",
        coordinatesOutputFeatureName="coordinates",
        pickTop=NonMaximumSuppression.PickTop(perClass=per_class),
    )
    for name, value in fields.items():
        if isinstance(value, (str, float)):
            setattr(message, name, value)
        else:
            getattr(message, name).CopyFrom(value)
    inputs = [array_feature("scores", (), "double"), array_feature("boxes", (), "double"), *extra]
    return holding(message, inputs, [array_feature("confidence", scores, "double"), array_feature("coordinates", boxes, "double")])


def kept(model: Model, **more: Any) -> tuple[Array, Array]:
    answers = MLModel.from_spec(model).predict({"scores": SCORES, "boxes": BOXES, **more})
    return answers["confidence"], answers["coordinates"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (suppression(), [1]),
        (suppression(per_class=True), [1, 0, 2]),
        (suppression(iou=0.4), [1, 0, 2]),
        (suppression(iou=0.0), [1]),
        (suppression(least=0.1), [1, 3]),
        (suppression(iou=1.0, least=0.65), [1, 0]),
        (suppression(least=0.95), []),
    ],
)
def test_boxes_along_a_line(model: Model, expected: list[int]) -> None:
    scores, boxes = kept(model)
    np.testing.assert_array_equal(scores, SCORES[expected])
    np.testing.assert_array_equal(boxes, BOXES[expected])
    assert (scores.shape, boxes.shape) == ((len(expected), 2), (len(expected), 4))


def ranged(model: Model, output: int, lower: int, upper: int) -> Model:
    """The model, with ``lower`` to ``upper`` rows of an output."""
    array = model.description.output[output].type.multiArrayType
    for bounds in ((lower, upper), (4, 4) if output else (2, 2)):
        array.shapeRange.sizeRanges.add(lowerBound=bounds[0], upperBound=bounds[1])
    return model


THREE = [1, 0, 2]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (suppression(iou=0.5, scores=(2, 2), boxes=(2, 4)), THREE[:2]),
        (suppression(iou=0.5, scores=(5, 2)), [*THREE, None, None]),
        (suppression(iou=0.5, boxes=(5, 4)), [*THREE, None, None]),
        (ranged(suppression(iou=0.5), 0, 1, 2), THREE[:2]),
        (ranged(suppression(iou=0.5), 1, 4, -1), [*THREE, None]),
        (ranged(ranged(suppression(iou=0.5), 0, 0, 9), 1, 0, 9), THREE),
    ],
)
def test_as_many_rows_as_declared_and_zeros_after_the_last_box(model: Model, expected: list[int | None]) -> None:
    for made, given in zip(kept(model), (SCORES, BOXES), strict=True):
        rows = [np.zeros(given.shape[1]) if place is None else given[place] for place in expected]
        np.testing.assert_array_equal(made, rows)


def test_random_boxes_agree_with_every_pair_compared_alone_and_together() -> None:
    draw = np.random.default_rng(2)
    rows = []
    for count in (40, 7, 1, 0, 40):
        boxes = np.concatenate([draw.uniform(0, 1, (count, 2)), draw.uniform(0.1, 0.5, (count, 2))], axis=1)
        rows.append({"scores": draw.dirichlet([1, 1, 1], count), "boxes": boxes})
    for per_class in (False, True):
        model = MLModel.from_spec(suppression(0.25, 0.4, per_class))
        for row, together in zip(rows, model.predict(rows), strict=True):
            scores, boxes = row["scores"], row["boxes"]
            expected: list[int] = []
            for i in sorted(range(len(scores)), key=lambda i: -max(scores[i])):
                rivals = [j for j in expected if not per_class or scores[i].argmax() == scores[j].argmax()]
                if max(scores[i]) >= 0.4 and all(overlap(boxes[i], boxes[j]) <= 0.25 for j in rivals):
                    expected.append(i)
            for answers in (together, model.predict(row)):
                np.testing.assert_array_equal(answers["confidence"], scores[expected])
                np.testing.assert_array_equal(answers["coordinates"], boxes[expected])


def test_an_overlap_of_1_suppresses_nothing_not_even_the_same_box() -> None:
    boxes = np.tile(np.random.default_rng(3).uniform(0.1, 1, (200, 4)), (2, 1))
    answers = MLModel.from_spec(suppression(iou=1.0, least=0.0)).predict({"scores": np.ones((400, 1)), "boxes": boxes})
    assert len(answers["coordinates"]) == 400


THRESHOLDS = {"iouThresholdInputFeatureName": "overlap", "confidenceThresholdInputFeatureName": "least"}
OPTIONAL = [double_feature("overlap", optional=True), double_feature("least", optional=True)]


def test_thresholds_may_be_given_with_each_example() -> None:
    model = MLModel.from_spec(suppression(extra=OPTIONAL, **THRESHOLDS))
    given: list[dict[str, float]] = [{}, {"overlap": 0.5}, {"least": 0.1}, {"overlap": 0.5, "least": 0.65}, {"overlap": 1}]
    rows: list[dict[str, Any]] = [{"scores": SCORES, "boxes": BOXES, **thresholds} for thresholds in given]
    expected = [[1], THREE, [1, 3], [1, 0], THREE]
    for answers in (model.predict(rows), [model.predict(row) for row in rows]):
        for made, places in zip(answers, expected, strict=True):
            np.testing.assert_array_equal(made["coordinates"], BOXES[places])
    # a name that is no input is nothing to override with
    np.testing.assert_array_equal(kept(suppression(**THRESHOLDS))[1], BOXES[[1]])


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"overlap": 1.5}, "input 'overlap': expected a number from 0 to 1, got 1.5"),
        ({"overlap": math.nan}, "input 'overlap': expected a finite double, got nan"),
        ({"least": -0.5}, "input 'least': expected a number of 0 or more, got -0.5"),
        ({"scores": SCORES[:, :1]}, r"input 'scores': expected shape \[boxes, 2\], got \[4, 1\]"),
        ({"scores": SCORES[0]}, r"input 'scores': expected shape \[boxes, 2\], got \[2\]"),
        ({"boxes": BOXES[:3]}, r"input 'boxes': expected shape \[4, 4\], a row for each of 'scores', got \[3, 4\]"),
        ({"boxes": BOXES[:, :3]}, r"input 'boxes': expected shape \[4, 4\], a row for each of 'scores', got \[4, 3\]"),
        ({"boxes": np.where(BOXES == 10, math.inf, BOXES)}, "input 'boxes': expected finite numbers"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(row: dict[str, Any], error: str) -> None:
    model = MLModel.from_spec(suppression(extra=OPTIONAL, stringClassLabels=StringVector(vector=["cat", "dog"]), **THRESHOLDS))
    right = {"scores": SCORES, "boxes": BOXES}
    with pytest.raises(MLFeatureError, match=error):
        model.predict({**right, **row})
    with pytest.raises(MLFeatureError, match=rf"^example 1: .*{error}"):
        model.predict([right, {**right, **row}])


def test_nan_from_a_model_in_front_is_refused_too() -> None:
    predictor = build_predictor(suppression(), {}, "m")
    with pytest.raises(MLFeatureError, match=r"^example 1: m: input 'scores': expected finite numbers, got nan at \[0, 1\]"):
        predictor.predict({"scores": [SCORES, np.array([[1.0, math.nan]])], "boxes": [BOXES, BOXES[:1]]}, 2)


def enumerated() -> Model:
    model = suppression()
    model.description.output[0].type.multiArrayType.enumeratedShapes.shapes.add(shape=[1, 2])
    return model


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (suppression(iou=1.5), "iouThreshold: expected a number from 0 to 1, got 1.5"),
        (suppression(least=math.nan), "confidenceThreshold: expected a number of 0 or more, got nan"),
        (
            suppression(coordinatesInputFeatureName="nowhere"),
            "coordinatesInputFeatureName: expected one of 'scores', 'boxes', got 'nowhere'",
        ),
        (
            suppression(extra=[int64_feature("n")], confidenceInputFeatureName="n"),
            "confidenceInputFeatureName: expected 'n' to be a multi-array, got an int64",
        ),
        (
            suppression(extra=[int64_feature("n")], iouThresholdInputFeatureName="n"),
            "input 'n': expected a double, which overrides iouThreshold, got an int64",
        ),
        (suppression(scores=(3, 2), boxes=(2, 4)), "expected outputs of as many rows, got .*3, 2.* and .*2, 4"),
        (suppression(boxes=(3, 5)), "output 'coordinates': expected two axes, the second of size 4, got .*3, 5"),
        (suppression(scores=(3,)), "output 'confidence': expected two axes, the second of size of the classes, got .*3"),
        (
            suppression(scores=(3, 2), int64ClassLabels=Int64Vector(vector=[1, 2, 3])),
            "output 'confidence': expected two axes, the second of size 3, got .*3, 2",
        ),
        (enumerated(), "output 'confidence': expected a shape or a range, got .*1, 2"),
        (ranged(suppression(), 0, 1 << 29, -1), "outputs: expected at most .* elements"),
    ],
)
def test_messages_that_contradict_themselves_are_refused_when_they_are_built(model: Model, error: str) -> None:
    with pytest.raises(MLFormatError, match=f"^m: {error}"):
        build_predictor(model, {}, "m")
