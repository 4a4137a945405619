"""What a store need not keep: snapshots that a policy does not ask for, and what nothing refers to.

Nobody waits for it. What makes that safe: an object is removed only if it was written long ago (``grace``) and is looked at once more right
before; whoever is to refer to an object anew writes it again first (``refresh``). Objects are listed before heads are read, so that
whatever a listed object is needed for was there to be seen, or wrote it again. What refers goes before what it refers to, and a mark is
written before a snapshot goes, so that a store is whole at every moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from anyio.to_thread import run_sync

from ..backends import Body, Entry
from ..errors import RecordError
from ..records import VERSION_BYTES, Version, check_record
from ..several import for_each
from .history import BATCH, Links, children_first, standing_in, walk
from .names import OBJECTS, object_key, pruned_key
from .policy import Policy, kept
from .refresh import backend_time
from .replacing import replacements
from .store import Store
from .tags import tags_of

GRACE = timedelta(days=1)
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was removed, or in a dry run would be.

    ``kept``     hashes of the versions that have their snapshots still.
    ``pruned``   hashes of those that lost them now; the versions themselves stay.
    ``removed``  hashes of the objects that were removed, ``bytes`` how large they were together.
    ``young``    hashes of the objects that were left only because they were written so lately.
    """

    kept: tuple[str, ...]
    pruned: tuple[str, ...]
    removed: tuple[str, ...]
    bytes: int
    young: tuple[str, ...]


