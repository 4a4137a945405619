"""Layout 2: the same record in fewer bytes, and what was made to hurt whoever expands it."""

from __future__ import annotations

import hashlib
import struct
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tailor.persistence import (
    DeltaSnapshot,
    FileBytes,
    FullSnapshot,
    Limits,
    Metadata,
    RecordError,
    SetValue,
    open_snapshot,
    parse_snapshot,
    read_snapshot,
    snapshot_bytes,
    write_snapshot,
)
from tailor.persistence.records import parse_record, seal_record

from . import by_the_format
from .by_the_format import MAGIC
from .test_golden import worked_example

ABOUT = Metadata(datetime(2026, 1, 1, tzinfo=UTC))
RANDOM = np.random.default_rng(7).bytes(300_000)

arrays = hnp.arrays(st.sampled_from(["f2", "f4", "f8", "u1"]), st.integers(0, 40))


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text("abc", min_size=1), st.tuples(arrays, st.sampled_from([1, 7, 3000])), max_size=3))
def test_compressed_or_not_a_record_has_the_same_content_and_hash(parts: dict[str, tuple[np.ndarray, int]]) -> None:  # type: ignore[type-arg]
    delta = DeltaSnapshot(ABOUT, "a" * 64, {name: SetValue(np.tile(array, times)) for name, (array, times) in parts.items()})
    plain, small = seal_record(delta), seal_record(delta, compress=True)
    data = b"".join(small.chunks())
    assert small.hash == plain.hash and len(data) == small.size <= plain.size
    assert by_the_format.unsealed(data) == snapshot_bytes(delta)[20:-32]
    found, digest = parse_record(data)
    assert digest == plain.hash and b"".join(seal_record(found).chunks()) == snapshot_bytes(delta)


def test_what_does_not_get_smaller_is_written_as_ever() -> None:
    full = FullSnapshot(ABOUT, RANDOM)
    assert b"".join(seal_record(full, compress=True).chunks()) == snapshot_bytes(full)


def test_only_what_gets_smaller_is_compressed(tmp_path: Path) -> None:
    delta = DeltaSnapshot(ABOUT, "a" * 64, {"a": SetValue(np.frombuffer(RANDOM, "u1")), "b": SetValue(np.zeros(10**6, "f4"))})
    write_snapshot(tmp_path / "a", delta, compress=True)
    data = (tmp_path / "a").read_bytes()
    assert len(RANDOM) < len(data) < len(RANDOM) + 2000 and RANDOM in data
    assert snapshot_bytes(read_snapshot(tmp_path / "a")) == snapshot_bytes(delta)


def frame(data: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


def segment(codec: int, width: int, length: int, kept: bytes, count: int | None = None) -> bytes:
    return struct.pack("<BBII", codec, width, length, len(kept) if count is None else count) + kept


def layout_2(*segments: bytes, length: int, digest: bytes | None = None) -> bytes:
    """A file whose last SHA-256 is right, whatever else is not."""
    made = MAGIC + b"\x02" + struct.pack("<Q", length) + b"".join(segments) + (digest or hashlib.sha256(GOOD).digest())
    return made + hashlib.sha256(made).digest()


GOOD = worked_example()[20:-32]
N = len(GOOD)
SMALL = frame(GOOD)
FEW = frame(bytes(99))
ZEROS = frame(bytes(2**20))
BOMB = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 2**31) + b"\x01\x00\x00"

