"""The reverse pass: gradients of a loss with respect to the parameters that learn, and nothing else.

While a plan runs, a ``Tape`` keeps what gradients will pass back through, turn by turn and example by example; then it is
read from its end. Blocks may write a name again: a gradient under a name is that of the value that the name had then,
so the op that wrote it takes it away.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tailor.kernels import Array, Attributes, Op

from ..errors import MLUpdateError
from .graph import Branch, Graph, Loop, Node, inside
from .step import Stop, look, quiet

Column: TypeAlias = Array | list[Array | None]
"""Of one example, or of several: stacked, or a list where shapes differ or some have none."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of an op; ``needs`` says of each input, then each weight, whether its gradient is wanted."""

    node: Node
    op: Op
    arrays: tuple[Array, ...]
    made: Any
    attributes: Attributes
    needs: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """What ran in scopes of their own, one an example if ``apart``. ``takes``, ``makes``: the names outside, by those inside."""

    node: Node
    takes: Mapping[str, str]
    makes: Mapping[str, str]
    tapes: Sequence[Tape]
    apart: bool


class Tape:
    """What has run, as far as gradients pass back through it.

    ``trainable``  keys of the parameters that learn.
    ``learns``     names of the values, as they are now, that depend on one of them by a gradient.
    """

    def __init__(self, trainable: Collection[str], learns: Iterable[str] = ()) -> None:
        self.trainable = trainable
        self.learns = set(learns)
        self.steps: list[Ran | Within] = []

    def add(self, node: Node, op: Op, inputs: Sequence[Array], weights: Sequence[Array], made: Any, attributes: Attributes) -> None:
        """Keeps a run of ``op``, if a gradient passes back through it: one that has none is flat almost everywhere."""
        needs = (*(name in self.learns for name in node.inputs), *(key in self.trainable for key in node.parameters))
        if any(needs) and op.backward is not None:
            self.learns.update(node.outputs)
            self.steps.append(Ran(node, op, (*inputs, *weights), made, attributes, needs))
        else:
            self.learns.difference_update(node.outputs)

    def inner(self, takes: Mapping[str, str]) -> Tape:
        """An empty tape for a scope that takes these values; ``keep`` it when it has run."""
        return Tape(self.trainable, (name for name, value in takes.items() if value in self.learns))

    def keep(self, within: Within) -> None:
        """Keeps what ran in scopes of their own."""
        self.learns.update(value for name, value in within.makes.items() if any(name in tape.learns for tape in within.tapes))
        self.steps.append(within)

    def back(self, arriving: dict[str, Column], found: dict[str, Array], stop: Stop | None = None) -> None:
        """Takes the gradients ``arriving``, by value, back to where the tape began; adds those of parameters to ``found``.

        Uses the tape up, and so lets go of what it kept. Raises ``MLPredictionCancelledError`` where ``stop`` is true.
        """
        while self.steps:
            step = self.steps.pop()
            if stop is not None:
                look(stop, step.node)
            if isinstance(step, Ran):
                _through(step, arriving, found)
            else:
                _into(step, arriving, found, stop)


def gradients(tape: Tape, starts: Mapping[str, Array], stop: Stop | None = None) -> dict[str, Array]:
    """Gradients by parameter, given those at the values ``starts``; uses up the ``tape`` of the run that made them."""
    found: dict[str, Array] = {}
    with quiet():
        tape.back(dict(starts), found, stop)
    return found


def _through(ran: Ran, arriving: dict[str, Column], found: dict[str, Array]) -> None:
    """Back through one op."""
    node, made = ran.node, ran.made
    given: Any
    if isinstance(made, tuple):
        given = tuple(_stacked(arriving.pop(name, None), y) for name, y in zip(node.outputs, made, strict=True))
        if all(g is None for g in given):
            return
    else:
        given = _stacked(arriving.pop(node.outputs[0], None), made)
        if given is None:
            return
    assert ran.op.backward is not None  # or it would not be on the tape
    answers = ran.op.backward(given, made, *ran.arrays, needs=ran.needs, **ran.attributes)
    inputs = len(node.inputs)
    for name, answer, need in zip(node.inputs, answers[:inputs], ran.needs, strict=False):
        if need and answer is not None:
            arriving[name] = _sum(arriving.get(name), answer)
    for key, answer, need in zip(node.parameters, answers[inputs:], ran.needs[inputs:], strict=True):
        if need and answer is not None:
            found[key] = answer if key not in found else found[key] + answer


