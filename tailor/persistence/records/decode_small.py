"""Small values without tensors, of which a store reads thousands at a time: heads and versions."""

from __future__ import annotations

import math

import msgpack

from .decode import Value, decode
from .limits import LIMITS, Limits

SMALL_BYTES = 2**12


def decode_small(data: bytes | memoryview, limits: Limits = LIMITS) -> Value:
    """As ``decode``, several times faster where the value is small and plain. Raises as ``decode`` does.

    A general reader takes what ``FORMAT.md`` does not allow: so its value has to give the same bytes when it is written again, with
    keys in order and numbers that are finite. Where it does not, or anything else is odd, ``decode`` is asked, and says what.
    """
    if len(data) <= min(SMALL_BYTES, limits.string_bytes, limits.items, limits.total_bytes):
        try:
            value: Value = msgpack.unpackb(data)
            if _is_plain(value, limits.depth) and msgpack.packb(value) == data:
                return value
        except (ValueError, TypeError, msgpack.UnpackException):
            pass  # decode says what is wrong
    return decode(data, limits)


def _is_plain(value: object, depth: int) -> bool:
    if value is None or isinstance(value, str | int):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return depth > 0 and list(value) == sorted(value) and all(_is_plain(item, depth - 1) for item in value.values())
    return isinstance(value, list) and depth > 0 and all(_is_plain(item, depth - 1) for item in value)
