"""What a network's message says, as a graph and its inputs: where prediction and learning both begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailor.kernels import Array, Shape

from ..errors import MLFormatError
from ..format import decode_weights, layers
from ..network import Graph, lower
from .tensors import ArrayInput, ImageInput, make_input


def network_of(spec: Any) -> Any:
    """The part of a model message that is a network, whichever of the three it is."""
    return getattr(spec, spec.WhichOneof("Type"))


def decode_field(message: Any, field: str, shape: Shape, who: str) -> Array:
    """The weight ``field`` of a layer's message, float32 of ``shape``; see ``decode_weights``."""
    turned = field == "weights" and getattr(message, "isDeconvolution", False)  # its output channels are the second axis
    return decode_weights(getattr(message, field), shape, who, channel_axis=1 if turned else 0)


def graph_of(spec: Any, outputs: Sequence[str], who: str) -> Graph:
    """The network's layers as far as ``outputs`` ask for them. Raises ``MLFormatError`` naming the layer."""
    inputs = [feature.name for feature in spec.description.input]
    try:
        return lower(layers(network_of(spec)), inputs, tuple(dict.fromkeys(outputs)), decode_field)
    except MLFormatError as error:
        raise MLFormatError(f"{who}: {error}") from error


def inputs_of(spec: Any, names: Sequence[str], who: str) -> list[ArrayInput | ImageInput]:
    """How the inputs ``names`` enter the network."""
    features = spec.description.input
    images = sum(feature.type.WhichOneof("Type") == "imageType" for feature in features)
    return [make_input(feature, network_of(spec), images == 1, who) for feature in features if feature.name in names]
