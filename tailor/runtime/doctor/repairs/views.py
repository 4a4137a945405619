"""Layers that change a shape and leave the numbers in their order: those that change nothing are dropped, alone or together."""

from __future__ import annotations

from collections.abc import Collection
from math import prod

from tailor.kernels import Shape

from ...format import NeuralNetworkLayer
from ..aim import VIEWS
from .layers import Layers

_BY_CHANNEL = ("PReLU", "parametricSoftplus")
_CHANNEL_FIRST = 0  # FlattenLayerParams and ReshapeLayerParams
_PERMUTED = (0, 2, 3, 4)  # what ``permute`` numbers, of [Seq, Batch, C, H, W]


def is_view(layer: NeuralNetworkLayer, layers: Layers) -> bool:
    """Whether a layer gives the numbers of its first input in their order, for the shapes that are known."""
    kind = layer.WhichOneof("layer")
    if not layer.input or len(layer.output) != 1 or not layers.knows(layer.input[0], layer.output[0]):
        return False
    if kind in VIEWS:
        return True
    shape = layers.shape(layer.input[0])
    if kind in ("reshape", "flatten"):
        return bool(getattr(layer, kind).mode == _CHANNEL_FIRST) or sum(size > 1 for size in shape) <= 1
    if kind == "transpose":
        return _keeps_order(tuple(layer.transpose.axes), shape)
    if kind == "permute" and sorted(layer.permute.axis) == [0, 1, 2, 3]:
        sequence, *rest = (_PERMUTED[axis] for axis in layer.permute.axis)
        return len(shape) == 5 and _keeps_order((sequence, 1, *rest), shape)
    if kind == "activation" and layer.activation.WhichOneof("NonlinearityType") == "linear":
        return layer.activation.linear.alpha == 1 and layer.activation.linear.beta == 0
    return False


def elementwise(layer: NeuralNetworkLayer) -> bool:
    """Whether a layer is an activation that treats all numbers alike, in whatever shape they are."""
    return layer.WhichOneof("layer") == "activation" and layer.activation.WhichOneof("NonlinearityType") not in _BY_CHANNEL


def drop_views(layers: Layers, only: Collection[str] | None = None) -> None:
    """Drops layers that give what they take, alone, in a row, or around activations; where there are names, ``only`` those of these."""
    views = [layer for layer in layers if is_view(layer, layers)]
    dropped = False
    for layer in views:
        if only is not None and layer.name not in only:
            continue
        same = _same(layer, layers)
        if same is not None and layers.replace(layer.output[0], same):
            dropped = True
        elif is_view(layer, layers) and layer.output[0] not in layers.outputs:
            _past_activations(layer, layers)
    for view in views if dropped else ():  # those between as well
        layers.let_go(view)


def _past_activations(layer: NeuralNetworkLayer, layers: Layers) -> None:
    """Has activations before a view take what comes in the shape of its answer, where views before them had changed that."""
    shape, name = layers.shape(layer.output[0]), layer.input[0]
    activations, views = [], [layer]
    while layers.uses(name) == 1 and (made := layers.made_by(name)) is not None:
        if is_view(made, layers):
            views.append(made)
        elif elementwise(made):
            activations.append(made)
        else:
            return
        name = made.input[0]
        if layers.knows(name) and layers.steady(name) and layers.shape(name) == shape:
            break
    else:
        return
    for activation in reversed(activations):
        made_now = layers.fresh(activation.output[0])
        layers.redirect(activation, name, made_now, shape)
        name = made_now
    layers.replace(layer.output[0], name)
    for view in views:
        layers.let_go(view)


def _same(layer: NeuralNetworkLayer, layers: Layers) -> str | None:
    """The earliest value of the same numbers in the same shape as a view's answer."""
    if not is_view(layer, layers):  # its name was given to another
        return None
    shape, found, name = layers.shape(layer.output[0]), None, layer.input[0]
    while True:
        if layers.shape(name) == shape and layers.steady(name):
            found = name
        made = layers.made_by(name)
        if made is None or not is_view(made, layers):
            return found
        name = made.input[0]


def _keeps_order(axes: tuple[int, ...], shape: Shape) -> bool:
    """Whether a permutation moves only axes of size 1 past others."""
    moved = [axis for axis in axes if axis < len(shape) and shape[axis] > 1]
    return len(axes) == len(shape) and (moved == sorted(moved) or prod(shape) == 0)
