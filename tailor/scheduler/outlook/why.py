"""Why a job is where it is.

Nothing is decided here. What keeps a job is asked of the dispatcher that keeps it, at the moment at which somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dispatch import Dispatcher
from ..job import Job
from ..turn import Entry, Standing
from .reasons import (
    AfterJobs,
    AtRest,
    AtWork,
    BudgetTooSmall,
    CoresTaken,
    Finished,
    LanesFull,
    Next,
    NoLane,
    OthersAhead,
    Reason,
    SparesBattery,
    TagLimit,
    TooEarly,
    UnmetConditions,
    spoken,
)

PLACES = ("lanes", "cores")
"""What those wait for that only lack a place to work."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why the job called ``identifier`` is where it is at ``time``: all that keeps it, what counts first in front."""

    identifier: str
    time: float
    reasons: tuple[Reason, ...]

    @property
    def reason(self) -> Reason:
        """The first of the reasons."""
        return self.reasons[0]

    def __str__(self) -> str:
        return f"job {self.identifier!r}: {'; '.join(map(str, self.reasons))}"


def why(dispatcher: Dispatcher, identifier: str, now: float) -> Why:
    """Why a job is where it is. Looks through all that wait, where others are before it: for people, not for every turn.

    Raises ``ValueError`` where the job is not known, or ended too long ago.
    """
    entry = dispatcher.entry(identifier)
    if entry is None:
        well = dispatcher.outcome(identifier)
        if well is None:
            raise ValueError(f"scheduler: expected the identifier of a job that it knows, got {identifier!r}")
        return Why(identifier, now, (Finished(well),))
    match entry.standing:
        case Standing.AT_WORK:
            assert entry.turn is not None, "who is at work has a turn"
            reasons: list[Reason] = [AtWork(entry.turn.lane, now - entry.turn.begun, entry.turn.threads, entry.turn.why)]
        case Standing.HELD:
            reasons = _held(entry, now)
        case Standing.WAITING:
            reasons = _waiting(dispatcher, entry)
        case _:
            reasons = [_resting(dispatcher, entry, now)]
    return Why(identifier, now, tuple(reasons))


def _resting(dispatcher: Dispatcher, entry: Entry, now: float) -> Reason:
    if entry.short is not None:
        return BudgetTooSmall(entry.short.bound, entry.short.left, entry.short.needs)
    if not any(dispatcher.capacity.get(lane, 0) for lane in entry.job.lanes):
        return NoLane(entry.job.lanes)
    return AtRest(now - entry.since, entry.turns > 0)


def _held(entry: Entry, now: float) -> list[Reason]:
    reasons: list[Reason] = []
    if entry.awaits:
        reasons.append(AfterJobs(tuple(sorted(entry.awaits))))
    if entry.not_before > now:
        asked = entry.job.not_before >= entry.held_until
        cause = "it was not to begin before" if asked else entry.held_for or "it was paused"
        reasons.append(TooEarly(entry.not_before - now, entry.not_before, cause))
    return reasons


def _waiting(dispatcher: Dispatcher, entry: Entry) -> list[Reason]:
    job = entry.job
    match dispatcher.keeps(job.identifier):
        case ("conditions", *_):
            return [UnmetConditions(job.conditions.unmet(dispatcher.around))]
        case ("energy", *_):
            return [SparesBattery(job.budget.energy)]
        case ("tag", str(tag)):
            at_work = [turn.identifier for turn in dispatcher.turns.values() if tag in _job(dispatcher, turn.identifier).tags]
            return [TagLimit(tag, dispatcher.limits[tag], tuple(at_work)), *_ahead(dispatcher, job, tag)]
        case ("cores", *_):
            at_work = [turn.identifier for turn in dispatcher.turns.values() if dispatcher.needs_cores(turn.lane)]
            return [CoresTaken(dispatcher.cores, tuple(at_work)), *_ahead(dispatcher, job)]
        case None:
            return _ahead(dispatcher, job) or [Next()]
        case _:
            lanes = [lane for lane in job.lanes if dispatcher.capacity.get(lane, 0)]
            if not lanes:
                return [NoLane(job.lanes)]
            free = tuple(lane for lane in lanes if dispatcher.has_room(lane))
            full = tuple(lane for lane in lanes if lane not in free)
            at_work = [turn.identifier for turn in dispatcher.turns.values() if turn.lane in full]
            return [LanesFull(full, tuple(at_work), free), *_ahead(dispatcher, job)]


def _ahead(dispatcher: Dispatcher, job: Job, tag: str | None = None) -> list[Reason]:
    """Those that wait for the same place (or for the same tag to be free) and go before ``job``."""
    before: list[Job] = []
    for other in dispatcher.queue:
        if other.identifier == job.identifier:
            break
        keeps = dispatcher.keeps(other.identifier)
        if keeps == ("tag", tag) or (tag is None and _same_place(dispatcher, job, other) and (keeps is None or keeps[0] in PLACES)):
            before.append(other)
    return [OthersAhead(len(before), before[0].identifier, _because(dispatcher, before[0], job))] if before else []


def _same_place(dispatcher: Dispatcher, one: Job, other: Job) -> bool:
    """Whether what one of the two takes, the other may lack."""
    return not set(one.lanes).isdisjoint(other.lanes) or all(any(map(dispatcher.needs_cores, job.lanes)) for job in (one, other))


def _because(dispatcher: Dispatcher, first: Job, then: Job) -> str:
    """What puts ``first`` before ``then``: the first of the queue's criteria by which they differ."""
    if first.priority != then.priority:
        return f"it is more urgent ({first.priority.name}, not {then.priority.name})"
    had = [dispatcher.queue.had(job.share) for job in (first, then)]
    if first.share != then.share and had[0] != had[1]:
        return f"share {first.share!r} has had less time for its weight than {then.share!r} ({spoken(had[0])}, not {spoken(had[1])})"
    if first.deadline != then.deadline:
        return "its deadline is earlier"
    return "it came first"


def _job(dispatcher: Dispatcher, identifier: str) -> Job:
    entry = dispatcher.entry(identifier)
    assert entry is not None, "a turn belongs to a job that is known"
    return entry.job
