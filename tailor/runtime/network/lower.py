"""Layers of a network, as the format's door lists them, to a ``Graph``.

Values of a graph are made once. A network may write a name again: by a copy layer, by branches and by loops, which also
take what was written before. So each such layer makes a value of a new name (``x#1``), later layers take that one, and an
output of the model has its own name in the end. Inside a branch or a loop names are what the format says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from tailor.kernels import OPS, Array, Op, Reading, Shape
from tailor.kernels.op import from_the_end

from ..custom import custom_op
from ..errors import MLFormatError
from .graph import Branch, Graph, Jump, Loop, Node, inside
from .indices import Step

COPY = Op(
    "copy",
    lambda x: np.array(x),
    lambda x: x,
    lambda params, decode: Reading({}, {}),
    lambda g, y, x, needs: (g if needs[0] else None,),
    from_the_end,
)
"""Whether it overwrites is a matter of names, and so of the graph."""


class Layer(Step, Protocol):
    """What is read of a layer (the format's ``LayerRecord`` is one)."""

    @property
    def name(self) -> str:
        """For people; need not be unique."""

    @property
    def params(self) -> Any:
        """What ``Op.read`` reads."""

    @property
    def blocks(self) -> Mapping[str, Sequence[Layer]]:
        """The layers inside a branch or a loop, by field."""


class Weights(Protocol):
    """Decodes weight ``field`` of a layer's message into an array of ``shape``; ``who`` names both in errors."""

    def __call__(self, message: Any, field: str, shape: Shape, who: str) -> Array: ...


def lower(layers: Iterable[Layer], inputs: Sequence[str], outputs: Sequence[str], weights: Weights, ops: Mapping[str, Op] = OPS) -> Graph:
    """The graph of ``layers``, with weights decoded and keyed ``<layer>.<field>``.

    A layer of a kind that is not in ``ops`` is carried along: running it is an error, loading it is not.

    Raises ``MLFormatError`` where a layer's own fields contradict each other or the layers do not make a graph.
    """
    reader = _Reader(weights, {"copy": COPY, **ops})
    nodes = _made_once([reader.node(layer) for layer in layers], inputs, outputs)
    return Graph(tuple(inputs), tuple(outputs), nodes, reader.parameters)


class _Reader:
    """Layers to nodes, those inside branches and loops too; gathers the ``parameters`` of all."""

    def __init__(self, weights: Weights, ops: Mapping[str, Op]) -> None:
        self.parameters: dict[str, Array] = {}
        self._weights = weights
        self._ops = ops
        self._scopes: set[str] = set()
        self._places = count()

    def node(self, layer: Layer, in_loop: bool = False) -> Node:
        place = next(self._places)
        scope = layer.name if layer.name and layer.name not in self._scopes else f"{layer.name}#{place}"
        self._scopes.add(scope)
        # a custom layer is of the kind that its class is, whoever has written that
        kind = f"custom.{layer.params.className}" if layer.kind == "custom" else layer.kind
        node = Node(layer.name, kind, self._ops.get(kind), tuple(layer.inputs), tuple(layer.outputs))
        if layer.kind == "custom":
            return replace(node, op=self._custom(node, layer.params))
        if kind in ("branch", "loop", "loopBreak", "loopContinue"):
            return self._control(node, layer, in_loop)
        if kind == "copy" and node.inputs == node.outputs:
            raise MLFormatError(f"{node.who}: expected an output of another name than its input, got {node.inputs[0]!r} for both")
        return node if node.op is None else self._read(node, node.op, layer.params, scope)

    def _read(self, node: Node, op: Op, params: Any, scope: str) -> Node:
        """``node`` with what its op reads in the layer's message; adds its weights to ``parameters``."""

        def decode(message: Any, field: str, shape: Shape) -> Array:
            return self._weights(message, field, shape, f"{node.who} {field}")

        try:
            reading = op.read(params, decode)
        except ValueError as error:
            raise MLFormatError(f"{node.who}: {error}") from error
        keys = tuple(f"{scope}.{field}" for field in reading.weights)
        self.parameters.update(zip(keys, reading.weights.values(), strict=True))
        return replace(node, attributes=reading.attributes, parameters=keys)

    def _custom(self, node: Node, params: Any) -> Op:
        parameters = {name: getattr(value, value.WhichOneof("value") or "", None) for name, value in params.parameters.items()}
        weights = [self._weights(SimpleNamespace(weights=w), "weights", (-1,), f"{node.who} weights") for w in params.weights]
        return custom_op(params.className, f"layer {node.name!r}", parameters, weights)

    def _control(self, node: Node, layer: Layer, in_loop: bool) -> Node:
        """A branch, a loop, or a jump, with the nodes of its blocks. Sources: the comments of their messages."""
        if node.outputs:
            raise MLFormatError(f"{node.who}: expected no outputs, got {', '.join(map(repr, node.outputs))}")
        if node.kind in ("loopBreak", "loopContinue"):
            if node.inputs or not in_loop:
                raise MLFormatError(f"{node.who}: expected it without inputs in the body of a loop, got it elsewhere or with inputs")
            return replace(node, control=Jump(node.kind))
        allowed = (1,) if node.kind == "branch" else (0, 1)
        if len(node.inputs) not in allowed:
            raise MLFormatError(f"{node.who}: expected {' or '.join(map(str, allowed))} inputs, got {len(node.inputs)}")

        def block(name: str, loop: bool = in_loop) -> tuple[Node, ...]:
            return tuple(self.node(inner, loop) for inner in layer.blocks.get(name, ()))

        control: Branch | Loop
        if node.kind == "branch":
            control = Branch(node.inputs[0], block("ifBranch"), block("elseBranch"))
            needed = control.then
        else:
            params = layer.params
            condition, body = block("conditionNetwork"), block("bodyNetwork", True)
            variable = params.conditionVar
            if bool(condition) != bool(variable):
                raise MLFormatError(f"{node.who}: expected conditionNetwork and conditionVar, or neither, got one of them")
            most = int(params.maxLoopIterations)
            if not condition and not most and not node.inputs:
                raise MLFormatError(f"{node.who}: expected an input, a condition or maxLoopIterations above 0, got none of them")
            control = Loop(node.inputs[0] if node.inputs else "", most if most or not condition else None, condition, variable, body)
            needed = body
        if not needed:
            raise MLFormatError(f"{node.who}: expected at least one layer inside, got none")
        keys = tuple(key for inner in inside(tuple(chain(*control.blocks))) for key in inner.parameters if inner.control is None)
        return replace(node, control=control, parameters=keys)


def _made_once(nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str]) -> tuple[Node, ...]:
    """``nodes`` with new names for what is written again."""
    if all(node.control is None and node.kind != "copy" for node in nodes):
        return tuple(nodes)
    latest = {name: name for name in inputs}  # by the format's name: the value that it is now
    maybe: set[str] = set()  # names that only blocks have written: of their own scope, so that others may use them too
    fresh = _Fresh(chain(inputs, *(node.outputs for node in nodes)))
    made: list[Node] = []
    for node in nodes:
        control = node.control
        if isinstance(control, (Branch, Loop)):
            reads, writes = _names(control)
            # what a block writes only when it runs must be there when it does not
            takes = tuple(dict.fromkeys((*node.inputs, *reads, *(name for name in writes if name in latest))))
            makes = tuple(dict.fromkeys(writes))
            node = replace(node, control=replace(control, takes=takes, makes=makes), inputs=takes, outputs=makes)
            maybe.update(name for name in makes if name not in latest)
        again = isinstance(control, (Branch, Loop)) or node.kind == "copy"
        taken = tuple(latest.get(name, name) for name in node.inputs)
        given = []
        for name in node.outputs:
            given.append(fresh.name(name) if name in latest and (again or name in maybe) else name)
            if not again:
                maybe.discard(name)
        latest.update(zip(node.outputs, given, strict=True))
        made.append(replace(node, inputs=taken, outputs=tuple(given)))
    return _outputs_last(made, latest, inputs, outputs)


