"""The dispatcher's decisions once more, as plainly as they can be written: everything is looked at each time, nothing is kept ready."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tailor.scheduler import Job


@dataclass
class Known:
    """A job as the model knows it."""

    job: Job
    age: int
    narrow: bool
    asks: bool = False
    queued: bool = False  # it asks, and nothing but its turn is to be waited for
    lane: str | None = None
    threads: int = 0
    steps: int = 0

    @property
    def deadline(self) -> float:
        """What it is ordered by."""
        return min(self.job.deadline, self.job.budget.deadline)


@dataclass
class Model:
    """Jobs and lanes."""

    capacity: dict[str, int]
    cores: int
    limits: dict[str, int]
    weights: dict[str, float]
    power: bool | None = True
    jobs: dict[str, Known] = field(default_factory=dict)
    ended: dict[str, bool] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    level: float = 0.0

    def at_work(self, lane: str | None = None) -> list[Known]:
        """The jobs that have turns."""
        return [known for known in self.jobs.values() if known.lane is not None and lane in (None, known.lane)]

    def free_cores(self) -> int:
        """Cores that no turn has."""
        return self.cores - sum(known.threads for known in self.at_work() if needs_cores(known.lane))

    def has_room(self, lane: str) -> bool:
        """Whether a turn can begin there."""
        return len(self.at_work(lane)) < self.capacity[lane] and (not needs_cores(lane) or self.free_cores() > 0)

    def spent(self, known: Known, now: float) -> bool:
        """Whether nothing is left of a job's budget."""
        return known.steps >= known.job.budget.steps or now >= known.job.budget.deadline

    def looks(self, now: float) -> list[str]:
        """Who asks, and has nothing left; who else asks, and has nothing more to wait for, joins the queue."""
        exhausted = []
        for name, known in self.jobs.items():
            if known.asks and self.spent(known, now):
                known.asks = known.queued = False
                exhausted.append(name)
            elif (
                known.asks and not known.queued and known.job.not_before <= now and not any(other in self.jobs for other in known.job.after)
            ):
                share = known.job.share
                if not any(other.queued and other.job.share == share for other in self.jobs.values()):
                    self.used[share] = max(self.used.get(share, 0.0), self.level)
                known.queued = True
        return exhausted

    def allowed(self, known: Known) -> bool:
        """Whether all but a place is there for a job."""
        job = known.job
        if self.power is False and (job.conditions.external_power or job.budget.energy == 0):
            return False
        return all(sum(tag in other.job.tags for other in self.at_work()) < most for tag, most in self.limits.items() if tag in job.tags)

    def in_order(self) -> list[Known]:
        """The jobs that wait, in the order in which they go."""
        waiting = [known for known in self.jobs.values() if known.queued]
        return sorted(waiting, key=lambda known: (-known.job.priority, self.used[known.job.share], known.deadline, known.age))

    def begins(self) -> list[tuple[str, str, int]]:
        """Who begins, where and on how many cores."""
        begun: list[Known] = []
        while True:
            able = [known for known in self.in_order() if self.allowed(known) and any(map(self.has_room, known.job.lanes))]
            if not able:
                break
            known = able[0]
            known.lane = next(filter(self.has_room, known.job.lanes))
            known.threads, known.asks, known.queued = 1, False, False
            self.level = max(self.level, self.used[known.job.share])
            begun.append(known)
        wide = [known for known in begun if needs_cores(known.lane) and not known.narrow]
        while wide and self.free_cores():
            for known in wide:
                known.threads += min(1, self.free_cores())
        return [(known.job.identifier, known.lane or "", known.threads) for known in begun]

    def ends(self, name: str, seconds: float, steps: int) -> None:
        """A turn has ended."""
        known = self.jobs[name]
        known.lane, known.threads, known.steps = None, 0, known.steps + steps
        self.used[known.job.share] += seconds / self.weights.get(known.job.share, 1.0)

    def finishes(self, name: str, ok: bool) -> list[str]:
        """A job has ended; those that cannot begin any more."""
        del self.jobs[name]
        self.ended[name] = ok
        return [] if ok else sorted(other for other, known in self.jobs.items() if name in known.job.after)

    def may_be_asked_back(self, known: Known) -> bool:
        """Whether there is a reason for which a job's turn should end."""
        if self.power is False and (known.job.conditions.external_power or known.job.budget.energy == 0):
            return True
        waiting = [other for other in self.jobs.values() if other.queued]
        return (known.threads > 1 and bool(waiting)) or any(other.job.priority > known.job.priority for other in waiting)

    def must_ask_back(self) -> list[Known]:
        """The turns of which one has to be asked back: those that the first job that lacks nothing but a place may take."""
        able = [known for known in self.in_order() if self.allowed(known)]
        if not able:
            return []
        job = able[0].job
        cores = self.free_cores() < 1 and any(needs_cores(lane) and len(self.at_work(lane)) < self.capacity[lane] for lane in job.lanes)
        in_the_way = [known for known in self.at_work() if (needs_cores(known.lane) if cores else known.lane in job.lanes)]
        less = any(known.job.priority < job.priority for known in in_the_way)
        return in_the_way if less or (cores and any(known.threads > 1 for known in in_the_way)) else []


def needs_cores(lane: str | None) -> bool:
    """Whether turns there hold cores."""
    return lane in ("cpu", "process")


NEVER = -math.inf
