"""One file into a store: all of it is checked before any of it is written, and no head is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from anyio.from_thread import check_cancelled
from anyio.from_thread import run_sync as run_in_loop
from anyio.to_thread import run_sync

from ..backends import Body
from ..errors import BackendError, RecordError
from ..records import Head, RecordCheck
from ..several import for_each
from .archive import CHUNK_BYTES, ArchiveContents, ArchiveEntry, read_archive
from .history import walk
from .names import OBJECTS, PRUNED, REPLACED, tag_key
from .pointers import KeptHead, write_pointer
from .refresh import backend_time
from .replacing import keep_replacement, replacements
from .store import FRESH_SECONDS, Store
from .tags import tags_of

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was taken over from an archive.

    ``objects``    how many were written, and their ``bytes``; those that were there and new were not.
    ``created``    heads that the store did not have, ``moved`` those that it had an older version of; ``unchanged`` those whose version
                   it had already, as its head or in its head's past.
    ``diverged``   heads that were left as they are, for each side has versions that the other lacks. The archive's versions are in the
                   store now, for a day at least, so that whoever knows how can merge them.
    ``tags``       tags that are new; ``other_tags`` those that were left, for the store has another version under their names.
    """

    objects: int
    bytes: int
    created: tuple[Head, ...]
    moved: tuple[Head, ...]
    unchanged: tuple[Head, ...]
    diverged: tuple[Head, ...]
    tags: tuple[Head, ...]
    other_tags: tuple[Head, ...]


async def import_archive(
    store: Store, path: str | os.PathLike[str], *, progress: Callable[[int, int], object] | None = None
) -> ImportReport:
    """Takes over all that the archive at ``path`` holds; the file must stay as it is meanwhile.

    Every byte and every reference is checked first, then objects are written, each after what it refers to, and heads are moved last: so
    an import that is cut off leaves the store whole, and doing it again goes on. What was replaced or pruned here does not come back.
    ``progress`` is told how many bytes are checked or written, of how many, which is twice the file's size. Raises ``RecordError``
    where the archive is damaged or hostile, and nothing was written then; ``BackendError`` where it cannot be read; ``ConflictError``
    where somebody moves a head in the same moment.
    """
    name = os.fspath(path)
    try:
        contents, size = await run_sync(_read, store, name, progress)
    except OSError as error:
        raise BackendError(f"{name}: expected an archive that can be read: {error.strerror}") from error
    work = _Import(store, name, contents, size, progress)
    await work.objects()
    heads = await work.heads()
    tags, other_tags = await work.tags()
    return ImportReport(work.count, work.bytes, *heads, tags, other_tags)


def _read(store: Store, name: str, progress: Callable[[int, int], object] | None) -> tuple[ArchiveContents, int]:
    with open(name, "rb", buffering=CHUNK_BYTES) as file:
        size = os.fstat(file.fileno()).st_size

        before = 0

        def told(done: int) -> None:
            nonlocal before
            if done - before < CHUNK_BYTES:  # to tell costs a change of threads
                return
            before = done
            check_cancelled()
            if progress is not None:
                run_in_loop(progress, done, 2 * size)

        return read_archive(file, name, size, progress=told, limits=store.limits), size


