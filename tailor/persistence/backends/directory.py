"""A backend in a folder: a key is a file below it."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import attrgetter

from anyio.from_thread import check_cancelled
from anyio.to_thread import run_sync

from ..atomic import SYSTEM, TEMPORARY, Files, write_atomically
from ..errors import BackendError, MissingError, StoreError
from .backend import Body, Chunk, Entry, Expected, check_expected, check_key, check_size, exact_chunks
from .folder import PRIVATE_FILE, WINDOWS, Folder
from .threaded import Entries, ThreadedBackend

PIECE = 1 << 20
READING = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
ATTEMPTS = 20
LEFT_BEHIND = re.compile("[0-9a-f]{16}".join(map(re.escape, TEMPORARY)))


class DirectoryBackend(ThreadedBackend):
    """Keeps a key ``a/b`` in the file ``b`` of the folder ``a`` of the folder at ``path``, which is made at the first write.

    Files are readable by their owner only, and replaced as ``write_atomically`` does. Readers wait for nobody. Who replaces or removes a
    file holds a lock (``flock``) on one of 256 files in ``.locks`` for that moment only, after all bytes are on the disk; so ``expected``
    holds against every process whose locks the file system knows of. Symbolic links below the folder are refused, names that can be no
    keys are overlooked.

    A tag is the file's number, time and size. The time is set by the writer: a later microsecond at each write, and three random digits
    more, so that a number that the system gives again makes no old tag of a new file. A removal is not waited for: after a power cut the
    file may be back.

    ``clock`` tells the time of a write, in seconds since 1970; ``files`` is for tests.
    """

    conditional = True

    def __init__(self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time, files: Files = SYSTEM) -> None:
        self.name = os.fspath(path)
        if not self.name or "\0" in self.name:
            raise StoreError(f"path: expected one, got {self.name!r}")
        self._folder = Folder(self.name, os.path.abspath(self.name), files)
        self._clock = clock
        self._files = files
        self._guard = threading.Lock()  # of the one below
        self._last = 0

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        """See ``Backend.read_many``."""
        for key in keys:
            check_key(key)
        return await run_sync(self._read_many, keys, most)

    async def sweep(self, older_than: float) -> int:
        """Removes what writers that were killed have left, if it is older than so many seconds; returns how many files.

        A writer that still runs is one whose file is younger: one that gives no bytes for so long loses its file and fails.
        """
        return await run_sync(self._sweep, older_than)

    async def aclose(self) -> None:
        """See ``Backend.aclose``. There is nothing to give back."""

    def _read(self, key: str, sink: Callable[[Chunk], object], most: int | None) -> Entry:
        opened = self._open(key, set())
        if opened is None:
            raise MissingError(f"{self.name}: expected {key}, got nothing of this name")
        file, entry = opened
        try:
            check_size(key, entry.size, most)
            for piece in self._pieces(file, entry):
                sink(piece)
                check_cancelled()
        finally:
            os.close(file)
        return entry

    def _read_many(self, keys: Sequence[str], most: int) -> dict[str, tuple[bytes, Entry]]:
        found: dict[str, tuple[bytes, Entry]] = {}
        known: set[str] = set()
        for key in keys:
            check_cancelled()
            opened = self._open(key, known)
            if opened is None:
                continue
            file, entry = opened
            try:
                check_size(key, entry.size, most)
                found[key] = b"".join(self._pieces(file, entry)), entry
            finally:
                os.close(file)
        return found

    def _write(self, key: str, body: Body, expected: str | Expected) -> str:
        path, tag = self._folder.path(key), ""
        raised: list[Exception] = []  # by the chunks: not ours to translate

        def chunks() -> Iterator[Chunk]:
            try:
                for chunk in exact_chunks(key, body):
                    yield chunk
                    check_cancelled()
            except Exception as error:  # of whatever kind: it is raised on, and told from the folder's own
                raised.append(error)
                raise

        def replace(source: str, target: str) -> None:
            nonlocal tag
            if not WINDOWS:
                os.chmod(source, PRIVATE_FILE)  # whatever the file before it had
            stamp = self._stamp()
            os.utime(source, ns=(stamp, stamp))
            tag = _entry(key, os.lstat(source)).tag
            with self._folder.turn(key):
                if expected is not Expected.ANYTHING:
                    check_expected(self.name, key, self._look(key), expected)
                self._folder.change(key, lambda: self._files.replace(source, target))

        with self._telling("write", key, raised):
            self._folder.file(key, set())  # refuses links
            for attempts_left in reversed(range(ATTEMPTS)):
                try:
                    self._folder.make(os.path.dirname(path))
                    write_atomically(path, chunks(), mode=PRIVATE_FILE, files=self._files, replace=replace)
                    break
                except FileNotFoundError:  # somebody has removed the last file beside it, and the folder
                    if raised or not attempts_left:
                        raise
                finally:
                    self._folder.leave(os.path.dirname(path))  # where nothing came of it
        return tag

    def _stamp(self) -> int:
        """A time, in nanoseconds, that no other file gets: see the class."""
        with self._guard:
            self._last = max(int(self._clock() * 1e6), self._last + 1)
            return self._last * 1000 + secrets.randbelow(1000)

    def _look(self, key: str) -> Entry | None:
        with self._telling("read", key):
            status = self._folder.file(key, set())
        return None if status is None else _entry(key, status)

    def _list(self, prefix: str) -> Entries:
        with self._telling("list", prefix):
            found = [_entry(key, status) for key, status in self._folder.files_below(prefix)]
        return sorted(found, key=attrgetter("key"))

    def _remove(self, key: str) -> None:
        with self._telling("remove", key):
            if self._folder.file(key, set()) is None:
                return
            path = self._folder.path(key)
            with self._folder.turn(key), suppress(FileNotFoundError):
                self._folder.change(key, lambda: self._files.remove(path))
            self._folder.leave(os.path.dirname(path))

    def _sweep(self, older_than: float) -> int:
        count = 0
        with self._telling("sweep", "the folder"):
            for key, status in self._folder.files_below("", LEFT_BEHIND):
                if status.st_mtime < self._clock() - older_than:
                    self._files.remove(self._folder.path(key))
                    count += 1
        return count

    def _open(self, key: str, known: set[str]) -> tuple[int, Entry] | None:
        with self._telling("read", key):
            if self._folder.file(key, known) is None:
                return None
            try:
                file = os.open(self._folder.path(key), READING)
            except FileNotFoundError:  # removed since
                return None
            return file, _entry(key, os.fstat(file))

    def _pieces(self, file: int, entry: Entry) -> Iterator[bytes]:
        left = entry.size
        while left:
            with self._telling("read", entry.key):
                piece = os.read(file, min(left, PIECE))
            if not piece:
                raise BackendError(f"{self.name}: {entry.key}: expected {entry.size} bytes, got {entry.size - left}: it was cut meanwhile")
            left -= len(piece)
            yield piece

    @contextmanager
    def _telling(self, doing: str, key: str, raised: Sequence[Exception] = ()) -> Iterator[None]:
        """Turns the system's errors into ``BackendError``, but for what the caller's own functions ``raised``."""
        try:
            yield
        except OSError as error:
            if any(error is other for other in raised):
                raise
            raise BackendError(f"{self.name}: cannot {doing} {key}: {error.strerror or error}") from error


def _entry(key: str, status: os.stat_result) -> Entry:
    return Entry(key, status.st_size, status.st_mtime_ns / 1e9, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}")
