"""The short ways to read heads and versions say what the long way says, or nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from tailor.persistence import Limits, RecordError, decode, encode
from tailor.persistence.records import Head, Name, parse_record, plain_head, seal_record
from tailor.persistence.records.decode_small import decode_small

LIMITS = Limits(depth=4)
NUMBERS = some.integers(-(2**63), 2**64 - 1) | some.floats(allow_nan=False, allow_infinity=False)
VALUES = some.recursive(
    some.none() | some.booleans() | NUMBERS | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
# What no writer writes: float 32, NaN, a long integer, keys out of order and twice, ext types, nothing at all, two values, a key that
# is no string, bad UTF-8, too deep, a long header, a byte that means nothing, a value that is cut.
ODD = [
    "ca3f800000", "cb7ff8000000000000", "cd0001", "82a162c0a161c0", "82a161c0a161c0", "d40100", "d6ff00000000", "", "c0c0", "81c0c0",
    "a1ff", "9191919191c0", "d90141", "c1", "dc0001c0", "a3",
]  # fmt: skip


def said(read: Any, data: bytes) -> tuple[str, Any]:
    try:
        return "value", read(data, LIMITS)
    except RecordError as error:
        return "refused", str(error)


def test_what_is_odd_is_refused_in_the_same_words() -> None:
    for text in ODD:
        data = bytes.fromhex(text)
        assert said(decode, data)[0] == "refused"
        assert said(decode_small, data) == said(decode, data)


@settings(max_examples=150)
@given(VALUES, some.integers(0, 2**16), some.integers(0, 255))
def test_a_value_is_the_same_whichever_way_it_is_read(value: Any, place: int, byte: int) -> None:
    data = encode(value, Limits(depth=20))
    assert repr(said(decode_small, data)) == repr(said(decode, data))
    spoiled = bytearray(data)
    spoiled[place % len(data)] = byte
    one, other = said(decode_small, bytes(spoiled)), said(decode, bytes(spoiled))
    assert one[0] == other[0]
    assert one[0] == "value" or one == other


def test_a_head_that_is_changed_in_any_byte_is_looked_at_closer() -> None:
    for name in (Name("m", "ann"), Name("Drawing Ä", "", "x" * 60)):
        data = b"".join(seal_record(Head(name, "ab" * 32)).chunks())
        assert plain_head(name, data) == "ab" * 32 == parse_record(data)[0].version
        assert plain_head(Name("m", "bob"), data) is None
        for place in range(len(data)):
            assert plain_head(name, data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]) is None
            assert plain_head(name, data[:place]) is None
