"""What came of a simulation: when each job ran and ended, or what kept it, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..dispatch import Dispatcher
from ..requests import LANE
from .reasons import spoken
from .statistics import Statistics
from .why import Why, why

MOST_LINES = 40
"""How many jobs ``str`` tells of."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Turns on one lane, one right after the other: from ``begin`` to ``end``, ``steps`` in all."""

    lane: str
    begin: float
    end: float
    steps: float


@dataclass(frozen=True, slots=True)
class Course:
    """How it went with one job. Times are seconds on the simulation's clock.

    ``finished``  when its work was done; ``None`` where it was not. ``ended``: why it ended without, in words.
    ``under``     seconds under each reason, by the names that ``why`` gives them: ``at work``, ``external power``, ``lanes`` ...
    """

    identifier: str
    submitted: float
    stretches: tuple[Stretch, ...] = ()
    finished: float | None = None
    ended: str = ""
    under: Mapping[str, float] = field(default_factory=dict)

    @property
    def began(self) -> float | None:
        """When its first turn began."""
        return self.stretches[0].begin if self.stretches else None

    @property
    def seconds(self) -> float:
        """For which it had a lane."""
        return sum(stretch.end - stretch.begin for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of a trace from ``begin`` to ``end``; ``begins``: the local time at ``begin``, where it was told.

    ``courses``: of the jobs, in the order in which they came. ``statistics``: as a scheduler has them, at the end.
    """

    begin: float
    end: float
    begins: datetime | None
    courses: Mapping[str, Course]
    statistics: Statistics
    left: Dispatcher = field(repr=False)
    """As it was at the end, with the jobs that have not ended."""

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The jobs whose work was not done."""
        return tuple(identifier for identifier, course in self.courses.items() if course.finished is None)

    def why(self, identifier: str) -> Why:
        """Why a job is where it is at the end. Raises ``ValueError`` where there is none of that name."""
        return why(self.left, identifier, self.end)

    def moment(self, seconds: float) -> str:
        """A time on the simulation's clock for people: day and time of day, or the time since the beginning."""
        if self.begins is not None:
            return f"{self.begins + timedelta(seconds=seconds - self.begin):%a %d %H:%M:%S}"
        if self.end - self.begin < 60:
            return f"{seconds - self.begin:.3f} s"
        days, rest = divmod(round(seconds - self.begin), 86400)
        clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
        return f"{days} d {clock}" if days else clock

    def timeline(self) -> Iterator[str]:
        """What happened, one line each, in order."""
        found: list[tuple[float, int, str]] = []
        for course in self.courses.values():
            found.append((course.submitted, 0, f"{course.identifier} comes"))
            for stretch in course.stretches:
                steps = "" if stretch.steps == 1 else f", {stretch.steps:g} {'launches' if stretch.lane == LANE else 'steps'}"
                found.append(
                    (stretch.begin, 2, f"{course.identifier} works on {stretch.lane} for {spoken(stretch.end - stretch.begin)}{steps}")
                )
            if course.finished is not None:
                found.append((course.finished, 1, f"{course.identifier} is done"))
        for seconds, _, line in sorted(found):
            yield f"{self.moment(seconds)}  {line}"

    def __str__(self) -> str:
        done = len(self.courses) - len(self.unfinished)
        lines = [f"{self.moment(self.begin)} to {self.moment(self.end)}: {len(self.courses)} jobs, {done} done"]
        lines += [f"{name}: in use {lane.use:.0%} of the time" for name, lane in self.statistics.lanes.items()]
        courses = sorted(self.courses.values(), key=lambda course: course.finished is not None)  # what was not done first
        lines += [self._line(course) for course in courses[:MOST_LINES]]
        if len(courses) > MOST_LINES:
            lines.append(f"and {len(courses) - MOST_LINES} more")
        return "\n".join(lines)

    def _line(self, course: Course) -> str:
        parts = [f"{course.identifier}: came {self.moment(course.submitted)}"]
        if course.began is not None:
            lanes = ", ".join(dict.fromkeys(stretch.lane for stretch in course.stretches))
            stretches = f" in {len(course.stretches)} stretches" if len(course.stretches) > 1 else ""
            parts.append(f"began {self.moment(course.began)} on {lanes}, had it for {spoken(course.seconds)}{stretches}")
        if course.finished is not None:
            parts.append(f"done {self.moment(course.finished)}")
        elif course.ended:
            parts.append(f"not done: {course.ended}")
        else:
            parts.append(f"not done: {'; '.join(map(str, self.why(course.identifier).reasons))}")
        kept = sorted(((seconds, name) for name, seconds in course.under.items() if name != "at work"), reverse=True)
        if kept:
            parts.append("kept by " + ", ".join(f"{name} {spoken(seconds)}" for seconds, name in kept))
        return "; ".join(parts)
