"""When a job will begin and end: what is known is played forward, by the dispatcher that will decide it.

Three times over: with every step as long as it was on average, and with all of them as short and as long as they may well be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..cost import Estimate
from ..dispatch import Dispatcher
from ..job import Job
from ..turn import Entry, Standing
from .reasons import spoken
from .simulate import Player, copied
from .timeline import Simulation
from .trace import Trace
from .why import why


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that is expected, in seconds on the scheduler's clock: ``likely``, hardly before ``soonest``, hardly after ``latest``
    (infinite where nobody can tell)."""

    likely: float
    soonest: float
    latest: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of the job called ``identifier`` at ``time``, if the surroundings stay as they are and nothing else comes.

    ``begin``    of its next turn, or of the one it has; ``end``: of its work. ``None`` where that cannot be told, or will not be.
    ``seconds``  of work to come, on average; ``None`` where nobody can tell.
    ``unknown``  what is missing for what is not told. ``provided``: what else has to be for it to come true.
    """

    identifier: str
    time: float
    begin: Moment | None
    end: Moment | None
    seconds: float | None
    unknown: str = ""
    provided: str = ""

    def __str__(self) -> str:
        moments = (("begins", "began", self.begin), ("ends", "ended", self.end))
        parts = [self._told(will, did, moment) for will, did, moment in moments if moment is not None]
        told = "; ".join([*parts, *([self.unknown] if self.unknown else [])])
        return f"job {self.identifier!r}: {self.provided and f'provided that {self.provided}: '}{told}"

    def _told(self, will: str, did: str, moment: Moment) -> str:
        if moment.likely < self.time:
            return f"{did} {spoken(self.time - moment.likely)} ago"
        soonest, likely, latest = (spoken(time - self.time) for time in (moment.soonest, moment.likely, moment.latest))
        if soonest == latest:
            return f"{will} {f'in {likely}' if moment.likely > self.time else 'now'}"
        return (
            f"{will} in {likely} ({soonest} at the soonest, {'nobody knows when' if math.isinf(moment.latest) else latest} at the latest)"
        )


def forecast(dispatcher: Dispatcher, identifier: str, now: float) -> Forecast:
    """When a job will begin and end. Plays through all that is there, three times, about 0.4 ms a job: for people, not for every turn.

    What it rests on is what holders say of ``steps_left``, and what was learned of steps. Raises ``ValueError`` where the job is not known.
    """
    entry = dispatcher.entry(identifier)
    if entry is None:
        return Forecast(identifier, now, None, None, 0.0, str(why(dispatcher, identifier, now).reason))
    likely = _play(dispatcher, entry, now, 0.0)
    plays = [likely]
    if likely.courses[identifier].finished is not None:
        plays += [_play(dispatcher, entry, now, -1.0), _play(dispatcher, entry, now, 1.0)]
    begin = _moment([play.courses[identifier].began for play in plays])
    end = _moment([play.courses[identifier].finished for play in plays])
    step = _step(dispatcher, entry)
    seconds = None if entry.steps_left is None or step is None else entry.steps_left * step.mean
    provided = "it asks for a turn now" if entry.standing is Standing.RESTING else ""
    return Forecast(identifier, now, begin, end, seconds, _unknown(dispatcher, entry, likely), provided)


def _play(dispatcher: Dispatcher, entry: Entry, now: float, off: float) -> Simulation:
    """What comes, to the job's end, when all steps are ``off`` times their margin away from their mean."""

    def pace(job: Job, lane: str, threads: int) -> float | None:
        step, known = dispatcher.estimate(job, lane, threads), dispatcher.entry(job.identifier)
        if step is None:
            return None
        steps = 1.0 if known is None or not known.steps_left else known.steps_left
        return max(0.0, step.mean + off * step.margin / math.sqrt(steps))  # of many, single deviations even out

    copy = copied(dispatcher)
    if entry.standing is Standing.RESTING:
        copy.ask(entry.job.identifier, now)
    return Player(copy, Trace(), now, pace).play(entry.job.identifier)


def _moment(times: list[float | None]) -> Moment | None:
    """Of what is likely, then of the other two."""
    likely = times[0]
    if likely is None:
        return None
    each = [math.inf if time is None else time for time in times]
    return Moment(likely, min(each), max(each))


def _step(dispatcher: Dispatcher, entry: Entry) -> Estimate | None:
    """What its steps take where they take least."""
    known = [step for lane in entry.job.lanes if (step := dispatcher.estimate(entry.job, lane)) is not None]
    return min(known, key=lambda step: step.mean, default=None)


def _unknown(dispatcher: Dispatcher, entry: Entry, play: Simulation) -> str:
    identifier = entry.job.identifier
    if play.courses[identifier].finished is not None:
        return ""
    if entry.steps_left is None:
        return "when it ends nobody can tell: its holder has not said how many steps are left"
    if _step(dispatcher, entry) is None:
        return f"when it ends nobody can tell: no step of model {entry.job.model!r} was taken on {' or '.join(entry.job.lanes)} yet"
    return f"as things are it will not end: {'; '.join(map(str, play.why(identifier).reasons))}"
