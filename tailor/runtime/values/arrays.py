"""Multi-arrays: from whatever holds numbers to an array of the declared element type and an allowed shape."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import MLFeatureError
from .constraints import MLMultiArrayConstraint, Shape
from .types import MLMultiArrayDataType
from .wording import wording

_NOT_ARRAYS = (str, bytes, bytearray, bool, Mapping, Set, Image.Image, type(None))


def accept_array(constraint: MLMultiArrayConstraint, value: object, where: str, *, finite: bool = True) -> NDArray[Any]:
    """``value`` as an array of the declared element type and an allowed shape; not copied where it is one already.

    Takes what ``as_array`` takes and shapes that ``fit_shape`` takes; converts as ``cast`` does.
    Raises ``MLFeatureError``, which ``where`` begins.
    """
    array = as_array(value, where, constraint.phrase)
    shape = fit_shape(constraint, array.shape)
    if shape is None:
        raise MLFeatureError(f"{where}: expected {constraint.phrase}, got {wording(array)}")
    return cast(array, constraint.data_type, where, finite=finite).reshape(shape)


def as_array(value: object, where: str, expected: str) -> NDArray[Any]:
    """An array of numbers or booleans over (or from) ``value``, without importing whatever made it.

    Takes arrays, numbers, nested lists and tuples, and objects that offer ``__array__`` or ``__dlpack__`` (a tensor that
    tracks gradients is detached). Raises ``MLFeatureError`` for all else, text, complex numbers and objects included.
    """
    if isinstance(value, np.ndarray):
        array = value
    elif isinstance(value, _NOT_ARRAYS):
        raise MLFeatureError(f"{where}: expected {expected}, got {wording(value)}")
    else:
        try:
            array = _exported(value)
        except Exception as error:  # foreign arrays raise what they like
            raise MLFeatureError(f"{where}: expected {expected}, got {wording(value)}, which is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise MLFeatureError(f"{where}: expected {expected}, got {wording(value)} with elements of type {array.dtype}")
    return array


def fit_shape(constraint: MLMultiArrayConstraint, shape: Shape) -> Shape | None:
    """The allowed shape that an array of ``shape`` is read as, or ``None``.

    A shape that is allowed is taken as it is. Otherwise axes of size 1 at the front may be added or missing, so that an
    example may come with a batch axis of 1, and a number for ``[1]``. A vector ``[C]`` may also come as the
    ``[1, 1, C, 1, 1]`` that older networks make of it; to them (``constraint.sequences``) also with any two sizes in front.
    """
    if constraint.allows(shape):
        return shape
    ones = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    core = shape[ones:]
    for rank in constraint.ranks:
        candidate = (1,) * (rank - len(core)) + core
        if constraint.allows(candidate):
            return candidate
    if len(shape) == 5 and shape == (1, 1, shape[2], 1, 1) and constraint.allows(shape[2:3]):
        return shape[2:3]
    if constraint.sequences and len(shape) == 5:
        fits = constraint.allows(shape[2:]) or (shape[3:] == (1, 1) and constraint.allows(shape[2:3]))
        return shape if fits else None
    return None


def cast(array: NDArray[Any], data_type: MLMultiArrayDataType, where: str, *, finite: bool = True) -> NDArray[Any]:
    """``array`` with the elements of ``data_type``: floats are rounded to its precision, integers must be held exactly.

    Raises ``MLFeatureError`` that names the first index of a number that does not fit: NaN or infinity (unless
    ``finite`` is false and the type can hold them), too large, or not integral where integers are declared.
    """
    target = data_type.dtype
    if target.kind == "i":
        _check_integers(array, target, where)
        return array.astype(target, copy=False)
    with np.errstate(over="ignore"):
        answer = array.astype(target, copy=False)
    if finite and (array.dtype.kind == "f" or target == np.float16):
        good = np.isfinite(answer)
        if not good.all():
            _refuse(~good, array, f"finite numbers that fit {target}", where)
    return answer


def _exported(value: object) -> NDArray[Any]:
    detach = getattr(value, "detach", None)
    source: Any = detach() if callable(detach) else value
    if hasattr(source, "__dlpack__") and not hasattr(source, "__array__"):
        return np.from_dlpack(source)
    return np.asarray(source)


def _check_integers(array: NDArray[Any], target: np.dtype[Any], where: str) -> None:
    if np.can_cast(array.dtype, target, casting="safe"):
        return
    limits = np.iinfo(target)
    expected = f"integers in {limits.min}..{limits.max}"
    # float64 holds both limits of an int32 exactly; float32 would round the upper one up.
    numbers = array.astype(np.float64) if array.dtype.kind == "f" else array
    # NaN fails every comparison, so the bad ones are those that are not good.
    good = (numbers >= limits.min) & (numbers <= limits.max)
    if numbers.dtype.kind == "f":
        good &= numbers == np.rint(numbers)
    _refuse(~good, array, expected, where)


def _refuse(bad: NDArray[np.bool_], array: NDArray[Any], expected: str, where: str) -> None:
    if bad.any():
        index = tuple(int(axis) for axis in np.unravel_index(int(np.argmax(bad)), bad.shape))
        raise MLFeatureError(f"{where}: expected {expected}, got {array[index]} at index {list(index)}")
