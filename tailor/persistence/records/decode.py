"""Canonical bytes to plain values. Everything is bounded before memory is reserved for it, and nothing is ever run."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from ..errors import RecordError, brief, path_of
from .file_bytes import PIECE_BYTES
from .limits import LIMITS, Limits
from .tensor import EXT_TENSOR, LONGEST_HEAD, WIDEST, Array, read_tensor

Value: TypeAlias = "bool | int | float | str | memoryview | Array | list[Value] | dict[str, Value] | None"

# First byte -> how the number behind it is packed, and the range in which no shorter form would do.
INTEGERS = {
    0xCC: (struct.Struct(">B"), 0x80, 2**8),
    0xCD: (struct.Struct(">H"), 2**8, 2**16),
    0xCE: (struct.Struct(">I"), 2**16, 2**32),
    0xCF: (struct.Struct(">Q"), 2**32, 2**64),
    0xD0: (struct.Struct(">b"), -(2**7), -32),
    0xD1: (struct.Struct(">h"), -(2**15), -(2**7)),
    0xD2: (struct.Struct(">i"), -(2**31), -(2**15)),
    0xD3: (struct.Struct(">q"), -(2**63), -(2**31)),
}
# First byte -> what it opens, how many bytes its length takes, and the smallest length that needs this form.
LENGTHS = {
    0xC4: ("bytes", 1, 0),
    0xC5: ("bytes", 2, 2**8),
    0xC6: ("bytes", 4, 2**16),
    0xC7: ("ext", 1, 0),
    0xC8: ("ext", 2, 2**8),
    0xC9: ("ext", 4, 2**16),
    0xD9: ("string", 1, 32),
    0xDA: ("string", 2, 2**8),
    0xDB: ("string", 4, 2**16),
    0xDC: ("list", 2, 16),
    0xDD: ("list", 4, 2**16),
    0xDE: ("map", 2, 16),
    0xDF: ("map", 4, 2**16),
}
FIXEXT_LENGTHS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
DOUBLE = struct.Struct(">d")
WINDOW_BYTES = 2**16  # what a reader of a file asks for at a time, but for what is larger in one piece


def decode(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> Value:
    """The value in canonical bytes. Lists come as ``list``, maps as ``dict`` in the order of their keys.

    Byte strings (as ``memoryview``) and tensors are read-only views of ``data``: nothing is copied, and ``data`` lives
    as long as they do. Tensors may be unaligned; ``numpy.array(tensor)`` makes one's own.

    Raises ``RecordError`` with the path and the offset of whatever ``FORMAT.md`` does not allow or ``limits`` exceeds.
    """
    view = memoryview(data).toreadonly()
    if view.nbytes > limits.total_bytes:
        raise RecordError("the record", f"at most {limits.total_bytes} bytes", str(view.nbytes))
    reader = Reader(view.nbytes, limits, view.cast("B"))
    value = reader.value(1)
    reader.end()
    return value


class Reader:
    """Walks ``size`` bytes once: those of ``window``, and behind it those that ``fill`` puts into the memory it is given, in order."""

    def __init__(self, size: int, limits: Limits, window: memoryview, fill: Callable[[memoryview], None] | None = None) -> None:
        self._data = window
        self._fill = fill
        self._limits = limits
        self._at = 0  # the next unread byte of the window
        self._left = size - len(window)  # bytes behind the window
        self._begin = 0  # where the window begins
        self._items = 0
        self._path: list[str | int] = []

    @property
    def left(self) -> int:
        """How many bytes there are still to read."""
        return self._left + len(self._data) - self._at

    def end(self) -> None:
        """Raises ``RecordError`` where there is more."""
        if self.left:
            raise RecordError("the record", f"an end at byte {self._begin + self._at}", f"{self.left} bytes more")

    def value(self, depth: int) -> Value:
        """The next value, which is ``depth`` lists and maps deep."""
        first = self._byte()
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first in INTEGERS:
            return self._integer(first)
        if first <= 0x8F:
            return self._map(first & 0x0F, depth)
        if first <= 0x9F:
            return self._list(first & 0x0F, depth)
        if first <= 0xBF:
            return self._string(first & 0x1F)
        if first in LENGTHS:
            return self._sized(first, depth)
        if first in FIXEXT_LENGTHS:
            return self._ext(FIXEXT_LENGTHS[first])
        if first == 0xCB:
            return self._float()
        if first in (0xC0, 0xC2, 0xC3):
            return None if first == 0xC0 else first == 0xC3
        raise self._error("a value's first byte", "float 32, where floats are float 64" if first == 0xCA else f"0x{first:02X}", back=1)

    def _byte(self) -> int:
        start = self._take(1)  # first, for it may change the window
        return self._data[start]

    def _take(self, count: int) -> int:
        """Moves past ``count`` bytes that must be there; returns where in the window they start."""
        start = self._at
        if count > len(self._data) - start:
            if count > self.left:
                raise self._error(f"{count} bytes more", f"{self.left}: truncated")
            start = self._refill(count)
        self._at = start + count
        return start

    def _refill(self, count: int) -> int:
        """Another window, that begins with the next byte and holds ``count`` at least; what was read of the old one lives on."""
        unread = self._data[self._at :]
        size = count if count >= WINDOW_BYTES else min(WINDOW_BYTES, self.left)
        window = np.empty(size, np.uint8).data  # not a bytearray, which would fill it with zeros first
        window[: len(unread)] = unread
        if self._fill is not None:
            self._fill(window[len(unread) :])
        self._begin += self._at
        self._left -= size - len(unread)
        self._data, self._at = window.toreadonly(), 0
        return 0

    def _integer(self, first: int) -> int:
        form, low, end = INTEGERS[first]
        start = self._take(form.size)
        value: int = form.unpack_from(self._data, start)[0]
        if not low <= value < end:
            raise self._error("the shortest form of an integer", f"{value} in {form.size} bytes", back=form.size + 1)
        return value

    def _float(self) -> float:
        start = self._take(8)
        value: float = DOUBLE.unpack_from(self._data, start)[0]
        if not math.isfinite(value):
            raise self._error("a finite number", repr(value), back=9)
        return value

    def _sized(self, first: int, depth: int) -> Value:
        count = self._length(first)
        match LENGTHS[first][0]:
            case "bytes":
                start = self._take(count)
                return self._data[start : start + count]
            case "ext":
                return self._ext(count)
            case "string":
                return self._string(count)
            case "list":
                return self._list(count, depth)
            case _:
                return self._map(count, depth)

    def _length(self, first: int) -> int:
        what, size, least = LENGTHS[first]
        start = self._take(size)
        count = int.from_bytes(self._data[start : start + size], "big")
        if count < least or (what == "ext" and count in FIXEXT_LENGTHS.values()):
            raise self._error(f"the shortest {what} header", f"length {count} in {size} bytes", back=size + 1)
        return count

    def _string(self, size: int) -> str:
        if size > self._limits.string_bytes:
            raise self._error(f"a string of at most {self._limits.string_bytes} bytes", str(size))
        start = self._take(size)
        try:
            return str(self._data[start : start + size], "utf-8")
        except UnicodeDecodeError as error:
            raise self._error("valid UTF-8", f"{error.reason} at byte {error.start} of the string", back=size) from None

    def _ext(self, size: int) -> Array:
        kind = self._byte()
        if kind != EXT_TENSOR:
            raise self._error(f"ext type {EXT_TENSOR} (a tensor)", f"ext type {kind if kind < 128 else kind - 256}", back=1)
        if size > LONGEST_HEAD + WIDEST * self._limits.elements:
            raise self._error(f"a tensor of at most {self._limits.elements} elements", f"one of {size} bytes")
        start = self._take(size)
        return read_tensor(self._data[start : start + size], self._limits.elements, self._where(start))

    def _list(self, count: int, depth: int) -> list[Value]:
        self._enter(count, 1, depth)
        values: list[Value] = []
        for index in range(count):
            self._path.append(index)
            values.append(self.value(depth + 1))
            self._path.pop()
        return values

    def _map(self, count: int, depth: int) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key in self._keys(count, depth):
            values[key] = self.value(depth + 1)
        return values

    def keys(self, depth: int) -> Iterator[str]:
        """The keys of a map that must come next; whoever asks for another one has read the value of the last."""
        first = self._byte()
        if 0x80 <= first <= 0x8F:
            return self._keys(first & 0x0F, depth)
        if first not in (0xDE, 0xDF):
            raise self._error("a map", f"first byte 0x{first:02X}", back=1)
        return self._keys(self._length(first), depth)

    def _keys(self, count: int, depth: int) -> Iterator[str]:
        self._enter(count, 2, depth)
        before: str | None = None
        for _ in range(count):
            key = self._key()
            self._path.append(key)
            # Code points sort as their UTF-8 bytes do.
            if before is not None and key <= before:
                raise self._error(f"keys in ascending order behind {brief(before)}", "the same key again" if key == before else brief(key))
            yield key
            self._path.pop()
            before = key

    def _key(self) -> str:
        first = self._byte()
        if 0xA0 <= first <= 0xBF:
            return self._string(first & 0x1F)
        if not 0xD9 <= first <= 0xDB:
            raise self._error("a key that is a string", f"first byte 0x{first:02X}", back=1)
        return self._string(self._length(first))

    def chunks(self) -> tuple[int, Iterator[memoryview]]:
        """A byte string that must come next: how long it is, and its bytes in pieces."""
        first = self._byte()
        if not 0xC4 <= first <= 0xC6:
            raise self._error("bytes", f"first byte 0x{first:02X}", back=1)
        count = self._length(first)
        if count > self.left:
            raise self._error(f"{count} bytes more", f"{self.left}: truncated")
        return count, self._pieces(count)

    def _pieces(self, count: int) -> Iterator[memoryview]:
        while count:
            size = min(count, len(self._data) - self._at or PIECE_BYTES)
            start = self._take(size)
            yield self._data[start : start + size]
            count -= size

    def _enter(self, count: int, least_bytes: int, depth: int) -> None:
        """Checks a list or map before anything is made for it: each of its items takes ``least_bytes`` at least."""
        if depth > self._limits.depth:
            raise self._error(f"at most {self._limits.depth} lists and maps inside each other", "more")
        if count > self._limits.items - self._items:
            raise self._error(f"at most {self._limits.items} items in all", f"{self._items + count} or more")
        if count * least_bytes > self.left:
            raise self._error(f"{count} items", f"{self.left} bytes more, too few to hold them")
        self._items += count

    def _where(self, at: int) -> str:
        return f"{path_of(self._path)} (byte {self._begin + at})"

    def _error(self, expected: str, got: str, back: int = 0) -> RecordError:
        return RecordError(self._where(self._at - back), expected, got)
