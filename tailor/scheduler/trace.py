"""A trace: what comes to a scheduler and what is around it over hours or days, as ``simulate`` plays it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Any

from .conditions import Conditions, Surroundings
from .cost import Costs
from .job import Job
from .requests import BGTaskRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job that is submitted at ``at``, and what it really takes: so many ``steps``, of so many ``seconds`` each.

    ``seconds``: one number, or one for each lane; where a step takes less with more threads, the lane's name is ``"cpu x2"``.
    ``reserve``: seconds that it needs after its last step. Raises ``ValueError`` for what makes no sense.
    """

    job: Job
    at: float = -math.inf
    steps: float = 1
    seconds: float | Mapping[str, float] = 1.0
    reserve: float = 0.0

    def __post_init__(self) -> None:
        who = f"work of job {self.job.identifier!r}"
        if not (self.steps >= 1 and (math.isinf(self.steps) or self.steps == int(self.steps))):
            raise ValueError(f"{who}: steps: expected a whole number of 1 or more, got {self.steps!r}")
        each = tuple(self.seconds.values()) if isinstance(self.seconds, Mapping) else (self.seconds,)
        for seconds in (*each, self.reserve):
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{who}: expected seconds of 0 or more, got {seconds!r}")
        if math.isinf(self.steps) and not all(each):
            raise ValueError(f"{who}: seconds: expected more than 0 for steps without end, got 0")
        if isinstance(self.seconds, Mapping) and not set(self.job.lanes) <= set(self.seconds):
            missing = ", ".join(repr(lane) for lane in self.job.lanes if lane not in self.seconds)
            raise ValueError(f"{who}: seconds: expected those of a step on each of its lanes, got none for {missing}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedWork:
    """A background request that is submitted at ``at``, whose handler works for ``seconds`` in all.

    Where a launch is too short for that, the handler keeps what it has done and, with ``again``, submits the request anew. ``conditions``:
    those that its handler was registered with. Raises ``ValueError`` for seconds of less than nothing.
    """

    request: BGTaskRequest
    at: float = -math.inf
    seconds: float = 1.0
    again: bool = True
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < math.inf:
            raise ValueError(f"request {self.request.identifier!r}: expected seconds of 0 or more, got {self.seconds!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What happens. Times are seconds on the scheduler's clock, which a simulation of its own starts at 0.

    ``works`` and ``requests``  what is submitted, and when; what came before the beginning comes at the beginning.
    ``around``  from when on the surroundings are which, as ``daily`` makes them.
    ``begins``  the local time of day and date at the beginning: with it the ``clock`` of the surroundings goes on by itself, and
    quiet hours and the dates of requests have a meaning. Without a time zone it is the machine's.
    ``until``   when the simulation ends; without, when nothing happens any more.
    ``lanes``, ``cores`` (by default one a worker), ``limits``, ``weights``, ``costs``: of a scheduler that is only imagined; a live one
    has its own.
    """

    works: Iterable[Work] = ()
    requests: Iterable[RequestedWork] = ()
    around: Iterable[tuple[float, Surroundings]] = ()
    begins: datetime | None = None
    until: float = math.inf
    lanes: Mapping[str, int] = field(default_factory=lambda: {"cpu": 1})
    cores: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    costs: Costs | None = None

    def __post_init__(self) -> None:
        for name in ("works", "requests", "around"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if math.isnan(self.until):
            raise ValueError("trace: until: expected seconds on the scheduler's clock, got nan")
        for work in self.requests:
            if work.request.earliest_begin_date is not None and self.begins is None:
                raise ValueError(f"trace: begins: expected a date, as request {work.request.identifier!r} has one, got none")


def daily(pattern: Mapping[time, Mapping[str, Any]], *, begins: datetime, days: int, at: float = 0.0) -> list[tuple[float, Surroundings]]:
    """The surroundings over days that are alike: at each time of day the named fields of ``Surroundings`` change.

    ``{time(7): {"external_power": False}, time(22): {"external_power": True}}``: on battery from seven to ten. ``begins``: the date and
    time of day at ``at`` on the scheduler's clock; what holds then is what the day before has left. Days have 24 hours.
    Raises ``TypeError`` for a field that surroundings do not have.
    """
    changes = sorted(pattern.items())
    around = Surroundings()
    for _, fields in changes:
        around = replace(around, **fields)  # as the day before has left it
    found = [(at, around)]
    for day in range(days + 1):
        for when, fields in changes:
            around = replace(around, **fields)
            midnight = begins.replace(hour=0, minute=0, second=0, microsecond=0)
            seconds = (midnight + timedelta(days=day, hours=when.hour, minutes=when.minute, seconds=when.second) - begins).total_seconds()
            if seconds <= 0:
                found[0] = (at, around)
            elif seconds <= days * 86400:
                found.append((at + seconds, around))
    return found
