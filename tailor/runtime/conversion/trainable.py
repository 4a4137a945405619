"""Which layers of a converted network hold the weights that required a gradient.

A converter keeps no names, and may transpose, reshape or merge weights. So the weights in question are numbered, number by
number, and the numbered model is converted: a layer whose weights are all the numbers of one weight, in whatever order, holds
it, and the order tells where each of the true numbers belongs. What comes out otherwise (merged into others, an embedding, a
recurrent layer) keeps its true values, stays as it is, and is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tailor.kernels import Array

from ..format import Model, every_layer, layers, network_of, read_floats, write_floats

KINDS = ("convolution", "innerProduct")
"""The layers that Core ML can update."""

_FIRST = 0x3F123457  # the bits of a float32 of no meaning, 0.57...; the numbers that follow it are all different


class Source(Protocol):
    """A model of another framework.

    ``weights``  what required a gradient and may become weights or bias of a layer, by name.
    ``others``   the names of what required a gradient besides.
    ``shapes``   those of the outputs, of one example.
    """

    weights: Mapping[str, Array]
    others: Sequence[str]
    shapes: Sequence[tuple[int, ...]]

    def convert(self, values: Mapping[str, Array]) -> Model:
        """The converted network, with these arrays in place of those of ``weights``."""
        ...


@dataclass(frozen=True, slots=True)
class Marked:
    """A converted network, the names of the layers that are to learn, and of the parameters that required a gradient and cannot."""

    model: Model
    trainable: tuple[str, ...]
    fixed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """A field of a layer that holds the parameter ``name``: ``order`` says which number of it is where."""

    layer: Any
    field: str
    name: str
    order: Array


def converted(source: Source) -> Marked:
    """Converts ``source``, and tells which layers hold what required a gradient; those are not marked as updatable yet.

    A layer learns as a whole: where only its weights or only its bias required a gradient, it stays as it is, unless the bias is
    zero, which is as good as none. So does one that shares a parameter with another layer.
    """
    weights = dict(source.weights)
    while True:
        model = source.convert(_numbered(weights))
        held = _find(model, weights)
        absent = weights.keys() - {place.name for place in held}
        if not absent:
            break
        weights = {name: array for name, array in weights.items() if name not in absent}
    for place in held:
        values = source.weights[place.name].reshape(-1)[place.order]
        write_floats(getattr(place.layer.params, place.field), "floatValue", values, f"{place.layer.name}.{place.field}")
    by_layer: dict[str, dict[str, str]] = defaultdict(dict)
    names = [place.name for place in held]
    for place in held:
        if names.count(place.name) == 1:
            by_layer[place.layer.name][place.field] = place.name
    learning = [record for record in every_layer(_records(model)) if _learns(record, by_layer.get(record.name, {}))]
    learned = {name for record in learning for name in by_layer[record.name].values()}
    fixed = [name for name in (*source.weights, *source.others) if name not in learned]
    return Marked(model, tuple(record.name for record in learning), tuple(fixed))


def _records(model: Model) -> Sequence[Any]:
    network = network_of(model)
    return layers(network) if network is not None else []


def _numbered(weights: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays of these shapes, of numbers that are all different."""
    numbered, first = {}, _FIRST
    for name, array in weights.items():
        numbered[name] = np.arange(first, first + array.size, dtype=np.uint32).view(np.float32).reshape(array.shape)
        first += array.size
    return numbered


def _find(model: Model, weights: Mapping[str, Array]) -> list[_Held]:
    """Where all the numbers of one of ``weights`` are."""
    names = list(weights)
    ends = np.cumsum([weights[name].size for name in names])
    found = []
    for record in every_layer(_records(model)):
        for field in ("weights", "bias") if record.kind in KINDS else ():
            numbers = read_floats(getattr(record.params, field), "floatValue")
            order = np.ascontiguousarray(numbers, np.float32).view(np.uint32).astype(np.int64) - _FIRST
            if not order.size or order.min() < 0 or order.max() >= (ends[-1] if names else 0):
                continue
            which = int(np.searchsorted(ends, order.min(), side="right"))
            size = weights[names[which]].size
            order -= ends[which] - size
            if np.array_equal(np.sort(order), np.arange(size)):
                found.append(_Held(record, field, names[which], order))
    return found


def _learns(record: Any, fields: Mapping[str, str]) -> bool:
    """Whether a layer that holds these parameters can learn; a bias that is none is taken away."""
    if record.kind not in KINDS or "weights" not in fields:
        return False
    if record.params.hasBias and "bias" not in fields:
        if np.any(read_floats(record.params.bias, "floatValue")):
            return False
        record.params.hasBias = False
        record.params.ClearField("bias")
    return True
