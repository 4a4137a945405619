"""What of a network learns, from what, towards what: read from its message and checked.

Source: the comments on NetworkUpdateParameters and its parts in the Core ML format, and what Core ML documents of
updatable layers and losses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import MLUpdateError
from ..format import LayerRecord, every_layer, layers, network_of
from ..network import Graph, Loss
from .family import Trainable
from .labels import class_labels
from .targets import Target
from .trainable import choose, of_graph

UPDATABLE_KINDS = ("convolution", "innerProduct")

OPTIMIZER_NEEDS = {
    "sgdOptimizer": ("learningRate", "miniBatchSize"),
    "adamOptimizer": ("learningRate", "miniBatchSize", "beta1", "beta2", "eps"),
}
"""What each optimizer's message must hold; momentum may be left out, and is 0 then."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A checked network: its losses with what each compares with, and the fields of parameters that learn, by layer."""

    losses: tuple[Loss, ...]
    targets: tuple[Target, ...]
    trainable: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class LossRecord:
    """A loss layer's message: its name, its kind, and the names of the two that it compares."""

    name: str
    kind: str
    value: str
    target: str


def check_marked(spec: Any, who: str, trainable: Trainable = None) -> None:
    """Raises ``MLUpdateError`` unless the model is marked as updatable; to who asks for layers, it says what else is missing."""
    if spec.isUpdatable:
        return
    wrong = f"{who}: expected an updatable model, got one that is not marked as updatable"
    network = network_of(spec)
    if trainable is not None and network is not None:
        update = network.updateParams
        parts = {
            "a loss layer": update.lossLayers,
            "an optimizer": update.optimizer.WhichOneof("OptimizerType"),
            "training inputs": spec.description.trainingInput,
        }
        missing = ", ".join(["the mark", *(name for name, part in parts.items() if not part)])
        wrong += f"; 'trainable' chooses layers, how to train is the model's to say: NeuralNetworkBuilder of tailor.building adds {missing}"
    raise MLUpdateError(wrong)


def loss_records(network: Any, weights: Mapping[str, float] | None, who: str) -> list[LossRecord]:
    """The network's one loss layer, or as many as ``weights`` has names of. Raises ``MLUpdateError``."""
    losses = network.updateParams.lossLayers
    names = [loss.name for loss in losses]
    got = ", ".join(map(repr, names)) or "none"
    if weights is None and len(losses) != 1:
        more = "; loss_weights in the training options allow more" if len(losses) > 1 else ""
        raise MLUpdateError(f"{who}: expected one loss layer in updateParams, got {got}{more}")
    if weights is not None and (not losses or sorted(weights) != sorted(names)):
        raise MLUpdateError(f"{who}: loss_weights: expected a weight for each loss layer of the model ({got}), got {', '.join(weights)}")
    found = []
    for loss in losses:
        kind = loss.WhichOneof("LossLayerType")
        if kind is None:
            raise MLUpdateError(
                f"{who}: loss layer {loss.name!r}: expected categorical cross entropy or mean squared error, got none of them"
            )
        found.append(LossRecord(loss.name, kind, getattr(loss, kind).input, getattr(loss, kind).target))
    return found


def read_lesson(
    spec: Any,
    network: Any,
    graph: Graph,
    who: str,
    trainable: Trainable = None,
    weights: Mapping[str, float] | None = None,
) -> Lesson:
    """What ``network`` (the part of ``spec`` that is one) learns; ``graph`` is made from its layers.

    ``trainable``: layers that learn whatever the message says of them, as ``choose`` takes them. ``weights``: of the losses, by
    name; ``None`` for a network with one. Raises ``MLUpdateError`` naming the layer or field where it cannot be updated.
    """
    records = layers(network)
    marked = _trainable(records, who) if trainable is None else {}
    losses = loss_records(network, weights, who)
    _check_names(records, [loss.name for loss in losses], marked, who)
    optimizer = network.updateParams.optimizer
    chosen = optimizer.WhichOneof("OptimizerType")
    if chosen is None:
        raise MLUpdateError(f"{who}: expected an SGD or Adam optimizer in updateParams, got none")
    for needed in OPTIMIZER_NEEDS[chosen]:
        if not getattr(optimizer, chosen).HasField(needed):
            raise MLUpdateError(f"{who}: expected {needed} in updateParams.{chosen}, got none")
    made = tuple(
        replace(_loss(loss.kind, loss.value, loss.target, graph, who), weight=1.0 if weights is None else weights[loss.name])
        for loss in losses
    )
    targets = tuple(_target(spec, network, loss, record.target, who) for loss, record in zip(made, losses, strict=True))
    if trainable is not None:
        marked = choose(trainable, of_graph(graph, spec, [loss.start for loss in made]), spec, who)
    return Lesson(made, targets, marked)


