"""The layers of a network under construction: one method a layer, each appending it and returning its message.

Weights are taken **in the layout in which the format stores them**, C order; where coremltools' builder takes another
(convolution), the docstring says so. A wrong shape raises ``MLFormatError`` naming the layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ...errors import MLFormatError
from ..floats import write_floats
from ..layers import Network
from ..schema.layers_shape_pb2 import FlattenLayerParams, ReshapeLayerParams
from ..schema.layers_window_pb2 import PoolingLayerParams, SamePadding, ValidPadding
from ..schema.network_pb2 import NeuralNetworkLayer
from ..schema.weights_pb2 import WeightParams
from .activations import set_activation

_POOLING = {"MAX": PoolingLayerParams.MAX, "AVERAGE": PoolingLayerParams.AVERAGE, "L2": PoolingLayerParams.L2}
_ASYMMETRY = {"BOTTOM_RIGHT_HEAVY": SamePadding.BOTTOM_RIGHT_HEAVY, "TOP_LEFT_HEAVY": SamePadding.TOP_LEFT_HEAVY}

T = TypeVar("T")


class NetworkLayers:
    """Appends layers to ``nn_spec``; ``layer_specs`` has them by name."""

    def __init__(self, nn_spec: Network) -> None:
        self.nn_spec = nn_spec
        self.layer_specs: dict[str, NeuralNetworkLayer] = {layer.name: layer for layer in nn_spec.layers}

    def _add(self, name: str, inputs: str | Sequence[str], output: str) -> NeuralNetworkLayer:
        if not name or name in self.layer_specs:
            raise MLFormatError(f"layer {name!r}: expected a name that no other layer has, got {'one twice' if name else 'none'}")
        layer = self.nn_spec.layers.add(name=name, input=[inputs] if isinstance(inputs, str) else list(inputs), output=[output])
        self.layer_specs[name] = layer
        return layer

    def add_convolution(
        self, name: str, kernel_channels: int, output_channels: int, height: int, width: int, stride_height: int, stride_width: int,
        border_mode: str, groups: int, W: ArrayLike, b: ArrayLike | None, has_bias: bool, input_name: str, output_name: str, *,
        is_deconv: bool = False, output_shape: Sequence[int] | None = None, dilation_factors: Sequence[int] = (1, 1),
        padding_top: int = 0, padding_bottom: int = 0, padding_left: int = 0, padding_right: int = 0,
        same_padding_asymmetry_mode: str = "BOTTOM_RIGHT_HEAVY",
    ) -> NeuralNetworkLayer:  # fmt: skip
        """Convolution. ``W`` is ``[output_channels, kernel_channels, height, width]`` with ``kernel_channels`` = input channels / groups
        (coremltools takes ``[height, width, kernel_channels, output_channels]``); a deconvolution's ``W`` is
        ``[kernel_channels, output_channels / groups, height, width]`` with ``kernel_channels`` = input channels.

        ``border_mode``: ``"valid"`` with the paddings, or ``"same"``. ``b``: ``[output_channels]`` where ``has_bias``.
        """
        if groups < 1 or output_channels % groups:
            raise MLFormatError(f"layer {name!r}: expected groups that divide {output_channels} output channels, got {groups}")
        layer = self._add(name, input_name, output_name)
        made = layer.convolution
        made.outputChannels, made.kernelChannels, made.nGroups = output_channels, kernel_channels, groups
        made.kernelSize.extend((height, width))
        made.stride.extend((stride_height, stride_width))
        made.dilationFactor.extend(dilation_factors)
        made.isDeconvolution = is_deconv
        made.outputShape.extend(output_shape or ())
        if border_mode.upper() == "VALID":
            _pad(made.valid, padding_top, padding_bottom, padding_left, padding_right)
        elif border_mode.upper() == "SAME":
            made.same.asymmetryMode = _choice(_ASYMMETRY, same_padding_asymmetry_mode, name, "asymmetry mode")
        else:
            raise MLFormatError(f"layer {name!r}: expected a border mode of valid or same, got {border_mode!r}")
        rows = (kernel_channels, output_channels // groups) if is_deconv else (output_channels, kernel_channels)
        _fill(made.weights, W, (*rows, height, width), f"{name}.weights")
        made.hasBias = has_bias
        if has_bias:
            _fill(made.bias, b, (output_channels,), f"{name}.bias")
        return layer

    def add_pooling(
        self, name: str, height: int, width: int, stride_height: int, stride_width: int, layer_type: str, padding_type: str,
        input_name: str, output_name: str, *, exclude_pad_area: bool = True, is_global: bool = False,
        padding_top: int = 0, padding_bottom: int = 0, padding_left: int = 0, padding_right: int = 0,
        same_padding_asymmetry_mode: str = "BOTTOM_RIGHT_HEAVY",
    ) -> NeuralNetworkLayer:  # fmt: skip
        """Pooling. ``layer_type``: MAX, AVERAGE, L2. ``padding_type``: VALID, SAME, INCLUDE_LAST_PIXEL (symmetric paddings)."""
        layer = self._add(name, input_name, output_name)
        made = layer.pooling
        made.type = _choice(_POOLING, layer_type, name, "pooling")
        made.kernelSize.extend((height, width))
        made.stride.extend((stride_height, stride_width))
        made.avgPoolExcludePadding = exclude_pad_area
        made.globalPooling = is_global
        padding = padding_type.upper()
        if padding == "VALID":
            _pad(made.valid, padding_top, padding_bottom, padding_left, padding_right)
        elif padding == "SAME":
            made.same.asymmetryMode = _choice(_ASYMMETRY, same_padding_asymmetry_mode, name, "asymmetry mode")
        elif padding == "INCLUDE_LAST_PIXEL":
            if padding_top != padding_bottom or padding_left != padding_right:
                raise MLFormatError(f"layer {name!r}: expected symmetric paddings with INCLUDE_LAST_PIXEL, got different ones")
            made.includeLastPixel.paddingAmounts.extend((padding_top, padding_left))
        else:
            raise MLFormatError(f"layer {name!r}: expected a padding of VALID, SAME or INCLUDE_LAST_PIXEL, got {padding_type!r}")
        return layer

    def add_activation(
        self, name: str, non_linearity: str, input_name: str, output_name: str, params: object = None
    ) -> NeuralNetworkLayer:
        """An activation; ``params`` as ``activations.set_activation`` says, ``None`` for its defaults."""
        layer = self._add(name, input_name, output_name)
        set_activation(layer.activation, non_linearity, params, name)
        return layer

    def add_inner_product(
        self, name: str, W: ArrayLike, b: ArrayLike | None, input_channels: int, output_channels: int, has_bias: bool,
        input_name: str, output_name: str,
    ) -> NeuralNetworkLayer:  # fmt: skip
        """Inner product. ``W``: ``[output_channels, input_channels]``; ``b``: ``[output_channels]`` where ``has_bias``."""
        layer = self._add(name, input_name, output_name)
        made = layer.innerProduct
        made.inputChannels, made.outputChannels, made.hasBias = input_channels, output_channels, has_bias
        _fill(made.weights, W, (output_channels, input_channels), f"{name}.weights")
        if has_bias:
            _fill(made.bias, b, (output_channels,), f"{name}.bias")
        return layer

    def add_embedding(
        self, name: str, W: ArrayLike, b: ArrayLike | None, input_dim: int, output_channels: int, has_bias: bool,
        input_name: str, output_name: str,
    ) -> NeuralNetworkLayer:  # fmt: skip
        """Embedding of whole numbers from 0 to ``input_dim`` - 1. ``W``: ``[output_channels, input_dim]``; ``b``: ``[output_channels]``."""
        layer = self._add(name, input_name, output_name)
        made = layer.embedding
        made.inputDim, made.outputChannels, made.hasBias = input_dim, output_channels, has_bias
        _fill(made.weights, W, (output_channels, input_dim), f"{name}.weights")
        if has_bias:
            _fill(made.bias, b, (output_channels,), f"{name}.bias")
        return layer

    def add_batchnorm(
        self, name: str, channels: int, gamma: ArrayLike, beta: ArrayLike, mean: ArrayLike | None = None,
        variance: ArrayLike | None = None, input_name: str = "data", output_name: str = "out", compute_mean_var: bool = False,
        instance_normalization: bool = False, epsilon: float = 1e-5,
    ) -> NeuralNetworkLayer:  # fmt: skip
        """Batch normalisation; all arrays ``[channels]``. ``mean`` and ``variance`` are needed unless ``compute_mean_var``."""
        layer = self._add(name, input_name, output_name)
        made = layer.batchnorm
        made.channels, made.epsilon = channels, epsilon
        made.computeMeanVar, made.instanceNormalization = compute_mean_var, instance_normalization
        _fill(made.gamma, gamma, (channels,), f"{name}.gamma")
        _fill(made.beta, beta, (channels,), f"{name}.beta")
        if not compute_mean_var:
            _fill(made.mean, mean, (channels,), f"{name}.mean")
            _fill(made.variance, variance, (channels,), f"{name}.variance")
        return layer

    def add_softmax(self, name: str, input_name: str, output_name: str) -> NeuralNetworkLayer:
        """Softmax along the channels."""
        layer = self._add(name, input_name, output_name)
        layer.softmax.SetInParent()
        return layer

    def add_flatten(self, name: str, mode: int, input_name: str, output_name: str) -> NeuralNetworkLayer:
        """Flattens to channels; ``mode`` 0: in the order channel, height, width; 1: height, width, channel."""
        layer = self._add(name, input_name, output_name)
        layer.flatten.mode = FlattenLayerParams.CHANNEL_LAST if mode else FlattenLayerParams.CHANNEL_FIRST
        return layer

    def add_permute(self, name: str, dim: Sequence[int], input_name: str, output_name: str) -> NeuralNetworkLayer:
        """Permutes; ``dim``: which of (sequence, channel, height, width), numbered 0 to 3, comes at each place."""
        if sorted(dim) != [0, 1, 2, 3]:
            raise MLFormatError(f"layer {name!r}: expected an order of the axes 0, 1, 2, 3, got {list(dim)}")
        layer = self._add(name, input_name, output_name)
        layer.permute.axis.extend(dim)
        return layer

    def add_reshape(self, name: str, input_name: str, output_name: str, target_shape: Sequence[int], mode: int) -> NeuralNetworkLayer:
        """Reshapes to (channel, height, width) or (sequence, channel, height, width); ``mode`` as of ``add_flatten``."""
        if len(target_shape) not in (3, 4):
            raise MLFormatError(f"layer {name!r}: expected a target shape of 3 or 4 sizes, got {list(target_shape)}")
        layer = self._add(name, input_name, output_name)
        layer.reshape.targetShape.extend(target_shape)
        layer.reshape.mode = ReshapeLayerParams.CHANNEL_LAST if mode else ReshapeLayerParams.CHANNEL_FIRST
        return layer

    def add_concat(self, name: str, input_names: Sequence[str], output_name: str, sequence: bool = False) -> NeuralNetworkLayer:
        """Joins along the channels, or along the sequence."""
        layer = self._add(name, input_names, output_name)
        layer.concat.sequenceConcat = sequence
        return layer

    def add_elementwise(
        self, name: str, input_names: str | Sequence[str], output_name: str, mode: str, alpha: float | None = None
    ) -> NeuralNetworkLayer:
        """Adds or multiplies. ``mode``: ADD, MULTIPLY (``alpha`` is the other operand where there is one input), MAX, MIN,
        AVE; CONCAT and SEQUENCE_CONCAT are ``add_concat``."""
        chosen = mode.upper()
        if chosen in ("CONCAT", "SEQUENCE_CONCAT"):
            return self.add_concat(name, [input_names] if isinstance(input_names, str) else input_names, output_name, chosen != "CONCAT")
        if chosen not in ("ADD", "MULTIPLY", "MAX", "MIN", "AVE"):
            raise MLFormatError(f"layer {name!r}: expected a mode of ADD, MULTIPLY, MAX, MIN, AVE, CONCAT or SEQUENCE_CONCAT, got {mode!r}")
        layer = self._add(name, input_names, output_name)
        if chosen == "ADD":
            layer.add.alpha = alpha or 0.0
        elif chosen == "MULTIPLY":
            layer.multiply.alpha = alpha or 0.0
        else:
            {"MAX": layer.max, "MIN": layer.min, "AVE": layer.average}[chosen].SetInParent()
        return layer


def _fill(weights: WeightParams, values: ArrayLike | None, shape: tuple[int, ...], who: str) -> None:
    got = np.shape(values) if values is not None else None
    if got != shape and not (len(shape) == 1 and got is not None and prod(got) == shape[0]):
        raise MLFormatError(f"{who}: expected shape {list(shape)}, got {list(got) if got is not None else 'none'}")
    write_floats(weights, "floatValue", values, who)


def _pad(valid: ValidPadding, top: int, bottom: int, left: int, right: int) -> None:
    valid.paddingAmounts.borderAmounts.add(startEdgeSize=top, endEdgeSize=bottom)
    valid.paddingAmounts.borderAmounts.add(startEdgeSize=left, endEdgeSize=right)


def _choice(known: Mapping[str, T], wanted: str, name: str, what: str) -> T:
    if wanted.upper() not in known:
        raise MLFormatError(f"layer {name!r}: expected a {what} of {', '.join(known)}, got {wanted!r}")
    return known[wanted.upper()]
