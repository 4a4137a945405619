"""Model descriptions, from messages made here and from real models."""

from __future__ import annotations

from typing import Any

import pytest

from tailor.runtime.description import MLModelMetadata, describe
from tailor.runtime.errors import MLFormatError
from tailor.runtime.format import Model, load_model
from tailor.runtime.parameters import MLParameterDescription, MLParameterKey
from tailor.runtime.values import (
    MLColorSpace,
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLFeatureType,
    MLImageConstraint,
    MLMultiArrayConstraint,
    MLMultiArrayDataType,
    MLSequenceConstraint,
    SizeRange,
)
from tests.places import shared_model

FLOAT32, INT32 = MLMultiArrayDataType.FLOAT32, MLMultiArrayDataType.INT32


def model(version: int = 4, **fields: Any) -> Any:
    """A ``Model`` message; ``fields`` are those of its description, as the message's constructor takes them."""
    return Model(specificationVersion=version, description=fields)


def described(feature_type: dict[str, Any], version: int = 4) -> MLFeatureDescription:
    """What becomes of one input of this type."""
    return describe(model(version, input=[{"name": "f", "type": feature_type}])).input_descriptions_by_name["f"]


GRAY, RGB = MLColorSpace.GRAYSCALE, MLColorSpace.RGB
PAIR = [{"width": 4, "height": 3}, {"width": 8, "height": 6}]
RANGES = {"widthRange": {"lowerBound": 5, "upperBound": -1}, "heightRange": {"lowerBound": 2, "upperBound": 9}}
FLEXIBLE = {"shapeRange": {"sizeRanges": [{"lowerBound": 1, "upperBound": 2}, {"lowerBound": 3, "upperBound": -1}]}}


@pytest.mark.parametrize(
    ("feature_type", "kind", "constraint", "phrase"),
    [
        ({"int64Type": {}}, MLFeatureType.INT64, None, "an int64"),
        ({"doubleType": {}}, MLFeatureType.DOUBLE, None, "a double"),
        ({"stringType": {}}, MLFeatureType.STRING, None, "a string"),
        (
            {"imageType": {"width": 28, "height": 20, "colorSpace": GRAY}},
            MLFeatureType.IMAGE,
            MLImageConstraint(28, 20, GRAY),
            "an image 28x20 grayscale",
        ),
        (
            {"imageType": {"colorSpace": RGB, "enumeratedSizes": {"sizes": PAIR}}},
            MLFeatureType.IMAGE,
            MLImageConstraint(4, 3, RGB, enumerated_sizes=((4, 3), (8, 6))),
            "an image 4x3 or 8x6 RGB",
        ),
        (
            {"imageType": {"width": 8, "height": 6, "colorSpace": RGB, "enumeratedSizes": {"sizes": PAIR}}},
            MLFeatureType.IMAGE,
            MLImageConstraint(8, 6, RGB, enumerated_sizes=((4, 3), (8, 6))),
            "an image 4x3 or 8x6 RGB",
        ),
        (
            {"imageType": {"colorSpace": 30, "imageSizeRange": RANGES}},
            MLFeatureType.IMAGE,
            MLImageConstraint(5, 2, MLColorSpace.BGR, width_range=SizeRange(5), height_range=SizeRange(2, 9)),
            "an image 5.. x 2..9 BGR",
        ),
        (
            {"imageType": {"colorSpace": 40}},
            MLFeatureType.IMAGE,
            MLImageConstraint(0, 0, MLColorSpace.GRAYSCALE_FLOAT16),
            "an image of any size, grayscale float16",
        ),
        (
            {"multiArrayType": {"shape": [1, 28, 28], "dataType": FLOAT32}},
            MLFeatureType.MULTI_ARRAY,
            MLMultiArrayConstraint((1, 28, 28), FLOAT32),
            "a float32 multi-array of shape [1, 28, 28]",
        ),
        (
            {"multiArrayType": {"dataType": INT32, "enumeratedShapes": {"shapes": [{"shape": [2, 3]}, {"shape": [5]}]}}},
            MLFeatureType.MULTI_ARRAY,
            MLMultiArrayConstraint((2, 3), INT32, enumerated_shapes=((2, 3), (5,))),
            "an int32 multi-array of shape [2, 3] or [5]",
        ),
        (
            {"multiArrayType": {"dataType": FLOAT32, "floatDefaultValue": 0.5, **FLEXIBLE}},
            MLFeatureType.MULTI_ARRAY,
            MLMultiArrayConstraint((1, 3), FLOAT32, size_ranges=(SizeRange(1, 2), SizeRange(3)), default_value=0.5),
            "a float32 multi-array of shape [1..2, 3..]",
        ),
        (
            {"multiArrayType": {"dataType": 65600}},
            MLFeatureType.MULTI_ARRAY,
            MLMultiArrayConstraint((), MLMultiArrayDataType.DOUBLE),
            "a float64 multi-array",
        ),
        (
            {"dictionaryType": {"stringKeyType": {}}},
            MLFeatureType.DICTIONARY,
            MLDictionaryConstraint(MLFeatureType.STRING),
            "a dictionary from strings to numbers",
        ),
        (
            {"dictionaryType": {"int64KeyType": {}}},
            MLFeatureType.DICTIONARY,
            MLDictionaryConstraint(MLFeatureType.INT64),
            "a dictionary from integers to numbers",
        ),
        (
            {"sequenceType": {"stringType": {}, "sizeRange": {"lowerBound": 1, "upperBound": 5}}},
            MLFeatureType.SEQUENCE,
            MLSequenceConstraint(MLFeatureType.STRING, SizeRange(1, 5)),
            "a sequence of length 1..5 of strings",
        ),
        (
            {"sequenceType": {"int64Type": {}}},
            MLFeatureType.SEQUENCE,
            MLSequenceConstraint(MLFeatureType.INT64),
            "a sequence of integers",
        ),
        (
            {"stateType": {"arrayType": {"shape": [4], "dataType": 65552}}},
            MLFeatureType.STATE,
            MLMultiArrayConstraint((4,), MLMultiArrayDataType.FLOAT16),
            "a state",
        ),
    ],
)
def test_feature_types(feature_type: dict[str, Any], kind: MLFeatureType, constraint: Any, phrase: str) -> None:
    feature = described(feature_type)
    assert feature == MLFeatureDescription("f", kind, constraint=constraint)
    assert feature.phrase == phrase


