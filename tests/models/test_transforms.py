"""The types that turn features into features: as worked by hand, alone and in batches, and what they refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tailor.runtime import MLModel
from tailor.runtime.errors import MLFeatureError
from tailor.runtime.format.features import (
    array_feature,
)
from tailor.runtime.format.schema.preprocessing_pb2 import (
    ArrayFeatureExtractor,
    Imputer,
    Normalizer,
    Scaler,
)
from tailor.runtime.models import build_predictor
from tests.models.hand_made import doubles, holding
from tests.models.transform_cases import CASES, IMPUTED, NAN, Case, array


def given(case: Case) -> list[dict[str, Any]]:
    """The examples; what is ``None`` is left out."""
    return [{name: value for name, value in row.items() if value is not None} for row, _ in case.answers]


def assert_same(answers: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Equal in value, in type and, for arrays, in element type; NaN equals NaN."""
    assert list(answers) == list(expected)
    for name, value in expected.items():
        assert type(answers[name]) is type(value)
        if isinstance(value, np.ndarray):
            assert answers[name].dtype == value.dtype
        np.testing.assert_equal(answers[name], value)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_answers_are_as_worked_by_hand_alone_and_together(case: Case) -> None:
    model, rows = case.model, given(case)
    for times in (1, 3):
        for number, answers in enumerate(model.predict(rows * times)):
            assert_same(answers, case.answers[number % len(rows)][1])
    for row, (_, expected) in zip(rows, case.answers, strict=True):
        assert_same(model.predict(row), expected)


def flexible(message: Any, outputs: Sequence[Any] = ()) -> MLModel:
    """A model of arrays of one to five numbers."""
    spec = holding(message, [array_feature("x")], outputs or [array_feature("y")])
    spec.description.input[0].type.multiArrayType.shapeRange.sizeRanges.add(lowerBound=1, upperBound=5)
    return MLModel.from_spec(spec, "m")


def test_examples_of_several_shapes() -> None:
    rows = [{"x": array(2, 4)}, {"x": array(1, 1, 1, 1)}, {"x": array(8)}]
    for message, expected in (
        (Scaler(scaleValue=doubles(2)), [array(4, 8), array(2, 2, 2, 2), array(16)]),
        (Normalizer(normType=Normalizer.LMax), [array(0.5, 1), array(1, 1, 1, 1), array(1)]),
        (ArrayFeatureExtractor(extractIndex=[0]), [array(2), array(1), array(8)]),
        (Imputer(imputedDoubleValue=0, replaceDoubleValue=4), [array(2, 0), array(1, 1, 1, 1), array(8)]),
    ):
        for answers, right in zip(flexible(message).predict(rows), expected, strict=True):
            assert_same(answers, {"y": right})
    for message, error in (
        (Scaler(scaleValue=doubles(2, 2)), "m'?: input 'x': expected 2 numbers, got 4"),
        (IMPUTED, "m'?: input 'x': expected 3 numbers, got 2"),
        (ArrayFeatureExtractor(extractIndex=[1]), "m'?: input 'x': expected more than 1 numbers, got 1"),
    ):
        with pytest.raises(MLFeatureError, match=rf"^example \d: model '{error}"):
            flexible(message).predict(rows)


def test_an_absent_array_is_imputed_where_its_size_is_known() -> None:
    for spec, expected in (
        (holding(IMPUTED, [array_feature("x", optional=True)], [array_feature("y")]), array(1, 2, 3)),
        (holding(IMPUTED, [array_feature("x", (3, 1), optional=True)], [array_feature("y")]), array([1], [2], [3])),
    ):
        assert_same(MLModel.from_spec(spec).predict({}), {"y": expected})
    ranged = flexible(IMPUTED).spec
    ranged.description.input[0].type.isOptional = True  # one number is its default size, three are imputed
    assert_same(MLModel.from_spec(ranged).predict({}), {"y": array(1, 2, 3)})
    nowhere = holding(Imputer(imputedDoubleValue=1), [array_feature("x", optional=True)], [array_feature("y")])
    with pytest.raises(MLFeatureError, match="input 'x': expected a value, for no shape of it is declared, got none"):
        MLModel.from_spec(nowhere).predict({})


REFUSED = {
    "one-hot: a stranger": (CASES["one-hot: an array"], {"x": "q"}, "input 'x': expected one of the categories .*, got 'q'"),
    "one-hot: an integer that is none": (CASES["one-hot: sparse"], {"x": 6}, "input 'x': expected one of the categories .*, got 6"),
    "one-hot: not a string": (CASES["one-hot: an array"], {"x": 3}, "input 'x': expected a string, got an int 3"),
    "mapping: a stranger in a sequence": (
        CASES["mapping: sequences"],
        {"x": ["a", "q"]},
        "input 'x': expected one of the categories .*'q'",
    ),
    "extractor: half an integer": (
        CASES["extractor: an integer"],
        {"x": array(1, 2.5)},
        "output 'y': expected a number that int64 can hold, got 2.5",
    ),
    "extractor: more than an integer holds": (
        CASES["extractor: an integer"],
        {"x": array(1, 2.0**63)},
        "output 'y': expected a number that int64 can hold, got 9.2",
    ),
    "extractor: NaN as an integer": (
        CASES["extractor: an integer"],
        {"x": array(1, NAN)},
        "output 'y': expected a number that int64 .* nan",
    ),
    "scaler: half an integer": (CASES["scaler: an integer"], {"x": 2}, "output 'y': expected a number that int64 can hold, got 1.5"),
    "scaler: NaN": (CASES["scaler: one for all"], {"x": array(1, NAN, 2)}, "input 'x': expected finite numbers .*nan at index"),
    "normalizer: NaN": (CASES["normalizer: L1"], {"x": array(1, NAN, 2)}, "input 'x': expected finite numbers .*nan at index"),
    "vectorizer: a place beyond": (
        CASES["feature vectorizer: all kinds, in the order listed"],
        {"n": 9, "a": [[0, 0], [0, 0]], "d": {3: 1}},
        "input 'd': expected keys from 0 to 2, got 3",
    ),
    "vectorizer: a feature missing": (
        CASES["feature vectorizer: all kinds, in the order listed"],
        {"n": 9, "d": {}},
        "input 'a', got 'n', 'd'",
    ),
    "dict vectorizer: a string where a number belongs": (
        CASES["dict vectorizer: places"],
        {"x": {"a": "four"}},
        "input 'x': value of 'a': expected a double, got a str 'four'",
    ),
    "dict vectorizer: keys of another type": (
        CASES["dict vectorizer: places"],
        {"x": {4: 1.0}},
        "input 'x': key: expected a string, got an int 4",
    ),
    "thresholding: more classes": (CASES["thresholding: every class is present"], {"x": array(1, 2, 3)}, r"input 'x': expected .*\[2\]"),
}


@pytest.mark.parametrize(("case", "row", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_values_that_do_not_fit_are_refused_by_name(case: Case, row: Mapping[str, Any], error: str) -> None:
    with pytest.raises(MLFeatureError, match=error):
        case.model.predict(row)
    with pytest.raises(MLFeatureError, match=rf"^example 1: .*{error}"):
        case.model.predict([given(case)[0], row])


def test_a_normalizer_in_a_pipeline_refuses_nan_itself() -> None:
    predictor = build_predictor(CASES["normalizer: L2"].model.spec, {}, "m")
    with pytest.raises(MLFeatureError, match=r"^example 1: m: input 'x': expected finite numbers, got nan at \[0\]"):
        predictor.predict({"x": np.array([[1.0, 2.0], [NAN, 1.0]])}, 2)
