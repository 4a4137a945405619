"""Products of matrices in the last two axes, or with one matrix that belongs to the layer."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape
from .axes import one_more


def batched_matmul(*arrays: Array, transposed: tuple[bool, bool], stored: int, examples: int = 0) -> Array:
    """``a`` ``[..., M, K]``, ``b`` ``[..., K, N]`` -> ``[..., M, N]``, leading axes broadcast; a row is one row, as ``b`` one column.

    ``transposed``: whether the last two axes of each come the other way round (a row has no other way). Of one input,
    ``x`` ``[..., I]`` and the layer's ``w`` ``[O, I]``, ``bias`` ``[O]``: ``x @ w.T + bias``, ``[..., O]``. ``stored``: how many of the
    arrays, the last ones, belong to the layer. ``examples``: leading axes that are matched before any broadcasting.

    A layer that asks for its input to be rounded to eight bits (``int8DynamicQuantize``) gets the product without that
    error: how to round is not part of the format.
    """
    inputs, weights = _apart(arrays, stored)
    if len(inputs) == 1:
        x, w = inputs[0], weights[0]
        out: Array = (x.reshape(-1, w.shape[1]) @ w.T).reshape(*x.shape[:-1], len(w))
        return out + weights[1] if len(weights) > 1 else out
    product: Array = np.matmul(*_matrices(inputs, transposed, examples))
    return product


def batched_matmul_backward(
    g: Array, y: Array, *arrays: Array, needs: tuple[bool, ...], transposed: tuple[bool, bool], stored: int, examples: int = 0
) -> tuple[Array | None, ...]:
    """The gradients of ``batched_matmul``, summed where matrices were broadcast; with two inputs the layer's own matrix has 0."""
    inputs, weights = _apart(arrays, stored)
    if len(inputs) == 1:
        x, w = inputs[0], weights[0]
        rows, arriving = x.reshape(-1, w.shape[1]), g.reshape(-1, len(w))
        dx = (arriving @ w).reshape(x.shape) if needs[0] else None
        dw = arriving.T @ rows if needs[1] else None
        return (dx, dw) if len(weights) == 1 else (dx, dw, arriving.sum(axis=0) if needs[2] else None)
    a, b = _matrices(inputs, transposed, examples)
    found = (g @ b.swapaxes(-1, -2) if needs[0] else None, a.swapaxes(-1, -2) @ g if needs[1] else None)
    unused = (np.zeros_like(w) if need else None for w, need in zip(weights, needs[2:], strict=True))
    back = (
        None if one is None else _back(one, matrix.shape, x.shape, flip and x.ndim > examples + 1)
        for one, matrix, x, flip in zip(found, (a, b), inputs, transposed, strict=True)
    )
    return (*back, *unused)


def _back(g: Array, matrix: Shape, x: Shape, flip: bool) -> Array:
    """The gradient ``g`` of a matrix that was broadcast, as that of the input of shape ``x`` that it was made of."""
    axes = tuple(axis for axis in range(len(matrix) - 2) if matrix[axis] == 1 != g.shape[axis])
    sums: Array = g.sum(axis=axes, keepdims=True) if axes else g
    return (sums.swapaxes(-1, -2) if flip else sums).reshape(x)


def _apart(arrays: tuple[Array, ...], stored: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The inputs and what belongs to the layer."""
    return arrays[: len(arrays) - stored], arrays[len(arrays) - stored :]


def _matrices(inputs: tuple[Array, ...], transposed: tuple[bool, bool], examples: int) -> tuple[Array, Array]:
    """Both inputs as matrices with as many leading axes as each other."""
    rank = max(2, *(x.ndim - examples for x in inputs))
    a, b = (
        x.reshape(_as_matrix(x.shape, rank, examples, second)).swapaxes(-1, -2)
        if flip and x.ndim > examples + 1
        else x.reshape(_as_matrix(x.shape, rank, examples, second))
        for x, flip, second in zip(inputs, transposed, (False, True), strict=True)
    )
    return a, b


def _as_matrix(x: Shape, rank: int, examples: int, second: bool) -> Shape:
    own = x[examples:]
    if len(own) == 1:
        own = (own[0], 1) if second else (1, own[0])
    return (*x[:examples], *(1,) * (rank - len(own)), *own)


def _shape(*shapes: Shape, transposed: tuple[bool, bool], stored: int, examples: int = 0) -> Shape:
    inputs, weights = shapes[: len(shapes) - stored], shapes[len(shapes) - stored :]
    if len(inputs) == 1 and weights:
        x, w = inputs[0], weights[0]
        if not x or x[-1] != w[1]:
            raise ValueError(f"expected an input with {w[1]} numbers in its last axis, got shape {list(x)}")
        return (*x[:-1], w[0])
    if len(inputs) != 2:
        raise ValueError(f"expected two inputs, or one and the weights of the layer, got {len(inputs)}")
    if min(len(x) for x in inputs) <= examples:
        raise ValueError(f"expected inputs of at least one axis, got shapes {[list(x) for x in inputs]}")
    rank = max(2, *(len(x) - examples for x in inputs))
    a, b = (
        _flipped(_as_matrix(x, rank, examples, second), flip and len(x) > examples + 1)
        for x, flip, second in zip(inputs, transposed, (False, True), strict=True)
    )
    lead = [max(pair) if 0 not in pair else 0 for pair in zip(a[:-2], b[:-2], strict=True)]
    if a[-1] != b[-2] or any(m != n and 1 not in (m, n) for m, n in zip(a[:-2], b[:-2], strict=True)):
        raise ValueError(f"expected matrices that can be multiplied, got shapes {list(a)} and {list(b)}")
    return (*lead, a[-2], b[-1])


def _flipped(matrix: Shape, flip: bool) -> Shape:
    return (*matrix[:-2], matrix[-1], matrix[-2]) if flip else matrix


def _work(*shapes: Shape, transposed: tuple[bool, bool], stored: int, examples: int = 0) -> int:
    out = _shape(*shapes, transposed=transposed, stored=stored, examples=examples)
    if len(shapes) - stored == 1:
        return prod(out) * shapes[1][1]
    a = shapes[0]
    return prod(out) * (a[-2] if transposed[0] and len(a) > examples + 1 else a[-1])


def _read(params: Any, decode: Decode) -> Reading:
    rows, columns = int(params.weightMatrixFirstDimension), int(params.weightMatrixSecondDimension)
    transposed = (bool(params.transposeA), bool(params.transposeB))
    weights: dict[str, Array] = {}
    if rows and columns:
        # stored column by column
        weights["weights"] = decode(params, "weights", (columns, rows))
        if params.hasBias:
            weights["bias"] = decode(params, "bias", (columns,))
    return Reading({"transposed": transposed, "stored": len(weights)}, weights)


OPS = (Op("batchedMatmul", batched_matmul, _shape, _read, batched_matmul_backward, one_more, _work, portable=True),)
