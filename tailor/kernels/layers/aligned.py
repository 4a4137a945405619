"""Inputs of different shapes, repeated along axes of length 1 until they agree, behind leading axes of examples."""

from __future__ import annotations

from collections.abc import Sequence

from ..op import Array, Shape


def aligned(inputs: Sequence[Array], examples: int) -> tuple[Array, ...]:
    """Inputs of lower rank with axes of length 1 in front, behind the ``examples`` leading ones."""
    rank = max(x.ndim for x in inputs)
    return tuple(x if x.ndim == rank else x.reshape(aligned_shape(x.shape, rank, examples)) for x in inputs)


def aligned_shape(shape: Shape, rank: int, examples: int) -> Shape:
    """``shape`` with axes of length 1 behind the ``examples`` leading ones, ``rank`` in all."""
    return (*shape[:examples], *(1,) * (rank - len(shape)), *shape[examples:])


def unbroadcast(g: Array, aligned: Shape, shape: Shape) -> Array:
    """``g`` summed over the axes along which an input of shape ``aligned`` was repeated; as ``shape``."""
    axes = tuple(axis for axis, (of_g, size) in enumerate(zip(g.shape, aligned, strict=True)) if size == 1 != of_g)
    sums: Array = g.sum(axis=axes, keepdims=True) if axes else g
    return sums.reshape(shape)


def common_shape(inputs: Sequence[Shape], examples: int) -> Shape:
    """The shape that inputs are repeated to. Raises ``ValueError`` where two differ along an axis and neither has length 1."""
    if not inputs:
        raise ValueError("expected one input or more, got none")
    rank = max(len(shape) for shape in inputs)
    sizes = list(zip(*(aligned_shape(shape, rank, examples) for shape in inputs), strict=True))
    for axis, lengths in enumerate(sizes):
        if len(set(lengths) - {1}) > 1:
            raise ValueError(
                f"expected inputs that agree along axis {axis - rank} or have length 1 there, got shapes {[list(s) for s in inputs]}"
            )
    return tuple(next((length for length in lengths if length != 1), 1) for lengths in sizes)
