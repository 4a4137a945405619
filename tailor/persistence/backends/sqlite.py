"""A backend in one SQLite file."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from operator import attrgetter

from anyio import CancelScope
from anyio.from_thread import check_cancelled
from anyio.to_thread import run_sync

from ..errors import BackendError, MissingError, StoreError
from .backend import Body, Chunk, Entry, Expected, check_expected, check_key, check_size, exact_chunks
from .database import BODIES, PARTS, Database, empty_database, open_database
from .threaded import Entries, ThreadedBackend

PART = 4 << 20
DIGEST, MARK = re.compile(r"[0-9a-f]{64}\Z"), b"\xff"
ENTRY = "SELECT key, size, modified, body FROM entries "


class SQLiteBackend(ThreadedBackend):
    """Keeps everything in the SQLite file at ``path``, which is made at the first write, readable by its owner only.

    The file is in WAL mode: readers wait for nobody, writers for one another, and nobody for the chunks of a body: those of more than
    4 MiB are put beside, in steps of their own, before one transaction gives them the key. What is committed is on the disk, what is
    removed is overwritten. ``expected`` holds against every process on this machine; SQLite's files are not made for network file systems.

    A file that is something else, another program's or a later version's is refused and left as it is. ``clock`` tells the time of a
    write, in seconds since 1970.
    """

    conditional = True

    def __init__(self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time) -> None:
        self.name = os.fspath(path)
        if not self.name or "\0" in self.name:
            raise StoreError(f"path: expected one, got {self.name!r}")
        self._path = os.path.abspath(self.name)
        self._clock = clock
        self._guard = threading.Lock()  # of the two below
        self._idle: list[Database] = []
        self._closed = False

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        """See ``Backend.read_many``."""
        for key in keys:
            check_key(key)
        return await run_sync(self._read_many, keys, most)

    async def sweep(self, older_than: float) -> int:
        """Removes what killed writers have left, if it was begun more than so many seconds ago; returns how many bodies.

        A writer that is still at it after so long loses what it has written, and fails.
        """
        return await run_sync(self._sweep, older_than)

    async def aclose(self) -> None:
        """See ``Backend.aclose``. Everything is in the one file then, unless others have it open."""
        with CancelScope(shield=True):
            await run_sync(self._close)

    def _read(self, key: str, sink: Callable[[Chunk], object], most: int | None) -> Entry:
        with self._database() as database, database.reading():
            entry = self._find(database, key)
            if entry is None:
                raise MissingError(f"{self.name}: expected {key}, got nothing of this name")
            check_size(key, entry.size, most)
            for part in self._parts(database, entry):
                sink(part)
                check_cancelled()
        return entry

    def _read_many(self, keys: Sequence[str], most: int) -> dict[str, tuple[bytes, Entry]]:
        found: dict[str, tuple[bytes, Entry]] = {}
        with self._database() as database, database.reading():
            for key in keys:
                check_cancelled()
                entry = self._find(database, key)
                if entry is not None:
                    check_size(key, entry.size, most)
                    found[key] = b"".join(self._parts(database, entry)), entry
        return found

    def _parts(self, database: Database, entry: Entry) -> Iterator[bytes]:
        left, number = entry.size, int(entry.tag) * PARTS
        while left:
            sql = "SELECT data FROM parts WHERE number = ? AND length(data) BETWEEN 1 AND ?"
            found = database.ask(sql, number, min(left, PART))
            if not found or not isinstance(found[0][0], bytes):
                raise BackendError(f"{self.name}: {entry.key}: expected {entry.size} bytes in parts of {PART}, got others")
            yield found[0][0]
            left, number = left - len(found[0][0]), number + 1

    def _write(self, key: str, body: Body, expected: str | Expected) -> str:
        parts = _parts_of(exact_chunks(key, body))
        new: int | None = None
        count = 0
        with self._database(create=True) as database:
            try:
                last = next(parts, b"")
                for part in parts:
                    check_cancelled()
                    with database.changing():
                        new = self._put(database, key, new, count, last)
                    last, count = part, count + 1
                with database.changing():
                    there = self._find(database, key)
                    check_expected(self.name, key, there, expected)
                    given = self._put(database, key, new, count, last)
                    database.ask("DELETE FROM writing WHERE body = ?", given)
                    sql = "REPLACE INTO entries (key, body, size, modified) VALUES (?, ?, ?, ?)"
                    database.ask(sql, _packed(key), given, body.size, self._clock())
                    self._drop(database, there)
            except BaseException as failure:
                if new is not None:  # not all of it was for the last transaction
                    try:
                        with database.changing():
                            self._give_up(database, new)
                    except BackendError as error:
                        failure.add_note(f"and in cleaning up: {error}")
                raise
        return str(given)

    def _put(self, database: Database, key: str, body: int | None, number: int, data: Chunk) -> int:
        """Adds a part to a body, a new one where there is none yet; returns the body."""
        if body is None:
            database.ask("INSERT INTO writing (begun) VALUES (?)", self._clock())
            ((body,),) = database.ask("SELECT last_insert_rowid()")
            self._check_number(body)
        elif not database.ask("SELECT 1 FROM writing WHERE body = ?", body):
            raise BackendError(f"{self.name}: {key}: expected what was written of it before, got nothing: it was swept")
        database.ask("INSERT INTO parts (number, data) VALUES (?, ?)", body * PARTS + number, data)
        return body

    def _give_up(self, database: Database, body: int) -> None:
        """Removes what was written of a body, unless it has its key: an error may have come when it was committed already."""
        database.ask("DELETE FROM writing WHERE body = ?", body)
        if database.ask("SELECT changes()") == [(1,)]:
            self._drop_parts(database, body)

    def _drop(self, database: Database, entry: Entry | None) -> None:
        if entry is not None:
            self._drop_parts(database, int(entry.tag))

    def _drop_parts(self, database: Database, body: int) -> None:
        self._check_number(body)
        database.ask("DELETE FROM parts WHERE number BETWEEN ? AND ?", body * PARTS, body * PARTS + PARTS - 1)

    def _check_number(self, body: int) -> None:
        if not 0 < body < BODIES:
            raise BackendError(f"{self.name}: expected numbers of bodies from 1 to {BODIES - 1}, got {body}")

    def _look(self, key: str) -> Entry | None:
        with self._database() as database:
            return self._find(database, key)

    def _find(self, database: Database, key: str) -> Entry | None:
        return next(map(self._entry, database.ask(ENTRY + "WHERE key = ?", _packed(key))), None)

    def _entry(self, row: tuple[object, ...]) -> Entry:
        match row:
            case bytes(kept), int(size), float(modified), int(body) if size >= 0 and isfinite(modified) and 0 < body < BODIES:
                key = _unpacked(kept)
                if _packed(key) == kept:
                    return Entry(key, size, modified, str(body))
        raise BackendError(f"{self.name}: expected a key, a size, a time and a number, got {row!r:.100}")

    def _remove(self, key: str) -> None:
        with self._database() as database, database.changing():
            there = self._find(database, key)
            database.ask("DELETE FROM entries WHERE key = ?", _packed(key))
            self._drop(database, there)

    def _sweep(self, older_than: float) -> int:
        with self._database() as database, database.changing():
            left = database.ask("SELECT body FROM writing WHERE begun < ?", self._clock() - older_than)
            for (body,) in left:
                self._give_up(database, body)
        return len(left)

    def _list(self, prefix: str) -> Entries:
        with self._database() as database:
            after = prefix[:-1] + chr(ord("/") + 1)
            found = database.ask(ENTRY + "WHERE key > ? AND key < ?", prefix.encode(), after.encode())
        return sorted(map(self._entry, found), key=attrgetter("key"))

    @contextmanager
    def _database(self, create: bool = False) -> Iterator[Database]:
        """A connection that nobody else uses meanwhile; one to an empty database where there is no file."""
        with self._guard:
            if self._closed:
                raise BackendError(f"{self.name}: expected a backend that is open, got one that was closed")
            database = self._idle.pop() if self._idle else None
        if database is None:
            database = open_database(self.name, self._path, create=create)
        keep = database is not None
        database = database or empty_database(self.name)
        try:
            yield database
        finally:
            with self._guard:
                keep = keep and not self._closed
                if keep:
                    self._idle.append(database)
            if not keep:
                database.close()

    def _close(self) -> None:
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        try:
            if any(database.changed for database in idle):
                idle[0].shrink()
        finally:
            for database in idle:
                database.close()

    def __repr__(self) -> str:
        return f"<SQLiteBackend {self.name}{': closed' if self._closed else ''}>"


def _packed(key: str) -> bytes:
    """A key as it is kept: the digest that it may end in takes half the room, after a byte that is nowhere in UTF-8."""
    digest = DIGEST.search(key)
    return key.encode() if digest is None else key[: digest.start()].encode() + MARK + bytes.fromhex(digest[0])


def _unpacked(kept: bytes) -> str:
    start, _, digest = kept.partition(MARK)
    return start.decode(errors="replace") + digest.hex()


def _parts_of(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The same bytes in parts of 4 MiB, the last one shorter."""
    part = bytearray()
    for chunk in chunks:
        left = memoryview(chunk)
        while left:
            taken = left[: PART - len(part)]
            part += taken
            left = left[len(taken) :]
            if len(part) == PART:
                yield bytes(part)
                part.clear()
    if part:
        yield bytes(part)
