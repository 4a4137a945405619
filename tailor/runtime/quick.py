"""Batches of predictions that take less than the way to a lane and back: those of a kind that took little before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from PIL import Image

from tailor.kernels import OPS

from .custom_models import PrivatePart
from .errors import MLModelError
from .format import layers, network_of
from .model import MLModel
from .parameters import nested_models

SEEN = 8
"""How many batches of a kind have to have been quick, beyond those that were not, before one is taken for quick."""
MOST_SEEN = 2048
KINDS = 16
"""Of how many kinds of batches it is remembered what they took, for each model: as many as a network has plans for."""
VALUES = 64
"""A batch of more values than that is of no kind, for telling it would take its time too."""
SHORT = 100
"""Characters of a text that costs about as much as any other so short."""
OTHERS = {"customModel", "linkedModel", "nonMaximumSuppression", *get_args(PrivatePart)}
"""Types of models with code of others, or whose time values decide."""
LAYERS = {name for name, op in OPS.items() if op.batched is not None} - {"NonMaximumSuppression"}
"""Layers that may be given examples stacked: what they make has a shape that no value decides."""
SIZED = {"constantPad", "oneHot", "tile", "topK"}
"""Those of them that are told a size by their second input, if they have one."""


@dataclass(slots=True)
class _Kind:
    """``credit``: one more with each batch that was quick; one that was not costs as many as it took times as long. At ``wanted`` the kind
    is taken for ``quick``, until nothing is left; more is wanted then, for it has held the event loop up."""

    credit: int = 0
    wanted: int = SEEN
    quick: bool = False


class Quick:
    """Which batches of one model take less than ``most`` seconds of a processor's time, by kind: how many examples, of which shapes.

    None is where anything but shapes can decide what it takes: of a model with other people's code, and of a network with branches, loops
    or layers that make shapes out of values.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._steady: bool | None = None if most else False
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()

    def look(self, model: MLModel) -> None:
        """Looks through the model, once; in a worker thread, for it may be a large one."""
        if self._steady is None:
            try:
                self._steady = _is_steady(model._outline)
            except MLModelError:  # which its predictions tell
                self._steady = False

    def kind(self, batch: Sequence[Any]) -> Hashable:
        """The kind of a batch of examples and lists of them; ``None`` where no batch of it is ever quick."""
        if self._steady is False:
            return None
        examples = [one for data in batch for one in (data if type(data) is list else [data])]
        if not all(type(one) is dict for one in examples) or sum(map(len, examples)) > VALUES:
            return None
        kinds = tuple((name, _of_value(value)) for one in examples for name, value in one.items())
        return None if any(kind is None for _, kind in kinds) else (len(examples), kinds)

    def is_quick(self, kind: Hashable) -> bool:
        """Whether the next of this kind is taken for quick."""
        known = self._kinds.get(kind)
        return self._steady is True and known is not None and known.quick

    def took(self, kind: Hashable, seconds: float) -> None:
        """Remembers what a batch took of a processor's time in which every example was answered."""
        if kind is None:
            return
        known = self._kinds.setdefault(kind, _Kind())
        self._kinds.move_to_end(kind)
        if len(self._kinds) > KINDS:
            self._kinds.popitem(last=False)
        if seconds < self._most:
            known.credit += 1
            if known.credit >= known.wanted:
                known.quick = True
            if known.quick:
                known.credit = min(known.credit, SEEN)
        else:
            known.credit = max(0, known.credit - int(seconds / self._most))
            if known.quick and not known.credit:
                known.quick, known.wanted = False, min(4 * known.wanted, MOST_SEEN)


def _of_value(value: Any) -> Hashable:
    """What the time for a value depends on; ``None`` for what no shape tells (dictionaries, lists, long texts), for pictures that are still
    to be read from their files, and for classes that are not known here, whose code is not for the event loop."""
    kind = type(value)
    if kind is np.ndarray:
        return tuple(value.shape)
    if kind is Image.Image:
        return value.size, value.mode
    if kind in (bool, int, float) or (kind is str and len(value) <= SHORT) or issubclass(kind, (np.number, np.bool_)):
        return ()
    return None


def _is_steady(spec: Any) -> bool:
    """Whether nothing but the shapes of its inputs decides what a prediction takes. Raises ``MLModelError`` for what is no model."""
    if spec.WhichOneof("Type") in OTHERS or not all(_is_steady(nested) for _, nested in nested_models(spec)):
        return False
    network = network_of(spec)
    return network is None or all(
        not record.inputs or (record.kind in LAYERS and not (record.kind in SIZED and len(record.inputs) > 1)) for record in layers(network)
    )
