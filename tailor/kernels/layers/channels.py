"""Vectors with one number a channel (or one for all): the channel axis is the third from the end."""

from __future__ import annotations

from ..op import Array, Shape


def over_channels(vector: Array) -> Array:
    """``vector`` ``[C]`` or ``[1]``, shaped to broadcast against ``[..., C, H, W]``."""
    return vector.reshape(-1, 1, 1)


def sum_to_channels(g: Array, shape: Shape) -> Array:
    """The gradient of ``over_channels``: ``g`` ``[..., C, H, W]`` summed to ``shape``, ``(C,)`` or ``(1,)``."""
    sums: Array = g.reshape(-1, g.shape[-3], g.shape[-2] * g.shape[-1]).sum(axis=2).sum(axis=0)
    return sums if shape == sums.shape else sums.sum(keepdims=True)


def check_channels(x: Shape, **vectors: Shape) -> None:
    """Raises ``ValueError`` where ``x`` is not ``[..., C, H, W]``, or a vector has neither C numbers nor one."""
    check_rank(x, 3)
    for name, shape in vectors.items():
        if shape not in ((x[-3],), (1,)):
            raise ValueError(f"{name}: expected {x[-3]} numbers, one a channel of the input {list(x)}, or one, got shape {list(shape)}")


def check_rank(x: Shape, rank: int) -> None:
    """Raises ``ValueError`` where ``x`` has fewer than ``rank`` axes."""
    if len(x) < rank:
        raise ValueError(f"expected an input of at least {rank} axes, got shape {list(x)}")
