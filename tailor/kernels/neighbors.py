"""Nearest neighbours by squared Euclidean distance, and what they vote for.

The search is brute force and exact. A matrix product gives every distance approximately, with an error bound; whatever
could be among the k nearest within that bound is measured again from the differences in float64, so that an exact
match is at distance 0 and neither order nor ties depend on how the product rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .op import Array

Weighting: TypeAlias = Literal["uniform", "inverse"]
Indices: TypeAlias = NDArray[np.intp]

DIRECT_WORK = 1 << 17  # below this many differences the matrix product does not pay
BLOCK_DISTANCES = 1 << 20  # approximate distances held at a time; a block stays near the cache
CHUNK_DIFFERENCES = 1 << 19  # float64 differences held at a time
TIE = 1e-12  # vote sums that are closer than this, relatively, differ by rounding only


@dataclass(frozen=True, slots=True)
class Index:
    """Samples made ready for ``nearest``; made by ``prepare``.

    ``samples``  float32 ``[n, d]``, as given.
    ``centre``   float32 ``[d]``, their mean: around it, the products are small and the error bound is tight.
    ``shifted``  float32 ``[n, d]``, the samples around the centre.
    ``squares``  float64 ``[n]``, the squared lengths of ``shifted``.
    """

    samples: Array
    centre: Array
    shifted: Array
    squares: NDArray[np.float64]


def prepare(samples: Array) -> Index:
    """An index over ``samples`` ``[n, d]``, taken as float32. Raises ``ValueError`` where a number is not finite."""
    held = _rows("samples", samples)
    mean = held.mean(axis=0, dtype=np.float64) if len(held) else np.zeros(held.shape[1])
    centre = mean.astype(np.float32)
    with np.errstate(over="ignore"):
        shifted = held - centre
    return Index(held, centre, shifted, _squared_lengths(shifted))


def nearest(samples: Array | Index, queries: Array, k: int) -> tuple[Indices, NDArray[np.float64]]:
    """The ``min(k, n)`` samples nearest to each query: nearest first, of equally near ones the lower index first.

    ``samples`` float32 ``[n, d]`` (or an ``Index`` over them), ``queries`` ``[q, d]``, taken as float32. Returns indices
    ``[q, min(k, n)]`` and squared distances, float64 of the same shape. Raises ``ValueError`` for a ``k`` below 1, for
    shapes that do not fit and for numbers that are not finite.
    """
    index = samples if isinstance(samples, Index) else prepare(samples)
    asked = _rows("queries", queries)
    n, d = index.samples.shape
    if asked.shape[1] != d:
        raise ValueError(f"queries: expected {d} columns as the samples have, got {asked.shape[1]}")
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    k = min(k, n)
    found: Indices = np.empty((len(asked), k), np.intp)
    squared = np.empty((len(asked), k), np.float64)
    if k == 0:
        return found, squared
    block = max(16, BLOCK_DISTANCES // n)
    for start in range(0, len(asked), block):
        part = slice(start, start + block)
        rows, columns = _candidates(index, asked[part], k)
        found[part], squared[part] = _best(index.samples, asked[part], rows, columns, k)
    return found, squared


def votes(labels: Array, squared_distances: Array, weighting: Weighting, label_count: int) -> tuple[NDArray[np.float64], Indices]:
    """What the neighbours vote for.

    ``labels`` int ``[q, k]``, the label's number of each neighbour, and ``squared_distances`` ``[q, k]``, both as
    ``nearest`` orders them, k at least 1. Returns the sum of votes ``[q, label_count]`` (float64) and the winner ``[q]``.

    ``uniform``: a neighbour is one vote. ``inverse``: a vote weighs 1 / squared distance, given in units of the nearest
    neighbour's vote, which changes no share and cannot overflow; where some neighbours match exactly, they alone vote,
    one vote each. The highest sum wins; of tied labels, the one with the nearest neighbour, then the one added first.
    """
    count, k = labels.shape
    if weighting == "uniform":
        weights = np.ones((count, k))
    else:
        closest = squared_distances[:, :1]
        matched = squared_distances == 0
        weights = np.where(closest == 0, matched, closest / np.where(matched, 1.0, squared_distances))
    places = labels + np.arange(count)[:, None] * label_count
    sums = np.bincount(places.ravel(), weights.ravel(), count * label_count).astype(np.float64, copy=False).reshape(count, label_count)
    tied = sums >= sums.max(axis=1, keepdims=True) * (1 - TIE)
    first = np.take_along_axis(tied, labels, axis=1).argmax(axis=1)
    return sums, np.take_along_axis(labels, first[:, None], axis=1)[:, 0].astype(np.intp, copy=False)


def _candidates(index: Index, queries: Array, k: int) -> tuple[Indices, Indices]:
    """Pairs (query, sample), by query and then by sample, that hold the k nearest samples of each query and all ties.

    Around the centre, |x - q|^2 - |q|^2 = |x|^2 - 2 x.q is computed in float32. Rounding of the centred numbers, of the
    product of d terms in any order, and of the sum errs by less than ``bound`` * (|x|^2 + |q|^2), a safe multiple of the
    usual d * u * |x| |q|. So k samples lie below the k-th smallest upper bound, and so do their lower bounds.
    """
    (count, d), n = queries.shape, len(index.samples)
    if count * n * d <= DIRECT_WORK or k == n:
        return _all_pairs(count, n)
    with np.errstate(over="ignore"):
        moved = queries - index.centre
    lengths = _squared_lengths(moved)
    largest = float(lengths.max() + index.squares.max())
    bound = 2.0 * (d + 8) * float(np.finfo(np.float32).eps)
    if not 4 * largest < float(np.finfo(np.float32).max) or bound >= 0.25:
        return _all_pairs(count, n)
    least = (d + 2) * float(np.finfo(np.float32).tiny)  # what products that underflow may lose
    upper = np.matmul(np.float32(-2) * moved, index.shifted.T)
    upper += (index.squares * (1 + bound)).astype(np.float32)
    limit = _kth_smallest(upper, k) + (2 * bound) * lengths + 4 * least
    upper -= (index.squares * (2 * bound)).astype(np.float32)
    chosen = upper <= np.nextafter(limit.astype(np.float32), np.float32(np.inf))[:, None]
    rows, columns = np.divmod(np.flatnonzero(chosen), n)
    return rows, columns


def _all_pairs(count: int, n: int) -> tuple[Indices, Indices]:
    return np.repeat(np.arange(count), n), np.tile(np.arange(n), count)


def _kth_smallest(values: Array, k: int) -> NDArray[np.float64]:
    """For each row, a number that at least k of its values do not exceed: the k-th smallest, or little more than it.

    Of the least values of many groups the k-th is enough, and is found much faster.
    """
    count, n = values.shape
    groups = max(16 * k, 256)
    width = n // groups
    if width > 1:
        values = values[:, : width * groups].reshape(count, width, groups).min(axis=1)
    return np.partition(values, k - 1, axis=1)[:, k - 1].astype(np.float64)


def _best(samples: Array, queries: Array, rows: Indices, columns: Indices, k: int) -> tuple[Indices, NDArray[np.float64]]:
    """The k nearest of each query's candidates, which come query by query, by exact distance."""
    squared = np.empty(len(rows), np.float64)
    step = max(1, CHUNK_DIFFERENCES // max(1, samples.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        squared[part] = _squared_lengths(np.subtract(samples[columns[part]], queries[rows[part]], dtype=np.float64))
    order = np.lexsort((columns, squared, rows))
    starts = np.searchsorted(rows, np.arange(len(queries)))
    taken = order[starts[:, None] + np.arange(k)]
    return columns[taken], squared[taken]


def _squared_lengths(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """The squared length of each row, summed in float64; rows that are equal get equal bits."""
    wide = vectors.astype(np.float64, copy=False)
    lengths: NDArray[np.float64] = np.square(wide).sum(axis=1)
    return lengths


def _rows(name: str, values: Array) -> NDArray[np.float32]:
    """``values`` as finite float32 rows."""
    with np.errstate(over="ignore"):
        held = np.ascontiguousarray(values, np.float32)
    if held.ndim != 2:
        raise ValueError(f"{name}: expected two axes [count, dimensions], got shape {list(held.shape)}")
    if not np.isfinite(held).all():
        row, column = np.argwhere(~np.isfinite(held))[0]
        raise ValueError(f"{name}: expected finite numbers, got {held[row, column]} at [{row}, {column}]")
    return held
