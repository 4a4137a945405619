"""Vectors moved to channels: ``[1, C, 1, 1]`` instead of ``[1, C]``.

Core ML's softmax, which its cross entropy needs, works along channels; and of what lies between a loss and a layer that
learns it can flatten, but not reshape. So what the inner products are given is flattened where it was reshaped, or gets two
axes more; what they answer loses them again where others use it. The numbers stay the same.
"""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from typing import Any

from tailor.kernels import Shape

from ...errors import MLFormatError
from ...format import NeuralNetworkLayer
from .layers import Layers
from .views import elementwise, is_view


class Channels:
    """Moves values of ``layers`` to channels; ``layers.write`` puts the result into the network."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._moved: dict[str, str] = {}

    def softmax(self, output: str, *, any_shape: bool = False) -> str:
        """The name of a value that is the softmax, along channels, of the logits that ``output`` is, or is the softmax of.

        ``output`` keeps its numbers, and its shape too unless it may have ``any_shape``, as the probabilities of a classifier.
        Raises ``MLFormatError`` where they are no vector, or the softmax goes along another axis.
        """
        layers = self._layers
        made = layers.made_by(output)
        kind = made.WhichOneof("layer") if made is not None else None
        if kind == "softmax" and not layers.knows(output):  # whoever runs it will see
            return output
        shape = layers.shape(output)
        long = [axis for axis, size in enumerate(shape) if size != 1]
        if len(long) > 1 or not shape:
            raise MLFormatError(f"loss: expected a vector of one number a class for cross entropy, got {output!r} of shape {list(shape)}")
        along = long[0] if long else None
        if made is None or kind not in ("softmax", "softmaxND"):
            source = self.vector(output)
            value = layers.fresh(f"{output}_probabilities")
            layers.add("softmax", source, value, layers.shape(source), _softmax, layers.last)
            return value
        axis = len(shape) - 3 if kind == "softmax" else made.softmaxND.axis % len(shape)
        if along not in (None, axis):
            raise MLFormatError(f"loss: expected {output!r}, of shape {list(shape)}, to be a softmax along axis {along}, got axis {axis}")
        if kind == "softmax":
            return output
        source = self.vector(made.input[0])
        keeps = any_shape or layers.shape(source) == shape
        value = output if keeps else layers.fresh(f"{output}_channels")
        added = layers.add("softmax", source, value, layers.shape(source), _softmax, made)
        layers.remove(made)
        if not keeps:
            self._restore(value, output, shape, added)
        return value

    def vector(self, value: str) -> str:
        """The name of a value ``[1, n, 1, 1]`` of the ``n`` numbers of ``value``; as close to convolutions as it can be had."""
        layers = self._layers
        if value in self._moved:
            return self._moved[value]
        if not layers.steady(value):
            raise MLFormatError(f"value {value!r}: expected one layer that makes it, outside of branches and loops, got another")
        shape, made = layers.shape(value), layers.made_by(value)
        if made is not None and is_view(made, layers) and self._worth(made.input[0]):
            layers.let_go(made)
            moved = self.vector(made.input[0])
        elif _is_vector(shape):
            moved = value
        elif len(shape) >= 4 and prod(shape[:-3]) == 1:
            moved = layers.fresh(f"{value}_channels")
            layers.add("flatten", value, moved, _along_channels(shape), lambda layer: layer.flatten.SetInParent(), made)
        elif made is not None and self._carries(made):
            source = self.vector(made.input[0])
            moved = layers.fresh(f"{value}_channels")
            layers.redirect(made, source, moved, (1, prod(shape), 1, 1))
            self._restore(moved, value, shape, made)
        else:
            moved = layers.fresh(f"{value}_channels")
            self._reshape("expand", value, moved, (1, prod(shape), 1, 1), made)
        self._moved[value] = moved
        return moved

    def clear(self, names: Collection[str]) -> None:
        """Has vectors along channels be flattened or taken as they are, where the layers ``names`` reshape to get them."""
        layers = self._layers
        for layer in layers:
            if layer.name not in names or layer not in layers or not is_view(layer, layers) or layer.WhichOneof("layer") == "flatten":
                continue
            value = layer.output[0]
            if _is_vector(layers.shape(value)) and self._worth(layer.input[0]):
                moved = self.vector(value)
                if moved != value:
                    layers.replace(value, moved)

    def _worth(self, value: str) -> bool:
        """Whether numbers that are only reshaped come from where they can be had along channels without a reshape."""
        layers = self._layers
        if not layers.steady(value) or not layers.knows(value):
            return False
        made, shape = layers.made_by(value), layers.shape(value)
        if made is not None and is_view(made, layers) and made.WhichOneof("layer") != "flatten":
            return self._worth(made.input[0])
        return (len(shape) >= 4 and prod(shape[:-3]) == 1) or (made is not None and self._carries(made))

    def _carries(self, layer: NeuralNetworkLayer) -> bool:
        """Whether a layer makes of ``[1, C, 1, 1]`` what it makes of its input."""
        kind = layer.WhichOneof("layer")
        if not self._layers.steady(layer.input[0]):
            return False
        if elementwise(layer):
            return True
        if kind != "innerProduct" or len(layer.input) != 1 or not self._layers.knows(layer.input[0], layer.output[0]):
            return False
        shapes = [self._layers.shape(name) for name in (layer.input[0], layer.output[0])]
        return all(1 <= len(shape) <= 3 and prod(shape) == shape[-1] for shape in shapes)

    def _restore(self, moved: str, value: str, shape: Shape, after: NeuralNetworkLayer) -> None:
        """Makes ``value`` again, if anybody takes it in the end."""
        self._layers.let_go(self._reshape("squeeze", moved, value, shape, after))

    def _reshape(self, name: str, taken: str, made: str, shape: Shape, after: NeuralNetworkLayer | None) -> NeuralNetworkLayer:
        """Adds what makes ``shape`` of a value of as many numbers: axes of size 1 more or less where that will do."""
        before = self._layers.shape(taken)
        long, short = (before, shape) if len(before) > len(shape) else (shape, before)
        axes = _ones(long, short)

        def fill(layer: Any) -> None:
            if axes is None:
                layer.reshapeStatic.targetShape.extend(shape)
            elif long is before:
                layer.squeeze.axes.extend(axes)
            else:
                layer.expandDims.axes.extend(axes)

        return self._layers.add("reshape" if axes is None else name, taken, made, shape, fill, after)


def _softmax(layer: Any) -> None:
    layer.softmax.SetInParent()


def _is_vector(shape: Shape) -> bool:
    """Whether numbers lie along channels alone, in a rank in which an inner product takes them so."""
    return len(shape) >= 4 and prod(shape) == shape[-3]


def _along_channels(shape: Shape) -> Shape:
    return (*shape[:-3], prod(shape[-3:]), 1, 1)


def _ones(long: Shape, short: Shape) -> tuple[int, ...] | None:
    """The axes of size 1 that ``long`` has more than ``short``, from its end; ``None`` where they differ by more."""
    axes, rest = [], list(short)
    for axis in range(len(long) - 1, -1, -1):
        if rest and rest[-1] == long[axis] and not (long[axis] == 1 and axis > len(rest) - 1):
            rest.pop()
        elif long[axis] == 1:
            axes.append(axis)
        else:
            return None
    return None if rest or not axes else tuple(reversed(axes))
