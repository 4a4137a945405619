"""Sizes that features declare: none is negative or beyond bounds, no choice of them is empty, no range upside down.

Checked when a model is loaded, because arrays of these sizes are made later: defaults of inputs, images that are resized.
"""

from __future__ import annotations

from collections.abc import Iterable

from tailor.kernels import check_elements

from ..errors import MLFormatError
from .schema.features_pb2 import ArrayFeatureType, FeatureType, ImageFeatureType, SizeRange


def check_sizes(kind: FeatureType, who: str) -> None:
    """Raises ``MLFormatError``, naming ``who`` and the field, where ``kind`` declares sizes that no value can have."""
    name = kind.WhichOneof("Type")
    if name == "multiArrayType":
        _check_array(kind.multiArrayType, who)
    elif name == "imageType":
        _check_image(kind.imageType, who)
    elif name == "stateType":
        _check_array(kind.stateType.arrayType, who)
    elif name == "sequenceType":
        _check_range(kind.sequenceType.sizeRange, f"{who} sizeRange")


def _check_array(array: ArrayFeatureType, who: str) -> None:
    _check_shape(array.shape, f"{who} shape")
    flexibility = array.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        if not array.enumeratedShapes.shapes:
            raise MLFormatError(f"{who} enumeratedShapes: expected one shape or more, got none")
        for allowed in array.enumeratedShapes.shapes:
            _check_shape(allowed.shape, f"{who} enumeratedShapes")
    elif flexibility == "shapeRange":
        for extent in array.shapeRange.sizeRanges:
            _check_range(extent, f"{who} shapeRange")


def _check_image(image: ImageFeatureType, who: str) -> None:
    _check_shape((image.width, image.height), f"{who} width and height")
    flexibility = image.WhichOneof("SizeFlexibility")
    if flexibility == "enumeratedSizes":
        if not image.enumeratedSizes.sizes:
            raise MLFormatError(f"{who} enumeratedSizes: expected one size or more, got none")
        for size in image.enumeratedSizes.sizes:
            _check_shape((size.width, size.height), f"{who} enumeratedSizes")
    elif flexibility == "imageSizeRange":
        _check_range(image.imageSizeRange.widthRange, f"{who} widthRange")
        _check_range(image.imageSizeRange.heightRange, f"{who} heightRange")


def _check_shape(shape: Iterable[int], who: str) -> None:
    try:
        check_elements(tuple(shape))
    except ValueError as error:
        raise MLFormatError(f"{who}: {error}") from error


def _check_range(extent: SizeRange, who: str) -> None:
    """An upper bound of 0 or less is none."""
    lower, upper = extent.lowerBound, extent.upperBound
    if 0 < upper < lower:
        raise MLFormatError(f"{who}: expected a lower bound of at most the upper one, {upper}, got {lower}")
    _check_shape((lower,), who)
