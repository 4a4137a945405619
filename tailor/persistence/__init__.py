"""What stays: records of named tensors and what describes them, in files that are whole or absent. ``FORMAT.md`` is the format."""

from __future__ import annotations

from .atomic import Files, write_atomically
from .changes import apply_changes, changes_between
from .checkpoint import Checkpoint
from .decode import Value, decode
from .encode import Chunk, encode
from .errors import RecordError, RecordVersionError
from .files import (
    checkpoint_bytes,
    parse_checkpoint,
    parse_snapshot,
    read_checkpoint,
    read_snapshot,
    snapshot_bytes,
    snapshot_chunks,
    snapshot_hash,
    write_checkpoint,
    write_snapshot,
)
from .limits import LIMITS, Limits
from .snapshot import AppendRows, Change, Content, DeltaSnapshot, FullSnapshot, Metadata, Plain, SetValue, Snapshot

__all__ = [
    "LIMITS",
    "AppendRows",
    "Change",
    "Checkpoint",
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
    "checkpoint_bytes",
    "decode",
    "encode",
    "parse_checkpoint",
    "parse_snapshot",
    "read_checkpoint",
    "read_snapshot",
    "snapshot_bytes",
    "snapshot_chunks",
    "snapshot_hash",
    "write_atomically",
    "write_checkpoint",
    "write_snapshot",
]
