"""Group commit: who shares a transaction, who is answered what, and what a disk that fails leaves."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event as ThreadEvent
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from tailor import MLModelError
from tailor.daemon.ledger import Ledger, LedgerConflict, LedgerError, open_ledger
from tailor.daemon.ledger.opening import open_file
from tailor.daemon.ledger.writing import Writer

from .made import MODEL, START, clock, plan, row, rows, states

pytestmark = pytest.mark.anyio


class Disk:
    """A writer on a file with one table; its thread can be held up, and let go again."""

    def __init__(self, path: Path) -> None:
        self.connection = open_file(path)
        self.connection.execute("CREATE TABLE numbers (number INTEGER NOT NULL UNIQUE)")
        self.writer = Writer("the ledger", self.connection)
        self.path = path
        self.begun, self.go_on = ThreadEvent(), ThreadEvent()

    def numbers(self) -> list[int]:
        """What is in the file, as another program sees it."""
        with closing(sqlite3.connect(self.path)) as other:
            return [number for (number,) in other.execute("SELECT number FROM numbers ORDER BY number")]

    def put(self, number: int) -> Callable[[sqlite3.Connection], int]:
        def do(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO numbers VALUES (?)", (number,))
            return number

        return do

    def hold(self, connection: sqlite3.Connection) -> None:
        self.begun.set()
        assert self.go_on.wait(60)


@pytest.fixture
async def disk(tmp_path: Path, anyio_backend: str) -> Any:
    disk = Disk(tmp_path / "ledger.sqlite")
    yield disk
    disk.go_on.set()
    await disk.writer.close()


async def held(disk: Disk, tasks: Any) -> None:
    """Returns once the writer's thread is held up in a transaction."""
    tasks.start_soon(disk.writer.change, disk.hold)
    await anyio.to_thread.run_sync(disk.begun.wait, 60)


async def test_what_waits_shares_a_transaction_and_is_answered_in_order(disk: Disk) -> None:
    answers: list[int] = []

    async def change(number: int) -> None:
        answers.append(await disk.writer.change(disk.put(number)))

    async with anyio.create_task_group() as tasks:
        await held(disk, tasks)
        for number in range(30):
            tasks.start_soon(change, number)
            await anyio.wait_all_tasks_blocked()
        disk.go_on.set()
    assert disk.writer.groups == 2
    assert answers == disk.numbers() == list(range(30))


async def test_one_that_is_refused_does_not_undo_the_others(disk: Disk) -> None:
    failures: list[Exception] = []

    async def change(do: Callable[[sqlite3.Connection], Any]) -> None:
        try:
            await disk.writer.change(do)
        except (MLModelError, ZeroDivisionError) as error:
            failures.append(error)

    def halfway(connection: sqlite3.Connection) -> float:
        disk.put(7)(connection)
        return 1 / 0

    async with anyio.create_task_group() as tasks:
        await held(disk, tasks)
        for do in (disk.put(1), halfway, disk.put(1), disk.put(2), lambda connection: connection.execute("nonsense"), disk.put(3)):
            tasks.start_soon(change, do)
            await anyio.wait_all_tasks_blocked()
        disk.go_on.set()
    assert disk.writer.groups == 2
    assert disk.numbers() == [1, 2, 3]
    assert [type(failure) for failure in failures] == [ZeroDivisionError, LedgerError, LedgerError]
    assert [getattr(failure, "kind", None) for failure in failures] == [None, "refused", "failed"]


