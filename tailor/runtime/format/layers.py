"""The layers of a network message as plain records: what the network engine reads instead of protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..errors import MLFormatError
from .schema.network_pb2 import NeuralNetwork, NeuralNetworkClassifier, NeuralNetworkLayer, NeuralNetworkRegressor

Network: TypeAlias = NeuralNetwork | NeuralNetworkClassifier | NeuralNetworkRegressor


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """One layer. ``kind`` is its field in ``NeuralNetworkLayer``; activations are ``activation.ReLU`` and so on.

    ``params`` is the message of that kind (of an activation: of its function), still part of the model.
    ``blocks`` are the layers of the networks inside it (of a branch or a loop) by field; those without layers are left out.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Any
    updatable: bool
    blocks: Mapping[str, tuple[LayerRecord, ...]] = field(default_factory=dict)


MOST_DEEP = 50
"""Blocks in one another, at most; a file, of which protobuf reads 100 messages in one another, has fewer."""


def layers(network: Network, depth: int = 0) -> list[LayerRecord]:
    """The layers of ``network``, which lies in ``depth`` blocks, one after the other as they are listed.

    Raises ``MLFormatError`` naming the layer that has no kind, or one that is newer than the schema, or one that lies in too
    many blocks.
    """
    return [_record(layer, index, depth) for index, layer in enumerate(network.layers)]


def every_layer(records: Iterable[LayerRecord]) -> Iterator[LayerRecord]:
    """``records`` and those in their blocks, all the way down."""
    for record in records:
        yield record
        for block in record.blocks.values():
            yield from every_layer(block)


BLOCKS = {"branch": ("ifBranch", "elseBranch"), "loop": ("conditionNetwork", "bodyNetwork")}
"""By kind of layer, the fields of the networks inside it."""


def _record(layer: NeuralNetworkLayer, index: int, depth: int) -> LayerRecord:
    if depth > MOST_DEEP:
        raise MLFormatError(f"layer {layer.name!r}: expected it to lie in at most {MOST_DEEP} blocks in one another, got more")
    kind: str | None = layer.WhichOneof("layer")
    if kind is None:
        raise MLFormatError(f"layer {layer.name!r} (number {index}): expected a kind of layer that the format knows, got none")
    params = getattr(layer, kind)
    if kind == "activation":
        function = layer.activation.WhichOneof("NonlinearityType")
        if function is None:
            raise MLFormatError(f"layer {layer.name!r} (number {index}): expected an activation that the format knows, got none")
        kind, params = f"activation.{function}", getattr(params, function)
    blocks = {name: tuple(layers(getattr(params, name), depth + 1)) for name in BLOCKS.get(kind, ()) if getattr(params, name).layers}
    return LayerRecord(layer.name, kind, tuple(layer.input), tuple(layer.output), params, layer.isUpdatable, blocks)
