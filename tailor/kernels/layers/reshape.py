"""Layers that only move numbers: flatten, reshape, permute, concat. All count their axes from the end."""

from __future__ import annotations

from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .channels import check_rank


def flatten(x: Array, *, channel_last: bool) -> Array:
    """``[..., C, H, W]`` -> ``[..., C * H * W, 1, 1]``, in the order C, H, W, or H, W, C with ``channel_last``."""
    moved = np.moveaxis(x, -3, -1) if channel_last else x
    return moved.reshape(flatten_shape(x.shape))


def flatten_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], channel_last: bool) -> tuple[Array | None, ...]:
    """The gradient of ``flatten``."""
    if not needs[0]:
        return (None,)
    *lead, c, h, w = x.shape
    return (np.moveaxis(g.reshape(*lead, h, w, c), -1, -3) if channel_last else g.reshape(x.shape),)


def flatten_shape(x: Shape, *, channel_last: bool = False) -> Shape:
    """The shape rule of ``flatten``. Raises ``ValueError`` below 3 axes."""
    check_rank(x, 3)
    return (*x[:-3], prod(x[-3:]), 1, 1)


def _read_flatten(params: Any, decode: Decode) -> Reading:
    return Reading({"channel_last": params.mode == 1}, {})


def reshape(x: Array, *, shape: Shape, channel_last: bool) -> Array:
    """``[..., S, B, C, H, W]`` -> ``[..., S', B, C', H', W']``; ``shape`` is C', H', W', or S', C', H', W'.

    The batch axis stays. With ``channel_last`` both the old and the new order of numbers is S, H, W, C.
    """
    return _recast(x, reshape_shape(x.shape, shape=shape, channel_last=channel_last), channel_last)


def reshape_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], shape: Shape, channel_last: bool
) -> tuple[Array | None, ...]:
    """The gradient of ``reshape``: back the same way."""
    return (_recast(g, x.shape, channel_last) if needs[0] else None,)


def _recast(x: Array, shape: Shape, channel_last: bool) -> Array:
    if not channel_last:
        if x.shape[-4] == 1:
            return x.reshape(shape)
        behind = np.moveaxis(x, -4, -5)
        return np.moveaxis(behind.reshape(*shape[:-5], shape[-4], shape[-5], *shape[-3:]), -5, -4)
    behind = np.moveaxis(np.moveaxis(x, -3, -1), -4, -5)  # [..., B, S, H, W, C]
    channels, height, width = shape[-3:]
    new = behind.reshape(*shape[:-5], shape[-4], shape[-5], height, width, channels)
    return np.moveaxis(np.moveaxis(new, -5, -4), -1, -3)


def reshape_shape(x: Shape, *, shape: Shape, channel_last: bool) -> Shape:
    """The shape rule of ``reshape``. Raises ``ValueError`` where the number of elements would change."""
    check_rank(x, 5)
    new = (*x[:-5], *(shape[:1] if len(shape) == 4 else x[-5:-4]), x[-4], *shape[-3:])
    if prod(new) != prod(x):
        raise ValueError(f"expected an input with {prod(new[-5:])} elements for the target shape {list(shape)}, got shape {list(x[-5:])}")
    return new


def _read_reshape(params: Any, decode: Decode) -> Reading:
    shape = tuple(int(size) for size in params.targetShape)
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise ValueError(f"targetShape: expected 3 or 4 positive sizes, got {list(shape)}")
    return Reading({"shape": shape, "channel_last": params.mode == 1}, {})


_PERMUTED = (-5, -3, -2, -1)  # sequence, channel, height, width: the batch axis stays


def permute(x: Array, *, axes: tuple[int, ...]) -> Array:
    """``[..., S, B, C, H, W]`` with S, C, H, W (0 to 3) in the order ``axes``."""
    return np.transpose(x, _order(x.ndim, axes))


def permute_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], axes: tuple[int, ...]) -> tuple[Array | None, ...]:
    """The gradient of ``permute``: the permutation that undoes it."""
    return (np.transpose(g, np.argsort(_order(x.ndim, axes)).tolist()) if needs[0] else None,)


def _order(rank: int, axes: tuple[int, ...]) -> list[int]:
    order = list(range(rank))
    for to, source in zip(_PERMUTED, axes, strict=True):
        order[to] = rank + _PERMUTED[source]
    return order


def permute_shape(x: Shape, *, axes: tuple[int, ...]) -> Shape:
    """The shape rule of ``permute``. Raises ``ValueError`` below 5 axes."""
    check_rank(x, 5)
    return tuple(x[axis] for axis in _order(len(x), axes))


def _read_permute(params: Any, decode: Decode) -> Reading:
    axes = tuple(int(axis) for axis in params.axis) or (0, 1, 2, 3)
    if sorted(axes) != [0, 1, 2, 3]:
        raise ValueError(f"axis: expected an order of 0, 1, 2, 3, got {list(axes)}")
    return Reading({"axes": axes}, {})


def concat(*inputs: Array, axis: int) -> Array:
    """The inputs, one behind the other along ``axis`` (-3 or -5)."""
    return np.concatenate(inputs, axis=axis)


def concat_backward(g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], axis: int) -> tuple[Array | None, ...]:
    """The gradient of ``concat``: each input's part."""
    parts = np.split(g, list(accumulate(x.shape[axis] for x in inputs[:-1])), axis=axis)
    return tuple(part if need else None for part, need in zip(parts, needs, strict=True))


def concat_shape(*inputs: Shape, axis: int) -> Shape:
    """The shape rule of ``concat``. Raises ``ValueError`` where the other axes differ."""
    first = inputs[0]
    check_rank(first, -axis)
    place = len(first) + axis
    for shape in inputs[1:]:
        if len(shape) != len(first) or (*shape[:place], *shape[place + 1 :]) != (*first[:place], *first[place + 1 :]):
            raise ValueError(f"expected inputs that differ along axis {axis} only, got shapes {[list(shape) for shape in inputs]}")
    return (*first[:place], sum(shape[place] for shape in inputs), *first[place + 1 :])


def _read_concat(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": -5 if params.sequenceConcat else -3}, {})


OPS = (
    Op("flatten", flatten, flatten_shape, _read_flatten, flatten_backward, from_the_end, portable=True),
    Op("reshape", reshape, reshape_shape, _read_reshape, reshape_backward, from_the_end, portable=True),
    Op("permute", permute, permute_shape, _read_permute, permute_backward, from_the_end, portable=True),
    Op("concat", concat, concat_shape, _read_concat, concat_backward, from_the_end, portable=True),
)
