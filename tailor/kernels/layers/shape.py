"""Layers that give the same numbers another shape, or say what shape a value has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .axes import all_from_end, from_end, one_more
from .sizes import check_sizes
from .whole import row


def transpose(x: Array, *, axes: tuple[int, ...], examples: int = 0) -> Array:
    """``x`` with its axes in the order ``axes``, behind the ``examples`` leading ones.

    ``axes`` may be an order of the last axes alone where those before have length 1. The format's comment asks for all of
    them, its validator does not, and coremltools' ``make_image_input`` names three for the ``[1, C, H, W]`` of an image.
    """
    return np.transpose(x, _order(x.shape, axes, examples))


def transpose_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], axes: tuple[int, ...], examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``transpose``: the order that undoes it."""
    return (np.transpose(g, np.argsort(_order(x.shape, axes, examples)).tolist()) if needs[0] else None,)


def transpose_shape(x: Shape, *, axes: tuple[int, ...], examples: int = 0) -> Shape:
    """The shape rule of ``transpose``. Raises ``ValueError`` where ``axes`` is not an order of the input's axes."""
    return tuple(x[axis] for axis in _order(x, axes, examples))


def _order(x: Shape, axes: tuple[int, ...], examples: int) -> list[int]:
    own, kept = x[examples:], len(x) - len(axes)
    places = [axis + len(axes) if axis < 0 else axis for axis in axes]
    if sorted(places) != list(range(len(axes))) or kept < examples or any(size != 1 for size in x[examples:kept]):
        raise ValueError(f"axes: expected an order of the {len(own)} axes of an input of shape {list(own)}, got {list(axes)}")
    return [*range(kept), *(kept + place for place in places)]


def _read_transpose(params: Any, decode: Decode) -> Reading:
    return Reading({"axes": tuple(int(axis) for axis in params.axes)}, {})


def squeeze_shape(x: Shape, *, axes: tuple[int, ...] | None, examples: int = 0) -> Shape:
    """``x`` without ``axes``, which have length 1, or without all such axes; one axis stays if none would.

    Raises ``ValueError`` where one of ``axes`` has another length.
    """
    own = x[examples:]
    if axes is None:
        gone = [place for place, size in enumerate(own) if size == 1]
    else:
        gone = [axis + len(own) for axis in all_from_end(axes, len(own))]
        if any(own[place] != 1 for place in gone):
            raise ValueError(f"expected length 1 along axes {list(axes)}, got shape {list(own)}")
    kept = tuple(size for place, size in enumerate(own) if place not in gone)
    return (*x[:examples], *(kept or (1,)))


def _read_squeeze(params: Any, decode: Decode) -> Reading:
    axes = tuple(int(axis) for axis in params.axes)
    if not params.squeezeAll and not axes:
        raise ValueError("axes: expected one or more without squeezeAll, got none")
    return Reading({"axes": None if params.squeezeAll else axes}, {})


def expand_dims_shape(x: Shape, *, axes: tuple[int, ...], examples: int = 0) -> Shape:
    """``x`` with new axes of length 1, at the places ``axes`` of the output."""
    rank = len(x) - examples + len(axes)
    new = [axis + rank for axis in all_from_end(axes, rank)]
    old = iter(x[examples:])
    return (*x[:examples], *(1 if place in new else next(old) for place in range(rank)))


def _read_expand_dims(params: Any, decode: Decode) -> Reading:
    axes = tuple(int(axis) for axis in params.axes)
    if not axes:
        raise ValueError("axes: expected one or more, got none")
    return Reading({"axes": axes}, {})


def flatten_to_2d_shape(x: Shape, *, axis: int, examples: int = 0) -> Shape:
    """Two sizes: the product of those before ``axis``, and of those from it on; ``axis`` may be the rank."""
    own = x[examples:]
    place = len(own) if axis == len(own) else len(own) + from_end(axis, len(own))
    return (*x[:examples], prod(own[:place]), prod(own[place:]))


def _read_axis(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis)}, {})


def resolved(target: Sequence[int], x: Shape) -> Shape:
    """The shape that ``target`` means for ``x``: 0 keeps the size at its place, if the ranks agree; one -1 is what is left over.

    Raises ``ValueError`` where the number of elements would change.
    """
    keeps = len(target) == len(x)
    sizes = [x[place] if size == 0 and keeps else size for place, size in enumerate(target)]
    left_over = [place for place, size in enumerate(sizes) if size == -1]
    if len(left_over) > 1 or any(size < -1 for size in sizes):
        raise ValueError(f"expected a shape with sizes of 0 or more, and -1 once at most, got {list(target)}")
    known = prod(size for size in sizes if size != -1)
    if left_over and known:
        sizes[left_over[0]] = prod(x) // known
    if prod(sizes) != prod(x) or -1 in sizes:
        raise ValueError(f"expected a shape for the {prod(x)} elements of an input of shape {list(x)}, got {list(target)}")
    return tuple(sizes)


