"""A folder whose files are keys: which file is whose, and what must not be there."""

from __future__ import annotations

import errno
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..atomic import Files
from ..errors import BackendError
from .backend import SEGMENT
from .waiting import lock, unlock, wait_until

WINDOWS = os.name == "nt"
LOCKS = ".locks"  # no key begins with a dot
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


class Folder:
    """The folder at ``root``, called ``name`` in errors. Called in worker threads; raises ``OSError`` where the system does."""

    def __init__(self, name: str, root: str, files: Files) -> None:
        self._name = name
        self.root = root
        self._files = files
        self._durable: set[str] = set()  # folders whose names this process knows to be on the disk

    def path(self, key: str) -> str:
        """Where the file of a key is, if it is there."""
        return self.root + os.sep + key.replace("/", os.sep)

    def file(self, key: str, known: set[str]) -> os.stat_result | None:
        """What the system knows of a key's file; ``None`` where there is none, or a folder. ``known`` folders are not asked for again."""
        status = self._status(key, known)
        return status if status is not None and stat.S_ISREG(status.st_mode) else None

    def files_below(self, prefix: str, wanted: re.Pattern[str] = SEGMENT) -> Iterator[tuple[str, os.stat_result]]:
        """The key of each file below a prefix whose name is ``wanted``, and what the system knows of it."""
        known: set[str] = set()
        pending = [prefix]
        while pending:
            above = pending.pop()
            status = self._status(above[:-1], known) if above else None
            if above and (status is None or not stat.S_ISDIR(status.st_mode)):
                continue
            known.add(above[:-1])
            with suppress(FileNotFoundError), os.scandir(self.path(above)) as found:
                for one in found:
                    if one.is_dir(follow_symlinks=False):
                        if SEGMENT.fullmatch(one.name):
                            pending.append(f"{above}{one.name}/")
                    elif wanted.fullmatch(one.name):
                        status = self.file(above + one.name, known)
                        if status is not None:  # not removed since
                            yield above + one.name, status

    def _status(self, key: str, known: set[str]) -> os.stat_result | None:
        above = key.rpartition("/")[0]
        if above and above not in known:
            status = self._status(above, known)
            if status is None or not stat.S_ISDIR(status.st_mode):
                return None
            known.add(above)
        path = self.path(key)
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return None
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "neither"
            raise BackendError(f"{path}: expected a file or a folder, got {kind}")
        return status

    def make(self, folder: str) -> None:
        """Makes a folder and those above it; that they are there is on the disk when it returns."""
        if os.path.isdir(folder) and (folder in self._durable or not folder.startswith(self.root + os.sep)):
            return
        above = os.path.dirname(folder)
        self.make(above)
        with suppress(FileExistsError):
            os.mkdir(folder, PRIVATE_FOLDER)
        if not stat.S_ISDIR(os.stat(folder).st_mode):  # FileNotFoundError where somebody has just removed it, as empty
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
        self._files.flush_folder(above)
        self._durable.add(folder)

    def leave(self, folder: str) -> None:
        """Removes folders that are empty, from this one upwards: their names may be users'."""
        with suppress(OSError):  # that one is not empty, or gone
            while folder != self.root:
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Keeps all others, in any process, from changing the file of a key meanwhile."""
        folder = os.path.join(self.root, LOCKS)
        os.makedirs(folder, PRIVATE_FOLDER, exist_ok=True)
        path = os.path.join(folder, f"{zlib.crc32(key.encode()) & 255:02x}")
        file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), PRIVATE_FILE)
        try:
            wait_until(lambda: lock(file), f"{self._name}: the lock of {key}")
            try:
                yield
            finally:
                unlock(file)
        finally:
            os.close(file)

    def change(self, key: str, change: Callable[[], None]) -> None:
        """Replaces or removes the file of a key. Windows refuses to while somebody reads it, so there it is tried again."""

        def changed() -> bool:
            try:
                change()
            except PermissionError:
                if not WINDOWS:
                    raise
                return False
            return True

        wait_until(changed, f"{self._name}: the file of {key}")
