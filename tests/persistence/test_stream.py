"""Snapshots that are written from files and read piece by piece: the same content, and never all of it in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor.persistence import (
    AppendRows,
    Checkpoint,
    DeltaSnapshot,
    EditRows,
    FileBytes,
    FullSnapshot,
    Metadata,
    RecordError,
    RecordVersionError,
    SetValue,
    Snapshot,
    open_snapshot,
    snapshot_bytes,
    snapshot_chunks,
    snapshot_hash,
    write_atomically,
    write_checkpoint,
    write_snapshot,
)
from tailor.persistence.records import check_record, seal_record

from .by_the_format import payload, sealed
from .test_golden import METADATA_MAP
from .test_snapshot import record

ABOUT = Metadata(datetime(2026, 1, 1, tzinfo=UTC), "m", "test", extra={"note": "n" * 70_000})
BASE = "a" * 64
MIB = 2**20

# Values of every size around those in which files are read: 64 KiB and 1 MiB.
SIZES = (0, 1, 2**16 - 40, 2**16, 2**16 + 1, MIB - 3, 3 * MIB + 1)
DELTA = DeltaSnapshot(
    ABOUT,
    BASE,
    {
        **{f"tensor {size}": SetValue((np.arange(size) % 251).astype("u1")) for size in SIZES},
        **{f"small {place}": AppendRows([f"row {place}"] * (place % 40), place) for place in range(400)},
        "numbers": SetValue(list(range(20_000))),
        "rows": EditRows(np.ones((3, 5), "f2"), 9, [1, 8], "f4"),
        "texts": SetValue(["ü" * 40_000, "x"] * 3),
    },
)
WHOLE = np.random.default_rng(1).bytes(2 * MIB) + bytes(MIB + 7)


@pytest.mark.parametrize("compress", [False, True])
def test_a_delta_comes_change_by_change_as_it_was_written(compress: bool, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "d", DELTA, compress=compress)
    with open_snapshot(tmp_path / "d") as reader:
        assert (reader.metadata, reader.base, reader.size) == (ABOUT, BASE, None)
        assert reader.hash == snapshot_hash(DELTA) and "delta of 'm'" in repr(reader)
        reader.check()
        again = dict(reader.changes())
    assert list(again) == sorted(DELTA.values)
    assert snapshot_bytes(DeltaSnapshot(ABOUT, BASE, again)) == snapshot_bytes(DELTA)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("whole", [b"", b"x", WHOLE])
def test_a_full_snapshot_goes_from_file_to_file(whole: bytes, compress: bool, tmp_path: Path) -> None:
    model, full, kept = tmp_path / "m", FullSnapshot(ABOUT, whole, BASE), tmp_path / "f"
    model.write_bytes(whole)
    from_file = FullSnapshot(ABOUT, FileBytes(model), BASE)
    write_snapshot(kept, from_file, compress=compress)
    assert kept.read_bytes() == b"".join(seal_record(full, compress=compress).chunks())
    assert snapshot_hash(from_file) == snapshot_hash(full) and b"".join(snapshot_chunks(from_file)) == snapshot_bytes(full)
    with open_snapshot(kept) as reader:
        assert (reader.metadata, reader.base, reader.size) == (ABOUT, BASE, len(whole))
        write_atomically(model, reader.chunks())
    assert model.read_bytes() == bytes(FileBytes(model)) == whole
    assert check_record(snapshot_bytes(FullSnapshot(ABOUT, whole))).kind == "full", "however much describes it"


@pytest.mark.parametrize("compress", [False, True])
def test_large_files_take_little_memory(compress: bool, tmp_path: Path) -> None:
    with (tmp_path / "m").open("wb") as file:
        file.truncate(64 * MIB)
    tracemalloc.start()
    try:
        write_snapshot(tmp_path / "f", FullSnapshot(ABOUT, FileBytes(tmp_path / "m")), compress=compress)
        with open_snapshot(tmp_path / "f") as reader:
            write_atomically(tmp_path / "again", reader.chunks())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "again").stat().st_size == 64 * MIB and peak < 16 * MIB


def test_tensors_of_any_layout_in_memory_are_written_without_a_copy_of_them() -> None:
    rows = np.arange(2**22, dtype="f4").reshape(2048, -1)
    for array in (rows, rows.T, rows.astype(">f4"), rows[:, ::2]):
        expected = np.ascontiguousarray(array).astype("<f4").tobytes()
        tracemalloc.start()
        chunks = snapshot_chunks(DeltaSnapshot(ABOUT, BASE, {"w": SetValue(array)}))
        size = sum(len(chunk) for chunk in chunks)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size > array.nbytes and peak < 12 * MIB < rows.nbytes
        assert expected in snapshot_bytes(DeltaSnapshot(ABOUT, BASE, {"w": SetValue(array)}))


def read_all(path: Path) -> Any:
    with open_snapshot(path) as reader:
        return list(reader.chunks() if reader.size is not None else reader.changes())


@pytest.mark.parametrize("snapshot", [DELTA, FullSnapshot(ABOUT, WHOLE)], ids=["delta", "full"])
@pytest.mark.parametrize("compress", [False, True])
def test_damage_anywhere_is_told_before_the_end_and_leaves_the_old_file(snapshot: Snapshot, compress: bool, tmp_path: Path) -> None:
    path, data = tmp_path / "s", b"".join(seal_record(snapshot, compress=compress).chunks())
    places = [0, 11, 15, 25, 300, len(data) // 2, len(data) - 65, len(data) - 33, len(data) - 1]
    spoilt = [data[:at] + bytes((data[at] ^ 4,)) + data[at + 1 :] for at in places] + [data[:at] for at in places] + [data + b"x"]
    (tmp_path / "old").write_bytes(b"old")
    for bad in spoilt:
        path.write_bytes(bad)
        with pytest.raises(RecordError) as caught:
            read_all(path)
        assert caught.value.source == str(path)
        if snapshot is not DELTA:
            with pytest.raises(RecordError), open_snapshot(path) as reader:
                write_atomically(tmp_path / "old", reader.chunks())
        with pytest.raises(RecordError), open_snapshot(path) as reader:
            reader.check()
    assert (tmp_path / "old").read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["old", "s"], "no temporary file is left"


REFUSED: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "a checkpoint": (
        lambda path: write_checkpoint(path, Checkpoint(ABOUT, BASE)),
        RecordError,
        "kind: expected 'delta' or 'full', a snapshot",
    ),
    "a head": (
        lambda path: path.write_bytes(
            sealed(payload({"format": 3, "kind": "head", "branch": "m", "model": "m", "user": "", "version": BASE}))
        ),
        RecordError,
        "kind: expected 'delta' or 'full', a snapshot, got 'head'",
    ),
    "no map": (lambda path: path.write_bytes(sealed(b"\x90")), RecordError, "the record (byte 0): expected a map, got first byte 0x90"),
    "no values": (lambda path: path.write_bytes(sealed(payload(record(values=...)))), RecordError, "values: expected a value, got nothing"),
    "a later format": (
        lambda path: path.write_bytes(sealed(payload(record(format=4)))),
        RecordVersionError,
        "format: expected 1 to 3, got 4",
    ),
    "format 3 in vain": (
        lambda path: path.write_bytes(sealed(payload(record(format=3)))),
        RecordError,
        "format: expected 1, which can hold",
    ),
    "one key more": (lambda path: path.write_bytes(sealed(payload(record(zone=1)))), RecordError, "zone: expected no key of this name"),
    "whole as text": (
        lambda path: path.write_bytes(sealed(payload({"format": 1, "kind": "full", "metadata": METADATA_MAP, "whole": "x"}))),
        RecordError,
        "whole (byte",
    ),
    "values as list": (lambda path: path.write_bytes(sealed(payload(record(values=[])))), RecordError, "values (byte"),
    "nameless": (lambda path: path.write_bytes(sealed(payload(record(values={"": {}})))), RecordError, "values: expected names that are"),
    "another op": (
        lambda path: path.write_bytes(sealed(payload(record(values={"w": {"op": "x"}})))),
        RecordError,
        "values.w.op: expected 'set' or 'append', got 'x'",
    ),
    "nothing there": (lambda path: None, FileNotFoundError, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_snapshot_is_refused_by_name(case: str, tmp_path: Path) -> None:
    make, kind, message = REFUSED[case]
    make(tmp_path / "s")
    with pytest.raises(kind) as caught:
        read_all(tmp_path / "s")
    if kind is not FileNotFoundError:
        assert str(caught.value).startswith(f"{tmp_path / 's'}: {message}")


def test_a_snapshot_is_read_as_what_it_is_and_once(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "s", FullSnapshot(ABOUT, b"model"))
    with open_snapshot(tmp_path / "s") as reader:
        with pytest.raises(RecordError, match="kind: expected 'delta', got 'full'"):
            reader.changes()
        assert b"".join(reader.chunks()) == b"model"
        with pytest.raises(RuntimeError, match="open it again"):
            reader.chunks()
