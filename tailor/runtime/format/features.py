"""Descriptions of features, for models that are built from scratch."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import MLFormatError
from .schema.features_pb2 import ArrayFeatureType, FeatureType, ImageFeatureType
from .schema.model_pb2 import FeatureDescription

_DATA_TYPES: dict[str, ArrayFeatureType.ArrayDataType.ValueType] = {
    "float32": ArrayFeatureType.FLOAT32,
    "double": ArrayFeatureType.DOUBLE,
    "float64": ArrayFeatureType.DOUBLE,
    "float16": ArrayFeatureType.FLOAT16,
    "int32": ArrayFeatureType.INT32,
    "int8": ArrayFeatureType.INT8,
}
_COLOR_SPACES: dict[str, ImageFeatureType.ColorSpace.ValueType] = {
    "GRAYSCALE": ImageFeatureType.GRAYSCALE,
    "RGB": ImageFeatureType.RGB,
    "BGR": ImageFeatureType.BGR,
    "GRAYSCALE_FLOAT16": ImageFeatureType.GRAYSCALE_FLOAT16,
}


def array_feature(
    name: str, shape: Sequence[int] = (), dtype: str = "float32", *, optional: bool = False, description: str = ""
) -> FeatureDescription:
    """A multi-array of ``shape`` (empty: not declared) and ``dtype``: float32, double (or float64), float16, int32, int8.

    Raises ``MLFormatError`` where ``dtype`` is another or a size is not positive.
    """
    if dtype not in _DATA_TYPES:
        raise MLFormatError(f"feature {name!r}: expected a data type of {', '.join(_DATA_TYPES)}, got {dtype!r}")
    if any(size < 1 for size in shape):
        raise MLFormatError(f"feature {name!r}: expected a shape of positive sizes, got {list(shape)}")
    array = ArrayFeatureType(shape=[int(size) for size in shape], dataType=_DATA_TYPES[dtype])
    return _described(name, FeatureType(multiArrayType=array), optional, description)


def image_feature(
    name: str, width: int, height: int, color: str = "GRAYSCALE", *, optional: bool = False, description: str = ""
) -> FeatureDescription:
    """An image of ``width`` by ``height`` pixels; ``color``: GRAYSCALE, RGB, BGR or GRAYSCALE_FLOAT16.

    Raises ``MLFormatError`` where ``color`` is another or a size is not positive.
    """
    if color not in _COLOR_SPACES:
        raise MLFormatError(f"feature {name!r}: expected a color of {', '.join(_COLOR_SPACES)}, got {color!r}")
    if width < 1 or height < 1:
        raise MLFormatError(f"feature {name!r}: expected a positive width and height, got {width} by {height}")
    image = ImageFeatureType(width=width, height=height, colorSpace=_COLOR_SPACES[color])
    return _described(name, FeatureType(imageType=image), optional, description)


def string_feature(name: str, *, optional: bool = False, description: str = "") -> FeatureDescription:
    """A string, such as a label."""
    made = _described(name, FeatureType(), optional, description)
    made.type.stringType.SetInParent()
    return made


def int64_feature(name: str, *, optional: bool = False, description: str = "") -> FeatureDescription:
    """A whole number of 64 bits."""
    made = _described(name, FeatureType(), optional, description)
    made.type.int64Type.SetInParent()
    return made


def double_feature(name: str, *, optional: bool = False, description: str = "") -> FeatureDescription:
    """A number of 64 bits."""
    made = _described(name, FeatureType(), optional, description)
    made.type.doubleType.SetInParent()
    return made


def dictionary_feature(name: str, key: type[str] | type[int] = str, *, optional: bool = False, description: str = "") -> FeatureDescription:
    """A dictionary from strings or whole numbers to numbers, such as the probabilities of labels."""
    made = _described(name, FeatureType(), optional, description)
    keys = made.type.dictionaryType
    (keys.int64KeyType if key is int else keys.stringKeyType).SetInParent()
    return made


def sequence_feature(
    name: str, item: type[str] | type[int] = str, *, optional: bool = False, description: str = ""
) -> FeatureDescription:
    """A list of strings or of whole numbers, of any length."""
    made = _described(name, FeatureType(), optional, description)
    items = made.type.sequenceType
    items.sizeRange.upperBound = -1
    (items.int64Type if item is int else items.stringType).SetInParent()
    return made


def label_feature(name: str, labels: Sequence[str] | Sequence[int] | str | int) -> FeatureDescription:
    """A string or whole number, as ``labels`` (some labels, or one) are. Raises ``MLFormatError`` where they are neither, or mixed."""
    return (int64_feature if label_type(labels, name) is int else string_feature)(name)


def label_type(labels: Sequence[str] | Sequence[int] | str | int, who: str) -> type[str] | type[int]:
    """``str`` or ``int``: what all of ``labels`` are. Raises ``MLFormatError``, naming ``who``, where they are neither, or mixed."""
    many = list(labels) if isinstance(labels, Sequence) and not isinstance(labels, str) else [labels]
    kinds = {type(label) for label in many}
    if kinds == {str}:
        return str
    if kinds == {int}:
        return int
    raise MLFormatError(f"{who}: expected labels that are all strings or all whole numbers, got {sorted(kind.__name__ for kind in kinds)}")


def _described(name: str, kind: FeatureType, optional: bool, description: str) -> FeatureDescription:
    made = FeatureDescription(name=name, shortDescription=description, type=kind)
    made.type.isOptional = optional
    return made
