"""Core ML's rules for networks that are updated, and what its update would make of each layer.

Sources: the format's comments on updatable layers, losses and optimizers, and what its validator checks; in words of our own in
``docs/doctor.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..errors import MLModelError
from ..format import LayerRecord, every_layer, layers
from ..models.lowered import network_of
from ..models.tensors import RANK5_ARRAYS
from ..models.trainable import TrainableLayer, trainable_layers
from ..models.updatable import OPTIMIZER_NEEDS, UPDATABLE_KINDS
from .aim import CROSS_ENTROPY, FIELDS, SQUARED_ERROR, Aim, aim_of, outputs_of
from .ranges import check_parameter
from .report import MLFinding, MLFindingSeverity, MLTrainableLayer
from .shapes import Shapes, shapes_of
from .training_inputs import check_training_inputs
from .way import Way

RANKS = {
    "convolution": (4, None), "pooling": (4, None), "softmax": (3, None), "flatten": (3, None), "batchnorm": (3, None),
    "innerProduct": (1, 5), "activation.PReLU": (3, None), "permute": (5, 5),
}  # fmt: skip
"""The fewest and the most axes that Core ML lets the input of a layer have, for kinds that matter here."""

_SINCE_VERSION_4 = 600
"""The numbers of the layers' fields from which on they came with version 4 of the format."""

QUANTISED = "its weights are quantised"

_SHOWN = 2
"""How many of the layers in between a reason names."""

_STORED = {"floatValue": "float32", "float16Value": "float16", "rawValue": "quantised", "int8RawValue": "quantised"}


def check_network(spec: Any) -> tuple[str, list[MLFinding], list[MLTrainableLayer]]:
    """The loss in words, findings, and the layers with parameters, of a model that is a network."""
    network = network_of(spec)
    records = layers(network)
    aim = aim_of(spec, network, records)
    way = Way(records, aim.value, aim.kind == CROSS_ENTROPY) if aim else Way(records, "", False)
    shapes = shapes_of(spec, sorted({aim.value, *outputs_of(spec, records)})) if aim else {}
    findings = [
        *_check_layers(records, network, spec.description.input),
        *_check_loss(network, records),
        *_check_optimizer(network.updateParams),
        *(_check_way(way) if aim else ()),
        *check_training_inputs(spec, network),
        *_check_ranks(records, shapes, way),
        *_check_mapping(spec, network),
        *_notes(records, way, aim),
    ]
    return str(aim) if aim else "none", findings, _judged(spec, records, way, aim)


def _check_layers(records: Sequence[LayerRecord], network: Any, inputs: Iterable[Any]) -> Iterator[MLFinding]:
    if not any(record.updatable for record in records):
        yield MLFinding("updatable-layers", "layers", "at least one layer marked as updatable", f"none of {len(records)}")
    for record in records:
        if not record.updatable:
            continue
        if record.kind in UPDATABLE_KINDS:
            yield from _check_weights(record)
        elif record.kind == "uniDirectionalLSTM":
            yield MLFinding(
                "updatable-kind", f"layer {record.name!r}", " or ".join(UPDATABLE_KINDS),
                "uniDirectionalLSTM, which the validator lets pass though no update of it is documented", MLFindingSeverity.NOTE,
            )  # fmt: skip
        else:
            yield MLFinding(
                "updatable-kind", f"layer {record.name!r}", f"{' or '.join(UPDATABLE_KINDS)} to be marked as updatable", record.kind
            )
    made = {feature.name for feature in inputs}
    for record in records:
        late = [name for name in record.inputs if name not in made]
        if late:
            got = f"{late[0]!r}, which comes later, if at all"
            yield MLFinding("order", f"layer {record.name!r}", "inputs that are made by layers before it", got)
        made.update(name for one in every_layer([record]) for name in one.outputs)
    names = Counter([*(record.name for record in records), *(loss.name for loss in network.updateParams.lossLayers)])
    for name, count in names.items():
        if count > 1:
            yield MLFinding("names", f"layer {name!r}", "layers and losses of different names", f"{count} called {name!r}")


