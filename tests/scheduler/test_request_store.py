"""Stores of background requests: what was acknowledged is kept, and what is not theirs is left alone."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from tailor.scheduler import BGProcessingTaskRequest, KeptRequest, MemoryRequestStore, RequestStore, RequestStoreError, SQLiteRequestStore
from tailor.scheduler.background import request_store as implementation
from tailor.scheduler.testing import FaultyRequestStore, check_request_store

pytestmark = pytest.mark.anyio

FIRST, SECOND = (KeptRequest(BGProcessingTaskRequest(name), number) for number, name in enumerate(["first", "second"], 1))


def close(store: RequestStore) -> None:
    assert isinstance(store, SQLiteRequestStore)
    store.close()


async def test_stores_keep_the_promises_of_the_interface(tmp_path: Path) -> None:
    memory = MemoryRequestStore()
    await check_request_store(lambda: memory)
    await check_request_store(lambda: SQLiteRequestStore(tmp_path / "requests.db"), close)
    await check_request_store(lambda: FaultyRequestStore(memory, first=100))


async def test_the_check_finds_a_store_that_forgets(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="expected .*app.clean.*got \\[\\]"):
        await check_request_store(MemoryRequestStore)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("failing", range(1, 6))
async def test_what_was_acknowledged_is_there_and_what_was_not_has_raised(failing: int, late: bool, tmp_path: Path) -> None:
    with SQLiteRequestStore(tmp_path / "requests.db") as store:
        faulty, acknowledged = FaultyRequestStore(store, failing, late=late), {}
        for number in range(1, 6):
            kept = KeptRequest(BGProcessingTaskRequest(f"p{number}"), number)
            try:
                await faulty.save(kept)
                acknowledged[number] = kept
            except RequestStoreError as error:
                assert (number, str(error)) == (failing, f"on purpose, at change {failing}")
    with SQLiteRequestStore(tmp_path / "requests.db") as again:
        found = {kept.number: kept for kept in await again.load()}
    assert found.keys() - acknowledged.keys() == ({failing} if late else set()) and acknowledged.items() <= found.items()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # another process costs time, and the store is the same
async def test_one_at_a_time_uses_a_file(anyio_backend: str, tmp_path: Path) -> None:
    path = tmp_path / "requests.db"
    program = f"""
import anyio
from tailor.scheduler import RequestStoreError, SQLiteRequestStore

async def main():
    try:
        await SQLiteRequestStore({str(path)!r}, patience=0).load()
    except RequestStoreError as error:
        print(error)

