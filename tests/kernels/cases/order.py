from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

BLOCK = numbers(2, 3, 4)
TIES = np.array([[1.0, 3.0, 3.0, 1.0, 2.0], [0.0, 0.0, 0.0, -1.0, 0.0]])


def top(note: str, x: Array, reference: Any, axis: int, count: int, bottom: bool = False, k: Array | None = None) -> Case:
    message = Message(axis=axis, K=0 if k is not None else count, useBottomK=bottom)
    attributes = {"axis": axis, "most": message.K, "bottom": bottom}
    return Case("topK", (x,) if k is None else (x, k), reference, message, attributes, smooth=(0,), note=note)


def torch_top(axis: int, count: int, bottom: bool = False) -> Any:
    def part(x: Array, place: int) -> Array:
        return by_torch(lambda torch, _, t: torch.topk(t, count, axis, not bottom)[place])(x)

    return lambda x, *k: (part(x, 0), part(x, 1))


def order(note: str, x: Array, reference: Any, axis: int, descending: bool = False) -> Case:
    attributes = {"axis": axis, "descending": descending}
    return Case("argSort", (x,), reference, Message(**attributes), attributes, note=note)


def hot(note: str, x: Array, reference: Any, axis: int, length: int, on: float = 1.0, off: float = 0.0, size: Array | None = None) -> Case:
    message = Message(axis=axis, oneHotVectorSize=length, onValue=on, offValue=off)
    attributes = {"axis": axis, "length": length, "on": on, "off": off}
    return Case("oneHot", (x,) if size is None else (x, size), reference, message, attributes, note=note)


def torch_hot(length: int, axis: int, on: float = 1.0, off: float = 0.0) -> Any:
    return lambda x, *size: by_torch(
        lambda torch, functional, t: torch.movedim(functional.one_hot(t.long(), length).double() * (on - off) + off, -1, axis)
    )(x)


def places(note: str, x: Array, reference: Any) -> Case:
    return Case("whereNonZero", (x,), reference, Message(), {}, note=note)


WHOLE = np.array([[0.0, 4.0, 2.0], [1.0, 1.0, 3.0]])

CASES = (
    *(top(f"axis {axis}", BLOCK, torch_top(axis, 2), axis, 2) for axis in (0, 1, 2, -1, -2)),
    *(top(f"bottom, axis {axis}", BLOCK, torch_top(axis, 2, True), axis, 2, True) for axis in (1, -1)),
    top("all", numbers(6), torch_top(0, 6), 0, 6),
    top("K is an input", BLOCK, torch_top(-1, 3), -1, 3, k=np.array([3.0])),
    top("K is a scalar", BLOCK, torch_top(0, 1, True), 0, 1, True, k=np.array(1.0)),
    Case(
        "topK",
        (TIES,),
        (np.array([[3.0, 3, 2, 1], [0, 0, 0, 0]]), np.array([[1.0, 2, 4, 0], [0, 1, 2, 4]])),
        Message(axis=1, K=4, useBottomK=False),
        {"axis": 1, "most": 4, "bottom": False},
        smooth=(),
        note="ties",
    ),
    Case(
        "topK",
        (TIES,),
        (np.array([[1.0, 1], [-1, 0]]), np.array([[0.0, 3], [3, 0]])),
        Message(axis=-1, K=2, useBottomK=True),
        {"axis": -1, "most": 2, "bottom": True},
        smooth=(),
        note="ties, bottom",
    ),
    *(order(f"axis {axis}", BLOCK, by_torch(lambda torch, _, t, a=axis: torch.argsort(t, a)), axis) for axis in (0, 1, 2)),
    *(
        order(f"descending, axis {axis}", BLOCK, by_torch(lambda torch, _, t, a=axis: torch.argsort(t, a, True)), axis, True)
        for axis in (0, 1, 2)
    ),
    order("literal", np.array([3.1, 5.4, 32.9, 3.2, 77.0]), np.array([0.0, 3, 1, 2, 4]), 0),
    order("ties", TIES, np.array([[0.0, 3, 4, 1, 2], [3, 0, 1, 2, 4]]), 1),
    order("ties, descending", TIES, np.array([[1.0, 2, 4, 0, 3], [0, 1, 2, 4, 3]]), 1, True),
    *(hot(f"axis {axis}", WHOLE, torch_hot(5, axis, 30.0, -4.0), axis, 5, 30.0, -4.0) for axis in (0, 1, 2, -1, -2, -3)),
    hot("literal", np.array([2.0, 0.0]), np.array([[0.0, 0, 1], [1, 0, 0]]), -1, 3),
    hot("scalar", np.array(1.0), np.array([0.0, 1.0]), 0, 2),
    hot("size is an input", WHOLE, torch_hot(6, 1), 1, 0, size=np.array([6.0])),
    hot("size is a scalar", WHOLE, torch_hot(5, -1), -1, 9, size=np.array(5.0)),
    places("literal", np.array([[1.0, 2, 0], [0, -2, np.nan]]), np.array([[0.0, 0], [0, 1], [1, 1], [1, 2]])),
    places("rank 1", np.array([0.0, 1.0, 0.0, 2.0]), np.array([[1.0], [3.0]])),
    places("rank 3", BLOCK.round(), by_torch(lambda torch, _, t: torch.nonzero(t))),
    places("none", np.zeros((2, 3)), np.zeros((0, 2))),
)
