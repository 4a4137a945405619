"""Shapes and counts that a layer is told: by a field of its message, or by the numbers of an input."""

from __future__ import annotations

from collections.abc import Iterable

from ..bounds import MOST_ELEMENTS, check_elements
from ..op import Array, Shape
from .whole import whole


def sizes(x: Array) -> Shape:
    """The shape whose sizes the rank 1 array ``x`` holds. Raises ``ValueError`` where no array has that shape, or may have it."""
    shape = tuple(int(size) for size in whole(x, 0, MOST_ELEMENTS, "sizes"))
    check_elements(shape)
    return shape


def check_sizes(x: Shape) -> None:
    """Raises ``ValueError`` where an input of shape ``x`` cannot be read by ``sizes``."""
    if len(x) != 1:
        raise ValueError(f"expected a shape as an input of rank 1, got shape {list(x)}")


def read_sizes(field: str, values: Iterable[int]) -> Shape:
    """The shape in a message's repeated ``field``. Raises ``ValueError`` where it is empty."""
    shape = tuple(int(size) for size in values)
    if not shape:
        raise ValueError(f"{field}: expected one size or more, got none")
    return shape


def count(name: str, x: Array) -> int:
    """The only number of ``x`` as a count. Raises ``ValueError`` where it is no whole number of 1 or more."""
    return int(whole(x.reshape(-1), 1, MOST_ELEMENTS, f"{name}, a whole number")[0])


def check_number(name: str, x: Shape) -> None:
    """Raises ``ValueError`` where an input of shape ``x`` is not one number: a scalar, or of shape (1,)."""
    if x not in ((), (1,)):
        raise ValueError(f"{name}: expected one number, a scalar or of shape [1], got shape {list(x)}")
