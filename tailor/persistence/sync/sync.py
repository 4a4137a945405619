"""Two stores that learn what the other has: what is missing is moved, and heads that one side is behind with go forward.

Objects go before what refers to them, and a head last, by compare-and-set: stopped anywhere, both stores are whole, and what was moved
is there when it is done again. Nothing is ever removed; a head, or a tag, that one side lacks is given to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..backends import Entry
from ..errors import StoreError
from ..records import Name
from ..several import for_each
from ..store import KeptHead, Store, name_of
from .carry import Tally
from .level import Levelling, Terms
from .memory import SyncMemory
from .pointers import HEAD_POINTERS, TAG_POINTERS, Pointers
from .report import SYNC_LIMITS, SyncDirection, SyncedName, SyncLimits, SyncOutcome, SyncProgressed, SyncReport

KNOWN_BASES = 100  # heads that are asked which base they have

Names = Callable[[Name], bool] | Iterable[Name] | None


async def sync(
    here: Store,
    there: Store,
    direction: SyncDirection = SyncDirection.BOTH,
    *,
    names: Names = None,
    tags: bool | None = None,
    most_at_once: int = 16,
    progress: Callable[[SyncProgressed], object] | None = None,
    dry_run: bool = False,
    memory: bool = True,
    limits: SyncLimits = SYNC_LIMITS,
) -> SyncReport:
    """Brings the heads of ``here`` and ``there`` together, as far as nobody has to merge, with all that they refer to.

    ``names``         which: a predicate, or the names themselves, of which then no list is asked for; ``None`` for all.
    ``tags``          whether the tags of these names' models and users go along: with ``None`` where a head is moved, or a tag here is new
                      or another since the last sync, so that where nothing is to do the other side is not asked for its tags.
    ``most_at_once``  names, and objects, that are on their way at a time.
    ``progress``      called in the event loop for each object that was moved and each name that is done.
    ``dry_run``       moves and writes nothing, and tells what would be; ``here`` and ``there`` in the report are the heads as they are.
    ``memory``        keeps in ``here`` what the other's heads were, so that those that did not move need not be asked for again.
    ``limits``        how much is taken from ``there``.

    Snapshots are checked on the way; more than a few MiB of one wait in a temporary file, never in memory. What is damaged or missing
    makes its own name ``REFUSED`` and stops no other; a backend that fails raises ``BackendError``, and doing it again goes on from there.
    """
    if most_at_once < 1:
        raise StoreError(f"sync: most_at_once: expected 1 at least, got {most_at_once!r}")
    if names is not None and not callable(names):
        names = list(dict.fromkeys(names))
    remembered = await SyncMemory.read(here, there) if memory else SyncMemory("")
    known = dict(remembered.known)
    work = _Sync(here, there, Terms(direction, most_at_once, dry_run, limits), remembered, progress)
    heads = await work.level(HEAD_POINTERS, names)
    if tags or (tags is None and not isinstance(names, list) and (heads.moved or await work.tag_is_new(heads.names))):
        whose = {(name.model, name.user) for name in heads.names}
        tagged = await work.level(TAG_POINTERS, lambda name: (name.model, name.user) in whose)
    else:
        tagged = _Levelled((), (), ())
    if memory and not dry_run and remembered.known != known:
        await remembered.write(here)
    return SyncReport(here.backend.name, there.backend.name, direction, dry_run, len(heads.equal), heads.rows, tagged.rows)


class _Levelled:
    """What became of the heads, or of the tags: all their names, those that were equal from the start, and a row for each other."""

    def __init__(self, names: Iterable[Name], equal: Iterable[Name], rows: Iterable[SyncedName]) -> None:
        self.names = list(names)
        self.equal = list(equal)
        self.rows = tuple(sorted(rows, key=lambda row: str(row.name)))

    @property
    def moved(self) -> bool:
        """Whether there is anything new on either side."""
        return any(row.outcome in (SyncOutcome.PUSHED, SyncOutcome.PULLED) for row in self.rows)


class _Sync:
    def __init__(
        self, here: Store, there: Store, terms: Terms, memory: SyncMemory, progress: Callable[[SyncProgressed], object] | None
    ) -> None:
        self._here = here
        self._there = there
        self._terms = terms
        self._memory = memory
        self._progress = progress
        self._levelling = Levelling(here, there, terms)
        self._objects = self._bytes = self._done = self._total = 0

    async def level(self, pointers: Pointers, names: list[Name] | Callable[[Name], bool] | None) -> _Levelled:
        """All heads, or all tags, that ``names`` says."""
        if isinstance(names, list):
            listed, wanted, local = None, names, names
            theirs: dict[Name, KeptHead] = {}
        else:
            listed = await self._listed(pointers)
            wanted = _named(listed, names)
            local = _named(await self._here.backend.list(pointers.prefix), names)
            theirs = self._remembered(listed, set(wanted))
        ours, unread_here = await pointers.many(self._here, local)
        asked, unread_there = await pointers.many(self._there, [name for name in wanted if name not in theirs])
        theirs |= asked
        everyone = ours.keys() | theirs.keys() | unread_here | unread_there
        equal = [name for name in ours.keys() & theirs.keys() if ours[name].version == theirs[name].version]
        work = sorted(everyone - set(equal), key=str)
        if work:
            await self._levelling.begin(ours[name].version for name in equal[:KNOWN_BASES])
        self._total += len(work)
        rows: list[SyncedName] = []

        async def one(name: Name) -> None:
            unread = name in unread_here or name in unread_there
            sides = (None, None) if unread else (ours.get(name), theirs.get(name))
            row, there = await self._levelling.level(pointers, name, *sides, Tally(lambda size: self._moved(name, size)))
            if there is not None:
                theirs[name] = there
            rows.append(row)
            self._done += 1
            self._tell(name)

        await for_each(work, one, self._terms.most_at_once)
        levelled = _Levelled(everyone, equal, rows)
        if listed is not None and not self._terms.dry_run:
            pushed = any(row.outcome is SyncOutcome.PUSHED for row in rows)
            known = {pointers.key(name): head for name, head in theirs.items()}
            self._memory.learn(pointers.prefix, await self._listed(pointers) if pushed else listed, known)
        return levelled

    async def tag_is_new(self, names: Iterable[Name]) -> bool:
        """Whether a tag of these names' models and users is another here than it was there when last seen."""
        whose = {(name.model, name.user) for name in names}
        local = _named(await self._here.backend.list(TAG_POINTERS.prefix), lambda name: (name.model, name.user) in whose)
        ours, unread = await TAG_POINTERS.many(self._here, local)
        last = self._memory.known
        return bool(unread) or any(last.get(TAG_POINTERS.key(name), ("", ""))[1] != tag.version for name, tag in ours.items())

    async def _listed(self, pointers: Pointers) -> list[Entry]:
        entries = await self._there.backend.list(pointers.prefix)
        self._terms.limits.check("heads", self._there.backend.name, len(entries))
        return entries

    def _remembered(self, listed: Iterable[Entry], wanted: set[Name]) -> dict[Name, KeptHead]:
        """Of what is listed there, that of which it is known what it names."""
        found = ((name_of(entry.key), self._memory.version(entry), entry.tag) for entry in listed)
        return {name: KeptHead(name, version, tag) for name, version, tag in found if version is not None and name in wanted}

    def _moved(self, name: Name, size: int) -> None:
        self._objects += 1
        self._bytes += size
        self._tell(name)

    def _tell(self, name: Name) -> None:
        if self._progress is not None:
            self._progress(SyncProgressed(name, self._done, self._total, self._objects, self._bytes))


def _named(entries: Iterable[Entry], wanted: Callable[[Name], bool] | None) -> list[Name]:
    names = [name_of(entry.key) for entry in entries]
    return names if wanted is None else [name for name in names if wanted(name)]
