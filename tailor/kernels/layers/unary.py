"""Functions of each element: the eight of the ``unary`` layer, rounding, exponentials, trigonometry, erf, GELU, clips."""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi, sqrt
from typing import Any

import numpy as np
from scipy.special import erf, expit

from ..op import Array, Decode, Op, Reading, from_the_end
from .activation import pointwise, unchanged

Function = Callable[..., Array]

UNARY: dict[str, tuple[Function, Function]] = {
    "sqrt": (lambda z, a, e: np.sqrt(z), lambda y, z, a, e: 0.5 / y),
    "rsqrt": (lambda z, a, e: 1.0 / np.sqrt(z + e), lambda y, z, a, e: -0.5 * y / (z + e)),
    "inverse": (lambda z, a, e: 1.0 / (z + e), lambda y, z, a, e: -y * y),
    "power": (lambda z, a, e: np.power(z, a), lambda y, z, a, e: a * np.power(z, a - 1.0) if a else np.zeros_like(z)),
    "exp": (lambda z, a, e: np.exp(z), lambda y, z, a, e: y),
    "log": (lambda z, a, e: np.log(z + e), lambda y, z, a, e: 1.0 / (z + e)),
    "abs": (lambda z, a, e: np.abs(z), lambda y, z, a, e: np.sign(z)),
    "threshold": (lambda z, a, e: np.maximum(z, a), lambda y, z, a, e: (z > a).astype(z.dtype)),
}
"""Functions of z = scale * x + shift, alpha and epsilon, in the format's order, each with its derivative by z.

The logarithm's epsilon is not in the format's comment, but in what coremltools' tests expect.
"""


def unary(x: Array, *, operation: str, alpha: float, epsilon: float, shift: float, scale: float) -> Array:
    """One of ``UNARY`` of scale * x + shift."""
    return UNARY[operation][0](scale * x + shift, alpha, epsilon)


def unary_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], operation: str, alpha: float, epsilon: float, shift: float, scale: float
) -> tuple[Array | None, ...]:
    """The gradient of ``unary``; 0 where ``abs`` and ``threshold`` have a kink."""
    return (g * scale * UNARY[operation][1](y, scale * x + shift, alpha, epsilon) if needs[0] else None,)


def _read_unary(params: Any, decode: Decode) -> Reading:
    attributes = {"operation": named(UNARY, params.type), "alpha": float(params.alpha), "epsilon": float(params.epsilon) or 1e-6}
    return Reading({**attributes, "shift": float(params.shift), "scale": float(params.scale) or 1.0}, {})


def named(operations: dict[str, Any], number: int) -> str:
    """The name of the operation with a number of the format. Raises ``ValueError`` where there is none."""
    if not 0 <= number < len(operations):
        raise ValueError(f"expected an operation from 0 to {len(operations) - 1}, got {number}")
    return list(operations)[number]


def _bell(x: Array) -> Array:
    return np.exp(-0.5 * x * x) * (1.0 / sqrt(2.0 * pi))


def _inner(x: Array) -> Array:
    return np.tanh(sqrt(2.0 / pi) * (x + 0.044715 * x * x * x))


def _tanh_slope(y: Array, x: Array) -> Array:
    t = _inner(x)
    slope: Array = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * sqrt(2.0 / pi) * (1.0 + 0.134145 * x * x)
    return slope


def _sigmoid_slope(y: Array, x: Array) -> Array:
    s = expit(1.702 * x)
    slope: Array = s + 1.702 * x * s * (1.0 - s)
    return slope


GELU: dict[str, tuple[Function, Function]] = {
    "exact": (lambda x: 0.5 * x * (1.0 + erf(x * sqrt(0.5))), lambda y, x: 0.5 * (1.0 + erf(x * sqrt(0.5))) + x * _bell(x)),
    "tanh": (lambda x: 0.5 * x * (1.0 + _inner(x)), _tanh_slope),
    "sigmoid": (lambda x: x * expit(1.702 * x), _sigmoid_slope),
}
"""x * the normal distribution's share below x, and its two approximations, in the format's order, each with its derivative."""


def gelu(x: Array, *, mode: str) -> Array:
    """One of ``GELU``."""
    return GELU[mode][0](x)


def gelu_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], mode: str) -> tuple[Array | None, ...]:
    """The gradient of ``gelu``."""
    return (g * GELU[mode][1](y, x) if needs[0] else None,)


def _read_gelu(params: Any, decode: Decode) -> Reading:
    return Reading({"mode": named(GELU, params.mode)}, {})


def clip(x: Array, *, low: float, high: float) -> Array:
    """x, but at least ``low`` and at most ``high``."""
    return np.clip(x, low, high)


def clip_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], low: float, high: float) -> tuple[Array | None, ...]:
    """The gradient of ``clip``: as it came where x is within the bounds or at one, else 0."""
    return (np.where((x >= low) & (x <= high), g, 0.0) if needs[0] else None,)


def _read_clip(params: Any, decode: Decode) -> Reading:
    low, high = float(params.minVal), float(params.maxVal)
    if not low <= high:  # NaN is wrong too
        raise ValueError(f"minVal: expected at most maxVal, {high}, got {low}")
    return Reading({"low": low, "high": high}, {})


def clamped_relu(x: Array, *, alpha: float, beta: float) -> Array:
    """x, and alpha * x below 0; at most ``beta``."""
    return np.minimum(np.where(x >= 0, x, alpha * x), beta)


def _clamped_relu_slope(y: Array, x: Array, *, alpha: float, beta: float) -> Array:
    return np.where(y < beta, np.where(x > 0, np.ones_like(x), alpha), 0.0)


OPS = (
    Op("unary", unary, unchanged, _read_unary, unary_backward, from_the_end, portable=True),
    Op("clip", clip, unchanged, _read_clip, clip_backward, from_the_end, portable=True),
    Op("gelu", gelu, unchanged, _read_gelu, gelu_backward, from_the_end, portable=True),
    pointwise("clampedReLU", clamped_relu, _clamped_relu_slope, "alpha", "beta"),
    pointwise("ceil", np.ceil, None),
    pointwise("floor", np.floor, None),
    pointwise("round", np.rint, None),  # halves to the even side
    pointwise("sign", np.sign, None),
    pointwise("exp2", np.exp2, lambda y, x: y * log(2.0)),
    pointwise("sin", np.sin, lambda y, x: np.cos(x)),
    pointwise("cos", np.cos, lambda y, x: -np.sin(x)),
    pointwise("tan", np.tan, lambda y, x: 1.0 + y * y),
    pointwise("asin", np.arcsin, lambda y, x: 1.0 / np.sqrt(1.0 - x * x)),
    pointwise("acos", np.arccos, lambda y, x: -1.0 / np.sqrt(1.0 - x * x)),
    pointwise("atan", np.arctan, lambda y, x: 1.0 / (1.0 + x * x)),
    pointwise("sinh", np.sinh, lambda y, x: np.cosh(x)),
    pointwise("cosh", np.cosh, lambda y, x: np.sinh(x)),
    pointwise("tanh", np.tanh, lambda y, x: 1.0 - y * y),
    pointwise("asinh", np.arcsinh, lambda y, x: 1.0 / np.sqrt(x * x + 1.0)),
    pointwise("acosh", np.arccosh, lambda y, x: 1.0 / np.sqrt(x * x - 1.0)),
    pointwise("atanh", np.arctanh, lambda y, x: 1.0 / (1.0 - x * x)),
    pointwise("erf", erf, lambda y, x: np.exp(-x * x) * (2.0 / sqrt(pi))),
)
