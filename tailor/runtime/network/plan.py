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
from .graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Call:
    """One node of a plan. ``stacked``: its attributes for examples on a leading axis, ``None`` where they go one by one."""

    node: Node
    op: Op
    weights: tuple[Array, ...]
    stacked: Attributes | None
    done: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls that make a graph's outputs from inputs of known shapes.

    ``shapes``     of one example, by value.
    ``stackable``  whether examples of these shapes can be run together, stacked on one more leading axis.
    ``work``       multiply-adds of one example, roughly.
    """

    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Shape]
    stackable: bool
    work: int

    def run(self, inputs: Mapping[str, Array], *, stacked: bool, keep: bool = False) -> dict[str, Array]:
        """The outputs by name, or with ``keep`` every value (what the reverse pass needs).

        ``stacked``: each input has one more leading axis, of examples, and so has each output.
        Raises ``MLModelError`` naming the layer that refuses its inputs' values.
        """
        values = dict(inputs)
        with quiet():
            for call in self.calls:
                node = call.node
                attributes = call.stacked if stacked and call.stacked is not None else node.attributes
                try:
                    made = call.op.forward(*(values[name] for name in node.inputs), *call.weights, **attributes)
                except (ValueError, IndexError) as error:
                    raise MLModelError(f"{node.who}: {error}") from error
                if len(node.outputs) == 1:
                    values[node.outputs[0]] = made
                else:
                    values.update(zip(node.outputs, made, strict=True))
                if not keep:
                    for name in call.done:
                        del values[name]
        return values if keep else {name: values[name] for name in self.outputs}


def quiet() -> np.errstate:
    """Infinities and NaN are answers here, not warnings."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def make_plan(graph: Graph, shapes: Mapping[str, Shape]) -> Plan:
    """The plan of ``graph`` for inputs of ``shapes`` (of one example); computes nothing.

    Raises ``MLUnsupportedError`` naming the first layer needed that this version cannot run, and ``MLModelError`` naming
    the layer that its inputs' shapes do not fit, with what it expected and got.
    """
    nodes = graph.needed(graph.outputs)
    known: dict[str, Shape] = {name: tuple(shapes[name]) for name in graph.inputs if name in shapes}
    last = {name: place for place, node in enumerate(nodes) for name in (*node.inputs, *node.outputs)}
    calls = []
    work = 0
    for place, node in enumerate(nodes):
        if node.op is None:
            raise MLUnsupportedError(f"layer {node.name!r} of kind {node.kind!r} is not supported yet")
        weights = tuple(graph.parameters[key] for key in node.parameters)
        shapes_in = tuple(known[name] for name in node.inputs)
        known.update(_foretold(node, node.op, shapes_in, weights))
        work += node.op.work(*shapes_in, *(array.shape for array in weights), **node.attributes)
        stacked = node.op.batched(node.attributes, tuple(map(len, shapes_in))) if node.op.batched and shapes_in else None
        done = tuple(name for name in dict.fromkeys((*node.inputs, *node.outputs)) if last[name] == place and name not in graph.outputs)
        calls.append(Call(node, node.op, weights, stacked, done))
    return Plan(tuple(calls), graph.outputs, known, all(call.stacked is not None for call in calls), work)


def _foretold(node: Node, op: Op, shapes: tuple[Shape, ...], weights: tuple[Array, ...]) -> dict[str, Shape]:
    """The shapes of what ``node`` makes."""
    try:
        made = op.shape(*shapes, *(array.shape for array in weights), **node.attributes)
    except (ValueError, TypeError, IndexError) as error:  # the last two: another number of inputs than the op takes
        raise MLModelError(f"{node.who}: {error}") from error
    several = made if len(node.outputs) != 1 else (made,)
    if len(several) != len(node.outputs):
        raise MLModelError(f"{node.who}: expected {len(several)} outputs, got {len(node.outputs)}")
    return dict(zip(node.outputs, several, strict=True))


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
