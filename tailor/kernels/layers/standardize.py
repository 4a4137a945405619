"""Softmax along any axis; numbers brought to a mean, a variance or a length; local response normalisation."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .axes import from_end, one_more
from .channels import check_rank

IMAGE, WITHIN_CHANNELS = (-3, -2, -1), (-2, -1)


def softmax_along(x: Array, *, axis: int, examples: int = 0) -> Array:
    """exp(x) divided by its sum along ``axis``; shifted by the greatest, so that nothing overflows."""
    along = from_end(axis, x.ndim, examples)
    out: Array = np.exp(x - x.max(axis=along, keepdims=True))
    out /= out.sum(axis=along, keepdims=True)
    return out


def softmax_along_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], axis: int, examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``softmax_along``: y * (g - sum of g * y)."""
    return (y * (g - (g * y).sum(axis=from_end(axis, x.ndim, examples), keepdims=True)) if needs[0] else None,)


def _softmax_shape(x: Shape, *, axis: int, examples: int = 0) -> Shape:
    if x[from_end(axis, len(x), examples)] == 0:
        raise ValueError(f"expected elements along axis {axis}, got shape {list(x)}")
    return x


def _read_softmax(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis)}, {})


def _standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array]:
    """``x`` with mean 0 and variance 1 along ``axes``, and what it was multiplied by."""
    centred = x - x.mean(axis=axes, keepdims=True)
    inverse: Array = 1.0 / np.sqrt(np.square(centred).mean(axis=axes, keepdims=True) + epsilon)
    centred *= inverse
    return centred, inverse


def _standardized_backward(h: Array, normal: Array, inverse: Array, axes: tuple[int, ...]) -> Array:
    """The gradient of ``_standardized``, given ``h`` at its first answer."""
    along = h.mean(axis=axes, keepdims=True), (h * normal).mean(axis=axes, keepdims=True)
    slope: Array = inverse * (h - along[0] - normal * along[1])
    return slope