# File -> where it is refused, and what the error says.
HOSTILE: dict[str, tuple[bytes, str, str]] = {
    "no segments": (layout_2(length=N), "segment (byte 20)", "expected 10 bytes of header, got 0: truncated"),
    "half a header": (layout_2(b"\0" * 9, length=N), "segment (byte 20)", "expected 10 bytes of header, got 9: truncated"),
    "codec 2": (layout_2(segment(2, 1, N, SMALL), length=N), "segment (byte 20)", f"codec 2, width 1, {N} bytes in"),
    "width 3": (layout_2(segment(1, 3, N, SMALL), length=N), "segment (byte 20)", "width 3"),
    "width of what is kept as it is": (layout_2(segment(0, 2, N, GOOD), length=N), "segment (byte 20)", "codec 0, width 2"),
    "length 0": (layout_2(segment(0, 1, 0, b""), segment(0, 1, N, GOOD), length=N), "segment (byte 20)", "0 bytes in 0"),
    "length beyond": (layout_2(segment(1, 1, 2**20 + 1, ZEROS), length=2**21), "segment (byte 20)", "a length from 1 to 1048576"),
    "longer than it was": (layout_2(segment(1, 1, 4, frame(b"abcd")), length=4), "segment (byte 20)", "4 bytes in"),
    "count of 2^32": (layout_2(segment(0, 1, N, GOOD, 2**32 - 1), length=N), "segment (byte 20)", f"{N} bytes in 4294967295"),
    "bytes that lack": (layout_2(segment(1, 1, N, SMALL, N - 1), length=N), "segment (byte 30)", f"expected {N - 1} bytes more, got"),
    "more than the payload": (layout_2(segment(0, 1, N, GOOD), length=N - 1), "segment (byte 20)", f"at most {N - 1} bytes more"),
    "less than the payload": (layout_2(segment(0, 1, N, GOOD), length=N + 1), f"segment (byte {30 + N})", "got 0: truncated"),
    "bytes behind": (layout_2(segment(0, 1, N, GOOD), b"x", length=N), "size", "bytes behind the last segment: too long"),
    "far too many": (layout_2(*[segment(1, 1, 99, FEW)] * 17, length=1683), "segments", "expected at most 16 for 1683 bytes, got more"),
    "too many bytes": (layout_2(b"x" * 500, length=1), "size", "too long"),
    "too few bytes": (MAGIC + b"\x02" + struct.pack("<Q", 9) + b"x" * 50, "size", "got 70: truncated"),
    "2^64 bytes": (layout_2(segment(0, 1, N, GOOD), length=2**64 - 1), "size", "expected at most 4294967296 bytes of payload"),
    "4 GiB claimed": (layout_2(segment(1, 1, 2**20, ZEROS), length=2**32), "segment (byte", "got 0: truncated"),
    "a frame of more": (layout_2(segment(1, 1, 99, frame(bytes(10**6))), length=99), "segment (byte 30)", "frame of 99 bytes, got 1000000"),
    "a frame of less": (layout_2(segment(1, 1, N, frame(GOOD[:-9])), length=N), "segment (byte 30)", f"frame of {N} bytes, got {N - 9}"),
    "a frame of 2 GiB": (layout_2(segment(1, 1, N, BOMB), length=N), "segment (byte 30)", f"frame of {N} bytes, got 2147483648"),
    "a frame that does not say": (
        layout_2(segment(1, 1, N, frame(GOOD, write_content_size=False)), length=N),
        "segment (byte 30)",
        "got one that does not say",
    ),
    "a frame that lies": (
        layout_2(segment(1, 1, 2**16, ZEROS.replace(struct.pack("<I", 2**20), struct.pack("<I", 2**16))), length=2**16),
        "segment (byte 30)",
        "expected one zstandard frame, got one that cannot be read",
    ),
    "two frames": (layout_2(segment(1, 1, 400, frame(bytes(400)) * 2), length=400), "segment (byte 30)", "one that cannot be read"),
    "half a frame": (layout_2(segment(1, 1, N, SMALL[:-5]), length=N), "segment (byte 30)", "one that cannot be read"),
    "no frame": (layout_2(segment(1, 1, N, b"no frame at all"), length=N), "segment (byte 30)", "one that cannot be read"),
    "another payload": (layout_2(segment(0, 1, N, GOOD[:-1] + b"b"), length=N), "SHA-256", ": damaged"),
}


def refused(read: Callable[[], object]) -> RecordError:
    tracemalloc.start()
    try:
        with pytest.raises(RecordError) as caught:
            read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20 and len(str(caught.value)) < 500
    return caught.value


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_in_bounded_memory(case: str, tmp_path: Path) -> None:
    data, where, message = HOSTILE[case]
    (tmp_path / "h").write_bytes(data)

    def stream() -> None:
        with open_snapshot(tmp_path / "h") as reader:
            reader.check()

    for error in (refused(lambda: parse_snapshot(data)), refused(stream)):
        assert error.where.startswith(where) and message in str(error)


def test_the_file_that_those_were_made_from_is_read() -> None:
    for codec, kept in ((0, GOOD), (1, SMALL)):
        assert snapshot_bytes(parse_snapshot(layout_2(segment(codec, 1, N, kept), length=N))) == worked_example()


def test_what_expands_beyond_the_limits_is_refused_before_it_does(tmp_path: Path) -> None:
    zeros = layout_2(*[segment(1, 1, 2**20, ZEROS)] * 512, length=2**29)
    (tmp_path / "h").write_bytes(zeros)
    few = Limits(total_bytes=2**29 - 1)
    for read in (lambda: parse_snapshot(zeros, few), lambda: open_snapshot(tmp_path / "h", few)):
        assert "bytes of payload, got 536870912" in str(refused(read))
    # Within the limits, piece by piece no more is in memory than one piece at a time.
    assert "the record (byte 0): expected a map" in str(refused(lambda: open_snapshot(tmp_path / "h")))


def test_truncated_or_with_a_bit_flipped_anywhere_it_is_refused(tmp_path: Path) -> None:
    whole = layout_2(segment(0, 1, 50, GOOD[:50]), segment(1, 1, N - 50, frame(GOOD[50:])), length=N)
    assert snapshot_bytes(parse_snapshot(whole)) == worked_example()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :] for at in range(len(whole))]
    for data in damaged:
        with pytest.raises(RecordError):
            parse_snapshot(data)
    for at, data in enumerate(damaged[::7]):
        (tmp_path / str(at)).write_bytes(data)
        with pytest.raises(RecordError, match=str(tmp_path)), open_snapshot(tmp_path / str(at)) as reader:
            list(reader.changes())


def test_a_file_that_changes_while_it_is_sealed_is_told(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(bytes(100_000))
    for compress in (False, True):
        sealed = seal_record(FullSnapshot(ABOUT, FileBytes(tmp_path / "m")), compress=compress)
        (tmp_path / "m").write_bytes(b"x" * 100_000)
        with pytest.raises(RecordError, match="a file changed in between"):
            list(sealed.chunks())
        (tmp_path / "m").write_bytes(bytes(99_999))
        with pytest.raises(RecordError, match=r"m: the file: expected 100000 bytes, as at first, got 99999"):
            list(sealed.chunks())
        (tmp_path / "m").write_bytes(bytes(100_000))
