"""One thing at a time with a user's model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from anyio import Lock


class Turns:
    """``async with turns.of(model, user)``: nobody else plans an update for this user, commits one, rolls back or forgets meanwhile."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], Lock] = WeakValueDictionary()  # those that somebody holds or waits for
        self._told: dict[tuple[str, str], Callable[[], object]] = {}

    @asynccontextmanager
    async def of(self, model: str, user: str, *, wait: bool = True) -> AsyncIterator[None]:
        """A turn of this user, once those before it are over; without ``wait`` now, or ``anyio.WouldBlock``."""
        lock = self._locks.setdefault((model, user), Lock())
        try:
            if wait:
                await lock.acquire()
            else:
                lock.acquire_nowait()
            try:
                yield
            finally:
                lock.release()
        finally:
            tell = None if lock.locked() else self._told.pop((model, user), None)
            if tell is not None:
                tell()

    def when_free(self, model: str, user: str, tell: Callable[[], object]) -> None:
        """Calls ``tell``, in place of one that was given for this user before, once nobody has a turn of this user or waits for one."""
        lock = self._locks.get((model, user))
        if lock is None or not lock.locked():
            tell()
        else:
            self._told[model, user] = tell
