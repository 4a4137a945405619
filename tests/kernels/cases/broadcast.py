from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import cosine

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

A, B = numbers(2, 3, 2), numbers(2, 3, 2, seed=1)
ROW, COLUMN = numbers(3, 1), numbers(2, seed=2)
IMAGE = numbers(2, 3, 2, 2)
PLACES: dict[str, tuple[int, ...]] = {"[1]": (1,), "[C]": (3,), "[1, H, W]": (1, 2, 2), "[C, H, W]": (3, 2, 2)}


def case(op: str, note: str, reference: Any, *inputs: Array, smooth: tuple[int, ...] | None = None) -> Case:
    return Case(op, inputs, reference, Message(), smooth=smooth, note=note)


def arithmetic(op: str, torch_name: str, positive: bool = False) -> tuple[Case, ...]:
    """Of one shape; of a lower rank; repeated on both sides."""
    by = by_torch(lambda t, f, a, b: getattr(t, torch_name)(a, b))
    pairs = {"one shape": (A, B), "lower rank": (A, COLUMN), "the first is lower": (ROW, A), "both repeated": (ROW, COLUMN)}
    move = (lambda x: np.abs(x) + 0.3) if positive else (lambda x: x)
    return tuple(case(op, note, by, move(a), move(b)) for note, (a, b) in pairs.items())


def dot(note: str, cosine: bool, reference: Any, a: Array, b: Array) -> Case:
    return Case("dot", (a, b), reference, Message(cosineSimilarity=cosine), {"cosine": cosine}, note=note)


def stored(note: str, scale: tuple[int, ...], bias: tuple[int, ...] | None, x: Array = IMAGE) -> Case:
    weights = {"scale": numbers(*scale, seed=3)} | ({"bias": numbers(*bias, seed=4)} if bias else {})
    message = Message(shapeScale=scale, shapeBias=bias or (), hasBias=bias is not None, scale=0, bias=0)
    return Case("scale", (x,), lambda x, w, b=None: x * full(w, x) + (0 if b is None else full(b, x)), message, {}, weights, note=note)


def full(values: Array, x: Array) -> Array:
    """Stored numbers as many as one example has, each at its place."""
    *_, c, h, w = x.shape
    if values.ndim == 1:
        return np.repeat(values, c * h * w // values.size).reshape(c, h, w)
    return np.tile(values, (c // values.shape[0], 1, 1))


CASES = (
    *arithmetic("addBroadcastable", "add"),
    *arithmetic("subtractBroadcastable", "subtract"),
    *arithmetic("multiplyBroadcastable", "multiply"),
    *arithmetic("divideBroadcastable", "divide"),
    *arithmetic("floorDivBroadcastable", "floor_divide"),
    *arithmetic("modBroadcastable", "remainder"),
    *arithmetic("powBroadcastable", "pow", positive=True),
    *arithmetic("maxBroadcastable", "maximum"),
    *arithmetic("minBroadcastable", "minimum"),
    case(
        "modBroadcastable", "literal", np.array([1.0, 2.0, -2.0, -1.0]), np.array([7.0, -7.0, 7.0, -7.0]), np.array([3.0, 3.0, -3.0, -3.0])
    ),
    case(
        "floorDivBroadcastable",
        "literal",
        np.array([2.0, -3.0, -3.0, 2.0]),
        np.array([7.0, -7.0, 7.0, -7.0]),
        np.array([3.0, 3.0, -3.0, -3.0]),
    ),
    case(
        "powBroadcastable",
        "of any sign",
        np.array([4.0, -8.0, 1.0, 0.0]),
        np.array([-2.0, -2.0, 5.0, 0.0]),
        np.array([2.0, 3, 0, 2]),
        smooth=(0,),
    ),
    case("maxBroadcastable", "ties", np.array([2.0, 3.0]), np.array([2.0, 3.0]), np.array([2.0, 1.0]), smooth=()),
    case(
        "whereBroadcastable",
        "literal",
        np.array([[1.0, 20.0, 1.0], [2.0, 20.0, 2.0]]),
        np.array([1.0, 0.0, -0.5]),
        np.array([[1.0], [2.0]]),
        np.array([[10.0, 20.0, 30.0]]),
        smooth=(1, 2),
    ),
    case(
        "whereBroadcastable",
        "ranks",
        by_torch(lambda t, f, c, a, b: t.where(c > 1e-9, a, b)),
        np.abs(ROW) * [[1.0], [0.0], [1.0]],
        A,
        COLUMN,
        smooth=(1, 2),
    ),
    case("max", "one", lambda a: a + 0.0, A),
    case("max", "three", lambda a, b, c: np.stack([a, b, c]).max(axis=0), A, B, numbers(2, 3, 2, seed=5)),
    case("max", "channel", by_torch(lambda t, f, a, b: t.maximum(a, b)), IMAGE, numbers(2, 3, 1, 1)),
    case("min", "three", lambda a, b, c: np.sort(np.stack([a, b, c]), axis=0)[0], A, B, numbers(2, 3, 2, seed=5)),
    case("min", "lower rank", by_torch(lambda t, f, a, b: t.minimum(a, b)), IMAGE, numbers(2, 2)),
    case("average", "three", lambda a, b, c: np.stack([a, b, c]).mean(axis=0), A, B, numbers(2, 3, 2, seed=5)),
    case("average", "image", lambda a, b: np.stack(np.broadcast_arrays(a, b)).mean(axis=0), IMAGE, numbers(2, 1, 2, 2)),
    dot("literal", False, np.array([[[11.0]]]), np.array([[[1.0]], [[2.0]]]), np.array([[[3.0]], [[4.0]]])),
    dot(
        "rank 4", False, lambda a, b: np.einsum("bcij,bcij->b", a, b).reshape(2, 1, 1, 1), numbers(2, 4, 1, 1), numbers(2, 4, 1, 1, seed=1)
    ),
    dot("cosine", True, lambda a, b: np.array([[[1.0 - cosine(a.ravel(), b.ravel())]]]), numbers(4, 1, 1), numbers(4, 1, 1, seed=1)),
    dot(
        "cosine, rank 5",
        True,
        by_torch(lambda t, f, a, b: t.cosine_similarity(a, b, dim=-3).unsqueeze(-3)),
        numbers(1, 2, 4, 1, 1),
        numbers(1, 2, 4, 1, 1, seed=1),
    ),
    *(stored(f"{note}, no bias", shape, None) for note, shape in PLACES.items()),
    *(stored(f"bias {note}", (3,), shape) for note, shape in PLACES.items()),
    stored("rank 3", (3, 2, 2), (1,), IMAGE[0]),
    stored("rank 5", (1, 2, 2), (3,), IMAGE[None]),
    *(
        Case("bias", (IMAGE,), lambda x, b: x + full(b, x), Message(shape=shape, bias=0), {}, {"bias": numbers(*shape)}, note=note)
        for note, shape in PLACES.items()
    ),
)
