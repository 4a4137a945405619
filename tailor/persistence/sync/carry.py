"""Objects from one store to another: checked on the way, each after all that it refers to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from anyio import CapacityLimiter, Lock
from anyio.to_thread import run_sync

from ..backends import Body, Entry
from ..errors import BackendError, MissingError, RecordError
from ..records import CheckedRecord, Version, seal_record
from ..several import for_each
from ..store import Store, copy_object, keep_replacement, object_key, pruned_key, replacement
from ..store.names import REPLACED
from ..store.refresh import backend_time
from ..store.store import FRESH_SECONDS

SNAPSHOT, BASE = ("delta", "full"), ("full",)


@dataclass
class Tally:
    """What was moved for one name; ``moved`` is told of each object."""

    moved: Callable[[int], object]
    objects: int = 0
    bytes: int = 0

    def count(self, size: int) -> None:
        """One object more."""
        self.objects += 1
        self.bytes += size
        self.moved(size)


class Carrier:
    """Moves versions and what they refer to from ``source`` to ``target``; an object that several names need is moved once.

    ``taken`` is told of the bytes of each snapshot that was read, before it goes on, and may raise. A snapshot that ``target`` has, but
    perhaps as a leftover that ``prune_store`` is about to remove, is written again unless it is new.
    """

    def __init__(self, source: Store, target: Store, most_at_once: int, dry_run: bool, taken: Callable[[int], object]) -> None:
        self._source = source
        self._target = target
        self._most_at_once = most_at_once
        self._dry_run = dry_run
        self._taken = taken
        self._now: float | None = None
        self._limiter = CapacityLimiter(most_at_once)
        self._turns: defaultdict[str, Lock] = defaultdict(Lock)
        self._settled: dict[str, RecordError | None] = {}
        self._replaced: set[str] | None = None

    async def carry(self, versions: Sequence[tuple[str, Version]], bases: Iterable[str | None], tally: Tally) -> None:
        """Moves ``versions``, which come parents first. ``bases`` are those that the target is known to have.

        Of a snapshot that was pruned the mark that says so is moved, before its version; of one that was replaced what it was replaced
        by, and the mark; one that was replaced in the target stays so. Raises ``MissingError`` and ``RecordError`` for what is missing
        or damaged in the source, which is not passed on.
        """
        kept = set(bases)
        wanted: dict[str, list[str]] = {}
        for digest, version in versions:
            wanted.setdefault(version.snapshot, []).append(digest)
        for _, version in versions:
            if version.base is not None and version.base not in kept:
                wanted.setdefault(version.base, [])

        async def move(item: tuple[str, list[str]]) -> None:
            await self._snapshot(*item, tally)

        await for_each(wanted.items(), move, min(len(wanted), self._most_at_once))
        for digest, version in versions:
            sealed = await run_sync(seal_record, version, self._target.limits)
            if not self._dry_run:
                async with self._limiter:
                    await self._target.backend.write(object_key(digest), Body(sealed.size, sealed.chunks))
            tally.count(sealed.size)

    async def _snapshot(self, digest: str, versions: Sequence[str], tally: Tally) -> None:
        """Moves a snapshot of ``versions``, or a base, of which there are none."""
        async with self._turns[digest]:  # who comes second finds it there
            if digest not in self._settled:
                async with self._limiter:
                    try:
                        await self._settle(digest, versions, tally)
                    except RecordError as error:
                        self._settled[digest] = error
            if (refused := self._settled.get(digest)) is not None:
                raise refused

    async def _settle(self, digest: str, versions: Sequence[str], tally: Tally) -> None:
        there = await self._target.backend.look(object_key(digest))
        if await self._is_new(there) or digest in await self._taken_away():
            self._settled[digest] = None
            return
        kinds = SNAPSHOT if versions else BASE
        try:
            await self._copy(self._source, digest, kinds, tally)
        except MissingError:
            if there is not None:
                await self._copy(self._target, digest, kinds, tally)
            elif versions and all([await self._source.was_pruned(version) for version in versions]):
                for version in versions if not self._dry_run else ():
                    await self._target.backend.write(pruned_key(version), Body.of(b""))
                return  # of other versions it may be missed
            elif (instead := await replacement(self._source, digest)) is not None:
                await self._copy(self._source, instead, kinds, tally)
                if not self._dry_run:
                    await keep_replacement(self._target, digest, instead)
            else:
                raise
        self._settled[digest] = None

    async def _is_new(self, there: Entry | None) -> bool:
        if there is None or self._dry_run:
            return there is not None
        if self._now is None:
            self._now = await backend_time(self._target.backend)
        return self._now - there.modified <= FRESH_SECONDS

    async def _taken_away(self) -> set[str]:
        """Which snapshots were replaced in the target: those do not come back."""
        async with self._turns[REPLACED]:
            if self._replaced is None:
                self._replaced = {entry.key.removeprefix(REPLACED) for entry in await self._target.backend.list(REPLACED)}
        return self._replaced

    async def _copy(self, source: Store, digest: str, kinds: tuple[str, ...], tally: Tally) -> None:
        """Copies a snapshot to the target. Raises ``MissingError``, ``RecordError`` where it is not what it should be."""
        if self._dry_run:
            entry = await source.backend.look(object_key(digest))
            if entry is None:
                raise MissingError(f"{source.backend.name}: expected {object_key(digest)}, got nothing of this name")
            tally.count(entry.size)
            return

        def accept(found: CheckedRecord, size: int) -> None:
            if found.kind not in kinds:
                raise RecordError("kind", " or ".join(map(repr, kinds)), repr(found.kind))
            self._taken(size)
            sizes.append(size)

        sizes: list[int] = []
        try:
            await copy_object(source.backend, self._target.backend, digest, source.limits, accept)
        except OSError as error:  # of the temporary file
            raise BackendError(f"temporary file: expected room for {object_key(digest)}, got: {error.strerror}") from error
        tally.count(*sizes)
