"""Layers that pick by index: along an axis, by multi-index, or number by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Attributes, Decode, Op, Reading, Shape
from .axes import from_end, one_more
from .rows import Rows, along_axis_shape, every_element, numbers, numbers_shape, points, points_shape, slices
from .whole import counted


def gather(data: Array, indices: Array, *, axis: int, examples: int = 0) -> Array:
    """The slices of ``data`` along ``axis`` that ``indices`` name; the axes of ``indices`` stand in the place of ``axis``.

    An index below 0 counts from the end. Raises ``ValueError`` for one that is outside.
    """
    check_elements(along_axis_shape(data.shape, indices.shape, axis, examples))
    if examples == 0:
        return np.asarray(np.take(data, counted(indices, data.shape[axis]), axis=axis))
    return slices(data.shape, indices, axis, examples).of(data)


def gather_backward(
    g: Array, y: Array, data: Array, indices: Array, *, needs: tuple[bool, ...], axis: int, examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``gather``: each slice added where it came from."""
    return (put_back(g, data, slices(data.shape, indices, axis, examples)) if needs[0] else None, None)


def put_back(g: Array, data: Array, rows: Rows) -> Array:
    """The gradient of ``rows.of(data)``: ``g`` added where it came from, in the order of the places."""
    dx = np.zeros(data.size, data.dtype)
    np.add.at(dx, rows.elements(), g.reshape(-1))
    return dx.reshape(data.shape)


def gather_shape(data: Shape, indices: Shape, *, axis: int, examples: int = 0) -> Shape:
    """The shape rule of ``gather``."""
    return along_axis_shape(data, indices, axis, examples)


def gather_nd(data: Array, indices: Array, *, examples: int = 0) -> Array:
    """What lies in ``data`` at the multi-indices along the last axis of ``indices``. Raises ``ValueError`` as ``gather`` does."""
    check_elements(points_shape(data.shape, indices.shape, examples))
    return points(data.shape, indices, examples).of(data)


def gather_nd_backward(
    g: Array, y: Array, data: Array, indices: Array, *, needs: tuple[bool, ...], examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradient of ``gather_nd``."""
    return (put_back(g, data, points(data.shape, indices, examples)) if needs[0] else None, None)


def _gather_nd_shape(data: Shape, indices: Shape, *, examples: int = 0) -> Shape:
    return points_shape(data, indices, examples)


def gather_along_axis(data: Array, indices: Array, *, axis: int) -> Array:
    """The numbers of ``data`` that ``indices`` name, each within its own line along ``axis``. Raises as ``gather`` does."""
    return numbers(data.shape, indices, axis).of(data)


def gather_along_axis_backward(
    g: Array, y: Array, data: Array, indices: Array, *, needs: tuple[bool, ...], axis: int
) -> tuple[Array | None, ...]:
    """The gradient of ``gather_along_axis``."""
    return (put_back(g, data, numbers(data.shape, indices, axis)) if needs[0] else None, None)


def _gather_along_axis_shape(data: Shape, indices: Shape, *, axis: int) -> Shape:
    return numbers_shape(data, indices, axis)


def _along_axis_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "axis": from_end(attributes["axis"], ranks[0])}


def _read_axis(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis)}, {})


def _read_nothing(params: Any, decode: Decode) -> Reading:
    return Reading({}, {})


OPS = (
    Op("gather", gather, gather_shape, _read_axis, gather_backward, one_more, every_element),
    Op("gatherND", gather_nd, _gather_nd_shape, _read_nothing, gather_nd_backward, one_more, every_element),
    Op(
        "gatherAlongAxis",
        gather_along_axis,
        _gather_along_axis_shape,
        _read_axis,
        gather_along_axis_backward,
        _along_axis_batched,
        every_element,
    ),
)
