"""What a policy keeps, and what pruning leaves: every head and tag whole, and whatever somebody may be about to refer to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tailor.persistence import (
    Body,
    Entry,
    FullSnapshot,
    MemoryBackend,
    Metadata,
    MissingError,
    Name,
    Policy,
    RecordError,
    Store,
    Version,
    kept,
    prune_store,
    rollback,
    tag_version,
)
from tailor.persistence.store import keep_replacement, object_key, pruned_key, replace_snapshot

from .stores import ANN, BASE, BEGIN, BOB, DAY, Clock, add, check_whole, days, delta, keys, version

pytestmark = pytest.mark.anyio

HOURS = timedelta(hours=1)
PLACES = {
    "hourly": lambda made: (made.date(), made.hour),
    "daily": lambda made: made.date(),
    "weekly": lambda made: made.date() - timedelta(days=made.weekday()),
    "monthly": lambda made: (made.year, made.month),
    "yearly": lambda made: made.year,
}


def named(*times: datetime) -> list[tuple[str, datetime]]:
    return [(str(place), made) for place, made in enumerate(times)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(last=2), "01"),
        (Policy(last=99), "01234567"),
        (Policy(daily=2), "02"),
        (Policy(daily=3), "023"),
        (Policy(weekly=3), "046"),
        (Policy(monthly=2), "06"),
        (Policy(yearly=5), "07"),
        (Policy(hourly=2), "01"),
        (Policy(within=timedelta(days=2)), "012"),
        (Policy(last=1, yearly=2), "07"),
        (Policy(within=timedelta(microseconds=1)), ""),
    ],
)
def test_what_a_policy_keeps(policy: Policy, expected: str) -> None:
    days_ago = [0.1, 0.3, 1.2, 3, 7, 10, 20, 200]  # of Sunday the 15th of March: the 14th, 12th, 8th, 5th, the 23rd of February, August
    now = datetime(2026, 3, 15, 12, tzinfo=UTC)
    assert kept(named(*(now - timedelta(days=number) for number in days_ago)), policy, now) == set(expected)


@settings(max_examples=60)
@given(
    some.lists(some.integers(0, 500 * 24 * 60), max_size=40, unique=True),
    some.sampled_from(sorted(PLACES)),
    some.integers(1, 5),
    some.integers(-12, 12),
)
def test_of_each_of_the_last_periods_with_a_version_the_newest_is_kept(minutes: list[int], name: str, count: int, zone: int) -> None:
    now = datetime(2026, 3, 15, 12, tzinfo=timezone(zone * HOURS))
    versions = named(*(now.astimezone(UTC) - timedelta(minutes=number) for number in sorted(minutes)))
    groups = [list(group) for _, group in groupby(versions, lambda pair: PLACES[name](pair[1].astimezone(now.tzinfo)))]
    assert kept(versions, Policy(**{name: count}), now) == {group[0][0] for group in groups[:count]}


def test_a_clock_that_is_ahead_takes_one_place_and_no_more() -> None:
    ahead = [BEGIN + timedelta(days=9000 - number) for number in range(3)]
    assert kept(named(*ahead, BEGIN - DAY, BEGIN - 2 * DAY), Policy(daily=3), BEGIN) == {"0", "3", "4"}


@pytest.mark.parametrize("hours", [-12, 0, 14])
def test_what_claims_to_be_as_old_as_can_be_has_a_date_in_every_zone(hours: int) -> None:
    now = BEGIN.astimezone(timezone(timedelta(hours=hours)))
    assert kept(named(BEGIN, datetime.min.replace(tzinfo=UTC)), Policy(yearly=2), now) == {"0", "1"}


@pytest.mark.parametrize(
    "wrong", [{}, {"last": 0}, {"daily": -1}, {"weekly": True}, {"last": 1.5}, {"within": 3}, {"within": timedelta(0)}]
)
def test_a_policy_that_keeps_nothing_or_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="policy: "):
        Policy(**wrong)


async def test_pruned_versions_stay_and_their_snapshots_go() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    anns, bobs = await days(store, clock, ANN, 6), await days(store, clock, BOB, 2)
    await tag_version(store, ANN, "first", anns[0])
    clock.now += 2 * DAY
    lost = [(await store.version(digest)).snapshot for digest in anns[1:4]]
    before = await keys(store.backend)
    told: list[tuple[int, int]] = []
    dry = await prune_store(store, Policy(last=2), clock.now, dry_run=True)
    assert await keys(store.backend) == before
    report = await prune_store(store, Policy(last=2), clock.now, progress=lambda done, total: told.append((done, total)))
    assert report == dry
    assert set(report.kept) == {anns[0], *anns[4:], *bobs}
    assert (set(report.pruned), set(report.removed), report.young) == (set(anns[1:4]), set(lost), ())
    assert await keys(store.backend) == before - {object_key(digest) for digest in lost} | {pruned_key(digest) for digest in anns[1:4]}
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert await store.pruned() == set(anns[1:4])
    assert await store.was_pruned(anns[1])
    assert len(await store.history(anns[5])) == 6
    assert (await check_whole(store)).unreferenced == ()
    again = await prune_store(store, Policy(last=2), clock.now)
    assert (again.pruned, again.removed) == ((), ())
    later = await prune_store(store, None, clock.now)
    assert (set(later.kept), later.removed) == (set(report.kept), ())


async def test_what_was_written_lately_stays() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    versions = await days(store, clock, ANN, 4)
    report = await prune_store(store, Policy(last=1), clock.now, grace=timedelta(days=2, hours=1))
    assert set(report.pruned) == {versions[0], versions[1]}
    assert versions[2] in report.kept
    with pytest.raises(ValueError, match="grace"):
        await prune_store(store, None, clock.now, grace=-DAY)
    with pytest.raises(ValueError, match="time zone"):
        await prune_store(store, None, datetime(2026, 1, 1))
    await check_whole(store)


async def test_leftovers_of_interrupted_work_go_children_first_once_they_are_old() -> None:
    clock = Clock()
    backend = MemoryBackend(clock=clock)
    store = Store(backend)
    await add(store, ANN, 1)
    snapshot, other_base = await store.put(delta(2)), await store.put(FullSnapshot(BASE.metadata, b"another"))
    first = await store.put(Version(Metadata(BEGIN), snapshot, (), other_base))
    second = await store.put(Version(Metadata(BEGIN), snapshot, (first,), other_base))
    await backend.write(object_key("0" * 64), Body.of(b"not even a record"))
    report = await prune_store(store, Policy(last=1), clock.now)
    assert (report.removed, report.young) == ((), ("0" * 64,)), "what a young version refers to is needed, old or not"
    clock.now += 2 * DAY
    removed: list[str] = []
    gone = backend.remove

    async def remove(key: str) -> None:
        removed.append(key.rpartition("/")[2])
        await gone(key)

    backend.remove = remove
    report = await prune_store(store, Policy(last=1), clock.now)
    assert set(removed) == set(report.removed) == {first, second, snapshot, other_base, "0" * 64}
    assert removed[:2] == [second, first]
    await check_whole(store)


async def test_a_snapshot_that_a_kept_version_shares_stays() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    versions = await days(store, clock, ANN, 3)
    digest, _ = await rollback(store, ANN, versions[0], Metadata(clock.now))
    clock.now += 2 * DAY
    report = await prune_store(store, Policy(last=1), clock.now)
    assert set(report.pruned) == {versions[1], versions[2]}
    assert set(report.kept) == {digest, versions[0]}
    await check_whole(store)


async def test_a_base_that_no_kept_version_needs_goes() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    await add(store, ANN, 1)
    other = FullSnapshot(BASE.metadata, b"the next base")
    head = await store.head(ANN)
    assert head is not None
    old = (await store.version(head.version)).base
    await store.commit(ANN, version(BEGIN + DAY, head.version), delta(2), head, other)
    clock.now += 2 * DAY
    report = await prune_store(store, Policy(last=1), clock.now)
    assert old in report.removed
    await check_whole(store)


async def test_a_snapshot_that_was_replaced_goes_and_what_stands_in_stays() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    versions = await days(store, clock, ANN, 2)
    old = (await store.version(versions[0])).snapshot
    kept_bytes = delta(0, BEGIN)
    new = await replace_snapshot(store, old, delta(77))
    assert await store.put(kept_bytes) == old, "as if the replacing had been interrupted"
    clock.now += 2 * DAY
    report = await prune_store(store, Policy(last=9), clock.now)
    assert report.removed == (old,)
    assert await store.resolved(old) == new
    await check_whole(store)
    await keep_replacement(store, new, await store.put(delta(78)))
    assert (await check_whole(store)).unreferenced == ()


async def test_nothing_goes_where_the_store_is_not_whole() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    versions = await days(store, clock, ANN, 3)
    clock.now += 9 * DAY
    before = await keys(store.backend)
    await store.backend.remove(object_key(versions[1]))
    with pytest.raises(MissingError, match=versions[1]):
        await prune_store(store, Policy(last=1), clock.now)
    await store.backend.write("heads/m/bob/main", Body.of(b"?"))
    with pytest.raises(RecordError, match="heads/m/bob/main"):
        await prune_store(store, Policy(last=1), clock.now)
    assert await keys(store.backend) == before - {object_key(versions[1])} | {"heads/m/bob/main"}


class Interrupted(MemoryBackend):
    """Does something right before the first operation that it is asked to wait for."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.before: Callable[[str, str], Any] | None = None

    async def _tell(self, method: str, key: str) -> None:
        if self.before is not None and (work := self.before(method, key)) is not None:
            self.before = None
            await work

    async def look(self, key: str) -> Entry | None:
        await self._tell("look", key)
        return await super().look(key)

    async def list(self, prefix: str) -> list[Entry]:
        found = await super().list(prefix)
        await self._tell("list", prefix)
        return found


