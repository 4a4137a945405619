"""Laws of syncs over random pasts: twice is once, everybody ends with the same, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor.persistence import MemoryBackend, Name, Store, SyncDirection, SyncedName, SyncOutcome, SyncReport, sync

from .synced import check_whole, grown, heads_of, merged

NAMES = [Name("drawing", user) for user in ("ada", "bob")]
PAIRS = [(0, 1), (1, 2), (2, 0)]

COMMIT = st.tuples(st.just("commit"), st.sampled_from(range(3)), st.sampled_from(range(2)))
SYNC = st.tuples(st.just("sync"), st.sampled_from(PAIRS), st.sampled_from(list(SyncDirection)))
PASTS = st.lists(COMMIT | SYNC, max_size=8)


async def settle(stores: list[Store], merging: bool) -> list[Name]:
    """Syncs all with all until nothing moves any more; the names that have diverged, where they are not merged."""
    for _ in range(4):
        moved, diverged = 0, set[Name]()
        for first, second in PAIRS:
            report = await sync(stores[first], stores[second])
            assert not report.failed
            moved += report.objects + len(report.of(SyncOutcome.PUSHED, SyncOutcome.PULLED))
            for row in report.diverged:
                diverged.add(row.name)
                if merging:
                    await merged(stores[first], [str(row.here), str(row.there)], -1, row.name)
            again = await sync(stores[first], stores[second], dry_run=not merging)
            assert len(again.of(SyncOutcome.PUSHED)) == len(again.names) if merging else (again.objects, again.names) == (0, ended(report))
        if not moved and not (merging and diverged):
            return sorted(diverged, key=str)
    pytest.fail("it goes on and on")


def ended(report: SyncReport) -> tuple[SyncedName, ...]:
    """What a sync tells that comes right after another one."""
    return tuple(replace(row, objects=0, bytes=0) for row in report.diverged)


async def live(past: list[Any], merging: bool) -> None:
    stores = [Store(MemoryBackend(f"memory:{number}")) for number in range(3)]
    made: dict[Name, set[str]] = {name: set() for name in NAMES}
    for number, (what, where, detail) in enumerate(past):
        if what == "commit":
            made[NAMES[detail]].update(await grown(stores[where], [number], NAMES[detail]))
        else:
            await sync(stores[where[0]], stores[where[1]], detail)
    diverged = await settle(stores, merging)
    for store in stores:
        await check_whole(store.backend)
    heads = [await heads_of(store) for store in stores]
    for name in NAMES:
        histories = {digest for store, found in zip(stores, heads, strict=True) if name in found
                     for digest, _ in await store.history(found[name])}  # fmt: skip
        assert made[name] <= histories
        if name not in diverged:
            assert len({found.get(name) for found in heads}) == 1
    if merging:
        assert diverged == []


@pytest.mark.parametrize(("backend", "merging", "examples"), [("asyncio", False, 10), ("asyncio", True, 8), ("trio", True, 2)])
def test_all_that_was_made_anywhere_ends_everywhere(backend: str, merging: bool, examples: int) -> None:
    @settings(max_examples=examples)
    @given(PASTS)
    def law(past: list[Any]) -> None:
        anyio.run(live, past, merging, backend=backend)

    law()
