"""Branches and loops: blocks of nodes run in order on values that they may write again.

Source: the comments on BranchLayerParams, LoopLayerParams, LoopBreakLayerParams, LoopContinueLayerParams and
CopyLayerParams in the Core ML format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import numpy as np

from tailor.kernels import Array, Shape

from ..errors import MLModelError
from .graph import Branch, Jump, Loop, Node
from .step import Stop, answers, foretold, look, missing

MOST_TURNS = 1 << 24
"""Turns of one run of a loop, at most: one that goes on would never end."""

ZERO = 1e-6
"""What is nearer to 0 than this is false."""


def inside(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """``nodes`` and those in their blocks, all the way down."""
    for node in nodes:
        yield node
        if isinstance(node.control, (Branch, Loop)):
            for block in node.control.blocks:
                yield from inside(block)


class Run:
    """One run of a control node on ``values``, by the names that its blocks use; they are changed in place.

    ``weights``: the arrays of the node's parameters, by key.
    """

    def __init__(self, values: dict[str, Array], weights: Mapping[str, Array], stop: Stop | None) -> None:
        self.values = values
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
        try:
            inputs = [values[name] for name in node.inputs]
        except KeyError:
            raise missing(node, values) from None
        weights = [self._weights[key] for key in node.parameters]
        shapes = tuple(x.shape for x in inputs)
        if self._checked.get(id(node)) != shapes:
            foretold(node, op, shapes, weights)
            self._checked[id(node)] = shapes
        made = answers(node, op, inputs, weights, node.attributes)
        values.update(zip(node.outputs, made if len(node.outputs) != 1 else (made,), strict=True))