def _loss(kind: str, value: str, target: str, graph: Graph, who: str) -> Loss:
    maker = graph.maker(value)
    if kind == "categoricalCrossEntropyLossLayer":
        if maker is None or maker.kind != "softmax":
            got = "an input of the model" if maker is None else f"the output of {maker.who}"
            raise MLUpdateError(f"{who}: cross entropy: expected its input {value!r} to be the output of a softmax layer, got {got}")
        loss = Loss("cross entropy", value, maker.inputs[0])
    else:
        if maker is None:
            raise MLUpdateError(f"{who}: mean squared error: expected its input {value!r} to be made by a layer, got an input of the model")
        loss = Loss("squared error", value, value)
    judge = graph.maker(target)
    if judge is not None:
        raise MLUpdateError(f"{who}: expected the loss's target {target!r} to come with the training data, got the output of {judge.who}")
    return loss


def _target(spec: Any, network: Any, loss: Loss, target: str, who: str) -> Target:
    """The training input that is the target: the loss's own, or a classifier's label in its place."""
    given = [feature.name for feature in spec.description.trainingInput]
    label = spec.description.predictedFeatureName if spec.WhichOneof("Type") == "neuralNetworkClassifier" else ""
    if label and label in given and (target == label or target not in given):
        if loss.kind != "cross entropy":
            raise MLUpdateError(
                f"{who}: expected a cross entropy loss for the training input {label!r}, which is a class label, got mean squared error"
            )
        labels = class_labels(network)
        if not labels:
            raise MLUpdateError(f"{who}: expected class labels for the training input {label!r}, got none in the model")
        return Target(label, labels)
    if target not in given:
        wanted = f"{target!r} or {label!r}" if label else repr(target)
        raise MLUpdateError(
            f"{who}: expected the loss's target {wanted} among the training inputs, got {', '.join(map(repr, given)) or 'none'}"
        )
    return Target(target)


def _trainable(records: Sequence[LayerRecord], who: str) -> dict[str, tuple[str, ...]]:
    """By layer, the fields that learn. Weight and bias learn together."""
    trainable: dict[str, tuple[str, ...]] = {}
    for record in every_layer(records):
        if not record.updatable:
            continue
        name = f"{who}: layer {record.name!r} ({record.kind})"
        if not record.name:
            raise MLUpdateError(f"{name}: expected an updatable layer to have a name, by which its parameters are kept, got none")
        if record.kind not in UPDATABLE_KINDS:
            raise MLUpdateError(f"{name}: expected an updatable layer to be one of {', '.join(UPDATABLE_KINDS)}, got {record.kind}")
        fields = ("weights", "bias") if record.params.hasBias else ("weights",)
        for field in fields:
            weights = getattr(record.params, field)
            if weights.HasField("quantization"):
                raise MLUpdateError(f"{name}: expected floating-point {field} in an updatable layer, got quantised ones")
            if not weights.isUpdatable:
                raise MLUpdateError(
                    f"{name}: expected its {' and '.join(fields)} to be marked as updatable, as the layer is, got {field} that are not"
                )
        trainable[record.name] = fields
    if not trainable:
        raise MLUpdateError(f"{who}: expected at least one updatable layer, got none among {len(records)}")
    return trainable


def _check_names(records: Sequence[LayerRecord], losses: Sequence[str], learning: Collection[str], who: str) -> None:
    """Parameters are kept by layer name, so layers outside of blocks, those that learn, and losses are named apart."""
    outside = Counter((*(record.name for record in records), *losses))
    anywhere = Counter((*(record.name for record in every_layer(records)), *losses))
    for name in anywhere:
        if outside[name] > 1 or (name in learning and anywhere[name] > 1):
            raise MLUpdateError(f"{who}: expected layers and loss layers of different names, got two called {name!r}")
