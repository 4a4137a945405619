"""Nearest neighbours by squared Euclidean distance, and what they vote for.

The search is exact. By brute force, a matrix product gives every distance approximately, with an error bound; a kd-tree
finds the nearest within rounding. Whatever could be among the k nearest is measured again from the differences in float64,
so that an exact match is at distance 0, and neither order nor ties depend on the manner of the search.

An index grows without touching what is there: samples that are added are a part of their own, and parts are joined as
they become equally large, so that over many additions a sample is made ready no more than a logarithm's number of times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .op import Array

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Weighting: TypeAlias = Literal["uniform", "inverse"]
Indices: TypeAlias = NDArray[np.intp]

DIRECT_WORK = 1 << 17  # below this many differences the matrix product does not pay
BLOCK_DISTANCES = 1 << 20  # approximate distances held at a time; a block stays near the cache
CHUNK_DIFFERENCES = 1 << 19  # float64 differences held at a time
TIE = 1e-12  # vote sums that are closer than this, relatively, differ by rounding only


TREE_DIMENSIONS = 8  # above this many a kd-tree looks at nearly every sample, and brute force is faster
TREE_SAMPLES = 1 << 10  # below this many a kd-tree does not pay
TREE_SHARE = 32  # nor where more than one in so many is asked for
NEAR = 1 + 1e-9  # distances of a kd-tree that differ by less, relatively, may differ by rounding only


@dataclass(frozen=True, slots=True)
class Part:
    """Samples made ready together.

    ``samples``  float32 ``[n, d]``, as given.
    ``labels``   int ``[n]``, what each sample votes for: its label's number.
    ``centre``   float32 ``[d]``, their mean: around it, the products are small and the error bound is tight.
    ``shifted``  float32 ``[n, d]``, the samples around the centre.
    ``squares``  float64 ``[n]``, the squared lengths of ``shifted``.
    ``tree``     a kd-tree over them, where one pays.
    """

    samples: Array
    labels: Indices
    centre: Array
    shifted: Array
    squares: NDArray[np.float64]
    tree: cKDTree | None


@dataclass(frozen=True, slots=True)
class Index:
    """Samples made ready for ``nearest``; made by ``prepare``, never changed.

    ``parts``: the samples in their order, a part of the larger first. ``dimensions``: numbers a sample. ``leaf_size``: samples in
    a leaf of a kd-tree, 0 where brute force is asked for.
    """

    parts: tuple[Part, ...]
    dimensions: int
    leaf_size: int = 0

    def __len__(self) -> int:
        return sum(len(part.samples) for part in self.parts)

    def extended(self, samples: Array, labels: Indices | None = None) -> Index:
        """An index that has ``samples`` (and ``labels``) too, as ``prepare`` takes them, behind those of this one, which stays as it is.

        Raises ``ValueError`` as ``prepare`` does, and for samples of other dimensions.
        """
        held = _rows("samples", samples)
        if held.shape[1] != self.dimensions:
            raise ValueError(f"samples: expected {self.dimensions} columns as the index has, got {held.shape[1]}")
        numbers = np.zeros(len(held), np.intp) if labels is None else np.asarray(labels, np.intp)
        if numbers.shape != (len(held),):
            raise ValueError(f"labels: expected one for each of {len(held)} samples, got shape {list(numbers.shape)}")
        if not len(held):
            return self
        kept = list(self.parts)
        while kept and len(kept[-1].samples) <= len(held):
            part = kept.pop()
            held, numbers = np.concatenate((part.samples, held)), np.concatenate((part.labels, numbers))
        return Index((*kept, _part(held, numbers, self.leaf_size)), self.dimensions, self.leaf_size)

    def labels_of(self, places: Indices) -> Indices:
        """The labels of the samples at ``places``, of any shape."""
        if len(self.parts) == 1:
            return self.parts[0].labels[places]
        begins = np.cumsum([0, *(len(part.samples) for part in self.parts)])
        labels = np.empty(places.shape, np.intp)
        of = np.searchsorted(begins, places, side="right") - 1
        for number, part in enumerate(self.parts):
            chosen = of == number
            labels[chosen] = part.labels[places[chosen] - begins[number]]
        return labels


def prepare(samples: Array, labels: Indices | None = None, leaf_size: int = 0) -> Index:
    """An index over ``samples`` ``[n, d]``, taken as float32, and what each votes for, ``labels`` int ``[n]`` (0 where not given).

    ``leaf_size``: above 0, kd-trees with so many samples a leaf are used where they pay; they change no answer. Raises
    ``ValueError`` where a number is not finite or shapes do not fit.
    """
    held = _rows("samples", samples)
    return Index((), held.shape[1], leaf_size).extended(held, labels)


def nearest(samples: Array | Index, queries: Array, k: int) -> tuple[Indices, NDArray[np.float64]]:
    """The ``min(k, n)`` samples nearest to each query: nearest first, of equally near ones the lower index first.

    ``samples`` float32 ``[n, d]`` (or an ``Index`` over them), ``queries`` ``[q, d]``, taken as float32. Returns indices
    ``[q, min(k, n)]`` and squared distances, float64 of the same shape. Raises ``ValueError`` for a ``k`` below 1, for
    shapes that do not fit and for numbers that are not finite.
    """
    index = samples if isinstance(samples, Index) else prepare(samples)
    asked = _rows("queries", queries)
    if asked.shape[1] != index.dimensions:
        raise ValueError(f"queries: expected {index.dimensions} columns as the samples have, got {asked.shape[1]}")
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    found: Indices = np.empty((len(asked), 0), np.intp)
    squared = np.empty((len(asked), 0), np.float64)
    begin = 0
    for part in index.parts:
        places, distances = _nearest_in(part, asked, min(k, len(part.samples)))
        found, squared = np.concatenate((found, places + begin), axis=1), np.concatenate((squared, distances), axis=1)
        begin += len(part.samples)
        if begin > len(part.samples):  # each part's are in order, and the parts are: a stable sort keeps the order of ties
            order = np.argsort(squared, axis=1, kind="stable")[:, :k]
            found, squared = np.take_along_axis(found, order, axis=1), np.take_along_axis(squared, order, axis=1)
    return found, squared


def weights(squared_distances: Array, weighting: Weighting) -> NDArray[np.float64]:
    """What the vote of each neighbour weighs, ``[q, k]``; ``squared_distances`` ``[q, k]`` as ``nearest`` orders them, k at least 1.

    ``uniform``: 1. ``inverse``: 1 / squared distance, given in units of the nearest neighbour's vote, which changes no share and
    cannot overflow; where some neighbours match exactly, they alone vote, one vote each.
    """
    if weighting == "uniform":
        return np.ones(squared_distances.shape)
    closest = squared_distances[:, :1]
    matched = squared_distances == 0
    weighed: NDArray[np.float64] = np.where(closest == 0, matched, closest / np.where(matched, 1.0, squared_distances))
    return weighed


def votes(labels: Array, squared_distances: Array, weighting: Weighting, label_count: int) -> tuple[NDArray[np.float64], Indices]:
    """What the neighbours vote for.

    ``labels`` int ``[q, k]``, the label's number of each neighbour, and ``squared_distances`` ``[q, k]``, both as
    ``nearest`` orders them, k at least 1. Returns the sum of ``weights`` ``[q, label_count]`` (float64) and the winner ``[q]``:
    the highest sum; of tied labels, the one with the nearest neighbour, then the one added first.
    """
    count = len(labels)
    weighed = weights(squared_distances, weighting)
    places = labels + np.arange(count)[:, None] * label_count
    sums = np.bincount(places.ravel(), weighed.ravel(), count * label_count).astype(np.float64, copy=False).reshape(count, label_count)
    tied = sums >= sums.max(axis=1, keepdims=True) * (1 - TIE)
    first = np.take_along_axis(tied, labels, axis=1).argmax(axis=1)
    return sums, np.take_along_axis(labels, first[:, None], axis=1)[:, 0].astype(np.intp, copy=False)


def _part(samples: Array, labels: Indices, leaf_size: int) -> Part:
    """Samples made ready; there is one at least."""
    centre = samples.mean(axis=0, dtype=np.float64).astype(np.float32)
    with np.errstate(over="ignore"):
        shifted = samples - centre
    tree = None
    if leaf_size > 0 and len(samples) >= TREE_SAMPLES and 0 < samples.shape[1] <= TREE_DIMENSIONS:
        from scipy.spatial import cKDTree  # slow to import, and seldom needed

        tree = cKDTree(samples.astype(np.float64), leafsize=leaf_size)
    return Part(samples, labels, centre, shifted, _squared_lengths(shifted), tree)


def _nearest_in(part: Part, queries: Array, k: int) -> tuple[Indices, NDArray[np.float64]]:
    """``nearest`` in one part, of which k is no more than the size."""
    found: Indices = np.empty((len(queries), k), np.intp)
    squared = np.empty((len(queries), k), np.float64)
    if part.tree is not None and k * TREE_SHARE <= len(part.samples):
        near, columns = part.tree.query(queries.astype(np.float64), np.arange(1, k + 2))
        far = near[:, k - 1] * NEAR
        alone = np.flatnonzero(near[:, k] > far)  # the k nearest, and no other could be one of them
        rows = np.repeat(np.arange(len(alone)), k)
        found[alone], squared[alone] = _best(part.samples, queries[alone], rows, columns[alone, :k].ravel(), k)
        tied = np.flatnonzero(near[:, k] <= far)
        if len(tied):
            balls = part.tree.query_ball_point(queries[tied].astype(np.float64), far[tied])
            rows = np.repeat(np.arange(len(tied)), [len(ball) for ball in balls])
            found[tied], squared[tied] = _best(part.samples, queries[tied], rows, np.concatenate(balls).astype(np.intp), k)
        return found, squared
    block = max(16, BLOCK_DISTANCES // len(part.samples))
    for start in range(0, len(queries), block):
        some = slice(start, start + block)
        rows, columns = _candidates(part, queries[some], k)
        found[some], squared[some] = _best(part.samples, queries[some], rows, columns, k)
    return found, squared


def _candidates(part: Part, queries: Array, k: int) -> tuple[Indices, Indices]:
    """Pairs (query, sample), by query and then by sample, that hold the k nearest samples of each query and all ties.

    Around the centre, |x - q|^2 - |q|^2 = |x|^2 - 2 x.q is computed in float32. Rounding of the centred numbers, of the
    product of d terms in any order, and of the sum errs by less than ``bound`` * (|x|^2 + |q|^2), a safe multiple of the
    usual d * u * |x| |q|. So k samples lie below the k-th smallest upper bound, and so do their lower bounds.
    """
    (count, d), n = queries.shape, len(part.samples)
    if count * n * d <= DIRECT_WORK or k == n:
        return _all_pairs(count, n)
    with np.errstate(over="ignore"):
        moved = queries - part.centre
    lengths = _squared_lengths(moved)
    largest = float(lengths.max() + part.squares.max())
    bound = 2.0 * (d + 8) * float(np.finfo(np.float32).eps)
    if not 4 * largest < float(np.finfo(np.float32).max) or bound >= 0.25:
        return _all_pairs(count, n)
    least = (d + 2) * float(np.finfo(np.float32).tiny)  # what products that underflow may lose
    upper = np.matmul(np.float32(-2) * moved, part.shifted.T)
    upper += (part.squares * (1 + bound)).astype(np.float32)
    limit = _kth_smallest(upper, k) + (2 * bound) * lengths + 4 * least
    upper -= (part.squares * (2 * bound)).astype(np.float32)
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
