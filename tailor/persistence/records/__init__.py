"""What bytes stand for what: values, the envelope, snapshots and checkpoints (``FORMAT.md``)."""

from __future__ import annotations

from .change import AppendRows, Change, Content, EditRows, SetValue
from .changes import apply_changes, changes_between, narrowed
from .checking import VERSION_BYTES, CheckedRecord, RecordCheck, check_record
from .checkpoint import Checkpoint
from .decode import Value, decode
from .encode import Chunk, encode
from .file_bytes import FileBytes
from .files import (
    SealedRecord,
    checkpoint_bytes,
    parse_checkpoint,
    parse_record,
    parse_snapshot,
    read_checkpoint,
    read_snapshot,
    seal_record,
    snapshot_bytes,
    snapshot_chunks,
    snapshot_hash,
    write_checkpoint,
    write_snapshot,
)
from .limits import LIMITS, Limits
from .plain_head import plain_head
from .record import Record, kind_of
from .snapshot import DeltaSnapshot, FullSnapshot, Metadata, Plain, Snapshot
from .stream import SnapshotReader, open_snapshot
from .version import Head, Name, Replacement, Version, check_label

__all__ = [
    "LIMITS",
    "VERSION_BYTES",
    "AppendRows",
    "Change",
    "CheckedRecord",
    "Checkpoint",
    "Chunk",
    "Content",
    "DeltaSnapshot",
    "EditRows",
    "FileBytes",
    "FullSnapshot",
    "Head",
    "Limits",
    "Metadata",
    "Name",
    "Plain",
    "Record",
    "RecordCheck",
    "Replacement",
    "SealedRecord",
    "SetValue",
    "Snapshot",
    "SnapshotReader",
    "Value",
    "Version",
    "apply_changes",
    "changes_between",
    "check_label",
    "check_record",
    "checkpoint_bytes",
    "decode",
    "encode",
    "kind_of",
    "narrowed",
    "open_snapshot",
    "parse_checkpoint",
    "parse_record",
    "parse_snapshot",
    "plain_head",
    "read_checkpoint",
    "read_snapshot",
    "seal_record",
    "snapshot_bytes",
    "snapshot_chunks",
    "snapshot_hash",
    "write_checkpoint",
    "write_snapshot",
]
