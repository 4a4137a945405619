"""What a model says of itself: its features, class labels, parameters and metadata, read from its message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from .errors import MLFormatError
from .format import pipeline_of
from .parameters import MLParameterDescription, MLParameterKey
from .values import (
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

__all__ = [
    "MLDictionaryConstraint",
    "MLFeatureDescription",
    "MLImageConstraint",
    "MLModelDescription",
    "MLModelMetadata",
    "MLMultiArrayConstraint",
    "MLSequenceConstraint",
    "describe",
]

Features: TypeAlias = Mapping[str, MLFeatureDescription]
ClassLabels: TypeAlias = tuple[str, ...] | tuple[int, ...]

# The first version of the format in which shapes and sizes may vary; older readers ignore those fields.
_FLEXIBLE_SINCE = 3

_FIVE_AXES = 0  # NeuralNetworkMultiArrayShapeMapping.RANK5_ARRAY_MAPPING


@dataclass(frozen=True, slots=True)
class MLModelMetadata:
    """What a model's author says about it."""

    short_description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""
    user_defined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MLModelDescription:
    """What a model takes, answers and lets be changed. Mappings keep the order of the model's file.

    ``predicted_feature_name`` and ``predicted_probabilities_name`` are empty where there are none. ``class_labels`` are a
    classifier's (in a pipeline its last classifier's), each once; empty for other models and where they are not declared.
    """

    input_descriptions_by_name: Features
    output_descriptions_by_name: Features
    training_input_descriptions_by_name: Features
    state_descriptions_by_name: Features
    predicted_feature_name: str
    predicted_probabilities_name: str
    is_updatable: bool
    metadata: MLModelMetadata
    class_labels: ClassLabels
    parameter_descriptions_by_key: Mapping[MLParameterKey, MLParameterDescription]


def describe(spec: Any, parameter_descriptions_by_key: Mapping[MLParameterKey, MLParameterDescription] | None = None) -> MLModelDescription:
    """The description of a model from its ``Model`` message. Of several functions, the default one is described.

    Raises ``MLFormatError`` where a feature is of no known type.
    """
    message = spec.description
    told = message
    if len(message.functions):
        told = next((function for function in message.functions if function.name == message.defaultFunctionName), message.functions[0])
    flexible = spec.specificationVersion >= _FLEXIBLE_SINCE
    metadata = message.metadata
    return MLModelDescription(
        input_descriptions_by_name=_with_known_keys(_with_sequences(_features(told.input, "input", flexible), spec), spec),
        output_descriptions_by_name=_features(told.output, "output", flexible),
        training_input_descriptions_by_name=_with_sequences(_features(message.trainingInput, "training input", flexible), spec),
        state_descriptions_by_name=_features(told.state, "state", flexible),
        predicted_feature_name=told.predictedFeatureName,
        predicted_probabilities_name=told.predictedProbabilitiesName,
        is_updatable=bool(spec.isUpdatable),
        metadata=MLModelMetadata(
            metadata.shortDescription, metadata.versionString, metadata.author, metadata.license, dict(metadata.userDefined)
        ),
        class_labels=_class_labels(spec),
        parameter_descriptions_by_key=dict(parameter_descriptions_by_key or {}),
    )


def _features(messages: Iterable[Any], who: str, flexible: bool) -> dict[str, MLFeatureDescription]:
    return {message.name: _feature(message, who, flexible) for message in messages}


def _with_sequences(features: dict[str, MLFeatureDescription], spec: Any) -> dict[str, MLFeatureDescription]:
    """``features`` of a network; where it maps arrays to five axes, those of one axis or three may come with all five."""
    kind = spec.WhichOneof("Type") or ""
    if not kind.startswith("neuralNetwork") or getattr(spec, kind).arrayInputShapeMapping != _FIVE_AXES:
        return features
    return {
        name: replace(told, constraint=replace(told.constraint, sequences=True))
        if isinstance(told.constraint, MLMultiArrayConstraint)
        else told
        for name, told in features.items()
    }


def _with_known_keys(features: dict[str, MLFeatureDescription], spec: Any) -> dict[str, MLFeatureDescription]:
    """``features``, with the keys that a dict vectorizer knows: coremltools' converter declares strings where they are integers, too."""

    def known(told: MLFeatureDescription) -> MLFeatureDescription:
        kind = _keys_known(spec, told.name) if isinstance(told.constraint, MLDictionaryConstraint) else None
        return replace(told, constraint=MLDictionaryConstraint(kind)) if kind else told

    return {name: known(told) for name, told in features.items()}


def _keys_known(spec: Any, name: str) -> MLFeatureType | None:
    """The keys of the dict vectorizer that reads the input ``name``, alone or in a pipeline; ``None`` where another type reads it."""
    if spec.WhichOneof("Type") == "dictVectorizer":
        return {"stringToIndex": MLFeatureType.STRING, "int64ToIndex": MLFeatureType.INT64}.get(spec.dictVectorizer.WhichOneof("Map"))
    pipeline = pipeline_of(spec)
    readers = (model for model in (pipeline.models if pipeline else ()) if any(told.name == name for told in model.description.input))
    return next((_keys_known(model, name) for model in readers), None)


