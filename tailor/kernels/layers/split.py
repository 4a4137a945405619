"""Several arrays to one and one to several, along an axis: stack, concatND, splitND, split."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape, from_the_end
from .axes import from_end


def stack(*inputs: Array, axis: int) -> Array:
    """The inputs, all of one shape, along a new axis, which is ``axis`` of the output."""
    return np.stack(inputs, axis=axis)


def stack_backward(g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], axis: int) -> tuple[Array | None, ...]:
    """The gradient of ``stack``: each input's part."""
    return tuple(np.take(g, place, axis=axis) if need else None for place, need in enumerate(needs))


def stack_shape(*inputs: Shape, axis: int) -> Shape:
    """The shape rule of ``stack``. Raises ``ValueError`` where shapes differ."""
    _check_same(inputs)
    first = inputs[0]
    place = from_end(axis, len(first) + 1) + len(first) + 1
    return (*first[:place], len(inputs), *first[place:])


def _stack_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "axis": from_end(attributes["axis"], ranks[0] + 1)}


def _check_same(inputs: tuple[Shape, ...]) -> None:
    if not inputs or len(set(inputs)) > 1:
        raise ValueError(f"expected inputs of one shape, got shapes {[list(shape) for shape in inputs]}")


def _read_axis(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis)}, {})


def concat_nd(*inputs: Array, axis: int, interleave: bool) -> Array:
    """The inputs, one behind the other along ``axis``, or with ``interleave`` the first slices of all, then the second ..."""
    if not interleave:
        return np.concatenate(inputs, axis=axis)
    own = from_end(axis, inputs[0].ndim)
    woven = np.stack(inputs, axis=inputs[0].ndim + own + 1)
    return woven.reshape(concat_nd_shape(*(x.shape for x in inputs), axis=axis, interleave=True))


def concat_nd_backward(
    g: Array, y: Array, *inputs: Array, needs: tuple[bool, ...], axis: int, interleave: bool
) -> tuple[Array | None, ...]:
    """The gradient of ``concat_nd``: each input's part."""
    ahead = np.moveaxis(g, axis, 0)
    ends = list(accumulate((x.shape[axis] for x in inputs), initial=0))
    parts = (ahead[place :: len(inputs)] if interleave else ahead[start:end] for place, (start, end) in enumerate(pairwise(ends)))
    return tuple(np.moveaxis(part, 0, axis) if need else None for part, need in zip(parts, needs, strict=True))


def concat_nd_shape(*inputs: Shape, axis: int, interleave: bool) -> Shape:
    """The shape rule of ``concat_nd``. Raises ``ValueError`` where the other axes differ, or any with ``interleave``."""
    if interleave or not inputs:
        _check_same(inputs)
    first = inputs[0]
    place = from_end(axis, len(first)) + len(first)
    for shape in inputs[1:]:
        if len(shape) != len(first) or (*shape[:place], *shape[place + 1 :]) != (*first[:place], *first[place + 1 :]):
            raise ValueError(f"expected inputs that differ along axis {axis} only, got shapes {[list(shape) for shape in inputs]}")
    return (*first[:place], sum(shape[place] for shape in inputs), *first[place + 1 :])


def _axis_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "axis": from_end(attributes["axis"], ranks[0])}


def _read_concat_nd(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis), "interleave": bool(params.interleave)}, {})


def split_nd(x: Array, *, axis: int, pieces: int, sizes: tuple[int, ...]) -> tuple[Array, ...]:
    """``x`` cut along ``axis`` into pieces of ``sizes``; where none are given, into ``pieces`` of which the first may be longer by one."""
    lengths = _lengths(x.shape, axis, pieces, sizes)
    return tuple(np.split(x, list(accumulate(lengths))[:-1], axis=axis))


def split_nd_backward(
    g: tuple[Array | None, ...],
    y: tuple[Array, ...],
    x: Array,
    *,
    needs: tuple[bool, ...],
    axis: int,
    pieces: int = 0,
    sizes: tuple[int, ...] = (),
) -> tuple[Array | None, ...]:
    """The gradient of ``split_nd``: the parts in their places, 0 for an output that is not used."""
    if not needs[0]:
        return (None,)
    return (np.concatenate([np.zeros_like(of_y) if of_g is None else of_g for of_g, of_y in zip(g, y, strict=True)], axis=axis),)


def split_nd_shape(x: Shape, *, axis: int, pieces: int, sizes: tuple[int, ...]) -> tuple[Shape, ...]:
    """The shape rule of ``split_nd``. Raises ``ValueError`` where the pieces do not add up."""
    place = from_end(axis, len(x)) + len(x)
    return tuple((*x[:place], length, *x[place + 1 :]) for length in _lengths(x, axis, pieces, sizes))


def _lengths(x: Shape, axis: int, pieces: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    length = x[from_end(axis, len(x))]
    if not sizes:
        if pieces > length:
            raise ValueError(f"expected {pieces} or more along axis {axis} to split, got shape {list(x)}")
        each, longer = divmod(length, pieces)
        return tuple(each + (place < longer) for place in range(pieces))
    if sum(sizes) != length:
        raise ValueError(f"splitSizes: expected sizes that add up to {length} along axis {axis} of shape {list(x)}, got {list(sizes)}")
    return sizes


def _read_split_nd(params: Any, decode: Decode) -> Reading:
    sizes = tuple(int(size) for size in params.splitSizes)
    pieces = len(sizes) or int(params.numSplits)
    if pieces < 2:
        raise ValueError(f"numSplits: expected two or more pieces, got {pieces}")
    check_elements((pieces,))
    return Reading({"axis": int(params.axis), "pieces": pieces, "sizes": sizes}, {})


def split(x: Array, *, pieces: int) -> tuple[Array, ...]:
    """``[..., C, H, W]`` -> ``pieces`` times ``[..., C / pieces, H, W]``."""
    return tuple(np.split(x, pieces, axis=-3))


def split_backward(
    g: tuple[Array | None, ...], y: tuple[Array, ...], x: Array, *, needs: tuple[bool, ...], pieces: int
) -> tuple[Array | None, ...]:
    """The gradient of ``split``; see ``split_nd_backward``."""
    return split_nd_backward(g, y, x, needs=needs, axis=-3)


def split_shape(x: Shape, *, pieces: int) -> tuple[Shape, ...]:
    """The shape rule of ``split``. Raises ``ValueError`` where the channels cannot be shared out."""
    if len(x) < 3 or x[-3] < pieces or x[-3] % pieces:
        raise ValueError(f"expected an input [..., C, H, W] whose channels {pieces} divides, got shape {list(x)}")
    return ((*x[:-3], x[-3] // pieces, *x[-2:]),) * pieces


def _read_split(params: Any, decode: Decode) -> Reading:
    pieces = int(params.nOutputs)
    if pieces < 2:
        raise ValueError(f"nOutputs: expected two or more pieces, got {pieces}")
    return Reading({"pieces": pieces}, {})


OPS = (
    Op("stack", stack, stack_shape, _read_axis, stack_backward, _stack_batched, portable=True),
    Op("concatND", concat_nd, concat_nd_shape, _read_concat_nd, concat_nd_backward, _axis_batched, portable=True),
    Op("splitND", split_nd, split_nd_shape, _read_split_nd, split_nd_backward, _axis_batched, portable=True),
    Op("split", split, split_shape, _read_split, split_backward, from_the_end, portable=True),
)
