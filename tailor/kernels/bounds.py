"""A bound on what one value may take: sizes that come from a model or from data are checked before memory is taken."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

MOST_ELEMENTS = 1 << 30
"""Elements of one array, at most: 4 GiB of float32."""


def check_elements(shape: Sequence[int]) -> None:
    """Raises ``ValueError`` where an axis of ``shape`` is negative, or its elements are more than ``MOST_ELEMENTS``."""
    if any(size < 0 for size in shape):
        raise ValueError(f"expected sizes of 0 or more, got shape {list(shape)}")
    if prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"expected at most {MOST_ELEMENTS} elements, got shape {list(shape)}")
