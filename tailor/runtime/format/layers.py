"""The layers of a network message as plain records: what the network engine reads instead of protobuf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import MLFormatError
from .schema.network_pb2 import NeuralNetwork, NeuralNetworkClassifier, NeuralNetworkLayer, NeuralNetworkRegressor

Network: TypeAlias = NeuralNetwork | NeuralNetworkClassifier | NeuralNetworkRegressor


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """One layer. ``kind`` is its field in ``NeuralNetworkLayer``; activations are ``activation.ReLU`` and so on.

    ``params`` is the message of that kind (of an activation: of its function), still part of the model.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Any
    updatable: bool


def layers(network: Network) -> list[LayerRecord]:
    """The layers of ``network`` in the order in which they run.

    Raises ``MLFormatError`` naming the layer that has no kind, or one that is newer than the schema.
    """
    return [_record(layer, index) for index, layer in enumerate(network.layers)]


def _record(layer: NeuralNetworkLayer, index: int) -> LayerRecord:
    kind: str | None = layer.WhichOneof("layer")
    if kind is None:
        raise MLFormatError(f"layer {layer.name!r} (number {index}): expected a kind of layer that the format knows, got none")
    params = getattr(layer, kind)
    if kind == "activation":
        function = layer.activation.WhichOneof("NonlinearityType")
        if function is None:
            raise MLFormatError(f"layer {layer.name!r} (number {index}): expected an activation that the format knows, got none")
        kind, params = f"activation.{function}", getattr(params, function)
    return LayerRecord(layer.name, kind, tuple(layer.input), tuple(layer.output), params, layer.isUpdatable)
