"""Snapshots: what may be made, what may be read, what is kept, and files on disk."""

from __future__ import annotations

import copy
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor.persistence import (
    AppendRows,
    DeltaSnapshot,
    FullSnapshot,
    Limits,
    Metadata,
    RecordError,
    RecordVersionError,
    SetValue,
    parse_snapshot,
    read_snapshot,
    snapshot_bytes,
    snapshot_chunks,
    snapshot_hash,
    write_snapshot,
)

from .by_the_format import payload, sealed

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
BASE = "0123456789abcdef" * 4
ABOUT = Metadata(NOON, "m", "test")


def delta(**changes: Any) -> DeltaSnapshot:
    return DeltaSnapshot(ABOUT, BASE, changes)


def record(**changed: Any) -> dict[str, Any]:
    """A small valid delta as the plain map of FORMAT.md; a keyword replaces a field, ``...`` removes it."""
    whole: dict[str, Any] = {
        "base": BASE,
        "format": 1,
        "kind": "delta",
        "metadata": {"created_at": "2026-05-06T12:00:00.000000Z", "metrics": {}, "model": "m", "parameters": {}, "producer": "test"},
        "values": {"w": {"op": "set", "value": [1]}},
    }
    return {key: value for key, value in (whole | changed).items() if value is not ...}


def about(**changed: Any) -> dict[str, Any]:
    return record(metadata={key: value for key, value in (record()["metadata"] | changed).items() if value is not ...})


def change(**fields: Any) -> dict[str, Any]:
    return record(values={"w": fields})


def newer(**fields: Any) -> dict[str, Any]:
    return record(format=3, values={"w": fields})


def full(**changed: Any) -> dict[str, Any]:
    return record(**{"kind": "full", "base": ..., "values": ..., "whole": b"model"} | changed)


