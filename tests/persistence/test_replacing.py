"""A snapshot that is taken away for good: who asks for it is given what stands in for it, whatever interrupted the taking."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tailor.persistence import (
    DeltaSnapshot,
    FullSnapshot,
    MemoryBackend,
    Metadata,
    MissingError,
    Name,
    RecordError,
    SetValue,
    Store,
    StoreError,
    Version,
    keep_replacement,
    object_key,
    replace_snapshot,
    rollback,
    snapshot_hash,
    sync,
)
from tailor.persistence.testing import Fault, FaultyBackend, Killed

pytestmark = pytest.mark.anyio

TOLD = Metadata(datetime(2026, 1, 2, tzinfo=UTC), model="m")
NAME = Name("m", "anna")
BASE = FullSnapshot(Metadata(datetime(2000, 1, 1, tzinfo=UTC)), b"a base")


def delta(*rows: float) -> DeltaSnapshot:
    return DeltaSnapshot(TOLD, "0" * 64, {"samples": SetValue(np.array(rows, np.float32))})


async def two_versions(store: Store) -> tuple[str, str]:
    """Both have the same snapshot, with the secret 7."""
    first, head = await store.commit(NAME, Version(TOLD, "0" * 64), delta(1, 7), None, BASE)
    second, _ = await rollback(store, NAME, first, replace(TOLD, model="again"), head)
    return first, second


async def values(store: Store, version: str) -> list[float]:
    snapshot = await store.snapshot((await store.version(version)).snapshot)
    assert isinstance(snapshot, DeltaSnapshot)
    change = snapshot.values["samples"]
    assert isinstance(change.value, np.ndarray)
    found: list[float] = change.value.tolist()
    return found


async def test_every_version_that_had_it_shows_what_stands_in_for_it() -> None:
    store = Store(MemoryBackend())
    first, second = await two_versions(store)
    old = snapshot_hash(delta(1, 7))
    assert await replace_snapshot(store, old, delta(1)) == snapshot_hash(delta(1))
    assert [await values(store, version) for version in (first, second)] == [[1.0], [1.0]]
    assert not await store.has(old)
    assert [digest for digest, _ in await store.history(second)] == [second, first]


async def test_what_stands_in_may_be_replaced_in_turn_and_can_be_gone_back_to() -> None:
    store = Store(MemoryBackend())
    first, _ = await two_versions(store)
    await replace_snapshot(store, snapshot_hash(delta(1, 7)), delta(1))
    await replace_snapshot(store, snapshot_hash(delta(1)), delta())
    assert await values(store, first) == []
    digest, _ = await rollback(store, NAME, first, TOLD)
    assert (await store.version(digest)).snapshot == snapshot_hash(delta()), "a new version names what is there"


@pytest.mark.parametrize("fault", Fault)
async def test_stopped_anywhere_and_done_again_it_is_gone(fault: Fault) -> None:
    for n in itertools.count():
        inner = MemoryBackend()
        first, second = await two_versions(Store(inner))
        old = snapshot_hash(delta(1, 7))
        faulty = FaultyBackend(inner, {n: fault})
        with suppress(Killed, StoreError):
            await replace_snapshot(Store(faulty), old, delta(1))
        for version in (first, second):
            assert await values(Store(inner), version) in ([1.0, 7.0], [1.0])
        await replace_snapshot(Store(inner), old, delta(1))
        assert [await values(Store(inner), version) for version in (first, second)] == [[1.0], [1.0]]
        assert await inner.look(object_key(old)) is None
        if not faulty.failed:
            break
    assert n > 2


async def test_marks_that_lead_in_a_circle_and_hashes_that_never_were_are_refused() -> None:
    store = Store(MemoryBackend("memory:circle"))
    with pytest.raises(MissingError, match="memory:circle"):
        await store.snapshot("a" * 64)
    await keep_replacement(store, "a" * 64, "b" * 64)
    await keep_replacement(store, "b" * 64, "a" * 64)
    with pytest.raises(RecordError, match="snapshot: expected one that was not replaced by what it replaced"):
        await store.snapshot("a" * 64)


async def test_another_store_is_given_what_stands_in_and_never_gives_the_old_one_back() -> None:
    here, there, third = (Store(MemoryBackend(name)) for name in ("memory:here", "memory:there", "memory:third"))
    first, second = await two_versions(here)
    await sync(here, third)
    old = snapshot_hash(delta(1, 7))
    await replace_snapshot(here, old, delta(1))
    await sync(here, there)
    assert [await values(there, version) for version in (first, second)] == [[1.0], [1.0]]
    _, head = await third.commit(NAME, Version(TOLD, "0" * 64, (second,)), delta(2), await third.head(NAME), BASE)
    await sync(there, third)
    found = await there.head(NAME)
    assert found is not None and found.version == head.version
    assert not await there.has(old) and await values(there, first) == [1.0]