def _check_weights(record: LayerRecord) -> Iterator[MLFinding]:
    for field in ("weights", "bias") if record.params.hasBias else ("weights",):
        weights = getattr(record.params, field)
        where = f"layer {record.name!r} {field}"
        if weights.HasField("quantization"):
            yield MLFinding("quantised", where, "floating-point numbers in an updatable layer", "quantised ones")
        if not weights.isUpdatable:
            yield MLFinding("weights-marked", where, "weights and bias marked as updatable, as their layer is", "isUpdatable false")
        if weights.float16Value:
            told = "float16 numbers, to which every small step is rounded when they are written"
            yield MLFinding("float16", where, "float32 numbers in a layer that learns", told, MLFindingSeverity.NOTE)


def _check_loss(network: Any, records: Sequence[LayerRecord]) -> Iterator[MLFinding]:
    losses = network.updateParams.lossLayers
    if len(losses) != 1:
        yield MLFinding("loss", "updateParams.lossLayers", "one loss", ", ".join(repr(loss.name) for loss in losses) or "none")
        return
    where, kind = f"loss {losses[0].name!r}", losses[0].WhichOneof("LossLayerType")
    if kind is None:
        yield MLFinding("loss", where, "categorical cross entropy or mean squared error", "none of them")
        return
    value, target = getattr(losses[0], kind).input, getattr(losses[0], kind).target
    makers = {name: record for record in records for name in record.outputs}
    made = makers.get(value)
    got = f"the output of {_called(made)}" if made is not None else "nothing that a layer makes"
    if FIELDS[kind] == CROSS_ENTROPY and (made is None or made.kind != "softmax"):
        yield MLFinding("softmax-before-loss", where, f"its input {value!r} to be the output of a softmax", got)
    if FIELDS[kind] == SQUARED_ERROR and made is None:
        yield MLFinding("loss-input", where, f"its input {value!r} to be made by a layer", got)
    if target in makers:
        yield MLFinding("loss-target", where, "a target that comes with the training data", f"{target!r}, of {_called(makers[target])}")


def _check_optimizer(update: Any) -> Iterator[MLFinding]:
    chosen = update.optimizer.WhichOneof("OptimizerType")
    if chosen is None:
        yield MLFinding("optimizer", "updateParams.optimizer", "SGD or Adam", "none")
    else:
        optimizer, where = getattr(update.optimizer, chosen), f"updateParams.optimizer.{chosen}"
        for name in OPTIMIZER_NEEDS[chosen]:
            if optimizer.HasField(name):
                yield from check_parameter(name, getattr(optimizer, name), where)
            else:
                yield MLFinding("optimizer", f"{where}.{name}", "a value", "none")
    if update.HasField("epochs"):
        yield from check_parameter("epochs", update.epochs, "updateParams")
    else:
        yield MLFinding("epochs", "updateParams.epochs", "a number of epochs", "none")
    if update.HasField("seed"):
        yield from check_parameter("seed", update.seed, "updateParams")


def _check_way(way: Way) -> Iterator[MLFinding]:
    refused = way.refused()
    if refused is not None:
        stopped, learns = (way.records[place] for place in refused)
        got = f"{_called(stopped)}, which has none, before {_called(learns)}, which is marked as updatable"
        yield MLFinding("gradient", f"layer {stopped.name!r}", "layers with a gradient between the loss and what learns", got)


def _check_ranks(records: Sequence[LayerRecord], shapes: Shapes, way: Way) -> Iterator[MLFinding]:
    for place, record in enumerate(records):
        least, most = RANKS.get(record.kind, (None, None))
        shape = shapes.get(record.inputs[0]) if record.inputs and place in way.reached else None
        if least is None or shape is None:
            continue
        if len(shape) < least or (most is not None and len(shape) > most):
            allowed = f"at least {least} axes" if most is None else f"{least} to {most} axes"
            yield MLFinding("rank", f"layer {record.name!r}", f"an input of {allowed} for {record.kind}", f"shape {list(shape)}")


