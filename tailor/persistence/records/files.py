"""Snapshots and checkpoints in files and byte strings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..atomic import SYSTEM, Files, write_atomically
from ..errors import RecordError
from .checkpoint import Checkpoint
from .decode_small import decode_small
from .encode import Chunk, Encoding
from .envelope import HEAD_BYTES, check_head, record_hash, seal, seal_compressed, sealed_size, unseal
from .limits import LIMITS, Limits
from .record import Record, from_value, kind_of, to_value
from .snapshot import DeltaSnapshot, FullSnapshot, Snapshot

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
    return record_hash(Encoding(to_value(snapshot), limits)).hex()


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


def write_snapshot(
    path: str | os.PathLike[str], snapshot: Snapshot, limits: Limits = LIMITS, *, compress: bool = False, files: Files = SYSTEM
) -> None:
    """Writes a snapshot's file: whole or not at all, readable by its owner only unless it was there already.

    ``compress``: what gets smaller by a sixteenth at least is kept so; the snapshot and its hash stay the same. Takes no more memory than
    the snapshot, whatever its size. Raises ``RecordError`` where a record cannot hold the snapshot, ``OSError`` where the file cannot be
    written.
    """
    chunks = seal_record(snapshot, limits, compress=True).chunks() if compress else snapshot_chunks(snapshot, limits)
    write_atomically(path, chunks, mode=PRIVATE, files=files)


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


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record as the bytes of a file: its hash, the file's size, and the file in chunks, from the beginning at each call."""

    hash: str
    size: int
    chunks: Callable[[], Iterator[Chunk]]


def seal_record(record: Record, limits: Limits = LIMITS, *, compress: bool = False) -> SealedRecord:
    """Any record, ready to be kept; tensors stay by reference. Reads all of it once, to hash it.

    ``compress``: as ``write_snapshot`` has it; takes the time of doing it twice, for its size must be known. Raises ``RecordError`` where
    a record cannot hold what it has.
    """
    payload = Encoding(to_value(record), limits)
    digest, size = record_hash(payload), sealed_size(payload)
    if compress:
        smaller = sum(len(chunk) for chunk in seal_compressed(payload, digest))
        if smaller < size:
            return SealedRecord(digest.hex(), smaller, lambda: seal_compressed(payload, digest))
    return SealedRecord(digest.hex(), size, lambda: seal(payload, digest))


def parse_record(data: bytes | bytearray | memoryview, limits: Limits = LIMITS) -> tuple[Record, str]:
    """The record in the bytes of a file, of whichever kind, and its hash. Raises as ``parse_snapshot`` does."""
    payload, digest = unseal(data, limits)
    return from_value(decode_small(payload, limits)), digest


def _parse(data: bytes | bytearray | memoryview, limits: Limits) -> Record:
    return parse_record(data, limits)[0]


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
    if not isinstance(record, FullSnapshot | DeltaSnapshot):
        raise RecordError("kind", "'delta' or 'full', a snapshot", repr(kind_of(record)))
    return record


def _checkpoint(record: Record) -> Checkpoint:
    if not isinstance(record, Checkpoint):
        got = "a snapshot" if isinstance(record, FullSnapshot | DeltaSnapshot) else repr(kind_of(record))
        raise RecordError("kind", "'checkpoint'", got)
    return record
