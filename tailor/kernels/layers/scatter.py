"""Layers that put by index into a copy of an array: along an axis, by multi-index, or number by number, in seven modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..op import Array, Attributes, Decode, Op, Reading, Shape
from .axes import from_end, one_more
from .rows import Rows, along_axis_shape, every_element, numbers, numbers_shape, points, points_shape, slices

MODES = ("update", "add", "sub", "mul", "div", "max", "min")
"""``ScatterMode``: what becomes of the number in place and of the one that is put there. Where several are put, in their order."""

_COMBINE: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}


def put(container: Array, updates: Array, rows: Rows, mode: str) -> Array:
    """A copy of ``container`` with ``updates`` put where ``rows`` says."""
    out = container.copy(order="C")
    flat, places = out.reshape(-1), rows.elements()
    if mode == "update":
        flat[places] = updates.reshape(-1)
    else:
        _COMBINE[mode].at(flat, places, updates.reshape(-1))
    return out


def put_backward(g: Array, container: Array, updates: Array, rows: Rows, mode: str, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
    """The gradients of ``put``: of the container, ``None`` for the indices, and of the updates."""
    places = rows.elements()
    if mode in ("add", "sub"):
        signed = g if mode == "add" else -g
        return (
            g.copy() if needs[0] else None,
            None,
            signed.reshape(-1)[places].reshape(updates.shape) if needs[2] else None,
        )
    before, new = container.reshape(-1).copy(), updates.reshape(-1)
    turns = []
    for turn in _turns(places):
        old = before[places[turn]]
        turns.append((turn, old))
        before[places[turn]] = new[turn] if mode == "update" else _COMBINE[mode](old, new[turn])
    of_container, of_updates = g.reshape(-1).copy(), np.zeros_like(new)
    for turn, old in reversed(turns):
        arriving = of_container[places[turn]]
        of_updates[turn] = arriving * _by_new(mode, old, new[turn])
        of_container[places[turn]] = arriving * _by_old(mode, old, new[turn])
    return (
        of_container.reshape(container.shape) if needs[0] else None,
        None,
        of_updates.reshape(updates.shape) if needs[2] else None,
    )


def _turns(places: Array) -> list[Array]:
    """Which updates come first at their place, which second, and so on: within a turn no place stands twice."""
    if not places.size:
        return []
    order = np.argsort(places, kind="stable")
    ranked = places[order]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    lengths = np.diff(np.append(first, ranked.size))
    number = np.arange(ranked.size) - np.repeat(first, lengths)
    by_turn = np.argsort(number, kind="stable")
    ends = np.cumsum(np.bincount(number))
    return [order[part] for part in np.split(by_turn, ends[:-1])]


def _by_old(mode: str, old: Array, new: Array) -> Any:
    """The derivative by what was in place; where two are equal, what was there stays."""
    rules: dict[str, Callable[[], Any]] = {
        "update": lambda: 0.0,
        "mul": lambda: new,
        "div": lambda: 1.0 / new,
        "max": lambda: new <= old,
        "min": lambda: new >= old,
    }
    return rules[mode]()


def _by_new(mode: str, old: Array, new: Array) -> Any:
    """The derivative by what is put."""
    rules: dict[str, Callable[[], Any]] = {
        "update": lambda: 1.0,
        "mul": lambda: old,
        "div": lambda: -old / (new * new),
        "max": lambda: new > old,
        "min": lambda: new < old,
    }
    return rules[mode]()


def scatter(container: Array, indices: Array, updates: Array, *, axis: int, mode: str, examples: int = 0) -> Array:
    """``container`` with the slices ``updates`` put along ``axis`` where ``indices`` say; below 0 they count from the end.

    Raises ``ValueError`` for an index that is outside.
    """
    return put(container, updates, slices(container.shape, indices, axis, examples), mode)


def scatter_backward(
    g: Array,
    y: Array,
    container: Array,
    indices: Array,
    updates: Array,
    *,
    needs: tuple[bool, ...],
    axis: int,
    mode: str,
    examples: int = 0,
) -> tuple[Array | None, ...]:
    """The gradients of ``scatter``; see ``put_backward``."""
    return put_backward(g, container, updates, slices(container.shape, indices, axis, examples), mode, needs)


def _scatter_shape(container: Shape, indices: Shape, updates: Shape, *, axis: int, mode: str, examples: int = 0) -> Shape:
    _check_updates(updates, along_axis_shape(container, indices, axis, examples))
    return container


def _check_updates(updates: Shape, expected: Shape) -> None:
    if updates != expected:
        raise ValueError(f"expected updates of shape {list(expected)}, got shape {list(updates)}")


def scatter_nd(container: Array, indices: Array, updates: Array, *, mode: str, examples: int = 0) -> Array:
    """``container`` with ``updates`` put at the multi-indices along the last axis of ``indices``. Raises as ``scatter`` does."""
    return put(container, updates, points(container.shape, indices, examples), mode)


def scatter_nd_backward(
    g: Array, y: Array, container: Array, indices: Array, updates: Array, *, needs: tuple[bool, ...], mode: str, examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradients of ``scatter_nd``; see ``put_backward``."""
    return put_backward(g, container, updates, points(container.shape, indices, examples), mode, needs)


def _scatter_nd_shape(container: Shape, indices: Shape, updates: Shape, *, mode: str, examples: int = 0) -> Shape:
    _check_updates(updates, points_shape(container, indices, examples))
    return container


def scatter_along_axis(container: Array, indices: Array, updates: Array, *, axis: int, mode: str) -> Array:
    """``container`` with the numbers ``updates`` put where ``indices`` say, each within its own line along ``axis``."""
    return put(container, updates, numbers(container.shape, indices, axis), mode)


def scatter_along_axis_backward(
    g: Array, y: Array, container: Array, indices: Array, updates: Array, *, needs: tuple[bool, ...], axis: int, mode: str
) -> tuple[Array | None, ...]:
    """The gradients of ``scatter_along_axis``; see ``put_backward``."""
    return put_backward(g, container, updates, numbers(container.shape, indices, axis), mode, needs)


def _scatter_along_axis_shape(container: Shape, indices: Shape, updates: Shape, *, axis: int, mode: str) -> Shape:
    _check_updates(updates, numbers_shape(container, indices, axis))
    return container


def _along_axis_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "axis": from_end(attributes["axis"], ranks[0])}


def _mode(params: Any) -> str:
    mode = int(params.mode)
    if not 0 <= mode < len(MODES):
        raise ValueError(f"mode: expected a number from 0 to {len(MODES) - 1}, got {mode}")
    return MODES[mode]


def _read_along(params: Any, decode: Decode) -> Reading:
    return Reading({"axis": int(params.axis), "mode": _mode(params)}, {})


def _read_nd(params: Any, decode: Decode) -> Reading:
    return Reading({"mode": _mode(params)}, {})


OPS = (
    Op("scatter", scatter, _scatter_shape, _read_along, scatter_backward, one_more, every_element),
    Op("scatterND", scatter_nd, _scatter_nd_shape, _read_nd, scatter_nd_backward, one_more, every_element),
    Op(
        "scatterAlongAxis",
        scatter_along_axis,
        _scatter_along_axis_shape,
        _read_along,
        scatter_along_axis_backward,
        _along_axis_batched,
        every_element,
    ),
)
