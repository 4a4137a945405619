"""A scheduler of background requests in a world of its own: a machine, a wall clock and a list of what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from tailor.scheduler import BGTask, BGTaskScheduler, Event, RequestStore, Scheduler, Surroundings
from tailor.scheduler.background.launch import Handler
from tailor.scheduler.testing import FakeSensors

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class World:
    """``sensors`` and ``wall`` (seconds by which the wall clock is ahead) are the test's to change; ``log``: what was noted, and when."""

    wall: float = 0.0
    sensors: FakeSensors = field(default_factory=lambda: FakeSensors(Surroundings(external_power=True, network=True)))
    log: list[tuple[str, float]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    begun: float | None = None

    @property
    def time(self) -> float:
        """Seconds since the world began."""
        self.begun = anyio.current_time() if self.begun is None else self.begun
        return anyio.current_time() - self.begun

    def now(self) -> datetime:
        """The wall clock."""
        return BEGIN + timedelta(seconds=self.time + self.wall)

    def note(self, what: str) -> None:
        """Writes down that something happens now."""
        self.log.append((what, self.time))

    def told(self, kind: type[Event]) -> list[str]:
        """The sentences of the events of a kind."""
        return [str(event) for event in self.events if isinstance(event, kind)]

    async def until(self, time: float) -> None:
        """Lets time pass."""
        await anyio.sleep(time - self.time)

    @asynccontextmanager
    async def running(
        self, handlers: Mapping[str, Handler], store: RequestStore | None = None, **options: Any
    ) -> AsyncIterator[BGTaskScheduler]:
        """A scheduler of background requests with these handlers."""
        assert self.time >= 0, "the world begins now, if it has not"
        async with Scheduler(sensors=self.sensors) as scheduler:
            scheduler.observers.add(self.events.append)
            background = BGTaskScheduler(scheduler, store, now=self.now, **options)
            for identifier, handler in handlers.items():
                background.register(identifier, handler)
            async with background:
                yield background


def noting(world: World, seconds: float = 0.0, success: bool = True) -> Callable[[BGTask], Any]:
    """A handler that notes its launch, works for some time, and says how it went."""

    async def handler(task: BGTask) -> None:
        world.note(task.identifier)
        await anyio.sleep(seconds)
        task.set_task_completed(success)

    return handler


def identifiers(background: BGTaskScheduler) -> list[str]:
    return [request.identifier for request in background.get_pending_task_requests()]
