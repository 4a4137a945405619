from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, numbers

A, B, C = (numbers(2, 3, 2, seed=seed) for seed in range(3))


def stacked(note: str, reference: Any, *inputs: Array, axis: int) -> Case:
    return Case("stack", inputs, reference, Message(axis=axis), {"axis": axis}, note=note)


def chain(note: str, reference: Any, *inputs: Array, axis: int, interleave: bool = False) -> Case:
    attributes = {"axis": axis, "interleave": interleave}
    return Case("concatND", inputs, reference, Message(**attributes), attributes, note=note)


def cut(note: str, x: Array, reference: Any, axis: int, pieces: int, *sizes: int) -> Case:
    message = Message(axis=axis, numSplits=pieces, splitSizes=list(sizes))
    return Case("splitND", (x,), reference, message, {"axis": axis, "pieces": len(sizes) or pieces, "sizes": sizes}, note=note)


CASES = (
    stacked("first", lambda a, b, c: np.array([a, b, c]), A, B, C, axis=0),
    stacked("behind the last", lambda a, b: np.dstack([a.ravel(), b.ravel()]).reshape(2, 3, 2, 2), A, B, axis=3),
    stacked(
        "from the end",
        lambda a, b: np.array([[[r, s] for r, s in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]),
        A,
        B,
        axis=-2,
    ),
    chain("first", lambda a, b: np.array([*a, *b]), A, numbers(1, 3, 2), axis=0),
    chain("from the end", lambda a, b: np.block([a, b]), A, numbers(2, 3, 1), axis=-1),
    chain("middle", lambda a, b, c: np.hstack([a, b, c]), A, B, numbers(2, 1, 2), axis=1),
    chain(
        "interleaved literal",
        np.array([[1.0, 2], [7, 8], [3, 4], [9, 10], [5, 6], [11, 12]]),
        np.array([[1.0, 2], [3, 4], [5, 6]]),
        np.array([[7.0, 8], [9, 10], [11, 12]]),
        axis=0,
        interleave=True,
    ),
    chain("interleaved from the end", lambda a, b, c: np.dstack([a, b, c])[..., [0, 2, 4, 1, 3, 5]], A, B, C, axis=-1, interleave=True),
    cut("even", numbers(4, 3), lambda x: (x[:2], x[2:]), 0, 2),
    cut("the first are longer", numbers(2, 7), lambda x: (x[:, :3], x[:, 3:5], x[:, 5:]), -1, 3),
    cut("sizes", numbers(2, 5, 2), lambda x: (x[:, :3], x[:, 3:4], x[:, 4:]), 1, 9, 3, 1, 1),
    Case("split", (numbers(6, 2, 1),), lambda x: (x[:2], x[2:4], x[4:]), Message(nOutputs=3), {"pieces": 3}),
    Case("split", (numbers(1, 2, 4, 1, 2),), lambda x: (x[:, :, :2], x[:, :, 2:]), Message(nOutputs=2), {"pieces": 2}, note="rank 5"),
)
