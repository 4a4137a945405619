"""Values of a program: which memory they lie in, and how. Turning a value's axes or cutting it up moves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import prod
from typing import TypeAlias

from ..op import Array, Shape

Border: TypeAlias = tuple[int, int, int, int]
"""Pixels of zeros at the top, bottom, left and right."""

NO_BORDER: Border = (0, 0, 0, 0)


class Where(Enum):
    """Whose memory it is."""

    ARENA = "arena"
    """The run's own, given back after it."""
    INPUT = "input"
    OUTPUT = "output"
    CONSTANT = "constant"
    """The same for all examples and runs."""


@dataclass(eq=False, slots=True)
class Buffer:
    """Memory of ``size`` float32 an example. ``first``, ``last``: the steps that write and read it, counted in waits."""

    where: Where
    slot: int
    size: int
    array: Array | None = None
    first: int = -1
    last: int = -1


@dataclass(frozen=True, slots=True)
class View:
    """A value of one example: ``shape`` and ``strides`` (in elements) from element ``at`` of a buffer; ``border``: zeros around it."""

    buffer: Buffer
    shape: Shape
    strides: Shape
    at: int = 0
    border: Border = NO_BORDER

    @property
    def image(self) -> int:
        """How far the next example lies."""
        return 0 if self.buffer.where is Where.CONSTANT else self.buffer.size

    @property
    def dense(self) -> bool:
        """Whether it is its whole buffer, in C order."""
        return self.at == 0 and self.buffer.size == prod(self.shape) and same_order(self.shape, self.strides, c_order(self.shape))

    def permuted(self, axes: Sequence[int]) -> View:
        """With its axes in another order."""
        return replace(self, shape=tuple(self.shape[a] for a in axes), strides=tuple(self.strides[a] for a in axes), border=NO_BORDER)

    def recast(self, shape: Shape) -> View | None:
        """With another shape of as many elements, in C order of both; ``None`` where that cannot be had without moving them."""
        strides = _recast(self.shape, self.strides, shape)
        return None if strides is None else replace(self, shape=shape, strides=strides, border=NO_BORDER)

    def spread(self, shape: Shape) -> View:
        """Repeated to ``shape``, which it must fit from the end."""
        more = len(shape) - len(self.shape)
        strides = tuple(0 if size == 1 else stride for size, stride in zip(self.shape, self.strides, strict=True))
        return replace(self, shape=shape, strides=(*(0,) * more, *strides), border=NO_BORDER)


def c_order(shape: Shape) -> Shape:
    """The strides of a value that lies in one piece, its last axis closest."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def same_order(shape: Shape, one: Shape, other: Shape) -> bool:
    """Whether strides differ only where there is one element."""
    return all(a == b or size == 1 for size, a, b in zip(shape, one, other, strict=True))


def merged(shape: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Sizes and strides with neighbouring axes put together where all operands allow it, and axes of one element left out."""
    sizes: list[int] = []
    found: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if sizes and all(into[-1] == of[axis] * size for into, of in zip(found, strides, strict=True)):
            sizes[-1] *= size
            for into, of in zip(found, strides, strict=True):
                into[-1] = of[axis]
        else:
            sizes.append(size)
            for into, of in zip(found, strides, strict=True):
                into.append(of[axis])
    return sizes, found


def _recast(shape: Shape, strides: Shape, target: Shape) -> Shape | None:
    sizes, (steps,) = merged(shape, strides)
    answer: list[int] = []
    place, left = len(sizes) - 1, sizes[-1] if sizes else 1
    step = steps[-1] if steps else 1
    for size in reversed(target):
        if size == 1:
            answer.append(0)
            continue
        if left == 1:
            place -= 1
            left, step = sizes[place], steps[place]
        if left % size:
            return None
        answer.append(step)
        step *= size
        left //= size
    return tuple(reversed(answer))
