"""Snapshots and checkpoints in files and byte strings."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from .atomic import write_atomically
from .checkpoint import Checkpoint
from .decode import decode
from .encode import Chunk, Encoding
from .envelope import HEAD_BYTES, check_head, record_hash, seal, unseal
from .errors import RecordError
from .limits import LIMITS, Limits
from .record import Record, from_value, to_value
from .snapshot import Snapshot

PRIVATE = 0o600  # a record says what its user did


def snapshot_chunks(snapshot: Snapshot, limits: Limits = LIMITS) -> Iterator[Chunk]:
    """The bytes of a snapshot's file, chunk by chunk, without a copy of its tensors.

    Raises ``RecordError`` at the call, before the first chunk, where a record cannot hold the snapshot.
    """
    return seal(Encoding(to_value(snapshot), limits))


def snapshot_bytes(snapshot: Snapshot, limits: Limits = LIMITS) -> bytes:
    """The bytes of a snapshot's file. Raises ``RecordError`` where a record cannot hold it."""
    return b"".join(snapshot_chunks(snapshot, limits))


def snapshot_hash(snapshot: Snapshot, limits: Limits = LIMITS) -> str:
    """The snapshot's hash, 64 lower-case hex digits: equal content, equal hash. Raises ``RecordError``."""
    return record_hash(Encoding(to_value(snapshot), limits))


def parse_snapshot(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> Snapshot:
    """The snapshot in the bytes of a file; its tensors and byte strings are read-only views of ``data``.

    Raises ``RecordError`` (where, expected, got), ``RecordVersionError`` for a version that is not known.
    """
    return _snapshot(_parse(data, limits))


def read_snapshot(path: str | os.PathLike[str], limits: Limits = LIMITS) -> Snapshot:
    """The snapshot in a file, which is read once and checked whole; tensors are read-only views of what was read.

    A file that is not a record is refused by its first bytes and size, before the rest is read.

    Raises ``RecordError`` naming the file and what is wrong in it, ``OSError`` where it cannot be read.
    """
    try:
        return _snapshot(_parse(_read(os.fspath(path), limits), limits))
    except RecordError as error:
        raise error.of(os.fspath(path)) from None


def write_snapshot(path: str | os.PathLike[str], snapshot: Snapshot, limits: Limits = LIMITS) -> None:
    """Writes a snapshot's file: whole or not at all, readable by its owner only unless it was there already.

    Raises ``RecordError`` where a record cannot hold the snapshot, ``OSError`` where the file cannot be written.
    """
    write_atomically(path, snapshot_chunks(snapshot, limits), mode=PRIVATE)


def checkpoint_bytes(checkpoint: Checkpoint, limits: Limits = LIMITS) -> bytes:
    """The bytes of a checkpoint's file. Raises ``RecordError`` where a record cannot hold it."""
    return b"".join(seal(Encoding(to_value(checkpoint), limits)))


def parse_checkpoint(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> Checkpoint:
    """The checkpoint in the bytes of a file, as ``parse_snapshot`` has it of a snapshot's."""
    return _checkpoint(_parse(data, limits))


def read_checkpoint(path: str | os.PathLike[str], limits: Limits = LIMITS) -> Checkpoint:
    """The checkpoint in a file, as ``read_snapshot`` has it of a snapshot's."""
    try:
        return _checkpoint(_parse(_read(os.fspath(path), limits), limits))
    except RecordError as error:
        raise error.of(os.fspath(path)) from None


def write_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint, limits: Limits = LIMITS) -> None:
    """Writes a checkpoint's file, as ``write_snapshot`` does a snapshot's."""
    write_atomically(path, seal(Encoding(to_value(checkpoint), limits)), mode=PRIVATE)


def _parse(data: bytes | bytearray | memoryview, limits: Limits) -> Record:
    return from_value(decode(unseal(data, limits), limits))


def _read(name: str, limits: Limits) -> memoryview:
    """All of a file that may be a record."""
    with open(name, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        check_head(file.read(min(size, HEAD_BYTES)), size, limits)
        file.seek(0)
        data = np.empty(size, np.uint8).data  # not a bytearray, which would fill it with zeros first
        left = data
        while left and (count := file.readinto(left)):
            left = left[count:]
        if left:
            raise RecordError("size", f"{size} bytes", f"{size - len(left)}: it became shorter while it was read")
    return data


def _snapshot(record: Record) -> Snapshot:
    if isinstance(record, Checkpoint):
        raise RecordError("kind", "'delta' or 'full', a snapshot", "'checkpoint'")
    return record


def _checkpoint(record: Record) -> Checkpoint:
    if not isinstance(record, Checkpoint):
        raise RecordError("kind", "'checkpoint'", "a snapshot")
    return record
