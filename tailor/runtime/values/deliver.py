"""What goes back to callers: a canonical value of an output, in the type that the model declares for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import MLFormatError
from .constraints import MLDictionaryConstraint, MLFeatureDescription, MLImageConstraint, MLMultiArrayConstraint, MLSequenceConstraint
from .types import MLFeatureType
from .wording import wording


class _Misfit(Exception):
    """What the model computes is of another type than it declares."""


def deliver(description: MLFeatureDescription, value: Any) -> Any:
    """A canonical value of an output (or a plainer one, of another precision) as callers get it.

    Multi-arrays come as arrays of the declared element type (float16 as float32, towards zero where integers are
    declared), of shape ``(1,)`` where there is but one number without axes; doubles as ``float``; int64 as ``int``, towards
    zero; dictionaries with ``float`` values; images as Pillow images of mode RGBA, L, or F for ``GRAYSCALE_FLOAT16``.

    Raises ``MLFormatError`` where what the model computes is of another type than its description declares:
    ``output 'label': expected a string, as the model declares, got an int 3 from it``.
    """
    try:
        return _delivered(description, value)
    except _Misfit:
        told = f"expected {description.phrase}, as the model declares, got {wording(value)} from it"
        raise MLFormatError(f"output {description.name!r}: {told}") from None


def _delivered(description: MLFeatureDescription, value: Any) -> Any:
    match description.constraint:
        case MLImageConstraint() as constraint:
            return _picture(constraint, value)
        case MLMultiArrayConstraint() as constraint:
            return _array(constraint, value)
        case MLDictionaryConstraint() as constraint:
            if not isinstance(value, Mapping):
                raise _Misfit
            return {_element(constraint.key_type, key): _number(number) for key, number in value.items()}
        case MLSequenceConstraint() as constraint:
            if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)):
                raise _Misfit
            return [_element(constraint.value_type, item) for item in value]
    if description.type is MLFeatureType.DOUBLE:
        return _number(value)
    return _element(description.type, value)


def _element(kind: MLFeatureType, value: Any) -> int | str:
    """A string, or a whole number."""
    if kind is MLFeatureType.STRING and isinstance(value, str):
        return str(value)
    if kind is not MLFeatureType.INT64:
        raise _Misfit
    if type(value) is int:  # exact, where a float would round it
        return value
    number = _number(value)
    if not np.isfinite(number):
        raise _Misfit
    return int(np.asarray(value).item())


def _number(value: Any) -> float:
    """The one number that there is."""
    array = _numbers(value)
    if array.size != 1:
        raise _Misfit
    return float(array.item())


def _array(constraint: MLMultiArrayConstraint, value: Any) -> NDArray[Any]:
    target = constraint.data_type.dtype
    # Whatever a model answers is its answer: infinity and NaN included.
    with np.errstate(over="ignore", invalid="ignore"):
        answer: NDArray[Any] = np.atleast_1d(_numbers(value).astype(target))
    return answer.astype(np.float32) if target == np.float16 else answer


def _picture(constraint: MLImageConstraint, value: Any) -> Image.Image:
    pixels = _numbers(value)
    if pixels.ndim != (2 if constraint.color_space.is_gray else 3):
        raise _Misfit
    if pixels.dtype.kind == "f":
        return Image.fromarray(pixels.astype(np.float32))
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return picture.convert("RGBA") if pixels.ndim == 3 else picture


def _numbers(value: Any) -> NDArray[Any]:
    """An array over a number or an array of numbers; nothing else."""
    if not isinstance(value, (int, float, np.ndarray, np.generic)):
        raise _Misfit
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise _Misfit
    return array
