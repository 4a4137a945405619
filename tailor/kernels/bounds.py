"""A bound on what one value may take: sizes that come from a model or from data are checked before memory is taken."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

MOST_ELEMENTS = 1 << 30
"""Elements of one array, at most: 4 GiB of float32."""

MOST_AXES = 31
"""Axes of one array, at most: NumPy 1.26 has 32, and one is for the examples."""


def check_elements(shape: Sequence[int]) -> None:
    """Raises ``ValueError`` where an axis of ``shape`` is negative, or they or its elements are more than there may be.

    An axis is held to the same bound as the elements, also where another one has length 0.
    """
    if len(shape) > MOST_AXES:
        raise ValueError(f"expected at most {MOST_AXES} axes, got {len(shape)}")
    if any(size < 0 for size in shape):
        raise ValueError(f"expected sizes of 0 or more, got shape {list(shape)}")
    if prod(shape) > MOST_ELEMENTS or any(size > MOST_ELEMENTS for size in shape):
        raise ValueError(f"expected at most {MOST_ELEMENTS} elements, got shape {list(shape)}")
