"""What steps take, learned as they are taken: for each model on each kind of lane."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

GAIN = 1 / 8
SPREAD_GAIN = 1 / 4
MARGIN = 4.0
ALIKE = 4
"""Weights of Jacobson, "Congestion avoidance and control", 1988: how fast mean and deviation follow what is measured, and how
many deviations above the mean a step is still expected to end. ``ALIKE``: of so many steps in a row what each was off by evens out."""


CHECKPOINT = "checkpoint"
"""Where a lane is named else: what it takes to write a job's state down."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one step takes: ``mean`` and mean absolute ``deviation`` in seconds, learned from ``steps`` steps."""

    mean: float
    deviation: float
    steps: int

    @property
    def margin(self) -> float:
        """What is added to one step's mean to be on the safe side."""
        return MARGIN * self.deviation

    def at_most(self, steps: int) -> float:
        """Seconds in which that many steps will almost surely have ended; deviations of single steps even out."""
        return self.mean * steps + self.margin * math.sqrt(steps)

    def after(self, seconds: float, steps: int) -> Estimate:
        """The estimate after ``steps`` more of them have taken ``seconds`` together."""
        measured = seconds / steps
        off = measured - self.mean
        # measured together they weigh as much as one by one; what each was off by evens out in their mean, but for what steps in a
        # row have in common, because the machine does something else besides
        gain, spread = 1 - (1 - GAIN) ** steps, 1 - (1 - SPREAD_GAIN) ** steps
        single = abs(off) * math.sqrt(min(steps, ALIKE))
        return Estimate(self.mean + gain * off, self.deviation + spread * (single - self.deviation), self.steps + steps)


class Costs:
    """The estimates by model and kind of lane. ``record``: what was learned before, as ``plain`` gave it."""

    def __init__(self, record: Mapping[str, Mapping[str, tuple[float, float, int]]] | None = None) -> None:
        self._known: dict[tuple[str, str], Estimate] = {}
        for model, lanes in (record or {}).items():
            for lane, (mean, deviation, steps) in lanes.items():
                self._known[model, lane] = Estimate(_seconds(mean), _seconds(deviation), int(steps))
        self._models = {model for model, _ in self._known}

    def of(self, model: str, lane: str) -> Estimate | None:
        """What a step of ``model`` takes on ``lane``; ``None`` where none was taken yet."""
        return self._known.get((model, lane))

    def knows(self, model: str) -> bool:
        """Whether a step of ``model`` was taken on any lane."""
        return model in self._models

    def learn(self, model: str, lane: str, seconds: float, steps: int) -> None:
        """Takes in that ``steps`` steps took ``seconds`` together; of none, nothing is learned.

        Raises ``ValueError`` where the seconds are less than nothing.
        """
        if steps < 1:
            return
        known = self._known.get((model, lane))
        # the first measurement stands alone: half of it is taken for its deviation, as Jacobson does
        first = Estimate(_seconds(seconds) / steps, seconds / steps / 2, steps)
        self._known[model, lane] = first if known is None else known.after(_seconds(seconds), steps)
        self._models.add(model)

    def best(self, model: str, lanes: tuple[str, ...]) -> str:
        """The lane whose steps take least; one that was never tried counts as the fastest, so that it is; else the first named."""
        return min(lanes, key=lambda lane: 0.0 if (known := self.of(model, lane)) is None else known.mean)

    def plain(self) -> dict[str, dict[str, tuple[float, float, int]]]:
        """All of it in plain values, to be kept."""
        record: dict[str, dict[str, tuple[float, float, int]]] = {}
        for (model, lane), known in self._known.items():
            record.setdefault(model, {})[lane] = (known.mean, known.deviation, known.steps)
        return record


def _seconds(given: float) -> float:
    if not (given >= 0 and math.isfinite(given)):
        raise ValueError(f"cost: expected seconds of 0 or more, got {given!r}")
    return float(given)
