"""Stopped at every operation, in every way: the old state or the new one is there, whole, and doing it again succeeds."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tailor.persistence import (
    Backend,
    BackendError,
    DirectoryBackend,
    KeptHead,
    MemoryBackend,
    Metadata,
    Name,
    Policy,
    Store,
    export_archive,
    import_archive,
    prune_store,
    rollback,
    tag_version,
    tags_of,
)
from tailor.persistence.backends import SQLiteBackend
from tailor.persistence.testing import Fault, FaultyBackend, Killed

from .stores import ANN, BEGIN, BOB, DAY, Clock, add, check_whole, copied, days, keys

pytestmark = pytest.mark.anyio

NOW = BEGIN + 20 * DAY
Work = Callable[[Store, Path], Awaitable[object]]


async def before(folder: Path) -> MemoryBackend:
    """What was there: a few days of two users, and an archive of what one of them did after that."""
    clock = Clock()
    backend = MemoryBackend(clock=clock)
    store = Store(backend)
    for name in (ANN, BOB):
        await days(store, clock, name, 2)
    later = Store(copied(backend))
    await add(later, BOB, 9, NOW)
    await add(later, BOB, 10, NOW)
    await tag_version(later, BOB, "late", (await newest(later, BOB)).version)
    await export_archive(later, folder / "archive", [BOB])
    return backend


async def newest(store: Store, name: Name = ANN) -> KeptHead:
    return next(head for head in await store.heads() if head.name == name)


async def committing(store: Store, folder: Path) -> None:
    await add(store, ANN, 7, NOW)


async def going_back(store: Store, folder: Path) -> None:
    head = await newest(store)
    oldest = (await store.history(head.version))[-1][0]
    if head.version == await first_day(store):
        await rollback(store, ANN, oldest, Metadata(NOW), head)


async def first_day(store: Store) -> str:
    """The head that ``before`` left."""
    return (await store.history((await newest(store)).version))[-2][0]


async def tagging(store: Store, folder: Path) -> None:
    if not await tags_of(store, ANN):
        await tag_version(store, ANN, "v1", (await store.history((await newest(store)).version))[-1][0])


async def pruning(store: Store, folder: Path) -> None:
    await prune_store(store, Policy(last=1), NOW, grace=timedelta(hours=3))


async def importing(store: Store, folder: Path) -> None:
    await import_archive(store, folder / "archive")


WORKS: list[Work] = [committing, going_back, tagging, pruning, importing]


async def state(store: Store) -> tuple[object, ...]:
    """What can be seen of a store from outside, dates of new commits aside."""
    heads = {head.name: head.version for head in await store.heads()}
    return heads, [(tag.name, tag.version) for tag in await tags_of(store)], await store.pruned()


@pytest.mark.parametrize(("anyio_backend", "fault"), [*(("asyncio", fault) for fault in Fault), ("trio", Fault.KILL)])
@pytest.mark.parametrize("work", WORKS, ids=[work.__name__ for work in WORKS])
async def test_stopped_at_any_operation_the_old_or_the_new_state_is_whole(work: Work, fault: Fault, tmp_path: Path) -> None:
    origin = await before(tmp_path)
    old = await state(Store(origin))
    done = copied(origin)
    await work(Store(done), tmp_path)
    new, everything = await state(Store(done)), await keys(done)
    for number in itertools.count():
        inner = copied(origin)
        faulty = FaultyBackend(inner, {number: fault})
        try:
            await work(Store(faulty), tmp_path)
        except (Killed, BackendError):
            assert faulty.failed
        store = Store(inner)
        await check_whole(store)
        if not faulty.failed:
            assert await state(store) == new
            break
        heads, tags, pruned = await state(store)
        for found, first, last in zip((heads, tags), old, new, strict=False):
            assert found in (first, last)
        assert pruned <= new[2]
        await work(store, tmp_path)
        assert work is committing or await state(store) == new
        assert work is committing or await keys(inner) >= everything
    assert number > 4


def in_a_folder(folder: Path) -> Backend:
    return DirectoryBackend(folder / "store")


def in_a_file(folder: Path) -> Backend:
    return SQLiteBackend(folder / "store.db")


PLACES = [in_a_folder, in_a_file]


@pytest.mark.parametrize("fault", [Fault.TEAR, Fault.KILL])
@pytest.mark.parametrize("place", PLACES)
async def test_the_same_on_disk_at_some_operations(place: Callable[[Path], Backend], fault: Fault, tmp_path: Path) -> None:
    generator = random.Random(f"{place.__name__} {fault}")
    inner = place(tmp_path)
    store = Store(inner)
    head = await add(store, ANN, 0)
    for turn in range(1, 7):
        faulty = FaultyBackend(inner, {generator.randrange(8): fault})
        try:
            head = await add(Store(faulty), ANN, turn, before=head)
        except (Killed, BackendError):
            assert faulty.failed
        found = await newest(store)
        past = [digest for digest, _ in await store.history(found.version)]
        assert head.version in past, "what was acknowledged is there"
        assert len(past) <= turn + 1
        head = found
    await check_whole(store)
    await inner.aclose()


# Loads everything once, and then, for each line, forks a process that commits until it is killed or has done enough.
PROGRAM = """
import os, sys
import anyio
from pathlib import Path
from tailor.persistence import ConflictError, Store
from tests.persistence import test_store_faults as tests
from tests.persistence.stores import ANN, add

