"""A lane: where a stretch of work runs, off the event loop. It never asks what the work is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import anyio.to_thread

Result = TypeVar("Result")


class Lane(Protocol):
    """Runs synchronous work away from the event loop, ``capacity`` pieces at a time; the others wait in order.

    ``run`` gives back what the work returned or raises what it raised. Work that has begun is never interrupted: a
    cancelled caller is told when the work has ended. Work that has not begun when its caller is cancelled never begins.
    """

    @property
    def capacity(self) -> int:
        """How many pieces of work run at the same time."""
        ...

    @property
    def busy(self) -> int:
        """How many pieces of work run now."""
        ...

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns."""
        ...


class ThreadLane:
    """A lane of worker threads in this process; it belongs to the event loop that it is first used in."""

    def __init__(self, workers: int = 1) -> None:
        if not isinstance(workers, int) or workers < 1:
            raise ValueError(f"lane: expected at least one worker, got {workers!r}")
        self._limiter = anyio.CapacityLimiter(workers)

    def __repr__(self) -> str:
        return f"<ThreadLane {self.busy} of {self.capacity} busy>"

    @property
    def capacity(self) -> int:
        """How many threads work at the same time."""
        return int(self._limiter.total_tokens)

    @property
    def busy(self) -> int:
        """How many threads work now."""
        return self._limiter.borrowed_tokens

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns, computed in a thread."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)
