from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

CUBE = numbers(3, 4, 2)


def picked(note: str, data: Array, indices: Any, reference: Any, axis: int) -> Case:
    inputs = (data, np.array(indices, float))
    return Case("gather", inputs, reference, Message(axis=axis), {"axis": axis}, smooth=(0,), note=note)


def pointed(note: str, data: Array, indices: Any, reference: Any) -> Case:
    return Case("gatherND", (data, np.array(indices, float)), reference, Message(), smooth=(0,), note=note)


def lined(note: str, data: Array, indices: Any, axis: int) -> Case:
    """PyTorch has no negative indices."""

    def gathered(torch: Any, functional: Any, x: Any, places: Any) -> Any:
        return torch.gather(x, axis, places.long() % x.shape[axis])

    inputs = (data, np.array(indices, float))
    return Case("gatherAlongAxis", inputs, by_torch(gathered), Message(axis=axis), {"axis": axis}, smooth=(0,), note=note)


CASES = (
    picked("literal", np.array([10.0, 20, 30]), [2, 0, -1, 2], np.array([30.0, 10, 30, 30]), 0),
    picked("middle", CUBE, [[3, 0, 3], [-1, -4, 1]], lambda x, i: np.einsum("akb,ijk->aijb", x, np.eye(4)[i.astype(int) % 4]), 1),
    picked("from the end", CUBE, [1, 1, 0], lambda x, i: np.dstack([x[..., 1], x[..., 1], x[..., 0]]), -1),
    picked("one", CUBE, [2], lambda x, i: x[2:], -3),
    pointed("numbers", numbers(3, 3, 3), [[2, 0, 1], [0, 1, 1]], lambda x, i: np.array([x[2, 0, 1], x[0, 1, 1]])),
    pointed(
        "slices, with two axes of indices",
        numbers(3, 3, 2),
        [[[2, 1], [0, 0]], [[2, 1], [1, 2]]],
        lambda x, i: np.array([[x[2, 1], x[0, 0]], [x[2, 1], x[1, 2]]]),
    ),
    pointed("first axis", CUBE, [[1], [1], [-3]], lambda x, i: np.array([x[1], x[1], x[0]])),
    lined("first", numbers(3, 4), np.array([[0, 2, 1, 1], [2, 2, 0, -1]]), 0),
    lined("middle, more than there are", CUBE, np.arange(36).reshape(3, 6, 2) * 5 % 4, 1),
    lined("from the end", CUBE, np.arange(36).reshape(3, 4, 3) % 2 - 2, -1),
)
