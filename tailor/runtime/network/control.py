"""Branches and loops: blocks of nodes run in order on values that they may write again.

Source: the comments on BranchLayerParams, LoopLayerParams, LoopBreakLayerParams, LoopContinueLayerParams and
CopyLayerParams in the Core ML format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from tailor.kernels import Array, Attributes, Op, Shape

from ..errors import MLModelError
from .backward import Tape, Within
from .graph import Branch, Jump, Loop, Node
from .step import Stop, answers, foretold, look, missing

MOST_TURNS = 1 << 24
"""Turns of one run of a loop, at most: one that goes on would never end."""

ZERO = 1e-6
"""What is nearer to 0 than this is false."""


class Run:
    """Runs of a node in a scope of its own: ``values`` by the names in there, changed in place, and the ``tape`` of one run.

    ``weights``: the arrays of the node's parameters, by key.
    """

    def __init__(self, weights: Mapping[str, Array], stop: Stop | None) -> None:
        self.values: dict[str, Array] = {}
        self.tape: Tape | None = None
        self._weights = weights
        self._stop = stop
        self._checked: dict[int, tuple[Shape, ...]] = {}  # by node: the input shapes that were seen to fit last

    def node(self, node: Node) -> Jump | None:
        """Runs ``node``; what is to be left early, if it says so."""
        if self._stop is not None:
            look(self._stop, node)
        control = node.control
        if control is None:
            self._compute(node)
            return None
        if isinstance(control, Branch):
            return self._block(control.then if self._true(node, control.condition) else control.otherwise)
        if isinstance(control, Loop):
            return self._loop(node, control)
        return control

    def _block(self, nodes: tuple[Node, ...]) -> Jump | None:
        for node in nodes:
            jump = self.node(node)
            if jump is not None:
                return jump
        return None

    def _loop(self, node: Node, loop: Loop) -> Jump | None:
        most = self._turns(node, loop)
        for turn in count():
            if most is not None and turn >= most and not loop.condition:
                break
            jump = self._block(loop.condition)
            if jump is not None:
                return jump  # meant for the loop around this one
            if (loop.condition and not self._true(node, loop.variable)) or (most is not None and turn >= most):
                break
            if turn >= MOST_TURNS:
                raise MLModelError(f"{node.who}: expected it to end within {MOST_TURNS} turns, got one that goes on")
            if self._block(loop.body) is Jump.BREAK:
                break
        return None

    def _turns(self, node: Node, loop: Loop) -> int | None:
        if not loop.count:
            return loop.most
        turns = self._scalar(node, loop.count)
        if not np.isfinite(turns):
            raise MLModelError(f"{node.who}: expected a number of turns in {loop.count!r}, got {turns}")
        return max(0, int(turns))

    def _true(self, node: Node, name: str) -> bool:
        return not abs(self._scalar(node, name)) <= ZERO

    def _scalar(self, node: Node, name: str) -> float:
        value = self.values.get(name)
        if value is None:
            raise MLModelError(f"{node.who}: expected a value {name!r}, got a block that did not make it")
        if value.size != 1:
            raise MLModelError(f"{node.who}: expected one number in {name!r}, got shape {list(value.shape)}")
        return float(value.reshape(()))

    def _compute(self, node: Node) -> None:
        op, values = node.op, self.values
        assert op is not None  # the plan has looked
        inputs = taken(node, values)
        weights = [self._weights[key] for key in node.parameters]
        shapes = tuple(x.shape for x in inputs)
        if self._checked.get(id(node)) != shapes:
            foretold(node, op, shapes, weights)
            self._checked[id(node)] = shapes
        compute(node, op, inputs, weights, node.attributes, values, self.tape)


def run_within(
    node: Node, weights: Sequence[Array], values: Mapping[str, Any], examples: int | None, tape: Tape | None, stop: Stop | None
) -> dict[str, Any]:
    """What ``node`` makes, run in a scope of its own on some of ``values``.

    ``examples``: so many one by one, each in a scope of its own; values are columns of them then, those made are lists,
    with ``None`` where a block has not made one.
    """
    control = node.control
    inner = (control.takes, control.makes) if isinstance(control, (Branch, Loop)) else (node.inputs, node.outputs)
    takes, makes = dict(zip(inner[0], node.inputs, strict=True)), dict(zip(inner[1], node.outputs, strict=True))
    columns = {name: values[value] for name, value in takes.items() if value in values}
    run = Run(dict(zip(node.parameters, weights, strict=True)), stop)
    ends: list[dict[str, Array]] = []
    tapes: list[Tape] = []
    for place in range(1 if examples is None else examples):
        rows = columns if examples is None else {name: column[place] for name, column in columns.items()}
        run.values = {name: np.asarray(row) for name, row in rows.items() if row is not None}
        if tape is not None:
            run.tape = tape.inner(takes)
            tapes.append(run.tape)
        run.node(node)
        ends.append({name: run.values[name] for name in makes if name in run.values})
    if tape is not None:
        tape.keep(Within(node, takes, makes, tapes, examples is not None))
    if examples is None:
        return {makes[name]: value for name, value in ends[0].items()}
    return {value: [end.get(name) for end in ends] for name, value in makes.items() if any(name in end for end in ends)}


def taken(node: Node, values: Mapping[str, Array]) -> list[Array]:
    """What ``node`` takes. Raises ``MLModelError`` naming the layer where a block did not make it."""
    try:
        return [values[name] for name in node.inputs]
    except KeyError:
        raise missing(node, values) from None


def compute(
    node: Node,
    op: Op,
    inputs: Sequence[Array],
    weights: Sequence[Array],
    attributes: Attributes,
    values: dict[str, Array],
    tape: Tape | None,
) -> None:
    """Puts what ``op`` answers into ``values``, and the run on the ``tape``."""
    made = answers(node, op, inputs, weights, attributes)
    values.update(zip(node.outputs, made if isinstance(made, tuple) else (made,), strict=True))
    if tape is not None:
        tape.add(node, op, inputs, weights, made, attributes)
