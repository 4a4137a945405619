"""Which items go with those that somebody has, by a table of items that are alike.

Source: ``ItemSimilarityRecommender.proto`` of the format: the score of an item ``k`` is the sum, over the items ``i`` that
were observed, of ``similarity(k, i) * (score_i - shift_i)``. Pairs that the table does not have are not similar at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .op import Array


@dataclass(frozen=True, slots=True)
class Similarities:
    """A table made ready for ``scores``; made by ``prepare``.

    ``table``   a sparse matrix, float64 ``[n, n]``: row ``i`` has what is similar to ``i``.
    ``shifts``  float64 ``[n]``, what is taken from the score with which an item was observed.
    """

    table: Any
    shifts: NDArray[np.float64]


def prepare(observed: Array, similar: Array, values: Array, shifts: Array) -> Similarities:
    """The table in which item ``similar[j]`` is similar to item ``observed[j]`` by ``values[j]``; pairs that come twice add up.

    ``observed``, ``similar`` and ``values`` are of one length, ``shifts`` has one number an item. Raises ``ValueError`` where
    an item is not one of them, and where a number is not finite.
    """
    count = len(shifts)
    if any(((items < 0) | (items >= count)).any() for items in (observed, similar)):
        raise ValueError(f"expected items from 0 to {count - 1}, got others")
    if not (np.isfinite(values).all() and np.isfinite(shifts).all()):
        raise ValueError("expected finite numbers, got others")
    table = sparse.csr_array((values.astype(np.float64), (observed, similar)), shape=(count, count))
    return Similarities(table, shifts.astype(np.float64))


def scores(known: Similarities, rows: Array, items: Array, given: Array, count: int) -> NDArray[np.float64]:
    """The scores of all items for ``count`` examples, float64 ``[count, n]``; an answer does not depend on the other examples.

    Example ``rows[j]`` has observed ``items[j]`` with the score ``given[j]``, each item once.
    """
    size = len(known.shifts)
    observed = sparse.csr_array((given - known.shifts[items], (rows, items)), shape=(count, size))
    made: NDArray[np.float64] = (observed @ known.table).toarray()
    return made


def best(scored: Array, allowed: Array, most: int) -> NDArray[np.intp]:
    """The places of the ``most`` best scores of one example, best first, of equal ones the first; only those ``allowed``.

    ``scored`` float64 ``[n]``, finite; ``allowed`` boolean ``[n]``.
    """
    places = np.flatnonzero(allowed)
    behind = -scored[places]
    if 0 < most < len(places):
        bound = np.partition(behind, most - 1)[most - 1]
        places, behind = places[behind <= bound], behind[behind <= bound]
    return places[np.argsort(behind, kind="stable")[:most]]
