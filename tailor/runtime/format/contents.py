"""What of a model an update can change, as named arrays and lists: its weights, and its nearest neighbours' examples.

Names: ``LAYER.FIELD`` (``dense.weights``) in a network; ``samples``, ``labels`` and ``origins`` (a text each, see ``origins.py``)
of nearest neighbours; with the model's name in front (``model1.samples``) inside a pipeline. Snapshots hold a model's
changes under these names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from ..errors import MLFormatError
from .floats import read_floats, write_floats
from .origins import origin_rows, origin_texts, read_origins, write_origins
from .samples import append_samples, read_samples
from .schema.model_pb2 import Model
from .schema.neighbors_pb2 import KNearestNeighborsClassifier
from .schema.network_pb2 import NeuralNetworkLayer
from .schema.weights_pb2 import WeightParams
from .validate import network_of, pipeline_of
from .weights import weight_storage

Content: TypeAlias = "NDArray[Any] | Sequence[str] | Sequence[int]"

_PARTS = ("samples", "labels", "origins")
_RAW = {"float16Value": "<f2", "rawValue": "u1", "int8RawValue": "i1"}


def read_contents(model: Model) -> dict[str, Content]:
    """The contents of ``model`` by name: weights as flat arrays of the type they are stored in, samples float32 ``[n, d]``.

    Arrays are read-only views where that needs no copy. Raises ``MLFormatError`` where two contents have one name.
    """
    contents: dict[str, Content] = {}
    for name, weights, _ in weight_fields(model):
        _put(contents, name, _numbers(weights, name))
    for scope, classifier in _classifiers(model, ""):
        neighbors = classifier.kNearestNeighborsClassifier
        _put(contents, f"{scope}samples", read_samples(neighbors.nearestNeighborsIndex, f"{scope}samples"))
        kind = neighbors.WhichOneof("ClassLabels")
        _put(contents, f"{scope}labels", list(getattr(neighbors, kind).vector) if kind else [])
        _put(contents, f"{scope}origins", origin_texts(read_origins(classifier, f"{scope}origins")))
    return contents


def write_contents(model: Model, contents: Mapping[str, Content]) -> None:
    """Replaces the contents of ``model`` that ``contents`` names; the others stay.

    Raises ``MLFormatError``, before anything is changed, for a name that the model does not have; also for labels of another type.
    """
    weights = {name: field for name, field, _ in weight_fields(model)}
    neighbors = {f"{scope}{part}": (classifier, part) for scope, classifier in _classifiers(model, "") for part in _PARTS}
    for name in contents:
        if name not in weights and name not in neighbors:
            raise MLFormatError(f"content {name!r}: expected one that the model has, got a name that it does not have")
    for name, value in contents.items():
        if name in weights:
            storage = weight_storage(weights[name]) or "floatValue"
            if storage == "floatValue":
                write_floats(weights[name], storage, value, name)
            else:
                setattr(weights[name], storage, np.asarray(value, _RAW[storage]).tobytes())
        else:
            classifier, part = neighbors[name]
            if part == "origins":
                write_origins(classifier, origin_rows(value, name), name)
            else:
                _write_neighbors(classifier.kNearestNeighborsClassifier, part, value, name)


def _put(contents: dict[str, Content], name: str, value: Content) -> None:
    if name in contents:
        raise MLFormatError(f"content {name!r}: expected one of this name, got two: layers of one name cannot be told apart")
    contents[name] = value


def weight_fields(model: Model, scope: str = "") -> Iterator[tuple[str, WeightParams, NeuralNetworkLayer]]:
    """Every weight field of a model and of the models inside it, by name, each with the layer that it is a field of."""
    network = network_of(model)
    if network is not None:
        for layer in network.layers:
            yield from _fields(layer, scope)
    for inner, nested in inner_models(model, scope):
        yield from weight_fields(nested, inner)


def _fields(layer: NeuralNetworkLayer, scope: str) -> Iterator[tuple[str, WeightParams, NeuralNetworkLayer]]:
    kind = layer.WhichOneof("layer")
    if kind is not None:
        yield from _walk(getattr(layer, kind), f"{scope}{layer.name}", layer)


def _walk(message: Message, path: str, layer: NeuralNetworkLayer) -> Iterator[tuple[str, WeightParams, NeuralNetworkLayer]]:
    """The weight fields below a layer's parameters; layers of inner networks go by their own names."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        repeated = not isinstance(value, Message)
        for number, inner in enumerate(value if repeated else [value]):
            if isinstance(inner, NeuralNetworkLayer):
                yield from _fields(inner, f"{path}.")
            elif isinstance(inner, WeightParams):
                yield f"{path}.{field.name}", inner, layer
            else:
                yield from _walk(inner, f"{path}.{field.name}.{number}" if repeated else f"{path}.{field.name}", layer)


def _classifiers(model: Model, scope: str) -> Iterator[tuple[str, Model]]:
    """The nearest neighbour classifiers, by the scope of their contents."""
    if model.HasField("kNearestNeighborsClassifier"):
        yield scope, model
    for inner, nested in inner_models(model, scope):
        yield from _classifiers(nested, inner)


def inner_models(model: Model, scope: str) -> Iterator[tuple[str, Model]]:
    """The models of a pipeline, by the scope of their contents; none of other types."""
    pipeline = pipeline_of(model)
    if pipeline is not None:
        for number, nested in enumerate(pipeline.models):
            name = pipeline.names[number] if number < len(pipeline.names) else f"model{number}"
            yield f"{scope}{name}.", nested


def _numbers(weights: WeightParams, who: str) -> NDArray[Any]:
    storage = weight_storage(weights) or "floatValue"
    if storage == "floatValue":
        return read_floats(weights, storage, who)
    return np.frombuffer(getattr(weights, storage), _RAW[storage])


def _write_neighbors(classifier: KNearestNeighborsClassifier, part: str, value: Content, who: str) -> None:
    """Replaces samples or labels."""
    if part == "samples":
        index = classifier.nearestNeighborsIndex
        del index.floatSamples[:]
        append_samples(index, np.asarray(value), who)
        return
    kind = classifier.WhichOneof("ClassLabels")
    if kind is None:
        kind = "int64ClassLabels" if len(value) and not isinstance(value[0], str) else "stringClassLabels"
    wanted = str if kind == "stringClassLabels" else int
    if not all(isinstance(label, wanted) for label in value):
        raise MLFormatError(f"content {who!r}: expected labels of type {wanted.__name__}, as the model's are, got others")
    labels = getattr(classifier, kind).vector
    del labels[:]
    labels.extend(value)
