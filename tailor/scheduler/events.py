"""What can happen to jobs and to what is around them, as frozen data; ``str`` of an event makes a sentence of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class Outcome(Enum):
    """How a job ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Pause(Enum):
    """Why a job gave its place back."""

    TURN_ENDED = "its turn was over"
    YIELDED = "others go before it"
    SUSPENDED = "it was suspended"
    BUDGET = "no further step fits its budget"
    CONDITIONS = "what it needs around it no longer holds"
    LANE_LOST = "its lane was lost"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at ``time``, in seconds on the scheduler's clock. ``level`` is that of its line in the log."""

    time: float

    level: ClassVar[int] = logging.DEBUG


@dataclass(frozen=True, slots=True)
class JobEvent(Event):
    """Something that happened to the job called ``identifier``."""

    identifier: str


@dataclass(frozen=True, slots=True)
class JobSubmitted(JobEvent):
    """The scheduler knows of the job from now on."""

    def __str__(self) -> str:
        return f"job {self.identifier!r} was submitted"


@dataclass(frozen=True, slots=True)
class JobStarted(JobEvent):
    """The job's first turn began, on ``lane``."""

    lane: str

    level: ClassVar[int] = logging.INFO

    def __str__(self) -> str:
        return f"job {self.identifier!r} started on {self.lane}"


@dataclass(frozen=True, slots=True)
class JobPaused(JobEvent):
    """A turn of the job ended before the job did; it had taken ``steps`` steps in ``seconds``."""

    lane: str
    why: Pause
    seconds: float = 0.0
    steps: int = 0

    def __str__(self) -> str:
        took = f"{self.steps} step{'s' * (self.steps != 1)} in {self.seconds:.3g} s"
        return f"job {self.identifier!r} paused on {self.lane} after {took}: {self.why.value}"


@dataclass(frozen=True, slots=True)
class JobCheckpointed(JobEvent):
    """The job's state was written down; ``where``, if the job says."""

    where: str = ""

    def __str__(self) -> str:
        return f"job {self.identifier!r} was checkpointed{self.where and f' in {self.where}'}"


@dataclass(frozen=True, slots=True)
class JobResumed(JobEvent):
    """A later turn of the job began, on ``lane``."""

    lane: str

    def __str__(self) -> str:
        return f"job {self.identifier!r} resumed on {self.lane}"


@dataclass(frozen=True, slots=True)
class JobMoved(JobEvent):
    """The job's turn is on another lane than the one before; ``cause`` says why, where it is known."""

    origin: str
    lane: str
    cause: str = ""

    level: ClassVar[int] = logging.INFO

    def __str__(self) -> str:
        return f"job {self.identifier!r} moved from {self.origin} to {self.lane}{self.cause and f': {self.cause}'}"


@dataclass(frozen=True, slots=True)
class JobExpired(JobEvent):
    """Nothing is left of what the job may use: ``bound`` says of what (``deadline``, ``seconds``, ``steps``, ``energy``)."""

    bound: str

    level: ClassVar[int] = logging.INFO

    def __str__(self) -> str:
        return f"job {self.identifier!r} expired: no further step fits its budget ({self.bound})"


@dataclass(frozen=True, slots=True)
class JobRetried(JobEvent):
    """The job failed for ``cause`` and is tried again after ``delay`` seconds; ``attempt`` counts the tries that failed."""

    attempt: int
    delay: float
    cause: str

    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        return f"job {self.identifier!r} failed (attempt {self.attempt}) and is tried again in {self.delay:.3g} s: {self.cause}"


@dataclass(frozen=True, slots=True)
class JobFinished(JobEvent):
    """The job ended; ``error`` says why, where it failed."""

    outcome: Outcome
    error: str = ""

    level: ClassVar[int] = logging.INFO

    def __str__(self) -> str:
        return f"job {self.identifier!r} {self.outcome.value}{self.error and f': {self.error}'}"


@dataclass(frozen=True, slots=True)
class RequestLaunched(JobEvent):
    """The handler of a background request was launched."""

    level: ClassVar[int] = logging.INFO

    def __str__(self) -> str:
        return f"background request {self.identifier!r} was launched"


@dataclass(frozen=True, slots=True)
class RequestGivenUp(JobEvent):
    """A background request is kept no longer, as its process died under each of ``launches`` launches."""

    launches: int

    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        return f"background request {self.identifier!r} was given up: the process ended during {self.launches} launches in a row"


@dataclass(frozen=True, slots=True)
class RequestStoreFailed(JobEvent):
    """What became of a background request could not be written down, for ``cause``."""

    cause: str

    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        return f"background request {self.identifier!r} could not be written down: {self.cause}"


@dataclass(frozen=True, slots=True)
class LaneWentAway(Event):
    """A lane, or a worker of it, was lost for ``cause``; ``capacity`` is what is left of it."""

    lane: str
    cause: str
    capacity: int = 0

    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        left = f"has {self.capacity} left" if self.capacity else "is gone"
        return f"lane {self.lane} lost a worker and {left}: {self.cause}"


@dataclass(frozen=True, slots=True)
class LaneCameBack(Event):
    """A lane has workers again, or more of them: ``capacity``."""

    lane: str
    capacity: int

    level: ClassVar[int] = logging.INFO

    def __str__(self) -> str:
        return f"lane {self.lane} has {self.capacity} worker{'s' * (self.capacity != 1)}"


@dataclass(frozen=True, slots=True)
class SurroundingsChanged(Event):
    """What is around the jobs changed: ``what``, in words."""

    what: str

    def __str__(self) -> str:
        return f"the surroundings changed: {self.what}"


@dataclass(frozen=True, slots=True)
class EventsMissed(Event):
    """``count`` events were dropped here, the last of them at ``time``: this stream was not read for too long."""

    count: int

    level: ClassVar[int] = logging.WARNING

    def __str__(self) -> str:
        return f"{self.count} event{'s were' if self.count != 1 else ' was'} missed"
