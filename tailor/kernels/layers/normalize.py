"""Softmax and batch normalisation, both over the channel axis, the third from the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..op import Array, Attributes, Decode, Op, Reading, Shape, from_the_end
from .channels import check_rank, over_channels, sum_to_channels

GIVEN, INSTANCE, BATCH = "given", "instance", "batch"


def softmax(x: Array) -> Array:
    """exp(x) divided by its sum over channels; shifted by the greatest, so that nothing overflows."""
    out: Array = np.exp(x - x.max(axis=-3, keepdims=True))
    out /= out.sum(axis=-3, keepdims=True)
    return out


def softmax_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    """The gradient of ``softmax``: y * (g - sum of g * y)."""
    return (y * (g - (g * y).sum(axis=-3, keepdims=True)) if needs[0] else None,)


def _softmax_shape(x: Shape) -> Shape:
    check_rank(x, 3)
    return x


def _read_softmax(params: Any, decode: Decode) -> Reading:
    return Reading({}, {})


def batchnorm(
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array | None = None,
    variance: Array | None = None,
    *,
    epsilon: float,
    statistics: str = GIVEN,
    examples: int = 0,
) -> Array:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, all ``[C]``.

    ``statistics``: mean and variance (over n, not n - 1) are ``"given"``, or those of each ``"instance"``'s image, or of the
    whole ``"batch"``: all axes but the channels and the ``examples`` leading ones.
    """
    if statistics == GIVEN and mean is not None and variance is not None:
        scale = gamma / np.sqrt(variance + epsilon)
        out: Array = x * over_channels(scale)
        out += over_channels(beta - mean * scale)
        return out
    normal, _ = _normalized(x, epsilon, _axes(x.ndim, statistics, examples))
    normal *= over_channels(gamma)
    normal += over_channels(beta)
    return normal


def batchnorm_backward(
    g: Array,
    y: Array,
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array | None = None,
    variance: Array | None = None,
    *,
    needs: tuple[bool, ...],
    epsilon: float,
    statistics: str = GIVEN,
    examples: int = 0,
) -> tuple[Array | None, ...]:
    """The gradients of ``batchnorm``, of its mean and variance too where they are given."""
    if statistics == GIVEN and mean is not None and variance is not None:
        inverse = 1.0 / np.sqrt(variance + epsilon)
        sums = sum_to_channels(g, gamma.shape) if any(needs[2:]) else None
        products = sum_to_channels(g * (x - over_channels(mean)), gamma.shape) if needs[1] or needs[4] else None
        return (
            g * over_channels(gamma * inverse) if needs[0] else None,
            products * inverse if needs[1] and products is not None else None,
            sums if needs[2] else None,
            -gamma * inverse * sums if needs[3] and sums is not None else None,
            -0.5 * gamma * inverse**3 * products if needs[4] and products is not None else None,
        )
    axes = _axes(x.ndim, statistics, examples)
    normal, inverse = _normalized(x, epsilon, axes)
    dx = None
    if needs[0]:
        h = g * over_channels(gamma)
        dx = inverse * (h - h.mean(axis=axes, keepdims=True) - normal * (h * normal).mean(axis=axes, keepdims=True))
    return (
        dx,
        sum_to_channels(g * normal, gamma.shape) if needs[1] else None,
        sum_to_channels(g, beta.shape) if needs[2] else None,
    )


def _axes(rank: int, statistics: str, examples: int) -> tuple[int, ...]:
    """The axes that a mean is taken over."""
    return (rank - 2, rank - 1) if statistics == INSTANCE else tuple(axis for axis in range(examples, rank) if axis != rank - 3)


def _normalized(x: Array, epsilon: float, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """``x`` with mean 0 and variance 1, and what it was multiplied by."""
    centred = x - x.mean(axis=axes, keepdims=True)
    inverse: Array = 1.0 / np.sqrt(np.square(centred).mean(axis=axes, keepdims=True) + epsilon)
    centred *= inverse
    return centred, inverse


def _batchnorm_shape(x: Shape, *vectors: Shape, epsilon: float, statistics: str = GIVEN, examples: int = 0) -> Shape:
    check_rank(x, 3)
    for name, shape in zip(("gamma", "beta", "mean", "variance"), vectors, strict=False):
        if shape != (x[-3],):
            raise ValueError(f"{name} has {shape[0]} numbers: expected an input with as many channels, got shape {list(x)}")
    return x


def _batchnorm_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "examples": attributes.get("examples", 0) + 1}


def _read_batchnorm(params: Any, decode: Decode) -> Reading:
    statistics = (INSTANCE if params.instanceNormalization else BATCH) if params.computeMeanVar else GIVEN
    fields = ("gamma", "beta", "mean", "variance") if statistics == GIVEN else ("gamma", "beta")
    attributes = {"epsilon": float(params.epsilon) or 1e-5, "statistics": statistics}
    return Reading(attributes, {field: decode(params, field, (int(params.channels),)) for field in fields})


OPS = (
    Op("softmax", softmax, _softmax_shape, _read_softmax, softmax_backward, from_the_end, portable=True),
    Op("batchnorm", batchnorm, _batchnorm_shape, _read_batchnorm, batchnorm_backward, _batchnorm_batched, portable=True),
)
