"""Records to and from the plain map that is their payload, one reader a format (``FORMAT.md`` sections 3 to 6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

import numpy as np

from ..errors import RecordError, RecordVersionError, brief, path_of
from .change import AppendRows, Change, Content, EditRows, SetValue
from .checkpoint import Checkpoint
from .decode import Value
from .snapshot import DeltaSnapshot, FullSnapshot, Metadata, Plain, Snapshot
from .version import Head, Name, Replacement, Version

Record: TypeAlias = Snapshot | Checkpoint | Version | Head | Replacement

SNAPSHOT_FORMAT = 1
CHECKPOINT_FORMAT = 2
NEWER_FORMAT = 3
OPS = {SetValue: "set", AppendRows: "append", EditRows: "rows"}
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
TYPES = {str: "a string", int: "an integer", dict: "a map", list: "a list", memoryview: "bytes", np.ndarray: "a tensor"}


def to_value(record: Record) -> dict[str, object]:
    """The payload's map: what ``encode`` takes."""
    if isinstance(record, Replacement):
        return {"format": NEWER_FORMAT, "kind": "replacement", "snapshot": record.snapshot}
    if isinstance(record, Head):
        name = record.name
        whose = {"branch": name.branch, "model": name.model, "user": name.user}
        return {"format": NEWER_FORMAT, "kind": "head", "version": record.version, **whose}
    value: dict[str, object] = {"format": SNAPSHOT_FORMAT, "metadata": _metadata_map(record.metadata)}
    if record.base is not None:
        value["base"] = record.base
    match record:
        case FullSnapshot():
            value |= {"kind": "full", "whole": record.whole}
        case DeltaSnapshot():
            value |= {"kind": "delta", "values": {name: _change_map(change) for name, change in record.values.items()}}
            if any(is_newer(change) for change in record.values.values()):
                value["format"] = NEWER_FORMAT
        case Checkpoint():
            value |= {"format": CHECKPOINT_FORMAT, "kind": "checkpoint", "progress": record.progress, "values": record.values}
        case Version():
            value |= {"format": NEWER_FORMAT, "kind": "version", "parents": record.parents, "snapshot": record.snapshot}
    return value


def kind_of(record: Record) -> str:
    """What the format calls a record of this kind."""
    return str(to_value(record)["kind"])


def from_value(value: Value) -> Record:
    """The record in a payload's map, as ``decode`` gives it. Raises ``RecordError`` with the field's path."""
    if not isinstance(value, dict):
        raise RecordError("the record", "a map", brief(value))
    number = _field(value, "format", int)
    reader = READERS.get(number)
    if reader is None:
        raise RecordVersionError("format", f"1 to {max(READERS)}", f"{number}, which this tailor does not know")
    return reader(value)


def _read_1(value: dict[str, Value]) -> Snapshot:
    kind = _field(value, "kind", str)
    metadata = _read_metadata(_field(value, "metadata", dict))
    match kind:
        case "full":
            _keys(value, {"format", "kind", "metadata", "whole"}, optional={"base"})
            base = _field(value, "base", str) if "base" in value else None
            return FullSnapshot(metadata, _field(value, "whole", memoryview), base)
        case "delta":
            return _read_delta(value, metadata)
        case _:
            raise RecordError("kind", "'delta' or 'full'", brief(kind))


def _read_delta(value: dict[str, Value], metadata: Metadata) -> DeltaSnapshot:
    _keys(value, {"base", "format", "kind", "metadata", "values"})
    number = _field(value, "format", int)
    changes = {name: read_change(name, change, number) for name, change in _field(value, "values", dict).items()}
    check_format(number, newer=any(map(is_newer, changes.values())))
    return DeltaSnapshot(metadata, _field(value, "base", str), changes)


def snapshot_head(value: dict[str, Value], large: str) -> tuple[int, Snapshot]:
    """The format, and the snapshot but for what is under its last key, ``large``: ``"values"``, ``"whole"`` or none.

    ``value`` has all the other keys. Raises ``RecordError`` as ``from_value`` does.
    """
    empties: dict[str, dict[str, Value]] = {"values": {"values": {}}, "whole": {"whole": memoryview(b"")}, "": {}}
    number, kind = _field(value, "format", int), _field(value, "kind", str)
    if number in READERS and kind not in ("delta", "full"):
        raise RecordError("kind", "'delta' or 'full', a snapshot", brief(kind))
    # What stands before the changes of a delta is the same in both formats that have deltas.
    first = SNAPSHOT_FORMAT if (number, kind) == (NEWER_FORMAT, "delta") else number
    return number, cast(Snapshot, from_value({**value, **empties[large], "format": first}))


def _read_2(value: dict[str, Value]) -> Checkpoint:
    kind = _field(value, "kind", str)
    if kind != "checkpoint":
        raise RecordError("kind", "'checkpoint'", brief(kind))
    _keys(value, {"base", "format", "kind", "metadata", "progress", "values"})
    metadata = _read_metadata(_field(value, "metadata", dict))
    return Checkpoint(metadata, _field(value, "base", str), _field(value, "progress", dict), _field(value, "values", dict))


