"""Inner product and embeddings."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..op import Array, Attributes, Decode, Op, Reading, Shape, from_the_end
from .channels import check_rank
from .whole import whole


def inner_product(x: Array, w: Array, bias: Array | None = None, *, axes: int = 0) -> Array:
    """``x @ w.T + bias``: ``w`` ``[O, I]``, ``bias`` ``[O]``.

    The last ``axes`` axes of ``x`` are taken together as I. Without it the rank says: up to rank 3, the last axis; from
    rank 4, the last three, and the answer is ``[..., O, 1, 1]``.

    A layer that asks for its input to be rounded to eight bits (``int8DynamicQuantize``) gets the product without that
    error: how to round is not part of the format.
    """
    out = x.reshape(-1, w.shape[1]) @ w.T
    if bias is not None:
        out += bias
    return out.reshape(_inner_product_shape(x.shape, w.shape, axes=axes))


def inner_product_backward(
    g: Array, y: Array, x: Array, w: Array, bias: Array | None = None, *, needs: tuple[bool, ...], axes: int = 0
) -> tuple[Array | None, ...]:
    """The gradients of ``inner_product``."""
    rows, arriving = x.reshape(-1, w.shape[1]), g.reshape(-1, w.shape[0])
    dx = (arriving @ w).reshape(x.shape) if needs[0] else None
    dw = arriving.T @ rows if needs[1] else None
    return (dx, dw) if bias is None else (dx, dw, arriving.sum(axis=0) if needs[2] else None)


def _axes(rank: int, axes: int) -> int:
    return axes or (3 if rank >= 4 else 1)


def _inner_product_shape(x: Shape, w: Shape, bias: Shape | None = None, *, axes: int = 0) -> Shape:
    axes = _axes(len(x), axes)
    check_rank(x, axes)
    if prod(x[-axes:]) != w[1]:
        raise ValueError(f"expected an input with {w[1]} numbers in its last {axes} axes, got shape {list(x)}")
    if bias is not None and bias != w[:1]:
        raise ValueError(f"bias: expected {w[0]} numbers, got shape {list(bias)}")
    return (*x[:-axes], w[0], *(1,) * (axes - 1))


def _inner_product_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    return {**attributes, "axes": _axes(ranks[0], attributes.get("axes", 0))}


def _inner_product_work(x: Shape, w: Shape, *bias: Shape, axes: int = 0) -> int:
    return prod(x) * w[0]


def _read_inner_product(params: Any, decode: Decode) -> Reading:
    weights = {"weights": decode(params, "weights", (int(params.outputChannels), int(params.inputChannels)))}
    if params.hasBias:
        weights["bias"] = decode(params, "bias", (int(params.outputChannels),))
    return Reading({"axes": 0}, weights)


def embedding(x: Array, w: Array, bias: Array | None = None) -> Array:
    """Looks up columns of ``w`` ``[O, size]``: ``x`` ``[..., 1, 1, 1]``, indices as floats -> ``[..., O, 1, 1]``; ``bias`` ``[O]``.

    Raises ``ValueError`` for an index that is not whole or not in 0...size - 1, naming it.
    """
    out = w.T[_indices(x, w.shape[1])]
    if bias is not None:
        out = out + bias
    return np.ascontiguousarray(out).reshape(_embedding_shape(x.shape, w.shape))


def embedding_backward(
    g: Array, y: Array, x: Array, w: Array, bias: Array | None = None, *, needs: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    """The gradients of ``embedding``; that of the indices is 0."""
    dx = np.zeros_like(x) if needs[0] else None
    arriving = g.reshape(-1, w.shape[0])
    dw = None
    if needs[1]:
        sums = np.zeros((w.shape[1], w.shape[0]), w.dtype)
        np.add.at(sums, _indices(x, w.shape[1]), arriving)
        dw = np.ascontiguousarray(sums.T)
    return (dx, dw) if bias is None else (dx, dw, arriving.sum(axis=0) if needs[2] else None)


def _indices(x: Array, size: int) -> Array:
    return whole(x.reshape(-1), 0, size - 1)


def _embedding_shape(x: Shape, w: Shape, bias: Shape | None = None) -> Shape:
    check_rank(x, 4)
    if x[-3:] != (1, 1, 1):
        raise ValueError(f"expected an input whose last three axes have length 1, got shape {list(x)}")
    if bias is not None and bias != w[:1]:
        raise ValueError(f"bias: expected {w[0]} numbers, got shape {list(bias)}")
    return (*x[:-3], w[0], 1, 1)


def _read_embedding(params: Any, decode: Decode) -> Reading:
    weights = {"weights": decode(params, "weights", (int(params.outputChannels), int(params.inputDim)))}
    if params.hasBias:
        weights["bias"] = decode(params, "bias", (int(params.outputChannels),))
    return Reading({}, weights)


def embedding_nd(x: Array, w: Array, bias: Array | None = None) -> Array:
    """Looks up columns of ``w`` ``[O, size]``: ``x`` ``[..., 1]``, indices as floats -> ``[..., O]``; ``bias`` ``[O]``.

    Raises ``ValueError`` for an index that is not whole or not in 0...size - 1, naming it.
    """
    out = w.T[_indices(x, w.shape[1])].reshape(_embedding_nd_shape(x.shape, w.shape))
    return out if bias is None else out + bias


def _embedding_nd_shape(x: Shape, w: Shape, bias: Shape | None = None) -> Shape:
    check_rank(x, 2)
    if x[-1] != 1:
        raise ValueError(f"expected an input whose last axis has length 1, got shape {list(x)}")
    if bias is not None and bias != w[:1]:
        raise ValueError(f"bias: expected {w[0]} numbers, got shape {list(bias)}")
    return (*x[:-1], w[0])


def _read_embedding_nd(params: Any, decode: Decode) -> Reading:
    weights = {"weights": decode(params, "weights", (int(params.embeddingSize), int(params.vocabSize)))}
    if params.hasBias:
        weights["bias"] = decode(params, "bias", (int(params.embeddingSize),))
    return Reading({}, weights)


def _embedding_work(x: Shape, w: Shape, *bias: Shape) -> int:
    return prod(x) * w[0]


OPS = (
    Op(
        "innerProduct",
        inner_product,
        _inner_product_shape,
        _read_inner_product,
        inner_product_backward,
        _inner_product_batched,
        _inner_product_work,
        portable=True,
    ),
    Op("embedding", embedding, _embedding_shape, _read_embedding, embedding_backward, from_the_end, _embedding_work),
    Op("embeddingND", embedding_nd, _embedding_nd_shape, _read_embedding_nd, embedding_backward, from_the_end, _embedding_work),
)
