"""Batches of predictions that take less than the way to a lane and back: those of a kind that took little before."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from typing import Any, get_args

import numpy as np
from PIL import Image

from .custom_models import PrivatePart
from .format import every_layer, layers, network_of
from .model import MLModel
from .parameters import nested_models

SEEN = 8
"""How many batches of a kind have to have been made before one can be quick."""
KINDS = 64
"""Of how many kinds of batches it is remembered what they took, for each model."""
SHORT = 100
"""Characters of a text that costs about as much as any other so short."""
NOT_STEADY = {"customModel", "linkedModel", *get_args(PrivatePart)}


class Quick:
    """What batches of one model took, by kind: how many examples, of which shapes.

    A batch is quick if the fastest of the last ``SEEN`` of its kind took less than ``most`` seconds; the others were slower because of
    what else the machine does. Models with other people's code or with loops never are: each example may take them another time.
    """

    def __init__(self, model: MLModel, most: float) -> None:
        self._most = most if most and _is_steady(model._outline) else 0.0
        self._took: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def kind(self, batch: Sequence[Any]) -> Hashable:
        """The kind of a batch of examples and lists of them; ``None`` where no batch of it is ever quick."""
        if not self._most:
            return None
        kinds = tuple(tuple(map(_of_example, data)) if isinstance(data, (list, tuple)) else _of_example(data) for data in batch)
        return None if any(kind is None or (kind and None in kind) for kind in kinds) else kinds

    def is_quick(self, kind: Hashable) -> bool:
        """Whether the next of this kind will be."""
        took = self._took.get(kind, ())
        return len(took) == SEEN and min(took) < self._most

    def took(self, kind: Hashable, seconds: float) -> None:
        """Remembers what a batch took in which every example was answered."""
        if kind is None:
            return
        self._took.setdefault(kind, deque(maxlen=SEEN)).append(seconds)
        self._took.move_to_end(kind)
        if len(self._took) > KINDS:
            self._took.popitem(last=False)


def _of_example(data: Any) -> tuple[Hashable, ...] | None:
    """What the time for an example depends on; ``None`` where that is not told by shapes."""
    if not isinstance(data, dict):
        return None
    kinds = tuple(_of_value(value) for value in data.values())
    return None if None in kinds else (*data, *kinds)


def _of_value(value: Any) -> Hashable:
    """``None`` for dictionaries, lists, long texts and what is not known here."""
    match value:
        case np.ndarray():
            return tuple(value.shape)
        case Image.Image():
            return value.size, value.mode
        case bool() | int() | float() | np.generic():
            return ()
        case str() if len(value) <= SHORT:
            return ()
    return None


def _is_steady(spec: Any) -> bool:
    """Whether nothing but the shapes of its inputs decides what a prediction takes."""
    if spec.WhichOneof("Type") in NOT_STEADY or not all(_is_steady(nested) for _, nested in nested_models(spec)):
        return False
    network = network_of(spec)
    return network is None or all(record.kind not in ("custom", "loop") for record in every_layer(layers(network)))