async def work(place, folder, first, count):
    store = Store(getattr(tests, place)(Path(folder)))
    for number in range(first, first + count):
        while True:
            try:
                head = await add(store, ANN, number)
                break
            except ConflictError:
                pass
        print(head.version, flush=True)

for line in sys.stdin:
    place, folder, *numbers = line.rstrip().split("|")
    child = os.fork()
    if not child:
        anyio.run(work, place, folder, *map(int, numbers))
        os._exit(0)
    print(child, flush=True)
"""


@pytest.fixture(scope="module")
def committer() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def tell(process: subprocess.Popen[str], place: Callable[[Path], Backend], folder: Path, first: int, count: int) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{place.__name__}|{folder}|{first}|{count}\n")
    process.stdin.flush()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("place", PLACES)
async def test_what_a_process_that_was_killed_has_told_of_is_there(
    place: Callable[[Path], Backend], committer: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert committer.stdout is not None
    told: list[str] = []
    backend = place(tmp_path)
    store = Store(backend)
    for count in (1, 4, 6):
        tell(committer, place, tmp_path, 100 * count, 1000)
        lines = [committer.stdout.readline().strip() for _ in range(1 + count)]
        child = next(line for line in lines if len(line) < 64)
        os.kill(int(child), signal.SIGKILL)
        tell(committer, place, tmp_path, 0, 0)  # whatever the dead one told comes before this one's number
        lines += itertools.takewhile(lambda line: len(line) == 64, (line.strip() for line in committer.stdout))
        told += [line for line in lines if line != child]
        past = [digest for digest, _ in await store.history((await newest(store)).version)]
        assert set(told) <= set(past)
        assert len(past) <= len(told) + 3, "one at most for each that was killed before it could tell"
        await check_whole(store)
    await backend.aclose()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("place", PLACES)
async def test_two_processes_on_one_head_lose_nothing(
    place: Callable[[Path], Backend], committer: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert committer.stdout is not None
    for number in range(2):
        tell(committer, place, tmp_path, 100 * number, 8)
    lines = [committer.stdout.readline().strip() for _ in range(2 + 16)]
    told = {line for line in lines if len(line) == 64}
    backend = place(tmp_path)
    store = Store(backend)
    assert {digest for digest, _ in await store.history((await newest(store)).version)} == told
    assert len(told) == 16
    await check_whole(store)
    await backend.aclose()
