"""Files of every format version still read, and the same content still gives the same bytes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import persistence
from tailor.persistence import (
    AppendRows,
    Change,
    DeltaSnapshot,
    EditRows,
    FullSnapshot,
    Head,
    Metadata,
    Name,
    Record,
    SetValue,
    Snapshot,
    Version,
    apply_changes,
    changes_between,
    narrowed,
    open_snapshot,
    parse_snapshot,
    read_snapshot,
    snapshot_bytes,
    snapshot_hash,
    write_snapshot,
)
from tailor.persistence.records import Replacement, parse_record, seal_record

from . import by_the_format

GOLDEN = Path(__file__).parent / "golden"
FORMAT = Path(persistence.__file__).with_name("FORMAT.md")

# Elements are spelled out, so that the bytes do not hang on a random generator.
TENSORS: dict[str, Any] = {
    "f2": np.array([[1.0, -0.5], [65504.0, 2.0**-24]], "f2"),
    "f4": np.array([1.0, -2.5, np.inf, np.nan, -0.0], "f4"),
    "f8": np.array(0.1),
    "i1": np.array([-128, 127], "i1"),
    "u1": np.array([[[0, 255]]], "u1"),
    "i2": np.array([-32768, 32767], "i2"),
    "u2": np.array([65535], "u2"),
    "i4": np.array([-(2**31), 2**31 - 1], "i4"),
    "u4": np.array([2**32 - 1], "u4"),
    "i8": np.array([-(2**63), 2**63 - 1], "i8"),
    "u8": np.array([2**64 - 1], "u8"),
    "bool": np.array([[True, False, True]]),
    "nothing": np.zeros((0, 3), "f4"),
}
METADATA = Metadata(
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    model="drawings",
    producer="by hand",
    parameters={"epochs": 3, "learning_rate": 0.001, "shuffle": False, "seed": None, "sizes": [1, 128, -33, 65536, 2**40]},
    metrics={"accuracy": {"after": 1.0, "before": 0.5}},
    extra={"com.example.note": "größer ✓", "later": [[], {}]},
)
METADATA_MAP: dict[str, Any] = {
    "created_at": "2026-01-02T03:04:05.678901Z",
    "model": "drawings",
    "producer": "by hand",
    "parameters": {"epochs": 3, "learning_rate": 0.001, "shuffle": False, "seed": None, "sizes": [1, 128, -33, 65536, 2**40]},
    "metrics": {"accuracy": {"after": 1.0, "before": 0.5}},
    "com.example.note": "größer ✓",
    "later": [[], {}],
}
BASE = hashlib.sha256(b"base").hexdigest()
WHOLE = bytes(range(256)) * 3
HALF = np.array([[1.0, 65504.0], [-np.inf, 2.0**-24]], "f2")

# File name -> the snapshot in it, and the map that FORMAT.md says is its payload.
FILES: dict[str, tuple[Snapshot, dict[str, Any]]] = {
    "delta-1.tailor": (
        DeltaSnapshot(
            METADATA,
            BASE,
            {
                **{f"set/{name}": SetValue(tensor) for name, tensor in TENSORS.items()},
                "labels": SetValue(["a", "", "ü" * 20]),
                "rows": AppendRows(np.array([[1.5, 2.5]], "f4"), 70000),
                "names": AppendRows(["x"] * 17, 0),
                "numbers": AppendRows([-1, 2**63 - 1], 2),
            },
        ),
        {
            "base": BASE,
            "format": 1,
            "kind": "delta",
            "metadata": METADATA_MAP,
            "values": {
                **{f"set/{name}": {"op": "set", "value": tensor} for name, tensor in TENSORS.items()},
                "labels": {"op": "set", "value": ["a", "", "ü" * 20]},
                "rows": {"op": "append", "count": 70000, "value": np.array([[1.5, 2.5]], "f4")},
                "names": {"op": "append", "count": 0, "value": ["x"] * 17},
                "numbers": {"op": "append", "count": 2, "value": [-1, 2**63 - 1]},
            },
        },
    ),
    "delta-3.tailor": (
        DeltaSnapshot(
            METADATA,
            BASE,
            {
                "set": SetValue(HALF, "f4"),
                "append": AppendRows(HALF, 3, "f4"),
                "rows": EditRows(HALF, 70000, [0, 2, 69999], "f4"),
                "plain": EditRows(np.array([7, 8], "u1"), 3, [1]),
                "less": EditRows(np.zeros((0, 2), "f4"), 2, [0, 1]),
                "labels": EditRows(["x"], 4, [0, 3]),
                "kept": SetValue([1]),
            },
        ),
        {
            "base": BASE,
            "format": 3,
            "kind": "delta",
            "metadata": METADATA_MAP,
            "values": {
                "set": {"op": "set", "value": HALF, "as": "f4"},
                "append": {"op": "append", "count": 3, "value": HALF, "as": "f4"},
                "rows": {"op": "rows", "count": 70000, "removed": np.array([0, 2, 69999], "u4"), "value": HALF, "as": "f4"},
                "plain": {"op": "rows", "count": 3, "removed": np.array([1], "u4"), "value": np.array([7, 8], "u1")},
                "less": {"op": "rows", "count": 2, "removed": np.array([0, 1], "u4"), "value": np.zeros((0, 2), "f4")},
                "labels": {"op": "rows", "count": 4, "removed": np.array([0, 3], "u4"), "value": ["x"]},
                "kept": {"op": "set", "value": [1]},
            },
        },
    ),
    "full-1.tailor": (
        FullSnapshot(METADATA, WHOLE, BASE),
        {"base": BASE, "format": 1, "kind": "full", "metadata": METADATA_MAP, "whole": WHOLE},
    ),
}
EACH = pytest.mark.parametrize("name", FILES)

# The same content as a file of layout 1, cut by hand: within values and elements too, in every codec and width.
CUTS = [(0, 1, 100), (1, 1, 900), (1, 2, 4001), (1, 4, 9999), (1, 8, 5003), (1, 8, 7000)]
COMPRESSED = DeltaSnapshot(
    METADATA,
    BASE,
    {"w": SetValue(np.arange(5000, dtype="f4") / 8), "y": AppendRows(["label"] * 500, 2), "z": SetValue(np.zeros((2, 500)))},
)
COMPRESSED_MAP = {
    "base": BASE,
    "format": 1,
    "kind": "delta",
    "metadata": METADATA_MAP,
    "values": {
        "w": {"op": "set", "value": np.arange(5000, dtype="f4") / 8},
        "y": {"op": "append", "count": 2, "value": ["label"] * 500},
        "z": {"op": "set", "value": np.zeros((2, 500))},
    },
}

# What a store keeps besides snapshots.
KEPT: dict[str, tuple[Record, dict[str, Any]]] = {
    "version-3.tailor": (
        Version(METADATA, "1" * 64, ("2" * 64, "3" * 64), BASE),
        {"base": BASE, "format": 3, "kind": "version", "metadata": METADATA_MAP, "parents": ["2" * 64, "3" * 64], "snapshot": "1" * 64},
    ),
    "head-3.tailor": (
        Head(Name("drawings", "ü 1"), "4" * 64),
        {"branch": "main", "format": 3, "kind": "head", "model": "drawings", "user": "ü 1", "version": "4" * 64},
    ),
    "replacement-3.tailor": (Replacement("5" * 64), {"format": 3, "kind": "replacement", "snapshot": "5" * 64}),
}


def assert_same(got: object, expected: object) -> None:
    """Equal values of equal types, tensors to the bit."""
    if isinstance(expected, np.ndarray):
        assert isinstance(got, np.ndarray) and got.dtype == expected.dtype and got.shape == expected.shape
        assert got.tobytes() == expected.tobytes()
    elif isinstance(expected, dict):
        assert isinstance(got, dict) and got.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(got[key], value)
    else:
        assert type(got) is type(expected) and got == expected


@EACH
def test_a_golden_file_holds_what_the_format_says(name: str) -> None:
    assert_same(by_the_format.read((GOLDEN / name).read_bytes()), FILES[name][1])


@EACH
def test_a_golden_file_reads_as_the_snapshot(name: str) -> None:
    got, expected = read_snapshot(GOLDEN / name), FILES[name][0]
    assert type(got) is type(expected) and got.metadata == expected.metadata and got.base == expected.base
    match got, expected:
        case FullSnapshot(), FullSnapshot():
            assert got.whole == expected.whole
        case DeltaSnapshot(), DeltaSnapshot():
            assert got.values.keys() == expected.values.keys()
            for key, change in expected.values.items():
                assert type(got.values[key]) is type(change)
                assert_same(got.values[key].value, change.value)
                for field in ("count", "wide"):
                    assert getattr(got.values[key], field, None) == getattr(change, field, None)
                assert np.array_equal(getattr(got.values[key], "removed", 0), getattr(change, "removed", 0))


@EACH
def test_the_same_content_gives_the_same_bytes_and_hash(name: str, tmp_path: Path) -> None:
    golden, (snapshot, value) = (GOLDEN / name).read_bytes(), FILES[name]
    assert snapshot_bytes(snapshot) == golden
    assert snapshot_bytes(parse_snapshot(golden)) == golden
    assert by_the_format.sealed(by_the_format.payload(value)) == golden
    assert snapshot_hash(snapshot) == hashlib.sha256(golden[20:-32]).hexdigest() == golden[-32:].hex()
    write_snapshot(tmp_path / name, snapshot)
    assert (tmp_path / name).read_bytes() == golden


@pytest.mark.parametrize("name", KEPT)
def test_what_a_store_keeps_reads_and_is_written_as_the_format_says(name: str) -> None:
    golden, (record, value) = (GOLDEN / name).read_bytes(), KEPT[name]
    assert_same(by_the_format.read(golden), value)
    assert by_the_format.sealed(by_the_format.payload(value)) == golden
    found, digest = parse_record(golden)
    for same in (record, found):
        sealed = seal_record(same)
        assert b"".join(sealed.chunks()) == golden and sealed.hash == digest == golden[-32:].hex() and sealed.size == len(golden)
    assert type(found) is type(record)


def test_a_compressed_golden_file_holds_what_the_same_one_does_that_is_not() -> None:
    golden = (GOLDEN / "delta-1-layout-2.tailor").read_bytes()
    assert_same(by_the_format.read(golden), COMPRESSED_MAP)
    assert by_the_format.unsealed(golden) == by_the_format.payload(COMPRESSED_MAP)
    found, digest = parse_record(golden)
    assert digest == snapshot_hash(COMPRESSED) == golden[-64:-32].hex()
    assert snapshot_bytes(found) == snapshot_bytes(COMPRESSED)
    with open_snapshot(GOLDEN / "delta-1-layout-2.tailor") as reader:
        assert_same({name: change.value for name, change in reader.changes()}, {name: c.value for name, c in COMPRESSED.values.items()})
        assert reader.hash == digest


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_here_is_read_and_restored_by_the_page_alone(compress: bool, tmp_path: Path) -> None:
    w, y = np.arange(60000, dtype="f4").reshape(-1, 3), [f"label {place}" for place in range(99)]
    base: dict[str, Any] = {"w": w, "y": y, "z": np.zeros(9)}
    now = {"w": np.concatenate([np.delete(w, [5, 19999], 0), -w[:2]]), "y": [*y[:50], *y[51:], "new"], "z": np.arange(999) / 8}
    delta = DeltaSnapshot(METADATA, BASE, changes_between(base, now))
    write_snapshot(tmp_path / "a", delta, compress=compress)
    half, _ = narrowed(delta)
    write_snapshot(tmp_path / "h", half, compress=compress)
    assert (tmp_path / "a").read_bytes()[11] == 1 + compress and {type(c) for c in delta.values.values()} == {EditRows, SetValue}
    for name, exact in (("a", True), ("h", False)):
        values = by_the_format.read((tmp_path / name).read_bytes())["values"]
        by_page = {key: by_the_format.restored(base[key], change) for key, change in values.items()}
        by_us = apply_changes(parse_snapshot((tmp_path / name).read_bytes()), BASE, base)
        assert_same(by_page, {key: list(value) if isinstance(value, tuple) else value for key, value in by_us.items()})
        if exact:
            assert_same(by_page, now)


def worked_example() -> bytes:
    block = FORMAT.read_text("utf-8").split("```hex\n")[1].split("```")[0]
    return bytes.fromhex("".join(line.split("#")[0] for line in block.splitlines()))


def test_the_worked_example_of_the_format_is_what_it_says() -> None:
    metadata = Metadata(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "m", "hand")
    values: dict[str, Change] = {"w": SetValue(np.array([1.0, -2.0], "f4")), "y": AppendRows(["a"], 3)}
    assert snapshot_bytes(DeltaSnapshot(metadata, "0" * 64, values)) == worked_example()
    assert_same(by_the_format.read(worked_example())["values"]["w"]["value"], np.array([1.0, -2.0], "f4"))


def test_file_tells_a_record_by_the_rule_in_the_format(tmp_path: Path) -> None:
    program = shutil.which("file")
    if program is None:
        pytest.skip("needs the program file(1), which is not installed")
    rule = [line[4:] for line in FORMAT.read_text("utf-8").splitlines() if line.startswith(("    0   string", "    >11 byte"))]
    (tmp_path / "magic").write_text("\n".join(rule) + "\n")
    command = [program, "--brief", "--magic-file", str(tmp_path / "magic"), str(GOLDEN / "delta-1.tailor")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "tailor record, layout 1"
