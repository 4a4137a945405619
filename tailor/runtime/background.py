"""Runtime: where tasks go on in the background while their owner does something else."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup

from tailor.scheduler import Lane, ThreadLane

from .errors import MLTaskStateError

if TYPE_CHECKING:
    from .task import MLTask


class Runtime:
    """``async with Runtime() as runtime``: tasks made with ``runtime=runtime`` run from their ``resume()`` on.

    ``workers`` tasks compute at the same time, each step in a worker of ``lane``; the others wait their turn. To leave
    the block is to wait for the tasks that were resumed, unless they are suspended; an exception or a cancellation in it
    cancels those that run.
    """

    def __init__(self, *, workers: int = 1, lane: Lane | None = None) -> None:
        self.lane: Lane = lane if lane is not None else ThreadLane(workers)
        self._group: TaskGroup | None = None
        self._tasks: set[MLTask[Any]] = set()

    def __repr__(self) -> str:
        state = "closed" if self._group is None else f"{len(self._tasks)} running"
        return f"<Runtime {state} on {self.lane!r}>"

    async def __aenter__(self) -> Runtime:
        if self._group is not None:
            raise MLTaskStateError("runtime: expected one that is not open yet, got one that is")
        group = anyio.create_task_group()
        await group.__aenter__()
        self._group = group
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        for task in list(self._tasks):
            task._left_by(anyio.get_current_task().id)
        try:
            return await self._group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            if group.exceptions == (error,):
                return False  # tasks keep their failures to themselves: this one is the block's own, and leaves as it came
            raise
        finally:
            self._group = None

    def _check_open(self) -> None:
        if self._group is None:
            raise MLTaskStateError("runtime: expected `async with runtime` around the tasks it runs, got one that is closed")

    def _start(self, task: MLTask[Any]) -> None:
        """Drives a task in the background."""
        self._check_open()
        assert self._group is not None
        self._tasks.add(task)
        self._group.start_soon(self._run, task)

    async def _run(self, task: MLTask[Any]) -> None:
        try:
            await task._drive()
        finally:
            self._tasks.discard(task)
