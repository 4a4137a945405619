"""Canonical bytes to plain values. Everything is bounded before memory is reserved for it, and nothing is ever run."""

from __future__ import annotations

import math
import struct
from typing import TypeAlias

from .errors import RecordError, brief, path_of
from .limits import LIMITS, Limits
from .tensor import EXT_TENSOR, Array, read_tensor

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


def decode(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> Value:
    """The value in canonical bytes. Lists come as ``list``, maps as ``dict`` in the order of their keys.

    Byte strings (as ``memoryview``) and tensors are read-only views of ``data``: nothing is copied, and ``data`` lives
    as long as they do. Tensors may be unaligned; ``numpy.array(tensor)`` makes one's own.

    Raises ``RecordError`` with the path and the offset of whatever ``FORMAT.md`` does not allow or ``limits`` exceeds.
    """
    view = memoryview(data).toreadonly()
    if view.nbytes > limits.total_bytes:
        raise RecordError("the record", f"at most {limits.total_bytes} bytes", str(view.nbytes))
    return _Reader(view.cast("B"), limits).record()


class _Reader:
    """Walks the bytes once; ``_at`` is the next unread one."""

    def __init__(self, data: memoryview, limits: Limits) -> None:
        self._data = data
        self._limits = limits
        self._at = 0
        self._items = 0
        self._path: list[str | int] = []

    def record(self) -> Value:
        value = self._value(1)
        if self._at != len(self._data):
            raise RecordError("the record", f"an end at byte {self._at}", f"{len(self._data) - self._at} bytes more")
        return value

    def _value(self, depth: int) -> Value:
        first = self._data[self._take(1)]
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

    def _take(self, count: int) -> int:
        """Moves past ``count`` bytes that must be there; returns where they start."""
        start = self._at
        if count > len(self._data) - start:
            raise self._error(f"{count} bytes more", f"{len(self._data) - start}: truncated")
        self._at = start + count
        return start

    def _integer(self, first: int) -> int:
        form, low, end = INTEGERS[first]
        value: int = form.unpack_from(self._data, self._take(form.size))[0]
        if not low <= value < end:
            raise self._error("the shortest form of an integer", f"{value} in {form.size} bytes", back=form.size + 1)
        return value

    def _float(self) -> float:
        value: float = DOUBLE.unpack_from(self._data, self._take(8))[0]
        if not math.isfinite(value):
            raise self._error("a finite number", repr(value), back=9)
        return value

    def _sized(self, first: int, depth: int) -> Value:
        what, size, least = LENGTHS[first]
        start = self._take(size)
        count = int.from_bytes(self._data[start : start + size], "big")
        if count < least or (what == "ext" and count in FIXEXT_LENGTHS.values()):
            raise self._error(f"the shortest {what} header", f"length {count} in {size} bytes", back=size + 1)
        match what:
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

    def _string(self, size: int) -> str:
        if size > self._limits.string_bytes:
            raise self._error(f"a string of at most {self._limits.string_bytes} bytes", str(size))
        start = self._take(size)
        try:
            return str(self._data[start : start + size], "utf-8")
        except UnicodeDecodeError as error:
            raise self._error("valid UTF-8", f"{error.reason} at byte {error.start} of the string", back=size) from None

    def _ext(self, size: int) -> Array:
        kind = self._data[self._take(1)]
        if kind != EXT_TENSOR:
            raise self._error(f"ext type {EXT_TENSOR} (a tensor)", f"ext type {kind if kind < 128 else kind - 256}", back=1)
        start = self._take(size)
        return read_tensor(self._data[start : start + size], self._limits.elements, self._where(start))

    def _list(self, count: int, depth: int) -> list[Value]:
        self._enter(count, 1, depth)
        values: list[Value] = []
        for index in range(count):
            self._path.append(index)
            values.append(self._value(depth + 1))
            self._path.pop()
        return values

    def _map(self, count: int, depth: int) -> dict[str, Value]:
        self._enter(count, 2, depth)
        values: dict[str, Value] = {}
        before: str | None = None
        for _ in range(count):
            key = self._key()
            self._path.append(key)
            # Code points sort as their UTF-8 bytes do.
            if before is not None and key <= before:
                raise self._error(f"keys in ascending order behind {brief(before)}", "the same key again" if key == before else brief(key))
            values[key] = self._value(depth + 1)
            self._path.pop()
            before = key
        return values

    def _key(self) -> str:
        at = self._at
        first = self._data[self._take(1)]
        if 0xA0 <= first <= 0xBF:
            return self._string(first & 0x1F)
        key = self._sized(first, 1) if 0xD9 <= first <= 0xDB else None
        if not isinstance(key, str):
            raise self._error("a key that is a string", f"first byte 0x{first:02X}", back=self._at - at)
        return key

    def _enter(self, count: int, least_bytes: int, depth: int) -> None:
        """Checks a list or map before anything is made for it: each of its items takes ``least_bytes`` at least."""
        left = len(self._data) - self._at
        if depth > self._limits.depth:
            raise self._error(f"at most {self._limits.depth} lists and maps inside each other", "more")
        if count > self._limits.items - self._items:
            raise self._error(f"at most {self._limits.items} items in all", f"{self._items + count} or more")
        if count * least_bytes > left:
            raise self._error(f"{count} items", f"{left} bytes more, too few to hold them")
        self._items += count

    def _where(self, at: int) -> str:
        return f"{path_of(self._path)} (byte {at})"

    def _error(self, expected: str, got: str, back: int = 0) -> RecordError:
        return RecordError(self._where(self._at - back), expected, got)