anyio.run(main)
"""
    message = f"{path}: expected a store that nobody else uses, got one that is in use, perhaps by another process"
    with SQLiteRequestStore(path) as first, SQLiteRequestStore(path, patience=0) as second:
        await first.save(FIRST)
        with pytest.raises(RequestStoreError) as refused:
            await second.save(SECOND)
        assert str(refused.value) == message
        other = await anyio.run_process([sys.executable, "-c", program], check=True, stderr=subprocess.STDOUT)
        assert other.stdout.decode().strip() == message
        await first.save(KeptRequest(FIRST.request, 3))
        first.close()
        assert [kept.number for kept in await second.load()] == [3]


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE letters (a)")
    connection.close()


async def spoil(path: Path, change: str) -> None:
    with SQLiteRequestStore(path) as store:
        await store.save(FIRST)
    connection = sqlite3.connect(path)
    connection.execute(change)
    connection.commit()
    connection.close()


def cut(path: Path) -> None:
    anyio.run(spoil, path, "PRAGMA user_version = 1")
    path.write_bytes(path.read_bytes()[:-4000])


def overwritten(path: Path) -> None:
    anyio.run(spoil, path, "PRAGMA user_version = 1")
    data = bytearray(path.read_bytes())
    data[4096:8192] = b"\x5a" * 4096
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("something else altogether\n" * 50), "got a damaged or foreign file (file is not a database)"),
        (foreign, "expected a store of background requests, got a database of something else"),
        (lambda path: anyio.run(spoil, path, "PRAGMA user_version = 99"), "of version 1 at most, got version 99: a later tailor wrote it"),
        (cut, "got a damaged or foreign file"),
        (overwritten, "got a damaged or foreign file"),
        (
            lambda path: anyio.run(spoil, path, "UPDATE requests SET earliest_begin_date = 'soon'"),
            "a row makes no sense: Invalid isoformat string: 'soon'",
        ),
        (lambda path: anyio.run(spoil, path, "UPDATE requests SET identifier = ''"), "a row makes no sense: request: expected an"),
        (Path.mkdir, "the requests could not be read or written: unable to open database file"),
    ],
    ids=["text", "another database", "a later version", "cut", "overwritten", "a date", "an identifier", "a folder"],
)
def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "requests.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None

    async def use() -> None:
        with SQLiteRequestStore(path) as store:
            for ask in (store.load(), store.load()):
                with pytest.raises(RequestStoreError) as refused:
                    await ask
                assert str(refused.value).startswith(f"{path}: ") and message in str(refused.value)

    anyio.run(use)
    assert (path.read_bytes() if path.is_file() else None) == before


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "requests.db"
    with SQLiteRequestStore(path) as store, pytest.raises(RequestStoreError, match="nowhere.*No such file or directory"):
        await store.save(FIRST)


def size(path: Path) -> int:
    return path.stat().st_size


async def test_a_disk_that_is_full_for_a_while_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limits of a process to fill a disk with")
    path = tmp_path / "requests.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with SQLiteRequestStore(path) as store:
        await store.save(FIRST)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size(Path(f"{path}-wal")), hard))  # no file may grow beyond that
        try:
            for ask in (store.save(SECOND), store.remove("first"), store.clear()):
                with pytest.raises(RequestStoreError, match="could not be read or written: "):
                    await ask
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await store.load() == [FIRST]
        await store.save(SECOND)
    with SQLiteRequestStore(path) as store:
        assert await store.load() == [FIRST, SECOND]


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
@pytest.mark.parametrize("name", [":memory:", "file:requests.db?mode=memory"])
async def test_every_name_is_that_of_a_file_in_the_folder_of_the_moment(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with SQLiteRequestStore(name) as store:
        monkeypatch.chdir("elsewhere")
        await store.save(FIRST)
    with SQLiteRequestStore(tmp_path / name) as store:
        assert await store.load() == [FIRST]


async def test_an_older_file_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "requests.db"
    with SQLiteRequestStore(path) as store:
        await store.save(FIRST)
    later = (*implementation.CHANGES, "CREATE TABLE notes (text TEXT)", "INSERT INTO notes VALUES ('kept')")
    monkeypatch.setattr(implementation, "CHANGES", later)
    for _ in range(2):
        with SQLiteRequestStore(path) as store:
            assert await store.load() == [FIRST]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    assert connection.execute("SELECT text FROM notes").fetchall() == [("kept",)]
    connection.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "requests.db"
    with SQLiteRequestStore(path) as store:
        await store.save(FIRST)
        modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
        assert modes == {"requests.db": 0o600, "requests.db-wal": 0o600}


async def test_each_change_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    """That nobody can see who does not pull the plug: it is SQLite's promise, for these settings."""
    with SQLiteRequestStore(tmp_path / "requests.db") as store:
        await store.save(FIRST)
        assert store._connection is not None
        settings = [store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]  # FULL


async def test_an_identifier_that_no_text_file_could_hold_is_refused(tmp_path: Path) -> None:
    with SQLiteRequestStore(tmp_path / "requests.db") as store:
        with pytest.raises(RequestStoreError, match="surrogates not allowed"):
            await store.save(KeptRequest(BGProcessingTaskRequest("\ud800"), 1))
        assert await store.load() == []


async def test_a_caller_that_is_cancelled_leaves_the_change_whole(tmp_path: Path) -> None:
    dated = KeptRequest(BGProcessingTaskRequest("second", datetime(2026, 1, 2, tzinfo=UTC)), 2)
    with SQLiteRequestStore(tmp_path / "requests.db") as store:
        await store.save(FIRST)
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, dated)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert await store.load() in ([FIRST], [FIRST, dated])
        await store.save(dated)
        assert await store.load() == [FIRST, dated]