@pytest.mark.parametrize("moment", ["list objects/", "list heads/", "list tags/", "last look"])
@pytest.mark.parametrize("work", ["rollback", "tag", "commit"])
async def test_what_a_writer_writes_at_any_moment_of_pruning_is_safe(moment: str, work: str) -> None:
    clock = Clock()
    backend = Interrupted(clock)
    store = Store(backend)
    versions = await days(store, clock, ANN, 4)
    leftover = delta(50)
    risky = object_key(await store.put(leftover) if work == "commit" else (await store.version(versions[1])).snapshot)
    clock.now += 9 * DAY

    async def write() -> None:
        other = Store(backend)
        if work == "rollback":
            await rollback(other, ANN, versions[1], Metadata(clock.now))
        elif work == "tag":
            await tag_version(other, ANN, "kept", versions[1])
        else:  # of just what a leftover is
            head = await other.head(ANN)
            await other.commit(ANN, version(clock.now, versions[3]), leftover, head, BASE)

    moments = [moment, f"look {risky}"]
    backend.before = lambda asked, key: write() if f"{asked} {key}" in moments else None
    await prune_store(store, Policy(last=1), clock.now)
    assert backend.before is None
    head = await store.head(ANN)
    assert head is not None
    needed = versions[1] if work == "tag" else head.version
    assert await store.snapshot((await store.version(needed)).snapshot)
    await check_whole(store)


