"""Many numbers to one: sums, means, products, norms, extremes, along given axes or all; running sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .axes import all_from_end, from_end, one_more
from .unary import named

Axes = tuple[int, ...]


def _log_sum_exp(x: Array, axes: Axes) -> Array:
    top = x.max(axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)  # shifted by what is finite, so that nothing overflows
    sums: Array = np.log(np.exp(x - top).sum(axis=axes, keepdims=True))
    return sums + top


def _arg(x: Array, axes: Axes) -> Array:
    place: Array = np.argmax(x, axis=axes[0], keepdims=True)
    return place.astype(x.dtype)


def _share(g: Array, y: Array, x: Array, axes: Axes) -> Array:
    """``g`` to the elements that are the extreme, in equal parts."""
    chosen: Array = (x == y).astype(x.dtype)
    chosen *= g / np.maximum(chosen.sum(axis=axes, keepdims=True), 1.0)
    return chosen


def _others(g: Array, y: Array, x: Array, axes: Axes) -> Array:
    """``g`` times the product of the other elements (not y / x, for x may be 0)."""
    behind = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x, axes, behind)
    flat = moved.reshape(*moved.shape[: x.ndim - len(axes)], -1)
    one = np.ones_like(flat[..., :1])
    before = np.cumprod(np.concatenate([one, flat[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([one, flat[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    others: Array = np.moveaxis((before * after).reshape(moved.shape), behind, axes)
    return g * others


Forward = Callable[[Array, Axes], Array]
Slope = Callable[[Array, Array, Array, Axes], Array]
KINDS: dict[str, tuple[Forward, Slope]] = {
    "sum": (lambda x, a: x.sum(axis=a, keepdims=True), lambda g, y, x, a: np.broadcast_to(g, x.shape)),
    "mean": (lambda x, a: x.mean(axis=a, keepdims=True), lambda g, y, x, a: np.broadcast_to(g * (y.size / max(x.size, 1)), x.shape)),
    "prod": (lambda x, a: x.prod(axis=a, keepdims=True), _others),
    "logSum": (lambda x, a: np.log(x.sum(axis=a, keepdims=True)), lambda g, y, x, a: np.broadcast_to(g * np.exp(-y), x.shape)),
    "sumSquare": (lambda x, a: np.square(x).sum(axis=a, keepdims=True), lambda g, y, x, a: 2.0 * g * x),
    "l1": (lambda x, a: np.abs(x).sum(axis=a, keepdims=True), lambda g, y, x, a: g * np.sign(x)),
    "l2": (lambda x, a: np.sqrt(np.square(x).sum(axis=a, keepdims=True)), lambda g, y, x, a: g * x / np.where(y == 0, 1.0, y)),
    "max": (lambda x, a: x.max(axis=a, keepdims=True), _share),
    "min": (lambda x, a: x.min(axis=a, keepdims=True), _share),
    "logSumExp": (_log_sum_exp, lambda g, y, x, a: g * np.exp(x - np.where(np.isfinite(y), y, 0.0))),
    "argmax": (_arg, lambda g, y, x, a: np.zeros_like(x)),
}
"""What the elements along axes come to, the axes kept with length 1, and the gradient of that."""


def reduce_axes(x: Array, *, kind: str, axes: Axes | None, keep: bool, examples: int = 0) -> Array:
    """``KINDS[kind]`` of ``x`` along ``axes``, or all; an answer without axes is given one, of length 1."""
    found = KINDS[kind][0](x, all_from_end(axes, x.ndim, examples))
    return found.reshape(_reduced(x.shape, axes=axes, keep=keep, examples=examples))


def reduce_axes_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], kind: str, axes: Axes | None, keep: bool, examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``reduce_axes``; of a maximum that several elements share, in equal parts."""
    if not needs[0]:
        return (None,)
    along = all_from_end(axes, x.ndim, examples)
    kept = _kept(x.shape, along)
    return (KINDS[kind][1](g.reshape(kept), y.reshape(kept), x, along),)


def _kept(x: Shape, along: Axes) -> Shape:
    return tuple(1 if place - len(x) in along else size for place, size in enumerate(x))


def _reduced(x: Shape, *, axes: Axes | None, keep: bool, examples: int = 0) -> Shape:
    along = all_from_end(axes, len(x), examples)
    if keep:
        return _kept(x, along)
    left = tuple(size for place, size in enumerate(x) if place - len(x) not in along)
    return left if len(left) > examples else (*left, 1)


def _row(kind: str) -> Op:
    name = f"reduce{kind[0].upper()}{kind[1:]}"

    def shape(x: Shape, **attributes: Any) -> Shape:
        made = _reduced(x, **attributes)
        return _checked(x, made, kind)

    def read(params: Any, decode: Decode) -> Reading:
        axes = None if params.reduceAll or not params.axes else tuple(int(axis) for axis in params.axes)
        return Reading({"axes": axes, "keep": bool(params.keepDims)}, {})

    return Op(name, partial(reduce_axes, kind=kind), shape, read, partial(reduce_axes_backward, kind=kind), one_more, portable=True)


def _checked(x: Shape, made: Shape, kind: str) -> Shape:
    if kind in ("max", "min", "argmax", "mean") and 0 in x and 0 not in made:
        raise ValueError(f"expected elements to {'take' if kind == 'mean' else 'choose'} the {kind} of, got shape {list(x)}")
    return made


