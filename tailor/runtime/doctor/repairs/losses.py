"""A network's loss: the value that it is about, in the shape that Core ML asks for, and its place in the message."""

from __future__ import annotations

from typing import Any

from ...errors import MLFormatError
from ...format import Network, NeuralNetworkBuilder, layers, network_of
from ...models.updatable import UPDATABLE_KINDS
from ..aim import CROSS_ENTROPY, LOSSES, SQUARED_ERROR, learned_values, outputs_of
from ..shapes import shapes_of
from ..way import Way
from .channels import Channels
from .layers import Layers, unlike
from .views import is_view

ABLE = (*UPDATABLE_KINDS, "batchedMatmul")
"""What can learn, or can be made what does."""


def layers_of(spec: Any, *values: str) -> Layers:
    """The layers of a network, to change; its outputs, its loss's value and ``values`` keep their names."""
    network = _network(spec)
    records = layers(network)
    outputs = outputs_of(spec, records)
    losses = [getattr(loss, kind).input for loss in network.updateParams.lossLayers if (kind := loss.WhichOneof("LossLayerType"))]
    relied = {*outputs, *learned_values(spec, network, records), *losses, *values}
    made = {name for record in records for name in record.outputs}
    return Layers(network, relied, shapes_of(spec, sorted(relied & made)))


def lead_to(spec: Any, loss: str, output: str) -> str:
    """Changes the layers so that ``loss`` can be about ``output``, and gradients come back from it; the value that it is about.

    Raises ``MLFormatError`` where the output has not the shape that the loss takes.
    """
    changed = layers_of(spec, output)
    channels = Channels(changed)
    names = in_the_way(spec, output)
    classifier = spec.HasField("neuralNetworkClassifier")
    if loss == CROSS_ENTROPY:
        plain = [feature.name for feature in spec.description.output if feature.type.HasField("multiArrayType")]
        value = channels.softmax(output, any_shape=classifier and output not in plain and changed.uses(output) == 1)
    else:
        reshaped = any(layer.name in names and is_view(layer, changed) for layer in changed)
        value = channels.vector(output) if reshaped and len(changed.shape(output)) < 4 else output
    channels.clear(names)
    changed.write()
    return value


def set_loss(builder: NeuralNetworkBuilder, loss: str, output: str) -> None:
    """Sets ``loss`` on ``output``; its target is the class label, or the training input ``<output>_true``.

    Raises ``MLFormatError`` where the loss is another, or the output has not the shape that it takes.
    """
    check_loss(builder.spec, loss)
    value = lead_to(builder.spec, loss, output)
    declare_loss(builder, loss, value, output, f"{output}_true")


def check_loss(spec: Any, loss: str) -> None:
    """Raises ``MLFormatError`` where ``loss`` is none that there is, or not one for the type of the model."""
    if loss not in LOSSES:
        raise MLFormatError(f"loss: expected {' or '.join(LOSSES)}, got {loss!r}")
    if loss == SQUARED_ERROR and spec.HasField("neuralNetworkClassifier"):
        raise MLFormatError(f"loss: expected {CROSS_ENTROPY} for a classifier, got {loss!r}")


def declare_loss(builder: NeuralNetworkBuilder, loss: str, value: str, output: str, target: str) -> None:
    """Writes the loss, in place of any other, and what the network trains with: its inputs, and ``target`` or the class label.

    A target of numbers has the shape of ``output``, of which ``value`` has the numbers.
    """
    spec, losses = builder.spec, builder.nn_spec.updateParams.lossLayers
    name = unlike("loss", {layer.name for layer in builder.nn_spec.layers})
    del losses[:]
    if loss == CROSS_ENTROPY:
        builder.set_categorical_cross_entropy_loss(name, value)
        losses[0].categoricalCrossEntropyLossLayer.target = target
    else:
        builder.set_mean_squared_error_loss(name, (value, _shape(spec, output)))
        losses[0].meanSquaredErrorLossLayer.target = target
    trained = spec.description.trainingInput[-1]
    if spec.HasField("neuralNetworkClassifier"):
        trained.CopyFrom(next(row for row in spec.description.output if row.name == spec.description.predictedFeatureName))
    else:
        trained.name = target


def _shape(spec: Any, output: str) -> tuple[int, ...]:
    """The shape that an output is declared to have, or else has."""
    declared = next((feature.type.multiArrayType.shape for feature in spec.description.output if feature.name == output), ())
    shape = tuple(declared) or shapes_of(spec, [output]).get(output)
    if shape is None:
        raise MLFormatError(f"loss: expected an output of a shape that is known, got {output!r}")
    return shape


def in_the_way(spec: Any, value: str) -> set[str]:
    """The names of the layers between a loss on ``value`` and what could learn, through which Core ML's gradients do not pass."""
    records = layers(_network(spec))
    way = Way(records, value, exempt=False)
    able = [place for place, record in enumerate(records) if record.kind in ABLE and place in way.reached]
    return {records[other].name for place in able for other in way.between(place)}


def _network(spec: Any) -> Network:
    network = network_of(spec)
    assert network is not None  # whoever calls has looked
    return network
