"""Values: what a feature can be, where features come from, and how they are checked against a model's description."""

from .coerce import Column, accept, accept_column, default_value
from .constraints import (
    MLConstraint,
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLImageConstraint,
    MLMultiArrayConstraint,
    MLSequenceConstraint,
    Shape,
    SizeRange,
)
from .deliver import deliver
from .feature import MLFeatureValue
from .framing import MLImageCropAndScale, MLImageOption
from .multi_array import MLMultiArray
from .origin import NO_ORIGIN, MLExampleOrigin
from .provider import MLArrayBatchProvider, MLBatchProvider, MLDictionaryFeatureProvider, MLFeatureProvider, as_mapping
from .types import MLColorSpace, MLFeatureType, MLMultiArrayDataType

__all__ = [
    "NO_ORIGIN",
    "Column",
    "MLArrayBatchProvider",
    "MLBatchProvider",
    "MLColorSpace",
    "MLConstraint",
    "MLDictionaryConstraint",
    "MLDictionaryFeatureProvider",
    "MLExampleOrigin",
    "MLFeatureDescription",
    "MLFeatureProvider",
    "MLFeatureType",
    "MLFeatureValue",
    "MLImageConstraint",
    "MLImageCropAndScale",
    "MLImageOption",
    "MLMultiArray",
    "MLMultiArrayConstraint",
    "MLMultiArrayDataType",
    "MLSequenceConstraint",
    "Shape",
    "SizeRange",
    "accept",
    "accept_column",
    "as_mapping",
    "default_value",
    "deliver",
]