def test_sizes_were_fixed_before_the_format_had_flexible_ones() -> None:
    sizes = {"width": 8, "height": 6, "colorSpace": RGB, "enumeratedSizes": {"sizes": PAIR}}
    assert described({"imageType": sizes}, version=2).constraint == MLImageConstraint(8, 6, RGB)
    shapes = {"shape": [1, 3], "dataType": FLOAT32, **FLEXIBLE}
    assert described({"multiArrayType": shapes}, version=2).constraint == MLMultiArrayConstraint((1, 3), FLOAT32)


def test_an_optional_feature_with_its_default() -> None:
    array = {"shape": [2], "dataType": INT32, "intDefaultValue": 7}
    feature = described({"multiArrayType": array, "isOptional": True})
    assert feature.optional
    assert feature.constraint == MLMultiArrayConstraint((2,), INT32, default_value=7)


@pytest.mark.parametrize(
    ("feature_type", "told"),
    [
        ({}, "expected a feature type, one of int64Type.*got none"),
        ({"imageType": {"width": 1, "height": 1}}, "expected a color space, one of GRAYSCALE.*got 0"),
        ({"multiArrayType": {"shape": [1]}}, "expected a data type, one of DOUBLE.*got 0"),
        ({"dictionaryType": {}}, "expected a key type, int64 or string, got none"),
        ({"sequenceType": {}}, "expected an element type, int64 or string, got none"),
    ],
)
def test_a_feature_of_no_known_type_is_refused_by_name(feature_type: dict[str, Any], told: str) -> None:
    with pytest.raises(MLFormatError, match=f"^input 'f': {told}"):
        described(feature_type)


