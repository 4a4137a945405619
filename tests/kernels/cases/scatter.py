from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tailor.kernels import Array
from tailor.kernels.layers.scatter import MODES

from .case import Case, Message, numbers

STEPS: dict[str, Callable[[float, float], float]] = {
    "update": lambda old, new: new,
    "add": lambda old, new: old + new,
    "sub": lambda old, new: old - new,
    "mul": lambda old, new: old * new,
    "div": lambda old, new: old / new,
    "max": lambda old, new: new if new > old else old,
    "min": lambda old, new: new if new < old else old,
}


def by_loops(mode: str, place: Callable[[tuple[int, ...], Array], tuple[int, ...]]) -> Any:
    """Number by number; ``place`` says where the update at some place goes."""

    def reference(container: Array, indices: Array, updates: Array) -> Array:
        answer = container.copy()
        for at in np.ndindex(updates.shape):
            to = place(at, indices.astype(int))
            answer[to] = STEPS[mode](answer[to], updates[at])
        return answer

    return reference


def updates(mode: str, *shape: int) -> Array:
    """Far from 0 where they divide."""
    return numbers(*shape, seed=1) + (4.0 if mode == "div" else 0.0)


def along(mode: str, note: str, container: Array, indices: Any, axis: int) -> Case:
    places = np.array(indices, float)
    shape = (*container.shape[:axis], *places.shape, *container.shape[axis % container.ndim + 1 :])

    def place(at: tuple[int, ...], found: Array) -> tuple[int, ...]:
        start = axis % container.ndim
        return (*at[:start], found[at[start : start + found.ndim]], *at[start + found.ndim :])

    inputs = (container, places, updates(mode, *shape))
    message = Message(axis=axis, mode=MODES.index(mode))
    return Case("scatter", inputs, by_loops(mode, place), message, {"axis": axis, "mode": mode}, smooth=(0, 2), note=f"{mode}, {note}")


def pointed(mode: str, note: str, container: Array, indices: Any) -> Case:
    points = np.array(indices, float)
    lead = points.ndim - 1
    inputs = (container, points, updates(mode, *points.shape[:-1], *container.shape[points.shape[-1] :]))
    reference = by_loops(mode, lambda at, found: (*found[at[:lead]], *at[lead:]))
    return Case("scatterND", inputs, reference, Message(mode=MODES.index(mode)), {"mode": mode}, smooth=(0, 2), note=f"{mode}, {note}")


def lined(mode: str, note: str, container: Array, indices: Any, axis: int) -> Case:
    places = np.array(indices, float)
    start = axis % container.ndim
    reference = by_loops(mode, lambda at, found: (*at[:start], found[at], *at[start + 1 :]))
    message = Message(axis=axis, mode=MODES.index(mode))
    inputs = (container, places, updates(mode, *places.shape))
    return Case("scatterAlongAxis", inputs, reference, message, {"axis": axis, "mode": mode}, smooth=(0, 2), note=f"{mode}, {note}")


def literal(mode: str, answer: float) -> Case:
    """4 at one place, where 2 and then 8 are put."""
    inputs = (np.array([1.0, 4.0]), np.array([1.0, -1.0]), np.array([2.0, 8.0]))
    message = Message(axis=0, mode=MODES.index(mode))
    return Case("scatter", inputs, np.array([1.0, answer]), message, {"axis": 0, "mode": mode}, smooth=(0, 2), note=f"{mode}, literal")


LITERALS = {"update": 8.0, "add": 14.0, "sub": -6.0, "mul": 64.0, "div": 0.25, "max": 8.0, "min": 2.0}

CASES = (
    *(literal(mode, answer) for mode, answer in LITERALS.items()),
    *(along(mode, "slices", numbers(4, 3), [[3, 0, 3], [-1, 1, 1]], 0) for mode in MODES),
    along("update", "middle", numbers(2, 4, 2), [0, 2, -1], 1),
    along("mul", "from the end", numbers(2, 2, 3), [[2, 0], [2, 1]], -1),
    *(pointed(mode, "numbers", numbers(3, 3), [[2, 1], [0, 0], [2, 1], [2, 1]]) for mode in MODES),
    pointed("add", "slices", numbers(3, 3, 2), [[[2, 1], [0, 0]], [[2, 1], [-1, 2]]]),
    pointed("update", "slices", numbers(3, 2), [[[2], [0]], [[2], [-2]]]),
    *(lined(mode, "middle", numbers(2, 3, 2), np.arange(16).reshape(2, 4, 2) * 5 % 3, 1) for mode in MODES),
    lined("update", "from the end", numbers(2, 4), [[0, -1, 0], [1, 1, 3]], -1),
)
