"""Short ways to describe a feature."""

from __future__ import annotations

from typing import Any

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

INT64 = MLFeatureDescription("n", MLFeatureType.INT64)
DOUBLE = MLFeatureDescription("d", MLFeatureType.DOUBLE)
STRING = MLFeatureDescription("s", MLFeatureType.STRING)
STATE = MLFeatureDescription("cache", MLFeatureType.STATE, constraint=MLMultiArrayConstraint((2,), MLMultiArrayDataType.FLOAT16))


def array(*shape: int, data_type: str = "FLOAT32", **flexible: Any) -> MLFeatureDescription:
    constraint = MLMultiArrayConstraint(shape, MLMultiArrayDataType[data_type], **flexible)
    return MLFeatureDescription("x", MLFeatureType.MULTI_ARRAY, constraint=constraint)


def image(width: int, height: int, colors: str = "GRAYSCALE", **flexible: Any) -> MLFeatureDescription:
    constraint = MLImageConstraint(width, height, MLColorSpace[colors], **flexible)
    return MLFeatureDescription("drawing", MLFeatureType.IMAGE, constraint=constraint)


def dictionary(key: str) -> MLFeatureDescription:
    return MLFeatureDescription("words", MLFeatureType.DICTIONARY, constraint=MLDictionaryConstraint(MLFeatureType[key]))


def sequence(element: str, lower: int = 0, upper: int | None = None) -> MLFeatureDescription:
    constraint = MLSequenceConstraint(MLFeatureType[element], SizeRange(lower, upper))
    return MLFeatureDescription("tokens", MLFeatureType.SEQUENCE, constraint=constraint)