def layer_normalization(x: Array, gamma: Array, beta: Array, *, epsilon: float) -> Array:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, over the last axes: as many as gamma and beta have."""
    normal, _ = _standardized(x, tuple(range(-gamma.ndim, 0)), epsilon)
    normal *= gamma
    normal += beta
    return normal


def layer_normalization_backward(
    g: Array, y: Array, x: Array, gamma: Array, beta: Array, *, needs: tuple[bool, ...], epsilon: float
) -> tuple[Array | None, ...]:
    """The gradients of ``layer_normalization``."""
    axes = tuple(range(-gamma.ndim, 0))
    leading = tuple(range(x.ndim - gamma.ndim))
    normal, inverse = _standardized(x, axes, epsilon) if needs[0] or needs[1] else (x, x)
    return (
        _standardized_backward(g * gamma, normal, inverse, axes) if needs[0] else None,
        (g * normal).sum(axis=leading) if needs[1] else None,
        g.sum(axis=leading) if needs[2] else None,
    )


def _layer_shape(x: Shape, gamma: Shape, beta: Shape, *, epsilon: float) -> Shape:
    if x[-len(gamma) :] != gamma:
        raise ValueError(f"expected an input whose last axes are {list(gamma)}, got shape {list(x)}")
    return x


def _read_layer(params: Any, decode: Decode) -> Reading:
    shape = tuple(int(size) for size in params.normalizedShape)
    if not shape or prod(shape) < 1 or min(shape) < 1:
        raise ValueError(f"normalizedShape: expected one positive size or more, got {list(shape)}")
    return Reading({"epsilon": float(params.eps)}, {field: decode(params, field, shape) for field in ("gamma", "beta")})


def mean_variance(x: Array, *, across: bool, variance: bool, epsilon: float) -> Array:
    """x - mean, divided by sqrt(variance + epsilon) where ``variance`` is asked for, of each channel or ``across`` all three axes."""
    axes = IMAGE if across else WITHIN_CHANNELS
    return _standardized(x, axes, epsilon)[0] if variance else x - x.mean(axis=axes, keepdims=True)


def mean_variance_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], across: bool, variance: bool, epsilon: float
) -> tuple[Array | None, ...]:
    """The gradient of ``mean_variance``."""
    axes = IMAGE if across else WITHIN_CHANNELS
    if not needs[0]:
        return (None,)
    return (_standardized_backward(g, *_standardized(x, axes, epsilon), axes) if variance else g - g.mean(axis=axes, keepdims=True),)


def _image_shape(x: Shape, **attributes: Any) -> Shape:
    check_rank(x, 3)
    return x


def _read_mean_variance(params: Any, decode: Decode) -> Reading:
    attributes = {"across": bool(params.acrossChannels), "variance": bool(params.normalizeVariance)}
    return Reading({**attributes, "epsilon": float(params.epsilon) or 1e-6}, {})


def unit_length(x: Array, *, epsilon: float) -> Array:
    """x / sqrt(sum of x * x + epsilon) over the last three axes."""
    length: Array = np.sqrt(np.square(x).sum(axis=IMAGE, keepdims=True) + epsilon)
    return x / length


def unit_length_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], epsilon: float) -> tuple[Array | None, ...]:
    """The gradient of ``unit_length``."""
    if not needs[0]:
        return (None,)
    length = np.sqrt(np.square(x).sum(axis=IMAGE, keepdims=True) + epsilon)
    return ((g - y * (g * y).sum(axis=IMAGE, keepdims=True)) / length,)


def _read_unit_length(params: Any, decode: Decode) -> Reading:
    return Reading({"epsilon": float(params.epsilon) or 1e-6}, {})


def local_response(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Array:
    """x / (k + alpha / size * sum of squares) ** beta, the sum over ``size`` channels about each; of an even size, one more before it."""
    return x * np.power(_response(x, size, alpha, k), -beta)


def _response(x: Array, size: int, alpha: float, k: float) -> Array:
    return k + alpha / size * _about(np.square(x), size // 2, (size - 1) // 2)


def _about(x: Array, before: int, after: int) -> Array:
    """Sums over each channel with those ``before`` and ``after`` it."""
    sums = x.copy()
    channels = x.shape[-3]
    for step in range(1, min(before, channels - 1) + 1):
        sums[..., step:, :, :] += x[..., :-step, :, :]
    for step in range(1, min(after, channels - 1) + 1):
        sums[..., :-step, :, :] += x[..., step:, :, :]
    return sums


def local_response_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], size: int, alpha: float, beta: float, k: float
) -> tuple[Array | None, ...]:
    """The gradient of ``local_response``; what a channel's square adds to, it gets back from."""
    if not needs[0]:
        return (None,)
    response = _response(x, size, alpha, k)
    back = _about(g * y / response, (size - 1) // 2, size // 2)
    return (g * np.power(response, -beta) - (2.0 * alpha * beta / size) * x * back,)


def _response_work(x: Shape, *, size: int, **attributes: Any) -> int:
    return prod(x) * min(size, x[-3])


def _read_local_response(params: Any, decode: Decode) -> Reading:
    size, k = int(params.localSize), float(params.k) or 1.0
    if size < 1:
        raise ValueError(f"localSize: expected 1 or more, got {size}")
    if not k >= 0:  # NaN is wrong too
        raise ValueError(f"k: expected a positive number, got {k}")
    return Reading({"size": size, "alpha": float(params.alpha), "beta": float(params.beta), "k": k}, {})


OPS = (
    Op("softmaxND", softmax_along, _softmax_shape, _read_softmax, softmax_along_backward, one_more, portable=True),
    Op("layerNormalization", layer_normalization, _layer_shape, _read_layer, layer_normalization_backward, from_the_end, portable=True),
    Op("mvn", mean_variance, _image_shape, _read_mean_variance, mean_variance_backward, from_the_end, portable=True),
    Op("l2normalize", unit_length, _image_shape, _read_unit_length, unit_length_backward, from_the_end, portable=True),
    Op("lrn", local_response, _image_shape, _read_local_response, local_response_backward, from_the_end, _response_work, portable=True),
)
