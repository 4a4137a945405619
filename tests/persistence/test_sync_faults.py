"""Stopped at any operation on either side, both stores are whole, nothing is lost, and doing it again goes on from there."""

from __future__ import annotations

import itertools
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import anyio
import pytest

from tailor.persistence import (
    BackendError,
    Body,
    FullSnapshot,
    MemoryBackend,
    Name,
    Store,
    SyncDirection,
    Version,
    sync,
    tag_version,
    tags_of,
)
from tailor.persistence.testing import Fault, FaultyBackend, Killed

from .synced import METADATA, NAME, check_whole, grown, heads_of, objects_of

pytestmark = pytest.mark.anyio


async def stores(direction: SyncDirection) -> tuple[MemoryBackend, MemoryBackend]:
    """Two stores of which each side that ``direction`` moves is behind with a version, a new name and a tag."""
    here, there = MemoryBackend("memory:here"), MemoryBackend("memory:there")
    await grown(Store(here), range(1))
    await sync(Store(here), Store(there))
    if direction is not SyncDirection.PULL:
        [version] = await grown(Store(here), [10])
        await tag_version(Store(here), NAME, "mine", version)
    if direction is not SyncDirection.PUSH:
        await grown(Store(there), [20], Name("drawing", "new"))
        if direction is SyncDirection.PULL:
            await grown(Store(there), [30])
    return here, there


@pytest.mark.parametrize("side", ["here", "there"])
@pytest.mark.parametrize(
    ("anyio_backend", "direction"), [("asyncio", SyncDirection.PUSH), ("asyncio", SyncDirection.PULL), ("trio", SyncDirection.BOTH)]
)
@pytest.mark.parametrize("fault", list(Fault))
async def test_both_sides_are_whole_wherever_it_stops(direction: SyncDirection, side: str, fault: Fault) -> None:
    first = await stores(direction)
    old = [await heads_of(Store(backend)) for backend in first]
    goal = deepcopy(first)
    assert not (await sync(Store(goal[0]), Store(goal[1]), direction)).failed
    for backend in goal:
        await check_whole(backend)
    new = [await heads_of(Store(backend)) for backend in goal]
    for number in itertools.count():
        here, there = deepcopy(first)
        faulty = FaultyBackend(here if side == "here" else there, {number: fault})
        sides = (faulty, there) if side == "here" else (here, faulty)
        with_fault: list[type[BaseException]] = []
        try:
            await sync(Store(sides[0]), Store(sides[1]), direction, most_at_once=2)
        except (Killed, BackendError) as stopped:
            with_fault.append(type(stopped))
        if not faulty.failed:
            break
        assert with_fault == [Killed if fault is Fault.KILL else BackendError]
        for place, backend in enumerate((here, there)):
            await check_whole(backend)
            for name, version in (await heads_of(Store(backend))).items():
                assert version in (old[place].get(name), new[place][name])
            assert await objects_of(Store(first[place])) <= await objects_of(Store(backend))
        again = await sync(Store(here), Store(there), direction)
        assert not again.failed and [await heads_of(Store(backend)) for backend in (here, there)] == new
        for backend, wanted in zip((here, there), goal, strict=True):
            assert await objects_of(Store(backend)) == await objects_of(Store(wanted))
        assert {tag.version for tag in await tags_of(Store(there))} == {tag.version for tag in await tags_of(Store(here))}


async def test_what_was_moved_is_not_moved_again() -> None:
    here, there = Store(MemoryBackend("memory:here")), MemoryBackend("memory:there")
    await grown(here, range(10))
    with pytest.raises(BackendError):
        await sync(here, Store(FaultyBackend(there, {30: Fault.ERROR})), most_at_once=1)  # several at once end in any order
    moved = await objects_of(Store(there))
    assert 0 < len(moved) < 21
    again = FaultyBackend(there)
    assert (await sync(here, Store(again))).objects == 21 - len(moved)
    assert not [row for row in again.log if row.method == "write" and row.keys[0][-64:] in moved]


class Endless(MemoryBackend):
    """A place in which no object's write ends; ``begun`` tells that one has taken all of its bytes."""

    def __init__(self) -> None:
        super().__init__("memory:endless")
        self.begun = anyio.Event()

    async def write(self, key: str, body: Body, **expected: Any) -> str:
        if key.startswith("objects/"):
            await anyio.to_thread.run_sync(lambda: [len(chunk) for chunk in body.chunks()])
            self.begun.set()
            await anyio.sleep_forever()
        return await super().write(key, body, **expected)


def left_behind(folder: Path) -> tuple[list[Path], int]:
    """The files in a folder, and how many this process has open, where that can be told."""
    told = Path("/proc/self/fd")
    return list(folder.iterdir()), len(list(told.iterdir())) if told.exists() else 0


async def test_cancelled_it_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here, there = Store(MemoryBackend("memory:here")), Endless()
    large = FullSnapshot(METADATA, bytes(10 * 2**20))  # more than is held in memory
    await here.commit(NAME, Version(METADATA, "0" * 64), large, None)
    before = left_behind(tmp_path)
    async with anyio.create_task_group() as group:
        group.start_soon(sync, here, Store(there))
        await there.begun.wait()
        group.cancel_scope.cancel()
    assert left_behind(tmp_path) == before and await objects_of(Store(there)) == set()
    assert (await sync(here, Store(MemoryBackend()))).objects == 2


async def test_a_full_disk_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    here = Store(MemoryBackend("memory:here"))
    await here.commit(NAME, Version(METADATA, "0" * 64), FullSnapshot(METADATA, bytes(10 * 2**20)), None)
    with pytest.raises(BackendError, match="temporary file: expected room for objects/.*, got: No such file"):
        await sync(here, Store(MemoryBackend()))
