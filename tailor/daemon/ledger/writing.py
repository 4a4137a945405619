"""Group commit: changes that wait share one transaction, and so one wait for the disk."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from anyio import CancelScope, CapacityLimiter, Lock, to_thread

from .errors import LedgerError
from .opening import told

T = TypeVar("T")
READER_MILLISECONDS = 200  # that changes wait for one who reads what is erased
PAGES = 1 << 14  # that are given back to the disk at a time: others wait meanwhile
LOG = logging.getLogger(__name__)

# What one change can be refused for, without harm to the others of its transaction; all else is the file's or the disk's.
ITS_OWN = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_ERROR, 0}


class _Change(Generic[T]):
    """Something to be done to the file, and what came of it."""

    __slots__ = ("answer", "do", "error", "is_done")

    def __init__(self, do: Callable[[sqlite3.Connection], T]) -> None:
        self.do = do
        self.is_done = False
        self.answer: T
        self.error: Exception | None = None


class Writer:
    """All changes of one file, through one connection, one transaction at a time.

    Who comes while a transaction is under way waits, with others perhaps; the first of them then makes one transaction of them all, in a
    worker thread, and the others find theirs done. ``connection`` is the writer's from now on.
    """

    def __init__(self, name: str, connection: sqlite3.Connection) -> None:
        self._name = name
        self._connection = connection
        self._waiting: list[_Change[Any]] = []
        self._turn = Lock()  # fair: answers come in the order of the changes
        self._thread = CapacityLimiter(1)  # of its own, so that whatever else is done in threads holds no change up
        self._is_closed = False
        self.groups = 0  # how many transactions there were

    async def change(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """What ``do`` returns, once all it did is on the disk. It may be called in a thread, and must not wait for anything else.

        Whatever ``do`` raises is raised here, and nothing that it did is there. Raises ``LedgerError`` where the file cannot be written.
        Where the caller is cancelled, it is done whole or not at all.
        """
        change = _Change(do)
        self._waiting.append(change)
        try:
            async with self._turn:
                if not change.is_done:
                    await self._commit_waiting()
        finally:
            if not change.is_done and change in self._waiting:
                self._waiting.remove(change)  # cancelled before its turn
        if change.error is not None:
            raise change.error
        return change.answer

    async def tidy(self) -> None:
        """Lets no file keep bytes that were erased, and gives ``PAGES`` that nobody needs back.

        What hinders it (a reader, a full disk) is logged.
        """
        async with self._turn:
            await self._in_thread(self._tidy)

    async def close(self) -> None:
        """Closes the connection, behind what is under way. Later changes are refused."""
        with CancelScope(shield=True):
            async with self._turn:
                await self._in_thread(self._close)

    async def _in_thread(self, do: Callable[[], None]) -> None:
        with CancelScope(shield=True):  # once begun, it is done, and those who wait for it are told
            await to_thread.run_sync(do, limiter=self._thread)

    async def _commit_waiting(self) -> None:
        group, self._waiting = self._waiting, []
        try:
            await self._in_thread(partial(self._commit_and_tell, group))
        finally:
            self._waiting[:0] = [change for change in group if not change.is_done]  # no thread could be had: their turn comes again

    def _commit_and_tell(self, group: list[_Change[Any]]) -> None:
        failed: sqlite3.Error | None = None
        try:
            if self._is_closed:
                raise sqlite3.ProgrammingError("the ledger was closed")
            try:
                self._commit(group)
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            failed = error
        for change in group:
            if failed is not None:
                change.error = told(self._name, failed)
                change.error.__cause__ = failed
            change.is_done = True

    def _commit(self, group: list[_Change[Any]]) -> None:
        execute = self._connection.execute
        self.groups += 1
        execute("BEGIN IMMEDIATE")
        for change in group:
            execute("SAVEPOINT change")
            try:
                change.answer = change.do(self._connection)
            except Exception as error:  # whatever it is, it is for the one who asked for the change
                if isinstance(error, sqlite3.Error):
                    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in ITS_OWN:
                        raise
                    change.error = told(self._name, error)
                elif isinstance(error, (OverflowError, UnicodeError)):
                    change.error = LedgerError(f"{self._name}: expected what SQLite can keep, got {error}")
                else:
                    change.error = error
                execute("ROLLBACK TO change")
            execute("RELEASE change")
        execute("COMMIT")

    def _tidy(self) -> None:
        ask = self._connection.execute
        try:
            ((patience,),) = ask("PRAGMA busy_timeout").fetchall()
            self._connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")  # execute() takes its first step only
            ask(f"PRAGMA busy_timeout = {READER_MILLISECONDS}").fetchall()
            try:
                ((is_hindered, _, _),) = ask("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                ask(f"PRAGMA busy_timeout = {patience}").fetchall()
            hindered = "somebody reads what was there before" if is_hindered else ""
        except sqlite3.Error as error:
            hindered = str(error)
        if hindered:
            LOG.warning("%s: what was erased stays beside the file for a while: %s", self._name, hindered)

    def _close(self) -> None:
        self._is_closed = True
        self._connection.close()
