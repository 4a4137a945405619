"""The activation functions, each by its formula in the comments of the format's ``Activation...`` messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit

from ..jit import jit, plain
from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .channels import check_channels, over_channels, sum_to_channels


def relu(x: Array) -> Array:
    """max(0, x)."""
    out = np.empty(x.shape, x.dtype, like=x)
    _relu(plain(x).reshape(-1), out.reshape(-1))
    return out


def relu_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    """The gradient of ``relu``, 0 at 0."""
    if not needs[0]:
        return (None,)
    out = np.empty(y.shape, y.dtype, like=y)
    _relu_back(plain(g).reshape(-1), plain(y).reshape(-1), out.reshape(-1))
    return (out,)


def _relu_numpy(x: Array, out: Array) -> None:
    np.copyto(out, np.where(x <= 0, 0, x))


@jit(twin=_relu_numpy)
def _relu(x: Array, out: Array) -> None:
    for i in range(x.size):
        v = x[i]
        out[i] = 0 if v <= 0 else v  # this way round, NaN stays NaN


def _relu_back_numpy(g: Array, y: Array, out: Array) -> None:
    np.copyto(out, np.where(y <= 0, 0, g))


@jit(twin=_relu_back_numpy)
def _relu_back(g: Array, y: Array, out: Array) -> None:
    for i in range(g.size):
        out[i] = 0 if y[i] <= 0 else g[i]


def leaky_relu(x: Array, *, alpha: float) -> Array:
    """x, and alpha * x below 0."""
    return np.where(x >= 0, x, alpha * x)


def thresholded_relu(x: Array, *, alpha: float) -> Array:
    """x, and 0 below alpha."""
    return np.where(x >= alpha, x, np.zeros_like(x))


def scaled_tanh(x: Array, *, alpha: float, beta: float) -> Array:
    """alpha * tanh(beta * x)."""
    return alpha * np.tanh(beta * x)


def scaled_tanh_slope(y: Array, x: Array, *, alpha: float, beta: float) -> Array:
    """alpha * beta * (1 - tanh(beta * x) ** 2)."""
    return alpha * beta * (1.0 - np.square(np.tanh(beta * x)))


def hard_sigmoid(x: Array, *, alpha: float, beta: float) -> Array:
    """alpha * x + beta, cut to 0...1."""
    return np.clip(alpha * x + beta, 0.0, 1.0)


def elu(x: Array, *, alpha: float) -> Array:
    """x, and alpha * (exp(x) - 1) below 0."""
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0.0)))  # exp of what is not used could overflow


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), without overflow."""
    out: Array = np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))
    return out


def pointwise(name: str, forward: Callable[..., Array], slope: Callable[..., Array | float] | None, *fields: str) -> Op:
    """The row of a function of each element; ``slope(y, x)`` is its derivative, ``fields`` are its attributes."""

    def backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], **attributes: float) -> tuple[Array | None, ...]:
        return (g * slope(y, x, **attributes) if needs[0] and slope is not None else None,)

    def read(params: Any, decode: Decode) -> Reading:
        return Reading({field: float(getattr(params, field)) for field in fields}, {})

    return Op(name, forward, unchanged, read, backward if slope is not None else None, from_the_end, portable=True)


def unchanged(x: Shape, **attributes: Any) -> Shape:
    """The shape rule of a function of each element."""
    return x


def prelu(x: Array, alpha: Array) -> Array:
    """x, and alpha * x below 0; ``alpha`` ``[C]`` or ``[1]``."""
    return np.where(x >= 0, x, over_channels(alpha) * x)


def prelu_backward(g: Array, y: Array, x: Array, alpha: Array, *, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    """The gradient of ``prelu``; at 0 that of the right side's other side, as in PyTorch."""
    dx = g * np.where(x > 0, np.ones_like(x), over_channels(alpha)) if needs[0] else None
    return dx, sum_to_channels(g * np.minimum(x, 0.0), alpha.shape) if needs[1] else None


def _prelu_shape(x: Shape, alpha: Shape) -> Shape:
    check_channels(x, alpha=alpha)
    return x


def _read_prelu(params: Any, decode: Decode) -> Reading:
    return Reading({}, {"alpha": decode(params, "alpha", (-1,))})


def parametric_softplus(x: Array, alpha: Array, beta: Array) -> Array:
    """alpha * log(1 + exp(beta * x)); ``alpha`` and ``beta`` ``[C]`` or ``[1]``."""
    return over_channels(alpha) * softplus(over_channels(beta) * x)


def parametric_softplus_backward(
    g: Array, y: Array, x: Array, alpha: Array, beta: Array, *, needs: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    """The gradient of ``parametric_softplus``."""
    a, b = over_channels(alpha), over_channels(beta)
    slope = g * a * expit(b * x)
    return (
        slope * b if needs[0] else None,
        sum_to_channels(g * softplus(b * x), alpha.shape) if needs[1] else None,
        sum_to_channels(slope * x, beta.shape) if needs[2] else None,
    )


def _parametric_softplus_shape(x: Shape, alpha: Shape, beta: Shape) -> Shape:
    check_channels(x, alpha=alpha, beta=beta)
    return x


def _read_parametric_softplus(params: Any, decode: Decode) -> Reading:
    return Reading({}, {field: decode(params, field, (-1,)) for field in ("alpha", "beta")})


def _no_fields(params: Any, decode: Decode) -> Reading:
    return Reading({}, {})


OPS = (
    Op("activation.ReLU", relu, unchanged, _no_fields, relu_backward, from_the_end, portable=True),
    pointwise("activation.leakyReLU", leaky_relu, lambda y, x, alpha: np.where(x > 0, np.ones_like(x), alpha), "alpha"),
    pointwise("activation.thresholdedReLU", thresholded_relu, lambda y, x, alpha: (x >= alpha).astype(x.dtype), "alpha"),
    Op("activation.PReLU", prelu, _prelu_shape, _read_prelu, prelu_backward, from_the_end, portable=True),
    pointwise("activation.linear", lambda x, alpha, beta: alpha * x + beta, lambda y, x, alpha, beta: alpha, "alpha", "beta"),
    pointwise("activation.tanh", np.tanh, lambda y, x: 1.0 - y * y),
    pointwise("activation.scaledTanh", scaled_tanh, scaled_tanh_slope, "alpha", "beta"),
    pointwise("activation.sigmoid", expit, lambda y, x: y * (1.0 - y)),
    pointwise(
        "activation.sigmoidHard", hard_sigmoid, lambda y, x, alpha, beta: alpha * ((y > 0) & (y < 1)).astype(x.dtype), "alpha", "beta"
    ),
    pointwise("activation.ELU", elu, lambda y, x, alpha: np.where(x > 0, np.ones_like(x), y + alpha), "alpha"),
    pointwise("activation.softsign", lambda x: x / (1.0 + np.abs(x)), lambda y, x: 1.0 / np.square(1.0 + np.abs(x))),
    pointwise("activation.softplus", softplus, lambda y, x: expit(x)),
    Op(
        "activation.parametricSoftplus",
        parametric_softplus,
        _parametric_softplus_shape,
        _read_parametric_softplus,
        parametric_softplus_backward,
        from_the_end,
        portable=True,
    ),
)
