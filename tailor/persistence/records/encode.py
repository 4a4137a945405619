"""Plain values to canonical bytes: equal values give equal bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import TypeAlias

import msgpack
import numpy as np

from ..errors import RecordError, brief, path_of
from .file_bytes import FileBytes
from .limits import LIMITS, Limits
from .tensor import EXT_TENSOR, LENGTH_BOUND, Array, element_chunks, tensor_head

Chunk: TypeAlias = bytes | memoryview
Part: TypeAlias = Chunk | Array | FileBytes

CHUNK_BYTES = 2**20  # large enough for the disk, small enough to be hashed and written while it is in the cache
SMALL_BYTES = 2**16  # below this, joining pieces costs less than writing each
LIKELY_WIDTH = 4  # bytes of what weighs in a model file, and among small tensors
FIXEXT = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}


def encode(value: object, limits: Limits = LIMITS) -> bytes:
    """The canonical bytes of a value: ``None``, bool, int, float, str, bytes, list, tuple, map with string keys, NumPy
    array, and these nested. NumPy scalars count as the Python number they are; a tuple is a list.

    Raises ``RecordError`` with the path of what a record cannot hold: another type, NaN or an infinity outside a
    tensor, an integer outside 64 bits, a lone surrogate, a cycle (as too deep), and whatever is beyond ``limits``.
    """
    return b"".join(Encoding(value, limits))


class Encoding:
    """The same bytes chunk by chunk, their number known in advance. Iterable more than once.

    Arrays and byte strings are kept by reference and given out as views of at most 1 MiB, without a copy where they
    are little-endian in C order, those in files as they are read; they must not change in between.
    """

    def __init__(self, value: object, limits: Limits = LIMITS) -> None:
        self._parts = _Writer(limits).write(value)
        self.length = sum(part.nbytes if isinstance(part, np.ndarray) else len(part) for part in self._parts)
        self.reads_files = any(isinstance(part, FileBytes) for part in self._parts)
        if self.length > limits.total_bytes:
            raise RecordError("the record", f"at most {limits.total_bytes} bytes", str(self.length))

    def __iter__(self) -> Iterator[Chunk]:
        return (chunk for chunk, _ in self.pieces())

    def pieces(self) -> Iterator[tuple[Chunk, int]]:
        """The chunks, and how many bytes an element in each has, as far as one can tell."""
        small = bytearray()
        for part in self._parts:
            size = part.nbytes if isinstance(part, np.ndarray) else len(part)
            if size < SMALL_BYTES:
                for chunk in _chunks(part):
                    small += chunk
            if small and (size >= SMALL_BYTES or len(small) >= SMALL_BYTES):
                yield bytes(small), LIKELY_WIDTH
                small.clear()
            if size >= SMALL_BYTES:
                width = part.itemsize if isinstance(part, np.ndarray) else LIKELY_WIDTH
                for chunk in _chunks(part):
                    yield chunk, width
        if small:
            yield bytes(small), LIKELY_WIDTH

    def __repr__(self) -> str:
        return f"<Encoding: {self.length} bytes>"


class _Writer:
    """Walks one value; what is small goes to one buffer, what is large is kept by reference."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._items = 0
        self._path: list[str | int] = []
        self._pack = msgpack.Packer(autoreset=False)
        self._parts: list[Part] = []

    def write(self, value: object) -> list[Part]:
        self._value(value, 1)
        self._large(b"", None)
        return self._parts

    def _large(self, head: bytes, body: Part | None) -> None:
        """Closes the buffer of small values with ``head`` and puts ``body`` behind it."""
        self._parts.append(self._pack.bytes() + head)
        self._pack.reset()
        if body is not None:
            self._parts.append(body)

    def _value(self, value: object, depth: int) -> None:
        match value:
            case None | bool():
                self._pack.pack(value)
            case str():
                self._string(value, "a string")
            case int():
                self._integer(value)
            case float():
                self._float(value)
            case np.ndarray():
                self._tensor(value)
            case bytes() | bytearray() | memoryview() | FileBytes():
                self._binary(value)
            case list() | tuple():
                self._enter(len(value), depth)
                self._pack.pack_array_header(len(value))
                for index, item in enumerate(value):
                    self._path.append(index)
                    self._value(item, depth + 1)
                    self._path.pop()
            case Mapping():
                self._map(value, depth)
            case np.bool_() | np.integer():
                self._value(value.item(), depth)
            case np.floating() if value.itemsize < 8:
                self._float(float(value))
            case _:
                raise self._error("None, bool, int, float, str, bytes, list, map or NumPy array", brief(value))

    def _map(self, value: Mapping[object, object], depth: int) -> None:
        self._enter(len(value), depth)
        self._pack.pack_map_header(len(value))
        for key in value:
            if not isinstance(key, str):
                raise self._error("keys that are strings", f"a key of type {type(key).__name__}")
        # Code points sort as their UTF-8 bytes do. str.__str__: an Enum of strings would print its own name.
        pairs = [(str.__str__(key), item) for key, item in value.items() if isinstance(key, str)]
        before: str | None = None
        for key, item in sorted(pairs, key=itemgetter(0)):
            if key == before:
                raise self._error("keys that differ", f"{brief(key)} twice")
            before = key
            self._path.append(key)
            self._string(key, "a key")
            self._value(item, depth + 1)
            self._path.pop()

    def _enter(self, count: int, depth: int) -> None:
        self._items += count
        if depth > self._limits.depth:
            raise self._error(f"at most {self._limits.depth} lists and maps inside each other", "more")
        if self._items > self._limits.items:
            raise self._error(f"at most {self._limits.items} items in all", "more")

    def _string(self, value: str, what: str) -> None:
        try:
            size = len(value.encode("utf-8"))
        except UnicodeEncodeError:
            raise self._error(f"{what} without surrogates", brief(value)) from None
        if size > self._limits.string_bytes:
            raise self._error(f"{what} of at most {self._limits.string_bytes} bytes", str(size))
        self._pack.pack(str.__str__(value))

    def _integer(self, value: int) -> None:
        if not -(2**63) <= value < 2**64:
            raise self._error("an integer from -2^63 to 2^64 - 1", f"one {'below' if value < 0 else 'above'} that")
        self._pack.pack(int(value))

    def _float(self, value: float) -> None:
        if not math.isfinite(value):
            raise self._error("a finite number", brief(value))
        self._pack.pack(float(value))

    def _tensor(self, array: Array) -> None:
        head = tensor_head(array, self._limits.elements, path_of(self._path))
        self._large(_ext_head(len(head) + array.nbytes) + head, array)

    def _binary(self, value: bytes | bytearray | memoryview | FileBytes) -> None:
        if isinstance(value, FileBytes):
            self._large(self._binary_head(len(value)), value)
            return
        view = memoryview(value)
        if not view.c_contiguous:
            raise self._error("bytes in one piece", "a memoryview with gaps")
        self._large(self._binary_head(view.nbytes), view.cast("B").toreadonly() if view.nbytes else b"")

    def _binary_head(self, size: int) -> bytes:
        if size >= LENGTH_BOUND:
            raise self._error(f"less than {LENGTH_BOUND} bytes", str(size))
        return _sized(0xC4, size)

    def _error(self, expected: str, got: str) -> RecordError:
        return RecordError(path_of(self._path), expected, got)


def _chunks(part: Part) -> Iterator[Chunk]:
    """A part's bytes, in pieces of at most 1 MiB."""
    if isinstance(part, FileBytes):
        yield from part.chunks()
    elif isinstance(part, np.ndarray):
        yield from element_chunks(part, CHUNK_BYTES)
    else:
        view = memoryview(part)
        for start in range(0, len(view), CHUNK_BYTES):
            yield view[start : start + CHUNK_BYTES]


def _ext_head(length: int) -> bytes:
    if length in FIXEXT:
        return bytes((FIXEXT[length], EXT_TENSOR))
    return _sized(0xC7, length) + bytes((EXT_TENSOR,))


def _sized(first: int, length: int) -> bytes:
    """The 8, 16 or 32 bit form, whichever is the shortest: first byte ``first``, ``first + 1`` or ``first + 2``."""
    power = 0 if length < 2**8 else 1 if length < 2**16 else 2
    return bytes((first + power,)) + length.to_bytes(1 << power, "big")