def reshape_static_shape(x: Shape, *, shape: Shape, examples: int = 0) -> Shape:
    """The shape rule of ``reshapeStatic`` and ``rankPreservingReshape``; see ``resolved``."""
    return (*x[:examples], *resolved(shape, x[examples:]))


def rank_preserving_shape(x: Shape, *, shape: Shape, examples: int = 0) -> Shape:
    """As ``reshape_static_shape``. Raises ``ValueError`` where the ranks differ."""
    if len(shape) != len(x) - examples:
        raise ValueError(f"expected an input of {len(shape)} axes for the target shape {list(shape)}, got shape {list(x[examples:])}")
    return reshape_static_shape(x, shape=shape, examples=examples)


def _read_target(params: Any, decode: Decode) -> Reading:
    shape = tuple(int(size) for size in params.targetShape)
    if not shape or min(shape) < -1 or shape.count(-1) > 1:
        raise ValueError(f"targetShape: expected one or more sizes, and -1 once at most, got {list(shape)}")
    return Reading({"shape": shape}, {})


def _recasting(name: str, rule: Callable[..., Shape], read: Callable[[Any, Decode], Reading]) -> Op:
    """The row of a layer whose output is its input with the shape that ``rule`` gives."""

    def forward(x: Array, **attributes: Any) -> Array:
        return x.reshape(rule(x.shape, **attributes))

    def backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], **attributes: Any) -> tuple[Array | None, ...]:
        return (g.reshape(x.shape) if needs[0] else None,)

    return Op(name, forward, rule, read, backward, one_more, portable=True)


def reshape_like(x: Array, like: Array) -> Array:
    """``x`` with the shape of ``like``, whose values do not matter."""
    return x.reshape(_like_shape(x.shape, like.shape))


def reshape_dynamic(x: Array, shape: Array) -> Array:
    """``x`` with the shape that the values of ``shape`` are; see ``resolved``."""
    return x.reshape(resolved(row(shape, "sizes"), x.shape))


def recast_backward(g: Array, y: Array, x: Array, other: Array, *, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    """The gradient of ``reshape_like`` and ``reshape_dynamic``: ``x`` has one, what says the shape has none."""
    return (g.reshape(x.shape) if needs[0] else None, None)


def _like_shape(x: Shape, like: Shape) -> Shape:
    if prod(x) != prod(like):
        raise ValueError(f"expected inputs with the same number of elements, got shapes {list(x)} and {list(like)}")
    return like


def _dynamic_shape(x: Shape, shape: Shape) -> None:
    check_sizes(shape)


def get_shape(x: Array, *, examples: int = 0) -> Array:
    """The sizes of ``x``, as numbers of its type: ``[rank]``."""
    sizes = np.array(x.shape[examples:], x.dtype)
    return np.broadcast_to(sizes, get_shape_shape(x.shape, examples=examples)).copy()


def get_shape_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], examples: int = 0) -> tuple[Array | None, ...]:
    """No value of the input matters to its shape."""
    return (None,)


def get_shape_shape(x: Shape, *, examples: int = 0) -> Shape:
    """The shape rule of ``get_shape``."""
    return (*x[:examples], len(x) - examples)


def _read_nothing(params: Any, decode: Decode) -> Reading:
    return Reading({}, {})


OPS = (
    Op("transpose", transpose, transpose_shape, _read_transpose, transpose_backward, one_more, portable=True),
    _recasting("squeeze", squeeze_shape, _read_squeeze),
    _recasting("expandDims", expand_dims_shape, _read_expand_dims),
    _recasting("flattenTo2D", flatten_to_2d_shape, _read_axis),
    _recasting("reshapeStatic", reshape_static_shape, _read_target),
    _recasting("rankPreservingReshape", rank_preserving_shape, _read_target),
    Op("reshapeLike", reshape_like, _like_shape, _read_nothing, recast_backward, from_the_end, portable=True),
    Op("reshapeDynamic", reshape_dynamic, _dynamic_shape, _read_nothing, recast_backward),
    Op("getShape", get_shape, get_shape_shape, _read_nothing, get_shape_backward, one_more),
)
