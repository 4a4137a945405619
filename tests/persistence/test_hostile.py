"""What was made to hurt a reader: refused with what and where, within bounded memory."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from tailor.persistence import RecordError, RecordVersionError, Snapshot, decode, parse_snapshot, snapshot_bytes

from .by_the_format import MAGIC, sealed
from .test_golden import worked_example


def ext(body: bytes, kind: int = 1) -> bytes:
    return (
        b"\xc9" + struct.pack(">Ib", len(body), kind) + body if len(body) > 65535 else b"\xc7" + struct.pack(">Bb", len(body), kind) + body
    )


def tensor(code: int, shape: tuple[int, ...], raw: bytes = b"", rank: int | None = None) -> bytes:
    body = struct.pack(f"<BB{len(shape)}I", code, len(shape) if rank is None else rank, *shape) + raw
    fixed = {1: b"\xd4", 2: b"\xd5", 4: b"\xd6", 8: b"\xd7", 16: b"\xd8"}.get(len(body))
    return ext(body) if fixed is None else fixed + b"\x01" + body


HUGE = b"\xff\xff\xff\xff"

# Payload -> where it is refused, and what the error says. ``[..]`` around a value shows that the path is kept.
PAYLOADS: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "the record (byte 0)", "expected 1 bytes more, got 0: truncated"),
    "list of 2^32": (b"\xdd" + HUGE, "the record (byte 5)", "expected at most 1000000 items in all"),
    "map of 2^32": (b"\xdf" + HUGE, "the record (byte 5)", "expected at most 1000000 items in all"),
    "list longer than the data": (b"\xdc\xff\xff\xc0", "the record (byte 3)", "expected 65535 items, got 1 bytes more"),
    "map longer than the data": (b"\x83\xa1a\xc0\xc0\xc0", "the record (byte 1)", "expected 3 items, got 5 bytes more"),
    "many lists": (b"\xdd\x00\x0f\x42\x40" + b"\x91\xc0" * 1_000_000, "[0] (byte 6)", "expected at most 1000000 items in all, got 1000001"),
    "string of 2^32": (b"\x91\xdb" + HUGE, "[0] (byte 6)", "expected a string of at most 1048576 bytes, got 4294967295"),
    "string longer than the data": (b"\x91\xd9\x20a", "[0] (byte 3)", "expected 32 bytes more, got 1: truncated"),
    "bytes of 2^32": (b"\x91\xc6" + HUGE, "[0] (byte 6)", "expected 4294967295 bytes more, got 0: truncated"),
    "ext of 2^32": (b"\x91\xc9" + HUGE + b"\x01", "[0] (byte 7)", "expected 4294967295 bytes more, got 0: truncated"),
    "nested lists": (b"\x91" * 100_000, "[0]" * 16 + " (byte 17)", "expected at most 16 lists and maps inside each other"),
    "nested maps": (b"\x81\xa0" * 100_000, "['']" * 16 + " (byte 33)", "expected at most 16 lists and maps inside each other"),
    "duplicate key": (b"\x82\xa1a\x01\xa1a\x02", "a (byte 6)", "expected keys in ascending order behind 'a', got the same key again"),
    "unsorted keys": (b"\x82\xa1b\x01\xa1a\x02", "a (byte 6)", "expected keys in ascending order behind 'b', got 'a'"),
    "shorter key later": (b"\x82\xa2aa\x01\xa1a\x02", "a (byte 7)", "expected keys in ascending order behind 'aa'"),
    "integer as key": (b"\x81\x01\x02", "the record (byte 1)", "expected a key that is a string, got first byte 0x01"),
    "bytes as key": (b"\x81\xc4\x01a\x02", "the record (byte 1)", "expected a key that is a string, got first byte 0xC4"),
    "list as key": (b"\x81\x90\x02", "the record (byte 1)", "expected a key that is a string, got first byte 0x90"),
    "NaN": (b"\x81\xa1m\xcb\x7f\xf8\0\0\0\0\0\0", "m (byte 3)", "expected a finite number, got nan"),
    "infinity": (b"\xcb\xff\xf0\0\0\0\0\0\0", "the record (byte 0)", "expected a finite number, got -inf"),
    "float 32": (b"\xca\0\0\0\0", "the record (byte 0)", "got float 32, where floats are float 64"),
    "never used": (b"\xc1", "the record (byte 0)", "expected a value's first byte, got 0xC1"),
    "long integer": (b"\xcc\x7f", "the record (byte 0)", "expected the shortest form of an integer, got 127 in 1 bytes"),
    "long negative": (b"\xd1\xff\x80", "the record (byte 0)", "expected the shortest form of an integer, got -128 in 2 bytes"),
    "signed positive": (b"\xd0\x01", "the record (byte 0)", "expected the shortest form of an integer, got 1"),
    "long string header": (b"\xd9\x01a", "the record (byte 0)", "expected the shortest string header, got length 1"),
    "long bytes header": (b"\xc5\x00\x01a", "the record (byte 0)", "expected the shortest bytes header"),
    "long list header": (b"\xdc\x00\x00", "the record (byte 0)", "expected the shortest list header"),
    "long map header": (b"\xde\x00\x00", "the record (byte 0)", "expected the shortest map header"),
    "long ext header": (b"\xc7\x02\x01\x05\x00", "the record (byte 0)", "expected the shortest ext header"),
    "invalid UTF-8": (b"\xa1\xff", "the record (byte 1)", "expected valid UTF-8, got invalid start byte at byte 0"),
    "surrogate": (b"\xa3\xed\xa0\x80", "the record (byte 1)", "expected valid UTF-8"),
    "overlong UTF-8": (b"\xa2\xc0\x80", "the record (byte 1)", "expected valid UTF-8"),
    "trailing bytes": (b"\xc0\xc0", "the record", "expected an end at byte 1, got 1 bytes more"),
    "timestamp": (b"\xd6\xff\0\0\0\0", "the record (byte 1)", "expected ext type 1 (a tensor), got ext type -1"),
    "another ext": (b"\xd4\x02\0", "the record (byte 1)", "expected ext type 1 (a tensor), got ext type 2"),
    "empty ext": (ext(b""), "the record (byte 3)", "expected a tensor's dtype code and rank, got 0 bytes"),
    "dtype 0": (tensor(0, (1,), b"\0"), "the record (byte 3)", "expected a dtype code from 1 to 12, got 0"),
    "dtype 13": (tensor(13, (1,), b"\0"), "the record (byte 3)", "expected a dtype code from 1 to 12, got 13"),
    "rank 255": (tensor(5, (), b"", 255), "the record (byte 2)", "expected a tensor of rank 32 at most, got rank 255"),
    "shape cut off": (tensor(5, (1,), b"", 2), "the record (byte 3)", "expected a shape of 8 bytes, got 4"),
    "too few elements": (tensor(2, (2,), b"\0" * 7), "the record (byte 3)", "expected 8 bytes of elements (float32, shape (2,)), got 7"),
    "too many elements": (tensor(2, (1,), b"\0" * 5), "the record (byte 3)", "expected 4 bytes of elements (float32, shape (1,)), got 5"),
    "huge axis": (tensor(5, (2**32 - 1,)), "the record (byte 3)", "expected a tensor of at most 1073741824 elements, got 4294967295"),
    "huge shape": (tensor(5, (2**31, 2**31, 2**31)), "the record (byte 3)", "expected axes whose product, without zeros, is below"),
    "huge shape of nothing": (tensor(3, (0, 2**31, 2**31)), "the record (byte 3)", "expected axes whose product, without zeros, is below"),
    "shape that wraps to 0": (tensor(5, (2**16,) * 4), "the record (byte 3)", "expected axes whose product, without zeros, is below"),
    "boolean of 2": (tensor(12, (3,), b"\0\2\1"), "the record (byte 3)", "expected booleans of 0 or 1, got a byte of 2"),
}


@pytest.mark.parametrize("case", PAYLOADS)
def test_a_hostile_payload_is_refused_in_bounded_memory(case: str) -> None:
    data, where, message = PAYLOADS[case]
    tracemalloc.start()
    try:
        with pytest.raises(RecordError) as caught:
            decode(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.where == where
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500
    assert peak < 100_000


@pytest.mark.parametrize(
    ("data", "where", "message"),
    [
        (b"", "magic", "expected a tailor record, got an empty file"),
        (b"PK\x03\x04" + b"\0" * 100, "magic", "got 50 4b 03 04 00 00 00 00 ..."),
        (MAGIC.replace(b"\r\n", b"\n") + b"\0" * 100, "magic", "got the magic after a transfer in text mode"),
        (MAGIC[:5], "size", "expected at least 52 bytes, got 5: truncated"),
        (MAGIC + b"\x01" + HUGE * 2 + b"\0" * 100, "size", "got 120: truncated"),
        (sealed(b"\xc0") + b"\0", "size", "expected 53 bytes, as the header says, got 54: too long"),
        (sealed(b"\xc0")[:-1], "size", "expected 53 bytes, as the header says, got 52: truncated"),
        (sealed(b"\xc0").replace(b"\xc0", b"\xc2"), "SHA-256", ": damaged"),
        (sealed(b"\xc0"), "the record", "expected a map, got None"),
    ],
)
def test_a_file_that_is_not_a_whole_record_is_refused(data: bytes, where: str, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_snapshot(data)
    assert caught.value.where == where
    assert message in str(caught.value)


def test_a_later_layout_is_refused_as_such() -> None:
    with pytest.raises(RecordVersionError, match="layout: expected version 1 or 2, got version 3, which this tailor does not know"):
        parse_snapshot(MAGIC + b"\x03" + b"\0" * 100)


def test_a_file_truncated_anywhere_is_refused() -> None:
    whole = worked_example()
    for length in range(len(whole)):
        with pytest.raises(RecordError, match=r"truncated|empty"):
            parse_snapshot(whole[:length])


def test_a_bit_flipped_anywhere_is_refused() -> None:
    whole = worked_example()
    for at in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            with pytest.raises(RecordError) as caught:
                parse_snapshot(damaged)
            assert caught.value.where in ("magic", "layout", "size", "SHA-256")


def refused_or_canonical(payload: bytes) -> Snapshot | None:
    """A payload with a right SHA-256 is refused as a record is, or is what its snapshot is written as."""
    try:
        snapshot = parse_snapshot(sealed(payload))
    except RecordError:
        return None
    assert snapshot_bytes(snapshot) == sealed(payload)
    return snapshot


def test_a_forged_payload_is_refused_or_is_a_snapshot_itself() -> None:
    payload = worked_example()[20:-32]
    assert all(refused_or_canonical(payload[:length]) is None for length in range(len(payload)))
    accepted = 0
    for at in range(len(payload)):
        for byte in (*(payload[at] ^ 1 << bit for bit in range(8)), 0x00, 0x80, 0xC0, 0xC9, 0xDF, 0xFF):
            forged = refused_or_canonical(payload[:at] + bytes((byte,)) + payload[at + 1 :])
            accepted += forged is not None
    assert accepted > 0, "elements and names may be anything"
