"""The numbers of a model's layers by key: read as arrays, checked, and put into a copy of its message.

A field has the name that the format gives it (``gamma``, ``inputGateBiasVector``) and the layout in which the format stores
it; Core ML's ``biases`` is the field ``bias``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tailor.kernels import OPS, Array

from ..errors import MLFeatureError, MLFormatError, MLParameterError
from ..format import LayerRecord, encode_weights, every_layer, layers, network_of, weight_message, weight_storage
from ..parameters import MLParameterKey, nested_models
from ..values import MLMultiArrayDataType
from ..values.arrays import as_array, cast
from .family import Trainable
from .lowered import decode_field, graph_of
from .pipeline import within_last
from .updatable import loss_records, read_lesson

_FIELDS = {"biases": "bias"}
_NAMES = {field: name for name, field in _FIELDS.items()}

_TYPES = {
    "": MLMultiArrayDataType.FLOAT32,
    "floatValue": MLMultiArrayDataType.FLOAT32,
    "float16Value": MLMultiArrayDataType.FLOAT16,
}
"""What numbers are rounded to, by how they are stored."""


def read_weights(spec: Any, key: MLParameterKey) -> Array:
    """The numbers that ``key`` names, float32, read-only. Raises ``MLParameterError`` where the model does not have it."""
    return _Layers(spec).found(key)[2]


def weights_writer(spec: Any, given: Mapping[MLParameterKey, object], *, added: bool = False) -> Callable[[Any], None]:
    """A function that puts the arrays ``given`` into a copy of ``spec``, or what is there with them ``added``.

    Raises ``MLParameterError`` for a key that the model does not have, or that is given twice, for numbers that are stored
    quantised, and for what is no array of finite numbers of the shape that ``read_weights`` gives.
    """
    every = _Layers(spec)
    fitting: dict[tuple[int, str], Array] = {}
    for key, value in given.items():
        place, field, numbers = every.found(key)
        if (place, field) in fitting:
            raise MLParameterError(f"parameter {key}: expected one value, got two under different scopes")
        fitting[place, field] = _fitting(value, numbers, weight_message(every.records[place].params, field), key, added)

    def write(copy: Any) -> None:
        records = _Layers(copy).records
        for (place, field), array in fitting.items():
            encode_weights(weight_message(records[place].params, field), array, _who(records[place]))

    return write


def trainable_weights(
    spec: Any, who: str, trainable: Trainable = None, loss_weights: Mapping[str, float] | None = None
) -> dict[MLParameterKey, Array]:
    """What an update of the model changes, in the order of its layers; of a pipeline that is in its last model.

    ``trainable`` and ``loss_weights`` as ``read_lesson`` takes them. Empty where the model is not updatable or learns otherwise.
    """
    path: tuple[str, ...] = ()
    learning = spec
    while inner := nested_models(learning):
        *front, (name, learning) = inner
        path = (*path, name)
        trainable = within_last(name, [other for other, _ in front], trainable, who)
    network = network_of(learning)
    if network is None or not spec.isUpdatable:
        return {}
    records = list(every_layer(layers(network)))
    fields: dict[str, tuple[str, ...]] = {record.name: ("weights", "bias") for record in records if record.updatable}
    if trainable is not None:
        fields = _asked(learning, trainable, loss_weights, who)
    return {
        MLParameterKey(_NAMES.get(field, field), ".".join((*path, record.name))): array
        for record in records
        if record.name in fields
        for field, array in _numbers(record).items()
        if field in fields[record.name]
    }


def _asked(spec: Any, trainable: Trainable, loss_weights: Mapping[str, float] | None, who: str) -> dict[str, tuple[str, ...]]:
    network = network_of(spec)
    graph = graph_of(spec, [loss.value for loss in loss_records(network, loss_weights, who)], who)
    return read_lesson(spec, network, graph, who, trainable, loss_weights).trainable


def _placed(spec: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], LayerRecord]]:
    """Every layer, with the names of the models that it is in, from the outside in."""
    network = network_of(spec)
    if network is not None:
        for record in every_layer(layers(network)):
            yield path, record
    for name, model in nested_models(spec):
        yield from _placed(model, (*path, name))


class _Layers:
    """Every layer of a model and of those inside it, always in the same order; what is read of one is kept."""

    def __init__(self, spec: Any) -> None:
        placed = list(_placed(spec))
        self.records = [record for _, record in placed]
        self._paths = [path for path, _ in placed]
        self._read: dict[int, dict[str, Array]] = {}

    def numbers(self, place: int) -> dict[str, Array]:
        """What the layer at ``place`` has, by field."""
        if place not in self._read:
            self._read[place] = _numbers(self.records[place])
        return self._read[place]

    def found(self, key: MLParameterKey) -> tuple[int, str, Array]:
        """The place of the layer that ``key`` is scoped to, the field, and its numbers. Raises ``MLParameterError``."""
        place = self._place(key)
        field, known = _FIELDS.get(key.name, key.name), self.numbers(place)
        if field not in known:
            names = _listed([_NAMES.get(name, name) for name in known])
            raise MLParameterError(f"parameter {key}: expected what the {_who(self.records[place])} has ({names}), got {key.name!r}")
        return place, field, known[field]

    def _place(self, key: MLParameterKey) -> int:
        """Models' names come before the layer's; they may be left out where only one layer has its name, or stand in the other order."""
        if not key.scope:
            raise MLParameterError(f"parameter {key}: expected it scoped to a layer, as in scoped('dense'), got it for the whole model")
        parts = [(*path, record.name) for path, record in zip(self._paths, self.records, strict=True)]
        whole = [".".join(names) for names in parts]
        places = [place for place, name in enumerate(whole) if name == key.scope]
        if not places:
            places = [place for place, names in enumerate(parts) if key.scope in (names[-1], ".".join(reversed(names)))]
        if len(places) == 1:
            return places[0]
        if places:
            several = _listed([whole[place] for place in places])
            raise MLParameterError(f"parameter {key}: expected the name of one layer, got one that several have: {several}")
        named = _listed([name for place, name in enumerate(whole) if parts[place][-1] and self.numbers(place)])
        raise MLParameterError(f"parameter {key}: expected a layer with weights ({named}), got {key.scope!r}")


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])]) or "none"


def _who(record: LayerRecord) -> str:
    return f"layer {record.name!r} ({record.kind})"


def _numbers(record: LayerRecord) -> dict[str, Array]:
    """The fields of a layer that hold numbers, as its op names, orders and shapes them."""
    op = OPS.get(record.kind)
    if op is None:
        return {}
    try:
        reading = op.read(record.params, lambda message, field, shape: decode_field(message, field, shape, f"{_who(record)} {field}"))
    except ValueError as error:
        raise MLFormatError(f"{_who(record)}: {error}") from error
    for array in reading.weights.values():
        array.flags.writeable = False
    return dict(reading.weights)


def _fitting(value: object, numbers: Array, message: Any, key: MLParameterKey, added: bool) -> Array:
    """``value``, ``added`` to the ``numbers`` of a field, as its ``message`` can hold it."""
    storage = weight_storage(message)
    if storage not in _TYPES:
        raise MLParameterError(f"parameter {key}: expected floating-point numbers in the layer, got quantised ones, which can only be read")
    expected = f"numbers of shape {list(numbers.shape)}"
    try:
        array = as_array(value, f"parameter {key}", expected)
        if array.shape != numbers.shape:
            raise MLParameterError(f"parameter {key}: expected {expected}, got shape {list(array.shape)}")
        if added:
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
                array = numbers + array
        return cast(array, _TYPES[storage], f"parameter {key}")
    except MLFeatureError as error:
        raise MLParameterError(str(error)) from error
