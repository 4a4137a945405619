"""Whole numbers that arrive as values: indices, sizes, lengths, flags.

The format gives no meaning to one that is not whole: rounding or cutting would be a guess, and hide a mistake in the model.
"""

from __future__ import annotations

import numpy as np

from ..op import Array


def whole(values: Array, low: int, high: int, what: str = "indices") -> Array:
    """``values`` as integers of the same shape. Raises ``ValueError`` naming the first that is not whole, or not in ``low`` to ``high``."""
    wrong = ~((values >= low) & (values <= high) & (values == np.floor(values)))  # this way round, NaN is wrong too
    if wrong.any():
        raise ValueError(f"expected {what} from {low} to {high}, got {float(values[wrong].flat[0]):g}")
    return values.astype(np.intp)


def counted(values: Array, size: int) -> Array:
    """Indices into ``size`` places, of which -1 is the last, as integers from 0. Raises ``ValueError`` as ``whole`` does."""
    found = whole(values, -size, size - 1)
    return np.where(found < 0, found + size, found)


def row(values: Array, what: str) -> tuple[int, ...]:
    """A rank 1 input of sizes or places, as integers. Raises ``ValueError`` where one is not whole or beyond 2^31."""
    return tuple(int(value) for value in whole(values.reshape(-1), -(1 << 31), 1 << 31, what))
