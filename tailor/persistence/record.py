"""Records to and from the plain map that is their payload, one reader a format (``FORMAT.md`` sections 3 to 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

from .checkpoint import Checkpoint
from .decode import Value
from .errors import RecordError, RecordVersionError, brief, path_of
from .snapshot import AppendRows, Change, Content, DeltaSnapshot, FullSnapshot, Metadata, Plain, SetValue, Snapshot

Record: TypeAlias = Snapshot | Checkpoint

SNAPSHOT_FORMAT = 1
CHECKPOINT_FORMAT = 2
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
TYPES = {str: "a string", int: "an integer", dict: "a map", memoryview: "bytes"}


def to_value(record: Record) -> dict[str, object]:
    """The payload's map: what ``encode`` takes."""
    value: dict[str, object] = {"format": SNAPSHOT_FORMAT, "metadata": _metadata_map(record.metadata)}
    if record.base is not None:
        value["base"] = record.base
    match record:
        case FullSnapshot():
            value |= {"kind": "full", "whole": record.whole}
        case DeltaSnapshot():
            value |= {"kind": "delta", "values": {name: _change_map(change) for name, change in record.values.items()}}
        case Checkpoint():
            value |= {"format": CHECKPOINT_FORMAT, "kind": "checkpoint", "progress": record.progress, "values": record.values}
    return value


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
            _keys(value, {"base", "format", "kind", "metadata", "values"})
            changes = {name: _read_change(change, path_of(["values", name])) for name, change in _field(value, "values", dict).items()}
            return DeltaSnapshot(metadata, _field(value, "base", str), changes)
        case _:
            raise RecordError("kind", "'delta' or 'full'", brief(kind))


def _read_2(value: dict[str, Value]) -> Checkpoint:
    kind = _field(value, "kind", str)
    if kind != "checkpoint":
        raise RecordError("kind", "'checkpoint'", brief(kind))
    _keys(value, {"base", "format", "kind", "metadata", "progress", "values"})
    metadata = _read_metadata(_field(value, "metadata", dict))
    return Checkpoint(metadata, _field(value, "base", str), _field(value, "progress", dict), _field(value, "values", dict))


# Formats are only ever added here: every file that was written stays readable.
READERS: Mapping[int, Callable[[dict[str, Value]], Record]] = {1: _read_1, 2: _read_2}


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
    match change:
        case SetValue():
            return {"op": "set", "value": change.value}
        case AppendRows():
            return {"count": change.count, "op": "append", "value": change.value}


def _read_change(value: Value, where: str) -> Change:
    if not isinstance(value, dict):
        raise RecordError(where, "a map", brief(value))
    op = _field(value, "op", str, f"{where}.")
    try:
        match op:
            case "set":
                _keys(value, {"op", "value"})
                return SetValue(cast(Content, value["value"]))
            case "append":
                _keys(value, {"count", "op", "value"})
                return AppendRows(cast(Content, value["value"]), _field(value, "count", int))
            case _:
                raise RecordError("op", "'set' or 'append'", brief(op))
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
