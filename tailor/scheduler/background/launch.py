"""One launch of a background request's handler: what the handler is given, and how its time ends."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import anyio

from ..budget import Budget
from ..errors import SchedulerError
from ..requests import BGTaskRequest

Handler: TypeAlias = "Callable[[BGTask], Awaitable[None] | None]"
"""Called on the event loop with the task; plain or async. A plain one starts something and returns."""

ExpirationHandler: TypeAlias = "Callable[[], Awaitable[None] | None]"


class LaunchFailed(SchedulerError):
    """A launch of a background request did not end well. What the handler raised, if it did, is the cause."""


class Expiry(Enum):
    """Why a launch is brought to an end from outside."""

    TIME = "its time ran out"
    CONDITIONS = "what it needs around it no longer holds"
    LEFT = "the scheduler was left"
    CANCELLED = "its job was cancelled"

    @property
    def interrupts(self) -> bool:
        """Whether the request is to be launched again: it has not had its time."""
        return self in (Expiry.CONDITIONS, Expiry.LEFT)


class BGTask:
    """What a handler is given: the launch of one request.

    ``expiration_handler``: set it to a plain or async function without arguments; it is called shortly before the time is up, or when
    what the request needs no longer holds, and should bring the work to a stop. Without one the task is then ended at once.
    ``set_task_completed`` must be called, by the handler or by what it has started, in the event loop's thread; until then the
    launch goes on.
    ``expires``, ``deadline``: seconds on the scheduler's clock: when the expiration handler is called at the latest, and when all is over.
    """

    def __init__(self, request: BGTaskRequest, begun: float, seconds: float, notice: float) -> None:
        self.request = request
        self.deadline = begun + seconds
        self.expires = self.deadline - notice
        self.expiration_handler: ExpirationHandler | None = None
        self._notice = notice
        self._success: bool | None = None
        self._expiry: Expiry | None = None
        self._error: BaseException | None = None
        self._hurried = False
        self._running = 0
        self._forgotten = False
        self._moved = anyio.Event()

    def __repr__(self) -> str:
        state = "at work" if self._success is None else f"completed: {self._success}"
        return f"<{type(self).__name__} {self.identifier!r} {self._expiry.value if self._expiry and self._success is None else state}>"

    @property
    def identifier(self) -> str:
        """That of the request."""
        return self.request.identifier

    @property
    def budget(self) -> Budget:
        """What work on behalf of the launch may use: hand it down, for the time is allotted once, to the launch as a whole."""
        return Budget(deadline=self.expires)

    @property
    def expired(self) -> Expiry | None:
        """Why the launch is being brought to an end; ``None`` where it is not."""
        return self._expiry

    def set_task_completed(self, success: bool) -> None:
        """Says that the work is done, or that it could not be. The first call counts; none does once the launch has ended."""
        if self._success is None:
            self._success = bool(success)
            self._move()

    # What follows is for the scheduler of background requests.

    def _expire(self, why: Expiry) -> None:
        """Asks for the end. The first reason counts, unless the handler has settled it before."""
        self._hurried = True
        if self._expiry is None and not self._settled:
            self._expiry = why
        self._move()

    async def _call(self, handler: Callable[..., Awaitable[None] | None], *arguments: Any) -> None:
        """Calls somebody else's function; what it raises fails the launch, and nothing else."""
        self._running += 1
        try:
            given = handler(*arguments)
            if inspect.isawaitable(given):
                await given
        except Exception as error:  # a handler is the application's: whatever it raises is told, and other requests go on
            self._error = self._error or error
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            self._error = self._error or error  # not the launch was cancelled, but an asyncio task that the handler waited for
        finally:
            self._running -= 1
            self._move()

    async def _settle(self, group: anyio.abc.TaskGroup, clock: Callable[[], float]) -> None:
        """Waits until the handler has completed the task or raised, or its time, with the notice that it is given then, is up."""
        await self._wait(lambda: self._settled or self._expiry is not None, self.expires - clock())
        if self._settled:
            return
        self._expire(Expiry.TIME)
        self._forgotten = self._running == 0
        if self.expiration_handler is not None:
            group.start_soon(self._call, self.expiration_handler)
            await self._wait(lambda: self._settled, self._notice)

    async def _wind_up(self, clock: Callable[[], float]) -> None:
        """Waits until what was called has returned, as long as there is time: once the end was asked for, as long as the notice."""
        if self._success is not None:
            await self._wait(lambda: not self._running or self._hurried, self.deadline - clock())
            await self._wait(lambda: not self._running, min(self._notice, self.deadline - clock()))

    @property
    def _settled(self) -> bool:
        return self._success is not None or self._error is not None

    def _ended(self) -> Ended:
        """How it ended."""
        success = self._success is True and self._error is None
        return Ended(success, self._expiry is not None and self._expiry.interrupts and self._success is not True, self._failure(success))

    def _failure(self, success: bool) -> LaunchFailed | None:
        if success:
            return None
        if self._error is not None:
            why = f"its handler raised {type(self._error).__name__}: {self._error}"
        elif self._success is False:
            why = "its handler said so" if self._expiry is None else f"{self._expiry.value}, and its handler said so"
        else:
            assert self._expiry is not None, "a launch ends completed, failed or expired"
            why = self._expiry.value
            if self._forgotten and self._expiry is Expiry.TIME:
                why += ": expected its handler to call set_task_completed, got one that returned without"
        failure = LaunchFailed(f"background request {self.identifier!r} was not completed: {why}")
        failure.__cause__ = self._error
        return failure

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()

    async def _wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Waits until that is so, at most so long."""
        with anyio.move_on_after(max(0.0, seconds)):
            while not until():
                await self._moved.wait()


class BGAppRefreshTask(BGTask):
    """The launch of a refresh request: half a minute."""


class BGProcessingTask(BGTask):
    """The launch of a processing request: minutes."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a launch ended. ``interrupted``: it was brought to an end by nothing that its handler did, and is to be tried again."""

    success: bool
    interrupted: bool
    failure: LaunchFailed | None
