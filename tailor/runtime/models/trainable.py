"""Which layers of a network can be trained: those that Core ML allows, and any other with parameters and a gradient.

Batch normalisation learns its gamma and beta; mean and variance are statistics, and stay. A constant is trained only if it
is named: of most, the numbers mean something else than a parameter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import MLUpdateError
from ..format import every_layer, layers, weight_message
from ..network import Graph, Node, inside, stuck_gradients
from .lowered import graph_of, network_of

STATISTICS = {"batchnorm": ("mean", "variance")}
"""Fields that no gradient changes, by kind of layer."""

SHOWN = 10
"""How many layers an error lists."""

CONSTANTS = ("loadConstant", "loadConstantND")


@dataclass(frozen=True, slots=True)
class TrainableLayer:
    """A layer that has parameters.

    ``fields``    those that tailor can train, as the format calls them.
    ``numbers``   how many numbers there are in them.
    ``marked``    whether the model marks it as updatable.
    ``obstacle``  why it, or a field that learns in others of its kind, cannot be trained; ``""`` where nothing stands against it.
    """

    name: str
    kind: str
    fields: tuple[str, ...]
    numbers: int
    marked: bool
    obstacle: str


def trainable_layers(spec: Any, starts: Sequence[str] = (), who: str = "model") -> list[TrainableLayer]:
    """The layers with parameters of a network's message, in order, those in blocks too.

    ``starts``: the values at which gradients begin, such as a loss's input; without, no way back is asked for. Raises
    ``MLFormatError`` where the layers do not make a graph.
    """
    outputs = [*starts, *(feature.name for feature in spec.description.output)]
    made = {name for layer in network_of(spec).layers for name in layer.output}
    return of_graph(graph_of(spec, [name for name in outputs if name in made], who), spec, starts)


def of_graph(graph: Graph, spec: Any, starts: Sequence[str]) -> list[TrainableLayer]:
    """``trainable_layers`` of a ``graph`` that is made already, which has the values ``starts``."""
    nodes = {(node.name, node.kind): node for node in reversed(tuple(inside(graph.nodes))) if node.control is None}
    records = list(every_layer(layers(network_of(spec))))
    names = Counter(record.name for record in records)
    needed = {id(node) for node in inside(graph.needed(starts))}
    stuck: dict[str, str] = {}
    for start in starts:
        stuck |= stuck_gradients(graph, start, [key for node in nodes.values() for key in node.parameters])
    found = []
    for record in records:
        node = nodes.get((record.name, record.kind))
        if node is None or not node.parameters:
            continue
        keys = {key.rpartition(".")[2]: key for key in node.parameters}
        learning = {field: key for field, key in keys.items() if field not in STATISTICS.get(record.kind, ())}
        obstacle = _unnamed(record.name, names) or _without_gradient(node)
        if starts and not obstacle:
            way = next((stuck[key] for key in node.parameters if key in stuck), "")
            obstacle = "the loss does not depend on it" if id(node) not in needed else way and f"no gradient comes back to it: {way}"
        quantised = [] if obstacle else [field for field in learning if _quantised(weight_message(record.params, field))]
        if quantised:
            obstacle = f"its {' and '.join(quantised)} are quantised, and only floating-point numbers can learn"
            learning = {field: key for field, key in learning.items() if field not in quantised}
        elif obstacle:
            learning = {}
        numbers = sum(graph.parameters[key].size for key in learning.values())
        found.append(TrainableLayer(record.name, record.kind, tuple(learning), numbers, record.updatable, obstacle))
    return found


def choose(asked: str | Sequence[str], found: Sequence[TrainableLayer], spec: Any, who: str) -> dict[str, tuple[str, ...]]:
    """Of the layers ``found`` those asked for, with their fields: ``"all"`` that can learn, or layers and fields by name.

    Raises ``MLUpdateError`` for a name that the model does not have, and for what cannot be trained.
    """
    if isinstance(asked, str):
        every = {layer.name: layer.fields for layer in found if not layer.obstacle and layer.kind not in CONSTANTS}
        if not every:
            got = "; ".join(f"{layer.name!r}: {layer.obstacle or 'a constant'}" for layer in found) or "no layers with parameters"
            raise MLUpdateError(f"{who}: trainable: expected at least one layer that can be trained, got none ({got})")
        return every
    kinds = {record.name: record.kind for record in every_layer(layers(network_of(spec)))}
    by_name = {layer.name: layer for layer in found}
    chosen: dict[str, tuple[str, ...]] = {}
    for name in asked:
        layer, fields = _asked(name, by_name, kinds, who)
        chosen[layer.name] = tuple(field for field in layer.fields if field in {*fields, *chosen.get(layer.name, ())})
    return chosen


def _asked(name: str, by_name: dict[str, TrainableLayer], kinds: dict[str, str], who: str) -> tuple[TrainableLayer, tuple[str, ...]]:
    """The layer, and the fields of it, that ``name`` stands for."""
    whole = name in kinds
    owner, _, field = (name, "", "") if whole else name.rpartition(".")
    if owner not in kinds:
        known = ", ".join([*map(repr, list(by_name)[:SHOWN]), *(["..."] if len(by_name) > SHOWN else [])]) or "none"
        raise MLUpdateError(
            f"{who}: trainable: expected the name of a layer with parameters, or LAYER.FIELD (layers: {known}), got {name!r}"
        )
    called = f"{who}: trainable: layer {owner!r} ({kinds[owner]})"
    layer = by_name.get(owner)
    if layer is None:
        raise MLUpdateError(f"{called}: expected a layer with parameters of its own, got one without")
    if field in layer.fields:
        return layer, (field,)
    if layer.obstacle:
        raise MLUpdateError(f"{called}: expected a layer that can be trained, but {layer.obstacle}")
    if not whole:
        raise MLUpdateError(f"{called}: expected one of its fields that learn, {', '.join(layer.fields)}, got {field!r}")
    return layer, layer.fields


def _unnamed(name: str, names: Counter[str]) -> str:
    if not name:
        return "it has no name, by which its parameters are kept"
    return "another layer has the same name" if names[name] > 1 else ""


def _without_gradient(node: Node) -> str:
    return "" if node.op is not None and node.op.backward is not None else "layers of this kind have no gradient"


def _quantised(weights: Any) -> bool:
    return bool(weights.HasField("quantization") or weights.rawValue or weights.int8RawValue)
