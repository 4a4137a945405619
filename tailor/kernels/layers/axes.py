"""Axes as the format counts them: from the front or from the end of one example, whatever number of examples' axes leads."""

from __future__ import annotations

from collections.abc import Sequence

from ..op import Attributes


def from_end(axis: int, rank: int, examples: int = 0) -> int:
    """``axis`` of an array of ``rank`` axes, ``examples`` of them leading and not counted, as a negative number.

    Raises ``ValueError`` where there is no such axis.
    """
    own = rank - examples
    if not -own <= axis < own:
        raise ValueError(f"expected an axis from {-own} to {own - 1} of an input of {own} axes, got {axis}")
    return axis - own if axis >= 0 else axis


def all_from_end(axes: Sequence[int] | None, rank: int, examples: int = 0) -> tuple[int, ...]:
    """``from_end`` of each of ``axes``, in ascending order; of every axis, where they are ``None``.

    Raises ``ValueError`` where there is no such axis, or one stands twice.
    """
    if axes is None:
        return tuple(range(examples - rank, 0))
    found = sorted(from_end(axis, rank, examples) for axis in axes)
    if len(set(found)) < len(found):
        raise ValueError(f"expected axes that differ, got {list(axes)} of an input of {rank - examples} axes")
    return tuple(found)


def one_more(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    """The ``batched`` rule of ops that are told how many axes of ``examples`` lead."""
    return {**attributes, "examples": attributes.get("examples", 0) + 1}
