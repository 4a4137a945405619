"""Objects that are there already and are to be referred to anew: written again, so that ``prune_store`` takes them for new."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from anyio.to_thread import run_sync

from ..backends import Backend, Body, Chunk
from ..errors import MissingError, RecordError, StoreError
from ..records import LIMITS, CheckedRecord, Limits, RecordCheck, Version
from .names import object_key
from .store import FRESH_SECONDS, Store

CLOCK = "clock"
"""Written to learn what time it is for a backend."""

MEMORY_BYTES = 2**23
"""Larger objects are copied by way of a temporary file."""

CHUNK_BYTES = 2**20


async def backend_time(backend: Backend) -> float:
    """What time it is for a backend, in seconds since 1970: that of a tiny entry, ``clock``, which is written."""
    await backend.write(CLOCK, Body.of(b""))
    entry = await backend.look(CLOCK)
    if entry is None:
        raise StoreError(f"{backend.name}: {CLOCK}: expected what was just written, got nothing")
    return entry.modified


async def refresh(store: Store, digest: str, version: Version) -> None:
    """Makes a version's snapshot and base as good as new, so that a tag or another version may refer to them.

    Raises ``MissingError`` where the snapshot was pruned.
    """
    now = await backend_time(store.backend)
    for needed in (version.snapshot, *([version.base] if version.base is not None else [])):
        entry = await store.backend.look(object_key(needed))
        try:
            if entry is None or now - entry.modified > FRESH_SECONDS:
                await copy_object(store.backend, store.backend, needed, store.limits)
        except MissingError as error:
            if not await store.was_pruned(digest):
                raise
            what = f"{store.backend.name}: version {digest}: expected one whose snapshot is kept, got one whose snapshot was pruned"
            raise MissingError(what) from error


async def copy_object(
    source: Backend,
    target: Backend,
    digest: str,
    limits: Limits = LIMITS,
    accept: Callable[[CheckedRecord, int], object] = lambda found, size: None,
) -> CheckedRecord:
    """Writes the object with this hash, read from ``source``, to ``target``: at most a few MiB are in memory, and every byte is checked
    before any is written. ``accept`` is told then what it is and how many bytes it has, and may raise.

    Raises ``MissingError``, ``RecordError`` naming the key where it is damaged or another.
    """
    key = object_key(digest)
    entry = await source.look(key)
    if entry is None:
        raise MissingError(f"{source.name}: expected {key}, got nothing of this name")
    check = RecordCheck(entry.size, limits)
    with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:

        def sink(chunk: Chunk) -> None:
            check.update(chunk)
            file.write(chunk)

        try:
            await source.read(key, sink, most=entry.size)
            found = await run_sync(check.finish)
            if found.hash != digest:
                raise RecordError("hash", digest, found.hash)
            accept(found, entry.size)
        except RecordError as error:
            raise error.of(f"{source.name}: {key}") from None
        await target.write(key, Body(entry.size, lambda: _chunks(file)))
        return found


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
