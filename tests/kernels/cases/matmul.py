"""einsum, which names every axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers


def case(note: str, a: Array, b: Array, reference: Any, *transposed: bool) -> Case:
    flips = (transposed[0], transposed[1]) if transposed else (False, False)
    message = Message(transposeA=flips[0], transposeB=flips[1], weightMatrixFirstDimension=0, weightMatrixSecondDimension=0, hasBias=False)
    return Case("batchedMatmul", (a, b), reference, message, {"transposed": flips, "stored": 0}, note=note)


def layer(note: str, x: Array, reference: Any, bias: bool = True) -> Case:
    message = Message(
        transposeA=True,  # ignored
        transposeB=False,
        weightMatrixFirstDimension=3,
        weightMatrixSecondDimension=2,
        hasBias=bias,
        weights=0,
        bias=0,
    )
    weights = {"weights": numbers(2, 3)} | ({"bias": numbers(2)} if bias else {})
    return Case("batchedMatmul", (x,), reference, message, {"transposed": (True, False), "stored": len(weights)}, weights, note=note)


def sums(pattern: str, shape: tuple[int, ...] | None = None) -> Any:
    return lambda a, b: np.einsum(pattern, a, b).reshape(shape or np.einsum(pattern, a, b).shape)


CASES = (
    case("literal", np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([[11.0]])),
    case("rows", numbers(4), numbers(4), sums("i,i->", (1, 1))),
    case("matrix and row", numbers(2, 4), numbers(4), sums("mi,i->m", (2, 1))),
    case("row and matrices", numbers(4), numbers(2, 4, 3), sums("i,bin->bn", (2, 1, 3))),
    case("matrices", numbers(3, 2), numbers(2, 4), sums("mi,in->mn")),
    case("ranks differ", numbers(1, 3, 4), numbers(3, 2, 4, 2), lambda a, b: np.einsum("mi,abin->abmn", a[0], b)),
    case("broadcast", numbers(2, 3, 1, 3, 2), numbers(2, 1, 2, 2, 1), lambda a, b: np.einsum("abmi,acin->abcmn", a[:, :, 0], b[:, 0])),
    case("left transposed", numbers(2, 3, 2), numbers(3, 4), sums("bim,in->bmn"), True, False),
    case("right transposed", numbers(3, 2), numbers(2, 4, 2), sums("mi,bni->bmn"), False, True),
    case("both transposed", numbers(2, 3), numbers(4, 2), sums("im,ni->mn"), True, True),
    case("a row has no other way", numbers(3), numbers(2, 3), sums("i,ni->n", (1, 2)), True, True),
    layer("rank 1", numbers(3), by_torch(lambda t, f, x, w, b: f.linear(x, w, b))),
    layer("rank 2", numbers(4, 3), by_torch(lambda t, f, x, w, b: f.linear(x, w, b))),
    layer("rank 5, no bias", numbers(2, 1, 2, 2, 3), lambda x, w: np.einsum("abcdi,oi->abcdo", x, w), bias=False),
)
