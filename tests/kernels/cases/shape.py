from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, numbers

CUBE = numbers(2, 3, 4)


def turned(note: str, x: Array, reference: Any, *axes: int) -> Case:
    return Case("transpose", (x,), reference, Message(axes=list(axes)), {"axes": axes}, note=note)


def squeezed(note: str, x: Array, shape: tuple[int, ...], *axes: int) -> Case:
    """``shape`` by hand; without ``axes``, all of length 1."""
    message = Message(axes=list(axes), squeezeAll=not axes)
    return Case("squeeze", (x,), x.flatten().reshape(shape), message, {"axes": axes or None}, note=note)


def expanded(note: str, x: Array, shape: tuple[int, ...], *axes: int) -> Case:
    return Case("expandDims", (x,), x.flatten().reshape(shape), Message(axes=list(axes)), {"axes": axes}, note=note)


def flat(note: str, x: Array, shape: tuple[int, int], axis: int) -> Case:
    return Case("flattenTo2D", (x,), x.flatten().reshape(shape), Message(axis=axis), {"axis": axis}, note=note)


def recast(op: str, note: str, x: Array, shape: tuple[int, ...], *target: int) -> Case:
    return Case(op, (x,), x.flatten().reshape(shape), Message(targetShape=list(target)), {"shape": target}, note=note)


def recast_dynamic(note: str, x: Array, shape: tuple[int, ...], *target: int) -> Case:
    return Case("reshapeDynamic", (x, np.array(target, float)), x.flatten().reshape(shape), Message(), smooth=(0,), note=note)


CASES = (
    turned("last first", CUBE, lambda x: np.einsum("abc->cab", x), 2, 0, 1),
    turned("rank 4", numbers(2, 3, 4, 2), lambda x: np.einsum("abcd->dbca", x), 3, 1, 2, 0),
    turned("one axis", numbers(3), lambda x: x, 0),
    turned("the last three of four", numbers(1, 3, 2, 4), lambda x: np.einsum("abcd->acdb", x), 1, 2, 0),
    squeezed("front", numbers(1, 1, 3, 2), (3, 2), 0, 1),
    squeezed("apart", numbers(1, 3, 2, 1), (3, 2), 0, 3),
    squeezed("from the end, falling", numbers(3, 2, 1, 1), (3, 2), -1, -2),
    squeezed("both ways of counting", numbers(3, 2, 1, 1), (3, 2), 3, -2),
    squeezed("one axis stays", numbers(1), (1,), 0),
    squeezed("all", numbers(1, 3, 1, 2), (3, 2)),
    squeezed("all, and one stays", numbers(1, 1), (1,)),
    squeezed("all, and there is none", numbers(3, 2), (3, 2)),
    expanded("front", numbers(3, 2), (1, 1, 3, 2), 0, 1),
    expanded("apart, falling", numbers(3, 2), (1, 3, 1, 2), 2, 0),
    expanded("end", numbers(3, 2), (3, 2, 1, 1), -2, -1),
    expanded("both ways of counting", numbers(4), (1, 1, 1, 4), 1, 0, -2),
    flat("one axis from the end", numbers(3), (1, 3), -1),
    flat("behind the last", numbers(3), (3, 1), 1),
    flat("first", numbers(5, 2), (1, 10), 0),
    flat("in the middle", numbers(3, 3, 2), (3, 6), -2),
    flat("last", numbers(2, 3, 2), (6, 2), -1),
    recast("reshapeStatic", "ranks differ", CUBE, (4, 6), 4, 6),
    recast("reshapeStatic", "what is left over", CUBE, (2, 2, 6), 2, -1, 6),
    recast("rankPreservingReshape", "left over", numbers(4, 5), (2, 10), 2, -1),
    recast("rankPreservingReshape", "kept", numbers(4, 3, 2), (4, 2, 3), 0, 2, 3),
    recast("rankPreservingReshape", "kept and left over", numbers(4, 3, 2), (2, 3, 4), 2, 0, -1),
    Case("reshapeLike", (CUBE, numbers(6, 4)), CUBE.flatten().reshape(6, 4), Message(), smooth=(0,)),
    recast_dynamic("ranks differ", CUBE, (4, 6), 4, 6),
    recast_dynamic("what is left over", CUBE, (3, 1, 8), 3, 1, -1),
    Case("getShape", (CUBE,), np.array([2.0, 3.0, 4.0]), Message(), smooth=()),
    Case("getShape", (numbers(5),), np.array([5.0]), Message(), smooth=(), note="one axis"),
)
