from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, numbers

IMAGE = numbers(2, 3, 2, 4)


def case(op: str, note: str, reference: Any, *inputs: Array, alpha: float = 0.0) -> Case:
    return Case(op, inputs, reference, Message(alpha=alpha), {"alpha": alpha}, note=note)


CASES = (
    case("add", "alpha", lambda x: x + 1.5, IMAGE, alpha=1.5),
    case("add", "literal", np.array([11.0, 22.0]), np.array([1.0, 2.0]), np.array([10.0, 20.0])),
    case("add", "three", lambda a, b, c: a + b + c, IMAGE, numbers(2, 3, 2, 4, seed=1), numbers(2, 3, 2, 4, seed=2)),
    case(
        "add",
        "channel",
        lambda a, b: np.einsum("bchw,bchw->bchw", a, np.ones_like(a)) + np.tile(b, (1, 1, 2, 4)),
        IMAGE,
        numbers(2, 3, 1, 1),
    ),
    case("add", "first is broadcast", lambda a, b: b + np.tile(a, (1, 3, 1, 1)), numbers(2, 1, 2, 4), IMAGE),
    case("add", "lower rank", lambda a, b: a + np.tile(b, (2, 3, 2, 1)), IMAGE, numbers(4)),
    case("add", "rank 5", lambda a, b: a + np.tile(b, (1, 2, 1, 2, 2)), numbers(1, 2, 3, 2, 2), numbers(1, 1, 3, 1, 1)),
    case("multiply", "alpha", lambda x: np.divide(x, -0.5), IMAGE, alpha=-2.0),
    case("multiply", "literal", np.array([10.0, 0.0]), np.array([1.0, 2.0]), np.array([10.0, 0.0])),
    case(
        "multiply",
        "three",
        lambda a, b, c: np.einsum("bchw,bchw,bchw->bchw", a, b, c),
        IMAGE,
        numbers(2, 3, 2, 4, seed=1),
        numbers(2, 3, 2, 4, seed=2),
    ),
    case("multiply", "scalar", lambda a, b: a * b.item(), IMAGE, numbers(1, 1, 1, 1)),
    case("multiply", "lower rank", lambda a, b: np.einsum("bchw,hw->bchw", a, b), IMAGE, numbers(2, 4)),
    case(
        "multiply",
        "both are broadcast",
        lambda a, b: np.einsum("bc,hw->bchw", a[..., 0, 0], b[0, 0]),
        numbers(2, 3, 1, 1),
        numbers(1, 1, 2, 4),
    ),
)
