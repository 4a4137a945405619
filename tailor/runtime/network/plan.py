"""A graph bound to the shapes of its inputs: what will be called, in which order, and what is let go of after each call.

A plan holds no values, so that any number of threads may run one plan at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np

from tailor.kernels import Array, Attributes, Op, Shape

from ..errors import MLModelError, MLUnsupportedError
from .control import Run, inside
from .graph import Branch, Graph, Loop, Node
from .step import Stop, answers, foretold, look, missing


@dataclass(frozen=True, slots=True)
class Call:
    """One node of a plan.

    ``op``       ``None`` for a branch or a loop.
    ``stacked``  its attributes for examples on a leading axis, ``None`` where they go one by one.
    ``late``     whether its inputs' shapes are known, and seen to fit, only once it runs.
    """

    node: Node
    op: Op | None
    weights: tuple[Array, ...]
    stacked: Attributes | None
    done: tuple[str, ...]
    late: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls that make a graph's outputs from inputs of known shapes.

    ``shapes``     of one example, by value; ``None`` where only values tell.
    ``stackable``  whether examples of these shapes can be run together, stacked on one more leading axis.
    ``work``       multiply-adds of one example, roughly.
    """

    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape | None]
    stackable: bool
    work: int

    def run(self, inputs: Mapping[str, Array], *, stacked: bool, keep: bool = False, stop: Stop | None = None) -> dict[str, Array]:
        """The outputs by name, or with ``keep`` every value (what the reverse pass needs).

        ``stacked``: each input has one more leading axis, of examples, and so has each output. ``stop`` is asked between
        nodes and between the turns of loops.
        Raises ``MLModelError`` naming the layer that refuses its inputs' values, ``MLPredictionCancelledError`` where
        ``stop`` is true.
        """
        values = dict(inputs)
        with quiet():
            for call in self.calls:
                node, op = call.node, call.op
                if stop is not None:
                    look(stop, node)
                if op is None:
                    _control(call, values, stop)
                else:
                    try:
                        given = [values[name] for name in node.inputs]
                    except KeyError:
                        raise missing(node, values) from None
                    if call.late:
                        foretold(node, op, [x.shape for x in given], call.weights)
                    attributes = call.stacked if stacked and call.stacked is not None else node.attributes
                    made = answers(node, op, given, call.weights, attributes)
                    if len(node.outputs) == 1:
                        values[node.outputs[0]] = made
                    else:
                        values.update(zip(node.outputs, made, strict=True))
                if not keep:
                    for name in call.done:
                        values.pop(name, None)
        if keep:
            return values
        for name in self.outputs:
            if name not in values:
                raise MLModelError(f"output {name!r}: expected it to be made, got a block that did not make it")
        return {name: values[name] for name in self.outputs}


def _control(call: Call, values: dict[str, Array], stop: Stop | None) -> None:
    """Runs a branch or a loop; what its blocks have written goes into ``values``."""
    node = call.node
    control = node.control
    assert isinstance(control, (Branch, Loop))
    own = {name: values[value] for name, value in zip(control.takes, node.inputs, strict=True) if value in values}
    Run(own, dict(zip(node.parameters, call.weights, strict=True)), stop).node(node)
    values.update({value: own[name] for name, value in zip(control.makes, node.outputs, strict=True) if name in own})


def quiet() -> np.errstate:
    """Infinities and NaN are answers here, not warnings."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def make_plan(graph: Graph, shapes: Mapping[str, Shape]) -> Plan:
    """The plan of ``graph`` for inputs of ``shapes`` (of one example); computes nothing.

    Raises ``MLUnsupportedError`` naming the first layer needed that this version cannot run, and ``MLModelError`` naming
    the layer that its inputs' shapes do not fit, with what it expected and got.
    """
    nodes = graph.needed(graph.outputs)
    _check_known(nodes)
    known: dict[str, Shape | None] = {name: tuple(shapes[name]) for name in graph.inputs if name in shapes}
    last = {name: place for place, node in enumerate(nodes) for name in (*node.inputs, *node.outputs)}
    calls = []
    work = 0
    for place, node in enumerate(nodes):
        op = node.op
        weights = tuple(graph.parameters[key] for key in node.parameters)
        shapes_in = [shape for name in node.inputs if (shape := known[name]) is not None]
        late = op is None or len(shapes_in) < len(node.inputs)
        stacked = None
        if op is None or late:
            known.update(dict.fromkeys(node.outputs))
        else:
            known.update(foretold(node, op, shapes_in, weights))
            work += op.work(*shapes_in, *(array.shape for array in weights), **node.attributes)
            told = all(known[name] is not None for name in node.outputs)
            # examples that draw go one by one, so that each has the numbers that it would have alone
            if op.batched and shapes_in and told and not op.draws:
                stacked = op.batched(node.attributes, tuple(map(len, shapes_in)))
        done = tuple(name for name in dict.fromkeys((*node.inputs, *node.outputs)) if last[name] == place and name not in graph.outputs)
        calls.append(Call(node, op, weights, stacked, done, late))
    return Plan(tuple(calls), graph.outputs, known, all(call.stacked is not None for call in calls), work)


def _check_known(nodes: tuple[Node, ...]) -> None:
    """Raises ``MLUnsupportedError`` naming the first layer of a kind that cannot be run, in blocks too."""
    for node in inside(nodes):
        if node.op is None and node.control is None:
            raise MLUnsupportedError(f"layer {node.name!r} of kind {node.kind!r} is not supported yet")


class Plans:
    """The plans of one graph, made when first asked for; the least recently used go when there are more than ``most``."""

    def __init__(self, graph: Graph, most: int = 16) -> None:
        self.graph = graph
        self._most = most
        self._lock = Lock()
        self._plans: OrderedDict[tuple[Shape, ...], Plan] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Plans of {len(self.graph.nodes)} nodes for {len(self._plans)} shapes>"

    def __len__(self) -> int:
        return len(self._plans)

    def plan(self, shapes: Mapping[str, Shape]) -> Plan:
        """The plan for inputs of ``shapes``; see ``make_plan`` for what it raises."""
        key = tuple(tuple(shapes[name]) for name in self.graph.inputs)
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
                return plan
        plan = make_plan(self.graph, shapes)
        with self._lock:
            self._plans[key] = plan
            while len(self._plans) > self._most:
                self._plans.popitem(last=False)
        return plan
