"""Reads protobuf's wire format one level deep: which fields a message's bytes hold, without a schema.

Needed for what the schema cannot tell: where a file breaks off, and fields that were written in another wire type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}


class BrokenOff(ValueError):
    """The bytes end inside a field; ``field`` is its number (0: inside a tag), ``missing`` how many bytes its length says are missing."""

    def __init__(self, field: int, missing: int) -> None:
        super().__init__(f"field {field} breaks off")
        self.field = field
        self.missing = missing


class NotWire(ValueError):
    """The bytes are not protobuf's wire format."""


@dataclass(frozen=True, slots=True)
class WireField:
    """One field: its number, its wire type, and where it lies (tag included)."""

    number: int
    wire_type: int
    start: int
    end: int


def wire_fields(data: bytes) -> Iterator[WireField]:
    """The fields of ``data`` in order; raises ``BrokenOff`` or ``NotWire`` at the first that cannot be read."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at, 0)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise NotWire(f"field number 0 at byte {start}")
        if wire_type == VARINT:
            _, at = _varint(data, at, number)
        elif wire_type == BYTES:
            length, at = _varint(data, at, number)
            at += length
        elif wire_type in _FIXED_SIZES:
            at += _FIXED_SIZES[wire_type]
        else:
            raise NotWire(f"wire type {wire_type} at byte {start}")
        if at > len(data):
            raise BrokenOff(number, at - len(data))
        yield WireField(number, wire_type, start, at)


def _varint(data: bytes, at: int, field: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise BrokenOff(field, 1)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotWire(f"a number of more than ten bytes before byte {at}")
