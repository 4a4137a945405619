"""One daemon at a time has a state folder: the system keeps the lock, and gives it back however that one dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailor import MLConflictError

LOCK = "daemon.lock"
LONGEST_PID = 20


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Has the state folder for itself, and says there by which process. Raises ``MLConflictError`` where somebody else has it.

    The file stays: were it removed, two could hold locks on two files of its name.
    """
    file = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _take(file):
            raise MLConflictError(
                f"{state}: expected a state folder that nobody uses, got one that {_holder(file)} has; 'tailor daemon stop' ends it"
            )
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def process_of(state: Path) -> int | None:
    """The process that has the state folder; ``None`` where nobody has; 0 where that has not said yet who it is."""
    try:
        file = os.open(state / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _take(file) else _pid(file)
    finally:
        os.close(file)


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(file: int) -> int:
    told = os.pread(file, LONGEST_PID, 0).strip()
    return int(told) if told.isdigit() else 0


def _holder(file: int) -> str:
    pid = _pid(file)
    return f"the daemon with process id {pid}" if pid else "another daemon"
