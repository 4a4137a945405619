"""Where background requests are kept until their launches have ended, so that they outlive the program."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Protocol, TypeVar

import anyio.lowlevel
import anyio.to_thread

from ..errors import SchedulerError
from ..requests import BGAppRefreshTaskRequest, BGProcessingTaskRequest, BGTaskRequest, KeptRequest

Given = TypeVar("Given")

WHOSE = 0x7461696C
"""What SQLite's ``application_id`` is in a file of ours."""

CHANGES: tuple[str, ...] = (
    """
    CREATE TABLE requests (
        identifier TEXT PRIMARY KEY NOT NULL,
        number INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('refresh', 'processing')),
        earliest_begin_date TEXT,
        external_power INTEGER NOT NULL CHECK (external_power IN (0, 1)),
        network INTEGER NOT NULL CHECK (network IN (0, 1)),
        launches INTEGER NOT NULL CHECK (launches >= 0)
    )
    """,
)
"""What makes each version of the tables out of the one before; the version of a file is how many of them it has had."""

PATIENCE = 5.0
"""Seconds for which a file that another process holds is waited for: it may be just about to end."""


class RequestStoreError(SchedulerError):
    """Requests could not be read or written. What was acknowledged before is kept; what raised this may or may not be."""


class RequestStore(Protocol):
    """Keeps requests, one an identifier. What has returned is kept, whatever happens to the process then.

    Each of these raises ``RequestStoreError`` where it cannot be done.
    """

    async def load(self) -> list[KeptRequest]:
        """All of them, in the order of their numbers."""
        ...

    async def save(self, kept: KeptRequest) -> None:
        """Keeps a request, in place of the one of the same identifier."""
        ...

    async def remove(self, identifier: str) -> None:
        """Keeps the request of that identifier no longer; does nothing where there is none."""
        ...

    async def clear(self) -> None:
        """Keeps none."""
        ...


class MemoryRequestStore:
    """Keeps requests as long as the program runs."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptRequest] = {}

    def __repr__(self) -> str:
        return f"<MemoryRequestStore of {len(self._kept)}>"

    async def load(self) -> list[KeptRequest]:
        """All of them, in the order of their numbers."""
        await anyio.lowlevel.checkpoint()
        return sorted(self._kept.values(), key=lambda kept: kept.number)

    async def save(self, kept: KeptRequest) -> None:
        """Keeps a request, in place of the one of the same identifier."""
        await anyio.lowlevel.checkpoint()
        self._kept[kept.request.identifier] = kept

    async def remove(self, identifier: str) -> None:
        """Keeps the request of that identifier no longer."""
        await anyio.lowlevel.checkpoint()
        self._kept.pop(identifier, None)

    async def clear(self) -> None:
        """Keeps none."""
        await anyio.lowlevel.checkpoint()
        self._kept.clear()


class SQLiteRequestStore:
    """Keeps requests in a file, each change on the disk before it is acknowledged; work is done in a thread.

    ``with SQLiteRequestStore(path) as store``, or ``close()`` it. The file is made where there is none, for its owner alone
    to read. From the first use until then no other process (or store) can use it: two programs would launch a request twice.
    One that is in use is waited for, ``patience`` seconds. A file that is damaged, of a later version, or something else
    is refused with a ``RequestStoreError``, and left as it is.
    """

    def __init__(self, path: str | os.PathLike[str], *, patience: float = PATIENCE) -> None:
        self._path = os.path.abspath(path)  # SQLite has names of its own for what is no file, such as ":memory:"
        self._patience = patience
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<SQLiteRequestStore {self._path!r}>"

    def __enter__(self) -> SQLiteRequestStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file; to be used again is to open it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    async def load(self) -> list[KeptRequest]:
        """All of them, in the order of their numbers."""

        def read(connection: sqlite3.Connection) -> list[KeptRequest]:
            rows = connection.execute(
                "SELECT number, launches, identifier, kind, earliest_begin_date, external_power, network FROM requests ORDER BY number"
            )
            return [KeptRequest(self._request(*row), number, launches) for number, launches, *row in rows]

        return await self._do(read)

    async def save(self, kept: KeptRequest) -> None:
        """Keeps a request, in place of the one of the same identifier."""
        request = kept.request
        begin = request.earliest_begin_date
        row = (
            request.identifier,
            kept.number,
            "refresh" if isinstance(request, BGAppRefreshTaskRequest) else "processing",
            None if begin is None else begin.isoformat(),
            request.conditions.external_power,
            request.conditions.network,
            kept.launches,
        )
        await self._do(lambda connection: connection.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)", row))

    async def remove(self, identifier: str) -> None:
        """Keeps the request of that identifier no longer."""
        await self._do(lambda connection: connection.execute("DELETE FROM requests WHERE identifier = ?", (identifier,)))

    async def clear(self) -> None:
        """Keeps none."""
        await self._do(lambda connection: connection.execute("DELETE FROM requests"))

    async def _do(self, work: Callable[[sqlite3.Connection], Given]) -> Given:
        """What ``work`` gives, done in a thread: whole or not at all, even where the caller is cancelled meanwhile."""

        def locked() -> Given:
            with self._lock:
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return work(self._connection)
                except (sqlite3.Error, OSError, UnicodeError) as error:
                    raise self._translated(error) from error

        return await anyio.to_thread.run_sync(locked)

    def _open(self) -> sqlite3.Connection:
        # SQLite would make it for everybody to read; one that is there is not opened here: to close it would drop SQLite's locks
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # before the journal's: then no other process sees half of it
            self._check(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._change(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Raises where the file is not one of ours, not of a version that is known, or damaged; writes nothing."""
        connection.execute("BEGIN EXCLUSIVE")
        version, whose = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
        empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not empty and whose != WHOSE:
            raise RequestStoreError(f"{self._path}: expected a store of background requests, got a database of something else")
        if version > len(CHANGES):
            raise RequestStoreError(
                f"{self._path}: expected a store of version {len(CHANGES)} at most, got version {version}: a later tailor wrote it"
            )
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        connection.execute("COMMIT")

    def _change(self, connection: sqlite3.Connection) -> None:
        """Brings the tables to the present version, in one piece."""
        connection.execute("BEGIN EXCLUSIVE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for change in CHANGES[version:]:
            connection.execute(change)
        if version < len(CHANGES):
            connection.execute(f"PRAGMA application_id = {WHOSE}")
            connection.execute(f"PRAGMA user_version = {len(CHANGES)}")
        connection.execute("COMMIT")

    def _request(self, identifier: str, kind: str, begin: str | None, external_power: int, network: int) -> BGTaskRequest:
        try:
            date = None if begin is None else datetime.fromisoformat(begin)
            if kind == "refresh":
                return BGAppRefreshTaskRequest(identifier, date)
            return BGProcessingTaskRequest(identifier, date, bool(external_power), bool(network))
        except (TypeError, ValueError) as error:
            raise RequestStoreError(f"{self._path}: a row makes no sense: {error}") from error

    def _translated(self, error: Exception) -> RequestStoreError:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return RequestStoreError(
                f"{self._path}: expected a store that nobody else uses, got one that is in use, perhaps by another process"
            )
        if type(error) is sqlite3.DatabaseError:
            return RequestStoreError(f"{self._path}: expected a store of background requests, got a damaged or foreign file ({error})")
        return RequestStoreError(f"{self._path}: the requests could not be read or written: {error}")
