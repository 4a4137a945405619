"""The SQLite file that a store can be kept in: its tables, and one connection to it."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from ..atomic import write_atomically
from ..errors import BackendError
from .waiting import wait_until

Rows: TypeAlias = list[tuple[Any, ...]]

APPLICATION = 0x7461696C  # "tail"
SCHEMA = 1
PAGE = 2048
"""Bytes. Of 10,000 small deltas this one leaves less of their last pages empty than SQLite's own of 4,096 (``benchmarks/store.py``);
bodies of hundreds of MiB are written a quarter slower for it."""
# A body's number is never given twice (AUTOINCREMENT), so it is the tag; its parts are found by their own numbers, from PARTS times it on.
TABLES = (
    "CREATE TABLE entries (key BLOB NOT NULL PRIMARY KEY, body INTEGER NOT NULL, size INTEGER NOT NULL, modified REAL NOT NULL) "
    "WITHOUT ROWID",
    "CREATE TABLE parts (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE writing (body INTEGER PRIMARY KEY AUTOINCREMENT, begun REAL NOT NULL)",
)
PARTS, BODIES = 1 << 22, 1 << 41
"""A body has fewer parts, and there are fewer bodies: SQLite's largest file ends before."""
SETTINGS = (
    *("synchronous = FULL", "fullfsync = ON"),
    *("secure_delete = ON", "trusted_schema = OFF", "cell_size_check = ON"),
)


class Database:
    """One connection, for one thread at a time. Every method raises ``BackendError`` for what SQLite says."""

    def __init__(self, name: str, connection: sqlite3.Connection) -> None:
        self._name = name
        self._connection = connection
        self.changed = False

    def ask(self, sql: str, *values: object) -> Rows:
        """All rows of a statement's answer."""
        answer: Rows = []
        self._patiently(lambda: answer.extend(self._connection.execute(sql, values).fetchall()))
        return answer

    def shrink(self) -> None:
        """Gives the space of what was removed back, and brings all that is beside the file into it."""
        self._patiently(lambda: self._connection.executescript("PRAGMA incremental_vacuum"))  # execute() takes its first step only
        self.ask("PRAGMA wal_checkpoint(TRUNCATE)")

    def _patiently(self, step: Callable[[], object]) -> None:
        """Takes a step that other processes may hold up for a moment."""

        def taken() -> bool:
            try:
                step()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                return False
            return True

        try:
            wait_until(taken, f"{self._name}: the file's lock")
        except sqlite3.Error as error:
            raise BackendError(f"{self._name}: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All that is asked in here is of one state of the file, whatever others write."""
        self.ask("BEGIN")
        try:
            yield
        finally:
            self._undo()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """All that is changed in here is there when it ends, or nothing of it; nobody else changes anything meanwhile."""
        self.ask("BEGIN IMMEDIATE")
        self.changed = True
        try:
            yield
            self.ask("COMMIT")
        finally:
            self._undo()

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self.ask("ROLLBACK")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def empty_database(name: str) -> Database:
    """One with nothing in it, in memory: what a file that is missing has."""
    database = Database(name, sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
    for table in TABLES:
        database.ask(table)
    return database


def open_database(name: str, path: str, *, create: bool) -> Database | None:
    """A connection to the file at ``path``; ``None`` where it is missing and is not to be made.

    Raises ``BackendError`` for a file that is not ours, which is left as it is.
    """
    try:
        if create and not os.path.exists(path):
            _create(name, path)
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BackendError(f"{name}: expected a file, got something else of this name")
    except FileNotFoundError as error:
        if create:
            raise BackendError(f"{name}: expected the folder of this file to be there, got none") from error
        return None
    except OSError as error:
        raise BackendError(f"{name}: {error.strerror or error}") from error
    with closing(_connect(name, path, "ro")) as database:  # the file could not be read past SQLite: closing it would lose SQLite's locks
        _check_ours(name, database)
    database = _connect(name, path, "rw")
    try:
        for setting in (*SETTINGS, "journal_mode = WAL"):
            database.ask(f"PRAGMA {setting}")
    except BaseException:
        database.close()
        raise
    return database


def _connect(name: str, path: str, mode: str) -> Database:
    try:
        address = f"{Path(path).as_uri()}?mode={mode}"
        return Database(name, sqlite3.connect(address, uri=True, timeout=0, isolation_level=None, check_same_thread=False))
    except sqlite3.Error as error:
        raise BackendError(f"{name}: {error}") from error


def _create(name: str, path: str) -> None:
    """Makes the file with its tables, unless somebody else is faster; at no time a part of it is there."""
    with TemporaryDirectory() as folder:
        made = os.path.join(folder, "made")
        with closing(_connect(name, made, "rwc")) as database:
            for statement in (f"PRAGMA page_size = {PAGE}", "PRAGMA auto_vacuum = INCREMENTAL", *TABLES):
                database.ask(statement)
            database.ask(f"PRAGMA application_id = {APPLICATION}")
            database.ask(f"PRAGMA user_version = {SCHEMA}")
        data = Path(made).read_bytes()
    with suppress(FileExistsError):
        write_atomically(path, data, mode=0o600, replace=_name)  # -wal and -shm get the same permissions


def _name(source: str, target: str) -> None:
    """Gives a file its name, unless there is one of that name."""
    if os.name == "nt":
        os.rename(source, target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:  # a file system where a file has one name only
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        os.replace(source, target)
    else:
        os.remove(source)


def _check_ours(name: str, database: Database) -> None:
    try:
        ((application,),) = database.ask("PRAGMA application_id")
        ((schema,),) = database.ask("PRAGMA user_version")
        tables = database.ask("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name")
    except BackendError as error:
        raise BackendError(f"{name}: expected a store in an SQLite file, got one that cannot be read: {error.__cause__}") from error
    if application != APPLICATION:
        raise BackendError(f"{name}: expected a store, got an SQLite file of another program (application_id {application})")
    if schema != SCHEMA:
        raise BackendError(f"{name}: expected a store of layout {SCHEMA}, got {schema}: a later version of tailor wrote it")
    if tables != [(table,) for table in TABLES]:
        raise BackendError(f"{name}: expected the tables of a store, got others")