async def test_a_mark_that_is_written_again_meanwhile_stays_with_its_version() -> None:
    clock = Clock()
    backend = Interrupted(clock)
    store = Store(backend)
    head = await add(store, ANN, 1)
    left = Version(Metadata(BEGIN), "0" * 64, (head.version,))
    digest = await store.put(left)
    await backend.write(pruned_key(digest), Body.of(b""))
    clock.now += 2 * DAY

    async def write() -> None:  # as a sync does with what the other side has pruned
        await backend.write(pruned_key(digest), Body.of(b""))
        await store.move(ANN, await store.put(left), head)

    backend.before = lambda asked, key: write() if key == object_key(digest) else None
    report = await prune_store(store, Policy(last=1), clock.now)
    assert backend.before is None and report.removed == ()
    assert await store.was_pruned(digest)
    await check_whole(store)


class Hurried(Clock):
    """Each look at it takes forty minutes."""

    def __call__(self) -> float:
        self.now += timedelta(minutes=40)
        return super().__call__()


async def test_readers_and_writers_go_on_while_pruning() -> None:
    store = Store(MemoryBackend(clock=Hurried()))
    pruned: list[str] = []
    left = 4

    async def work(number: int) -> None:
        nonlocal left
        name = (ANN, BOB)[number % 2]
        for turn in range(15):
            if number < 2:
                await add(store, name, 100 * number + turn, BEGIN + turn * DAY)
            else:
                await read(name)
        left -= 1

    async def read(name: Name) -> None:
        head = await store.head(name)
        for digest, found in await store.history(head.version) if head is not None else []:
            try:
                await store.snapshot(found.snapshot)
            except MissingError:
                assert await store.was_pruned(digest)

    async def prune() -> None:
        while left:
            pruned.extend((await prune_store(store, Policy(last=2), BEGIN + 99 * DAY)).pruned)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(prune)
        for number in range(4):
            group.start_soon(work, number)
    await check_whole(store)
    assert [len(await store.history(head.version)) for head in await store.heads()] == [15, 15]
    assert set(pruned) == await store.pruned() != set()
