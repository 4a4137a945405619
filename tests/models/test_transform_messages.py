"""What the types that turn features into features say of messages that contradict themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import Model
from tailor.runtime.format.features import (
    array_feature,
    dictionary_feature,
    image_feature,
    sequence_feature,
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
    StringToDoubleMap,
    StringToInt64Map,
)
from tailor.runtime.models import build_predictor
from tests.models.hand_made import doubles, holding
from tests.models.transform_cases import CASES, IMPUTED, LISTED, PLACES, WORDS, curve, real, text, whole


def other(name: str, **changes: Any) -> Model:
    """The model of a case, with another message, inputs or outputs."""
    case = CASES[name]
    return holding(changes.get("message", case.message), changes.get("inputs", case.inputs), changes.get("outputs", case.outputs))


def twice(vector: Any) -> Any:
    return type(vector)(vector=[*vector.vector, vector.vector[1]])


LACKING = {
    "dict vectorizer: places": "m: expected stringToIndex or int64ToIndex, got neither",
    "one-hot: an array": "m: expected stringCategories or int64Categories, got neither",
    "mapping: to integers": "m: expected stringToInt64Map or int64ToStringMap, got neither",
    "imputer: strings": "m: expected a value to impute, one of imputedDoubleValue, .*, got none",
    "extractor: a double": "m: extractIndex: expected a place or more, got none",
}

WRONG: dict[str, tuple[Callable[[], Model], str]] = {
    "two inputs": (lambda: other("scaler: nothing", inputs=[real("a"), real("b")]), "m: expected one input, got 'a', 'b'"),
    "no output": (lambda: other("scaler: nothing", outputs=[]), "m: expected one output, got none"),
    "an input of another type": (
        lambda: other("normalizer: L1", inputs=[text()]),
        "m: input 'x': expected a feature of type multi_array, got a string",
    ),
    "identity: an output from nowhere": (
        lambda: other("identity: what is not there", outputs=[real("q")]),
        "m: outputs: expected names of inputs, 'x', 't', got 'q'",
    ),
    "identity: another type": (
        lambda: other("identity: what is not there", outputs=[whole("x")]),
        "m: output 'x': expected the type of input 'x', a double, got an int64",
    ),
    "identity: other keys": (
        lambda: holding(Identity(), [dictionary_feature("d", int)], [dictionary_feature("d", str)]),
        "m: output 'd': expected the type of input 'd', a dictionary from integers .*, got a dictionary from strings",
    ),
    "identity: other items": (
        lambda: holding(Identity(), [sequence_feature("s", int)], [sequence_feature("s", str)]),
        "m: output 's': expected the type of input 's', a sequence of integers, got a sequence of strings",
    ),
    "identity: another shape": (
        lambda: holding(Identity(), [array_feature("a", (2,))], [array_feature("a", (3,))]),
        r"m: output 'a': expected the type of input 'a', .*\[2\], got .*\[3\]",
    ),
    "identity: other colours": (
        lambda: holding(Identity(), [image_feature("i", 2, 2, "RGB")], [image_feature("i", 2, 2, "GRAYSCALE")]),
        "m: output 'i': expected the type of input 'i', .*RGB, got .*grayscale",
    ),
    "extractor: a place beyond": (
        lambda: other("extractor: a double", message=ArrayFeatureExtractor(extractIndex=[4])),
        "m: extractIndex: expected places from 0 to 3, got 4",
    ),
    "extractor: two places for one number": (
        lambda: other("extractor: a double", message=ArrayFeatureExtractor(extractIndex=[0, 1])),
        "m: output 'y': expected 2 numbers, as extractIndex has it, got a double",
    ),
    "dict vectorizer: a key twice": (
        lambda: other("dict vectorizer: places", message=DictVectorizer(stringToIndex=twice(WORDS))),
        "m: stringToIndex: expected each once, got 'c' at 1 and at 4",
    ),
    "dict vectorizer: an array of another size": (
        lambda: other("dict vectorizer: an array", outputs=[array_feature("y", (5,))]),
        r"m: output 'y': expected 4 numbers, as stringToIndex has it, got .*\[5\]",
    ),
    "dict vectorizer: strings come out": (
        lambda: other("dict vectorizer: places", outputs=[dictionary_feature("y")]),
        "m: output 'y': expected int64s, as the model knows, got a dictionary from strings",
    ),
    "vectorizer: a feature that is no input": (
        lambda: other("feature vectorizer: all kinds, in the order listed", inputs=[real("x")]),
        "m: inputList: expected names of inputs, 'x', got 'a'",
    ),
    "vectorizer: other dimensions": (
        lambda: holding(
            FeatureVectorizer(inputList=[LISTED(inputColumn="a", inputDimensions=3)]), [array_feature("a", (2,))], [array_feature("y")]
        ),
        r"m: inputList: 'a': expected the dimensions of .*\[2\], got 3",
    ),
    "vectorizer: no dimensions": (
        lambda: holding(FeatureVectorizer(inputList=[LISTED(inputColumn="a")]), [dictionary_feature("a", int)], [array_feature("y")]),
        "m: inputList: 'a': expected the dimensions of a dictionary .*, got 0",
    ),
    "vectorizer: more than can be": (
        lambda: holding(
            FeatureVectorizer(inputList=[LISTED(inputColumn="a", inputDimensions=2**40)]),
            [dictionary_feature("a", int)],
            [array_feature("y")],
        ),
        "m: inputList: expected at most .* elements, got shape",
    ),
    "vectorizer: keys that are strings": (
        lambda: holding(
            FeatureVectorizer(inputList=[LISTED(inputColumn="a", inputDimensions=2)]), [dictionary_feature("a")], [array_feature("y")]
        ),
        "m: input 'a': expected int64s, as the model knows, got a dictionary from strings",
    ),
    "vectorizer: an array of another size": (
        lambda: other("feature vectorizer: all kinds, in the order listed", outputs=[array_feature("y", (9,))]),
        r"m: output 'y': expected 10 numbers, as inputList has it, got .*\[9\]",
    ),
    "one-hot: a category twice": (
        lambda: other("one-hot: sparse", message=OneHotEncoder(int64Categories=twice(PLACES), outputSparse=True)),
        "m: int64Categories: expected each once, got -2 at 1 and at 3",
    ),
    "one-hot: strings for integers": (
        lambda: other("one-hot: an array", inputs=[whole("x")]),
        "m: input 'x': expected a feature of type string, got an int64",
    ),
    "one-hot: dense where sparse is declared": (
        lambda: other("one-hot: an array", outputs=[dictionary_feature("y", int)]),
        "m: output 'y': expected a feature of type multi_array, got a dictionary",
    ),
    "one-hot: sparse under strings": (
        lambda: other("one-hot: sparse", outputs=[dictionary_feature("y")]),
        "m: output 'y': expected int64s, as the model knows, got a dictionary from strings",
    ),
    "one-hot: an array of another size": (
        lambda: other("one-hot: an array", outputs=[array_feature("y", (3,))]),
        r"m: output 'y': expected 4 numbers, as stringCategories has it, got .*\[3\]",
    ),
    "one-hot: no such manner": (
        lambda: other("one-hot: an array", message=OneHotEncoder(stringCategories=WORDS, handleUnknown=7)),  # type: ignore[arg-type]
        r"m: handleUnknown: expected 0 \(an error\) or 1 \(ignored\), got 7",
    ),
    "mapping: a default of the wrong type": (
        lambda: other("mapping: sequences", message=CategoricalMapping(stringToInt64Map=StringToInt64Map(), strValue="q")),
        "m: ValueOnUnknown: expected int64Value, as stringToInt64Map makes, got strValue",
    ),
    "mapping: a sequence becomes a number": (
        lambda: other("mapping: sequences", outputs=[whole("y")]),
        "m: expected two sequences or none, got input a sequence of strings and output an int64",
    ),
    "mapping: a sequence of the wrong type": (
        lambda: other("mapping: sequences", outputs=[sequence_feature("y")]),
        "m: output 'y': expected int64s, as the model knows, got a sequence of strings",
    ),
    "imputer: a double for a string": (
        lambda: other("imputer: strings", message=Imputer(imputedDoubleValue=1)),
        "m: input 'x': expected a feature of type double or multi_array, got a string",
    ),
    "imputer: a replaced value of another type": (
        lambda: other("imputer: strings", message=Imputer(imputedStringValue="a", replaceInt64Value=1)),
        "m: ReplaceValue: expected replaceStringValue with imputedStringValue, got replaceInt64Value",
    ),
    "imputer: a value replaced in dictionaries": (
        lambda: other(
            "imputer: dictionaries of strings", message=Imputer(imputedStringDictionary=StringToDoubleMap(), replaceStringValue="")
        ),
        "m: ReplaceValue: expected none with imputedStringDictionary, got replaceStringValue",
    ),
    "imputer: dictionaries of other keys": (
        lambda: other("imputer: dictionaries of integers", message=Imputer(imputedStringDictionary=StringToDoubleMap())),
        "m: input 'x': expected strings, as the model knows, got a dictionary from integers",
    ),
    "imputer: another output": (
        lambda: other("imputer: one for each element", outputs=[array_feature("y", (4,))]),
        r"m: output 'y': expected the type of input 'x', .*\[3\], got .*\[4\]",
    ),
    "imputer: too few values": (
        lambda: other("imputer: one for all elements", message=IMPUTED),
        r"m: imputedDoubleArray: expected a value for each of .*\[2, 2\], got 3",
    ),
    "scaler: too many values": (
        lambda: other("scaler: one for each", message=Scaler(scaleValue=doubles(1, 2, 3, 4))),
        r"m: scaleValue: expected one value or one for each of .*\[3\], got 4",
    ),
    "scaler: two values for a number": (
        lambda: other("scaler: a double", message=Scaler(shiftValue=doubles(1, 2))),
        "m: shiftValue: expected one value or one for each of a double, got 2",
    ),
    "scaler: other numbers of both": (
        lambda: holding(Scaler(shiftValue=doubles(1, 2), scaleValue=doubles(1, 2, 3)), [array_feature("x")], [array_feature("y")]),
        "m: shiftValue and scaleValue: expected as many, got 2 and 3",
    ),
    "scaler: an integer of a double": (
        lambda: other("scaler: a double", outputs=[whole("y")]),
        "m: output 'y': expected the type of input 'x', a double, got an int64",
    ),
    "normalizer: no such norm": (
        lambda: other("normalizer: L1", message=Normalizer(normType=3)),  # type: ignore[arg-type]
        "m: normType: expected 0 to 2, for max, L1, L2, got 3",
    ),
    "thresholding: one curve too few": (
        lambda: other("thresholding: every class is present", message=ClassConfidenceThresholding(precisionRecallCurves=[curve(1)])),
        "m: precisionRecallCurves: expected one for each of 2 classes, got 1",
    ),
    "thresholding: an empty curve": (
        lambda: other("thresholding: every class is present", message=ClassConfidenceThresholding(precisionRecallCurves=[curve()])),
        r"m: precisionRecallCurves\[0\]: expected as many precisionValues as precisionConfidenceThresholds, and one at least, got 0 and 0",
    ),
    "thresholding: a negative number": (
        lambda: other(
            "thresholding: every class is present", message=ClassConfidenceThresholding(precisionRecallCurves=[curve(1), curve(-1)])
        ),
        r"m: precisionRecallCurves\[1\]\.precisionValues: expected finite numbers of 0 or more, got -1",
    ),
    "thresholding: an array of another size": (
        lambda: other("thresholding: every class is present", outputs=[array_feature("y", (2, 3))]),
        r"m: output 'y': expected 4 numbers, as .*, got .*\[2, 3\]",
    ),
    **{
        f"{name}: empty": (lambda name=name: other(name, message=type(CASES[name].message)()), error)  # type: ignore[misc]
        for name, error in LACKING.items()
    },
}


@pytest.mark.parametrize(("make", "error"), WRONG.values(), ids=WRONG.keys())
def test_messages_that_contradict_themselves_are_refused_when_they_are_built(make: Callable[[], Model], error: str) -> None:
    with pytest.raises(MLFormatError, match=f"^{error}"):
        build_predictor(make(), {}, "m")
