"""A stretch of an update: what it may use, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .position import Note

STRETCH_SECONDS = 0.05
"""How long a worker computes, at most, before the event loop hears of it and may cancel or change parameters: a mini-batch of
a small model takes less than the hand-over to the worker, so several are taken at once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a stretch may use: it ends at the first mini-batch after ``soon`` seconds, and begins none that would not be over in
    ``seconds``, when one takes ``step`` seconds at most (0 where nobody knows), and no more than ``steps``.

    ``threads``: how many it may use, besides what the model's configuration says.
    """

    seconds: float = math.inf
    steps: float = math.inf
    step: float = 0.0
    soon: float = STRETCH_SECONDS
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What came of a stretch: what happened last, and what it used.

    ``cold``: seconds of its first mini-batch, where that was the first that the training took at all where it is: it built the
    network, and says little about the others. 0 elsewhere.
    """

    notes: Sequence[Note]
    seconds: float = 0.0
    steps: int = 0
    cold: float = 0.0

    @property
    def learned(self) -> tuple[float, int]:
        """Seconds and steps that tell what a step takes."""
        return (self.seconds - self.cold, self.steps - 1) if self.cold else (self.seconds, self.steps)