LEGACY = {
    "SUM": "sum",
    "AVG": "mean",
    "PROD": "prod",
    "LOGSUM": "logSum",
    "SUMSQUARE": "sumSquare",
    "L1": "l1",
    "L2": "l2",
    "MAX": "max",
    "MIN": "min",
    "ARGMAX": "argmax",
}
"""The operations of the older layer, in the format's order, as ``KINDS``; its ``LOGSUM`` is another: a sum of logarithms."""

LEGACY_AXES: dict[str, Axes] = {"CHW": (-3, -2, -1), "HW": (-2, -1), "C": (-3,), "H": (-2,), "W": (-1,)}


def reduce_image(x: Array, *, operation: str, axes: Axes, epsilon: float) -> Array:
    """``LEGACY[operation]`` along ``axes``, which are kept with length 1; ``LOGSUM``: the sum of log(x + epsilon)."""
    if operation == "LOGSUM":
        sums: Array = np.log(x + epsilon).sum(axis=axes, keepdims=True)
        return sums
    return KINDS[LEGACY[operation]][0](x, axes)


def reduce_image_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], operation: str, axes: Axes, epsilon: float
) -> tuple[Array | None, ...]:
    """The gradient of ``reduce_image``; 0 for ``ARGMAX``, which is flat between its jumps."""
    if not needs[0]:
        return (None,)
    return (g / (x + epsilon) if operation == "LOGSUM" else KINDS[LEGACY[operation]][1](g, y, x, axes),)


def _image_shape(x: Shape, *, operation: str, axes: Axes, epsilon: float) -> Shape:
    if len(x) < -axes[0]:
        raise ValueError(f"expected an input of at least {-axes[0]} axes, got shape {list(x)}")
    return _checked(x, _kept(x, axes), LEGACY[operation])


def _read_image(params: Any, decode: Decode) -> Reading:
    operation, axes = named(LEGACY, params.mode), LEGACY_AXES[named(LEGACY_AXES, params.axis)]
    if operation == "ARGMAX" and len(axes) > 1:
        raise ValueError(f"axis: expected C, H or W for ARGMAX, got {named(LEGACY_AXES, params.axis)}")
    return Reading({"operation": operation, "axes": axes, "epsilon": float(params.epsilon) or 1e-6}, {})


def arg_extreme(x: Array, *, find: Callable[..., Array], axis: int, remove: bool, examples: int = 0) -> Array:
    """The place of the first greatest (or least, as ``find`` says) element along ``axis``, as a float."""
    found = find(x, axis=from_end(axis, x.ndim, examples), keepdims=True).astype(x.dtype)
    return found.reshape(_reduced(x.shape, axes=(axis,), keep=not remove, examples=examples))


def _arg_shape(x: Shape, *, axis: int, remove: bool, examples: int = 0) -> Shape:
    return _checked(x, _reduced(x, axes=(axis,), keep=not remove, examples=examples), "argmax")


def _read_arg(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis), "remove": bool(params.removeDim)}, {})


def running_sum(x: Array, place: Array | None = None, *, axis: int, exclusive: bool, reverse: bool, examples: int = 0) -> Array:
    """Sums of the elements up to each along ``axis``, or ``place`` where it is given.

    ``exclusive``: of those before it; ``reverse``: from the end.
    """
    if place is not None:
        if examples:
            again = partial(running_sum, axis=axis, exclusive=exclusive, reverse=reverse, examples=examples - 1)
            return np.stack([again(one, its) for one, its in zip(x, place, strict=True)])
        axis = _place(place)
    along = from_end(axis, x.ndim, examples)
    turned = np.flip(x, along) if reverse else x
    sums: Array = np.cumsum(turned, axis=along)
    if exclusive:
        sums = np.roll(sums, 1, axis=along)
        np.moveaxis(sums, along, 0)[:1] = 0.0
    return np.flip(sums, along) if reverse else sums


def _place(values: Array) -> int:
    value = values.item()
    if value != value // 1:
        raise ValueError(f"axis: expected a whole number, got {value}")
    return int(value)


def running_sum_backward(
    g: Array,
    y: Array,
    x: Array,
    place: Array | None = None,
    *,
    needs: tuple[bool, ...],
    axis: int,
    exclusive: bool,
    reverse: bool,
    examples: int = 0,
) -> tuple[Array | None, ...]:
    """The gradient of ``running_sum``: the running sum the other way; 0 by the axis."""
    by_x = running_sum(g, place, axis=axis, exclusive=exclusive, reverse=not reverse, examples=examples) if needs[0] else None
    return (by_x,) if place is None else (by_x, np.zeros_like(place) if needs[1] else None)


def _running_shape(x: Shape, place: Shape | None = None, *, axis: int, exclusive: bool, reverse: bool, examples: int = 0) -> Shape:
    if place is None:
        from_end(axis, len(x), examples)
    elif any(size != 1 for size in place[examples:]):
        raise ValueError(f"expected one number as the axis, got shape {list(place)}")
    return x


def _read_running(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis), "exclusive": bool(params.excludeFinalSum), "reverse": bool(params.reverse)}, {})


OPS = (
    Op("reduce", reduce_image, _image_shape, _read_image, reduce_image_backward, from_the_end, portable=True),
    *(_row(kind) for kind in ("l1", "l2", "max", "min", "sum", "prod", "mean", "logSum", "sumSquare", "logSumExp")),
    Op("argMax", partial(arg_extreme, find=np.argmax), _arg_shape, _read_arg, None, one_more, portable=True),
    Op("argMin", partial(arg_extreme, find=np.argmin), _arg_shape, _read_arg, None, one_more, portable=True),
    Op("cumSum", running_sum, _running_shape, _read_running, running_sum_backward, one_more),
)
