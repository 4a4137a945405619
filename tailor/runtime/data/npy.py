"""One array in NumPy's own format, whose header is not believed before it is compared with what is there."""

from __future__ import annotations

import math
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def read_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape of an array, whether it is in Fortran order, and its type; ``size``: the bytes of all of it, header and numbers.

    Raises ``ValueError`` for one of Python objects, and for one that would be larger than that.
    """
    major, _ = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    if (told := math.prod(shape) * dtype.itemsize) > size:
        raise ValueError(f"its header tells of {told} bytes, of which there are at most {size}")
    return shape, fortran, dtype


def read_array(stream: IO[bytes], size: int) -> NDArray[Any]:
    """The array; nothing is unpickled. Raises ``ValueError``, and ``EOFError`` where it is cut off."""
    read_header(stream, size)
    stream.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array
