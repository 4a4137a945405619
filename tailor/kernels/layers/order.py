"""Layers about order and places: top k, argsort, one-hot vectors, the places of what is not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape
from .axes import from_end
from .channels import check_rank
from .sizes import check_number, count
from .whole import whole


def top_k(x: Array, k: Array | None = None, *, axis: int, most: int, bottom: bool) -> tuple[Array, Array]:
    """The ``most`` (or ``k``, where that is given) largest numbers along ``axis``, largest first, and their places.

    ``bottom``: the smallest, smallest first. Of equal numbers the one at the lower place comes first; NaN comes last.
    Raises ``ValueError`` where there are not so many.
    """
    most = most if k is None else count("K", k)
    _check_most(most, x.shape, axis)
    places = np.take(_sorted(x, axis, not bottom), range(most), axis)
    return np.take_along_axis(x, places, axis), places.astype(x.dtype)


def top_k_backward(
    g: tuple[Array | None, Array | None],
    y: tuple[Array, Array],
    x: Array,
    k: Array | None = None,
    *,
    needs: tuple[bool, ...],
    axis: int,
    most: int,
    bottom: bool,
) -> tuple[Array | None, ...]:
    """The gradient of ``top_k``: that of the values, put where they came from. K and the places have none."""
    gradient = None
    if needs[0]:
        gradient = np.zeros(x.shape, x.dtype)
        if g[0] is not None:
            np.put_along_axis(gradient, y[1].astype(np.int64), g[0], axis)
    return (gradient,) if k is None else (gradient, None)


def _top_k_shape(x: Shape, k: Shape | None = None, *, axis: int, most: int, bottom: bool) -> tuple[Shape | None, Shape | None]:
    place = from_end(axis, len(x))
    if k is not None:
        check_number("K", k)
        return None, None
    _check_most(most, x, axis)
    shape = tuple(most if at - len(x) == place else size for at, size in enumerate(x))
    return shape, shape


def _check_most(most: int, x: Shape, axis: int) -> None:
    if not 1 <= most <= x[axis]:
        raise ValueError(f"K: expected a number from 1 to {x[axis]}, the length of axis {axis} of the input {list(x)}, got {most}")


def _top_k_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes | None:
    """Examples go one by one where each brings a K of its own."""
    return _axis_batched(attributes, ranks) if len(ranks) == 1 else None


def _read_top_k(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis), "most": int(params.K), "bottom": bool(params.useBottomK)}, {})


def argsort(x: Array, *, axis: int, descending: bool) -> Array:
    """The places of the numbers along ``axis`` in ascending order; equal numbers keep theirs, NaN comes last."""
    return _sorted(x, axis, descending).astype(x.dtype)


def _argsort_shape(x: Shape, *, axis: int, descending: bool) -> Shape:
    from_end(axis, len(x))
    return x


def _read_argsort(params: Any, decode: Decode) -> Reading:
    if params.axis < 0:
        raise ValueError(f"axis: expected 0 or more, got {params.axis}")
    return Reading({"axis": int(params.axis), "descending": bool(params.descending)}, {})


def _sorted(x: Array, axis: int, descending: bool) -> Array:
    return np.argsort(-x if descending else x, axis=axis, kind="stable")


def _axis_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "axis": from_end(attributes["axis"], ranks[0])}


def one_hot(x: Array, size: Array | None = None, *, axis: int, length: int, on: float, off: float) -> Array:
    """Vectors of ``length`` (or ``size``, where that is given) numbers along a new ``axis``, counted in the output.

    ``on`` stands at the place that ``x`` tells, ``off`` elsewhere. Raises ``ValueError`` where there is no such place.
    """
    length = length if size is None else count("oneHotVectorSize", size)
    check_elements((*x.shape, length))
    places = np.expand_dims(whole(x, 0, length - 1), axis)
    vectors = np.full(_with(x.shape, axis, length), off, x.dtype)
    np.put_along_axis(vectors, places, on, axis)
    return vectors


def _one_hot_shape(x: Shape, size: Shape | None = None, *, axis: int, length: int, on: float, off: float) -> Shape | None:
    from_end(axis, len(x) + 1)
    if size is not None:
        check_number("oneHotVectorSize", size)
        return None
    if length < 1:
        raise ValueError(f"oneHotVectorSize: expected 1 or more, got {length}")
    check_elements((*x, length))
    return _with(x, axis, length)


def _with(x: Shape, axis: int, length: int) -> Shape:
    place = len(x) + 1 + from_end(axis, len(x) + 1)
    return (*x[:place], length, *x[place:])


def _one_hot_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes | None:
    """Examples go one by one where each brings a size of its own."""
    return {**attributes, "axis": from_end(attributes["axis"], ranks[0] + 1)} if len(ranks) == 1 else None


def _read_one_hot(params: Any, decode: Decode) -> Reading:
    attributes = {
        "axis": int(params.axis),
        "length": int(params.oneHotVectorSize),
        "on": float(params.onValue),
        "off": float(params.offValue),
    }
    return Reading(attributes, {})


def where_non_zero(x: Array) -> Array:
    """``[N, rank]``: the places of the N numbers of ``x`` that are not 0, in the order in which they are stored."""
    return np.argwhere(x).astype(x.dtype)


def _where_non_zero_shape(x: Shape) -> None:
    check_rank(x, 1)


def _read_nothing(params: Any, decode: Decode) -> Reading:
    return Reading({}, {})


OPS = (
    Op("topK", top_k, _top_k_shape, _read_top_k, top_k_backward, _top_k_batched),
    Op("argSort", argsort, _argsort_shape, _read_argsort, batched=_axis_batched, portable=True),
    Op("oneHot", one_hot, _one_hot_shape, _read_one_hot, batched=_one_hot_batched),
    Op("whereNonZero", where_non_zero, _where_non_zero_shape, _read_nothing),
)
