"""Two stores that learn what the other has: what goes where, in how many requests, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest

from tailor.persistence import (
    Backend,
    BackendError,
    Body,
    MemoryBackend,
    Name,
    Store,
    StoreError,
    SyncDirection,
    SyncLimits,
    SyncOutcome,
    SyncProgressed,
    Version,
    object_key,
    remove_tag,
    replace_snapshot,
    sync,
    tag_version,
    tags_of,
)
from tailor.persistence.testing import FaultyBackend, Operation

from .synced import METADATA, NAME, base, check_whole, delta, grown, heads_of, merged, names, objects_of, stored

pytestmark = pytest.mark.anyio
BOTH, PUSH, PULL = SyncDirection.BOTH, SyncDirection.PUSH, SyncDirection.PULL
WRITES = {"write", "remove"}
ONE = NAME
OTHER = Name("drawing", "bob")


def pair() -> tuple[Store, Store, list[Operation], list[Operation]]:
    """Two empty stores, and what each backend is asked for."""
    here, there = FaultyBackend(MemoryBackend("memory:here")), FaultyBackend(MemoryBackend("memory:there"))
    return Store(here), Store(there), here.log, there.log


def requests(log: Sequence[Operation], heads: int, page: int) -> int:
    """How many requests a server gets that lists so many things at a time."""
    pages = {"heads/": -(-heads // page)}
    return sum({"list": pages.get(row.keys[0], 1), "read_many": len(row.keys)}.get(row.method, 1) for row in log)


# what is here, what is there (versions of one line), direction -> what becomes of it, what is here and there then
LINES = [
    (0, 0, BOTH, None, 0, 0),
    (2, 2, BOTH, None, 2, 2),
    (3, 1, BOTH, SyncOutcome.PUSHED, 3, 3),
    (3, 0, BOTH, SyncOutcome.PUSHED, 3, 3),
    (1, 4, BOTH, SyncOutcome.PULLED, 4, 4),
    (0, 2, BOTH, SyncOutcome.PULLED, 2, 2),
    (3, 1, PUSH, SyncOutcome.PUSHED, 3, 3),
    (1, 3, PUSH, SyncOutcome.LEFT, 1, 3),
    (0, 3, PUSH, SyncOutcome.LEFT, 0, 3),
    (1, 3, PULL, SyncOutcome.PULLED, 3, 3),
    (3, 1, PULL, SyncOutcome.LEFT, 3, 1),
]


@pytest.mark.parametrize(("ours", "theirs", "direction", "outcome", "here_then", "there_then"), LINES)
async def test_who_is_behind_goes_forward(
    ours: int, theirs: int, direction: SyncDirection, outcome: SyncOutcome | None, here_then: int, there_then: int
) -> None:
    here, there, _, _ = pair()
    line = await grown(Store(MemoryBackend()), range(4))
    assert line[:ours] == await grown(here, range(ours)) and line[:theirs] == await grown(there, range(theirs))
    report = await sync(here, there, direction)
    assert [row.outcome for row in report.names] == ([] if outcome is None else [outcome])
    assert report.equal == (1 if outcome is None and ours else 0)
    for store, count in ((here, here_then), (there, there_then)):
        assert await heads_of(store) == ({ONE: line[count - 1]} if count else {})
        assert len(await objects_of(store)) == (2 * count + 1 if count else 0)
        await check_whole(store.backend)
    moved = 2 * abs(here_then + there_then - ours - theirs) + (1 if outcome and 0 in (ours, theirs) and here_then == there_then else 0)
    assert report.objects == moved and (report.bytes > 0) == (moved > 0)


@pytest.mark.parametrize("direction", [BOTH, PULL, PUSH])
async def test_who_has_diverged_is_told_with_what_they_share_and_has_both_sides_here(direction: SyncDirection) -> None:
    here, there, _, _ = pair()
    line = await grown(here, range(2))
    await sync(here, there)
    mine, theirs = (await grown(here, [10]))[0], (await grown(there, [20, 21]))[-1]
    row = (await sync(here, there, direction)).diverged[0]
    assert (row.here, row.there, row.ancestors) == (mine, theirs, (line[1],))
    assert (await heads_of(here), await heads_of(there)) == ({ONE: mine}, {ONE: theirs})
    assert (await objects_of(there) <= await objects_of(here)) == (direction is not PUSH)
    await check_whole(here.backend)
    again = await sync(here, there, direction)
    assert (again.diverged[0].ancestors, again.objects) == ((line[1],), 0)
    if direction is not PUSH:
        both = await merged(here, [mine, theirs], 30)
        outcome = SyncOutcome.LEFT if direction is PULL else SyncOutcome.PUSHED
        assert [row.outcome for row in (await sync(here, there, direction)).names] == [outcome]
        assert (await heads_of(here))[ONE] == both
        await check_whole(there.backend)


async def test_a_merge_is_pushed_with_its_own_side_only() -> None:
    here, there, _, log = pair()
    await grown(here, range(12))
    await sync(here, there)
    mine, theirs = (await grown(here, [100, 101]))[-1], (await grown(there, [200]))[-1]
    await sync(here, there)
    await merged(here, [mine, theirs], 300)
    log.clear()
    report = await sync(here, there)
    assert report.objects == 6  # two versions and the merge, and the snapshot of each
    assert await heads_of(here) == await heads_of(there) and len([row for row in log if row.method == "write"]) == 7


async def test_a_dry_run_lists_what_would_move_and_writes_nothing() -> None:
    here, there, ours, theirs = pair()
    await grown(here, range(2))
    await sync(here, there)
    await grown(here, [5, 6])
    await grown(there, [7], OTHER)
    await grown(there, [8], Name("third"))
    await grown(here, [9], Name("third"))
    before = len(ours), len(theirs)
    dry = await sync(here, there, dry_run=True)
    assert not [row for row in [*ours[before[0] :], *theirs[before[1] :]] if row.method in WRITES]
    done = await sync(here, there)
    assert dry.dry_run and [(row.name, row.outcome, row.objects, row.bytes) for row in dry.names] == [
        (row.name, row.outcome, row.objects, row.bytes) for row in done.names
    ]
    assert [(row.outcome, row.objects) for row in done.names] == [
        (SyncOutcome.PUSHED, 4), (SyncOutcome.PULLED, 2), (SyncOutcome.DIVERGED, 2)
    ]  # fmt: skip


async def test_nothing_to_do_takes_a_request_for_each_page_of_heads() -> None:
    here, there, _, log = pair()
    line = await grown(here, range(1), names(1)[0])
    for name in names(24)[1:]:
        await here.move(name, line[0], None)
    assert len((await sync(here, there)).names) == 24
    log.clear()
    report = await sync(here, there)
    assert (report.equal, report.names) == (24, ()) and requests(log, heads=24, page=20) == 2
    third = Store(MemoryBackend("memory:third"))
    await sync(third, there)
    log.clear()
    assert (await sync(third, there)).equal == 24 and requests(log, heads=24, page=20) == 2


async def test_what_is_remembered_is_only_believed_where_it_still_holds() -> None:
    here, there, _, log = pair()
    await grown(here, range(2))
    await sync(here, there)
    [key] = [entry.key for entry in await here.backend.list("remotes/")]
    anew = Store(MemoryBackend("memory:there"))  # of the same name, and with nothing in it
    assert [row.outcome for row in (await sync(here, anew)).names] == [SyncOutcome.PUSHED]
    await grown(there, [3])
    assert [row.outcome for row in (await sync(here, there)).names] == [SyncOutcome.PULLED]
    await here.backend.write(key, Body.of(b"\xff" * 50))
    assert (await sync(here, there)).equal == 1 and await heads_of(here) == await heads_of(there)
    log.clear()
    assert (await sync(here, there, memory=False)).equal == 1 and [row.method for row in log] == ["list", "read_many"]


async def test_few_requests_for_one_new_version() -> None:
    here, there, _, log = pair()
    for name in (ONE, OTHER):
        await grown(here, range(6), name)
    await sync(here, there)
    await grown(here, [50])
    log.clear()
    await sync(here, there)  # heads; is the snapshot there, was it replaced; snapshot, version; still there? head; heads again; tags
    assert [row.method for row in log] == ["list", "look", "list", "write", "write", "look", "write", "list", "list"]
    await grown(there, [60])
    log.clear()
    await sync(here, there)  # heads; the head, the version; the snapshot's size, and itself; tags
    assert [row.method for row in log] == ["list", "read_many", "read_many", "look", "read", "list"]


async def test_only_names_that_are_asked_for_and_a_list_of_them_needs_none() -> None:
    here, there, _, log = pair()
    for name in names(5):
        await grown(here, [1], name)
    wanted = names(5)[1:3]
    assert [row.name for row in (await sync(here, there, names=lambda name: name in wanted)).names] == wanted
    assert set(await heads_of(there)) == set(wanted)
    log.clear()
    report = await sync(here, there, names=[*names(2), Name("nobody")])
    assert ([row.name for row in report.names], report.equal) == (names(1), 1)
    assert not [row for row in log if row.method == "list" and row.keys[0] != "replaced/"]


async def test_progress_ends_with_all_of_it() -> None:
    here, there, _, _ = pair()
    for name in names(3):
        await grown(here, [1, 2], name)
    seen: list[SyncProgressed] = []
    report = await sync(here, there, progress=seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].objects, seen[-1].bytes) == (3, 3, report.objects, report.bytes)
    assert [event.objects for event in seen] == sorted(event.objects for event in seen) and len(seen) == report.objects + 3


async def test_tags_go_along_with_all_that_they_need() -> None:
    here, there, _, log = pair()
    line = await grown(here, range(3))
    await tag_version(here, ONE, "good", line[1])
    aside = (await grown(here, [9], Name("drawing", "ada", "trial")))[0]
    await tag_version(here, ONE, "aside", aside)
    await here.backend.remove("heads/drawing/ada/trial")
    assert [(row.name.branch, row.outcome) for row in (await sync(here, there)).tags] == [
        ("aside", SyncOutcome.PUSHED),
        ("good", SyncOutcome.PUSHED),
    ]
    assert {tag.name.branch: tag.version for tag in await tags_of(there)} == {"good": line[1], "aside": aside}
    await check_whole(there.backend)
    log.clear()
    await sync(here, there)
    assert [row.keys[0] for row in log] == ["heads/"]
    await tag_version(here, ONE, "late", line[0])
    assert [row.name.branch for row in (await sync(here, there)).tags] == ["late"]
    await remove_tag(there, ONE, "good")
    await tag_version(there, ONE, "good", line[2])
    await tag_version(there, ONE, "theirs", line[2])
    found = {row.name.branch: row.outcome for row in (await sync(here, there, tags=True)).tags}
    assert found == {"good": SyncOutcome.DIVERGED, "theirs": SyncOutcome.PULLED}


async def prune(store: Store, version: str) -> None:
    """As ``prune_store`` does it: the mark, then the snapshot."""
    await store.backend.write(f"pruned/{version}", Body.of(b""))
    await store.backend.remove(stored((await store.version(version)).snapshot))


async def test_what_was_pruned_stays_so_and_is_no_error() -> None:
    here, there, _, _ = pair()
    line = await grown(here, range(3))
    await prune(here, line[0])
    report = await sync(here, there)
    assert (report.failed, await there.was_pruned(line[0]), await there.was_pruned(line[1])) == ((), True, False)
    await check_whole(there.backend)
    await prune(there, line[1])  # one side only: each keeps what it has
    await grown(there, [7])
    assert (await sync(here, there)).failed == () and not await here.was_pruned(line[1])
    third = Store(MemoryBackend("memory:third"))
    assert (await sync(third, there)).failed == () and await third.pruned() == {*line[:2]}
    for store in (here, third):
        assert await heads_of(store) == await heads_of(there)
        await check_whole(store.backend)


async def test_a_snapshot_that_an_older_pruned_version_shares_is_moved_all_the_same() -> None:
    here, there, _, _ = pair()
    line = await grown(here, [1, 2])
    await sync(here, there)
    await prune(there, line[0])
    await grown(here, [1])  # back to what the first one was
    await sync(here, there)
    head = await there.version((await heads_of(there))[ONE])
    assert head.snapshot == (await here.version(line[0])).snapshot and await there.has(head.snapshot)


async def test_what_was_replaced_does_not_come_back() -> None:
    here, there, _, _ = pair()
    line = await grown(here, range(2))
    old = (await here.version(line[0])).snapshot
    await sync(here, there)
    await replace_snapshot(there, old, delta(-1))
    await there.backend.remove("heads/drawing/ada/main")
    await grown(here, [2])
    assert (await sync(here, there)).failed == () and not await there.has(old)
    third = Store(MemoryBackend("memory:third"))
    assert (await sync(third, there)).failed == () and not await third.has(old)
    for store in (there, third):
        await check_whole(store.backend)


async def flipped(store: Store, digest: str) -> None:
    key = stored(digest)
    data = bytearray((await store.backend.read_many([key], most=2**20))[key][0])
    data[-40] ^= 1
    await store.backend.write(key, Body.of(bytes(data)))


async def lost(store: Store, digest: str) -> None:
    await store.backend.remove(stored(digest))


async def another(store: Store, digest: str) -> None:
    other = stored(await store.put(delta(77)))
    await store.backend.write(stored(digest), Body.of((await store.backend.read_many([other], most=2**20))[other][0]))


async def enormous(store: Store, digest: str) -> None:
    await store.backend.write(stored(digest), Body.of(b"\x89tailor\r\n\x1a\n\x01" + b"\xff" * (2**20 + 1)))


async def refused(bad: Store, good: Store, direction: SyncDirection) -> dict[Name, str]:
    """What is said of each name that was refused, from ``bad`` to ``good``."""
    report = await (sync(bad, good, PUSH) if direction is PUSH else sync(good, bad, PULL))
    await check_whole(good.backend)
    assert set(await heads_of(good)) == set(await heads_of(bad)) - {row.name for row in report.failed}
    return {row.name: str(row.error) for row in report.failed}


@pytest.mark.parametrize(("anyio_backend", "direction"), [("asyncio", PUSH), ("trio", PULL)])
@pytest.mark.parametrize("what", ["version", "snapshot", "base"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [(flipped, "SHA-256"), (lost, "nothing of this name"), (another, "hash: expected"), (enormous, "at most|as the header says")],
)
async def test_what_is_damaged_is_refused_alone_and_not_passed_on(
    spoil: Callable[[Store, str], Awaitable[None]], said: str, what: str, direction: SyncDirection
) -> None:
    bad, good, _, _ = pair()
    line = await grown(bad, range(3))
    await grown(bad, range(1), OTHER)
    version = await bad.version(line[1])
    digest = {"version": line[1], "snapshot": version.snapshot, "base": str(version.base)}[what]
    await spoil(bad, digest)
    told = await refused(bad, good, direction)
    assert set(told) == ({ONE, OTHER} if what == "base" else {ONE})
    assert digest in told[ONE] and re.search(said, told[ONE]) and not await good.has(digest)


@pytest.mark.parametrize(("anyio_backend", "direction"), [("asyncio", PUSH), ("trio", PULL)])
async def test_what_is_of_another_kind_is_refused_and_not_passed_on(direction: SyncDirection) -> None:
    bad, good, _, _ = pair()
    one, two = await grown(bad, range(2), OTHER)
    snapshot, model = (await bad.version(one)).snapshot, (await bad.version(one)).base
    await bad.move(Name("as snapshot"), await bad.put(Version(METADATA, two)), None)
    await bad.move(Name("as base"), await bad.put(Version(METADATA, snapshot, base=await bad.put(delta(50)))), None)
    await bad.move(Name("as head"), str(model), None)
    told = await refused(bad, good, direction)
    assert {name.model: text.partition(": ")[2].split(": ")[1:] for name, text in told.items()} == {
        "as snapshot": ["kind", "expected 'delta' or 'full', got 'version'"],
        "as base": ["kind", "expected 'full', got 'delta'"],
        "as head": ["kind", "expected 'version', got 'full'"],
    }


async def test_a_head_that_is_damaged_or_anothers_is_refused_alone() -> None:
    here, there, _, _ = pair()
    for name in names(5):
        await grown(there, [1], name)
    keys = [f"heads/drawing/user-0000{number}/main" for number in (1, 3, 4)]
    stolen = (await there.backend.read_many(keys, most=2**20))[keys[2]][0]
    await there.backend.write(keys[0], Body.of(b"nothing"))
    await there.backend.write(keys[1], Body.of(stolen))
    report = await sync(here, there)
    assert {row.name.user: str(row.error).split(": ")[1] for row in report.failed} == {"user-00001": keys[0], "user-00003": keys[1]}
    assert set(await heads_of(here)) == {name for name in names(5) if name.user not in ("user-00001", "user-00003")}


@pytest.mark.parametrize("limits", [SyncLimits(heads=2), SyncLimits(versions=5), SyncLimits(bytes=1500)])
async def test_no_more_is_taken_than_one_wants(limits: SyncLimits) -> None:
    here, there, _, _ = pair()
    for name in names(3):
        await grown(there, range(2), name)
    with pytest.raises(StoreError, match="memory:there: expected at most .* in one sync, got"):
        await sync(here, there, limits=limits)
    await check_whole(here.backend)
    assert (await sync(here, there)).failed == () and len(await heads_of(here)) == 3


async def test_terms_that_cannot_be() -> None:
    here, there, _, _ = pair()
    with pytest.raises(StoreError, match="most_at_once: expected 1 at least, got 0"):
        await sync(here, there, most_at_once=0)
    with pytest.raises(ValueError, match="limit versions: expected a positive integer, got 0"):
        SyncLimits(versions=0)


class Restless(MemoryBackend):
    """A place in which, whenever a head is about to move, somebody else does ``meanwhile``, as often as there is something left of it."""

    meanwhile: list[Callable[[Store], Awaitable[object]]]

    async def write(self, key: str, body: Body, **expected: Any) -> str:
        if key.startswith("heads/") and self.meanwhile:
            first, *later = self.meanwhile
            self.meanwhile = []
            await first(Store(self))
            self.meanwhile = later
        return await super().write(key, body, **expected)


@pytest.mark.parametrize(
    ("often", "outcome"), [(1, SyncOutcome.PUSHED), (4, SyncOutcome.PUSHED), (5, SyncOutcome.BUSY), (0, SyncOutcome.DIVERGED)]
)
async def test_a_head_that_moves_meanwhile_is_looked_at_again_a_few_times(often: int, outcome: SyncOutcome) -> None:
    here, there = Store(MemoryBackend("memory:here")), Store(Restless("memory:there"))
    line = await grown(here, range(9))

    async def somebody_else(store: Store, version: str) -> None:
        await store.move(ONE, version, await store.head(ONE))

    there.backend.meanwhile = []  # type: ignore[attr-defined]
    await sync(here, there)
    await somebody_else(there, line[0])
    steps: list[Any] = [partial(somebody_else, version=version) for version in line[1 : often + 1]]
    there.backend.meanwhile = steps or [partial(grown, numbers=[50])]  # type: ignore[attr-defined]
    [row] = (await sync(here, there)).names
    assert (row.outcome, row.here) == (outcome, line[-1])
    assert outcome is SyncOutcome.DIVERGED or (await heads_of(there))[ONE] == line[often if outcome is SyncOutcome.BUSY else -1]
    await check_whole(there.backend)


async def test_an_old_leftover_is_written_again_before_something_refers_to_it() -> None:
    time = [0.0]
    here, there = Store(MemoryBackend("memory:here")), Store(MemoryBackend("memory:there", lambda: time[0]))
    await grown(here, [1])
    version = await here.version((await heads_of(here))[ONE])
    needed = [version.snapshot, str(version.base)]
    for record in (delta(1), base()):
        assert await there.put(record) in needed
    time[0] = 10_000.0
    await sync(here, there)
    found = [await there.backend.look(object_key(digest)) for digest in needed]
    assert [entry.modified for entry in found if entry] == [10_000.0, 10_000.0]


async def test_a_base_that_others_there_have_is_not_moved_again() -> None:
    time = [0.0]
    here, there = Store(MemoryBackend("memory:here")), Store(MemoryBackend("memory:there", lambda: time[0]))
    await grown(here, [1])
    await sync(here, there)
    time[0] = 10_000.0
    await grown(here, [2], OTHER)
    assert (await sync(here, there)).objects == 2


async def test_a_backend_that_fails_is_told_as_it_is() -> None:
    class Away(MemoryBackend):
        async def look(self, key: str) -> None:
            raise BackendError("away: no answer")

    here = pair()[0]
    await grown(here, range(2))
    away: Backend = Away()
    with pytest.raises(BackendError, match="no answer"):
        await sync(here, Store(away))
