"""Multi-arrays as they come over the wire: lists of numbers, or bytes with shape and dtype. Nothing is allocated on a stranger's word."""

from __future__ import annotations

import binascii
from array import array
from collections.abc import Callable
from itertools import chain
from math import inf, isfinite, prod
from struct import Struct, error
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailor import MLFeatureError, MLMultiArrayConstraint

DTYPES = {name: np.dtype(name).newbyteorder("<") for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
MOST_AXES = 16
_PACKED = {"shape", "dtype", "data"}


def packed(numbers: NDArray[Any]) -> dict[str, Any]:
    """An array as it is kept: ``{"shape", "dtype", "data"}``, its bytes in C order, little-endian."""
    little = numbers.dtype.newbyteorder("<")
    return {"shape": numbers.shape, "dtype": NAMES[little], "data": numbers.astype(little, copy=False).tobytes()}


def quick_vector(constraint: MLMultiArrayConstraint) -> Callable[[Any], dict[str, Any] | None] | None:
    """What makes of a list of finite numbers what ``packed`` makes of the vector, several times as fast, and ``None`` of all else.

    ``None`` where the constraint asks for something other than one vector of float32 or float64.
    """
    dtype = NAMES[constraint.data_type.dtype.newbyteorder("<")]
    if len(constraint.shape) != 1 or constraint.enumerated_shapes or constraint.size_ranges or dtype not in ("float32", "float64"):
        return None
    size, shape = constraint.shape[0], constraint.shape
    pack = Struct(f"<{size}{'f' if dtype == 'float32' else 'd'}").pack

    def quick(value: Any) -> dict[str, Any] | None:
        if type(value) is not list or len(value) != size:
            return None
        try:
            return {"shape": shape, "dtype": dtype, "data": pack(*value)} if isfinite(sum(value)) else None
        except (TypeError, OverflowError, error):  # who reads it slowly says what is wrong
            return None

    return quick


def unpacked(kept: dict[str, Any]) -> NDArray[Any]:
    """The array that ``packed`` made ``kept`` of; read-only."""
    numbers: NDArray[Any] = np.frombuffer(kept["data"], DTYPES[kept["dtype"]]).reshape(kept["shape"])
    return numbers


def read_array(value: Any, where: str, phrase: str, most: float = inf) -> Any:
    """A list (of lists) of at most so many numbers, or ``{"shape", "dtype", "data"}``, as an array; all else as it is, for others.

    Raises ``MLFeatureError``, which ``where`` begins, for lists that are no block of numbers, for bytes that do not fit their shape, and
    for more numbers, without a look at them.
    """
    if type(value) is list:
        return _listed(value, where, phrase, most)
    if isinstance(value, (str, bytes)) and len(value) > most:
        raise MLFeatureError(f"{where}: expected {phrase}, got {told(value)}")
    return _checked(value, where, phrase, most) if type(value) is dict else value


def read_bytes(value: Any, where: str, phrase: str) -> bytes:
    """Bytes as they are, and text for the base64 of some. Raises ``MLFeatureError``, which ``where`` begins, for anything else."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise MLFeatureError(f"{where}: expected {phrase} as bytes, or as base64 in JSON, got {told(value)}")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError as error:
        raise MLFeatureError(f"{where}: expected {phrase} as bytes, or as base64 in JSON, got text that is no base64: {error}") from None


def told(value: object) -> str:
    """How messages call a value that came: never its bulk."""
    if value is None:
        return "null"
    if isinstance(value, (bool, int, float, str)):
        whole = repr(value)
        return whole if len(whole) <= 60 else f"{whole[:40]}... ({len(whole)} characters)"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, (list, dict, bytes)) else type(value).__name__


def _listed(rows: list[Any], where: str, phrase: str, most: float) -> NDArray[Any]:
    shape, flat = [len(rows)], rows
    _bounded(len(rows), most, where, phrase)
    while flat and type(flat[0]) is list:
        size = len(flat[0])
        if len(shape) == MOST_AXES:
            raise MLFeatureError(f"{where}: expected {phrase}, got lists within more than {MOST_AXES} lists")
        if any(type(row) is not list or len(row) != size for row in flat):
            raise MLFeatureError(f"{where}: expected {phrase}, got lists of different lengths within lists of shape {shape}")
        _bounded(len(flat) * size, most, where, phrase)
        shape.append(size)
        flat = list(chain.from_iterable(flat))
    try:
        return np.frombuffer(array("d", flat), np.float64).reshape(shape)
    except (TypeError, OverflowError):
        bad = next(value for value in flat if not _is_number(value))
        raise MLFeatureError(f"{where}: expected {phrase}, got {told(bad)} among its numbers") from None


def _bounded(count: int, most: float, where: str, phrase: str) -> None:
    if count > most:
        raise MLFeatureError(f"{where}: expected {phrase}, got {count} values")


def _is_number(value: Any) -> bool:
    try:
        array("d", [value])
    except (TypeError, OverflowError):
        return False
    return True


def _checked(value: dict[str, Any], where: str, phrase: str, most: float) -> NDArray[Any]:
    expected = f'{where}: expected {phrase}, as a list or as {{"shape", "dtype", "data"}}'
    if value.keys() != _PACKED:
        raise MLFeatureError(f"{expected}, got an object with {', '.join(told(name) for name in list(value)[:5]) or 'nothing'}")
    shape, dtype = value["shape"], value["dtype"]
    if not isinstance(shape, (list, tuple)) or len(shape) > MOST_AXES or not all(type(size) is int and 0 <= size < 2**48 for size in shape):
        raise MLFeatureError(f"{expected}, got the shape {told(shape)}, which is no list of at most {MOST_AXES} sizes")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise MLFeatureError(f"{expected} with a dtype of {', '.join(DTYPES)}, got {told(dtype)}")
    size, text = prod(shape) * DTYPES[dtype].itemsize, value["data"]
    if isinstance(text, str) and len(text) > 4 * (min(size, most * 8) // 3 + 1):
        raise MLFeatureError(f"{expected} with {size} bytes for {dtype} {told(shape)}, got base64 of {len(text)} characters")
    data = read_bytes(text, where, "its data")
    if len(data) != size:
        raise MLFeatureError(f"{expected} with {size} bytes for {dtype} {list(shape)}, got {len(data)} bytes")
    try:
        numbers: NDArray[Any] = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    except ValueError as error:  # nothing along one axis, and too much along others
        raise MLFeatureError(f"{expected}, got the shape {told(shape)}: {error}") from None
    return numbers