READ_REFUSED: dict[str, tuple[Any, str]] = {
    "not a map": ([], "the record: expected a map, got a list of 0"),
    "no format": (record(format=...), "format: expected an integer, got nothing: the key is missing"),
    "format as text": (record(format="1"), "format: expected an integer, got '1'"),
    "format as boolean": (record(format=True), "format: expected an integer, got True"),
    "no kind": (record(kind=...), "kind: expected a string, got nothing: the key is missing"),
    "unknown kind": (record(kind="half"), "kind: expected 'delta' or 'full', got 'half'"),
    "unknown key": (record(more=1), "more: expected no key of this name, got 1"),
    "delta with whole": (record(whole=b""), "whole: expected no key of this name, got 0 bytes"),
    "full with values": (full(values={}), "values: expected no key of this name, got a map of 0"),
    "full without whole": (full(whole=...), "whole: expected a value, got nothing: the key is missing"),
    "whole as text": (full(whole="model"), "whole: expected bytes, got 'model'"),
    "delta without base": (record(base=...), "base: expected a value, got nothing: the key is missing"),
    "base of a full": (full(base=7), "base: expected a string, got 7"),
    "short base": (record(base="ab"), "base: expected a SHA-256 of 64 lower-case hex digits, got 'ab'"),
    "upper-case base": (record(base="A" * 64), "base: expected a SHA-256 of 64 lower-case hex digits"),
    "base with a line end": (record(base="a" * 64 + "\n"), "base: expected a SHA-256"),
    "metadata as list": (record(metadata=[]), "metadata: expected a map, got a list of 0"),
    "no time": (about(created_at=...), "metadata.created_at: expected a string, got nothing"),
    "time as number": (about(created_at=0), "metadata.created_at: expected a string, got 0"),
    "time without fraction": (about(created_at="2026-05-06T12:00:00Z"), "metadata.created_at: expected a time as YYYY-"),
    "time in another zone": (about(created_at="2026-05-06T12:00:00.000000+01:00"), "metadata.created_at: expected a time as YYYY-"),
    "no such day": (about(created_at="2026-02-30T12:00:00.000000Z"), "metadata.created_at: expected a time as YYYY-"),
    "other digits": (about(created_at="٢٠٢٦-05-06T12:00:00.000000Z"), "metadata.created_at: expected a time as YYYY-"),
    "model as number": (about(model=1), "metadata.model: expected a string, got 1"),
    "no producer": (about(producer=...), "metadata.producer: expected a string, got nothing"),
    "metrics as list": (about(metrics=[]), "metadata.metrics: expected a map, got a list of 0"),
    "tensor in parameters": (about(parameters={"a b": [np.zeros(2)]}), "metadata.parameters['a b'][0]: expected None, bool, int, float,"),
    "bytes in an extra": (about(extra=b"x"), "metadata.extra.extra: expected None, bool, int, float, str, list or map, got 1 bytes"),
    "values as list": (record(values=[]), "values: expected a map, got a list of 0"),
    "nameless": (record(values={"": {"op": "set", "value": []}}), "values: expected names that are non-empty strings, got ''"),
    "change as list": (record(values={"a/b": []}), "values['a/b']: expected a map, got a list of 0"),
    "no op": (change(value=[]), "values.w.op: expected a string, got nothing: the key is missing"),
    "unknown op": (change(op="remove", value=[]), "values.w.op: expected 'set' or 'append', got 'remove'"),
    "no value": (change(op="set"), "values.w.value: expected a value, got nothing: the key is missing"),
    "set with count": (change(op="set", value=[], count=1), "values.w.count: expected no key of this name, got 1"),
    "odd key of a change": (change(op="set", value=[], **{"a b": 1}), "values.w['a b']: expected no key of this name, got 1"),
    "append without count": (change(op="append", value=[]), "values.w.count: expected a value, got nothing"),
    "negative count": (change(op="append", value=[], count=-1), "values.w.count: expected an integer from 0 to 2^63 - 1, got -1"),
    "count as float": (change(op="append", value=[], count=1.0), "values.w.count: expected an integer, got 1.0"),
    "count beyond": (change(op="append", value=[], count=2**63), "values.w.count: expected an integer from 0 to 2^63 - 1"),
    "append of rank 0": (change(op="append", value=np.ones(()), count=0), "values.w.value: expected a tensor of rank 1 at least"),
    "value as text": (change(op="set", value="a"), "values.w.value: expected a tensor or a list, got 'a'"),
    "mixed list": (change(op="set", value=[1, "a"]), "values.w.value: expected a list of strings or of integers only, got one with 'a'"),
    "booleans in a list": (
        change(op="set", value=[True]),
        "values.w.value: expected a list of strings or of integers only, got one with True",
    ),
    "floats in a list": (
        change(op="set", value=[1, 1.5]),
        "values.w.value: expected a list of strings or of integers only, got one with 1.5",
    ),
    "rows in format 1": (
        change(op="rows", value=[], count=1, removed=np.zeros(1, "u4")),
        "values.w.op: expected 'set' or 'append', got 'rows'",
    ),
    "as in format 1": (change(op="set", value=np.zeros(1, "f2"), **{"as": "f4"}), "values.w.as: expected no key of this name, got 'f4'"),
    "format 3 in vain": (record(format=3), "format: expected 1, which can hold all of this delta, got 3"),
    "a full of format 3": (full(format=3), "kind: expected 'delta', 'version'"),
    "rows without places": (newer(op="rows", value=[], count=1), "values.w.removed: expected a value, got nothing"),
    "places as list": (newer(op="rows", value=[], count=1, removed=[0]), "values.w.removed: expected a tensor, got a list of 1"),
    "places of 8 bytes": (
        newer(op="rows", value=[], count=1, removed=np.zeros(1, "i8")),
        "values.w.removed: expected a u4 tensor, got a int64",
    ),
    "no places": (newer(op="rows", value=[], count=1, removed=np.zeros(0, "u4")), "values.w.removed: expected the places of one row"),
    "places twice": (
        newer(op="rows", value=[], count=9, removed=np.ones(2, "u4")),
        "values.w.removed: expected ascending places from 0 to 8",
    ),
    "places beyond": (
        newer(op="rows", value=[], count=1, removed=np.ones(1, "u4")),
        "values.w.removed: expected ascending places from 0 to 0",
    ),
    "rows of rank 0": (
        newer(op="rows", value=np.ones(()), count=1, removed=np.zeros(1, "u4")),
        "values.w.value: expected a tensor of rank 1",
    ),
    "as another": (newer(op="set", value=np.zeros(1, "f2"), **{"as": "f8"}), "values.w.as: expected 'f4', or no such key, got 'f8'"),
    "as what it is": (newer(op="set", value=np.zeros(1, "f4"), **{"as": "f4"}), "values.w.value: expected an f2 tensor that stands for f4"),
    "as of a list": (
        newer(op="set", value=[1], **{"as": "f4"}),
        "values.w.value: expected an f2 tensor that stands for f4, got a list of 1",
    ),
    "wide integers": (change(op="set", value=[0, 2**63]), "values.w.value: expected integers from -2^63 to 2^63 - 1"),
}


