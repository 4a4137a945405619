"""Shapes that branches and loops leave behind, where they can be told before anything runs."""

from __future__ import annotations

from collections.abc import Mapping

from tailor.kernels import Array, Shape

from ..errors import MLModelError
from .graph import Branch, Loop, Node
from .step import foretold

Shapes = dict[str, Shape | None]
"""By name; ``None``: not told, or not made by every block that may run."""

DEPTH = 4
"""Blocks in blocks that are looked into: each loop around a block looks more than once."""

LOOKS = 3
"""How often a loop's body is looked at, at most, until what holds before a turn holds after it."""

TURNS = 16
"""Turns of a loop, taken roughly, where only values tell."""


def told(node: Node, known: Shapes, parameters: Mapping[str, Array]) -> tuple[Shapes, int]:
    """The shapes of what a branch or a loop makes, by the names inside, and its multiply-adds, very roughly.

    ``known``: those of what it takes. A layer that does not fit is no error before its block runs: it is not told.
    """
    look = _Look(parameters)
    known = dict(known)
    work = look.node(node, known, {}, DEPTH)
    return known, work


class _Look:
    """Runs nodes on shapes. ``writes``: all shapes that a name was given, for whoever cannot know the last of them."""

    def __init__(self, parameters: Mapping[str, Array]) -> None:
        self._parameters = parameters

    def node(self, node: Node, known: Shapes, writes: dict[str, set[Shape | None]], depth: int) -> int:
        control = node.control
        if isinstance(control, (Branch, Loop)) and not depth:
            self._give_up(node, known, writes)
            return 0
        if isinstance(control, Branch):
            return self._branch(control, known, writes, depth)
        if isinstance(control, Loop):
            return self._loop(control, known, writes, depth)
        made, work = self._op(node, known)
        known.update(made)
        for name, shape in made.items():
            writes.setdefault(name, set()).add(shape)
        return work

    def _op(self, node: Node, known: Shapes) -> tuple[Shapes, int]:
        shapes = [shape for name in node.inputs if (shape := known.get(name)) is not None]
        weights = [self._parameters[key] for key in node.parameters]
        if node.op is None or len(shapes) < len(node.inputs):
            return dict.fromkeys(node.outputs), 0
        try:
            made = foretold(node, node.op, shapes, weights)
        except MLModelError:  # an error only where it runs
            return dict.fromkeys(node.outputs), 0
        return made, node.op.work(*shapes, *(array.shape for array in weights), **node.attributes)

    def _branch(self, branch: Branch, known: Shapes, writes: dict[str, set[Shape | None]], depth: int) -> int:
        ends = []
        work = 0
        for block in branch.blocks:
            end = dict(known)
            work = max(work, sum(self.node(node, end, writes, depth - 1) for node in block))
            ends.append(end)
        for name in {**ends[0], **ends[1]}:
            both = {end.get(name) for end in ends}
            known[name] = both.pop() if len(both) == 1 else None
        return work

    def _loop(self, loop: Loop, known: Shapes, writes: dict[str, set[Shape | None]], depth: int) -> int:
        """A jump may leave a turn after any write: what a loop makes is told where every write keeps the shape from before it."""
        work = 0
        for _ in range(LOOKS):
            inner: dict[str, set[Shape | None]] = {}
            turn = dict(known)
            work = sum(self.node(node, turn, inner, depth - 1) for block in loop.blocks for node in block)
            for name, shapes in inner.items():
                writes.setdefault(name, set()).update(shapes)
            changed = {name for name, shapes in inner.items() if shapes != {known.get(name)}}
            if all(known.get(name) is None for name in changed):
                known.update(dict.fromkeys(changed))
                break
            known.update(dict.fromkeys(changed))
        else:
            known.update(dict.fromkeys(inner))
        return work * (loop.most or TURNS)

    def _give_up(self, node: Node, known: Shapes, writes: dict[str, set[Shape | None]]) -> None:
        control = node.control
        assert isinstance(control, (Branch, Loop))
        for one in (each for block in control.blocks for each in block):
            if isinstance(one.control, (Branch, Loop)):
                self._give_up(one, known, writes)
            for name in one.outputs:
                known[name] = None
                writes.setdefault(name, set()).add(None)
