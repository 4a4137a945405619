"""What stays: records of named tensors and what describes them, in files that are whole or absent. ``FORMAT.md`` is the format."""

from __future__ import annotations

from .atomic import Files, write_atomically
from .changes import apply_changes, changes_between
from .decode import Value, decode
from .encode import Chunk, encode
from .errors import RecordError, RecordVersionError
from .files import parse_snapshot, read_snapshot, snapshot_bytes, snapshot_chunks, snapshot_hash, write_snapshot
from .limits import LIMITS, Limits
from .snapshot import AppendRows, Change, Content, DeltaSnapshot, FullSnapshot, Metadata, Plain, SetValue, Snapshot

__all__ = [
    "LIMITS",
    "AppendRows",
    "Change",
    "Chunk",
    "Content",
    "DeltaSnapshot",
    "Files",
    "FullSnapshot",
    "Limits",
    "Metadata",
    "Plain",
    "RecordError",
    "RecordVersionError",
    "SetValue",
    "Snapshot",
    "Value",
    "apply_changes",
    "changes_between",
    "decode",
    "encode",
    "parse_snapshot",
    "read_snapshot",
    "snapshot_bytes",
    "snapshot_chunks",
    "snapshot_hash",
    "write_atomically",
    "write_snapshot",
]
