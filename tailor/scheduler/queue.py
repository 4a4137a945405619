"""Who is next: the jobs that wait, in the order in which they go, and what keeps the others.

Jobs that wait for the same things are one group: whatever keeps one of them keeps all. A group that is kept is parked
under what keeps it and not looked at again until that is lifted, so that a decision looks at few groups, however many
jobs wait.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from .job import Job

Order: TypeAlias = tuple[float, int]
"""Deadline, then number: which of two jobs of a group goes first."""

Rank: TypeAlias = tuple[int, float, Order]
"""Urgency (the lower the sooner), the time its share has had, its order: which of two jobs goes first."""

Kept: TypeAlias = Callable[[Job], Hashable | None]
"""What keeps a job from running now, or ``None``; the same for all jobs of a group."""


@dataclass(slots=True, eq=False)
class _Group:
    """Jobs of one priority and share that wait for the same things; ``parked`` under what keeps them, or ``None``."""

    key: Hashable
    priority: int
    share: str
    jobs: list[tuple[Order, Job]] = field(default_factory=list)
    parked: Hashable | None = None


class Queue:
    """The jobs that wait. The order: priority, then the share that has had least time for its weight, deadline, age.

    ``weights``: how much of the time a share is to have against others, 1 where it is not named.
    Raises ``ValueError`` for a weight that is not above 0.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self._weights = dict(weights or {})
        for share, weight in self._weights.items():
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(f"queue: weight of share {share!r}: expected a number above 0, got {weight!r}")
        self._numbers: dict[str, int] = {}
        self._of: dict[str, _Group] = {}
        self._groups: dict[Hashable, _Group] = {}
        self._shares: dict[str, set[_Group]] = {}
        self._parked: dict[Hashable, list[_Group]] = {}
        self._used: dict[str, float] = {}
        self._level = 0.0  # what the share that went last had had
        self._ready: list[tuple[Rank, int, _Group]] = []
        self._entries = count()
        self._ages = count(1)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._numbers

    def __iter__(self) -> Iterator[Job]:
        """The jobs in the order in which they would go if nothing kept any; slow, for people."""
        waiting = [
            ((-group.priority, self._used[group.share], order), job)
            for group in self._groups.values()
            for order, job in group.jobs
            if self._numbers.get(job.identifier) == order[1]
        ]
        return iter([job for _, job in sorted(waiting, key=lambda entry: entry[0])])

    def add(self, job: Job, number: int | None = None) -> int:
        """Lets ``job`` wait; gives its number, by which a job that comes back after a step keeps its age.

        Raises ``ValueError`` where one of its identifier waits already.
        """
        if job.identifier in self._numbers:
            raise ValueError(f"queue: expected a job that does not wait yet, got {job.identifier!r} twice")
        number = next(self._ages) if number is None else number
        if not self._shares.get(job.share):  # it begins level with the others, not with all the time that they had while it was away
            self._used[job.share] = max(self._used.get(job.share, 0.0), self._level)
        key = (job.priority, job.share, job.tags, job.lanes, job.conditions, job.budget.energy, job.model)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key, job.priority, job.share)
            self._shares.setdefault(job.share, set()).add(group)
        order = (job.deadline, number)
        heappush(group.jobs, (order, job))
        self._numbers[job.identifier], self._of[job.identifier] = number, group
        if group.parked is None and group.jobs[0][0] == order:
            self._offer(group)
        return number

    def remove(self, identifier: str) -> bool:
        """Whether a job of that identifier waited; it does no more."""
        if self._numbers.pop(identifier, None) is None:
            return False
        self._tidy(self._of.pop(identifier))
        return True

    def take(self, kept: Kept) -> tuple[Job, int] | None:
        """The next job that nothing keeps, with its number, and it waits no longer; ``None`` where there is none."""
        while self._ready:
            rank, _, group = heappop(self._ready)
            if group.parked is not None or not self._tidy(group) or self._rank(group) != rank:
                continue  # an entry that was overtaken: the group has a newer one, or needs none
            (_, number), job = group.jobs[0]
            reason = kept(job)
            if reason is None:
                self._level = max(self._level, self._used[job.share])
                self.remove(job.identifier)
                self._offer(group)
                return job, number
            group.parked = reason
            self._parked.setdefault(reason, []).append(group)
        return None

    def lift(self, reason: Hashable) -> None:
        """Lets the groups that ``reason`` kept be looked at again."""
        for group in self._parked.pop(reason, ()):
            group.parked = None
            self._offer(group)

    def lift_all(self) -> None:
        """Lets all groups be looked at again."""
        for reason in list(self._parked):
            self.lift(reason)

    def charge(self, share: str, seconds: float) -> None:
        """Puts ``seconds`` of work on the account of a share."""
        self._used[share] = self._used.get(share, 0.0) + seconds / self._weights.get(share, 1.0)
        for group in self._shares.get(share, ()):
            if group.parked is None:
                self._offer(group)

    def keeps(self, identifier: str) -> Hashable | None:
        """What keeps the job, as far as it has been looked at; ``None`` where nothing does, or others were before it."""
        group = self._of.get(identifier)
        return group.parked if group is not None else None

    def _offer(self, group: _Group) -> None:
        """Puts the group's first job up for the next decision."""
        if self._tidy(group):
            heappush(self._ready, (self._rank(group), next(self._entries), group))

    def _rank(self, group: _Group) -> Rank:
        return -group.priority, self._used[group.share], group.jobs[0][0]

    def _tidy(self, group: _Group) -> bool:
        """Drops jobs that were removed from the group's front, and the group where none is left; whether one is."""
        while group.jobs and self._numbers.get(group.jobs[0][1].identifier) != group.jobs[0][0][1]:
            heappop(group.jobs)
        if not group.jobs and self._groups.get(group.key) is group:
            del self._groups[group.key]
            self._shares[group.share].discard(group)
        return bool(group.jobs)