class _Import:
    def __init__(
        self, store: Store, name: str, contents: ArchiveContents, size: int, progress: Callable[[int, int], object] | None
    ) -> None:
        self._store = store
        self._name = name
        self._contents = contents
        self._size = size
        self._progress = progress
        self._there: dict[str, float] = {}
        self._now = 0.0
        self._unwanted: set[str] = set()
        self.count = 0
        self.bytes = 0

    async def objects(self) -> None:
        """Writes what lacks, or is old: several at a time, none before what it refers to."""
        backend = self._store.backend
        self._now = await backend_time(backend)
        self._there = {entry.key.rpartition("/")[2]: entry.modified for entry in await backend.list(OBJECTS)}
        gone = await self._store.pruned()
        whose: dict[str, set[str]] = {}
        for version, links in self._contents.versions.items():
            whose.setdefault(links.snapshot, set()).add(version)
        self._unwanted = {*await replacements(self._store), *(snapshot for snapshot, versions in whose.items() if versions <= gone)}
        for batch in self._batches():
            await for_each(batch, self._write, AT_ONCE)
            if self._progress is not None:
                last = batch[-1]
                self._progress(self._size + last.start + last.size, 2 * self._size)

    def _batches(self) -> Iterator[list[ArchiveEntry]]:
        """Entries in order, in runs in which none refers to another."""
        batch: list[ArchiveEntry] = []
        names: set[str] = set()
        for entry in self._contents.entries:
            digest = entry.key.rpartition("/")[2]
            links = self._contents.versions.get(digest)
            if links is not None and entry.key.startswith(OBJECTS):
                needed = {digest, links.snapshot, links.base or "", *links.parents}
            else:
                needed = {self._contents.replaced[digest]} if entry.key.startswith(REPLACED) else set()
            if needed & names:
                yield batch
                batch, names = [], set()
            batch.append(entry)
            names.add(digest)
        if batch:
            yield batch

    async def _write(self, entry: ArchiveEntry) -> None:
        digest = entry.key.rpartition("/")[2]
        if entry.key.startswith(PRUNED):
            if digest not in self._there:  # otherwise its snapshot may well be here
                await self._store.backend.write(entry.key, Body.of(b""))
        elif entry.key.startswith(REPLACED):
            # A file is not believed so much that something is removed for it; and what stands in for it here may be newer.
            if digest not in self._there and digest not in self._unwanted:
                await keep_replacement(self._store, digest, self._contents.replaced[digest])
        elif digest not in self._unwanted and self._now - self._there.get(digest, float("-inf")) > FRESH_SECONDS:
            await self._store.backend.write(entry.key, Body(entry.size, partial(self._chunks, entry, digest)))
            self.count += 1
            self.bytes += entry.size

    def _chunks(self, entry: ArchiveEntry, digest: str) -> Iterator[bytes]:
        """An object's bytes, checked once more: the file may have changed since."""
        check = RecordCheck(entry.size, self._store.limits)
        with open(self._name, "rb", buffering=0) as file:
            file.seek(entry.start)
            left = entry.size
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                check.update(chunk)
                if not left and (found := check.finish().hash) != digest:
                    raise RecordError("hash", digest, f"{found}: it has changed since it was checked", f"{self._name}: {entry.key}")
                yield chunk

    async def heads(self) -> tuple[tuple[Head, ...], tuple[Head, ...], tuple[Head, ...], tuple[Head, ...]]:
        """Creates and moves heads; those created, moved, unchanged and diverged."""
        created, moved, unchanged, diverged = list[Head](), list[Head](), list[Head](), list[Head]()
        here = {head.name: head for head in await self._store.heads([head.name for head in self._contents.heads])}

        async def settle(head: Head) -> None:
            before = here.get(head.name)
            if before is not None and await self._is_in_past(head.version, before.version):
                unchanged.append(head)
            elif before is not None and before.version not in self._past(head.version):
                diverged.append(head)
            else:
                await self._store.move(head.name, head.version, before)
                (created if before is None else moved).append(head)

        await for_each(self._contents.heads, settle, AT_ONCE)
        order = {head: place for place, head in enumerate(self._contents.heads)}
        first, second, third, fourth = (tuple(sorted(some, key=order.__getitem__)) for some in (created, moved, unchanged, diverged))
        return first, second, third, fourth

    async def tags(self) -> tuple[tuple[Head, ...], tuple[Head, ...]]:
        """Makes the tags that lack; those, and those that are others here."""
        here = {tag.name: tag for tag in await tags_of(self._store)} if self._contents.tags else dict[object, KeptHead]()
        made, others = list[Head](), list[Head]()
        for tag in self._contents.tags:
            if tag.name not in here:
                await write_pointer(self._store.backend, tag_key(tag.name, tag.name.branch), tag.name, tag.version, None, "the tag")
                made.append(tag)
            elif here[tag.name].version != tag.version:
                others.append(tag)
        return tuple(made), tuple(others)

    def _past(self, newest: str) -> set[str]:
        found, waiting = set[str](), [newest]
        while waiting:
            digest = waiting.pop()
            if digest not in found:
                found.add(digest)
                waiting += self._contents.versions[digest].parents
        return found

    async def _is_in_past(self, wanted: str, newest: str) -> bool:
        found = False

        def visit(digest: str, version: object, size: int) -> bool:
            nonlocal found
            found = found or digest == wanted
            return not found

        await walk(self._store, [newest], visit)
        return found
