"""The ledger's file: made, checked to be ours, opened, copied. Other programs' files are refused and left as they are."""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tailor.persistence import Files

from .errors import LedgerError, Trouble
from .migrations import STEPS, migrate, version_of

APPLICATION = 0x746C6772  # "tlgr"
BUSY_SECONDS = 5.0  # somebody who reads the file with a tool of their own may hold it for a moment
STATEMENTS = 64  # the largest have 500 rows of values; they are to stay compiled
SETTINGS = (
    *("foreign_keys = ON", "synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON"),
    *("secure_delete = ON", "trusted_schema = OFF", "cell_size_check = ON"),
    *("cache_size = -8000", "journal_size_limit = 67108864"),
)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """What SQLite and the system say becomes ``LedgerError``."""
    try:
        yield
    except sqlite3.Error as error:
        raise told(name, error) from error
    except OSError as error:
        raise LedgerError(f"{name}: {error.strerror or error}", "failed") from error


def told(name: str, error: sqlite3.Error) -> LedgerError:
    """An error of SQLite in our words."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kind: Trouble = "disk full" if code == sqlite3.SQLITE_FULL else "refused" if code == sqlite3.SQLITE_CONSTRAINT else "failed"
    return LedgerError(f"{name}: {'the disk is full' if kind == 'disk full' else error}", kind)


def open_file(path: Path) -> sqlite3.Connection:
    """A connection that writes, to the file at ``path``: made where there is none, with the tables of this version.

    Raises ``LedgerError``; a file that is not ours, or of a later version, is as it was.
    """
    with translated(str(path)):
        if not os.path.lexists(path):
            if os.path.lexists(journal := f"{path}-wal"):  # SQLite would take what is in it for the new file's
                raise LedgerError(f"{path}: expected the file that {journal} belongs to, got none: put it back, or move that one away")
            with new_file(path) as made, closing(_connect(made, "rw")) as connection:
                for setting in ("auto_vacuum = INCREMENTAL", f"application_id = {APPLICATION}"):
                    connection.execute(f"PRAGMA {setting}")
                migrate(connection)
        _check_ours(path)
        connection = _connect(path, "rw")
        try:
            for setting in (*SETTINGS, "journal_mode = WAL"):
                connection.execute(f"PRAGMA {setting}").fetchall()
            migrate(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, to a file that is open for writing."""
    with translated(str(path)):
        connection = _connect(path, "rw")  # a WAL is read through a file that all who have it open share and write
        for setting in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        return connection


def copy_file(connection: sqlite3.Connection, path: Path) -> None:
    """Makes a copy of the file at this moment, at ``path``, where nothing is; others may write meanwhile.

    The copy is one file, complete in itself, on the disk when this returns. Raises ``LedgerError``.
    """
    with translated(str(path)), new_file(path) as made, closing(_connect(made, "rw")) as copy:
        connection.backup(copy)  # in one step: it reads one state, and begins anew for nobody who writes
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """The name of an empty file, only its owner's, that gets the name ``path`` and is on the disk when the block ends; else it goes.

    Raises ``LedgerError`` where something has that name.
    """
    files = Files()
    made = path.with_name(secrets.token_hex(8).join((".tailor-", ".tmp")))
    files.close(files.create(str(made), 0o600))
    try:
        yield made
        descriptor = os.open(made, os.O_RDWR)
        try:
            files.flush(descriptor)
        finally:
            files.close(descriptor)
        if os.path.lexists(path):
            raise LedgerError(f"{path}: expected a name that is free, got one that something has")
        os.rename(made, path)
        files.flush_folder(str(path.parent))
    finally:
        for left in (made, Path(f"{made}-journal"), Path(f"{made}-wal"), Path(f"{made}-shm")):
            with suppress(FileNotFoundError):
                left.unlink()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS
    )


def _check_ours(path: Path) -> None:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise LedgerError(f"{path}: expected the ledger's file, got something else of this name", "foreign")
    try:
        with closing(_connect(path, "ro")) as connection:
            ((application,),) = connection.execute("PRAGMA application_id").fetchall()
            version = version_of(connection)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_NOTADB:
            raise
        raise LedgerError(f"{path}: expected the ledger's file, got one that is no SQLite file", "foreign") from error
    if application != APPLICATION:
        raise LedgerError(
            f"{path}: expected the ledger's file, got an SQLite file of another program (application_id {application})", "foreign"
        )
    if version > len(STEPS):
        raise LedgerError(
            f"{path}: expected a ledger of version {len(STEPS)} or before, got {version}: a later version of tailor wrote it", "newer"
        )
