"""What has been done, counted as it happens, whether anybody looks or not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .events import Outcome


@dataclass(slots=True)
class Tally:
    """Plain counts, kept by the one who decides. Seconds are those of its clock.

    ``retries``: of jobs that failed; ``lost``: workers and devices that vanished under their work.
    """

    submitted: int = 0
    turns: int = 0
    retries: int = 0
    lost: int = 0
    finished: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    by_lane: dict[str, float] = field(default_factory=dict)
    by_share: dict[str, float] = field(default_factory=dict)
    begun: int = 0
    waited: float = 0.0
    longest_wait: float = 0.0
    held: dict[str, float] = field(default_factory=dict)
    """Of each lane the seconds for which turns had its workers, to their end."""
    since: float = math.inf
    """When the first job was submitted."""

    def submit(self, now: float) -> None:
        """A job was submitted."""
        self.submitted += 1
        self.since = min(self.since, now)

    def begin(self, waited: float) -> None:
        """A job got its first turn, for which it had waited in the queue for so many seconds."""
        self.begun += 1
        self.waited += waited
        self.longest_wait = max(self.longest_wait, waited)

    def end_turn(self, lane: str, share: str, *, seconds: float, held: float) -> None:
        """A turn ended: ``seconds`` of work in the ``held`` seconds for which it had its worker."""
        self.turns += 1
        self.by_lane[lane] = self.by_lane.get(lane, 0.0) + seconds
        self.by_share[share] = self.by_share.get(share, 0.0) + seconds
        self.held[lane] = self.held.get(lane, 0.0) + held
