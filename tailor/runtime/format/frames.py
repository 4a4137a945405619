"""What a layer is besides its numbers: weights of one layer mean the same in another only if this is equal."""

from __future__ import annotations

from google.protobuf.message import Message

from .contents import inner_models, weight_fields
from .schema.model_pb2 import Model
from .schema.network_pb2 import NeuralNetworkLayer
from .schema.weights_pb2 import WeightParams
from .validate import pipeline_of


def read_frames(model: Model) -> dict[str, bytes]:
    """For each weight field of ``model``, by the name that it has in ``read_contents``, bytes that are equal for layers of one kind and
    settings: sizes, strides, how numbers are quantised, but neither the numbers nor what the layer is joined to.

    Those of a classifier's last layer differ with its class labels too, for which its rows stand.
    """
    frames: dict[str, bytes] = {}
    last: NeuralNetworkLayer | None = None
    frame = b""
    for name, _, layer in weight_fields(model):
        if layer is not last:
            last, frame = layer, _frame(layer)
        frames[name] = frame
    for name, labels in _last_layers(model, ""):
        frames[name] += labels
    return frames


def front_bytes(model: Model) -> list[bytes]:
    """The models of a pipeline before the last one, at every level, as canonical bytes; what people wrote about them left out."""
    pipeline = pipeline_of(model)
    if pipeline is None:
        return []
    *front, last = pipeline.models
    made = []
    for inner in front:
        copy = Model()
        copy.CopyFrom(inner)
        copy.description.ClearField("metadata")
        made.append(copy.SerializeToString(deterministic=True))
    return [*made, *front_bytes(last)]


def _frame(layer: NeuralNetworkLayer) -> bytes:
    kind = layer.WhichOneof("layer") or ""
    copy = NeuralNetworkLayer()
    copy.CopyFrom(layer)
    params = getattr(copy, kind)
    _empty(params)
    return kind.encode() + b"\0" + bytes(params.SerializeToString(deterministic=True))


def _empty(message: Message) -> None:
    """Takes out of a layer's parameters its numbers, marks of what learns, and layers inside it, which have frames of their own."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if field.message_type.name == NeuralNetworkLayer.DESCRIPTOR.name:
            message.ClearField(field.name)
            continue
        for inner in [value] if isinstance(value, Message) else value:
            if isinstance(inner, WeightParams):
                for name in ("floatValue", "float16Value", "rawValue", "int8RawValue", "isUpdatable"):
                    inner.ClearField(name)
            else:
                _empty(inner)


def _last_layers(model: Model, scope: str) -> list[tuple[str, bytes]]:
    """The weight fields of the last layer of each classifier that is a network, and its class labels as bytes."""
    found: list[tuple[str, bytes]] = []
    if model.WhichOneof("Type") == "neuralNetworkClassifier":
        classifier = model.neuralNetworkClassifier
        kind = classifier.WhichOneof("ClassLabels")
        labels = kind.encode() + getattr(classifier, kind).SerializeToString(deterministic=True) if kind else b""
        fields = list(weight_fields(model, scope))
        found += [(name, labels) for name, _, layer in fields if layer is fields[-1][2]]
    for inner, nested in inner_models(model, scope):
        found += _last_layers(nested, inner)
    return found
