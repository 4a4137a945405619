"""Who takes the turns in a simulation: what a job really takes of each, and what it does after."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from ..job import Job
from ..turn import Turn

Pace = Callable[[Job, str, int], float | None]
"""What a step of a job takes on a lane with so many threads, where its trace does not say; ``None``: nobody knows."""


class After(Enum):
    """What becomes of a job when its turn has ended."""

    ASKS = auto()
    DONE = auto()
    COMES_AGAIN = auto()
    """This launch was too short: it has ended, and the request is submitted anew."""
    NOT_DONE = auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is taken of a turn, if nothing comes between: ``steps``, in ``seconds``; ``each``: the seconds of one."""

    seconds: float
    steps: float
    each: float = 0.0


class Actor(Protocol):
    """A job's holder."""

    def plan(self, turn: Turn, cost_lane: str) -> Plan:
        """What is taken of a turn that begins; ``cost_lane``: the name that its lane's costs go by."""
        ...

    def cut(self, plan: Plan, elapsed: float) -> Plan:
        """What is taken when the turn is asked back ``elapsed`` seconds after it began."""
        ...

    def end(self, plan: Plan) -> After:
        """Takes in that a turn has ended with so much done."""
        ...


class Stepper:
    """Takes ``steps`` steps; gives its place back at the end of one, and begins none that might not end in time."""

    def __init__(self, job: Job, steps: float, seconds: float | Mapping[str, float] | Pace) -> None:
        self.steps = steps
        self._job = job
        self._seconds = seconds

    def plan(self, turn: Turn, cost_lane: str) -> Plan:
        """As many steps as it has left and as fit into the turn, at least one."""
        each = self._each(turn, cost_lane)
        steps = min(turn.steps, self.steps)
        if not each:
            return Plan(0.0, steps)
        if math.isfinite(turn.seconds):
            steps = min(steps, max(1, 1 + math.floor((turn.seconds - turn.step) / each)))
        return Plan(steps * each, steps, each)

    def cut(self, plan: Plan, elapsed: float) -> Plan:
        """To the end of the step at hand."""
        if plan.seconds <= elapsed or not 0 < plan.each < math.inf:
            return plan
        steps = max(1, math.ceil(elapsed / plan.each - 1e-9))
        return Plan(steps * plan.each, steps, plan.each) if steps < plan.steps else plan

    def end(self, plan: Plan) -> After:
        """Whether it needs another turn."""
        self.steps -= plan.steps
        return After.DONE if self.steps <= 0 else After.ASKS

    def _each(self, turn: Turn, cost_lane: str) -> float:
        if isinstance(self._seconds, Mapping):
            return self._seconds.get(cost_lane, self._seconds[turn.lane])
        if callable(self._seconds):
            known = self._seconds(self._job, turn.lane, turn.threads)
            # who goes on for ever without taking any time would let none pass
            return math.inf if known is None or (not known and math.isinf(self.steps)) else known
        return self._seconds


class Launched:
    """The handler of a background request, which works for ``seconds`` in all, and for at most ``most`` of them in a launch."""

    def __init__(self, seconds: float, most: float, again: bool) -> None:
        self._left = seconds
        self._most = most
        self._again = again

    def plan(self, turn: Turn, cost_lane: str) -> Plan:
        """To its end, or until its time is up."""
        return Plan(min(self._left, self._most), 1)

    def cut(self, plan: Plan, elapsed: float) -> Plan:
        """No further: the launch counts for nothing, and there will be another."""
        return Plan(elapsed, 0) if elapsed < plan.seconds else plan

    def end(self, plan: Plan) -> After:
        """Whether the request is to be launched again."""
        self._left -= plan.seconds
        if not plan.steps:
            return After.ASKS
        if self._left <= 1e-9:
            return After.DONE
        return After.COMES_AGAIN if self._again else After.NOT_DONE