def _into(within: Within, arriving: dict[str, Column], found: dict[str, Array], stop: Stop | None) -> None:
    """Back through scopes of their own, in the order of the examples."""
    given = {name: arriving.pop(value) for name, value in within.makes.items() if value in arriving}
    if not given:
        return
    ends: list[dict[str, Column]] = []
    for place, tape in enumerate(within.tapes):
        own = {name: column[place] if within.apart else column for name, column in given.items()}
        ends.append({name: g for name, g in own.items() if g is not None})
        tape.back(ends[-1], found, stop)
    for name, value in within.takes.items():
        parts: list[Any] = [end.get(name) for end in ends]
        if any(part is not None for part in parts):
            arriving[value] = _sum(arriving.get(value), parts if within.apart else parts[0])


def _stacked(column: Column | None, y: Array) -> Array | None:
    """A column as one array, like ``y``."""
    if not isinstance(column, list):
        return column
    return np.stack([np.zeros_like(like) if row is None else row for row, like in zip(column, y, strict=True)])


def _sum(a: Any, b: Any) -> Any:
    """The sum of gradients of a value that is used more than once; never in place, for ops may answer with one array twice."""
    if a is None or b is None:
        return b if a is None else a
    if not isinstance(a, list) and not isinstance(b, list):
        return a + b
    return [_sum(*rows) for rows in zip(a, b, strict=True)]


Edge: TypeAlias = tuple[Node | None, set[Hashable], set[Hashable]]
"""What a node makes of what; ``None``: a value that has another name inside a block."""


def check_way_back(graph: Graph, start: str, trainable: Collection[str]) -> None:
    """Sees to it that gradients at the value ``start`` reach the parameters ``trainable`` that it depends on.

    Raises ``MLUpdateError`` naming the layers that let none through, and a custom layer on the way that gives none.
    """
    for message in stuck_gradients(graph, start, trainable).values():
        raise MLUpdateError(message)


def stuck_gradients(graph: Graph, start: str, trainable: Collection[str]) -> dict[str, str]:
    """Those keys among ``trainable`` that gradients at ``start`` do not reach, although it depends on them; each with the reason."""
    edges = list(_edges(graph.needed((start,)), trainable))
    reached = _closure([(to, of) for node, of, to in reversed(edges) if _passes(node)], {start})
    owed = any(_owes(node) for node, _, _ in edges)
    found: dict[str, str] = {}
    for key in trainable:
        if ("", key) in reached and not owed:
            continue
        depending = _closure([(of, to) for _, of, to in edges], {("", key)})
        if start not in depending:
            continue
        between = [node for node, of, to in edges if not _passes(node) and of & depending and to & reached]
        stuck = [node for node in between if _owes(node)] or ([] if ("", key) in reached else between)
        if stuck:
            names = dict.fromkeys(f"layer {node.name!r} of kind {node.kind!r}" for node in stuck if node)
            found[key] = (
                f"{', '.join(names)}: expected a layer that gradients pass through, because {key!r} learns before it, "
                "got one that has no gradient"
            )
    return found


def _passes(node: Node | None) -> bool:
    return node is None or (node.op is not None and node.op.backward is not None)


def _owes(node: Node | None) -> bool:
    """Whether gradients should pass, but nobody has said how."""
    return node is not None and node.control is None and not _passes(node) and (node.op is None or node.kind.startswith("custom."))


def _edges(nodes: tuple[Node, ...], trainable: Collection[str]) -> Iterator[Edge]:
    """What makes what. Values are names, in blocks with the place of the outermost node; parameters are keys with ``""``."""
    for place, node in enumerate(nodes):
        control = node.control
        if not isinstance(control, (Branch, Loop)):
            yield node, {*node.inputs, *(("", key) for key in node.parameters if key in trainable)}, set(node.outputs)
            continue
        for name, value in zip(control.takes, node.inputs, strict=True):
            yield None, {value}, {(place, name)}
        for one in inside((node,)):
            if isinstance(one.control, (Branch, Loop)):  # what its blocks make depends on whether they run, but not by a gradient
                asked = (one.control.condition,) if isinstance(one.control, Branch) else (one.control.count, one.control.variable)
                made = [name for block in one.control.blocks for each in inside(block) for name in each.outputs]
                yield one, {(place, name) for name in asked}, {(place, name) for name in made}
            elif one.control is None:
                of: set[Hashable] = {(place, name) for name in one.inputs}
                yield one, of | {("", key) for key in one.parameters if key in trainable}, {(place, name) for name in one.outputs}
        for name, value in zip(control.makes, node.outputs, strict=True):
            yield None, {(place, name)}, {value}


def _closure(edges: Sequence[tuple[set[Hashable], set[Hashable]]], found: set[Hashable]) -> set[Hashable]:
    """``found`` and whatever edges lead to from there."""
    size = 0
    while size != len(found):
        size = len(found)
        for of, to in edges:
            if not found.isdisjoint(of):
                found |= to
    return found
