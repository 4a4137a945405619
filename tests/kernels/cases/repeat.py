from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

CUBE = numbers(2, 3, 2)
SEQUENCE = numbers(2, 1, 3, 1, 2)


def tiled(note: str, x: Array, reference: Any, *reps: int) -> Case:
    return Case("tile", (x,), reference, Message(reps=list(reps)), {"reps": reps}, note=note)


def spread(note: str, x: Array, reference: Any, *shape: int) -> tuple[Case, Case, Case]:
    """The same by all three layers."""
    return (
        Case("broadcastToStatic", (x,), reference(*shape), Message(targetShape=list(shape)), {"shape": shape}, note=note),
        Case("broadcastToLike", (x, numbers(*shape)), reference(*shape), Message(), smooth=(0,), note=note),
        Case("broadcastToDynamic", (x, np.array(shape, float)), reference(*shape), Message(), smooth=(0,), note=note),
    )


def expanded(x: Array) -> Any:
    return lambda *shape: lambda *_: by_torch(lambda torch, functional, t: t.expand(*shape).contiguous())(x)


CASES = (
    tiled("literal", np.array([[1.0, 2.0]]), np.array([[1.0, 2, 1, 2, 1, 2], [1, 2, 1, 2, 1, 2]]), 2, 3),
    tiled("fewer than axes", CUBE, lambda x: np.concatenate([x, x, x], axis=2), 3),
    tiled("every axis", CUBE, by_torch(lambda torch, functional, x: x.repeat(1, 2, 3)), 1, 2, 3),
    Case(
        "tile",
        (CUBE, np.array([2.0, 1.0, 3.0])),
        by_torch(lambda torch, functional, x, reps: x.repeat(2, 1, 3)),
        Message(reps=[]),
        {"reps": ()},
        smooth=(0,),
        note="as values",
    ),
    Case(
        "tile",
        (CUBE, np.array([2.0])),
        lambda x, reps: np.concatenate([x, x], axis=2),
        Message(reps=[7]),
        {"reps": (7,)},
        smooth=(0,),
        note="values go before the field",
    ),
    Case("sequenceRepeat", (SEQUENCE,), lambda x: np.concatenate([x, x, x]), Message(nRepetitions=3), {"times": 3}),
    Case("sequenceRepeat", (SEQUENCE,), lambda x: x, Message(nRepetitions=0), {"times": 1}, note="0 is once"),
    *spread("lengths of 1", (THIN := numbers(1, 3, 1)), expanded(THIN), 2, 3, 4),
    *spread("more axes", (FLAT := numbers(3, 1)), expanded(FLAT), 2, 2, 3, 2),
    *spread("as it is", (SAME := numbers(2, 3)), expanded(SAME), 2, 3),
)
