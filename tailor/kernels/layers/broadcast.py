"""Arithmetic between inputs that are repeated to a common shape, the legacy layers for many inputs, and products with stored arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from math import prod
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .aligned import aligned, aligned_shape, common_shape, unbroadcast
from .axes import one_more
from .channels import check_rank

Slope = Callable[[Array, Array, Array, Array], Array]
"""``slope(g, y, a, b)``: g times a derivative of y = f(a, b), in their common shape."""


def broadcast_work(*shapes: Shape, examples: int = 0, **attributes: Any) -> int:
    """One operation an element of the answer and an input."""
    return len(shapes) * prod(common_shape(shapes, examples))


def read_nothing(params: Any, decode: Decode) -> Reading:
    """Of a message without fields."""
    return Reading({}, {})


def _binary(name: str, function: Callable[[Array, Array], Array], *slopes: Slope) -> Op:
    """The row of ``function`` of two inputs; ``slopes`` by the first and by the second, or none."""

    def forward(a: Array, b: Array, *, examples: int = 0) -> Array:
        return function(*aligned((a, b), examples))

    def backward(g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], examples: int = 0) -> tuple[Array | None, ...]:
        full = aligned(inputs, examples)
        return tuple(
            unbroadcast(slope(g, y, *full), one.shape, x.shape) if need else None
            for slope, one, x, need in zip(slopes, full, inputs, needs, strict=True)
        )

    return Op(name, forward, _two, read_nothing, backward if slopes else None, one_more, broadcast_work, portable=True)


def _two(a: Shape, b: Shape, *, examples: int = 0) -> Shape:
    return common_shape((a, b), examples)


def _power_by_base(g: Array, y: Array, a: Array, b: Array) -> Array:
    return np.where(b == 0, 0.0, g * b * np.power(a, b - 1.0))


def _power_by_exponent(g: Array, y: Array, a: Array, b: Array) -> Array:
    """0 where the base is not positive: only whole exponents have an answer there."""
    return g * y * np.log(np.where(a > 0, a, 1.0))


def where(condition: Array, a: Array, b: Array, *, examples: int = 0) -> Array:
    """a where the condition is not 0, else b."""
    condition, a, b = aligned((condition, a, b), examples)
    return np.where(condition != 0, a, b)


def where_backward(
    g: Array, y: Array, condition: Array, a: Array, b: Array, *, needs: tuple[bool, ...], examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``where``: to the one that was chosen; 0 by the condition."""
    chooses, *full = aligned((condition, a, b), examples)
    shares = (np.where(chooses != 0, g, 0.0), np.where(chooses != 0, 0.0, g))
    return (
        np.zeros_like(condition) if needs[0] else None,
        *(
            unbroadcast(share, one.shape, x.shape) if need else None
            for share, one, x, need in zip(shares, full, (a, b), needs[1:], strict=True)
        ),
    )


def _three(condition: Shape, a: Shape, b: Shape, *, examples: int = 0) -> Shape:
    return common_shape((condition, a, b), examples)


def extreme(*inputs: Array, choose: Callable[[Array, Array], Array], examples: int = 0) -> Array:
    """The greatest (or least, as ``choose`` says) of the inputs, element by element."""
    full = aligned(inputs, examples)
    return reduce(choose, full) if len(full) > 1 else full[0].copy()


def extreme_backward(g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], examples: int = 0) -> tuple[Array | None, ...]:
    """The gradient of ``extreme``: to the input that was chosen, in equal shares where several were."""
    full = aligned(inputs, examples)
    share = g / np.maximum(sum(one == y for one in full), 1).astype(g.dtype)
    return tuple(
        unbroadcast(np.where(one == y, share, 0.0), one.shape, x.shape) if need else None
        for one, x, need in zip(full, inputs, needs, strict=True)
    )


def average(*inputs: Array, examples: int = 0) -> Array:
    """The mean of the inputs, element by element."""
    total: Array = reduce(np.add, aligned(inputs, examples))
    return total / float(len(inputs))


def average_backward(g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], examples: int = 0) -> tuple[Array | None, ...]:
    """The gradient of ``average``: to each input an equal share."""
    share = g / float(len(inputs))
    full = aligned(inputs, examples)
    return tuple(unbroadcast(share, one.shape, x.shape) if need else None for one, x, need in zip(full, inputs, needs, strict=True))


def _many(*inputs: Shape, examples: int = 0) -> Shape:
    return common_shape(inputs, examples)


def dot(a: Array, b: Array, *, cosine: bool) -> Array:
    """The sum over channels of a * b, ``[..., C, 1, 1]`` to ``[..., 1, 1, 1]``; divided by both lengths for the ``cosine``."""
    product: Array = (a * b).sum(axis=-3, keepdims=True)
    return product / (_length(a) * _length(b)) if cosine else product