async def test_one_that_is_cancelled_has_happened_or_not(disk: Disk) -> None:
    """Before its turn: not at all. In the transaction: whole, and so have the others of it."""
    ended: list[int] = []

    async def change(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            await disk.writer.change(disk.put(number))
        ended.append(number)

    scopes = [anyio.CancelScope() for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as inner:
                inner.start_soon(change, 0, scopes[0])  # begun alone
                await anyio.wait_all_tasks_blocked()
                await held(disk, inner)
                for number in (1, 2, 3):
                    tasks.start_soon(change, number, scopes[number])
                    await anyio.wait_all_tasks_blocked()
                scopes[1].cancel()
                await anyio.wait_all_tasks_blocked()
                assert 1 in ended
                first.cancel()  # the one that leads the transaction under way
                disk.go_on.set()
        assert 0 in ended
    assert sorted(ended) == [0, 1, 2, 3]
    assert disk.numbers() == [0, 2, 3]


async def test_a_full_disk_fails_all_of_a_transaction_and_the_next_goes_on(ledger: Ledger) -> None:
    await ledger.add_examples("model", "user", rows("before"), START)
    connection = ledger._writer._connection
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    failures: list[MLModelError] = []

    async def add(user: str, body: bytes) -> None:
        try:
            await ledger.add_examples("model", user, [row("a", body)], START)
        except LedgerError as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(add, "user", b"x" * 500_000)
    assert [(error.kind, "the disk is full" in str(error)) for error in failures if isinstance(error, LedgerError)] == [("disk full", True)]
    assert await states(ledger) == {"before": "waiting"}
    assert (await ledger.totals()).size == len("before")
    await add("other", b"small")
    assert (await ledger.totals()).users == 2 and len(failures) == 1
    connection.execute("PRAGMA max_page_count = 1000000")
    await add("user", b"x" * 500_000)
    assert await states(ledger) == {"before": "waiting", "a": "waiting"}
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class Failing:
    """A connection of which one statement fails as a disk does."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.fails = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if sql == self.fails:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(sql, *values)


async def test_a_commit_that_fails_is_told_to_all_and_leaves_nothing(disk: Disk) -> None:
    failing = Failing(disk.connection)
    disk.writer = Writer("the ledger", cast(sqlite3.Connection, failing))
    failures: list[str] = []

    async def change(do: Callable[[sqlite3.Connection], Any]) -> None:
        try:
            await disk.writer.change(do)
        except LedgerError as error:
            failures.append(f"{error.kind}: {error}")

    failing.fails = "COMMIT"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(change, disk.hold)
        await anyio.to_thread.run_sync(disk.begun.wait, 60)
        for number in range(3):
            tasks.start_soon(change, disk.put(number))
        await anyio.wait_all_tasks_blocked()
        disk.go_on.set()
    assert failures == ["failed: the ledger: disk I/O error"] * 4
    assert disk.numbers() == []
    failing.fails = ""
    await change(disk.put(5))
    assert (disk.numbers(), len(failures)) == ([5], 4)


async def test_a_log_that_cannot_be_emptied_is_told_and_later_changes_wait_as_long_as_ever(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(disk.connection)
    disk.writer = Writer("the ledger", cast(sqlite3.Connection, failing))
    before = disk.connection.execute("PRAGMA busy_timeout").fetchall()
    failing.fails = "PRAGMA wal_checkpoint(TRUNCATE)"
    await disk.writer.tidy()
    assert "the ledger: what was erased stays beside the file for a while: disk I/O error" in caplog.text
    assert disk.connection.execute("PRAGMA busy_timeout").fetchall() == before


async def test_a_read_that_the_disk_ends_says_what_the_disk_said(ledger: Ledger) -> None:
    def ask(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite does by itself at such an error
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(LedgerError, match=r"ledger.sqlite: disk I/O error"):
        await ledger._readers.read(ask)
    assert len(await ledger.models()) == 1


async def test_reads_and_changes_of_one_ledger_do_not_wait_for_each_other(ledger: Ledger) -> None:
    await ledger.add_examples("model", "user", rows("a"), START)
    begun, go_on = ThreadEvent(), ThreadEvent()

    def hold(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE totals SET waiting = 99")
        begun.set()
        assert go_on.wait(60)
        raise LedgerError("not after all")

    async def changing() -> None:
        with pytest.raises(LedgerError, match="not after all"):
            await ledger._writer.change(hold)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changing)
        await anyio.to_thread.run_sync(begun.wait, 60)
        assert (await ledger.totals()).waiting == 1
        assert ledger.content(1) == b"a"
        go_on.set()
    assert (await ledger.totals()).waiting == 1


async def test_conflicts_and_good_batches_at_the_same_time(ledger: Ledger) -> None:
    """Twenty batches that wait together: each is there whole or refused, whoever it shares a transaction with."""
    refused: list[int] = []

    async def add(number: int) -> None:
        batch = [row(f"{number}-{index}") for index in range(3)]
        try:
            await ledger.add_examples("model", "user", [*batch, row("same", b"one" if number % 2 else b"two")], START)
        except LedgerConflict:
            refused.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(add, number)
    assert len(refused) == 10 and len({number % 2 for number in refused}) == 1
    kept = await states(ledger)
    assert sorted(kept) == sorted({f"{number}-{index}" for number in range(20) if number not in refused for index in range(3)} | {"same"})


async def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    async with open_ledger(tmp_path / "ledger.sqlite", now=clock) as ledger:
        await ledger.put_model(MODEL)
    for asked in (ledger.models(), ledger.put_model(MODEL), ledger.plan_update(plan("one"))):
        with pytest.raises(LedgerError, match="ledger.sqlite: the ledger was closed"):
            await asked
    with pytest.raises(LedgerError, match="the ledger was closed"):
        ledger.content(1)
    assert os.listdir(tmp_path) == ["ledger.sqlite"]


async def test_one_for_whom_no_thread_can_be_had_does_not_take_the_others_along(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    run_sync = anyio.to_thread.run_sync
    failures: list[str] = []

    async def no_thread(*args: Any, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
        raise RuntimeError("can't start new thread")

    async def change(number: int) -> None:
        try:
            await disk.writer.change(disk.put(number))
        except RuntimeError as error:
            failures.append(str(error))

    monkeypatch.setattr(anyio.to_thread, "run_sync", no_thread)
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(change, number)
    assert failures == ["can't start new thread"]
    assert len(disk.numbers()) == 2
