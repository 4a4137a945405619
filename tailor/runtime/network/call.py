"""One node of a plan, bound to its shapes."""

from __future__ import annotations

from dataclasses import dataclass

from tailor.kernels import Array, Attributes, Op, Shape

from .graph import Node


@dataclass(frozen=True, slots=True)
class Call:
    """One node of a plan.

    ``op``       ``None`` for a branch or a loop.
    ``stacked``  its attributes for examples on a leading axis, ``None`` where they go one by one.
    ``done``     values that nobody needs after it.
    ``late``     whether its inputs' shapes are known, and seen to fit, only once it runs.
    ``shapes``   of its inputs and its outputs, of one example; empty where some are not known.
    ``work``     multiply-adds of one example, roughly.
    """

    node: Node
    op: Op | None
    weights: tuple[Array, ...]
    stacked: Attributes | None
    done: tuple[str, ...]
    late: bool = False
    shapes: tuple[Shape, ...] = ()
    work: int = 0
