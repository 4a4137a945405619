"""Where indices point: each kind of gather and scatter looks at an array as rows ``[R, width]`` and picks some of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..op import Array, Shape
from .axes import from_end
from .whole import counted


def every_element(*shapes: Shape, **attributes: Any) -> int:
    """The ``work`` of ops that touch each number of their inputs once."""
    return sum(prod(shape) for shape in shapes)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of ``width`` numbers: ``places`` says which one stands where in ``shape``, the shape of what is picked (or put)."""

    places: Array
    width: int
    shape: Shape

    def of(self, data: Array) -> Array:
        """The rows that are picked out of ``data``, in ``shape``."""
        return data.reshape(-1, self.width)[self.places].reshape(self.shape)

    def elements(self) -> Array:
        """The places of the single numbers: ``[count of places * width]``."""
        if self.width == 1:
            return self.places
        return (self.places[:, np.newaxis] * self.width + np.arange(self.width)).reshape(-1)


def along_axis_shape(data: Shape, indices: Shape, axis: int, examples: int) -> Shape:
    """The shape of the slices of ``data`` along ``axis`` that ``indices`` name. Both have ``examples`` leading axes."""
    place = from_end(axis, len(data), examples) + len(data)
    return (*data[:place], *indices[examples:], *data[place + 1 :])


def slices(data: Shape, indices: Array, axis: int, examples: int) -> Rows:
    """Indices that name whole slices along ``axis``. Raises ``ValueError`` for an index that is outside."""
    place = from_end(axis, len(data), examples) + len(data)
    size, width = data[place], prod(data[place + 1 :])
    before = np.arange(prod(data[:place])).reshape(prod(data[:examples]), -1, 1)
    own = counted(indices, size).reshape(before.shape[0], 1, -1)
    places = (before * size + own).reshape(-1)
    return Rows(places, width, along_axis_shape(data, indices.shape, axis, examples))


def points_shape(data: Shape, indices: Shape, examples: int) -> Shape:
    """The shape of what ``indices`` ``[..., K]`` name by the first K axes of ``data``. Raises ``ValueError`` where it has fewer."""
    if len(indices) <= examples or not 1 <= indices[-1] <= len(data) - examples:
        raise ValueError(f"expected indices whose last axis has 1 to {len(data) - examples} places, got shape {list(indices[examples:])}")
    return (*indices[:-1], *data[examples + indices[-1] :])


def points(data: Shape, indices: Array, examples: int) -> Rows:
    """Indices that name what lies at the multi-indices along their last axis. Raises ``ValueError`` for one that is outside."""
    shape = points_shape(data, indices.shape, examples)
    sizes = data[examples : examples + indices.shape[-1]]
    own = np.zeros(indices.shape[:-1], np.intp)
    for at, size in enumerate(sizes):
        own = own * size + counted(indices[..., at], size)
    before = np.arange(prod(data[:examples])) * prod(sizes)
    places = own.reshape(before.size, -1) + before[:, np.newaxis]
    return Rows(places.reshape(-1), prod(data[examples + len(sizes) :]), shape)


def numbers_shape(data: Shape, indices: Shape, axis: int) -> Shape:
    """The shape of ``indices``, which agrees with that of ``data`` except along ``axis``. Raises ``ValueError`` where it does not."""
    place = from_end(axis, len(data)) + len(data)
    if len(indices) != len(data) or (*indices[:place], *indices[place + 1 :]) != (*data[:place], *data[place + 1 :]):
        raise ValueError(f"expected indices that differ along axis {axis} only from shape {list(data)}, got shape {list(indices)}")
    return indices


def numbers(data: Shape, indices: Array, axis: int) -> Rows:
    """Indices that name single numbers, each within its own line along ``axis``. Raises ``ValueError`` for one that is outside."""
    place = from_end(axis, len(data)) + len(data)
    size, behind = data[place], prod(data[place + 1 :])
    own = counted(indices, size).reshape(prod(data[:place]), -1, behind)
    before = np.arange(own.shape[0]).reshape(-1, 1, 1)
    places = (before * size + own) * behind + np.arange(behind)
    return Rows(places.reshape(-1), 1, indices.shape)