def dot_backward(g: Array, y: Array, a: Array, b: Array, *, needs: tuple[bool, ...], cosine: bool) -> tuple[Array | None, ...]:
    """The gradient of ``dot``."""
    if not cosine:
        return g * b if needs[0] else None, g * a if needs[1] else None
    m, n = _length(a), _length(b)
    return g * (b / (m * n) - y * a / (m * m)) if needs[0] else None, g * (a / (m * n) - y * b / (n * n)) if needs[1] else None


def _length(x: Array) -> Array:
    length: Array = np.sqrt(np.square(x).sum(axis=-3, keepdims=True))
    return length


def _dot_shape(a: Shape, b: Shape, *, cosine: bool) -> Shape:
    check_rank(a, 3)
    if a != b or a[-2:] != (1, 1):
        raise ValueError(f"expected two inputs of one shape [..., C, 1, 1], got shapes {[list(a), list(b)]}")
    return (*a[:-3], 1, 1, 1)


def _read_dot(params: Any, decode: Decode) -> Reading:
    return Reading({"cosine": bool(params.cosineSimilarity)}, {})


def scale(x: Array, factor: Array, bias: Array | None = None) -> Array:
    """factor * x + bias; both stored as ``[1]``, ``[C]``, ``[1, H, W]`` or ``[C, H, W]``, x ``[..., C, H, W]``."""
    out: Array = x * _stored(factor)
    if bias is not None:
        out += _stored(bias)
    return out


def scale_backward(
    g: Array, y: Array, x: Array, factor: Array, bias: Array | None = None, *, needs: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    """The gradients of ``scale``."""
    by_x = g * _stored(factor) if needs[0] else None
    by_factor = _sum_to_stored(g * x, factor.shape) if needs[1] else None
    return (by_x, by_factor) if bias is None else (by_x, by_factor, _sum_to_stored(g, bias.shape) if needs[2] else None)


def add_bias(x: Array, bias: Array) -> Array:
    """x + bias, stored as that of ``scale``."""
    return x + _stored(bias)


def add_bias_backward(g: Array, y: Array, x: Array, bias: Array, *, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    """The gradients of ``add_bias``."""
    return g if needs[0] else None, _sum_to_stored(g, bias.shape) if needs[1] else None


def _stored(values: Array) -> Array:
    return values.reshape(-1, 1, 1) if values.ndim == 1 else values


def _sum_to_stored(g: Array, shape: Shape) -> Array:
    full = (*shape, 1, 1) if len(shape) == 1 else shape
    return unbroadcast(g, aligned_shape(full, g.ndim, 0), shape)


def _stored_shape(x: Shape, *stored: Shape) -> Shape:
    check_rank(x, 3)
    allowed = ((1,), x[-3:-2], (1, *x[-2:]), x[-3:])
    for shape in stored:
        if shape not in allowed:
            raise ValueError(f"expected stored numbers of shape {' or '.join(str(list(s)) for s in allowed)}, got shape {list(shape)}")
    return x


def _read_scale(params: Any, decode: Decode) -> Reading:
    weights = {"scale": decode(params, "scale", _stated(params.shapeScale))}
    return Reading({}, weights | ({"bias": decode(params, "bias", _stated(params.shapeBias))} if params.hasBias else {}))


def _read_bias(params: Any, decode: Decode) -> Reading:
    return Reading({}, {"bias": decode(params, "bias", _stated(params.shape))})


def _stated(shape: Any) -> Shape:
    sizes = tuple(int(size) for size in shape)
    if len(sizes) not in (1, 3):
        raise ValueError(f"expected a shape of one or three axes, got {list(sizes)}")
    return sizes


MAX, MIN = partial(extreme, choose=np.maximum), partial(extreme, choose=np.minimum)

OPS = (
    _binary("addBroadcastable", np.add, lambda g, y, a, b: g, lambda g, y, a, b: g),
    _binary("subtractBroadcastable", np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g),
    _binary("multiplyBroadcastable", np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    _binary("divideBroadcastable", np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
    _binary("floorDivBroadcastable", np.floor_divide),
    _binary("modBroadcastable", np.mod, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor_divide(a, b)),
    _binary("powBroadcastable", np.power, _power_by_base, _power_by_exponent),
    Op("maxBroadcastable", MAX, _two, read_nothing, extreme_backward, one_more, broadcast_work, portable=True),
    Op("minBroadcastable", MIN, _two, read_nothing, extreme_backward, one_more, broadcast_work, portable=True),
    Op("whereBroadcastable", where, _three, read_nothing, where_backward, one_more, broadcast_work, portable=True),
    Op("max", MAX, _many, read_nothing, extreme_backward, one_more, broadcast_work, portable=True),
    Op("min", MIN, _many, read_nothing, extreme_backward, one_more, broadcast_work, portable=True),
    Op("average", average, _many, read_nothing, average_backward, one_more, broadcast_work, portable=True),
    Op("dot", dot, _dot_shape, _read_dot, dot_backward, from_the_end, portable=True),
    Op("scale", scale, _stored_shape, _read_scale, scale_backward, from_the_end, portable=True),
    Op("bias", add_bias, _stored_shape, _read_bias, add_bias_backward, from_the_end, portable=True),
)
