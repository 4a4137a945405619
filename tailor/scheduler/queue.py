"""Who is next: the jobs that wait, in the order in which they go, and what keeps the others.

Jobs that wait for the same things are of one kind: whatever keeps one of them keeps all. A kind that is kept is parked
under what keeps it and not looked at again until that is lifted, so that a decision looks at few kinds, however many
jobs wait, and of however many shares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, TypeAlias, TypeVar

from .job import Job

Order: TypeAlias = tuple[float, int, int]
"""Deadline, then number: which of two jobs of one priority and share goes first. The last tells apart the times that one has come."""

Rank: TypeAlias = tuple[int, float, Order]
"""Urgency (the lower the sooner), the time its share has had, its order: which of two jobs goes first."""

Kept: TypeAlias = Callable[[Job], Hashable | None]
"""What keeps a job from running now, or ``None``; the same for all jobs of a kind."""

Ranked = TypeVar("Ranked", bound=Hashable)


class _Ranking(Generic[Ranked]):
    """Things by rank, which may rise unnoticed: that is seen when one comes up. One whose rank has fallen is put in again.

    ``rank``: what a thing's rank is now; ``None`` where it is not to be given.
    """

    def __init__(self, rank: Callable[[Ranked], Rank | None]) -> None:
        self._rank = rank
        self._heap: list[tuple[Rank, int, Ranked]] = []
        self._counts: dict[Ranked, int] = {}  # of a thing's entries in the heap, which one counts
        self._serial = 0

    def put(self, thing: Ranked) -> None:
        """Puts a thing in, or in again."""
        rank = self._rank(thing)
        if rank is not None:
            self._serial += 1
            self._counts[thing] = self._serial
            heappush(self._heap, (rank, self._serial, thing))

    @property
    def top(self) -> Ranked:
        """What ``first`` gave last."""
        return self._heap[0][2]

    def first(self) -> tuple[Rank, int, Ranked] | None:
        """The thing of the lowest rank, behind its rank; ``None`` where there is none."""
        while self._heap:
            entry = before, serial, thing = self._heap[0]
            if self._counts.get(thing) != serial:
                heappop(self._heap)
                continue
            rank = self._rank(thing)
            if rank == before:
                return entry
            if rank is None:
                heappop(self._heap)
                del self._counts[thing]
            else:
                heapreplace(self._heap, (rank, serial, thing))
        return None


@dataclass(slots=True, eq=False)
class _Line:
    """Jobs of one kind, priority and share."""

    kind: _Kind
    priority: int
    share: str
    jobs: list[tuple[Order, Job]] = field(default_factory=list)
    waiting: int = 0  # how many of them do so still


@dataclass(slots=True, eq=False)
class _Kind:
    """Jobs that wait for the same things; ``parked`` under what keeps them, or ``None``."""

    key: Hashable
    lanes: tuple[str, ...]
    ranking: _Ranking[_Line]
    lines: dict[tuple[int, str], _Line] = field(default_factory=dict)
    parked: Hashable | None = None


def kind(job: Job) -> Hashable:
    """All of a job that may keep it."""
    return job.tags, job.lanes, job.conditions, job.budget.energy, job.model


class Queue:
    """The jobs that wait. The order: priority, then the share that has had least time for its weight, deadline, age.

    ``weights``: how much of the time a share is to have against others, 1 where it is not named. ``kind``: the same for jobs that
    the same things keep. Raises ``ValueError`` for a weight that is not above 0.
    """

    def __init__(self, weights: Mapping[str, float] | None = None, kind: Callable[[Job], Hashable] = kind) -> None:
        self._weights = dict(weights or {})
        for share, weight in self._weights.items():
            if not (isinstance(weight, int | float) and weight > 0 and math.isfinite(weight)):
                raise ValueError(f"queue: weight of share {share!r}: expected a number above 0, got {weight!r}")
        self._kind = kind
        self._kinds: dict[Hashable, _Kind] = {}
        self._waiting: dict[str, tuple[Order, _Line]] = {}
        self._shares: dict[str, int] = {}  # how many wait
        self._lanes: dict[tuple[str, ...], int] = {}  # of how many kinds of jobs
        self._contested = False  # whether jobs of several shares have met since nobody waited: else what one has had is no matter
        self._only: tuple[Job, int] | None = None  # a job that waits alone, and is nowhere else: it needs no order
        self._parked: dict[Hashable, dict[_Kind, None]] = {}
        self._used: dict[str, float] = {}
        self._level = 0.0  # what the share that went last had had
        self._ranking = _Ranking(self._rank_of_kind)
        self._age = self._serial = 0
        self.watch: Callable[[Hashable, Hashable | None], None] | None = None  # is told of each kind what keeps it from now on

    def __len__(self) -> int:
        return len(self._waiting) if self._only is None else 1

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._waiting if self._only is None else identifier == self._only[0].identifier

    def lanes(self) -> Iterable[tuple[str, ...]]:
        """The lanes that jobs wait for, as they name them."""
        return self._lanes if self._only is None else (self._only[0].lanes,)

    def __iter__(self) -> Iterator[Job]:
        """The jobs in the order in which they would go if nothing kept any; slow, for people."""
        self._spread()
        waiting = [
            ((-line.priority, self._used[line.share], order), job)
            for kind in self._kinds.values()
            for line in kind.lines.values()
            for order, job in line.jobs
            if self._is_of(order, job)
        ]
        return iter([job for _, job in sorted(waiting, key=lambda entry: entry[0])])

    def add(self, job: Job, number: int | None = None) -> int:
        """Lets ``job`` wait; gives its number, by which a job that comes back after a step keeps its age.

        Raises ``ValueError`` where one of its identifier waits already.
        """
        if job.identifier in self:
            raise ValueError(f"queue: expected a job that does not wait yet, got {job.identifier!r} twice")
        if number is None:
            number = self._age = self._age + 1
        if job.share not in self._shares:
            self._begin_level(job.share)
        if self._only is None and not self._waiting:
            self._only = job, number
        else:
            self._spread()
            self._enter(job, number)
        return number

    def pass_by(self, job: Job) -> None:
        """As if ``job`` came and was taken at once; nobody waits."""
        self._begin_level(job.share)
        self._level = self._used[job.share]

    def _begin_level(self, share: str) -> None:
        """Lets a share that was away begin level with the others, not with all the time that they had meanwhile."""
        self._used[share] = max(self._used.get(share, 0.0), self._level)

    def _spread(self) -> None:
        """Puts a job that waited alone where the others are."""
        if self._only is not None:
            only, self._only = self._only, None
            self._enter(*only)

    def _enter(self, job: Job, number: int) -> None:
        self._shares[job.share] = self._shares.get(job.share, 0) + 1
        self._contested = len(self._shares) > 1 or (self._contested and bool(self._waiting))
        key = self._kind(job)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(key, job.lanes, _Ranking(self._rank))
            self._lanes[job.lanes] = self._lanes.get(job.lanes, 0) + 1
        where = (job.priority, job.share)
        line = kind.lines.get(where)
        if line is None:
            line = kind.lines[where] = _Line(kind, job.priority, job.share)
        self._serial += 1
        order = (job.deadline, number, self._serial)
        heappush(line.jobs, (order, job))
        line.waiting += 1
        self._waiting[job.identifier] = order, line
        if line.jobs[0][0] is order:
            kind.ranking.put(line)
            if kind.ranking.first() is not None and kind.ranking.top is line:
                self._ranking.put(kind)

    def remove(self, identifier: str) -> bool:
        """Whether a job of that identifier waited; it does no more."""
        if self._only is not None and self._only[0].identifier == identifier:
            self._only = None
            return True
        found = self._waiting.pop(identifier, None)
        if found is None:
            return False
        line = found[1]
        self._shares[line.share] -= 1
        if not self._shares[line.share]:
            del self._shares[line.share]
        line.waiting -= 1
        if len(line.jobs) > 2 * line.waiting + 16:  # most were removed from behind the first
            line.jobs = [entry for entry in line.jobs if self._is_of(*entry)]
            heapify(line.jobs)
        self._rank(line)
        return True

    def take(self, kept: Kept) -> tuple[Job, int] | None:
        """The next job that nothing keeps, with its number, and it waits no longer; ``None`` where there is none."""
        if self._only is not None and kept(self._only[0]) is None:
            only, self._only = self._only, None
            self._level = max(self._level, self._used[only[0].share])
            return only
        self._spread()
        line = self._look(kept)
        if line is None:
            return None
        (_, number, _), job = line.jobs[0]
        self._level = max(self._level, self._used[job.share])
        self.remove(job.identifier)
        return job, number

    def look(self, kept: Kept) -> Job | None:
        """The next job that nothing keeps; it waits on."""
        if self._only is not None:
            return self._only[0] if kept(self._only[0]) is None else None
        line = self._look(kept)
        return line.jobs[0][1] if line is not None else None

    def _look(self, kept: Kept) -> _Line | None:
        """Where the next job waits that nothing keeps. The kinds ahead of it are parked."""
        while (line := self._first()) is not None:
            reason = kept(line.jobs[0][1])
            if reason is None:
                return line
            kind = line.kind
            kind.parked = reason
            self._parked.setdefault(reason, {})[kind] = None
            if self.watch is not None:
                self.watch(kind, reason)
        return None

    def first(self) -> Job | None:
        """The job that ``take`` would look at first; ``None`` where all are kept, or none waits."""
        if self._only is not None:
            return self._only[0]
        line = self._first()
        return line.jobs[0][1] if line is not None else None

    def lift(self, reason: Hashable) -> None:
        """Lets the kinds that ``reason`` kept be looked at again."""
        for kind in self._parked.pop(reason, ()):
            kind.parked = None
            if self.watch is not None:
                self.watch(kind, None)
            self._ranking.put(kind)

    def lift_all(self) -> None:
        """Lets all kinds be looked at again."""
        for reason in list(self._parked):
            self.lift(reason)

    def charge(self, share: str, seconds: float) -> None:
        """Puts ``seconds`` of work on the account of a share."""
        self._used[share] = self._used.get(share, 0.0) + seconds / self._weights.get(share, 1.0)

    def had(self, share: str) -> float:
        """Seconds of work that a share has had for its weight, and those that it was given to begin level with the others."""
        return self._used.get(share, 0.0)

    def kind(self, identifier: str) -> Hashable:
        """Names the kind that a job that waits is of: what keeps one of a kind keeps all."""
        self._spread()
        return self._waiting[identifier][1].kind

    def keeps(self, identifier: str) -> Hashable | None:
        """What keeps the job, as far as it has been looked at; ``None`` where nothing does, or others were before it."""
        found = self._waiting.get(identifier)
        return found[1].kind.parked if found is not None else None

    def _first(self) -> _Line | None:
        return self._ranking.top.ranking.top if self._ranking.first() is not None else None

    def _rank_of_kind(self, kind: _Kind) -> Rank | None:
        first = kind.ranking.first() if kind.parked is None else None
        return first[0] if first is not None else None

    def _rank(self, line: _Line) -> Rank | None:
        """The rank of the line's first job. Drops those that were removed from its front, and lines and kinds where none is left."""
        jobs = line.jobs
        while jobs and not self._is_of(*jobs[0]):
            heappop(jobs)
        if jobs:
            return -line.priority, self._used[line.share] if self._contested else 0.0, jobs[0][0]
        kind, where = line.kind, (line.priority, line.share)
        if kind.lines.get(where) is line:
            del kind.lines[where]
            if not kind.lines:
                del self._kinds[kind.key]
                self._lanes[kind.lanes] -= 1
                if not self._lanes[kind.lanes]:
                    del self._lanes[kind.lanes]
                if kind.parked is not None:
                    del self._parked[kind.parked][kind]
                    if not self._parked[kind.parked]:
                        del self._parked[kind.parked]
        return None

    def _is_of(self, order: Order, job: Job) -> bool:
        """Whether an entry of a line is that of a job that waits."""
        found = self._waiting.get(job.identifier)
        return found is not None and found[0] is order
