"""BGTaskScheduler: handlers that are launched for background requests when their time has come and the machine allows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ..conditions import Conditions
from ..errors import JobCancelled, SchedulerClosed
from ..events import RequestGivenUp, RequestLaunched, RequestStoreFailed
from ..job import Job
from ..outlook import Reason, Why
from ..requests import (
    AT_ONCE,
    LANE,
    NOTICE,
    PROCESSING_SECONDS,
    REFRESH_SECONDS,
    BGAppRefreshTaskRequest,
    BGTaskRequest,
    KeptRequest,
    check_request,
    request_job,
)
from ..scheduler import Scheduler
from ..ticket import Stint, Ticket
from .keeping import Keeping
from .launch import BGAppRefreshTask, BGProcessingTask, BGTask, Ended, Expiry, Handler, LaunchFailed
from .request_store import MemoryRequestStore, RequestStore, RequestStoreError

Result = TypeVar("Result")

TOLERANCE = 1.0
"""Seconds by which the wall clock may leave the scheduler's before dates are reckoned anew."""


class LaunchLane:
    """The lane of handlers: coroutines on the event loop, so that it takes no core; ``capacity`` of them at a time."""

    def __init__(self, capacity: int, launches: Sized) -> None:
        self.capacity = capacity
        self._launches = launches

    @property
    def busy(self) -> int:
        """How many handlers are at work."""
        return len(self._launches)

    def __repr__(self) -> str:
        return f"<LaunchLane {self.busy} of {self.capacity} busy>"

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns, done here and now."""
        await anyio.lowlevel.checkpoint()
        return work()


@dataclass(frozen=True, slots=True)
class _Registered:
    handler: Handler
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class NotRegistered(Reason):
    """A request of an earlier run is kept, and no handler is registered for its identifier; ``registered`` are others."""

    registered: tuple[str, ...]

    name: ClassVar[str] = "not registered"

    def __str__(self) -> str:
        return f"no handler is registered for it (there are those for {', '.join(map(repr, self.registered)) or 'none'}): it is kept"


class BGTaskScheduler:
    """Launches the handlers registered for background requests: ``async with BGTaskScheduler(scheduler, store) as background``.

    ``store``   keeps the requests until their launches have ended; by default as long as the program runs.
    ``at_once`` how many launches go on at the same time. ``refresh_seconds`` and ``processing_seconds``: what a launch gets.
    ``notice``  how long before the end of that the expiration handler is called, and what it then has.
    ``most_launches``  after how many launches in a row during which the process ended a request is given up.
    ``poll``    seconds between two looks at the wall clock, and before a store that has failed is tried again. ``now``: the wall clock.

    Each request that waits is a job of ``scheduler``, called by the request's identifier, on the lane ``background``.
    To leave the block is to call the expiration handlers of what was launched, and to wait for the ends; requests that were not
    completed are kept. An exception or a cancellation in it cancels the handlers. Raises ``ValueError`` for numbers that make no sense,
    ``TypeError`` for what is no scheduler.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        store: RequestStore | None = None,
        *,
        at_once: int = AT_ONCE,
        refresh_seconds: float = REFRESH_SECONDS,
        processing_seconds: float = PROCESSING_SECONDS,
        notice: float = NOTICE,
        most_launches: int = 3,
        poll: float = 60.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not isinstance(scheduler, Scheduler):
            raise TypeError(f"background requests: expected a Scheduler (that of a runtime is runtime.scheduler), got {scheduler!r}")
        for name, number in (("at_once", at_once), ("most_launches", most_launches)):
            if not isinstance(number, int) or number < 1:
                raise ValueError(f"background requests: {name}: expected a whole number above 0, got {number!r}")
        if not 0 < poll < math.inf:
            raise ValueError(f"background requests: poll: expected seconds above 0, got {poll!r}")
        if not 0 <= notice < min(refresh_seconds, processing_seconds):
            raise ValueError(f"background requests: notice: expected seconds within those of a launch, got {notice!r}")
        self._scheduler = scheduler
        self._keeping = Keeping(store if store is not None else MemoryRequestStore(), self._tell_of_failure)
        self._seconds = {BGAppRefreshTask: refresh_seconds, BGProcessingTask: processing_seconds}
        self._notice = notice
        self._most_launches = most_launches
        self._poll = poll
        self._now = now
        self._handlers: dict[str, _Registered] = {}
        self._tickets: dict[str, Ticket[Any]] = {}
        self._launches: dict[str, tuple[KeptRequest, BGTask]] = {}
        self._lane = LaunchLane(at_once, self._launches)
        self._served: set[str] = set()  # identifiers that a task of ours looks after
        self._anew: set[str] = set()  # those whose job is to be another one
        self._forced: set[str] = set()  # those that are to be launched whatever keeps them
        self._moved = anyio.Event()
        self._group: TaskGroup | None = None
        self._entered = self._leaving = False
        self.failures: dict[str, LaunchFailed] = {}
        """The last launch of each identifier, where it did not end well."""

    def __repr__(self) -> str:
        state = "closed" if self._group is None else f"{len(self.get_pending_task_requests())} pending, {len(self._launches)} launched"
        return f"<BGTaskScheduler {state}>"

    def register(self, identifier: str, handler: Handler, *, conditions: Conditions | None = None) -> None:
        """Has ``handler`` launched for requests of ``identifier``. ``conditions`` must hold besides those of the request.

        Raises ``ValueError`` where somebody has registered for it, and for what is no identifier; ``TypeError`` for what cannot be called,
        and for what are no conditions; ``SchedulerClosed`` once the block has been entered.
        """
        if not isinstance(identifier, str) or not identifier:
            raise ValueError(f"register: expected an identifier that is a non-empty string, got {identifier!r}")
        if conditions is not None and not isinstance(conditions, Conditions):
            raise TypeError(f"identifier {identifier!r}: conditions: expected Conditions, got {conditions!r}")
        if not callable(handler):
            raise TypeError(f"identifier {identifier!r}: expected a function that takes the task, got {handler!r}")
        if identifier in self._handlers:
            raise ValueError(f"identifier {identifier!r}: expected one that no handler is registered for, got one that has one")
        if self._entered:
            raise SchedulerClosed(
                f"identifier {identifier!r}: expected a handler to be registered before the scheduler starts, got one later"
            )
        self._handlers[identifier] = _Registered(handler, conditions if conditions is not None else Conditions())

    async def submit(self, request: BGTaskRequest) -> None:
        """Asks for a launch, in place of what is pending for the same identifier; what has returned is kept.

        Raises ``BGTaskSchedulerError`` for what is against the rules (``check_request``), ``RequestStoreError`` where it cannot be kept,
        ``SchedulerClosed`` outside of the block. Nothing has changed then.
        """
        self._check_open()
        await self._keeping.add(request, lambda: self._check(request))
        self._again(request.identifier)
        if request.identifier not in self._served:
            self._start(request.identifier)

    async def cancel(self, task_request_with_identifier: str) -> None:
        """Takes a request back; does nothing where there is none. A launch of it that goes on is left alone, and is not repeated.

        Raises ``RequestStoreError`` where that cannot be kept; nothing has changed then.
        """
        self._check_open()
        if await self._keeping.remove(task_request_with_identifier):
            self._again(task_request_with_identifier)

    async def cancel_all_task_requests(self) -> None:
        """Takes all requests back, as ``cancel`` does."""
        self._check_open()
        for identifier in await self._keeping.clear():
            self._again(identifier)

    def get_pending_task_requests(self) -> list[BGTaskRequest]:
        """The requests that wait for their launch, in the order of their submission; also those that nobody has registered for."""
        return [kept.request for kept in self._keeping if not self._launched(kept)]

    def why(self, identifier: str) -> Why:
        """Why a request is where it is, as ``Scheduler.why`` says, and also of one that nobody has registered for.

        Raises ``ValueError`` where nothing is known of it.
        """
        if identifier in self._keeping and identifier not in self._handlers:
            return Why(identifier, self._scheduler.clock(), (NotRegistered(tuple(sorted(self._handlers))),))
        return self._scheduler.why(identifier)

    async def simulate_launch(self, identifier: str) -> None:
        """For tests: launches a pending request whatever its date and its conditions say; returns when its handler is about to be called.

        Raises ``ValueError`` where none is pending, ``SchedulerClosed`` outside of the block.
        """
        self._check_open()
        kept = self._keeping.get(identifier)
        if kept is None or self._launched(kept) or identifier not in self._handlers:
            raise ValueError(f"request {identifier!r}: expected one that is pending and has a handler, got none")
        self._forced.add(identifier)
        self._again(identifier)
        while identifier in self._forced:
            await self._moved.wait()

    def simulate_expiration(self, identifier: str) -> None:
        """For tests: ends the time of a launch. Raises ``ValueError`` where none goes on for the identifier."""
        if identifier not in self._launches:
            raise ValueError(f"request {identifier!r}: expected one that is launched, got none")
        self._launches[identifier][1]._expire(Expiry.TIME)

    async def __aenter__(self) -> BGTaskScheduler:
        if self._group is not None:
            raise SchedulerClosed("background requests: expected a scheduler that does not run yet, got one that does")
        self._scheduler._check_running()
        if self._now().utcoffset() is None:
            raise ValueError(f"background requests: now: expected times with a zone, got {self._now()!r}")
        await self._keeping.load()
        for kept in self._keeping:
            if kept.launches >= self._most_launches:
                self._scheduler.observers.emit(RequestGivenUp(self._scheduler.clock(), kept.request.identifier, kept.launches))
                await self._keeping.end(kept)
        self._scheduler.lanes[LANE] = self._lane
        self._scheduler.dispatcher.set_capacity(LANE, self._lane.capacity)
        group = anyio.create_task_group()
        await group.__aenter__()
        self._group, self._entered, self._leaving = group, True, False
        self._scheduler._apart.append(self._waiting)
        self._served.clear()
        for kept in self._keeping:
            if kept.request.identifier in self._handlers:
                self._start(kept.request.identifier)
        group.start_soon(self._watch_the_clock)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        self._leaving = True
        try:
            if error is None:
                for _, task in list(self._launches.values()):
                    task._expire(Expiry.LEFT)
                while self._launches:
                    await self._moved.wait()
        finally:
            group, self._group = self._group, None
            self._scheduler._apart.remove(self._waiting)
            self._forced.clear()
            self._move()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                for identifier in list(self._keeping.owed):
                    await self._keeping.settle_up(identifier)
            if isinstance(error, Exception):  # the block's own leaves as it came, in no group
                await group.__aexit__(None, None, None)
            else:
                await group.__aexit__(kind, error, traceback)
        return None

    def _check_open(self) -> None:
        if self._group is None:
            raise SchedulerClosed("background requests: expected `async with` around what is asked of them, got a scheduler that is closed")

    def _check(self, request: BGTaskRequest) -> None:
        check_request(request, self.get_pending_task_requests(), self._handlers, self._now())
        if request.identifier not in self._tickets and self._scheduler.ticket(request.identifier) is not None:
            raise ValueError(f"request {request.identifier!r}: expected an identifier that no job of the scheduler has, got one that has")

    def _waiting(self) -> int:
        """How many jobs of ours wait."""
        return len(self._tickets) - len(self._launches)

    def _launched(self, kept: KeptRequest) -> bool:
        launch = self._launches.get(kept.request.identifier)
        return launch is not None and launch[0] is kept

    def _is_left(self) -> bool:
        """Whether the block is being left, so that nothing is launched any more."""
        return self._leaving

    def _again(self, identifier: str) -> None:
        """Lets a request that waits wait anew, for what it is to wait for now; a launch is left alone."""
        if identifier not in self._launches:
            self._anew.add(identifier)
            if (ticket := self._tickets.get(identifier)) is not None:
                ticket.cancel()
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()

    async def _watch_the_clock(self) -> None:
        """Dates are of the wall clock, turns of a clock that only ever goes on: reckons anew where somebody has set the wall clock."""
        before = self._offset()
        while True:
            await anyio.sleep(self._poll)
            if abs(self._offset() - before) > TOLERANCE:
                before = self._offset()
                for kept in self._keeping:
                    if kept.request.earliest_begin_date is not None:
                        self._again(kept.request.identifier)

    def _offset(self) -> float:
        return self._now().timestamp() - self._scheduler.clock()

    def _job(self, kept: KeptRequest) -> Job:
        request, begin = kept.request, kept.request.earliest_begin_date
        forced = request.identifier in self._forced
        waits = -math.inf if begin is None or forced else self._scheduler.clock() + (begin - self._now()).total_seconds()
        asked = request.conditions.with_those_of(self._handlers[request.identifier].conditions)
        return request_job(request, Conditions() if forced else asked, waits)

    def _start(self, identifier: str) -> None:
        """Looks after the requests of an identifier from now on. They get their places in the order in which this is called."""
        kept = self._keeping.get(identifier)
        if kept is not None and self._group is not None and not self._leaving:
            self._served.add(identifier)
            self._admit(kept)
            self._group.start_soon(self._serve, identifier)

    def _admit(self, kept: KeptRequest) -> bool:
        """Has the scheduler take on the job of a request; whether it could: not while a job of somebody else's is called so."""
        identifier = kept.request.identifier
        self._anew.discard(identifier)
        if self._scheduler.ticket(identifier) is not None:
            return False
        self._tickets[identifier] = self._scheduler._submit(
            self._job(kept), None, None
        )  # there is room: requests have a bound of their own
        self._tickets[identifier].steps_left = 1
        return True

    async def _serve(self, identifier: str) -> None:
        """Launches what is kept for an identifier, one request after the other, until there is none."""
        while not self._leaving and (kept := self._keeping.get(identifier)) is not None:
            if identifier not in self._tickets and not self._admit(kept):
                await anyio.sleep(self._poll)
                continue
            ticket = self._tickets[identifier]
            try:
                if identifier not in self._anew:
                    await self._honour(kept, ticket)
            except JobCancelled:
                if identifier not in self._anew and (found := self._keeping.get(identifier)):  # whoever cancels the job means the request
                    await self._keeping.end(found)
            finally:
                del self._tickets[identifier]
                if not ticket.finished:
                    ticket.cancel()
            await self._settle_up(kept)
        self._served.discard(identifier)
        self._forced.discard(identifier)
        self._move()

    async def _honour(self, kept: KeptRequest, ticket: Ticket[Any]) -> None:
        """Takes turns for a request until a launch of it has ended by itself, or another request is kept in its place."""
        identifier = kept.request.identifier
        while self._keeping.holds(kept):
            async with ticket.turn() as stint:
                # the wall clock may have been set back since the job's time was reckoned
                if self._is_left() or (identifier not in self._forced and not kept.request.due(self._now())):
                    return
                marked = await self._keeping.mark(kept)
                if marked is None:
                    if self._keeping.holds(kept):  # what cannot be noted now could not be at the end either, and would be done twice
                        until = self._scheduler.clock() + self._poll
                        self._scheduler.dispatcher.hold(identifier, until, "the store of background requests has failed")
                    continue
                if self._is_left():  # while it was noted
                    with anyio.CancelScope(shield=True):
                        await self._keeping.put_back(marked)
                    return
                ended, kept = await self._launch(marked, ticket, stint)
                stint.used(self._scheduler.clock() - stint.turn.begun, 0 if ended.interrupted else 1)
            if not ended.interrupted:
                ticket.finish(ended.failure)

    async def _settle_up(self, kept: KeptRequest) -> None:
        """Waits until the store keeps a request no longer that has ended, or another one in its place."""
        while kept.request.identifier in self._keeping.owed:
            with anyio.move_on_after(self._poll):
                while kept.request.identifier in self._keeping.owed:
                    await self._moved.wait()
            await self._keeping.settle_up(kept.request.identifier)

    async def _launch(self, kept: KeptRequest, ticket: Ticket[Any], stint: Stint) -> tuple[Ended, KeptRequest]:
        """Calls the handler, and sees to it that it ends in time; gives the request as it is kept then, too."""
        request, clock = kept.request, self._scheduler.clock
        kind = BGAppRefreshTask if isinstance(request, BGAppRefreshTaskRequest) else BGProcessingTask
        task = kind(request, clock(), self._seconds[kind], self._notice)

        def interrupt() -> None:
            task._expire(Expiry.CANCELLED if ticket.cancelled else Expiry.CONDITIONS)

        stint.interrupt = interrupt
        if stint.yields or ticket.cancelled:
            interrupt()
        self._launches[request.identifier] = kept, task
        self._forced.discard(request.identifier)
        self._move()
        self._scheduler.observers.emit(RequestLaunched(clock(), request.identifier))
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(task._call, self._handlers[request.identifier].handler, task)
                await task._settle(group, clock)
                interrupted = task._ended().interrupted
                if not interrupted:
                    await self._keeping.end(kept)
                await task._wind_up(clock)
                group.cancel_scope.cancel()
            if interrupted:
                kept = await self._keeping.put_back(kept)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await (self._keeping.end if task._success else self._keeping.put_back)(kept)
            raise
        finally:
            del self._launches[request.identifier]
            self._move()
        ended = replace(task._ended(), interrupted=interrupted)
        self.failures.pop(request.identifier, None)
        if ended.failure is not None:
            self.failures[request.identifier] = ended.failure
        return ended, kept

    def _tell_of_failure(self, identifier: str, error: RequestStoreError) -> None:
        self._scheduler.observers.emit(RequestStoreFailed(self._scheduler.clock(), identifier, str(error)))
