"""Scheduler: the one place that awaits. It asks the dispatcher what happens now, and lets it happen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from .budget import Budget
from .conditions import Surroundings
from .cost import CHECKPOINT, Costs
from .dispatch import Dispatcher
from .errors import BudgetExhausted, DependencyFailed, JobCancelled, LaneLost, SchedulerClosed, SchedulerError, SchedulerFull
from .job import Job, Named, name_of
from .lanes import Lane, ThreadLane
from .outlook import Forecast, Player, Simulation, Statistics, Trace, Why, copied, forecast, statistics, why
from .processors import processors
from .reporter import Reporter
from .retry import LOST_LANE, Retry
from .room import Room
from .runner import Runner
from .sensors import Sensors, keep_reading, reading
from .stream import MOST_EVENTS, EventStream, Observers
from .ticket import Stint, Ticket
from .turn import Standing, Turn

Result = TypeVar("Result")


class Scheduler:
    """``async with Scheduler() as scheduler``: gives jobs their turns on lanes, in order and within their budgets.

    ``lanes``    by name; by default one worker thread, ``cpu``. ``cores``: how many threads the work on all of them may use together;
    by default one a processor that this process may use.
    ``limits``   how many jobs of a tag may be at work at a time; ``weights`` of shares against each other (1 where not named).
    ``most_waiting``  how many jobs may be there without a turn; ``None``: any number.
    ``sensors``  what tells of power, network, idle processors ..., every half minute; without, nothing is known of them.
    ``costs``    what was learned before. ``clock``: seconds; what budgets and ``not_before`` are measured by.

    To leave the block is to wait for the work that was submitted; jobs whose holders take the turns themselves are not waited for. An
    exception or a cancellation in it cancels the work that waits. Its methods are called from the event loop's thread.

    Raises ``ValueError`` for what makes no sense.
    """

    def __init__(
        self,
        lanes: Mapping[str, Lane] | None = None,
        *,
        cores: int | None = None,
        limits: Mapping[str, int] | None = None,
        weights: Mapping[str, float] | None = None,
        most_waiting: int | None = None,
        sensors: Sensors | None = None,
        costs: Costs | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        for name, given in (("lanes", lanes), ("limits", limits), ("weights", weights)):
            if given is not None and not isinstance(given, Mapping):
                raise ValueError(f"scheduler: {name}: expected a mapping from names, got {given!r}")
        if sensors is not None and not hasattr(sensors, "read"):
            raise ValueError(f"scheduler: sensors: expected what reads the machine, as PsutilSensors does, or None, got {sensors!r}")
        self.lanes: dict[str, Lane] = dict(lanes) if lanes is not None else {"cpu": ThreadLane()}
        for name, lane in self.lanes.items():
            if not (isinstance(name, str) and name and hasattr(lane, "capacity") and hasattr(lane, "run")):
                raise ValueError(f"scheduler: lanes: expected lanes, such as ThreadLane, by name, got {lane!r} as {name!r}")
        self.dispatcher = Dispatcher(
            {name: lane.capacity for name, lane in self.lanes.items()},
            cores=processors() if cores is None else cores,
            limits=limits,
            weights=weights,
            costs=costs,
        )
        self.observers = Observers()
        self.clock = clock
        self._report = Reporter(self.observers, self.dispatcher.tally, clock)
        self._apart: list[Callable[[], int]] = []  # how many jobs wait of kinds that have bounds of their own
        self._room = Room(most_waiting, lambda: self.waiting - sum(count() for count in self._apart))
        self._sensors = sensors
        self._tickets: dict[str, Ticket[Any]] = {}
        self._group: TaskGroup | None = None
        self._wake = anyio.Event()
        self._alarm = math.inf
        self._at_work = 0
        self._leaving = False
        self._idle: anyio.Event | None = None
        self._runners: list[Runner] = []  # that have nothing to do
        self._named = 0
        self._timekeeper: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        state = "closed" if self._group is None else f"{len(self.dispatcher.turns)} at work, {self.waiting} waiting"
        return f"<Scheduler {state} on {', '.join(self.lanes)}>"

    @property
    def costs(self) -> Costs:
        """What was learned of the cost of steps."""
        return self.dispatcher.costs

    @property
    def waiting(self) -> int:
        """How many jobs are there without a turn."""
        return len(self._tickets) - len(self.dispatcher.turns)

    async def __aenter__(self) -> Scheduler:
        if self._group is not None:
            raise SchedulerClosed("scheduler: expected one that does not run yet, got one that does")
        if self._sensors is not None:
            self.dispatcher.surroundings(await reading(self._sensors))
        group = anyio.create_task_group()
        await group.__aenter__()
        self._group = group
        self._leaving = self.observers.closed = False
        self._timekeeper = anyio.CancelScope(shield=True)  # until the block is left, whatever happens around it
        group.start_soon(self._keep_time, self._timekeeper)
        if self._sensors is not None:
            group.start_soon(keep_reading, self._sensors, self.set_surroundings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        try:
            if error is None:
                await self._until_idle()
        finally:
            self._leaving = True
            self._room.give(to_all=True)
            for ticket in list(self._tickets.values()):
                if ticket.awaited:
                    self.cancel(ticket.identifier)
            with anyio.CancelScope(shield=True):
                await self._until_idle()
            for ticket in list(self._tickets.values()):
                if ticket.standing in (Standing.HELD, Standing.WAITING):  # those that rest may go on if it is entered again
                    self._end(ticket, SchedulerClosed(f"job {ticket.identifier!r}: the scheduler was left"))
            self.observers.close()
            group, self._group = self._group, None
            assert self._timekeeper is not None
            self._timekeeper.cancel()
            group.cancel_scope.cancel()
            if isinstance(error, Exception):  # the block's own leaves as it came, in no group
                await group.__aexit__(None, None, None)
            else:
                await group.__aexit__(kind, error, traceback)
        return None

    def submit(self, job: Job, work: Callable[[], Result] | None = None, *, retry: Retry | None = None) -> Ticket[Result]:
        """Takes on a job. With ``work`` it is run on a lane when its turn comes, again where ``retry`` says so.

        Raises ``SchedulerFull`` where no more may wait, ``SchedulerClosed`` where the scheduler does not run, ``ValueError`` for a job
        that makes no sense here, ``DependencyFailed`` where it comes after one that has ended badly. Nothing has changed then.
        """
        if self._room.full:
            raise SchedulerFull(f"job {job.identifier!r}: expected fewer than {self._room.most} jobs that wait, got {self.waiting}")
        return self._submit(job, work, retry)

    async def admit(self, job: Job, work: Callable[[], Result] | None = None, *, retry: Retry | None = None) -> Ticket[Result]:
        """As ``submit``, but waits while no more may; who has waited longest comes first."""
        self._check_running()
        await self._room.wait()
        try:
            return self._submit(job, work, retry)
        finally:
            self._room.give()

    async def run(self, work: Callable[[], Result], job: Job | None = None, *, retry: Retry | None = None) -> Result:
        """What ``work`` returns, run on a lane when its turn comes. Where the caller is cancelled before, it never is."""
        ticket: Ticket[Result] = await self.admit(job if job is not None else Job(identifier=self._new_name()), retry=retry)
        self._await(ticket)
        try:
            while not ticket.finished:
                stint = ticket.turn()
                await ticket._await_turn(stint)
                delay, now = await self._carry_out(ticket, work, stint)
                if delay is None:
                    self._end(ticket, ticket._failure, now)
                    self._settle(now)
                else:
                    self.dispatcher.hold(ticket.identifier, now + delay, f"attempt {ticket.attempts + ticket.losses} failed")
        except BaseException as error:
            self._finish(ticket, error)
            self._settle(self.clock())
            raise
        return ticket._outcome()

    def cancel(self, identifier: str) -> bool:
        """Cancels a job, as ``Ticket.cancel`` does; whether there was one that had not ended."""
        ticket = self._tickets.get(identifier)
        if ticket is None or ticket.cancelled:
            return False
        ticket.cancelled = True
        if ticket._entry.turn is None:
            self._end(ticket, JobCancelled(f"job {identifier!r} was cancelled"))
        elif ticket._stint is not None:
            ticket._stint._ask_back()
        return True

    def ticket(self, identifier: str) -> Ticket[Any] | None:
        """The ticket of a job that has not ended."""
        return self._tickets.get(identifier)

    def events(self, most: int = MOST_EVENTS) -> EventStream:
        """``async with scheduler.events() as events: async for event in events``: what happens from then on, as ``EventStream`` says."""
        return self.observers.stream(most)

    def why(self, job: Named) -> Why:
        """Why a job is where it is, as data and (``str``) in words. Raises ``ValueError`` where it is not known."""
        return why(self.dispatcher, name_of(job), self.clock())

    def forecast(self, job: Named) -> Forecast:
        """When a job will begin and end, as far as can be told. Raises ``ValueError`` where it is not known."""
        return forecast(self.dispatcher, name_of(job), self.clock())

    def simulate(self, trace: Trace) -> Simulation:
        """What would come of ``trace`` on top of all that is here now, which stays as it is."""
        return Player(copied(self.dispatcher), trace, self.clock()).play()

    def statistics(self) -> Statistics:
        """What was done so far, and what is at hand."""
        return statistics(self.dispatcher, self.clock(), self.observers.missed)

    def set_surroundings(self, around: Surroundings) -> None:
        """Says what the machine is like now."""
        if around == self.dispatcher.around:
            return
        self.dispatcher.surroundings(around)
        self._report.surroundings(around)
        self._decide()

    def add_lane(self, name: str, lane: Lane) -> None:
        """Takes on a lane, or one again that was lost."""
        self.lanes[name] = lane
        self.dispatcher.set_capacity(name, lane.capacity)
        self._report.came_back(name, lane.capacity)
        self._decide()

    def lose_lane(self, name: str, why: str = "it was taken away") -> None:
        """Says that a lane is of no more use, and ``why``: nothing more begins there."""
        self.dispatcher.set_capacity(name, 0)
        self._report.went_away(name, why)
        self._decide()

    def _submit(self, job: Job, work: Callable[[], Result] | None, retry: Retry | None) -> Ticket[Result]:
        self._check_running()
        now = self.clock()
        entry = self.dispatcher.submit(job, now)
        ticket = Ticket(self, entry, work, retry)
        self._tickets[job.identifier] = ticket
        self._report.submitted(job.identifier)
        if work is not None:
            self._await(ticket)
            self._ask(job.identifier, now)
        return ticket

    def _ask(self, identifier: str, now: float) -> None:
        """Lets a job ask for a turn."""
        turn = self.dispatcher.ask_alone(identifier, now)
        if turn is not None:
            self._begin(turn)
            self._room.give()
        else:
            self.dispatcher.ask(identifier, now)
            self._decide(now)

    def _new_name(self) -> str:
        """An identifier for work that has none."""
        self._named += 1
        while (name := f"run-{self._named}") in self.dispatcher:
            self._named += 1
        return name

    def _check_running(self) -> None:
        if self._group is None or self._leaving:
            raise SchedulerClosed("scheduler: expected `async with scheduler` around the jobs it runs, got one that is closed")

    def _leave_turn(self, ticket: Ticket[Any], stint: Stint) -> None:
        """Takes a turn back. Who is next is decided when the holder has had the chance to ask again: the place may still be its own."""
        self._end_turn(ticket, stint)
        if len(self.dispatcher.queue):
            self._wake.set()

    def _end_turn(self, ticket: Ticket[Any], stint: Stint) -> float:
        """Takes a turn back; the time now."""
        turn, now = stint.turn, self.clock()
        seconds = max(0.0, now - turn.begun) if stint._seconds is None else stint._seconds
        ticket._stint = None
        self.dispatcher.end_turn(ticket.identifier, seconds, stint._steps, now, stint._learned)
        self._report.turn_ends(turn, seconds, stint._steps)
        if ticket.cancelled:
            self._end(ticket, JobCancelled(f"job {ticket.identifier!r} was cancelled"), now)
        return now

    async def _keep_working(self, ticket: Ticket[Any]) -> None:
        """Carries out the work of one job after another, as their turns begin."""
        runner = Runner()
        while True:
            now = await self._work(ticket)
            self._runners.append(runner)
            self._settle(now)
            try:
                ticket = await runner.next()
            except BaseException:
                self._runners.remove(runner)
                raise

    async def _work(self, ticket: Ticket[Any]) -> float:
        """One turn of a job that has work of its own; the time at its end."""
        stint = ticket._stint
        assert stint is not None and ticket.work is not None
        delay, now = await self._carry_out(ticket, ticket.work, stint)
        if ticket.finished:
            return now
        if delay is None:
            self._end(ticket, ticket._failure, now)
        else:
            self.dispatcher.hold(ticket.identifier, now + delay, f"attempt {ticket.attempts + ticket.losses} failed")
            self.dispatcher.ask(ticket.identifier, now)
        return now

    async def _carry_out(self, ticket: Ticket[Result], work: Callable[[], Result], stint: Stint) -> tuple[float | None, float]:
        """Runs a job's work, for which it has a turn, and ends that: the seconds until the next attempt, ``None`` where this was the last
        one, and the time now."""
        delay: float | None = None
        try:
            ticket._result = await stint.lane.run(work)
            stint._steps = 1  # of which something is learned where jobs of its model are alike
            stint._learned = None if ticket.job.model else (0.0, 0)
        except LaneLost as error:
            self._lost(stint.lane_name, error, ticket)
            ticket.losses += 1
            delay = self._again(ticket, error, LOST_LANE, ticket.losses)
        except Exception as error:
            ticket.attempts += 1
            delay = self._again(ticket, error, ticket.retry, ticket.attempts)
        except BaseException:  # who waits for it was cancelled, and the work has not begun
            ticket.cancelled = True
            raise
        finally:
            now = self._end_turn(ticket, stint)
        return delay, now

    def _again(self, ticket: Ticket[Any], error: Exception, retry: Retry | None, attempts: int) -> float | None:
        """The pause before another attempt; ``None``, and the job has failed, where there is none."""
        delay = None if retry is None or ticket.cancelled else retry.after(error, attempts)
        if delay is None:
            ticket._failure = error
        else:
            self._report.tried_again(ticket.identifier, attempts, delay, error)
        return delay

    def _checkpointed(self, ticket: Ticket[Any], seconds: float, where: str) -> None:
        self.costs.learn(ticket.job.model, CHECKPOINT, seconds, 1)
        self._report.checkpointed(ticket.identifier, where)

    def _lost(self, lane: str, error: LaneLost, ticket: Ticket[Any]) -> None:
        """Takes in that a lane, or a worker of it, was lost under a job: the job uses a device that is lost or full no more."""
        if error.gone:
            self.dispatcher.set_capacity(lane, 0)
        if not self.dispatcher.needs_cores(lane):
            self.dispatcher.exclude(ticket.identifier, lane)
        self._report.lost(lane, error, self.dispatcher.capacity[lane])

    def _finish(self, ticket: Ticket[Any], error: BaseException | None) -> None:
        if not ticket.finished:
            now = self.clock()
            self._end(ticket, error, now)
            self._decide(now)

    def _end(self, ticket: Ticket[Any], error: BaseException | None, now: float | None = None) -> None:
        """Ends a job that has no turn, and those that can never begin because of it."""
        now = self.clock() if now is None else now
        ending = [(ticket, error)]
        while ending:
            ticket, error = ending.pop()
            if ticket.finished:
                continue
            identifier = ticket.identifier
            dependents = self.dispatcher.finish(identifier, error is None, now)
            ticket._failure = error
            for other in dependents:
                failed = DependencyFailed(f"job {other!r} comes after {identifier!r}, which did not end well")
                failed.__cause__ = error
                ending.append((self._tickets[other], failed))
            del self._tickets[identifier]
            if ticket.awaited:
                self._one_less()
            ticket._tell()
            if ticket._done is not None:
                ticket._done.set()
            self._room.give()
            self._report.finished(identifier, error)

    def _decide(self, now: float | None = None) -> None:
        """Lets happen what the dispatcher says."""
        decisions = self.dispatcher.decide(self.clock() if now is None else now)
        for turn in decisions.turns:
            self._begin(turn)
        for identifier in decisions.exhausted:
            if identifier in self._tickets:  # it may have come after the one before it in this list
                self._exhaust(self._tickets[identifier])
        for identifier in decisions.stranded:
            if identifier in self._tickets:
                self._strand(self._tickets[identifier])
        for turn in decisions.yields:
            if turn.identifier in self._tickets and (stint := self._tickets[turn.identifier]._stint) is not None:
                stint._ask_back()
        self._room.give()
        if self.dispatcher.next_time() < self._alarm:
            self._wake.set()

    def _settle(self, now: float) -> None:
        """Decides, where there is anything to decide."""
        if not self.dispatcher.settled(now) or self.dispatcher.next_time() < self._alarm:
            self._decide(now)

    def _begin(self, turn: Turn) -> None:
        ticket = self._tickets[turn.identifier]
        self._report.turn_begins(turn, ticket._entry)
        if ticket._stint is None:
            ticket._stint = Stint(ticket)
            ticket._stint._turn = turn
            if self._runners:
                self._runners.pop().give(ticket)
            else:
                assert self._group is not None
                self._group.start_soon(self._keep_working, ticket)
        else:
            ticket._stint._turn = turn
            ticket._tell()

    def _exhaust(self, ticket: Ticket[Any]) -> None:
        """Tells a job's holder that its budget has no room for a step; work that nobody holds has failed by that."""
        left = ticket.job.budget.left(ticket._entry.spent, self.clock())
        self._report.expired(ticket.job, left)
        got = f"{left.seconds:.3g} s and {left.steps:g} steps"
        self._refuse(ticket, BudgetExhausted(f"job {ticket.identifier!r}: budget: expected room for one step, got {got}"))

    def _strand(self, ticket: Ticket[Any]) -> None:
        """Tells a job's holder that all its lanes are gone; work that nobody holds has failed by that."""
        self.dispatcher.rest(ticket.identifier, self.clock())
        gone = ", ".join(map(repr, ticket.job.lanes))
        self._refuse(ticket, LaneLost(f"job {ticket.identifier!r}: lanes: expected one that is left, got {gone}, gone", gone=True))

    def _refuse(self, ticket: Ticket[Any], error: SchedulerError) -> None:
        if ticket._stint is None:
            self._end(ticket, error)
        else:
            ticket._refusal = error
            ticket._tell()

    def _renew(self, ticket: Ticket[Any], budget: Budget) -> None:
        self.dispatcher.renew(ticket.identifier, budget, self.clock())
        self._decide()

    async def _keep_time(self, timekeeper: anyio.CancelScope) -> None:
        """Decides when something happens by itself, and when somebody has asked for it."""
        with timekeeper:
            while True:
                await self._next_time()

    async def _next_time(self) -> None:
        self._wake = anyio.Event()
        self._alarm = -math.inf  # the next line looks when that is; until then nothing needs to wake us
        self._decide()
        self._alarm = self.dispatcher.next_time()
        with anyio.move_on_after(max(0.0, self._alarm - self.clock())):
            await self._wake.wait()

    def _await(self, ticket: Ticket[Any]) -> None:
        """Lets those who leave the scheduler wait for a job, which is plain work that nobody tells of cores."""
        ticket.awaited = ticket._entry.narrow = True
        self._at_work += 1
        ticket.steps_left = 1

    def _one_less(self) -> None:
        self._at_work -= 1
        if self._at_work == 0 and self._idle is not None:
            self._idle.set()

    async def _until_idle(self) -> None:
        """Waits for the work that was submitted."""
        while self._at_work:
            self._idle = anyio.Event()
            await self._idle.wait()
