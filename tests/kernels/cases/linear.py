from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

W, B = numbers(4, 6), numbers(4)
TABLE = np.array([[0.5, 1.5, 2.5], [3.0, 4.0, 5.0]])


def product(note: str, x: Array, reference: Any, bias: bool = True) -> Case:
    message = Message(inputChannels=6, outputChannels=4, hasBias=bias, weights=0, bias=0)
    return Case("innerProduct", (x,), reference, message, {"axes": 0}, {"weights": W, "bias": B} if bias else {"weights": W}, note=note)


def look_up(note: str, x: Array, reference: Any, weights: dict[str, Array]) -> Case:
    size, channels = weights["weights"].shape[1], weights["weights"].shape[0]
    message = Message(inputDim=size, outputChannels=channels, hasBias="bias" in weights, weights=0, bias=0)
    return Case("embedding", (x,), reference, message, {}, weights, smooth=tuple(range(1, 1 + len(weights))), note=note)



def look_up_nd(note: str, x: Array, reference: Any, bias: bool = False) -> Case:
    message = Message(vocabSize=5, embeddingSize=4, hasBias=bias, weights=0, bias=0)
    weights = {"weights": numbers(4, 5)} | ({"bias": B} if bias else {})
    return Case("embeddingND", (x,), reference, message, {}, weights, smooth=tuple(range(1, 1 + len(weights))), note=note)


CASES = (
    product("rank 1", numbers(6), lambda x, w, b: np.einsum("i,oi->o", x, w) + b),
    product("rank 2", numbers(3, 6), by_torch(lambda t, f, x, w, b: f.linear(x, w, b))),
    product("rank 3", numbers(2, 3, 6), by_torch(lambda t, f, x, w, b: f.linear(x, w, b))),
    product("rank 4", numbers(3, 1, 2, 3), lambda x, w, b: (np.einsum("ni,oi->no", x.reshape(3, 6), w) + b)[:, :, None, None]),
    product("rank 5", numbers(2, 3, 6, 1, 1), lambda x, w, b: (np.einsum("sbi,oi->sbo", x[..., 0, 0], w) + b)[..., None, None]),
    product("no bias", numbers(3, 6), lambda x, w: np.einsum("ni,oi->no", x, w), bias=False),
    look_up("rank 4", np.array([2.0, 0.0]).reshape(2, 1, 1, 1), np.array([[2.5, 5.0], [0.5, 3.0]])[:, :, None, None], {"weights": TABLE}),
    look_up(
        "rank 5, bias",
        np.array([[1.0, 4.0, 1.0], [0.0, 2.0, 3.0]]).reshape(2, 3, 1, 1, 1),
        by_torch(lambda t, f, x, w, b: (f.embedding(x[..., 0, 0, 0].long(), w.T) + b)[..., None, None]),
        {"weights": numbers(4, 5), "bias": B},
    ),
    look_up_nd("rank 2", np.array([[4.0], [0.0], [4.0]]), lambda x, w: np.stack([w[:, 4], w[:, 0], w[:, 4]])),
    look_up_nd(
        "rank 4, bias",
        np.array([[1.0, 4.0, 1.0], [0.0, 2.0, 3.0]]).reshape(2, 1, 3, 1),
        by_torch(lambda t, f, x, w, b: f.embedding(x[..., 0].long(), w.T) + b),
        bias=True,
    ),
)
