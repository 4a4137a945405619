"""Softmax and normalisations along rows as steps."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ...layers.axes import from_end
from ...op import Array, Attributes, Shape
from ..assembly import Assembly
from ..bind import Bind, Make
from ..records import Function, Norm
from ..views import View, c_order


def _softmax(axis: int | None = None) -> Make:
    def make(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
        x = inputs[0]
        place = len(x.shape) + (from_end(attributes["axis"], len(x.shape)) if axis is None else axis)
        y = to.like(name, x)
        order = [*(a for a in range(len(x.shape)) if a != place), place]
        if y.strides[place] == 1 or y.shape[place] == 1:
            near = x if x.strides[place] == 1 or x.shape[place] == 1 else to.copy(x, _as(to, x, y, order))
            to.norm(Norm.SOFTMAX, y.permuted(order), near.permuted(order))
            return y
        near = to.in_order(x.permuted(order))
        made = to.norm(Norm.SOFTMAX, to.new(near.shape), near)
        return to.copy(made.permuted([order.index(a) for a in range(len(order))]), y)

    return make


def _as(to: Assembly, x: View, y: View, order: Sequence[int]) -> View:
    """Fresh memory for ``x`` in which the last axis of ``order`` is closest."""
    fresh = to.new(tuple(x.shape[a] for a in order))
    return fresh.permuted([order.index(a) for a in range(len(order))])


def _rows(to: Assembly, x: View, axes: int) -> View:
    """``[rows, the last axes]``."""
    return to.recast(x, (prod(x.shape[:-axes]), prod(x.shape[-axes:])))


def _mean_variance(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    x = inputs[0]
    near = _rows(to, x, 3 if attributes["across"] else 2)
    y = to.place(name, x.shape, False)
    kind = Norm.STANDARD if attributes["variance"] else Norm.CENTRED
    to.norm(kind, View(y.buffer, near.shape, c_order(near.shape), y.at), near, attributes["epsilon"])
    return y


def _layer(to: Assembly, name: str, inputs: Sequence[View], weights: Sequence[Array], attributes: Attributes) -> View:
    x, (gamma, beta) = inputs[0], weights
    near = _rows(to, x, gamma.ndim)
    made = to.norm(Norm.STANDARD, to.new(near.shape), near, attributes["epsilon"])
    stored = [to.constant(array.reshape(-1)) for array in (gamma, beta)]
    y = to.place(name, x.shape, False)
    to.map(Function.SCALE, View(y.buffer, near.shape, c_order(near.shape), y.at), made, *stored)
    return y


def _fits(inputs: Sequence[Shape], weights: Sequence[Shape], attributes: Attributes) -> bool:
    return prod(inputs[0]) > 0


BINDS = (
    Bind("softmax", _fits, _softmax(-3)),
    Bind("softmaxND", _fits, _softmax()),
    Bind("mvn", _fits, _mean_variance),
    Bind("layerNormalization", _fits, _layer),
)
