"""Matrix products with a constant become inner products, and a constant that is added behind one its bias."""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from typing import Any

import numpy as np

from tailor.kernels import Array

from ...format import NeuralNetworkLayer, encode_weights
from .layers import Layers

_ADDING = ("addBroadcastable", "add")


class Products:
    """Changes ``layers``. ``constants``: values that no input changes, by name; ``weights``: parameters, by ``<layer>.<field>``."""

    def __init__(self, layers: Layers, constants: dict[str, Array], weights: dict[str, Array]) -> None:
        self._layers = layers
        self._constants = constants
        self._weights = weights

    def to_inner_products(self, only: Collection[str] | None = None) -> None:
        """Makes inner products of the matrix products that are one: of up to three axes, the constant on the right."""
        for layer in self._layers:
            if only is not None and layer.name not in only:
                continue
            if layer.HasField("batchedMatmul") and self._layers.knows(layer.input[0], layer.output[0]):
                matrix = self._matrix(layer)
                if matrix is not None:
                    self._become(layer, *matrix)

    def take_biases(self, only: Collection[str] | None = None) -> None:
        """Makes a constant that is added to an inner product without a bias its bias."""
        layers = self._layers
        for layer in layers:
            if layer.WhichOneof("layer") not in _ADDING or len(layer.input) != 2 or (only is not None and layer.name not in only):
                continue
            for product, constant in (layer.input, reversed(layer.input)):
                made, bias = layers.made_by(product), self._constants.get(constant)
                if made is None or bias is None or not self._lacks_bias(made, bias, product, layer.output[0]):
                    continue
                made.innerProduct.hasBias = True
                encode_weights(made.innerProduct.bias, bias.reshape(-1))
                layers.replace(layer.output[0], product)
                self._let_go(layer)
                break

    def _matrix(self, layer: NeuralNetworkLayer) -> tuple[Array, Array | None] | None:
        """The constant of a product as ``[out, in]``, and the bias; ``None`` where the product is no inner product."""
        shape, made = (self._layers.shape(name) for name in (layer.input[0], layer.output[0]))
        if not 1 <= len(shape) <= 3:
            return None
        if len(layer.input) == 1:
            return self._weights[f"{layer.name}.weights"], self._weights.get(f"{layer.name}.bias")
        constant = self._constants.get(layer.input[1])
        if constant is None or constant.ndim < 2 or prod(constant.shape[:-2]) != 1 or layer.batchedMatmul.transposeA:
            return None
        matrix: Array = constant.reshape(constant.shape[-2:])
        matrix = matrix if layer.batchedMatmul.transposeB else np.swapaxes(matrix, 0, 1)
        fits = matrix.size == len(matrix) * shape[-1] and made == (*shape[:-1], matrix.shape[0])
        return (matrix, None) if fits else None

    def _become(self, layer: NeuralNetworkLayer, matrix: Array, bias: Array | None) -> None:
        for name in list(layer.input[1:]):
            self._let_go(self._layers.made_by(name))
        del layer.input[1:]
        layer.ClearField("inputTensor")
        layer.ClearField("batchedMatmul")
        params = layer.innerProduct
        params.outputChannels, params.inputChannels = len(matrix), matrix.size // max(1, len(matrix))
        encode_weights(params.weights, np.ascontiguousarray(matrix))
        if bias is not None:
            params.hasBias = True
            encode_weights(params.bias, bias)

    def _lacks_bias(self, made: Any, bias: Array, product: str, total: str) -> bool:
        layers = self._layers
        if not made.HasField("innerProduct") or made.innerProduct.hasBias or layers.uses(product) != 1:
            return False
        if not layers.knows(product, total) or layers.shape(product) != layers.shape(total):
            return False
        size = int(made.innerProduct.outputChannels)
        shape = layers.shape(product)
        along = len(shape) - (3 if len(shape) >= 4 else 1)  # the axis on which an inner product answers
        aligned = (1,) * (len(shape) - bias.ndim) + bias.shape
        return bias.size == size and len(aligned) == len(shape) and (size == 1 or aligned[along] == size)

    def _let_go(self, layer: NeuralNetworkLayer | None) -> None:
        """Takes a layer away in the end, and what made a constant for nobody else."""
        if layer is None:
            return
        self._layers.let_go(layer)
        for name in layer.input:
            self._let_go(self._layers.made_by(name) if name in self._constants else None)
