"""Waiting for what another thread or process holds for a moment."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from anyio.from_thread import check_cancelled

from ..errors import BackendError

PATIENCE = 60.0
SHORTEST, LONGEST = 0.0005, 0.05


def wait_until(done: Callable[[], bool], what: str) -> None:
    """Calls ``done`` until it says so, in a worker thread, where the task that waits for the thread can be cancelled between two calls.

    Pauses grow from 0.5 to 50 ms. Raises ``BackendError`` after 60 seconds of them: whoever holds it hangs.
    """
    pause, waited = SHORTEST, 0.0
    while not done():
        check_cancelled()
        if waited >= PATIENCE:
            raise BackendError(f"{what}: expected to have it in {PATIENCE:.0f} seconds, got held up by another process")
        time.sleep(pause)  # of a worker thread: what is waited for is another process, which tells nobody
        waited += pause
        pause = min(pause * 1.5, LONGEST)


if sys.platform == "win32":
    import msvcrt

    def lock(file: int) -> bool:
        """Takes the lock of an open file, unless somebody else has it. The system gives it back when a process dies."""
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def unlock(file: int) -> None:
        """Gives the lock back."""
        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def lock(file: int) -> bool:
        """Takes the lock of an open file, unless somebody else has it. The system gives it back when a process dies."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(file: int) -> None:
        """Gives the lock back, also where a fork has the file still open."""
        fcntl.flock(file, fcntl.LOCK_UN)
