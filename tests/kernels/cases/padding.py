"""NumPy's pad, slices, and the format's own examples."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers


def border(top: int, bottom: int, left: int, right: int) -> SimpleNamespace:
    edges = [SimpleNamespace(startEdgeSize=a, endEdgeSize=b) for a, b in ((top, bottom), (left, right))]
    return SimpleNamespace(borderAmounts=edges if top or bottom or left or right else [])


def padding(note: str, kind: str, x: Array, reference: Any, amounts: tuple[int, int, int, int], value: float = 0.0) -> Case:
    message = Message(oneof=kind, constant=SimpleNamespace(value=value), paddingAmounts=border(*amounts))
    return Case("padding", (x,), reference, message, {"kind": kind, "value": value, "amounts": amounts}, note=note)


def constant(note: str, inputs: tuple[Array, ...], reference: Any, amounts: tuple[int, ...] = (), to_size: bool = False) -> Case:
    message = Message(value=2.5, padAmounts=list(amounts), padToGivenOutputSizeMode=to_size)
    return Case("constantPad", inputs, reference, message, {"value": 2.5, "amounts": amounts, "to_size": to_size}, smooth=(0,), note=note)


def crop(note: str, inputs: tuple[Array, ...], reference: Any, amounts: tuple[int, int, int, int], offset: tuple[int, int]) -> Case:
    message = Message(cropAmounts=border(*amounts), offset=[] if offset == (0, 0) else list(offset))
    return Case("crop", inputs, reference, message, {"amounts": amounts, "offset": offset}, note=note)


X = numbers(2, 3, 4)
EXAMPLE = np.arange(1.0, 13.0).reshape(1, 3, 4)
REFLECTED = [[11.0, 10, 9, 10, 11, 12], [7, 6, 5, 6, 7, 8], [3, 2, 1, 2, 3, 4], [7, 6, 5, 6, 7, 8], [11, 10, 9, 10, 11, 12]]
REPLICATED = [[1.0, 1, 1, 2, 3, 4], [1, 1, 1, 2, 3, 4], [1, 1, 1, 2, 3, 4], [5, 5, 5, 6, 7, 8], [9, 9, 9, 10, 11, 12]]


def around(*pairs: tuple[int, int]) -> Any:
    return lambda x, *given: np.pad(x, pairs, constant_values=2.5)


CASES = (
    padding("constant", "constant", X, lambda x: np.pad(x, ((0, 0), (1, 2), (0, 3)), constant_values=-1.5), (1, 2, 0, 3), -1.5),
    padding("constant, nothing", "constant", X, lambda x: x * 1.0, (0, 0, 0, 0)),
    padding("reflection, literal", "reflection", EXAMPLE, np.array([REFLECTED]), (2, 0, 2, 0)),
    padding("reflection", "reflection", X, by_torch(lambda t, f, x: f.pad(x, (3, 2, 1, 2), mode="reflect")), (1, 2, 3, 2)),
    padding("replication, literal", "replication", EXAMPLE, np.array([REPLICATED]), (2, 0, 2, 0)),
    padding(
        "replication", "replication", numbers(1, 2, 2, 3), lambda x: np.pad(x, ((0, 0), (0, 0), (1, 4), (5, 2)), mode="edge"), (1, 4, 5, 2)
    ),
    constant("rank 1", (numbers(3),), around((2, 1)), (2, 1)),
    constant("rank 3", (X,), around((1, 0), (0, 2), (3, 1)), (1, 0, 0, 2, 3, 1)),
    constant("to a size", (X,), around((0, 3), (2, 0), (0, 0)), (0, 5, 5, 0, 0, 2), True),
    constant("amounts given", (X, np.array([0.0, 1, 2, 0, 1, 1])), around((0, 1), (2, 0), (1, 1))),
    constant("size given", (X, np.array([4.0, 0, 0, 0, 0, 6])), around((2, 0), (0, 0), (0, 2)), (), True),
    crop("amounts", (X,), lambda x: x[:, 1:-1, :-2] * 1.0, (1, 1, 0, 2), (0, 0)),
    crop("nothing", (X,), lambda x: x * 1.0, (0, 0, 0, 0), (0, 0)),
    crop("like another", (numbers(1, 2, 4, 5), numbers(1, 1, 2, 3)), lambda x, y: x[..., 1:3, 2:5] * 1.0, (0, 0, 0, 0), (1, 2)),
    crop("like another, amounts unused", (X, numbers(2, 2, 2)), lambda x, y: x[..., :2, :2] * 1.0, (1, 0, 0, 2), (0, 0)),
)
