"""Reporter: makes the events of a scheduler for whoever hears them, and counts what has come of jobs."""

from __future__ import annotations

import math
from collections.abc import Callable

from .budget import Allowance
from .conditions import Surroundings
from .errors import JobCancelled, LaneLost, SchedulerClosed
from .events import (
    JobCheckpointed,
    JobExpired,
    JobFinished,
    JobMoved,
    JobPaused,
    JobResumed,
    JobRetried,
    JobStarted,
    JobSubmitted,
    LaneCameBack,
    LaneWentAway,
    Outcome,
    Pause,
    SurroundingsChanged,
)
from .job import Job
from .stream import Observers
from .tally import Tally
from .turn import Entry, Turn


class Reporter:
    """Tells ``observers`` what happens, at the time of ``clock``, and ``tally`` how often it goes wrong or ends."""

    def __init__(self, observers: Observers, tally: Tally, clock: Callable[[], float]) -> None:
        self._observers = observers
        self._tally = tally
        self._clock = clock

    def submitted(self, identifier: str) -> None:
        """A job was submitted."""
        if self._observers.heard:
            self._observers.emit(JobSubmitted(self._clock(), identifier))

    def turn_begins(self, turn: Turn, entry: Entry) -> None:
        """A job got a turn."""
        if not self._observers.heard:
            return
        if entry.turns == 1:
            self._observers.emit(JobStarted(turn.begun, turn.identifier, turn.lane))
            return
        if entry.before is not None and entry.before != turn.lane:
            self._observers.emit(JobMoved(turn.begun, turn.identifier, entry.before, turn.lane))
        self._observers.emit(JobResumed(turn.begun, turn.identifier, turn.lane))

    def turn_ends(self, turn: Turn, seconds: float, steps: int) -> None:
        """A job gave its turn back."""
        if self._observers.heard:
            pause = Pause.TURN_ENDED if not turn.yields else Pause.YIELDED if turn.why.startswith("job ") else Pause.CONDITIONS
            self._observers.emit(JobPaused(self._clock(), turn.identifier, turn.lane, pause, seconds, steps))

    def tried_again(self, identifier: str, attempts: int, delay: float, error: Exception) -> None:
        """A job has failed, and has another attempt."""
        self._tally.retries += 1
        self._observers.emit(JobRetried(self._clock(), identifier, attempts, delay, _told(error)))

    def checkpointed(self, identifier: str, where: str) -> None:
        """A job's state was written down."""
        if self._observers.heard:
            self._observers.emit(JobCheckpointed(self._clock(), identifier, where))

    def lost(self, lane: str, error: LaneLost, capacity: int) -> None:
        """A lane, or a worker of it, was lost."""
        self._tally.lost += 1
        self._observers.emit(LaneWentAway(self._clock(), lane, str(error), capacity))

    def went_away(self, lane: str, why: str) -> None:
        """A lane is of no more use."""
        self._observers.emit(LaneWentAway(self._clock(), lane, why, 0))

    def came_back(self, lane: str, capacity: int) -> None:
        """There is a lane, or there is one again."""
        if self._observers.heard:
            self._observers.emit(LaneCameBack(self._clock(), lane, capacity))

    def expired(self, job: Job, left: Allowance) -> None:
        """A job's budget has no room for a step."""
        bound = "steps" if left.steps < 1 else "deadline" if job.budget.deadline < math.inf else "seconds"
        self._observers.emit(JobExpired(self._clock(), job.identifier, bound))

    def finished(self, identifier: str, error: BaseException | None) -> None:
        """A job has ended."""
        outcome = _outcome(error)
        self._tally.finished[outcome] += 1
        if outcome is Outcome.FAILED or self._observers.heard:
            self._observers.emit(JobFinished(self._clock(), identifier, outcome, "" if error is None else _told(error)))

    def surroundings(self, around: Surroundings) -> None:
        """The machine is not as it was."""
        if self._observers.heard:
            self._observers.emit(SurroundingsChanged(self._clock(), str(around)))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _outcome(error: BaseException | None) -> Outcome:
    if error is None:
        return Outcome.COMPLETED
    return Outcome.FAILED if isinstance(error, Exception) and not isinstance(error, (JobCancelled, SchedulerClosed)) else Outcome.CANCELLED
