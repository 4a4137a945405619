"""For tests of what runs on lanes: a lane without threads, and a check that a lane keeps the interface's promises."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import anyio.lowlevel

from .lane import Lane, Result


class InlineLane:
    """A lane that runs work on the event loop, one piece at a time, so that a test's clock and order are its own."""

    capacity = 1

    def __init__(self) -> None:
        self.busy = 0
        self._turn = anyio.Lock()

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns."""
        async with self._turn:
            await anyio.lowlevel.checkpoint()
            self.busy += 1
            try:
                return work()
            finally:
                self.busy -= 1


async def check_lane(lane: Lane) -> None:
    """Raises ``AssertionError`` where ``lane`` breaks a promise of the interface."""
    assert lane.capacity >= 1, "a lane has at least one worker"
    assert await lane.run(lambda: 7) == 7, "the result of the work comes back"

    def fail() -> None:
        raise LookupError("on purpose")

    try:
        await lane.run(fail)
    except LookupError:
        pass
    else:
        raise AssertionError("what the work raises comes back")

    lock, running, most, done = threading.Lock(), 0, 0, 0

    def count() -> None:
        nonlocal running, most, done
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
            done += 1

    async with anyio.create_task_group() as group:
        for _ in range(4 * lane.capacity):
            group.start_soon(lane.run, count)
    assert done == 4 * lane.capacity, "all work is done"
    assert most <= lane.capacity, "no more work runs at once than the lane's capacity"
    assert lane.busy == 0, "a lane at rest is not busy"

    began = False

    def begin() -> None:
        nonlocal began
        began = True

    with anyio.CancelScope() as scope:
        scope.cancel()
        await lane.run(begin)
    assert not began, "work whose caller was cancelled before never begins"
