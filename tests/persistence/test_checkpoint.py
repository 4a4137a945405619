"""Checkpoints as records: the format's words, the golden file, and what is refused."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor.persistence import (
    Checkpoint,
    Metadata,
    RecordError,
    checkpoint_bytes,
    parse_checkpoint,
    parse_snapshot,
    read_checkpoint,
    write_checkpoint,
)

from .by_the_format import payload, read, sealed
from .test_golden import BASE, GOLDEN, METADATA, METADATA_MAP, TENSORS, assert_same, worked_example

PROGRESS: dict[str, Any] = {"epoch": 3, "loss_sum": 0.1, "done": None, "parameters": {"shuffle": True, "seeds": [1, -(2**63), 2**64 - 1]}}
VALUES: dict[str, Any] = {
    **{f"tensor/{name}": tensor for name, tensor in TENSORS.items()},
    "labels": ["a", "ü"],
    "numbers": [-1, 2**63 - 1],
}
VALUE: dict[str, Any] = {"base": BASE, "format": 2, "kind": "checkpoint", "metadata": METADATA_MAP, "progress": PROGRESS, "values": VALUES}
CHECKPOINT = Checkpoint(METADATA, BASE, PROGRESS, VALUES)
FILE = GOLDEN / "checkpoint-2.tailor"

SMALL = sealed(payload({**VALUE, "progress": {"at": 7}, "values": {"w": np.array([1.5], "f4"), "y": ["a"]}}))


def test_the_golden_file_holds_what_the_format_says() -> None:
    assert_same(read(FILE.read_bytes()), VALUE)


def test_the_golden_file_reads_as_the_checkpoint() -> None:
    found = read_checkpoint(FILE)
    assert (found.metadata, found.base, found.progress) == (METADATA, BASE, PROGRESS)
    assert found.values.keys() == VALUES.keys()
    for name, value in VALUES.items():
        assert_same(found.values[name], tuple(value) if isinstance(value, list) else value)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    golden = FILE.read_bytes()
    assert checkpoint_bytes(CHECKPOINT) == checkpoint_bytes(parse_checkpoint(golden)) == sealed(payload(VALUE)) == golden
    write_checkpoint(tmp_path / "c", CHECKPOINT)
    assert (tmp_path / "c").read_bytes() == golden
    assert (tmp_path / "c").stat().st_mode & 0o777 in (0o600, 0o666), "its owner's, where the system has such a thing"


def test_a_snapshot_is_no_checkpoint_and_a_checkpoint_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="kind: expected 'delta' or 'full', a snapshot, got 'checkpoint'"):
        parse_snapshot(FILE.read_bytes())
    with pytest.raises(RecordError, match="kind: expected 'checkpoint', got a snapshot"):
        parse_checkpoint(worked_example())
    (tmp_path / "c").write_bytes(worked_example())
    with pytest.raises(RecordError, match=r"c: kind: expected 'checkpoint', got a snapshot"):
        read_checkpoint(tmp_path / "c")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another kind": ({"kind": "delta"}, "kind: expected 'checkpoint', got 'delta'"),
    "of format 1": ({"format": 1}, "kind: expected 'delta' or 'full', got 'checkpoint'"),
    "of format 3": ({"format": 3}, "kind: expected 'delta', 'version', 'head' or 'replacement', got 'checkpoint'"),
    "of no format": ({"format": 4}, "format: expected 1 to 3, got 4, which this tailor does not know"),
    "a key too many": ({"state": {}}, "state: expected no key of this name, got a map of 0"),
    "no hash": ({"base": "0" * 63}, "base: expected a SHA-256 of 64 lower-case hex digits"),
    "a base of bytes": ({"base": b"0" * 64}, "base: expected a string, got 64 bytes"),
    "progress as a list": ({"progress": []}, "progress: expected a map, got a list of 0"),
    "a tensor in progress": ({"progress": {"a": np.zeros(1)}}, "progress.a: expected None, bool, int, float, str, list or map"),
    "bytes in progress": ({"progress": {"a": [b""]}}, "progress.a[0]: expected None, bool, int, float, str, list or map"),
    "values as a list": ({"values": []}, "values: expected a map, got a list of 0"),
    "a value without a name": ({"values": {"": [1]}}, "values: expected names that are non-empty strings, got ''"),
    "a number as value": ({"values": {"a": 1}}, "values.a: expected a tensor or a list, got 1"),
    "a map as value": ({"values": {"a": {}}}, "values.a: expected a tensor or a list, got a map of 0"),
    "a mixed list": ({"values": {"a": [1, "b"]}}, "values.a: expected a list of strings or of integers only, got one with 'b'"),
    "floats in a list": ({"values": {"a": [1.5]}}, "values.a: expected a list of strings or of integers only, got one with 1.5"),
    "no metadata": ({"metadata": None}, "metadata: expected a map, got None"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_record_that_breaks_the_format_is_refused_with_its_path(case: str) -> None:
    change, message = REFUSED[case]
    with pytest.raises(RecordError) as caught:
        parse_checkpoint(sealed(payload({**VALUE, **change})))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("key", VALUE)
def test_a_record_that_lacks_a_key_is_refused(key: str) -> None:
    with pytest.raises(RecordError, match=f"{key}: expected .*, got nothing: the key is missing"):
        parse_checkpoint(sealed(payload({name: value for name, value in VALUE.items() if name != key})))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metadata": None}, "metadata: expected Metadata, got None"),
        ({"base": None}, "base: expected a SHA-256"),
        ({"progress": {"a": float("nan")}}, "progress.a: expected a finite number, got nan"),
        ({"progress": [1]}, "progress: expected a map, got a list of 1"),
        ({"values": {"a": np.array(["text"])}}, "values.a: expected a tensor of dtype"),
    ],
)
def test_what_no_record_can_hold_is_refused_where_it_is_made(fields: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"metadata": Metadata(datetime(2026, 1, 2, tzinfo=UTC)), "base": BASE}
    with pytest.raises(RecordError) as caught:
        Checkpoint(**{**good, **fields})
    assert str(caught.value).startswith(message)


def test_truncated_or_with_a_bit_flipped_anywhere_it_is_refused() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(RecordError, match=r"truncated|empty"):
            parse_checkpoint(SMALL[:length])
    for at in range(len(SMALL)):
        damaged = bytearray(SMALL)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(RecordError) as caught:
            parse_checkpoint(damaged)
        assert caught.value.where in ("magic", "layout", "size", "SHA-256")


def test_a_forged_payload_is_refused_or_is_a_checkpoint_itself_in_bounded_memory() -> None:
    whole, accepted = SMALL[20:-32], 0
    tracemalloc.start()
    try:
        for at in range(len(whole)):
            for byte in (whole[at] ^ 1, whole[at] ^ 0x80, 0x80, 0xC9, 0xDD, 0xDF, 0xFF):
                forged = sealed(whole[:at] + bytes((byte,)) + whole[at + 1 :])
                try:
                    found = parse_checkpoint(forged)
                except RecordError:
                    continue
                assert checkpoint_bytes(found) == forged
                accepted += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert accepted > 0, "elements and names may be anything"
    assert peak < 1_000_000
