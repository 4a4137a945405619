"""Whenever a daemon dies, the next one on the same folder ends with the same bits, and learns each example once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from tailor import MLModelStore
from tailor.daemon.daemon import Daemon
from tailor.persistence import Backend, MemoryBackend
from tailor.persistence.testing import Fault, FaultyBackend, Killed
from tests.daemon.updates.daemons import BASE, LEARN, dying, examples, learned, opened, rows, taught

ROWS = rows(4)


async def check(daemon: Daemon, backend: Backend, expected: str) -> None:
    """One version, of one update, that has learned every example; nothing is left over."""
    user = await daemon.user("m", "ann")
    assert (user.waiting, user.taken, user.learned, user.set_aside) == (0, 0, len(ROWS), 0)
    updates = await daemon.updates(model="m", user="ann")
    assert [update.state for update in updates] == ["completed"]
    async with MLModelStore(backend) as store:
        assert [version.metadata["update"] for version in await store.log("m", "ann")] == [updates[0].identifier]
        assert (await store.model("m", "ann")).content_hash == expected
    assert {example.version for example in await daemon.examples("m", "ann")} == {updates[0].version}


async def lives(folder: Path, backend: Backend, expected: str = "") -> None:
    """What a process does that may die on the way; whoever sends examples sends them again until they are acknowledged."""
    async with opened(folder, backend, LEARN) as daemon:
        await daemon.add_examples("m", "ann", examples(ROWS))
        await taught(daemon, len(ROWS))
        if expected:
            await check(daemon, backend, expected)


def loops() -> Iterator[str]:
    """Every second time the other event loop."""
    return itertools.cycle(("asyncio", "trio"))


def test_killed_at_any_change_of_the_ledger_and_any_reading_of_an_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = anyio.run(learned, BASE, ROWS).content_hash

    async def one(point: int) -> bool:
        folder, backend = tmp_path / str(point), MemoryBackend()
        with monkeypatch.context() as patch:
            made = dying(patch, point)
            with suppress(Killed, BaseExceptionGroup):  # nothing else can come out: what does is not as expected then
                await lives(folder, backend)
        await lives(folder, backend, expected)
        return made[0].is_dead

    points = next(point for point, loop in zip(itertools.count(1), loops(), strict=False) if not anyio.run(one, point, backend=loop))
    assert points > 15  # what is registered, added, planned, begun, committed and ended, and each reading; or there is nothing to this test


def test_killed_at_any_operation_of_the_store(tmp_path: Path) -> None:
    expected = anyio.run(learned, BASE, ROWS).content_hash

    async def one(point: int) -> bool:
        folder, backend = tmp_path / str(point), MemoryBackend()
        faulty = FaultyBackend(backend, {point: Fault.KILL})
        with suppress(Killed, BaseExceptionGroup):
            await lives(folder, faulty)
        await lives(folder, backend, expected)
        return faulty.failed

    points = next(point for point, loop in zip(itertools.count(), loops(), strict=False) if not anyio.run(one, point, backend=loop))
    assert points > 5