def _read_3(value: dict[str, Value]) -> DeltaSnapshot | Version | Head | Replacement:
    kind = _field(value, "kind", str)
    match kind:
        case "version":
            _keys(value, {"format", "kind", "metadata", "parents", "snapshot"}, optional={"base"})
            metadata = _read_metadata(_field(value, "metadata", dict))
            base = _field(value, "base", str) if "base" in value else None
            return Version(metadata, _field(value, "snapshot", str), tuple(_field(value, "parents", list)), base)
        case "head":
            _keys(value, {"branch", "format", "kind", "model", "user", "version"})
            name = Name(*(_field(value, key, str) for key in ("model", "user", "branch")))
            return Head(name, _field(value, "version", str))
        case "replacement":
            _keys(value, {"format", "kind", "snapshot"})
            return Replacement(_field(value, "snapshot", str))
        case "delta":
            return _read_delta(value, _read_metadata(_field(value, "metadata", dict)))
        case _:
            raise RecordError("kind", "'delta', 'version', 'head' or 'replacement'", brief(kind))


# Formats are only ever added here: every file that was written stays readable.
READERS: Mapping[int, Callable[[dict[str, Value]], Record]] = {1: _read_1, 2: _read_2, 3: _read_3}


def _metadata_map(metadata: Metadata) -> dict[str, Plain]:
    return {
        **metadata.extra,
        "created_at": metadata.created_at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z",
        "metrics": metadata.metrics,
        "model": metadata.model,
        "parameters": metadata.parameters,
        "producer": metadata.producer,
    }


def _read_metadata(value: dict[str, Value]) -> Metadata:
    text = _field(value, "created_at", str, "metadata.")
    try:
        if not TIME.fullmatch(text):
            raise ValueError
        created_at = datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
    except ValueError:
        raise RecordError("metadata.created_at", "a time as YYYY-MM-DDTHH:MM:SS.ffffffZ", brief(text)) from None
    known = {"created_at", "metrics", "model", "parameters", "producer"}
    return Metadata(
        created_at=created_at,
        model=_field(value, "model", str, "metadata."),
        producer=_field(value, "producer", str, "metadata."),
        parameters=_field(value, "parameters", dict, "metadata."),
        metrics=_field(value, "metrics", dict, "metadata."),
        extra=cast("dict[str, Plain]", {name: item for name, item in value.items() if name not in known}),
    )


def _change_map(change: Change) -> dict[str, object]:
    value: dict[str, object] = {"op": OPS[type(change)], "value": change.value}
    if not isinstance(change, SetValue):
        value["count"] = change.count
    if isinstance(change, EditRows):
        value["removed"] = change.removed
    if change.wide is not None:
        value["as"] = change.wide
    return value


def is_newer(change: Change) -> bool:
    """Whether it takes format 3 to write this change."""
    return isinstance(change, EditRows) or change.wide is not None


def check_format(number: int, *, newer: bool) -> None:
    """Raises ``RecordError`` for a delta of format 3 where none of its changes is ``newer`` than format 1: equal content has one hash."""
    if number == NEWER_FORMAT and not newer:
        raise RecordError("format", f"{SNAPSHOT_FORMAT}, which can hold all of this delta", str(NEWER_FORMAT))


def read_change(name: str, value: Value, number: int) -> Change:
    """One change of a delta of format ``number``. Raises ``RecordError`` with its path."""
    where = path_of(["values", name])
    if not isinstance(value, dict):
        raise RecordError(where, "a map", brief(value))
    newer = number == NEWER_FORMAT
    op = _field(value, "op", str, f"{where}.")
    try:
        optional = {"as"} if newer else set()
        wide = _field(value, "as", str) if newer and "as" in value else None
        match op:
            case "set":
                _keys(value, {"op", "value"}, optional)
                return SetValue(cast(Content, value["value"]), wide)
            case "append":
                _keys(value, {"count", "op", "value"}, optional)
                return AppendRows(cast(Content, value["value"]), _field(value, "count", int), wide)
            case "rows" if newer:
                _keys(value, {"count", "op", "removed", "value"}, optional)
                removed = _field(value, "removed", np.ndarray)
                if removed.dtype != np.dtype("<u4"):
                    raise RecordError("removed", "a u4 tensor", brief(removed))
                return EditRows(cast(Content, value["value"]), _field(value, "count", int), removed, wide)
            case _:
                raise RecordError("op", "'set', 'append' or 'rows'" if newer else "'set' or 'append'", brief(op))
    except RecordError as error:
        raise error.within(where) from None


def _field(value: dict[str, Value], key: str, kind: type[Any], prefix: str = "") -> Any:
    """The value of a key that must be there and of its type; ``True`` is not an integer."""
    if key not in value:
        raise RecordError(f"{prefix}{key}", TYPES[kind], "nothing: the key is missing")
    found = value[key]
    if not isinstance(found, kind) or isinstance(found, bool):
        raise RecordError(f"{prefix}{key}", TYPES[kind], brief(found))
    return found


def _keys(value: dict[str, Value], needed: set[str], optional: frozenset[str] | set[str] = frozenset()) -> None:
    """Refuses keys that this format does not have: they could change what is restored."""
    for key in sorted(needed - value.keys()):
        raise RecordError(key, "a value", "nothing: the key is missing")
    for key in sorted(value.keys() - needed - optional):
        raise RecordError(path_of([key]), "no key of this name", brief(value[key]))
