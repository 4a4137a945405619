"""Addition and multiplication of any number of inputs, broadcast as Core ML's older layers do it."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape
from .aligned import aligned, common_shape, unbroadcast
from .axes import one_more


def add(*inputs: Array, alpha: float, examples: int = 0) -> Array:
    """The sum of the inputs; of one input, x + alpha."""
    return reduce(np.add, aligned(inputs, examples)) if len(inputs) > 1 else inputs[0] + alpha


def add_backward(g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], alpha: float, examples: int = 0) -> tuple[Array | None, ...]:
    """The gradient of ``add``: that of the sum, summed where an input was broadcast."""
    full = aligned(inputs, examples)
    return tuple(unbroadcast(g, a.shape, x.shape) if need else None for x, a, need in zip(inputs, full, needs, strict=True))


def multiply(*inputs: Array, alpha: float, examples: int = 0) -> Array:
    """The product of the inputs; of one input, alpha * x."""
    return reduce(np.multiply, aligned(inputs, examples)) if len(inputs) > 1 else alpha * inputs[0]


def multiply_backward(
    g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], alpha: float, examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``multiply``: times the other inputs (not y / x, for x may be 0)."""
    if len(inputs) == 1:
        return (g * alpha if needs[0] else None,)
    full = aligned(inputs, examples)
    found: list[Array | None] = []
    for place, (x, need) in enumerate(zip(inputs, needs, strict=True)):
        others = full[:place] + full[place + 1 :]
        found.append(unbroadcast(reduce(np.multiply, others, g), full[place].shape, x.shape) if need else None)
    return tuple(found)


def _shape(*inputs: Shape, alpha: float, examples: int = 0) -> Shape:
    return common_shape(inputs, examples)


def _read(params: Any, decode: Decode) -> Reading:
    return Reading({"alpha": float(params.alpha)}, {})


OPS = (
    Op("add", add, _shape, _read, add_backward, one_more, portable=True),
    Op("multiply", multiply, _shape, _read, multiply_backward, one_more, portable=True),
)
