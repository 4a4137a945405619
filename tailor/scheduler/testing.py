"""For tests of what is scheduled: fakes of a lane, of sensors and of a store, and checks that lanes and stores keep their promises."""

from __future__ import annotations

import operator
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

from .background import RequestStore, RequestStoreError
from .conditions import Surroundings
from .lanes import Lane
from .requests import BGAppRefreshTaskRequest, BGProcessingTaskRequest, KeptRequest

Result = TypeVar("Result")

MEETING_SECONDS = 30.0
"""How long work waits for other work that should run at the same time; a lane that keeps its promises never lets it wait so long."""


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


class FakeSensors:
    """Sensors that tell what they were told: ``sensors.set(external_power=False, battery=0.3)``."""

    blocking = False

    def __init__(self, around: Surroundings | None = None) -> None:
        self.around = around if around is not None else Surroundings()

    def set(self, **fields: Any) -> None:
        """Changes some of the fields of ``Surroundings``. Raises ``TypeError`` for a field that there is not."""
        self.around = replace(self.around, **fields)

    def read(self) -> Surroundings:
        """The machine as the test has it."""
        return self.around


class FaultyRequestStore:
    """Another store whose changes fail from the ``first`` to the ``last`` of them (counted from 1).

    ``late``: they fail after they were made, as where the answer is lost.
    """

    def __init__(self, store: RequestStore, first: int, last: int | None = None, *, late: bool = False) -> None:
        self.store = store
        self.changes = 0
        self._fails = range(first, (first if last is None else last) + 1)
        self._late = late

    async def load(self) -> list[KeptRequest]:
        """What the other store keeps."""
        return await self.store.load()

    async def save(self, kept: KeptRequest) -> None:
        """Keeps a request, or fails."""
        await self._change(partial(self.store.save, kept))

    async def remove(self, identifier: str) -> None:
        """Keeps a request no longer, or fails."""
        await self._change(partial(self.store.remove, identifier))

    async def clear(self) -> None:
        """Keeps none, or fails."""
        await self._change(self.store.clear)

    async def _change(self, change: Callable[[], Awaitable[None]]) -> None:
        self.changes += 1
        if self.changes not in self._fails:
            return await change()
        if self._late:
            await change()
        raise RequestStoreError(f"on purpose, at change {self.changes}")


async def check_request_store(open_store: Callable[[], RequestStore], close: Callable[[RequestStore], None] = lambda store: None) -> None:
    """Raises ``AssertionError`` where an empty store breaks a promise of the interface.

    After each change ``close`` is called with the store and ``open_store`` gives it again: what was acknowledged is there then.
    """
    zone = datetime(2026, 3, 29, 1, 59, 59, 999_999, timezone(timedelta(hours=5, minutes=30)))
    soon = KeptRequest(BGAppRefreshTaskRequest("app.refresh", zone), 2)
    clean = BGProcessingTaskRequest("app.clean 'up'; ä\n", zone + timedelta(days=7), requires_external_power=True)
    late = KeptRequest(clean, 9, launches=2)
    plain = KeptRequest(BGProcessingTaskRequest("app.plain", requires_network_connectivity=True), 1)
    newer = KeptRequest(BGProcessingTaskRequest("app.refresh"), 10)

    async def after(change: Callable[[RequestStore], Awaitable[None]], *expected: KeptRequest) -> None:
        for changes in (True, False):
            store = open_store()
            if changes:
                await change(store)
            found = await store.load()
            close(store)
            assert found == list(expected), f"expected {expected}, got {found}"
            assert [type(kept.request) for kept in found] == [type(kept.request) for kept in expected], "kinds of requests are kept"

    await after(lambda store: store.clear())
    await after(lambda store: store.save(late), late)
    await after(lambda store: store.save(soon), soon, late)
    await after(lambda store: store.save(plain), plain, soon, late)
    await after(lambda store: store.remove("app.other"), plain, soon, late)
    await after(lambda store: store.save(newer), plain, late, newer)
    await after(lambda store: store.remove(late.request.identifier), plain, newer)
    await after(lambda store: store.clear())


async def check_lane(lane: Lane) -> None:
    """Raises ``AssertionError`` where ``lane`` breaks a promise of the interface.

    The work is functions of this module, so that a lane can send it anywhere on this machine, and tells of itself in a temporary folder.
    """
    assert lane.capacity >= 1, "a lane has at least one worker"
    assert lane.busy == 0, "a lane at rest is not busy"
    assert await lane.run(partial(operator.add, 3, 4)) == 7, "the result of the work comes back"
    try:
        await lane.run(partial(operator.getitem, {}, "nothing"))
    except KeyError:
        pass
    else:
        raise AssertionError("what the work raises comes back")
    with tempfile.TemporaryDirectory() as folder:
        together, many, before, after = (Path(folder, name) for name in ("together", "many", "before", "after"))
        await _run(lane, lane.capacity, partial(_logged, together, MEETING_SECONDS, lane.capacity))
        assert _most(together) == lane.capacity, "as much work runs at once as the lane's capacity"
        await _run(lane, 4 * lane.capacity, partial(_logged, many, 0.01, 8 * lane.capacity))
        assert _most(many) <= lane.capacity, "no more work runs at once than the lane's capacity"
        assert _read(many).count("-") == 4 * lane.capacity, "all work is done"
        with anyio.CancelScope() as scope:
            scope.cancel()
            await lane.run(partial(_logged, before))
        assert not _read(before), "work whose caller was cancelled before never begins"
        await _cancelled(lane, after)
    assert lane.busy == 0, "a lane at rest is not busy"


async def _run(lane: Lane, times: int, work: Callable[[], None]) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(lane.run, work)


async def _cancelled(lane: Lane, log: Path) -> None:
    told = ""

    async def call() -> None:
        nonlocal told
        with scope:
            await lane.run(partial(_logged, log, 0.05, 2))
        told = _read(log)

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        while not _read(log):  # no sleep: on a clock of a test's own it might not end, or be over at once
            await anyio.lowlevel.checkpoint()
        scope.cancel()
    assert told == "+-", "a caller that is cancelled is told when the work that has begun has ended"


def _logged(log: Path, seconds: float = 0.0, until: int = 0) -> None:
    """Work that logs its beginning and its end, between which it waits for so many to have begun, but not longer than ``seconds``."""
    _append(log, "+")
    end = time.monotonic() + seconds
    while _read(log).count("+") < until and time.monotonic() < end:
        time.sleep(0.001)
    _append(log, "-")


def _append(log: Path, letter: str) -> None:
    with open(log, "a") as file:  # a single letter at the end of a file: whole, whoever else does so
        file.write(letter)


def _read(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def _most(log: Path) -> int:
    """How much work was under way at the same time."""
    return max(accumulate(1 if letter == "+" else -1 for letter in _read(log)))
