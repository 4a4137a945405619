"""Budgets: what a piece of work may use, and how much of it can be begun in what is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from .cost import Estimate


class EnergyClass(IntEnum):
    """What a job may do to a battery; on external power all are alike.

    ``NONE`` waits for external power. ``LOW`` may use a tenth of one processor's time on battery, ``NORMAL`` all of it.
    """

    NONE = 0
    LOW = 1
    NORMAL = 2

    @property
    def duty(self) -> float:
        """The part of one processor's time that it may use on battery."""
        return {EnergyClass.NONE: 0.0, EnergyClass.LOW: 0.1, EnergyClass.NORMAL: 1.0}[self]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a job has used so far: ``seconds`` in which it worked, and ``steps``."""

    seconds: float = 0.0
    steps: int = 0

    def and_more(self, seconds: float, steps: int) -> Spent:
        """This and what was used since."""
        if not (seconds or steps):
            return self
        return Spent(self.seconds + seconds, self.steps + steps)


NOTHING_SPENT = Spent()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a budget at one moment: ``seconds`` and ``steps``, either may be infinite; never below zero."""

    seconds: float = math.inf
    steps: float = math.inf

    @property
    def exhausted(self) -> bool:
        """Whether nothing can be begun any more."""
        return self.seconds <= 0 or self.steps < 1


EVERYTHING = Allowance()


@dataclass(frozen=True, slots=True)
class Budget:
    """What a job may use; of several bounds the tightest holds. Without any, it may go on for ever.

    ``deadline``  the moment, in seconds on the scheduler's clock, at which it has stopped: time that it waits counts.
    ``seconds``   of work; time that it waits does not count.
    ``steps``     how many.

    A budget is never restarted: what was spent before an interruption is spent. Raises ``ValueError`` for less than nothing.
    """

    deadline: float = math.inf
    seconds: float = math.inf
    steps: float = math.inf
    energy: EnergyClass = EnergyClass.NORMAL

    def __post_init__(self) -> None:
        if not isinstance(self.deadline, (int, float)) or math.isnan(self.deadline):
            raise ValueError(f"budget: deadline: expected seconds on the scheduler's clock, got {self.deadline!r}")
        for name in ("seconds", "steps"):
            bound = getattr(self, name)
            if not (isinstance(bound, (int, float)) and bound >= 0):
                raise ValueError(f"budget: {name}: expected 0 or more, got {bound!r}")
        if self.energy not in EnergyClass.__members__.values():
            raise ValueError(f"budget: energy: expected one of {', '.join(EnergyClass.__members__)}, got {self.energy!r}")
        object.__setattr__(self, "energy", EnergyClass(self.energy))

    def within(self, other: Budget) -> Budget:
        """What holds for work that is part of other work: of each bound the tighter one."""
        return Budget(
            min(self.deadline, other.deadline),
            min(self.seconds, other.seconds),
            min(self.steps, other.steps),
            min(self.energy, other.energy),
        )

    def left(self, spent: Spent, now: float) -> Allowance:
        """What may still be used at ``now``, when ``spent`` has been."""
        if self.seconds == self.deadline == self.steps == math.inf:
            return EVERYTHING
        return Allowance(max(0.0, min(self.seconds - spent.seconds, self.deadline - now)), max(0.0, self.steps - spent.steps))


def steps_that_fit(allowance: Allowance, step: Estimate | None, reserve: float = 0.0) -> float:
    """How many steps can be begun so that all of them, and ``reserve`` seconds after them, end within the allowance.

    ``step`` is what one takes; ``None`` where nobody knows yet: then it is one, if anything is left, for only a step that
    is taken tells. Infinite where nothing bounds it.
    """
    if allowance.exhausted:
        return 0
    if math.isinf(allowance.seconds):
        return math.floor(allowance.steps) if math.isfinite(allowance.steps) else math.inf
    if step is None:
        return 1
    left = allowance.seconds - reserve
    if left < step.at_most(1):
        return 0
    # at_most(n) = n m + d sqrt(n) <= left is a quadratic in sqrt(n)
    mean, spread = max(step.mean, 1e-9), step.margin
    root = (-spread + math.sqrt(spread * spread + 4 * mean * left)) / (2 * mean)
    return min(math.floor(allowance.steps) if math.isfinite(allowance.steps) else math.inf, max(1, math.floor(root * root)))
