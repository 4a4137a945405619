"""A store, or some of its names, to one file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from anyio import CancelScope, create_task_group, sleep_forever
from anyio.from_thread import run
from anyio.from_thread import run_sync as run_in_loop
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.to_thread import run_sync

from ..atomic import write_atomically
from ..backends import Chunk
from ..errors import BackendError, MissingError, RecordError
from ..records import Head, Name, RecordCheck, Replacement, Version, check_record, seal_record
from .archive import CHUNK_BYTES, archive_chunks
from .history import Links, children_first, standing_in, walk
from .names import OBJECTS, head_key, object_key, pruned_key, replaced_key, tag_key
from .pointers import KeptHead
from .replacing import replacements
from .store import Store
from .tags import tags_of

T = TypeVar("T")

PRIVATE = 0o600
SMALL_BYTES = 2**16
BATCH = 128


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written: how many heads, tags and objects, and the ``bytes`` of the file."""

    heads: int
    tags: int
    objects: int
    bytes: int


async def export_archive(
    store: Store,
    path: str | os.PathLike[str],
    names: Iterable[Name] | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> ExportReport:
    """Writes the heads of ``names`` (or all), the tags of their models and users, and all of their past, to the file at ``path``.

    The file is written whole or not at all, and readable by its owner only. Equal content gives equal bytes. Every byte is checked on
    the way; no more than some MiB is in memory, what is larger goes by way of a temporary file in the same folder. ``progress`` is told
    how many versions are done, of how many. Raises ``MissingError`` for a name that has no head, ``RecordError`` for what is damaged,
    ``BackendError`` where the file cannot be written.
    """
    wanted = None if names is None else set(names)
    heads = await store.heads(wanted)
    for name in sorted((wanted or set()) - {head.name for head in heads}, key=str):
        raise MissingError(f"{store.backend.name}: expected the head of {name}, got nothing of this name")
    whose = {(head.name.model, head.name.user) for head in heads}
    tags = [tag for tag in await tags_of(store) if wanted is None or (tag.name.model, tag.name.user) in whose]
    links: dict[str, Links] = {}

    def visit(digest: str, version: Version, size: int) -> bool:
        links[digest] = Links.of(version)
        return True

    await walk(store, [pointer.version for pointer in (*heads, *tags)], visit)
    sizes = {entry.key.rpartition("/")[2]: entry.size for entry in await store.backend.list(OBJECTS)}
    replaced = await replacements(store)
    export = _Export(store, links, sizes, replaced, os.path.dirname(os.fspath(path)) or os.curdir, progress)
    await export.write(path, heads, tags)
    return ExportReport(len(heads), len(tags), len(export.written), export.bytes)


class _Stopped(Exception):
    """The export was cancelled."""


class _Export:
    """Runs in a worker thread; asks the backend by way of the event loop."""

    def __init__(
        self,
        store: Store,
        links: dict[str, Links],
        sizes: dict[str, int],
        replaced: dict[str, str],
        folder: str,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self._store = store
        self._links = links
        self._sizes = sizes
        self._replaced = replaced
        self._folder = folder
        self._progress = progress
        self._marked: set[str] = set()
        self._stopped = False
        self.written: set[str] = set()
        self.bytes = 0

    async def write(self, path: str | os.PathLike[str], heads: Sequence[KeptHead], tags: Sequence[KeptHead]) -> None:
        """Writes the file. Cancelled, it stops where it next asks the backend, and leaves nothing."""
        failure: Exception | None = None
        async with create_task_group() as group:
            group.start_soon(self._watch)
            # What a thread asks of an event loop under a scope that was cancelled may never be answered: so the thread is told, and stops.
            with CancelScope(shield=True):
                try:
                    await run_sync(partial(write_atomically, path, self.chunks(heads, tags), mode=PRIVATE))
                except Exception as error:  # of whatever kind: raised below as it is, not in a group
                    failure = error
            group.cancel_scope.cancel()
        await checkpoint_if_cancelled()
        if isinstance(failure, OSError):
            raise BackendError(f"{os.fspath(path)}: expected a file that can be written: {failure.strerror}") from failure
        if failure is not None:
            raise failure

    async def _watch(self) -> None:
        try:
            await sleep_forever()
        finally:
            self._stopped = True

    def _ask(self, asked: Callable[..., Coroutine[Any, Any, T]], *arguments: object) -> T:
        if self._stopped:
            raise _Stopped
        return run(asked, *arguments)

    def chunks(self, heads: Sequence[KeptHead], tags: Sequence[KeptHead]) -> Iterator[Chunk]:
        """The archive's bytes."""
        for chunk in archive_chunks(self._entries(heads, tags)):
            self.bytes += len(chunk)
            yield chunk

    def _entries(self, heads: Sequence[KeptHead], tags: Sequence[KeptHead]) -> Iterator[tuple[str, int, Iterable[Chunk]]]:
        order = children_first(self._links)[::-1]
        for begin in range(0, len(order), BATCH):
            batch = order[begin : begin + BATCH]
            read = self._read([digest for version in batch for digest in self._of(version)])
            for version in batch:
                yield from self._past(version, read)
            for version in batch:
                yield from self._object(version, read)
            if self._progress is not None:
                run_in_loop(self._progress, begin + len(batch), len(order))
        for key, pointer in [(head_key(head.name), head) for head in heads] + [(tag_key(tag.name, tag.name.branch), tag) for tag in tags]:
            data = b"".join(seal_record(Head(pointer.name, pointer.version)).chunks())
            yield key, len(data), (data,)

    def _of(self, version: str) -> list[str]:
        links = self._links[version]
        return [version, self._standing_in(links.snapshot), *([links.base] if links.base is not None else [])]

    def _standing_in(self, snapshot: str) -> str:
        return standing_in(snapshot, self._replaced, self._sizes)

    def _read(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Those that are small, in one go."""
        small = [object_key(digest) for digest in dict.fromkeys(digests) if self._sizes.get(digest, 0) <= SMALL_BYTES]
        wanted = [key for key in small if key.rpartition("/")[2] not in self.written]
        found = self._ask(partial(self._store.backend.read_many, wanted, most=SMALL_BYTES))
        return {key.rpartition("/")[2]: data for key, (data, _) in found.items()}

    def _past(self, version: str, read: dict[str, bytes]) -> Iterator[tuple[str, int, Iterable[Chunk]]]:
        """A version's base and snapshot, or the marks that tell where they went."""
        links = self._links[version]
        snapshot = self._standing_in(links.snapshot)
        try:
            # The base first: what is pruned goes in the other order.
            if links.base is not None:
                yield from self._object(links.base, read)
            yield from self._object(snapshot, read)
        except MissingError:
            if not self._ask(self._store.was_pruned, version):
                raise
            yield pruned_key(version), 0, ()
            return
        marks = []
        old = links.snapshot
        while old != snapshot:
            marks.append((old, old := self._replaced[old]))
        for old, new in reversed(marks):
            if old not in self._marked:
                self._marked.add(old)
                data = b"".join(seal_record(Replacement(new)).chunks())
                yield replaced_key(old), len(data), (data,)

    def _object(self, digest: str, read: dict[str, bytes]) -> Iterator[tuple[str, int, Iterable[Chunk]]]:
        """An object, checked before anything of it is written, unless it was written before."""
        if digest in self.written:
            return
        key = object_key(digest)
        with tempfile.SpooledTemporaryFile(SMALL_BYTES, dir=self._folder) as file:
            try:
                if digest in read:
                    size, chunks = len(read[digest]), iter((read[digest],))
                    found = check_record(read[digest], self._store.limits)
                else:
                    entry = self._ask(self._store.backend.look, key)
                    if entry is None:
                        raise MissingError(f"{self._store.backend.name}: expected {key}, got nothing of this name")
                    check, size = RecordCheck(entry.size, self._store.limits), entry.size

                    def sink(chunk: Chunk) -> None:
                        check.update(chunk)
                        file.write(chunk)

                    self._ask(partial(self._store.backend.read, key, sink, most=size))
                    file.seek(0)
                    chunks, found = iter(partial(file.read, CHUNK_BYTES), b""), check.finish()
            except RecordError as error:
                raise error.of(f"{self._store.backend.name}: {key}") from None
            if found.hash != digest:
                raise RecordError("hash", digest, found.hash, f"{self._store.backend.name}: {key}")
            self.written.add(digest)
            yield key, size, chunks
