"""Addition and multiplication of any number of inputs, broadcast as Core ML's older layers do it."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from ..op import Array, Attributes, Decode, Op, Reading, Shape


def add(*inputs: Array, alpha: float, examples: int = 0) -> Array:
    """The sum of the inputs; of one input, x + alpha."""
    return reduce(np.add, _aligned(inputs, examples)) if len(inputs) > 1 else inputs[0] + alpha


def add_backward(g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], alpha: float, examples: int = 0) -> tuple[Array | None, ...]:
    """The gradient of ``add``: that of the sum, summed where an input was broadcast."""
    aligned = _aligned(inputs, examples)
    return tuple(_unbroadcast(g, a.shape, x.shape) if need else None for x, a, need in zip(inputs, aligned, needs, strict=True))


def multiply(*inputs: Array, alpha: float, examples: int = 0) -> Array:
    """The product of the inputs; of one input, alpha * x."""
    return reduce(np.multiply, _aligned(inputs, examples)) if len(inputs) > 1 else alpha * inputs[0]


def multiply_backward(
    g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], alpha: float, examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``multiply``: times the other inputs (not y / x, for x may be 0)."""
    if len(inputs) == 1:
        return (g * alpha if needs[0] else None,)
    aligned = _aligned(inputs, examples)
    found: list[Array | None] = []
    for place, (x, need) in enumerate(zip(inputs, needs, strict=True)):
        others = aligned[:place] + aligned[place + 1 :]
        found.append(_unbroadcast(reduce(np.multiply, others, g), aligned[place].shape, x.shape) if need else None)
    return tuple(found)


def _aligned(inputs: tuple[Array, ...], examples: int) -> tuple[Array, ...]:
    """Inputs of lower rank with axes of length 1 in front, behind the ``examples`` leading ones."""
    rank = max(x.ndim for x in inputs)
    return tuple(x if x.ndim == rank else x.reshape(_aligned_shape(x.shape, rank, examples)) for x in inputs)


def _aligned_shape(shape: Shape, rank: int, examples: int) -> Shape:
    return (*shape[:examples], *(1,) * (rank - len(shape)), *shape[examples:])


def _unbroadcast(g: Array, aligned: Shape, shape: Shape) -> Array:
    """``g`` summed over the axes along which an input of shape ``aligned`` was repeated; as ``shape``."""
    axes = tuple(axis for axis, (of_g, size) in enumerate(zip(g.shape, aligned, strict=True)) if size == 1 != of_g)
    sums: Array = g.sum(axis=axes, keepdims=True) if axes else g
    return sums.reshape(shape)


def _shape(*inputs: Shape, alpha: float, examples: int = 0) -> Shape:
    rank = max(len(shape) for shape in inputs)
    sizes = list(zip(*(_aligned_shape(shape, rank, examples) for shape in inputs), strict=True))
    for axis, lengths in enumerate(sizes):
        if len(set(lengths) - {1}) > 1:
            raise ValueError(
                f"expected inputs that agree along axis {axis - rank} or have length 1 there, got shapes {[list(s) for s in inputs]}"
            )
    return tuple(max(lengths) for lengths in sizes)


def _batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "examples": attributes.get("examples", 0) + 1}


def _read(params: Any, decode: Decode) -> Reading:
    return Reading({"alpha": float(params.alpha)}, {})


OPS = (
    Op("add", add, _shape, _read, add_backward, _batched),
    Op("multiply", multiply, _shape, _read, multiply_backward, _batched),
)