def _check_mapping(spec: Any, network: Any) -> Iterator[MLFinding]:
    arrays = any(feature.type.HasField("multiArrayType") for feature in spec.description.input)
    if not arrays or network.arrayInputShapeMapping != RANK5_ARRAYS:
        return
    for layer in network.layers:
        kind = layer.WhichOneof("layer")
        if layer.DESCRIPTOR.fields_by_name[kind].number >= _SINCE_VERSION_4:
            expected = "inputs of exact shapes (EXACT_ARRAY_MAPPING) with layers that came with version 4"
            yield MLFinding("shape-mapping", "arrayInputShapeMapping", expected, f"five axes with {layer.name!r} ({kind})")
            return


def _notes(records: Sequence[LayerRecord], way: Way, aim: Aim | None) -> Iterator[MLFinding]:
    for place, record in enumerate(records):
        if record.updatable and aim is not None and place not in way.reached:
            expected, got = "a layer that the loss depends on", "one that it does not, so that it stays as it is"
            yield MLFinding("unreached", f"layer {record.name!r}", expected, got, MLFindingSeverity.NOTE)


def _judged(spec: Any, records: Sequence[LayerRecord], way: Way, aim: Aim | None) -> list[MLTrainableLayer]:
    """The layers with parameters, as each update sees them."""
    try:
        found = trainable_layers(spec, [aim.start(records)] if aim else [])
    except MLModelError:  # no graph, which the learner says in its own words
        return []
    places = {record.name: place for place, record in enumerate(records)}
    return [_layer(one, places.get(one.name), way) for one in found]


def _layer(one: TrainableLayer, place: int | None, way: Way) -> MLTrainableLayer:
    record = way.records[place] if place is not None else None
    sizes = stored(record.params) if record is not None else {}
    between = tuple(_called(way.records[other]) for other in way.between(place)) if place is not None else ()
    core_ml = _core_ml(one, record, "quantised" in sizes, place, way, between)
    return MLTrainableLayer(
        one.name, one.kind, sum(sizes.values()) or one.numbers, ", ".join(sizes), one.marked, between, core_ml, one.obstacle
    )


def _core_ml(one: TrainableLayer, record: LayerRecord | None, quantised: bool, place: int | None, way: Way, between: Sequence[str]) -> str:
    """Why Core ML's update cannot train a layer."""
    if one.kind not in UPDATABLE_KINDS:
        return "Core ML updates no layers of this kind"
    if record is None or place is None:
        return "it is in a block, where Core ML updates nothing"
    if len(record.inputs) > 1:
        return "its weights are made by another layer"
    if place not in way.reached:
        return "the loss does not depend on it"
    if between:
        more = f" and {len(between) - _SHOWN} more" if len(between) > _SHOWN else ""
        return f"no gradient passes {', '.join(between[:_SHOWN])}{more}"
    return QUANTISED if quantised else ""


def stored(message: Any) -> dict[str, int]:
    """How the parameters in a layer's message are stored, and how many are: ``float32``, ``float16``, ``quantised``."""
    found: dict[str, int] = {}
    for field, value in message.ListFields():
        if field.name in _STORED:
            bits = {"floatValue": 32, "float16Value": 16, "int8RawValue": 8}.get(field.name, 0)
            runs = [value] if isinstance(value, bytes) else value
            size = sum(map(len, runs)) * 8 // (bits or message.quantization.numberOfBits or 8)
            found[_STORED[field.name]] = found.get(_STORED[field.name], 0) + size
        elif field.message_type is not None:
            for one in [value] if hasattr(value, "ListFields") else value:
                for kind, size in stored(one).items():
                    found[kind] = found.get(kind, 0) + size
    return found


def _called(record: LayerRecord) -> str:
    return f"{record.name!r} ({record.kind})"
