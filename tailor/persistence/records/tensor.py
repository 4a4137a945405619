"""The one ext type: a tensor as dtype code, rank, shape and raw elements (``FORMAT.md`` section 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import RecordError, brief

Array: TypeAlias = NDArray[Any]

EXT_TENSOR = 1
HIGHEST_RANK = 32
LONGEST_HEAD = 2 + 4 * HIGHEST_RANK
WIDEST = 8  # bytes of an element
LENGTH_BOUND = 2**32  # of a MessagePack length, and of the product of a shape

DTYPES: dict[int, np.dtype[Any]] = {
    code: np.dtype(name)
    for code, name in enumerate(("<f2", "<f4", "<f8", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "?"), start=1)
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
NAMES = "f2 f4 f8 i1 u1 i2 u2 i4 u4 i8 u8 bool"


def stored_dtype(array: Array) -> np.dtype[Any] | None:
    """The little-endian dtype in which ``array`` is stored; ``None`` if a record cannot hold its dtype."""
    if array.dtype.kind not in "fiub" or isinstance(array, np.ma.MaskedArray):
        return None
    dtype = array.dtype.newbyteorder("<")
    return dtype if dtype in CODES else None


def stored(array: Array) -> Array:
    """``array`` little-endian in C order; a view of the same memory wherever that is what it is already."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def element_chunks(array: Array, most_bytes: int) -> Iterator[memoryview]:
    """The raw elements as they are stored, at most ``most_bytes`` at a time: read-only views of an array that is little-endian in C
    order; of any other, copies of so much at a time."""
    dtype = array.dtype.newbyteorder("<")
    if array.dtype == dtype and array.flags.c_contiguous:
        view = array.reshape(-1).view(np.uint8).data.toreadonly()
        for start in range(0, len(view), most_bytes):
            yield view[start : start + most_bytes]
        return
    size = most_bytes // dtype.itemsize
    rows = np.nditer(array, ["external_loop", "buffered", "zerosize_ok"], ["readonly"], dtype, "C", "equiv", buffersize=size)
    for row in rows:
        yield np.array(row, dtype).view(np.uint8).data.toreadonly()  # a copy: the iterator uses its memory again


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays have equal dtype, shape and bits (so a NaN equals itself, and -0.0 is not 0.0)."""
    if one.dtype.newbyteorder("<") != other.dtype.newbyteorder("<") or one.shape != other.shape:
        return False
    bits = f"u{one.dtype.itemsize}"
    return bool(np.array_equal(stored(one).view(bits), stored(other).view(bits)))


def tensor_head(array: Array, most_elements: int, where: str) -> bytes:
    """Dtype code, rank and shape. Raises ``RecordError`` where a record cannot hold the array."""
    dtype = stored_dtype(array)
    if dtype is None:
        kind = "a masked array" if isinstance(array, np.ma.MaskedArray) else brief(array)
        raise RecordError(where, f"a tensor of dtype {NAMES}", kind)
    if array.ndim > HIGHEST_RANK:
        raise RecordError(where, f"a tensor of rank {HIGHEST_RANK} at most", brief(array))
    _check_shape(array.shape, most_elements, where)
    head = struct.pack(f"<BB{array.ndim}I", CODES[dtype], array.ndim, *array.shape)
    if len(head) + array.nbytes >= LENGTH_BOUND:
        raise RecordError(where, f"a tensor of less than {LENGTH_BOUND} bytes", brief(array))
    return head


def read_tensor(data: memoryview, most_elements: int, where: str) -> Array:
    """The tensor in an ext payload: a read-only view of ``data``, perhaps unaligned. Raises ``RecordError``."""
    if len(data) < 2:
        raise RecordError(where, "a tensor's dtype code and rank", brief(data))
    code, rank = data[0], data[1]
    dtype = DTYPES.get(code)
    if dtype is None:
        raise RecordError(where, f"a dtype code from 1 to {len(DTYPES)}", str(code))
    if rank > HIGHEST_RANK:
        raise RecordError(where, f"a tensor of rank {HIGHEST_RANK} at most", f"rank {rank}")
    start = 2 + 4 * rank
    if len(data) < start:
        raise RecordError(where, f"a shape of {4 * rank} bytes", f"{len(data) - 2}")
    shape: tuple[int, ...] = struct.unpack_from(f"<{rank}I", data, 2)
    _check_shape(shape, most_elements, where)
    size = prod(shape) * dtype.itemsize
    if len(data) - start != size:
        raise RecordError(where, f"{size} bytes of elements ({dtype.name}, shape {shape})", f"{len(data) - start}")
    flat: Array = np.frombuffer(data, dtype=dtype, offset=start) if size else np.empty(0, dtype)
    if dtype.kind == "b" and size and int(flat.view(np.uint8).max()) > 1:
        raise RecordError(where, "booleans of 0 or 1", f"a byte of {int(flat.view(np.uint8).max())}")
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array


def _check_shape(shape: tuple[int, ...], most_elements: int, where: str) -> None:
    # An axis of 0 must not excuse the others: NumPy multiplies them, and overflows.
    reach = prod(axis for axis in shape if axis)
    if reach >= LENGTH_BOUND:
        raise RecordError(where, f"axes whose product, without zeros, is below {LENGTH_BOUND}", f"shape {shape}")
    if prod(shape) > most_elements:
        raise RecordError(where, f"a tensor of at most {most_elements} elements", f"{prod(shape)}, shape {shape}")
