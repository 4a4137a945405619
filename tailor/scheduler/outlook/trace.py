"""A trace: what comes to a scheduler and what is around it over hours or days, as ``simulate`` plays it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Any, TypeVar

from ..conditions import Conditions, Surroundings
from ..cost import Costs
from ..job import Job
from ..requests import BGTaskRequest

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job that is submitted at ``at``, and what it really takes: so many ``steps``, of so many ``seconds`` each.

    ``seconds``: one number, or one for each lane; where a step takes less with more threads, the lane's name is ``"cpu x2"``.
    ``reserve``: seconds that it needs after its last step. Raises ``ValueError`` or ``TypeError`` for what makes no sense.
    """

    job: Job
    at: float = -math.inf
    steps: float = 1
    seconds: float | Mapping[str, float] = 1.0
    reserve: float = 0.0

    def __post_init__(self) -> None:
        who = f"work of job {_of(Job, self.job, 'work: job').identifier!r}"
        _number(self.at, f"{who}: at", least=-math.inf)
        if not math.isinf(_number(self.steps, f"{who}: steps", least=1)) and self.steps != int(self.steps):
            raise ValueError(f"{who}: steps: expected a whole number, got {self.steps!r}")
        each = tuple(self.seconds.values()) if isinstance(self.seconds, Mapping) else (self.seconds,)
        for seconds in (*each, self.reserve):
            _number(seconds, f"{who}: seconds", most=sys.float_info.max)
        if math.isinf(self.steps) and not all(each):
            raise ValueError(f"{who}: seconds: expected more than 0 for steps without end, got 0")
        if isinstance(self.seconds, Mapping) and not set(self.job.lanes) <= set(self.seconds):
            missing = ", ".join(repr(lane) for lane in self.job.lanes if lane not in self.seconds)
            raise ValueError(f"{who}: seconds: expected those of a step on each of its lanes, got none for {missing}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedWork:
    """A background request that is submitted at ``at``, whose handler works for ``seconds`` in all.

    Where a launch is too short for that, the handler keeps what it has done and, with ``again``, submits the request anew. ``conditions``:
    those that its handler was registered with. Raises ``ValueError`` or ``TypeError`` for what makes no sense.
    """

    request: BGTaskRequest
    at: float = -math.inf
    seconds: float = 1.0
    again: bool = True
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        who = f"work of request {_of(BGTaskRequest, self.request, 'work: request').identifier!r}"
        _number(self.at, f"{who}: at", least=-math.inf)
        _number(self.seconds, f"{who}: seconds", most=sys.float_info.max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What happens. Times are seconds on the scheduler's clock, which a simulation of its own starts at 0.

    ``works`` and ``requests``  what is submitted, and when; what came before the beginning comes at the beginning.
    ``around``  from when on the surroundings are which, as ``daily`` makes them.
    ``begins``  the local time of day and date at the beginning: with it the ``clock`` of the surroundings goes on by itself, and
    quiet hours and the dates of requests have a meaning. Without a time zone it is the machine's.
    ``until``   when the simulation ends; without, when nothing happens any more.
    ``lanes``, ``cores`` (by default one a worker), ``limits``, ``weights``, ``costs``: of a scheduler that is only imagined; a live one
    has its own. Raises ``ValueError`` or ``TypeError`` for what makes no sense.
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
        for work in self.works:
            _of(Work, work, "trace: works")
        for requested in self.requests:
            _of(RequestedWork, requested, "trace: requests")
            if requested.request.earliest_begin_date is not None and self.begins is None:
                raise ValueError(f"trace: begins: expected a date, as request {requested.request.identifier!r} has one, got none")
        for change in self.around:
            if not isinstance(change, tuple) or len(change) != 2:
                raise TypeError(f"trace: around: expected pairs of a time and Surroundings, got {change!r}")
            _number(change[0], "trace: around: time", least=-math.inf)
            _of(Surroundings, change[1], "trace: around")
        _number(self.until, "trace: until", least=-math.inf)


def daily(pattern: Mapping[time, Mapping[str, Any]], *, begins: datetime, days: int, at: float = 0.0) -> list[tuple[float, Surroundings]]:
    """The surroundings over days that are alike: at each time of day the named fields of ``Surroundings`` change.

    ``{time(7): {"external_power": False}, time(22): {"external_power": True}}``: on battery from seven to ten. ``begins``: the date and
    time of day at ``at`` on the scheduler's clock; what holds then is what the day before has left. Days have 24 hours.
    Raises ``TypeError`` for a field that surroundings do not have, and where times are none.
    """
    changes = sorted((_of(time, when, "daily: pattern"), fields) for when, fields in pattern.items())
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


def _of(kind: type[Kind], given: object, who: str) -> Kind:
    """``given``, if it is of that kind."""
    if not isinstance(given, kind):
        raise TypeError(f"{who}: expected {kind.__name__}, got {given!r}")
    return given


def _number(given: object, who: str, *, least: float = 0.0, most: float = math.inf) -> float:
    """``given``, if it is a number within the bounds."""
    if not isinstance(given, int | float):
        raise TypeError(f"{who}: expected a number, got {given!r}")
    if not least <= given <= most:
        raise ValueError(f"{who}: expected {'a time' if least < 0 else f'{least:g} or more'}, got {given!r}")
    return given