def test_metadata_parameters_and_the_rest() -> None:
    feature = {"name": "y", "shortDescription": "the answer", "type": {"doubleType": {}}}
    metadata = {"shortDescription": "d", "versionString": "2", "author": "a", "license": "MIT", "userDefined": {"k": "v"}}
    spec = model(output=[feature], trainingInput=[feature], predictedFeatureName="y", predictedProbabilitiesName="p", metadata=metadata)
    spec.isUpdatable = True
    key = MLParameterKey.EPOCHS
    parameter = MLParameterDescription(key, 3)
    description = describe(spec, {key: parameter})
    assert description.output_descriptions_by_name["y"].short_description == "the answer"
    assert list(description.training_input_descriptions_by_name) == ["y"]
    assert (description.predicted_feature_name, description.predicted_probabilities_name) == ("y", "p")
    assert description.is_updatable
    assert description.metadata == MLModelMetadata("d", "2", "a", "MIT", {"k": "v"})
    assert description.parameter_descriptions_by_key == {key: parameter}
    assert describe(spec).parameter_descriptions_by_key == {}


def test_of_several_functions_the_default_one_is_described() -> None:
    functions = [{"name": name, "input": [{"name": name, "type": {"doubleType": {}}}]} for name in ("main", "other")]
    assert list(describe(model(9, functions=functions, defaultFunctionName="other")).input_descriptions_by_name) == ["other"]
    assert list(describe(model(9, functions=functions)).input_descriptions_by_name) == ["main"]


STRINGS, INTEGERS = {"stringClassLabels": {"vector": ["b", "a", "b"]}}, {"int64ClassLabels": {"vector": [7, 3, 7]}}
CLASSIFIERS = (
    "neuralNetworkClassifier",
    "kNearestNeighborsClassifier",
    "glmClassifier",
    "supportVectorClassifier",
    "treeEnsembleClassifier",
)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_class_labels_each_once_in_the_models_order(kind: str) -> None:
    assert describe(Model(**{kind: STRINGS})).class_labels == ("b", "a")
    assert describe(Model(**{kind: INTEGERS})).class_labels == (7, 3)
    assert describe(Model(**{kind: {}})).class_labels == ()


def test_a_pipelines_class_labels_are_its_last_classifiers() -> None:
    models = [{"glmClassifier": STRINGS}, {"neuralNetworkClassifier": INTEGERS}, {"identity": {}}]
    assert describe(Model(pipeline={"models": models})).class_labels == (7, 3)
    assert describe(Model(pipelineClassifier={"pipeline": {"models": models}})).class_labels == (7, 3)
    assert describe(Model(pipelineRegressor={"pipeline": {"models": [{"identity": {}}]}})).class_labels == ()
    assert describe(Model(identity={})).class_labels == ()


def test_apples_drawing_classifier() -> None:
    description = describe(load_model(shared_model("UpdatableDrawingClassifier.mlmodel")))
    assert description.input_descriptions_by_name["drawing"].phrase == "an image 28x28 grayscale"
    assert {name: feature.type.name for name, feature in description.output_descriptions_by_name.items()} == {
        "label": "STRING",
        "labelProbs": "DICTIONARY",
    }
    assert set(description.training_input_descriptions_by_name) == {"drawing", "label"}
    assert (description.predicted_feature_name, description.predicted_probabilities_name) == ("label", "labelProbs")
    assert description.is_updatable
    assert description.metadata.author == "Core ML Tools"


@pytest.mark.parametrize(
    ("name", "feature", "phrase", "labels"),
    [
        ("MNIST_Model.mlmodel", "output_true", "an int32 multi-array of shape [1]", ()),
        ("MNIST_classifier.mlmodel", "image", "an image 28x28 grayscale", tuple(range(10))),
        ("SentimentPolarity.mlmodel", "input", "a dictionary from strings to numbers", ("Neg", "Pos")),
        ("Waifu2xUpscale.mlmodel", "conv7", "a float64 multi-array", ()),
    ],
)
def test_real_models(name: str, feature: str, phrase: str, labels: tuple[Any, ...]) -> None:
    description = describe(load_model(shared_model(name)))
    features = {
        **description.input_descriptions_by_name,
        **description.output_descriptions_by_name,
        **description.training_input_descriptions_by_name,
    }
    assert features[feature].phrase == phrase
    assert description.class_labels == labels
