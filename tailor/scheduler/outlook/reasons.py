"""Reasons for a job to be where it is, as frozen data; ``str`` of one makes a sentence of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ..budget import EnergyClass
from ..conditions import Unmet


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job is where it is. ``name``: of the kind of reason, as ``simulate`` counts the time under it."""

    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class AtWork(Reason):
    """It has a turn on ``lane``, for ``seconds`` so far, with ``threads``; ``asked_back`` says why it should give it back, if it should."""

    lane: str
    seconds: float
    threads: int = 1
    asked_back: str = ""

    name: ClassVar[str] = "at work"

    def __str__(self) -> str:
        back = f", and gives its place back at the end of its step: {self.asked_back}" if self.asked_back else ""
        return f"it is at work on {self.lane}, for {spoken(self.seconds)} so far{back}"


@dataclass(frozen=True, slots=True)
class AtRest(Reason):
    """It has asked for no turn for ``seconds``; ``begun``: whether it ever had one."""

    seconds: float
    begun: bool

    name: ClassVar[str] = "at rest"

    def __str__(self) -> str:
        who = "whoever holds it suspended it, or is doing something else" if self.begun else "it has not begun"
        return f"it has asked for no turn for {spoken(self.seconds)}: {who}"


@dataclass(frozen=True, slots=True)
class TooEarly(Reason):
    """Its time comes in ``seconds``, at ``until`` on the scheduler's clock; ``cause`` says what made it wait so long."""

    seconds: float
    until: float
    cause: str

    name: ClassVar[str] = "time"

    def __str__(self) -> str:
        return f"its time comes in {spoken(self.seconds)}: {self.cause}"


@dataclass(frozen=True, slots=True)
class AfterJobs(Reason):
    """It comes after ``jobs``, which have not finished."""

    jobs: tuple[str, ...]

    name: ClassVar[str] = "jobs before it"

    def __str__(self) -> str:
        return f"it comes after {_listed(self.jobs)}, which {'has' if len(self.jobs) == 1 else 'have'} not finished"


@dataclass(frozen=True, slots=True)
class UnmetConditions(Reason):
    """What must hold around it does not."""

    unmet: tuple[Unmet, ...]

    name: ClassVar[str] = "conditions"

    def __str__(self) -> str:
        return "; ".join(map(str, self.unmet))


@dataclass(frozen=True, slots=True)
class SparesBattery(Reason):
    """The machine runs on battery, of which its ``energy`` class may use nothing."""

    energy: EnergyClass

    name: ClassVar[str] = "energy"

    def __str__(self) -> str:
        return f"energy: expected external power, got a battery, of which a job of class {self.energy.name} may use nothing"


@dataclass(frozen=True, slots=True)
class TagLimit(Reason):
    """As many jobs tagged ``tag`` are at work as may be."""

    tag: str
    most: int
    at_work: tuple[str, ...]

    name: ClassVar[str] = "tag"

    def __str__(self) -> str:
        return f"of jobs tagged {self.tag!r} at most {self.most} may be at work: {_working(self.at_work)}"


@dataclass(frozen=True, slots=True)
class LanesFull(Reason):
    """On none of its ``lanes`` is there room for it; ``at_work`` are there. ``slower``: those with room that it is better not to take,
    because a faster one will be free sooner than it could be done there."""

    lanes: tuple[str, ...]
    at_work: tuple[str, ...]
    slower: tuple[str, ...] = ()

    name: ClassVar[str] = "lanes"

    def __str__(self) -> str:
        full = f"{_both(self.lanes)} full: {_working(self.at_work)} there"
        return f"{full}; on {' and '.join(self.slower)} it would take far longer" if self.slower else full


@dataclass(frozen=True, slots=True)
class CoresTaken(Reason):
    """Its lane has room, but all ``cores`` of the processor are taken by ``at_work``."""

    cores: int
    at_work: tuple[str, ...]

    name: ClassVar[str] = "cores"

    def __str__(self) -> str:
        taken = "the only core is" if self.cores == 1 else f"all {self.cores} cores are"
        return f"{taken} taken: {_working(self.at_work)}"


@dataclass(frozen=True, slots=True)
class NoLane(Reason):
    """None of its ``lanes`` has any worker: they were lost."""

    lanes: tuple[str, ...]

    name: ClassVar[str] = "lanes"

    def __str__(self) -> str:
        return f"{' and '.join(self.lanes)} {'was' if len(self.lanes) == 1 else 'were'} lost, and it may run nowhere else"


@dataclass(frozen=True, slots=True)
class OthersAhead(Reason):
    """``count`` jobs that wait for the same place go before it, first of all ``first``, ``because`` of that."""

    count: int
    first: str
    because: str

    name: ClassVar[str] = "others"

    def __str__(self) -> str:
        return f"{self.count} job{' goes' if self.count == 1 else 's go'} before it, first {self.first!r}: {self.because}"


@dataclass(frozen=True, slots=True)
class Next(Reason):
    """Nothing keeps it: it begins with the next decision."""

    name: ClassVar[str] = "next"

    def __str__(self) -> str:
        return "nothing keeps it: it begins with the next decision"


@dataclass(frozen=True, slots=True)
class BudgetTooSmall(Reason):
    """When it was to have a turn, its budget had no room for a step: of ``bound`` (``deadline``, ``seconds``, ``steps``) there
    was ``left``, and a step, with what must be kept for after it, ``needs`` so much; 0 where nobody knows that."""

    bound: str
    left: float
    needs: float

    name: ClassVar[str] = "budget"

    @property
    def missing(self) -> float:
        """How much more it would have to be."""
        return self.needs - self.left

    def __str__(self) -> str:
        if self.bound == "steps":
            return "its budget has no step left"
        what = "deadline" if self.bound == "deadline" else "budget"
        if self.left <= 0:
            return "its deadline has passed" if what == "deadline" else "its budget is used up"
        if self.needs <= 0:
            return f"its {what} left {spoken(self.left)}, which is too little"
        return f"its {what} left {spoken(self.left)}, a step needs up to {spoken(self.needs)}: {spoken(self.missing)} are missing"


@dataclass(frozen=True, slots=True)
class Finished(Reason):
    """It has ended; ``well``: whether it was done, or else failed or was cancelled."""

    well: bool

    name: ClassVar[str] = "finished"

    def __str__(self) -> str:
        return "it is done" if self.well else "it has failed, or was cancelled"


def _listed(names: tuple[str, ...], most: int = 5) -> str:
    """Names for a sentence: the first few, and how many more."""
    shown = ", ".join(map(repr, names[:most])) or "nobody"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _working(names: tuple[str, ...]) -> str:
    return f"{_listed(names)} {'are' if len(names) > 1 else 'is'} at work"


def _both(lanes: tuple[str, ...]) -> str:
    return f"{' and '.join(lanes)} {'is' if len(lanes) == 1 else 'are'}"


def spoken(seconds: float) -> str:
    """A length of time, in the one or two units that matter."""
    if math.isinf(seconds):
        return "for ever" if seconds > 0 else "no time"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min" if minutes >= 10 or round(seconds) % 60 == 0 else f"{seconds // 60:.0f} min {round(seconds) % 60} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
