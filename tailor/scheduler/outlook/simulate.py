"""What if: a trace played on a clock of its own, by the very same dispatcher that decides for real."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from heapq import heappop, heappush

from ..conditions import Conditions, Surroundings
from ..dispatch import Dispatcher
from ..errors import SchedulerError
from ..events import Outcome
from ..job import Job
from ..requests import AT_ONCE, LANE, NOTICE, PROCESSING_SECONDS, REFRESH_SECONDS, BGAppRefreshTaskRequest, check_request, request_job
from ..tally import Tally
from ..turn import Turn
from .actor import Actor, After, Launched, Pace, Plan, Stepper
from .ledger import Ledger
from .statistics import statistics
from .timeline import Course, Simulation, Stretch
from .trace import RequestedWork, Trace

DAY = 86400.0
TOO_SHORT = "its launch was too short"


def simulate(trace: Trace) -> Simulation:
    """What a scheduler with the trace's lanes does with what comes, and when.

    Raises ``ValueError`` for a trace that makes no sense.
    """
    cores = trace.cores if trace.cores is not None else max(1, sum(trace.lanes.values()))
    dispatcher = Dispatcher(trace.lanes, cores=cores, limits=trace.limits, weights=trace.weights, costs=deepcopy(trace.costs))
    return Player(dispatcher, trace, 0.0).play()


def copied(live: Dispatcher) -> Dispatcher:
    """Another dispatcher in the same state, so that what is played on it does not touch the first."""
    fixed = [part for entry in live for part in (entry.job, entry.job.conditions, entry.job.budget)]
    copy = deepcopy(live, {id(part): part for part in fixed})  # what cannot change is shared: with many jobs that is most of it
    copy.tally = Tally()
    return copy


def seconds_of(clock: time) -> float:
    """Seconds since midnight."""
    return clock.hour * 3600 + clock.minute * 60 + clock.second + clock.microsecond / 1e6


@dataclass(slots=True)
class _Log:
    """What came of a job so far."""

    identifier: str
    submitted: float
    stretches: list[Stretch] = field(default_factory=list)
    finished: float | None = None
    ended: str = ""
    under: dict[str, float] = field(default_factory=dict)

    def add(self, stretch: Stretch) -> None:
        """Adds a turn; one that follows on the last is part of it."""
        last = self.stretches[-1] if self.stretches else None
        if last is not None and (last.lane, last.end) == (stretch.lane, stretch.begin):
            self.stretches[-1] = Stretch(last.lane, last.begin, stretch.end, last.steps + stretch.steps)
        else:
            self.stretches.append(stretch)

    def settle(self, under: Mapping[str, float]) -> None:
        """Adds seconds under reasons."""
        for name, seconds in under.items():
            self.under[name] = self.under.get(name, 0.0) + seconds

    def course(self) -> Course:
        """As it is told."""
        return Course(self.identifier, self.submitted, tuple(self.stretches), self.finished, self.ended, self.under)


class Player:
    """Plays ``trace`` from ``now`` on, on a dispatcher that it may change.

    The jobs that the dispatcher has already go on for as many steps as they say are left, each as long as ``pace`` says (by default
    what was learned of them); where that is not known, for ever.
    """

    def __init__(self, dispatcher: Dispatcher, trace: Trace, now: float, pace: Pace | None = None) -> None:
        self.dispatcher = dispatcher
        self.trace = trace
        self.now = self.begun = now
        self._ledger = Ledger(dispatcher, now)
        self._told: dict[str, _Log] = {}  # by the names that they are told of under
        self._logs: dict[str, _Log] = {}  # of the jobs that are there
        self._actors: dict[str, Actor] = {}
        self._plans: dict[str, tuple[Turn, Plan]] = {}
        self._requests: dict[str, RequestedWork] = {}
        self._instead: dict[str, tuple[RequestedWork, Actor, _Log]] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = self._strikes = 0
        self._hours = sorted(
            {seconds_of(hour) for conditions in self._conditions() for quiet in conditions.quiet_hours for hour in (quiet.begin, quiet.end)}
        )
        clock = trace.begins.time() if trace.begins is not None else dispatcher.around.clock
        self._clock = math.inf if clock is None else seconds_of(clock)
        dispatcher.tally.since = now
        if trace.requests and LANE not in dispatcher.capacity:
            dispatcher.set_capacity(LANE, AT_ONCE)
        self._take_over(pace if pace is not None else self._learned)
        self._expect()

    def _take_over(self, pace: Pace) -> None:
        """Lets the jobs that are there go on."""
        for entry in self.dispatcher:
            identifier = entry.job.identifier
            self._logs[identifier] = self._told[identifier] = _Log(identifier, entry.submitted)
            self._actors[identifier] = Stepper(entry.job, math.inf if entry.steps_left is None else entry.steps_left, pace)
        for turn in self.dispatcher.turns.values():
            self._begin(turn)
            if turn.yields:
                self._cut(turn)

    def _expect(self) -> None:
        """Notes what the trace has to come."""
        self._at(self.now, partial(self._surround, self.dispatcher.around))
        for when, around in self.trace.around:
            self._at(when, partial(self._surround, around))
        for work in self.trace.works:
            self._at(work.at, partial(self._submit, work.job, Stepper(work.job, work.steps, work.seconds), reserve=work.reserve))
        for requested in self.trace.requests:
            most = (REFRESH_SECONDS if isinstance(requested.request, BGAppRefreshTaskRequest) else PROCESSING_SECONDS) - NOTICE
            self._at(requested.at, partial(self._request, requested, Launched(requested.seconds, most, requested.again)))
        if self._hours and math.isfinite(self._clock):
            self._at(self.now, self._strike)

    def play(self, to_the_end_of: str | None = None) -> Simulation:
        """Plays to the end of the trace, or of one job."""
        while True:
            while self._events and self._events[0][0] <= self.now:
                heappop(self._events)[2]()
            self._decide()
            if to_the_end_of is not None and (to_the_end_of not in self._actors or to_the_end_of in self._ledger.exhausted):
                break
            when = min(self._events[0][0] if self._events else math.inf, self.dispatcher.next_time())
            if math.isinf(when) or when > self.trace.until:
                break
            self._pass(when)
        if to_the_end_of is None and self.now < self.trace.until < math.inf:
            self._pass(self.trace.until)
        return self._report()

    def _report(self) -> Simulation:
        self._ledger.close()
        for identifier, (turn, plan) in self._plans.items():  # what goes on still
            steps = math.floor((self.now - turn.begun) / plan.each) if 0 < plan.each < math.inf else 0
            self._logs[identifier].add(Stretch(turn.lane, turn.begun, self.now, min(steps, plan.steps)))
        for identifier, log in self._logs.items():
            log.settle(self._ledger.under.pop(identifier, {}))
        courses = {name: log.course() for name, log in self._told.items()}
        return Simulation(self.begun, self.now, self.trace.begins, courses, statistics(self.dispatcher, self.now), self.dispatcher)

    def _conditions(self) -> Iterator[Conditions]:
        """Of all that may come."""
        yield from (entry.job.conditions for entry in self.dispatcher)
        yield from (work.job.conditions for work in self.trace.works)
        yield from (requested.conditions for requested in self.trace.requests)

    # Time

    def _at(self, when: float, act: Callable[[], None]) -> None:
        self._serial += 1
        heappush(self._events, (max(when, self.now), self._serial, act))

    def _pass(self, to: float) -> None:
        self._ledger.look()
        self.now = self._ledger.now = to

    def _strike(self) -> None:
        """A time of day has come at which quiet hours begin or end; after a day of nothing else, no other is waited for."""
        self._surround(self.dispatcher.around)
        self._strikes = 0 if self._events or math.isfinite(self.dispatcher.next_time()) else self._strikes + 1
        if self._strikes <= len(self._hours):
            self._at(self.now + min((hour - self._time_of_day()) % DAY or DAY for hour in self._hours), self._strike)

    def _time_of_day(self) -> float:
        """Seconds since midnight."""
        return round(self._clock + self.now - self.begun, 3) % DAY

    def _surround(self, around: Surroundings) -> None:
        if math.isfinite(self._clock):
            around = replace(around, clock=(datetime.min + timedelta(seconds=self._time_of_day())).time())
        self.dispatcher.surroundings(around)

    # What comes

    def _submit(self, job: Job, actor: Actor, log: _Log | None = None, reserve: float = 0.0) -> None:
        log = log if log is not None else self._new_log(job.identifier)
        try:
            entry = self.dispatcher.submit(job, self.now)
        except SchedulerError as error:
            log.ended = str(error)
            return
        entry.reserve = reserve
        self._actors[job.identifier], self._logs[job.identifier] = actor, log
        self.dispatcher.ask(job.identifier, self.now)

    def _request(self, requested: RequestedWork, actor: Actor, log: _Log | None = None) -> None:
        """Submits a background request by the rules that there are for that: in place of one that waits, after one that is launched."""
        request, now = requested.request, self._date()
        log = log if log is not None else self._new_log(request.identifier)
        waiting = [
            work.request for identifier, work in self._requests.items() if identifier in self._actors and identifier not in self._plans
        ]
        try:
            check_request(request, waiting, [work.request.identifier for work in self.trace.requests], now)
        except SchedulerError as error:
            log.ended = str(error)
            return
        if request.identifier in self._plans:
            self._instead[request.identifier] = requested, actor, log
            return
        if request.identifier in self._actors:
            self._finish(request.identifier, Outcome.CANCELLED, "another request took its place")
        self._requests[request.identifier] = requested
        begin = request.earliest_begin_date
        waits = -math.inf if begin is None else self.now + (begin - now).total_seconds()
        self._submit(request_job(request, request.conditions.with_those_of(requested.conditions), waits), actor, log)

    def _new_log(self, identifier: str) -> _Log:
        """For a job that comes; a name that comes again is numbered."""
        name, number = identifier, 1
        while name in self._told:
            number += 1
            name = f"{identifier} #{number}"
        log = self._told[name] = _Log(identifier, self.now)
        return log

    def _date(self) -> datetime:
        begins = self.trace.begins if self.trace.begins is not None else datetime.min.replace(tzinfo=UTC)
        return (begins if begins.tzinfo is not None else begins.astimezone()) + timedelta(seconds=self.now - self.begun)

    # Turns

    def _decide(self) -> None:
        """Lets happen what the dispatcher says."""
        decisions = self.dispatcher.decide(self.now)
        self._ledger.exhausted.update(decisions.exhausted)
        for identifier in decisions.stranded:
            self.dispatcher.rest(identifier, self.now)
        for turn in decisions.turns:
            self._begin(turn)
        for turn in decisions.yields:
            self._cut(turn)

    def _begin(self, turn: Turn) -> None:
        self._plan(turn, self._actors[turn.identifier].plan(turn, self.dispatcher.cost_lane(turn.lane, turn.threads)))

    def _cut(self, turn: Turn) -> None:
        self._plan(turn, self._actors[turn.identifier].cut(self._plans[turn.identifier][1], self.now - turn.begun))

    def _plan(self, turn: Turn, plan: Plan) -> None:
        self._plans[turn.identifier] = turn, plan
        if math.isfinite(plan.seconds):
            self._at(turn.begun + plan.seconds, partial(self._end, turn, plan))

    def _end(self, turn: Turn, plan: Plan) -> None:
        identifier = turn.identifier
        if self._plans.get(identifier) != (turn, plan):
            return  # it was cut short meanwhile
        del self._plans[identifier]
        self.dispatcher.end_turn(identifier, plan.seconds, int(plan.steps), self.now)
        self._logs[identifier].add(Stretch(turn.lane, turn.begun, self.now, plan.steps))
        actor = self._actors[identifier]
        after = actor.end(plan)
        if after is After.COMES_AGAIN:
            self._instead.setdefault(identifier, (self._requests[identifier], actor, self._logs[identifier]))
        if after is After.ASKS and identifier not in self._instead:
            self.dispatcher.ask(identifier, self.now)
            return
        self._finish(identifier, Outcome.COMPLETED if after is After.DONE else Outcome.FAILED, "" if after is After.DONE else TOO_SHORT)
        if identifier in self._instead:
            self._request(*self._instead.pop(identifier))

    def _finish(self, identifier: str, outcome: Outcome, ended: str = "") -> None:
        """Ends a job, and those that can never begin because of it."""
        ending = [(identifier, outcome, ended)]
        while ending:
            identifier, outcome, ended = ending.pop()
            if identifier not in self._actors:
                continue  # it came after several of them
            log, well = self._logs.pop(identifier), outcome is Outcome.COMPLETED
            del self._actors[identifier]
            for other in self.dispatcher.finish(identifier, well, self.now):
                ending.append((other, Outcome.FAILED, f"it comes after {identifier!r}, which did not end well"))
            self.dispatcher.tally.finished[outcome] += 1
            log.settle(self._ledger.under.pop(identifier, {}))
            log.finished, log.ended = self.now if well else None, ended

    def _learned(self, job: Job, lane: str, threads: int) -> float | None:
        known = self.dispatcher.estimate(job, lane, threads)
        return None if known is None else known.mean
