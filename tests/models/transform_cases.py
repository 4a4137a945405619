"""Models that turn features into features, and answers to examples that are worked by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailor.runtime import MLModel
from tailor.runtime.format.features import (
    array_feature,
    dictionary_feature,
    double_feature,
    int64_feature,
    sequence_feature,
    string_feature,
)
from tailor.runtime.format.schema.decisions_pb2 import ClassConfidenceThresholding
from tailor.runtime.format.schema.preprocessing_pb2 import (
    ArrayFeatureExtractor,
    CategoricalMapping,
    DictVectorizer,
    FeatureVectorizer,
    Identity,
    Imputer,
    Normalizer,
    OneHotEncoder,
    Scaler,
)
from tailor.runtime.format.schema.vectors_pb2 import (
    DoubleVector,
    FloatVector,
    Int64ToDoubleMap,
    Int64ToStringMap,
    Int64Vector,
    PrecisionRecallCurve,
    StringToDoubleMap,
    StringToInt64Map,
    StringVector,
)
from tests.models.hand_made import doubles, holding

NAN = math.nan
WORDS, PLACES = StringVector(vector=["a", "c", "b", "z"]), Int64Vector(vector=[7, -2, 5])
LISTED = FeatureVectorizer.InputColumn


@dataclass(frozen=True)
class Case:
    """A message, its features, and answers worked by hand to some examples."""

    message: Any
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    answers: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]

    @property
    def model(self) -> MLModel:
        return MLModel.from_spec(holding(self.message, self.inputs, self.outputs), "m")


def one(message: Any, given: Any, made: Any, *answers: tuple[Any, Any]) -> Case:
    """From one feature to another."""
    return Case(message, [given], [made], [({given.name: value}, {made.name: answer}) for value, answer in answers])


def array(*numbers: Any, dtype: str = "float32") -> Any:
    return np.array(numbers, dtype)


def text(name: str = "x", optional: bool = False) -> Any:
    return string_feature(name, optional=optional)


def real(name: str, optional: bool = False) -> Any:
    return double_feature(name, optional=optional)


def whole(name: str, optional: bool = False) -> Any:
    return int64_feature(name, optional=optional)


def curve(*numbers: float) -> PrecisionRecallCurve:
    values = FloatVector(vector=[np.array(numbers, "<f4").tobytes()])
    return PrecisionRecallCurve(
        precisionValues=values, precisionConfidenceThresholds=values, recallValues=values, recallConfidenceThresholds=values
    )


IMPUTED = Imputer(imputedDoubleArray=DoubleVector(vector=doubles(1, 2, 3)))

CASES = {
    "identity: whatever comes": Case(
        Identity(),
        [real("x"), dictionary_feature("d"), sequence_feature("s", int), array_feature("a", (2,)), text("t"), real("unused", True)],
        [dictionary_feature("d"), array_feature("a", (2,)), real("x"), sequence_feature("s", int)],
        [
            (
                {"x": value, "d": {"k": 1.5}, "s": [3, 1], "a": array(1, NAN), "t": "unseen"},
                {"d": {"k": 1.5}, "a": array(1, NAN), "x": value, "s": [3, 1]},
            )
            for value in (0.5, NAN)
        ],
    ),
    "identity: what is not there": Case(
        Identity(),
        [real("x", True), text("t")],
        [real("x"), text("t")],
        [({"t": "one"}, {"t": "one"}), ({"t": "b", "x": 1}, {"x": 1.0, "t": "b"})],
    ),
    "extractor: a double": one(
        ArrayFeatureExtractor(extractIndex=[2]), array_feature("x", (4,)), real("y"), (array(5, 6, 7.5, 8), 7.5), (array(0, 0, NAN, 0), NAN)
    ),
    "extractor: an integer": one(ArrayFeatureExtractor(extractIndex=[1]), array_feature("x", (2,)), whole("y"), (array(5, -6), -6)),
    "extractor: an array, in any order": one(
        ArrayFeatureExtractor(extractIndex=[3, 0, 3]),
        array_feature("x", (2, 2), "int32"),
        array_feature("y", (3,), "double"),
        ([[1, 2], [3, 4]], array(4, 1, 4, dtype="float64")),
    ),
    "extractor: the shape that is declared": one(
        ArrayFeatureExtractor(extractIndex=[1, 0]), array_feature("x", (2,)), array_feature("y", (2, 1)), (array(1, 2), array([2], [1]))
    ),
    "dict vectorizer: places": one(
        DictVectorizer(stringToIndex=WORDS),
        dictionary_feature("x"),
        dictionary_feature("y", int),
        ({"a": 4, "c": 8}, {0: 4.0, 1: 8.0}),
        ({"z": 0, "unknown": 3}, {3: 0.0}),
        ({}, {}),
    ),
    "dict vectorizer: an array": one(
        DictVectorizer(stringToIndex=WORDS),
        dictionary_feature("x"),
        array_feature("y", (4,), "double"),
        ({"a": 4, "c": 8, "unknown": 3}, array(4, 8, 0, 0, dtype="float64")),
        ({}, array(0, 0, 0, 0, dtype="float64")),
    ),
    "dict vectorizer: integers": one(
        DictVectorizer(int64ToIndex=PLACES),
        dictionary_feature("x", int),
        dictionary_feature("y", int),
        ({5: 1, -2: 2, 0: 3}, {2: 1.0, 1: 2.0}),
    ),
    "dict vectorizer: integers that are declared as strings": one(
        DictVectorizer(int64ToIndex=PLACES),
        dictionary_feature("x", str),
        dictionary_feature("y", int),
        ({5: 1, -2: 2, 0: 3}, {2: 1.0, 1: 2.0}),
    ),
    "feature vectorizer: all kinds, in the order listed": Case(
        FeatureVectorizer(
            inputList=[
                LISTED(inputColumn="a", inputDimensions=4),
                LISTED(inputColumn="n", inputDimensions=1),
                LISTED(inputColumn="d", inputDimensions=3),
                LISTED(inputColumn="x", inputDimensions=1),
                LISTED(inputColumn="n", inputDimensions=1),
            ]
        ),
        [real("x", True), whole("n"), array_feature("a", (2, 2)), dictionary_feature("d", int)],
        [array_feature("y", (10,), "double")],
        [
            (
                {"x": 0.5, "n": -3, "a": [[1, 2], [3, 4]], "d": {2: 6.5, 0: 1}},
                {"y": array(1, 2, 3, 4, -3, 1, 0, 6.5, 0.5, -3, dtype="float64")},
            ),
            ({"n": 9, "a": [[0, NAN], [0, 0]], "d": {}}, {"y": array(0, NAN, 0, 0, 9, 0, 0, 0, NAN, 9, dtype="float64")}),
        ],
    ),
    "one-hot: an array": one(
        OneHotEncoder(stringCategories=WORDS), text(), array_feature("y", (4,)), ("b", array(0, 0, 1, 0)), ("a", array(1, 0, 0, 0))
    ),
    "one-hot: sparse": one(
        OneHotEncoder(int64Categories=PLACES, outputSparse=True), whole("x"), dictionary_feature("y", int), (5, {2: 1.0}), (7, {0: 1.0})
    ),
    "one-hot: unknown ones ignored": one(
        OneHotEncoder(int64Categories=PLACES, handleUnknown=OneHotEncoder.IgnoreUnknown),
        whole("x"),
        array_feature("y"),
        (5, array(0, 0, 1)),
        (6, array(0, 0, 0)),
    ),
    "one-hot: sparse, unknown ones ignored": one(
        OneHotEncoder(stringCategories=WORDS, outputSparse=True, handleUnknown=OneHotEncoder.IgnoreUnknown),
        text(),
        dictionary_feature("y", int),
        ("x", {}),
        ("z", {3: 1.0}),
    ),
    "mapping: to integers": one(
        CategoricalMapping(stringToInt64Map=StringToInt64Map(map={"a": 3, "b": -1}), int64Value=9), text(), whole("y"), ("a", 3), ("c", 9)
    ),
    "mapping: to strings": one(
        CategoricalMapping(int64ToStringMap=Int64ToStringMap(map={3: "a", -1: ""}), strValue="?"), whole("x"), text("y"), (-1, ""), (0, "?")
    ),
    "mapping: sequences": one(
        CategoricalMapping(stringToInt64Map=StringToInt64Map(map={"a": 3, "b": 0})),
        sequence_feature("x"),
        sequence_feature("y", int),
        (["a", "b", "a"], [3, 0, 3]),
        ([], []),
    ),
    "imputer: NaN, where nothing is said": one(
        Imputer(imputedDoubleValue=2.5), real("x", True), real("y"), (NAN, 2.5), (-1.0, -1.0), (None, 2.5)
    ),
    "imputer: another double": one(
        Imputer(imputedDoubleValue=2.5, replaceDoubleValue=-1), real("x", True), real("y"), (-1.0, 2.5), (NAN, NAN), (None, 2.5)
    ),
    "imputer: integers": one(
        Imputer(imputedInt64Value=7, replaceInt64Value=2**62 + 1), whole("x", True), whole("y"), (2**62 + 1, 7), (2**62, 2**62), (None, 7)
    ),
    "imputer: strings": one(
        Imputer(imputedStringValue="none", replaceStringValue=""), text("x", True), text("y"), ("", "none"), ("b", "b"), (None, "none")
    ),
    "imputer: one for each element": one(
        IMPUTED,
        array_feature("x", (3,), optional=True),
        array_feature("y", (3,)),
        (array(NAN, 5, NAN), array(1, 5, 3)),
        (None, array(1, 2, 3)),
    ),
    "imputer: one for all elements": one(
        Imputer(imputedDoubleValue=-1, replaceDoubleValue=0.1),
        array_feature("x", (2, 2), optional=True),
        array_feature("y", (2, 2)),
        (array([0.1, 1], [NAN, 0.1]), array([-1, 1], [NAN, -1])),
        (None, array([-1, -1], [-1, -1])),
    ),
    "imputer: an array of integers": one(
        Imputer(imputedInt64Array=Int64Vector(vector=[1, 2]), replaceInt64Value=2**40),
        array_feature("x", (2,), "double"),
        array_feature("y", (2,), "double"),
        (array(2.0**40, 0, dtype="float64"), array(1, 0, dtype="float64")),
    ),
    "imputer: integers of few bits": one(
        Imputer(imputedInt64Array=Int64Vector(vector=[1, 2]), replaceInt64Value=-1),
        array_feature("x", (2,), "int32"),
        array_feature("y", (2,), "int32"),
        (array(-1, -1, dtype="int32"), array(1, 2, dtype="int32")),
        (array(-1, 0, dtype="int32"), array(1, 0, dtype="int32")),
    ),
    "imputer: dictionaries of strings": one(
        Imputer(imputedStringDictionary=StringToDoubleMap(map={"a": 1})),
        dictionary_feature("x", optional=True),
        dictionary_feature("y"),
        (None, {"a": 1.0}),
        ({}, {}),
        ({"b": 2}, {"b": 2.0}),
    ),
    "imputer: dictionaries of integers": one(
        Imputer(imputedInt64Dictionary=Int64ToDoubleMap(map={1: 1})),
        dictionary_feature("x", int, optional=True),
        dictionary_feature("y", int),
        (None, {1: 1.0}),
        ({2: 2}, {2: 2.0}),
    ),
    "scaler: a double": one(Scaler(shiftValue=doubles(-1), scaleValue=doubles(0.5)), real("x"), real("y"), (4.0, 1.5), (1, 0.0)),
    "scaler: a double of an integer": one(Scaler(scaleValue=doubles(0.5)), whole("x"), real("y"), (3, 1.5)),
    "scaler: an integer": one(Scaler(shiftValue=doubles(1), scaleValue=doubles(0.5)), whole("x"), whole("y"), (3, 2), (-5, -2)),
    "scaler: one for all": one(
        Scaler(shiftValue=doubles(1), scaleValue=doubles(2)),
        array_feature("x", (3,)),
        array_feature("y", (3,)),
        (array(1, 2, -1), array(4, 6, 0)),
    ),
    "scaler: one for each": one(
        Scaler(shiftValue=doubles(1, 2, 3), scaleValue=doubles(1, 0, 2)),
        array_feature("x", (3,)),
        array_feature("y", (3,)),
        (array(1, 2, -1), array(2, 0, 4)),
    ),
    "scaler: nothing": one(Scaler(), array_feature("x", (1, 2)), array_feature("y", (1, 2)), (array([1, 2]), array([1, 2]))),
    "normalizer: max": one(
        Normalizer(normType=Normalizer.LMax),
        array_feature("x", (3,)),
        array_feature("y", (3,)),
        (array(1, -8, 4), array(0.25, -2, 1)),
        (array(-1, -2, -4), array(1, 2, 4)),
        (array(0, -2, 0), array(0, -2, 0)),
    ),
    "normalizer: L1": one(
        Normalizer(normType=Normalizer.L1),
        array_feature("x", (3,)),
        array_feature("y", (3,)),
        (array(1, -2, 5), array(0.125, -0.25, 0.625)),
        (array(0, 0, 0), array(0, 0, 0)),
    ),
    "normalizer: L2": one(
        Normalizer(normType=Normalizer.L2),
        array_feature("x", (2,), "double"),
        array_feature("y", (2,), "double"),
        (array(3, -4, dtype="float64"), array(0.6, -0.8, dtype="float64")),
        (array(0, 0, dtype="float64"), array(0, 0, dtype="float64")),
    ),
    "thresholding: every class is present": one(
        ClassConfidenceThresholding(precisionRecallCurves=[curve(0.5, 1), curve(0)]),
        array_feature("x", (2,)),
        array_feature("y", (2, 2)),
        (array(0.25, 0), array([0.25, 0], [1, 1])),
    ),
}
