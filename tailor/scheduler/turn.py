"""A job on its way from its submission to its end: where it stands, and the turns that it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from .budget import NOTHING_SPENT, Spent
from .job import Job


class Standing(Enum):
    """Where a job stands."""

    RESTING = "resting"
    """It asks for no turn: nobody has resumed it, or whoever drives it does something else."""
    HELD = "held"
    """It asks for a turn, and its time has not come: ``not_before``, a pause, or a job that it comes after."""
    WAITING = "waiting"
    """It waits in the queue."""
    AT_WORK = "at work"
    """It has a turn."""
    FINISHED = "finished"


@dataclass(slots=True, eq=False)
class Turn:
    """Leave to work on a lane, for one stretch.

    ``lane``     its name. ``steps`` and ``seconds``: what may be used at most; ``step``: seconds in which a step will almost
    surely have ended, 0 where nobody knows. ``threads``: how many the work may use.
    ``begun``    on the scheduler's clock. ``yields``: whether it should be given back at the next boundary, and ``why``.
    """

    identifier: str
    lane: str
    steps: float = math.inf
    seconds: float = math.inf
    step: float = 0.0
    threads: int = 1
    begun: float = 0.0
    yields: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a job's budget was short of when it was to have a turn: of ``bound`` (``deadline``, ``seconds``, ``steps``) there was ``left``,
    and a step, with what is kept for after it, ``needs`` so much; 0 where nobody knows that."""

    bound: str
    left: float
    needs: float


@dataclass(slots=True, eq=False)
class Entry:
    """What is known of a job that was submitted and has not finished.

    ``number``    its age: the lower, the older. ``reserve``: seconds that it needs after its last step, to be kept.
    ``held_until``  a time, besides ``job.not_before``, before which it gets no turn (a pause before another attempt, or
    a battery that is spared), and ``held_for`` which. ``awaits``: the jobs before it that have not finished.
    ``ends``      when its deadline leaves no time for a step, as it was noted last. ``turns``: how many it has had; ``lane``: of
    the last one, ``before``: of the one before that.
    ``excluded``  lanes that it may use no more. ``steps_left``: how many it has still to take, where its holder says so.
    ``deadline``  what it came with, whatever budget it is given later. ``narrow``: whether its turns have one core each, for nobody would
    tell its work of more.
    """

    job: Job
    number: int
    submitted: float
    standing: Standing = Standing.RESTING
    since: float = 0.0
    spent: Spent = NOTHING_SPENT
    turn: Turn | None = None
    reserve: float = 0.0
    held_until: float = -math.inf
    held_for: str = ""
    awaits: set[str] | None = None
    excluded: tuple[str, ...] = ()
    steps_left: float | None = None
    turns: int = 0
    lane: str | None = None
    before: str | None = None
    ends: float = math.inf
    deadline: float = math.inf
    narrow: bool = False
    short: Shortage | None = None

    @property
    def not_before(self) -> float:
        """The earliest time of its next turn, as far as it is known."""
        return max(self.job.not_before, self.held_until)


@dataclass(slots=True)
class Decisions:
    """What was decided at one moment.

    ``turns``: that begin now. ``exhausted``: jobs whose budget has no room for a step, and which rest now. ``stranded``: jobs that ask
    for a turn and whose lanes are all gone. ``yields``: turns that should be given back.
    """

    turns: list[Turn] = field(default_factory=list)
    exhausted: list[str] = field(default_factory=list)
    stranded: list[str] = field(default_factory=list)
    yields: list[Turn] = field(default_factory=list)


Blocker = tuple[object, ...]
"""What keeps a job that waits: a word and what it is about, as ``Dispatcher.keeps`` says."""
