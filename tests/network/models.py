"""Small networks built from scratch, for the tests of what predicts and learns with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array
from tailor.runtime.format import AdamParams, NeuralNetworkBuilder, SgdParams, array_feature, image_feature


def weights(seed: int, *shape: int) -> Array:
    """Seeded float32 weights, about as large as a network's."""
    return (np.random.default_rng(seed).normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)


def digits_builder(labels: list[str] | list[int] | None = None) -> NeuralNetworkBuilder:
    """Gray images 8 x 8 -> convolution, ReLU, pooling, inner product, softmax over 3 classes; a classifier with ``labels``."""
    mode = None if labels is None else "classifier"
    builder = NeuralNetworkBuilder([image_feature("image", 8, 8)], [array_feature("scores", (3,))], mode, labels)
    builder.set_pre_processing_parameters("image", image_scale=1 / 255, gray_bias=-0.5)
    builder.add_convolution("conv", 1, 4, 3, 3, 1, 1, "same", 1, weights(1, 4, 1, 3, 3), weights(2, 4, 1)[:, 0], True, "image", "c")
    builder.add_activation("relu", "RELU", "c", "r")
    builder.add_pooling("pool", 2, 2, 2, 2, "MAX", "VALID", "r", "p")
    builder.add_flatten("flat", 0, "p", "f")
    builder.add_inner_product("dense", weights(3, 3, 64), weights(4, 3, 1)[:, 0], 64, 3, True, "f", "logits")
    builder.add_softmax("softmax", "logits", "scores")
    return builder


def teach(builder: NeuralNetworkBuilder, layers: tuple[str, ...] = ("conv", "dense"), loss: str = "scores", adam: bool = True) -> Any:
    """The builder's message, updatable, with cross entropy over ``loss``."""
    builder.make_updatable(layers)
    builder.set_categorical_cross_entropy_loss("loss", loss)
    if adam:
        builder.set_adam_optimizer(AdamParams(lr=0.01, batch=16))
    else:
        builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=16, momentum=0.9))
    builder.set_epochs(2)
    return builder.spec


def images(count: int, seed: int = 5) -> Array:
    """Canonical gray images, uint8 ``[count, 8, 8]``."""
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)
