"""A store of personalised models: objects by their hash, versions, and heads that move by compare-and-set.

An object is written only after everything that it refers to, a head last of all. So whatever stops a writer, every head names a
version that is there with all of its past, and what was interrupted is done by doing it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio.to_thread import run_sync

from ..backends import Backend, Body, read_whole
from ..errors import MissingError, RecordError, StoreError
from ..records import (
    LIMITS,
    VERSION_BYTES,
    DeltaSnapshot,
    FullSnapshot,
    Limits,
    Name,
    SealedRecord,
    Snapshot,
    Version,
    kind_of,
    parse_record,
    seal_record,
)
from .history import Links, children_first, walk
from .names import HEADS, PRUNED, head_key, name_of, object_key, pruned_key
from .pointers import KeptHead, read_pointer, read_pointers, write_pointer
from .replacing import replacement

FRESH_SECONDS = 3600.0
"""What is younger was written so lately that ``prune_store`` is nowhere near it."""

ENVELOPE_BYTES = 2**10
"""More than what a file has besides its payload, where that is not compressed; compressed it has less."""

BRIEF_BYTES = 2**13
"""What is read of no more than this is read at once, not in a worker thread."""

LONGEST_HISTORY = 250_000
LARGEST_HISTORY = 2**29
"""More versions, and more bytes of them, than ``history`` puts into memory."""


T = TypeVar("T")


class Store:
    """A store in ``backend``. Safe to use from several tasks, processes and machines at a time; readers never wait for anybody.

    ``compress``: whether snapshots are compressed where that pays. Raises ``StoreError`` and its children ``BackendError``,
    ``MissingError`` and ``ConflictError``; ``RecordError`` naming the key for an object that is damaged or is not what it should be.
    """

    def __init__(self, backend: Backend, *, limits: Limits = LIMITS, compress: bool = False) -> None:
        self.backend = backend
        self.limits = limits
        self.compress = compress

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the backend."""
        await self.backend.aclose()

    # Objects

    async def put(self, record: Snapshot | Version) -> str:
        """Keeps a record under its hash, which is returned.

        One that is there already is written again, for ``prune_store`` leaves alone what is new. Raises ``RecordError`` for what a
        record cannot hold.
        """
        sealed = await run_sync(self._sealed, record)
        await self.backend.write(object_key(sealed.hash), Body(sealed.size, sealed.chunks))
        return sealed.hash

    async def _put_base(self, base: FullSnapshot, just_written: str) -> str:
        """As ``put``, but what is there and still far from old enough for ``prune_store`` is left: bases are large, and shared.

        The time is the backend's: that of what was ``just_written``.
        """
        sealed = await run_sync(self._sealed, base)
        there, now = await self.backend.look(object_key(sealed.hash)), await self.backend.look(object_key(just_written))
        if there is None or now is None or now.modified - there.modified > FRESH_SECONDS:
            await self.backend.write(object_key(sealed.hash), Body(sealed.size, sealed.chunks))
        return sealed.hash

    def _sealed(self, record: Snapshot | Version) -> SealedRecord:
        sealed = seal_record(record, self.limits, compress=self.compress and not isinstance(record, Version))
        if isinstance(record, Version) and sealed.size > VERSION_BYTES:
            raise RecordError("metadata", f"a version of at most {VERSION_BYTES} bytes", str(sealed.size))
        return sealed

    async def get(self, digest: str) -> Snapshot | Version:
        """The record with this hash, checked; its tensors are read-only views of what was read.

        Raises ``MissingError``, ``RecordError`` where it is damaged or another.
        """
        return await self._object(digest, self.limits.total_bytes + ENVELOPE_BYTES)

    async def snapshot(self, digest: str) -> Snapshot:
        """The snapshot with this hash, or what it was replaced by. Raises as ``get`` does."""
        try:
            found = await self.get(digest)
        except MissingError:
            if (instead := await replacement(self, digest)) is None:
                raise
            found = await self.get(instead)
        if isinstance(found, Version):
            raise RecordError("kind", "a snapshot", "'version'", self._where(digest))
        return found

    async def resolved(self, digest: str) -> str:
        """The hash of the snapshot that stands for this one: its own, as long as it is here and was not replaced."""
        return digest if await self.has(digest) else await replacement(self, digest) or digest

    async def version(self, digest: str) -> Version:
        """The version with this hash. Raises as ``get`` does."""
        return self._version(digest, await self._object(digest, VERSION_BYTES))

    async def versions(self, digests: Sequence[str]) -> list[tuple[Version, int]]:
        """The versions with these hashes, in this order, and how many bytes each has. Raises as ``get`` does."""
        keys = {digest: object_key(digest) for digest in digests}
        found = await self.backend.read_many(list(keys.values()), most=VERSION_BYTES)
        for key in keys.values():
            if key not in found:
                raise MissingError(f"{self.backend.name}: expected a version, {key}, got nothing of this name")
        read = {digest: found[key][0] for digest, key in keys.items()}
        parsed = await _worked(lambda: [self._parsed(digest, read[digest]) for digest in digests], sum(map(len, read.values())))
        return [(self._version(digest, record), len(read[digest])) for digest, record in zip(digests, parsed, strict=True)]

    async def has(self, digest: str) -> bool:
        """Whether there is an object with this hash."""
        return await self.backend.look(object_key(digest)) is not None

    async def pruned(self) -> set[str]:
        """The hashes of versions whose snapshots were pruned."""
        return {entry.key.removeprefix(PRUNED) for entry in await self.backend.list(PRUNED)}

    async def was_pruned(self, version: str) -> bool:
        """Whether this version's snapshot was pruned."""
        return await self.backend.look(pruned_key(version)) is not None

    # Heads

    async def head(self, name: Name) -> KeptHead | None:
        """The head of this name; ``None`` where there is none."""
        return await read_pointer(self.backend, head_key(name), name, self.limits)

    async def heads(self, names: Iterable[Name] | None = None) -> list[KeptHead]:
        """All heads (or those of ``names`` that there are), in the order of their keys."""
        keys = [entry.key for entry in await self.backend.list(HEADS)] if names is None else [head_key(name) for name in names]
        return await read_pointers(self.backend, keys, self.limits)

    async def branches(self, name: Name) -> list[KeptHead]:
        """The heads of all branches of a name's model and user, in the order of their keys."""
        folder = head_key(name).rpartition("/")[0]
        return await read_pointers(self.backend, [entry.key for entry in await self.backend.list(f"{folder}/")], self.limits)

    async def head_tags(self) -> dict[Name, str]:
        """Every name that has a head, and the head's tag: as much as one listing tells."""
        return {name_of(entry.key): entry.tag for entry in await self.backend.list(HEADS)}

    async def move(self, name: Name, version: str, before: KeptHead | None) -> KeptHead:
        """Makes ``version`` the head of ``name``, if ``before`` still is (``None``: if there is none).

        Raises ``ConflictError`` where it is another by now, ``MissingError`` where there is no such version; nothing is changed then.
        """
        await self._check_here(version)
        return await write_pointer(self.backend, head_key(name), name, version, before, "the head of")

    async def commit(
        self, name: Name, version: Version, snapshot: Snapshot, before: KeptHead | None, base: FullSnapshot | None = None
    ) -> tuple[str, KeptHead]:
        """Keeps ``snapshot`` as a new ``version`` (whose own ``snapshot`` and ``base`` are filled in here) and makes it the head.

        ``base``: the record that holds the base of a delta; without it ``version.base`` must be one that is here, of a version that
        this head comes from. Returns the version's hash and the head. Raises ``ConflictError`` where ``before`` is not the head any
        more: what was written besides the head is kept for a while and does no harm.
        """
        if isinstance(snapshot, DeltaSnapshot) and version.base is None and base is None:
            raise StoreError(f"{self.backend.name}: {name}: expected the base of a delta, got none")
        version = replace(version, snapshot=await self.put(snapshot))
        if base is not None:
            version = replace(version, base=await self._put_base(base, version.snapshot))
        digest = await self.put(version)
        return digest, await self.move(name, digest, before)

    async def history(self, version: str, *, most: int | None = None) -> list[tuple[str, Version]]:
        """A version and all that it came from, each once, none before one that came of it, otherwise the newest first.

        ``most``: only so many, the nearest; without it more than 250,000, or than 512 MiB of them, raise ``StoreError``.
        """
        found: dict[str, Version] = {}
        read = 0

        def visit(digest: str, record: Version, size: int) -> bool:
            nonlocal read
            read += size
            if len(found) >= LONGEST_HISTORY or read > LARGEST_HISTORY:
                expected = f"a past of at most {LONGEST_HISTORY} versions and {LARGEST_HISTORY} bytes of them"
                raise StoreError(f"{self._where(version)}: expected {expected}, got more")
            found[digest] = record
            return most is None or len(found) < most

        if most is None or most > 0:
            await walk(self, [version], visit)
        order = await run_sync(lambda: children_first({digest: Links.of(record) for digest, record in found.items()}))
        return [(digest, found[digest]) for digest in order]

    async def _check_here(self, version: str) -> None:
        """Who was asleep for longer than ``prune_store`` waits finds out before a head names what is gone."""
        if not await self.has(version):
            raise MissingError(f"{self._where(version)}: expected a version that is here, got nothing of this name")

    async def _object(self, digest: str, most: int) -> Snapshot | Version:
        data, _ = await read_whole(self.backend, object_key(digest), most=most)
        return await _worked(lambda: self._parsed(digest, data), len(data))

    def _parsed(self, digest: str, data: bytes) -> Snapshot | Version:
        where = self._where(digest)
        try:
            record, found = parse_record(data, self.limits)
        except RecordError as error:
            raise error.of(where) from None
        if found != digest:
            raise RecordError("hash", digest, found, where)
        if not isinstance(record, FullSnapshot | DeltaSnapshot | Version):
            raise RecordError("kind", "a snapshot or a version", repr(kind_of(record)), where)
        return record

    def _version(self, digest: str, record: Any) -> Version:
        if not isinstance(record, Version):
            raise RecordError("kind", "'version'", repr(kind_of(record)), self._where(digest))
        return record

    def _where(self, digest: str) -> str:
        return f"{self.backend.name}: {object_key(digest)}"

    def __repr__(self) -> str:
        return f"<Store in {self.backend.name}>"


async def _worked(work: Callable[[], T], size: int) -> T:
    """What ``work`` makes of so many bytes: of few right here, for a worker thread would take longer to reach."""
    return work() if size <= BRIEF_BYTES else await run_sync(work)