@pytest.mark.parametrize("case", READ_REFUSED)
def test_a_record_that_breaks_the_format_is_refused_with_its_path(case: str) -> None:
    value, message = READ_REFUSED[case]
    with pytest.raises(RecordError) as caught:
        parse_snapshot(sealed(payload(value)))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("value", [record(), full(), full(base=BASE), change(op="append", value=[], count=0), about(model="", producer="")])
def test_the_records_that_those_were_made_from_are_read(value: dict[str, Any]) -> None:
    assert snapshot_bytes(parse_snapshot(sealed(payload(value)))) == sealed(payload(value))


@pytest.mark.parametrize("number", [0, 4, -1])
def test_another_format_is_refused_as_such(number: int) -> None:
    with pytest.raises(RecordVersionError, match=f"format: expected 1 to 3, got {number}, which this tailor does not know"):
        parse_snapshot(sealed(payload(record(format=number, more=1))))


def test_metadata_that_is_not_known_is_kept() -> None:
    data = sealed(payload(about(device="phone", **{"com.example.kiosk": {"row": [1, None, 2.5]}})))
    snapshot = parse_snapshot(data)
    assert snapshot.metadata.extra == {"device": "phone", "com.example.kiosk": {"row": [1, None, 2.5]}}
    assert snapshot_bytes(snapshot) == data


MADE_REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "naive time": (lambda: Metadata(datetime(2026, 1, 1)), "metadata.created_at: expected a datetime with a time zone"),
    "no time": (lambda: Metadata(0), "metadata.created_at: expected a datetime with a time zone, got 0"),  # type: ignore[arg-type]
    "before time": (
        lambda: Metadata(datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))),
        "metadata.created_at: expected a time that UTC",
    ),
    "producer": (lambda: Metadata(NOON, producer=1), "metadata.producer: expected a string, got 1"),  # type: ignore[arg-type]
    "NaN metric": (
        lambda: Metadata(NOON, metrics={"loss": [0.5, float("nan")]}),
        "metadata.metrics.loss[1]: expected a finite number, got nan",
    ),
    "NumPy NaN": (lambda: Metadata(NOON, metrics={"loss": np.float32("nan")}), "metadata.metrics.loss: expected a finite number"),  # type: ignore[dict-item]
    "key": (lambda: Metadata(NOON, parameters={1: 2}), "metadata.parameters: expected keys that are strings, got 1"),  # type: ignore[dict-item]
    "taken name": (lambda: Metadata(NOON, extra={"model": "m"}), "metadata.extra.model: expected a name that is not a field"),
    "nested": (lambda: Metadata(NOON, extra={"a": nested(70)}), "metadata.extra.a" + "[0]" * 62 + ": expected at most 64"),
    "values": (lambda: Metadata(NOON, metrics=[]), "metadata.metrics: expected a map, got a list of 0"),  # type: ignore[arg-type]
    "metadata": (lambda: FullSnapshot({}, b""), "metadata: expected Metadata, got a map of 0"),  # type: ignore[arg-type]
    "whole": (lambda: FullSnapshot(ABOUT, "m"), "whole: expected bytes, got 'm'"),  # type: ignore[arg-type]
    "base": (lambda: FullSnapshot(ABOUT, b"", "x"), "base: expected a SHA-256"),
    "change": (lambda: delta(w=[1]), "values.w: expected SetValue, AppendRows or EditRows, got a list of 1"),
    "name": (lambda: DeltaSnapshot(ABOUT, BASE, {1: SetValue([])}), "values: expected names that are non-empty strings, got 1"),  # type: ignore[dict-item]
    "strings": (lambda: SetValue(np.array(["a"])), "value: expected a tensor of dtype f2 f4"),
    "list": (lambda: SetValue([None]), "value: expected a list of strings or of integers only, got one with None"),  # type: ignore[arg-type]
    "count": (lambda: AppendRows([1], True), "count: expected an integer from 0 to 2^63 - 1, got True"),
    "surrogate": (lambda: snapshot_bytes(delta(**{"\udc80": SetValue([])})), "values['\\udc80']: expected a key without surrogates"),
    "limit": (lambda: snapshot_chunks(delta(w=SetValue([1])), Limits(total_bytes=10)), "the record: expected at most 10 bytes, got"),
}


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


