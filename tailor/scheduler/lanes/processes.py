"""The lane of worker processes: one that dies takes one piece of work with it, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread

from ..errors import SchedulerClosed
from .channel import Channel
from .link import packed
from .process import WorkerProcess

Result = TypeVar("Result")

EXIT_SECONDS = 5.0
"""How long a worker that should end has for it; then it is killed."""


class ProcessLane:
    """A lane of worker processes, for work that holds the interpreter, or may take its process with it.

    ``run`` takes work that can be sent to another process: functions of modules, ``functools.partial`` of them; and so must be what it
    returns. What it raises comes back with the worker's traceback as a note. Where a worker dies, the work that it had raises ``LaneLost``;
    the others go on, and another one takes its place.

    Workers are started when there is work for them, which takes about a second each, and are kept until ``async with lane`` is left, or
    ``aclose`` is called. One whose parent is gone ends by itself, whatever it is doing. They are started anew, not forked, and do not
    import the program's main module. A worker may use its share of the cores (``OMP_NUM_THREADS`` and the like, where none of them is
    set), so that all of them together use each core once. They use standard output and error of this process, and no input.

    Like a ``ThreadLane``, it belongs to the event loop that it is first used in. Raises ``ValueError`` for less than one worker.
    """

    def __init__(self, workers: int = 1) -> None:
        if not isinstance(workers, int) or workers < 1:
            raise ValueError(f"lane: expected at least one worker, got {workers!r}")
        self._limiter = anyio.CapacityLimiter(workers)
        self._changed = threading.Condition()
        self._idle: list[WorkerProcess] = []
        self._at_work: set[WorkerProcess] = set()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.busy} of {self.capacity} busy"
        return f"<ProcessLane {state}>"

    @property
    def capacity(self) -> int:
        """How many processes work at the same time."""
        return int(self._limiter.total_tokens)

    @property
    def busy(self) -> int:
        """How many processes work now."""
        return self._limiter.borrowed_tokens

    @property
    def processes(self) -> list[int]:
        """The ids of the worker processes that there are; those at work come first."""
        with self._changed:
            return [worker.process.pid for worker in (*self._at_work, *self._idle)]

    @property
    def is_warm(self) -> bool:
        """Whether there is a worker that has started and has nothing to do."""
        return bool(self._idle)

    async def run(self, work: Callable[[], Result], channel: Channel | None = None) -> Result:
        """What ``work`` returns, computed in another process.

        Raises ``ValueError`` for work that cannot be sent there, ``LaneLost`` where the worker dies, ``SchedulerError`` for a
        result that cannot be sent back, and ``SchedulerClosed`` once the lane is closed.
        """
        channel = channel if channel is not None else _nobodys()
        channel._opened()
        try:
            return await anyio.to_thread.run_sync(self._worked, work, channel, limiter=self._limiter)
        finally:
            channel._closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Waits for the work that runs, and ends the workers; one that does not end within 5 seconds is killed."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close, limiter=anyio.CapacityLimiter(1))

    def _worked(self, work: Callable[[], Result], channel: Channel) -> Result:
        """Runs in a thread, which waits while the worker works."""
        try:
            body = packed((channel._key, work))
        except Exception as error:
            raise ValueError(
                "process lane: expected work that can be sent to another process (a function of a module, a functools.partial of one), "
                f"got {work!r}: {error}"
            ) from error
        worker = self._taken(channel)
        try:
            result: Result = worker.work(body, channel)
            return result
        finally:
            self._give_back(worker)

    def _taken(self, channel: Channel) -> WorkerProcess:
        """The worker that the channel used last, if it is free, or another one, which may have to be started."""
        with self._changed:
            if self._closed:
                raise SchedulerClosed("process lane: expected one that is open, got one that was closed")
            dead = [worker for worker in self._idle if worker.process.poll() is not None]
            self._idle = [worker for worker in self._idle if worker not in dead]
            worker = next((known for known in channel._workers if known in self._idle), None)
            if worker is not None:
                self._idle.remove(worker)
            else:
                worker = self._idle.pop() if self._idle else WorkerProcess(self.capacity)
            self._at_work.add(worker)
        for other in dead:
            other.end(0)
        return worker

    def _give_back(self, worker: WorkerProcess) -> None:
        with self._changed:
            usable = not (self._closed or worker.lost)
            if usable:
                self._at_work.remove(worker)
                self._idle.append(worker)
        if not usable:
            worker.end(0 if worker.lost else EXIT_SECONDS)
            with self._changed:
                self._at_work.remove(worker)
                self._changed.notify_all()

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.link.close()
        until = time.monotonic() + EXIT_SECONDS
        for worker in idle:
            worker.end(until - time.monotonic())
        with self._changed:
            self._changed.wait_for(lambda: not self._at_work)


def _nobodys() -> Channel:
    """A channel for one piece of work, of which nothing is kept."""
    channel = Channel()
    channel._key = ""
    return channel
