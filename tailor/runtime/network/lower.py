"""Layers of a network, as the format's door lists them, to a ``Graph``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from tailor.kernels import OPS, Array, Op, Shape

from ..errors import MLFormatError
from .graph import Graph, Node


class Layer(Protocol):
    """What is read of a layer (the format's ``LayerRecord`` is one)."""

    @property
    def name(self) -> str:
        """For people; need not be unique."""

    @property
    def kind(self) -> str:
        """As ``Op.name`` has it."""

    @property
    def inputs(self) -> Sequence[str]:
        """The values that it takes."""

    @property
    def outputs(self) -> Sequence[str]:
        """The values that it makes."""

    @property
    def params(self) -> Any:
        """What ``Op.read`` reads."""


class Weights(Protocol):
    """Decodes weight ``field`` of a layer's message into an array of ``shape``; ``who`` names both in errors."""

    def __call__(self, message: Any, field: str, shape: Shape, who: str) -> Array: ...


def lower(layers: Iterable[Layer], inputs: Sequence[str], outputs: Sequence[str], weights: Weights, ops: Mapping[str, Op] = OPS) -> Graph:
    """The graph of ``layers``, with weights decoded and keyed ``<layer>.<field>``.

    A layer of a kind that is not in ``ops`` is carried along: running it is an error, loading it is not.

    Raises ``MLFormatError`` where a layer's own fields contradict each other or the layers do not make a graph.
    """
    nodes: list[Node] = []
    parameters: dict[str, Array] = {}
    scopes: set[str] = set()
    for place, layer in enumerate(layers):
        scope = layer.name if layer.name and layer.name not in scopes else f"{layer.name}#{place}"
        scopes.add(scope)
        # a custom layer is of the kind that its class is, whoever has written that
        kind = f"custom.{layer.params.className}" if layer.kind == "custom" else layer.kind
        node = Node(layer.name, kind, ops.get(kind), tuple(layer.inputs), tuple(layer.outputs))
        if node.op is not None:
            node = _read(node, node.op, layer.params, scope, weights, parameters)
        nodes.append(node)
    return Graph(tuple(inputs), tuple(outputs), tuple(nodes), parameters)


def _read(node: Node, op: Op, params: Any, scope: str, weights: Weights, parameters: dict[str, Array]) -> Node:
    """``node`` with what its op reads in the layer's message; adds its weights to ``parameters``."""

    def decode(message: Any, field: str, shape: Shape) -> Array:
        return weights(message, field, shape, f"{node.who} {field}")

    try:
        reading = op.read(params, decode)
    except ValueError as error:
        raise MLFormatError(f"{node.who}: {error}") from error
    keys = tuple(f"{scope}.{field}" for field in reading.weights)
    parameters.update(zip(keys, reading.weights.values(), strict=True))
    return Node(node.name, node.kind, op, node.inputs, node.outputs, reading.attributes, keys)
