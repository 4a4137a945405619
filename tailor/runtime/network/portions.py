"""Columns of tensors cut into what one member of the team runs at a time, run, and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tailor.kernels import Array

from .backward import Tape
from .crew import mates
from .plan import Plan, Plans
from .step import Stop, asked_to_stop
from .team import Team, pieces

Tensors: TypeAlias = Mapping[str, Array | Sequence[Array]]
"""By graph input: an array with a leading axis of examples, or a list of arrays where their shapes differ."""

_in_any_company: ContextVar[bool] = ContextVar("tailor_in_any_company", default=False)


@contextmanager
def in_any_company() -> Iterator[None]:
    """What is predicted inside has the same bits for an example whatever others come with it.

    They are those of a prediction of it alone. Compiled programs see to that; a product of stacked examples that BLAS makes may be
    added up otherwise than one alone, so plans that have more than programs take the examples one by one.
    """
    token = _in_any_company.set(True)
    try:
        yield
    finally:
        _in_any_company.reset(token)


def company_matters() -> bool:
    """Whether this is computed ``in_any_company``."""
    return _in_any_company.get()


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
    columns = {name: stacked(tensors[name]) for name in plans.graph.inputs}
    if all(isinstance(column, np.ndarray) for column in columns.values()) and total:
        plan = plans.plan({name: np.shape(column)[1:] for name, column in columns.items()})
        if plan.stackable and columns:
            apart = _in_any_company.get() and not plan.compiled
            return [
                Portion(at, plan, {name: np.asarray(column[at]) for name, column in columns.items()}, True)
                for at in ([slice(row, row + 1) for row in range(total)] if apart else pieces(total, plan.work))
            ]
    rows = [{name: np.asarray(column[row]) for name, column in columns.items()} for row in range(total)]
    return [Portion(slice(i, i + 1), plans.plan({name: x.shape for name, x in row.items()}), row, False) for i, row in enumerate(rows)]


def run_all(plans: Plans, tensors: Tensors, total: int, team: Team) -> dict[str, Array | list[Array]]:
    """The outputs of ``total`` examples, shared out over ``team``: by name, stacked where their shapes agree.

    Raises as ``Plans.plan`` and ``Plan.run`` do, and ``MLPredictionCancelledError`` where ``stopping`` says so.
    """
    work = portions(plans, tensors, total)
    answers: list[dict[str, Array]] = []
    stop = asked_to_stop()
    with mates(team.threads // max(1, len(work)) - 1):  # of several portions each member of the team has one
        if len(work) == 1 and work[0].plan.compiled:  # nobody in the team helps, and BLAS need not be held to one thread
            answers.append(work[0].run(stop=stop))
        else:
            team.each(lambda number: work[number].run(stop=stop), len(work), answers.append)
    stacked = [portion.stacked for portion in work]
    return {name: _joined([answer[name] for answer in answers], stacked) for name in plans.graph.outputs}


def _joined(parts: list[Array], stacked: list[bool]) -> Array | list[Array]:
    """The parts of a column in one: an array where shapes agree."""
    blocks = [part if whole else part[None] for part, whole in zip(parts, stacked, strict=True)]
    if len(blocks) == 1:
        return blocks[0]
    if not blocks or any(block.shape[1:] != blocks[0].shape[1:] for block in blocks):
        return [row for block in blocks for row in block]
    return np.concatenate(blocks)


def stacked(column: Array | Sequence[Array]) -> Array | Sequence[Array]:
    """A list as one array where it can be."""
    if isinstance(column, np.ndarray) or not column or any(x.shape != column[0].shape for x in column):
        return column
    return np.stack(column)
