"""Columns of tensors cut into what one member of the team runs at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tailor.kernels import Array

from .backward import Tape
from .plan import Plan, Plans
from .step import Stop
from .team import pieces

Tensors: TypeAlias = Mapping[str, Array | Sequence[Array]]
"""By graph input: an array with a leading axis of examples, or a list of arrays where their shapes differ."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Examples ``at`` of the columns, with the plan that runs them: together (``stacked``), or one alone."""

    at: slice
    plan: Plan
    inputs: Mapping[str, Array]
    stacked: bool

    def run(self, tape: Tape | None = None, stop: Stop | None = None) -> dict[str, Array]:
        """``Plan.run`` for this portion."""
        return self.plan.run(self.inputs, stacked=self.stacked, tape=tape, stop=stop)


def portions(plans: Plans, tensors: Tensors, total: int) -> list[Portion]:
    """``total`` examples in portions: stacked where all shapes agree and every op can, else one by one."""
    columns = {name: _stacked(tensors[name]) for name in plans.graph.inputs}
    if all(isinstance(column, np.ndarray) for column in columns.values()) and total:
        plan = plans.plan({name: np.shape(column)[1:] for name, column in columns.items()})
        if plan.stackable and columns:
            return [
                Portion(at, plan, {name: np.asarray(column[at]) for name, column in columns.items()}, True)
                for at in pieces(total, plan.work)
            ]
    rows = [{name: np.asarray(column[row]) for name, column in columns.items()} for row in range(total)]
    return [Portion(slice(i, i + 1), plans.plan({name: x.shape for name, x in row.items()}), row, False) for i, row in enumerate(rows)]


def _stacked(column: Array | Sequence[Array]) -> Array | Sequence[Array]:
    """A list as one array where it can be."""
    if isinstance(column, np.ndarray) or not column or any(x.shape != column[0].shape for x in column):
        return column
    return np.stack(column)
