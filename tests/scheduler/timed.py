"""Jobs, lanes and clocks for tests of the scheduler: time is the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from trio.testing import MockClock

from tailor.scheduler import Job, Scheduler, Standing, Ticket
from tailor.scheduler.testing import InlineLane

Result = TypeVar("Result")


def virtual() -> Any:
    """Marks a test whose clock jumps to where something happens as soon as everybody waits."""
    return pytest.mark.parametrize("anyio_backend", [pytest.param(("trio", {"clock": MockClock(autojump_threshold=0)}), id="virtual")])


class TimedLane:
    """A lane whose work takes ``seconds`` of the test's clock, then raises the next of ``errors`` where there is one."""

    def __init__(self, capacity: int = 1, seconds: float = 1.0, errors: list[Exception] | None = None) -> None:
        self.capacity = capacity
        self.busy = 0
        self.runs = 0
        self._seconds = seconds
        self._errors = errors if errors is not None else []

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns."""
        await anyio.lowlevel.checkpoint()
        self.busy += 1
        self.runs += 1
        assert self.busy <= self.capacity, "no more work at once than was said"
        try:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self._seconds)
            if self._errors:
                raise self._errors.pop(0)
            return work()
        finally:
            self.busy -= 1


def job(name: str = "a", **fields: Any) -> Job:
    return Job(identifier=name, **fields)


def inline(lanes: int = 1, **fields: Any) -> Scheduler:
    return Scheduler({f"cpu{number}" if number else "cpu": InlineLane() for number in range(lanes)}, cores=lanes, **fields)


async def waits(*tickets: Ticket[Any]) -> None:
    """Returns when nothing more happens, and sees to it that the jobs wait."""
    await anyio.wait_all_tasks_blocked()
    assert [ticket.standing for ticket in tickets] == [Standing.WAITING] * len(tickets)


class Holder:
    """Holds a turn until it is let go."""

    def __init__(self, ticket: Ticket[Any]) -> None:
        self.ticket = ticket
        self.let_go = anyio.Event()
        self.held = anyio.Event()

    async def __call__(self) -> None:
        async with self.ticket.turn() as turn:
            turn.interrupt = self.let_go.set
            self.held.set()
            await self.let_go.wait()