@pytest.mark.parametrize("case", MADE_REFUSED)
def test_a_snapshot_that_no_record_holds_cannot_be_made(case: str) -> None:
    make, message = MADE_REFUSED[case]
    with pytest.raises(RecordError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_a_time_is_kept_in_utc() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert snapshot_hash(FullSnapshot(Metadata(there), b"")) == snapshot_hash(FullSnapshot(Metadata(NOON), b""))


def test_what_is_given_is_copied_but_for_tensors() -> None:
    numbers: dict[str, Any] = {"loss": np.float32(0.5), "sizes": (1, np.int64(2)), "ok": np.bool_(True)}
    tensor, changes = np.zeros(3), {"w": SetValue([1])}
    metadata, snapshot = Metadata(NOON, metrics=numbers), DeltaSnapshot(ABOUT, BASE, changes)
    numbers.clear()
    changes.clear()
    assert metadata.metrics == {"loss": 0.5, "sizes": [1, 2], "ok": True} and list(map(type, metadata.metrics.values())) == [
        float,
        list,
        bool,
    ]
    assert list(snapshot.values) == ["w"]
    assert SetValue(tensor).value is tensor
    assert SetValue([np.int64(1)]).value == (1,)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "snapshot", [delta(w=SetValue(np.zeros(10**6, "f4")), y=AppendRows(["a"] * 1000, 3)), FullSnapshot(ABOUT, bytes(10**6))]
)
def test_a_repr_tells_what_it_is_in_a_line(snapshot: DeltaSnapshot | FullSnapshot) -> None:
    assert repr(snapshot).startswith(type(snapshot).__name__) and len(repr(snapshot)) < 500


def test_files_are_written_and_read(tmp_path: Path) -> None:
    path, snapshot = tmp_path / "a.tailor", delta(w=SetValue(np.arange(10**6, dtype="f4")))
    write_snapshot(path, snapshot)
    got = read_snapshot(str(path))
    assert isinstance(got, DeltaSnapshot) and isinstance(got.values["w"].value, np.ndarray)
    assert got.values["w"].value.tobytes() == np.arange(10**6, dtype="f4").tobytes()
    assert snapshot_hash(got) == snapshot_hash(snapshot)
    assert os.listdir(tmp_path) == ["a.tailor"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits of this kind")
def test_a_new_snapshot_is_its_owners_only(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "a.tailor", delta())
    assert stat.S_IMODE((tmp_path / "a.tailor").stat().st_mode) == 0o600


@pytest.mark.parametrize("size", [0, 5, 30, 200])
def test_a_damaged_file_is_named_in_the_error(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tailor"
    path.write_bytes(snapshot_bytes(delta(w=SetValue([1])))[:size])
    with pytest.raises(RecordError, match=r"truncated|empty") as caught:
        read_snapshot(path)
    assert str(caught.value).startswith(f"{path}: ") and caught.value.source == str(path)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tailor"
    with path.open("wb") as file:
        file.write(snapshot_bytes(delta())[:12] + (2**40).to_bytes(8, "little"))
        file.truncate(2**40 + 52)  # a hole: it takes no room
    with pytest.raises(RecordError, match="size: expected at most 4294967296 bytes of payload, got 1099511627776"):
        read_snapshot(path)


def test_a_missing_file_or_a_folder_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_snapshot(tmp_path / "absent")
    with pytest.raises(OSError, match=tmp_path.name):
        read_snapshot(tmp_path)


def test_a_snapshot_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tailor"
    path.write_bytes(b"old")
    with pytest.raises(RecordError, match="the record: expected at most 10 bytes"):
        write_snapshot(path, delta(), Limits(total_bytes=10))
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.tailor"]


@pytest.mark.parametrize("error", [RecordError("a", "b", "c", "d"), RecordVersionError("a", "b", "c").within("x").of("y")])
def test_errors_travel_between_processes(error: RecordError) -> None:
    arrived = copy.copy(error)  # by the same protocol as between processes
    assert type(arrived) is type(error) and str(arrived) == str(error) and arrived.source == error.source
