"""Layers that only move numbers, which mostly turns out to need no step at all; constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...op import Array, Attributes, Shape
from ...registry import OPS
from ..assembly import Assembly
from ..bind import Bind, Make, always
from ..views import View


def _recast(op: str) -> Make:
    """The same numbers, in C order, with the shape that the op's rule gives."""

    def make(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
        return to.recast(inputs[0], OPS[op].shape(inputs[0].shape, **attributes))

    return make


def _order(op: str, rank: int, attributes: Attributes) -> list[int]:
    """The order of axes that the op makes, read off what it does to the shape of an array that has each size once."""
    marks = np.lib.stride_tricks.as_strided(np.zeros(1), tuple(range(2, rank + 2)), (0,) * rank)
    return [size - 2 for size in OPS[op].forward(marks, **attributes).shape]


def _turned(op: str) -> Make:
    def make(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
        return inputs[0].permuted(_order(op, len(inputs[0].shape), attributes))

    return make


def _transpose_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return bool(len(attributes["axes"]) == len(inputs[0]))


def _flatten(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    """Most images lie with their channels closest already."""
    (view,) = inputs
    rank = len(view.shape)
    moved = view.permuted([*range(rank - 3), rank - 2, rank - 1, rank - 3]) if attributes["channel_last"] else view
    return to.recast(moved, OPS["flatten"].shape(view.shape, **attributes))


def _concat_fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return bool(attributes["axis"] == -3)


def _concat(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    """Most inputs were made in their place already."""
    first = inputs[0].shape
    whole = to.place(name, (*first[:-3], sum(view.shape[-3] for view in inputs), *first[-2:]), True)
    begin = 0
    for view in inputs:
        place = View(whole.buffer, view.shape, whole.strides, whole.at + begin)
        if (view.buffer, view.at, view.strides) != (place.buffer, place.at, place.strides):
            to.copy(view, place)
        begin += view.shape[-3]
    return whole


def _constant(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    return to.constant(np.asarray(OPS["loadConstantND"].forward(*weights, **attributes)))


RECASTING = ("reshapeStatic", "rankPreservingReshape", "squeeze", "expandDims", "flattenTo2D")

BINDS = (
    *(Bind(name, always, _recast(name), moves=True) for name in RECASTING),
    Bind("flatten", always, _flatten, moves=True),
    Bind("transpose", _transpose_fits, _turned("transpose"), moves=True),
    Bind("permute", always, _turned("permute"), moves=True),
    Bind("concat", _concat_fits, _concat),
    Bind("loadConstantND", always, _constant, moves=True),
)
