"""What is counted and measured."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import NamedTuple

from tailor.client import Added, EventRecord, UpdateRecord

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of durations, in seconds."""


class Answered(NamedTuple):
    """What requests are counted by. ``route``: its path in the table, ``""`` for the page and for what is not there."""

    method: str
    route: str
    status: int


class Durations:
    """How many took how long: a histogram. ``counts``: up to each of ``BUCKETS``, and above the last; ``total`` in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Counts one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Metrics:
    """Counts since the daemon began."""

    def __init__(self) -> None:
        self.requests: Counter[Answered] = Counter()
        self.durations: dict[str, Durations] = {}
        self.examples: Counter[str] = Counter(accepted=0, duplicate=0, refused=0)
        self.predictions = 0
        self.listeners = 0
        self.events: Counter[str] = Counter()
        self.missed = 0
        self.updates: Counter[str] = Counter(completed=0, refused=0, failed=0, cancelled=0)
        self.update_seconds = 0.0

    def answered(self, what: Answered, seconds: float) -> None:
        """Counts a request whose answer began after so many seconds."""
        self.requests[what] += 1
        self.durations.setdefault(what.route, Durations()).add(seconds)

    def added(self, added: Added) -> None:
        """Counts examples that were kept."""
        self.examples["accepted"] += added.accepted
        self.examples["duplicate"] += added.duplicates

    def refused(self, examples: int) -> None:
        """Counts examples that were not kept."""
        self.examples["refused"] += examples

    def happened(self, event: EventRecord) -> None:
        """Counts what happened."""
        self.events[event.kind] += 1

    def ended(self, update: UpdateRecord) -> None:
        """Counts an update that is over."""
        self.updates[update.state] += 1
        if update.begun_at is not None and update.ended_at is not None:
            self.update_seconds += (update.ended_at - update.begun_at).total_seconds()
