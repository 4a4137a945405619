"""A job: what the decisions know of a piece of work. Plain records; what the work is, nobody here asks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeAlias

from .budget import Budget
from .conditions import Conditions


class Priority(IntEnum):
    """How urgent a job is; a higher one always goes first. The classes are those of Apple's quality of service."""

    BACKGROUND = 0
    UTILITY = 1
    USER_INITIATED = 2
    USER_INTERACTIVE = 3


NO_NAMES: frozenset[str] = frozenset()
CPU = ("cpu",)
NO_CONDITIONS, UNBOUNDED = Conditions(), Budget()
"""What most jobs have, made once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A piece of work that waits for its turns, step by step.

    ``identifier``  names it; unique among the jobs of a scheduler.
    ``priority``, ``deadline`` (seconds on the scheduler's clock), then who came first: the order in which jobs go.
    ``share``       whose time it takes (a user, a tag): among equally urgent jobs, whoever has had least of it goes first.
    ``tags``        what limits are counted by.
    ``lanes``       the kinds of lanes that it may run on, the preferred one first.
    ``after``       identifiers of jobs that must have finished before it begins.
    ``not_before``  the earliest time on the scheduler's clock.
    ``conditions``  what must hold around it while it runs, ``budget`` what it may use.
    ``model``       what its cost is learned by, together with the lane; jobs of one model cost alike.

    Raises ``ValueError`` for a field that makes no sense.
    """

    identifier: str
    priority: Priority = Priority.UTILITY
    deadline: float = math.inf
    share: str = ""
    tags: frozenset[str] = NO_NAMES
    lanes: tuple[str, ...] = CPU
    after: frozenset[str] = NO_NAMES
    not_before: float = -math.inf
    conditions: Conditions = NO_CONDITIONS
    budget: Budget = UNBOUNDED
    model: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.identifier, str) or not self.identifier:
            raise ValueError(f"job: expected an identifier that is a non-empty string, got {self.identifier!r}")
        if type(self.priority) is not Priority:  # a number will do
            object.__setattr__(self, "priority", _priority(self.identifier, self.priority))
        for name, seconds in (("deadline", self.deadline), ("not_before", self.not_before)):
            if not isinstance(seconds, (int, float)) or math.isnan(seconds):
                raise ValueError(f"job {self.identifier!r}: {name}: expected seconds on the scheduler's clock, got {seconds!r}")
        for name, given in (("tags", self.tags), ("after", self.after), ("lanes", self.lanes)):
            if given is not NO_NAMES and given is not CPU:
                object.__setattr__(self, name, _names(self.identifier, name, given))
        if not (isinstance(self.share, str) and isinstance(self.model, str)):
            raise ValueError(f"job {self.identifier!r}: share, model: expected strings, got {self.share!r}, {self.model!r}")
        if not isinstance(self.budget, Budget):
            raise ValueError(f"job {self.identifier!r}: budget: expected Budget, got {self.budget!r}")
        if not isinstance(self.conditions, Conditions):
            raise ValueError(f"job {self.identifier!r}: conditions: expected Conditions, got {self.conditions!r}")
        if not self.lanes:
            raise ValueError(f"job {self.identifier!r}: lanes: expected at least one kind of lane, got none")
        if self.identifier in self.after:
            raise ValueError(f"job {self.identifier!r}: after: expected other jobs, got the job itself")


class _Task(Protocol):
    @property
    def task_identifier(self) -> str:
        """The identifier of its job."""
        ...


class _Ticket(Protocol):
    @property
    def identifier(self) -> str:
        """The identifier of its job."""
        ...


Named: TypeAlias = str | _Task | _Ticket
"""What leads to a job: its identifier, or a task, a ticket or a job that has one."""


def name_of(job: Named) -> str:
    """The identifier of a job. Raises ``ValueError`` for what has none."""
    name = job if isinstance(job, str) else getattr(job, "task_identifier", getattr(job, "identifier", None))
    if not isinstance(name, str):
        raise ValueError(f"expected a job's identifier, or what has one (a task, a ticket), got {job!r}")
    return name


def _priority(identifier: str, given: int) -> Priority:
    try:
        return Priority(given)
    except ValueError:
        known = ", ".join(Priority.__members__)
        raise ValueError(f"job {identifier!r}: priority: expected one of {known}, got {given!r}") from None


def _names(identifier: str, field: str, given: Iterable[str]) -> frozenset[str] | tuple[str, ...]:
    """``given`` as its field keeps it; a string by itself would be taken for its letters."""
    names = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
    if names is None or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"job {identifier!r}: {field}: expected non-empty strings, got {given!r}")
    return names if field == "lanes" else frozenset(names) or NO_NAMES