def _feature(message: Any, who: str, flexible: bool) -> MLFeatureDescription:
    where = f"{who} {message.name!r}"
    kind = message.type.WhichOneof("Type")
    if kind not in _READERS:
        raise MLFormatError(f"{where}: expected a feature type, one of {', '.join(_READERS)}, got {kind or 'none'}")
    feature_type, read = _READERS[kind]
    constraint = read(getattr(message.type, kind), where, flexible)
    return MLFeatureDescription(message.name, feature_type, bool(message.type.isOptional), message.shortDescription, constraint)


def _plain(message: Any, where: str, flexible: bool) -> None:
    """Types without a constraint."""


def _image(message: Any, where: str, flexible: bool) -> MLImageConstraint:
    if message.colorSpace not in iter(MLColorSpace):
        raise MLFormatError(f"{where}: expected a color space, one of {', '.join(MLColorSpace.__members__)}, got {message.colorSpace}")
    wide, high = int(message.width), int(message.height)
    sizes: tuple[tuple[int, int], ...] = ()
    ranges: tuple[SizeRange | None, SizeRange | None] = (None, None)
    flexibility = message.WhichOneof("SizeFlexibility") if flexible else None
    if flexibility == "enumeratedSizes":
        sizes = tuple((int(size.width), int(size.height)) for size in message.enumeratedSizes.sizes)
        if sizes and (wide <= 0 or high <= 0):
            wide, high = sizes[0]
    elif flexibility == "imageSizeRange":
        width_range, height_range = _range(message.imageSizeRange.widthRange), _range(message.imageSizeRange.heightRange)
        ranges = (width_range, height_range)
        if wide <= 0 or high <= 0:
            wide, high = max(width_range.lower, 1), max(height_range.lower, 1)
    return MLImageConstraint(max(wide, 0), max(high, 0), MLColorSpace(message.colorSpace), sizes, *ranges)


def _multi_array(message: Any, where: str, flexible: bool) -> MLMultiArrayConstraint:
    if message.dataType not in iter(MLMultiArrayDataType):
        raise MLFormatError(f"{where}: expected a data type, one of {', '.join(MLMultiArrayDataType.__members__)}, got {message.dataType}")
    shape = tuple(int(size) for size in message.shape)
    shapes: tuple[tuple[int, ...], ...] = ()
    ranges: tuple[SizeRange, ...] = ()
    flexibility = message.WhichOneof("ShapeFlexibility") if flexible else None
    if flexibility == "enumeratedShapes":
        shapes = tuple(tuple(int(size) for size in allowed.shape) for allowed in message.enumeratedShapes.shapes)
        shape = shape or next(iter(shapes), ())
    elif flexibility == "shapeRange":
        ranges = tuple(_range(allowed) for allowed in message.shapeRange.sizeRanges)
        shape = shape or tuple(allowed.lower for allowed in ranges)
    default = message.WhichOneof("defaultOptionalValue")
    return MLMultiArrayConstraint(
        shape, MLMultiArrayDataType(message.dataType), shapes, ranges, getattr(message, default) if default else None
    )


def _dictionary(message: Any, where: str, flexible: bool) -> MLDictionaryConstraint:
    return MLDictionaryConstraint(_element(message.WhichOneof("KeyType"), "a key type", where))


def _sequence(message: Any, where: str, flexible: bool) -> MLSequenceConstraint:
    element = _element(message.WhichOneof("Type"), "an element type", where)
    return MLSequenceConstraint(element, _range(message.sizeRange)) if message.HasField("sizeRange") else MLSequenceConstraint(element)


def _state(message: Any, where: str, flexible: bool) -> MLMultiArrayConstraint:
    return _multi_array(message.arrayType, where, flexible)


def _element(kind: str | None, expected: str, where: str) -> MLFeatureType:
    if kind is None:
        raise MLFormatError(f"{where}: expected {expected}, int64 or string, got none")
    return MLFeatureType.INT64 if kind.startswith("int64") else MLFeatureType.STRING


def _range(message: Any) -> SizeRange:
    """A range of the format. Its own validator takes an upper bound of 0, which would allow nothing, for none."""
    upper = int(message.upperBound)
    return SizeRange(int(message.lowerBound), upper if upper > 0 else None)


_READERS: dict[str, tuple[MLFeatureType, Any]] = {
    "int64Type": (MLFeatureType.INT64, _plain),
    "doubleType": (MLFeatureType.DOUBLE, _plain),
    "stringType": (MLFeatureType.STRING, _plain),
    "imageType": (MLFeatureType.IMAGE, _image),
    "multiArrayType": (MLFeatureType.MULTI_ARRAY, _multi_array),
    "dictionaryType": (MLFeatureType.DICTIONARY, _dictionary),
    "sequenceType": (MLFeatureType.SEQUENCE, _sequence),
    "stateType": (MLFeatureType.STATE, _state),
}


def _class_labels(spec: Any) -> ClassLabels:
    """The labels of a classifier, each once, in the model's order; of a pipeline, those of its last model that has any."""
    kind = spec.WhichOneof("Type")
    message = getattr(spec, kind) if kind else None
    if kind in ("pipeline", "pipelineClassifier", "pipelineRegressor"):
        pipeline = message if kind == "pipeline" else getattr(message, "pipeline", None)
        models = getattr(pipeline, "models", ())
        return next((labels for model in reversed(models) if (labels := _class_labels(model))), ())
    # Neighbours list one label a sample, so the same one many times.
    for name in ("stringClassLabels", "int64ClassLabels"):
        vector = getattr(message, name, None)
        if vector is not None and len(vector.vector):
            return tuple(dict.fromkeys(vector.vector))
    return ()