async def prune_store(
    store: Store,
    policy: Policy | None,
    now: datetime,
    *,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> PruneReport:
    """Removes the snapshots of versions that ``policy`` does not keep, and what nothing refers to.

    The policy is applied to each head's history by itself, in ``now``'s time zone; without one only what nothing refers to goes.
    Snapshots of heads and of tagged versions stay always, and so do versions that any head or tag comes from: they tell the past.

    ``grace``     what was written later than so long ago, by the backend's clock, stays: somebody may be about to refer to it. Less than
                  two hours is for stores that nobody writes to.
    ``dry_run``   removes and writes nothing; ``now`` stands in for the backend's clock.
    ``progress``  is told how many objects are removed, of how many.

    Raises ``StoreError`` or ``RecordError`` before anything is removed where a head, a tag or a version is missing or damaged
    (``verify_store`` tells all of it); ``ValueError`` for a ``now`` without a zone or a grace below zero.
    """
    if now.utcoffset() is None:
        raise ValueError(f"now: expected a datetime with a time zone, got {now!r}")
    if grace < timedelta(0):
        raise ValueError(f"grace: expected at least nothing, got {grace}")
    time = now.timestamp() if dry_run else await backend_time(store.backend)
    plan = await _plan(store, policy, now, time - grace.total_seconds())
    sizes = {entry.key.rpartition("/")[2]: entry.size for entry in plan.entries}
    work = _Pruning(store, time - grace.total_seconds(), len(plan.versions) + len(plan.snapshots) + len(plan.others), progress)
    if dry_run:
        removed = [*plan.versions, *plan.snapshots, *plan.others]
    else:
        for version in plan.versions:
            await work.remove(version)
            if version in plan.marked:
                await work.unmark(version)
        await for_each(plan.snapshots.items(), lambda item: work.prune(*item), AT_ONCE)
        await for_each(plan.others, work.remove, AT_ONCE)
        removed = work.removed
    gone = set(removed)
    pruned = sorted(version for snapshot, versions in plan.snapshots.items() if snapshot in gone for version in versions)
    young = (*plan.young, *work.young)
    return PruneReport(tuple(sorted(plan.kept)), tuple(pruned), tuple(sorted(gone)), sum(sizes[digest] for digest in gone), young)


@dataclass
class _Plan:
    """What is to go: ``versions`` that nothing refers to, children first, ``snapshots`` and whose they are, and ``others`` after them."""

    entries: list[Entry]
    marked: set[str]
    kept: set[str] = field(default_factory=set)
    versions: list[str] = field(default_factory=list)
    snapshots: dict[str, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    young: tuple[str, ...] = ()


async def _plan(store: Store, policy: Policy | None, now: datetime, oldest: float) -> _Plan:
    entries = await store.backend.list(OBJECTS)
    plan = _Plan(entries, await store.pruned())
    replaced = await replacements(store)
    named = [head.version for head in await store.heads()]
    tagged = [tag.version for tag in await tags_of(store)]
    links: dict[str, Links] = {}

    def visit(digest: str, version: Version, size: int) -> bool:
        links[digest] = Links.of(version)
        return True

    await walk(store, [*named, *tagged], visit)
    known = {*links, *(digest for link in links.values() for digest in (link.snapshot, link.base))}
    loose = await _versions(store, [entry for entry in entries if entry.key.rpartition("/")[2] not in known])
    await run_sync(lambda: _decide(plan, links, loose, replaced, named, tagged, policy, now, oldest))
    return plan


async def _versions(store: Store, entries: Iterable[Entry]) -> dict[str, Links]:
    """Those of the objects that are versions; what is damaged is none."""
    keys = [entry.key for entry in entries if entry.size <= VERSION_BYTES]
    found: dict[str, Links] = {}

    def check(read: Iterable[bytes]) -> None:
        for data in read:
            try:
                record = check_record(data, store.limits)
            except RecordError:
                continue  # nothing refers to it: it may go
            if record.version is not None:
                found[record.hash] = Links.of(record.version)

    for begin in range(0, len(keys), BATCH):
        read = await store.backend.read_many(keys[begin : begin + BATCH], most=VERSION_BYTES)
        await run_sync(check, [data for data, _ in read.values()])
    return found


def _decide(
    plan: _Plan,
    links: dict[str, Links],
    loose: dict[str, Links],
    replaced: dict[str, str],
    named: list[str],
    tagged: list[str],
    policy: Policy | None,
    now: datetime,
    oldest: float,
) -> None:
    there = {entry.key.rpartition("/")[2]: entry.modified for entry in plan.entries}
    young = {digest for digest, modified in there.items() if modified >= oldest}
    # Somebody may be about to move a head to a version that is young: so what it refers to is needed.
    coming = _past([digest for digest in loose if digest in young], loose)
    every = {**links, **{digest: loose[digest] for digest in coming}}
    snapshots = {digest: standing_in(link.snapshot, replaced, there) for digest, link in every.items()}

    whole = {*tagged, *named, *coming}
    for head in dict.fromkeys(named):
        past = children_first({digest: links[digest] for digest in _past([head], links) if snapshots[digest] in there})
        whole |= kept([(digest, links[digest].created_at) for digest in past], policy, now) if policy is not None else set(past)
    whole |= {digest for digest, snapshot in snapshots.items() if snapshot in young}
    stay = {snapshots[digest] for digest in whole}
    # A version whose snapshot stays for another's sake stays whole, and one whose snapshot is lost may get it back.
    whole |= {digest for digest, snapshot in snapshots.items() if snapshot in stay or (snapshot not in there and digest not in plan.marked)}
    needed = {*every, *(snapshots[digest] for digest in whole), *(every[digest].base for digest in whole)}

    going = {digest for digest in there if digest not in needed}
    plan.kept = {digest for digest in whole if snapshots[digest] in there}
    plan.young = tuple(sorted(going & young))
    going -= young
    plan.versions = children_first({digest: link for digest, link in loose.items() if digest in going})
    for digest, snapshot in snapshots.items():
        if snapshot in going:
            plan.snapshots.setdefault(snapshot, []).append(digest)
    plan.others = sorted(going - {*plan.versions, *plan.snapshots})


def _past(newest: Iterable[str], links: dict[str, Links]) -> set[str]:
    found, waiting = set[str](), list(newest)
    while waiting:
        digest = waiting.pop()
        if digest not in found and digest in links:
            found.add(digest)
            waiting += links[digest].parents
    return found


@dataclass
class _Pruning:
    store: Store
    oldest: float
    total: int
    progress: Callable[[int, int], object] | None
    removed: list[str] = field(default_factory=list)
    young: list[str] = field(default_factory=list)

    async def prune(self, snapshot: str, versions: Iterable[str]) -> None:
        """Removes a snapshot after it was marked that these versions have none any more."""
        for version in versions:
            await self.store.backend.write(pruned_key(version), Body.of(b""))
        await self.remove(snapshot)

    async def unmark(self, version: str) -> None:
        """Removes the mark of a version that was removed, unless somebody has written it again, who does so before the version."""
        entry = await self.store.backend.look(pruned_key(version))
        if entry is not None and entry.modified < self.oldest and version not in self.young:
            await self.store.backend.remove(entry.key)

    async def remove(self, digest: str) -> None:
        """Removes an object, unless somebody has written it again since it was listed."""
        entry = await self.store.backend.look(object_key(digest))
        if entry is not None and entry.modified >= self.oldest:
            self.young.append(digest)
            return
        await self.store.backend.remove(object_key(digest))
        self.removed.append(digest)
        if self.progress is not None:
            self.progress(len(self.removed), self.total)
