"""Gradient descent on a graph's parameters: one mini-batch a step, shared out over a team."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tailor.kernels import (
    SGD,
    Adam,
    Array,
    categorical_cross_entropy,
    mean_squared_error,
    mean_squared_error_gradient,
    softmax_cross_entropy_gradient,
)

from ..errors import MLUpdateError
from .backward import Tape, check_way_back, gradients
from .graph import Graph
from .plan import Plan, Plans
from .portions import Portion, Tensors, portions
from .step import Stop, asked_to_stop, quiet
from .team import Team

SPAN = 1 << 16
"""Elements of the parameters that one member of the team takes through the optimizer at a time."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What is made small: ``value`` against a target; its gradient begins at ``start``.

    ``"cross entropy"``: ``value`` is the softmax of ``start``, the target a class index an example; both gradients are
    taken in one, p - onehot. ``"squared error"``: ``start`` is ``value``, the target has as many elements as it.
    """

    kind: Literal["cross entropy", "squared error"]
    value: str
    start: str

    def judge(self, values: Mapping[str, Array], targets: Array, total: int) -> tuple[Array, Array]:
        """Each example's loss (float64 ``[N]``), and the gradient of their sum over ``total`` at ``start``."""
        y = values[self.value]
        rows = y.reshape(len(targets), -1)
        if self.kind == "cross entropy":
            losses = categorical_cross_entropy(rows, targets)
            gradient = softmax_cross_entropy_gradient(rows, targets)
        else:
            losses = mean_squared_error(rows, targets)
            gradient = mean_squared_error_gradient(rows, targets)
        return losses.astype(np.float64), (gradient / total).reshape(values[self.start].shape)


class Trainer:
    """Parameters that learn, and the state of the optimizer: ``parameters``, ``slots``, ``steps``, all plain.

    ``parameters``  arrays of its own, by name, changed in place by ``step``.
    ``slots``       what the optimizer remembers, by name; made at the first step.
    ``steps``       how many steps have been taken.

    Raises ``MLUpdateError`` where a layer between the loss and a parameter that learns has no gradient.
    """

    def __init__(self, graph: Graph, loss: Loss, trainable: Collection[str], team: Team) -> None:
        needed = graph.towards(*dict.fromkeys((loss.value, loss.start)))
        self.parameters = {key: np.array(array, order="C") for key, array in graph.parameters.items() if key in trainable}
        self.graph = replace(needed, parameters={key: self.parameters.get(key, array) for key, array in needed.parameters.items()})
        self.slots: dict[str, Array] = {}
        self.steps = 0
        self._loss = loss
        self._team = team
        self._plans = Plans(self.graph, learns=self.parameters.keys())
        check_way_back(self.graph, loss.start, self.parameters.keys())

    def plan(self, tensors: Tensors) -> Plan:
        """The plan for the first example's shapes; see ``make_plan`` for what it raises."""
        return self._plans.plan({name: np.shape(tensors[name][0]) for name in self.graph.inputs})

    def step(self, tensors: Tensors, targets: Array, optimizer: SGD | Adam) -> Array:
        """Learns from ``len(targets)`` examples; their losses before the step, float64 ``[N]``.

        ``targets``: int64 ``[N]`` (cross entropy) or float32 ``[N, elements]`` (squared error).
        Raises ``MLUpdateError`` where a loss or a gradient is not finite, and ``MLPredictionCancelledError`` where
        ``stopping`` says so before all gradients are there; nothing has changed then.
        """
        total = len(targets)
        stop = asked_to_stop()
        work = portions(self._plans, tensors, total)
        losses = np.empty(total)
        sums: dict[str, Array] = {}
        own: set[str] = set()  # sums that are no op's answer, and so may be added to in place

        def learn(number: int) -> dict[str, Array]:
            portion = work[number]
            losses[portion.at], found = self._learn(portion, targets[portion.at], total, stop)
            return found

        def take(found: dict[str, Array]) -> None:
            for key, gradient in found.items():
                if key in own:
                    sums[key] += gradient
                elif key in sums:
                    sums[key] = sums[key] + gradient
                    own.add(key)
                else:
                    sums[key] = gradient

        self._team.each(learn, len(work), take)
        for key, gradient in sums.items():
            if not np.isfinite(gradient).all():
                raise MLUpdateError(f"expected finite gradients, got {gradient[~np.isfinite(gradient)].flat[0]} for {key!r}")
        self._advance(sums, optimizer)
        return losses

    def _learn(self, portion: Portion, targets: Array, total: int, stop: Stop | None) -> tuple[Array, dict[str, Array]]:
        tape = Tape(self.parameters.keys())
        values = portion.run(tape, stop)
        try:
            with quiet():
                losses, gradient = self._loss.judge(values, targets, total)
        except ValueError as error:  # an example whose shape makes another number of values than the first one's did
            raise MLUpdateError(str(error)).of_example(portion.at.start) from error
        if not np.isfinite(losses).all():
            row = int(np.flatnonzero(~np.isfinite(losses))[0])
            raise MLUpdateError(f"expected a finite loss, got {losses[row]}").of_example(portion.at.start + row)
        return losses, gradients(tape, self._loss.start, gradient, stop)

    def _advance(self, sums: Mapping[str, Array], optimizer: SGD | Adam) -> None:
        """The optimizer's step. It treats elements one by one, so any way of sharing them out gives the same bits."""
        if self.steps == 0:
            self.slots = optimizer.init(self.parameters)
        longest = max((array.size for array in sums.values()), default=0)
        flat = [{key: array.reshape(-1) for key, array in group.items()} for group in (self.parameters, sums, self.slots)]

        def advance(number: int) -> None:
            span = slice(number * SPAN, (number + 1) * SPAN)
            parameters, gradient, slots = ({key: array[span] for key, array in group.items() if array.size > span.start} for group in flat)
            optimizer.step(parameters, gradient, slots, self.steps + 1)

        self._team.each(advance, -(-longest // SPAN), lambda _: None)
        self.steps += 1
