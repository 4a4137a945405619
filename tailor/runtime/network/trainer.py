"""Gradient descent on a graph's parameters: one mini-batch a step, shared out over a team."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    ``weight``: what it counts, among several.
    """

    kind: Literal["cross entropy", "squared error"]
    value: str
    start: str
    weight: float = 1.0

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
        gradient = (gradient / total).reshape(values[self.start].shape)
        if self.weight == 1.0:
            return losses.astype(np.float64), gradient
        return losses.astype(np.float64) * self.weight, gradient * gradient.dtype.type(self.weight)


@dataclass(frozen=True, slots=True)
class Clip:
    """What keeps gradients small: first each number to -value...value, then all of them together to a length of ``norm``."""

    value: float | None = None
    norm: float | None = None

    def apply(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """The gradients, clipped; the ones given stay as they are."""
        found = dict(gradients)
        if self.value is not None:
            found = {key: np.clip(g, -self.value, self.value) for key, g in found.items()}
        if self.norm is not None:
            # in the order of names, which is the same for who goes on from a checkpoint
            length = float(sum(np.sum(np.square(found[key], dtype=np.float64)) for key in sorted(found))) ** 0.5
            if length > self.norm:
                found = {key: g * g.dtype.type(self.norm / length) for key, g in found.items()}
        return found


ADDED, EXAMPLES = "/added", "/examples"
"""Slots while a step waits: by parameter the sum of its gradients so far, and of how many examples."""


class Trainer:
    """Parameters that learn, and the state of the optimizer: ``parameters``, ``slots``, ``steps``, all plain.

    ``parameters``  arrays of its own, by name, changed in place by ``step``.
    ``slots``       what the optimizer remembers, by name; made at the first step. While a step waits, also what it waits with.
    ``steps``       how many steps the optimizer has taken.

    Of several losses the sum is made small. ``clip``: what keeps gradients small. ``constants``: see ``Plans``.

    Raises ``MLUpdateError`` where a layer between the loss and a parameter that learns has no gradient.
    """

    def __init__(
        self,
        graph: Graph,
        losses: Sequence[Loss],
        trainable: Collection[str],
        team: Team,
        clip: Clip = Clip(),
        constants: Mapping[str, Array] | None = None,
    ) -> None:
        needed = graph.towards(*dict.fromkeys(name for loss in losses for name in (loss.value, loss.start)))
        self.parameters = {key: np.array(array, order="C", like=array) for key, array in graph.parameters.items() if key in trainable}
        self.graph = replace(needed, parameters={key: self.parameters.get(key, array) for key, array in needed.parameters.items()})
        self.slots: dict[str, Array] = {}
        self.steps = 0
        self.losses = tuple(losses)
        self.clip = clip
        self.team = team
        self.plans = Plans(self.graph, learns=self.parameters.keys(), constants=constants)
        for loss in losses:
            check_way_back(self.graph, loss.start, self.parameters.keys())

    def plan(self, tensors: Tensors) -> Plan:
        """The plan for the first example's shapes; see ``make_plan`` for what it raises."""
        return self.plans.plan({name: np.shape(tensors[name][0]) for name in self.graph.inputs})

    def step(self, tensors: Tensors, targets: Sequence[Array], optimizer: SGD | Adam, waits: bool = False) -> Array:
        """Learns from N examples; their losses before the step, float64 ``[N]``.

        ``targets``, one a loss: int64 ``[N]`` (cross entropy) or float32 ``[N, elements]`` (squared error). ``waits``: gradients are
        only kept; the next step that does not wait is one by the mean gradient of all examples since the last.
        Raises ``MLUpdateError`` where a loss or a gradient is not finite, and ``MLPredictionCancelledError`` where
        ``stopping`` says so before all gradients are there; nothing has changed then. Also where the step itself makes a parameter
        infinite, which cannot be taken back.
        """
        losses, sums = self._mean_gradients(tensors, targets)
        if waits or EXAMPLES in self.slots:
            sums = self._with_those_kept(sums, len(losses), keep=waits)
        if not waits:
            self._advance(self.clip.apply(sums), optimizer)
        return losses

    def _mean_gradients(self, tensors: Tensors, targets: Sequence[Array]) -> tuple[Array, dict[str, Array]]:
        """The losses of the examples, and the gradients of their mean, all of which are finite."""
        total = len(targets[0])
        stop = asked_to_stop()
        work = portions(self.plans, tensors, total)
        losses = np.empty(total)
        sums: dict[str, Array] = {}
        own: set[str] = set()  # sums that are no op's answer, and so may be added to in place

        def learn(number: int) -> dict[str, Array]:
            portion = work[number]
            losses[portion.at], found = self._learn(portion, [target[portion.at] for target in targets], total, stop)
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

        self.team.each(learn, len(work), take)
        check_finite("gradients", sums)
        return losses, sums

    def _with_those_kept(self, means: Mapping[str, Array], total: int, *, keep: bool) -> dict[str, Array]:
        """The mean gradients of ``total`` examples, with those of the examples kept before; to ``keep``, goes on to wait with them."""
        kept = {key.removesuffix(ADDED): g for key, g in self.slots.items() if key.endswith(ADDED)}
        count = total + int(self.slots.get(EXAMPLES, np.zeros(1))[0])
        sums = kept | {key: g * g.dtype.type(total) + kept.get(key, g.dtype.type(0)) for key, g in means.items()}
        self.slots = {key: slot for key, slot in self.slots.items() if key != EXAMPLES and not key.endswith(ADDED)}
        if keep:
            self.slots |= {f"{key}{ADDED}": g for key, g in sums.items()} | {EXAMPLES: np.array([count])}
        return {key: g / g.dtype.type(count) for key, g in sums.items()}

    def _learn(self, portion: Portion, targets: Sequence[Array], total: int, stop: Stop | None) -> tuple[Array, dict[str, Array]]:
        tape = Tape(self.parameters.keys())
        losses, starts = self._compared(portion.run(tape, stop), targets, total, portion.at.start)
        check_losses(losses, portion.at.start)
        return losses, gradients(tape, starts, stop)

    def held(self) -> tuple[dict[str, Array], dict[str, Array], int]:
        """Copies, here, of the parameters and the slots, and the number of steps."""
        parameters = {key: array.copy() for key, array in self.parameters.items()}
        return parameters, {key: slot.copy() for key, slot in self.slots.items()}, self.steps

    def judge(self, tensors: Tensors, targets: Sequence[Array]) -> tuple[Array, list[Array]]:
        """What N examples come to, and nothing learned from them: their losses as ``step`` gives them, and for each loss the place
        of the largest number of its value, int64 ``[N]``: of cross entropy the most probable class. Raises as ``step`` does.
        """
        stop = asked_to_stop()
        work = portions(self.plans, tensors, len(targets[0]))
        losses = np.empty(len(targets[0]))
        largest = [np.empty(len(losses), np.int64) for _ in self.losses]

        def look(number: int) -> None:
            portion = work[number]
            values = portion.run(stop=stop)
            losses[portion.at], _ = self._compared(values, [target[portion.at] for target in targets], 1, portion.at.start)
            check_losses(losses[portion.at], portion.at.start)
            for loss, places in zip(self.losses, largest, strict=True):
                places[portion.at] = values[loss.value].reshape(len(places[portion.at]), -1).argmax(axis=1)

        self.team.each(look, len(work), lambda _: None)
        return losses, largest

    def _compared(self, values: Mapping[str, Array], targets: Sequence[Array], total: int, first: int) -> tuple[Array, dict[str, Array]]:
        """The losses of examples from number ``first`` on, and the gradients of their sum over ``total`` where the way back starts."""
        starts: dict[str, Array] = {}
        losses = np.zeros(len(targets[0]), like=targets[0])
        try:
            with quiet():
                for loss, target in zip(self.losses, targets, strict=True):
                    own, gradient = loss.judge(values, target, total)
                    losses = losses + own
                    starts[loss.start] = starts[loss.start] + gradient if loss.start in starts else gradient
        except ValueError as error:  # an example whose shape makes another number of values than the first one's did
            raise MLUpdateError(str(error)).of_example(first) from error
        return losses, starts

    def _advance(self, sums: Mapping[str, Array], optimizer: SGD | Adam) -> None:
        """The optimizer's step. It treats elements one by one, so any way of sharing them out gives the same bits."""
        if self.steps == 0:
            self.slots = optimizer.init(self.parameters)
        longest = max((array.size for array in sums.values()), default=0)
        flat = [{key: array.reshape(-1) for key, array in group.items()} for group in (self.parameters, sums, self.slots)]

        def advance(number: int) -> None:
            span = slice(number * SPAN, (number + 1) * SPAN)
            parameters, gradient, slots = ({key: array[span] for key, array in group.items() if array.size > span.start} for group in flat)
            with quiet():
                optimizer.step(parameters, gradient, slots, self.steps + 1)
            check_finite("parameters after the step", {key: parameters[key] for key in gradient})

        self.team.each(advance, -(-longest // SPAN), lambda _: None)
        self.steps += 1


def check_losses(losses: Array, first: int = 0) -> None:
    """Raises ``MLUpdateError`` naming the example whose loss is not finite; ``first``: the number of the first."""
    if not np.isfinite(losses).all():
        row = int(np.flatnonzero(~np.isfinite(losses))[0])
        raise MLUpdateError(f"expected a finite loss, got {losses[row]}").of_example(first + row)


def check_finite(what: str, arrays: Mapping[str, Array]) -> None:
    """Raises ``MLUpdateError`` naming the array that has a number which is not finite."""
    for key, array in arrays.items():
        if not np.isfinite(array).all():
            raise MLUpdateError(f"expected finite {what}, got {array[~np.isfinite(array)].flat[0]} for {key!r}")
