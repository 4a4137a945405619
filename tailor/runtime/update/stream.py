"""The events of a task as an async iterator. Training waits for it as it waits for a handler."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from .context import MLUpdateContext, MLUpdateProgressEvent

if TYPE_CHECKING:
    from .task import MLUpdateTask


class EventStream:
    """Iterates over a task's contexts at ``events`` until the task ends.

    It begins with the first reading. While the iterating code works on a context the training waits; it goes on when the
    next one is asked for, or the iterator is closed or dropped. Where nobody else drives the task, asking for the next
    context does.
    """

    def __init__(self, task: MLUpdateTask, events: MLUpdateProgressEvent) -> None:
        self.events = events
        self.reader: int | None = None
        self.asked = anyio.Event()
        self._task = task
        self._waiting: deque[MLUpdateContext] = deque()
        self._closed = False
        self._arrived = anyio.Event()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> MLUpdateContext:
        self.reader = anyio.get_current_task().id
        while not self._waiting:
            if self._closed or self._task.state.is_final:
                self.close()
                raise StopAsyncIteration
            self.asked.set()
            await self._task._until(self._arrived)
            self._arrived = anyio.Event()
        return self._waiting.popleft()

    def put(self, context: MLUpdateContext) -> None:
        """Hands over a context; from now on training waits for it to be dealt with. Before the first reading it is let go."""
        if self.reader is not None and not self._closed and context.event & self.events:
            self.asked = anyio.Event()
            self._waiting.append(context)
            self._arrived.set()

    def wake(self) -> None:
        """Lets the iterating code see that the task has ended."""
        self._arrived.set()

    def close(self) -> None:
        """Ends the stream; training no longer waits for it."""
        self._closed = True
        self.asked.set()

    async def aclose(self) -> None:
        """Ends the stream, as ``contextlib.aclosing`` does."""
        self.close()

    def __del__(self) -> None:
        with suppress(AttributeError, RuntimeError):  # never wholly made, or its event loop has gone: nobody waits for it
            self.close()