class _Fresh:
    """Makes names that nobody has: not the ones ``taken``, and none twice."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._numbers: dict[str, Iterator[int]] = {}

    def name(self, name: str) -> str:
        """``name`` with the next number."""
        numbers = self._numbers.setdefault(name, count(1))
        return next(fresh for number in numbers if (fresh := f"{name}#{number}") not in self._taken)


def _outputs_last(nodes: Sequence[Node], latest: Mapping[str, str], inputs: Sequence[str], outputs: Sequence[str]) -> tuple[Node, ...]:
    """``nodes`` with the plain name of each output at the value that it is in the end."""
    names: dict[str, str] = {}
    for name in outputs:
        last = latest.get(name, name)
        if last != name:
            if name in inputs:
                raise MLFormatError(f"output {name!r}: expected another name than that of an input, got one that layers overwrite")
            names |= {last: name, name: f"{name}#0"}

    def renamed(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(value, value) for value in values)

    return tuple(replace(node, inputs=renamed(node.inputs), outputs=renamed(node.outputs)) for node in nodes)


def _names(control: Branch | Loop) -> tuple[list[str], list[str]]:
    """The names that blocks take from outside, and those that they write."""
    reads: list[str] = []
    writes: list[str] = []
    known: set[str] = set()
    for block in control.blocks:
        own = known if isinstance(control, Loop) else set()  # a loop's body comes after its condition
        for node in block:
            taken, given = list(node.inputs), list(node.outputs)
            if isinstance(node.control, (Branch, Loop)):
                below, given = _names(node.control)
                taken += below
            reads += (name for name in taken if name not in own)
            writes += given
            own.update(given)
    return reads, writes
