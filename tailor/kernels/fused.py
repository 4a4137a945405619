"""Convolutions that predict: with bias, a value added and limits (ReLU and the like) in one go, in parts that can be shared out.

How the work is cut depends on shapes only, so that the bits are the same whoever does the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np

from .direct import depthwise, multiply
from .jit import plain
from .layers.convolution import convolution, convolution_plan
from .op import Array, Attributes, Decode, Op, Reading, Shape
from .registry import OPS

CONVOLUTION, ADD, POOLING = OPS["convolution"], OPS["add"], OPS["pooling"]

PART_WORK = 4_000_000
"""Multiply-adds in a part of an example, roughly: some 50 microseconds, against a hand-over of ten."""

PARTS = 4
"""Parts of an example, at most."""

FEW = 64
"""Windows, or channels, of which a part of a product has no fewer: narrow products are slow."""

PART_PIXELS = 1 << 16
"""Elements in a part of what is pooled, roughly."""


class Crew(Protocol):
    """Who does the parts, and where answers come from."""

    def share(self, work: Callable[[int], object], total: int) -> None:
        """Calls ``work(0)`` to ``work(total - 1)``, in any order, on any threads; returns when all are done."""

    def empty(self, shape: Shape) -> Array:
        """A float32 array, C order, whose elements are not set."""


class Alone:
    """A crew of one."""

    def share(self, work: Callable[[int], object], total: int) -> None:
        """See ``Crew``."""
        for part in range(total):
            work(part)

    def empty(self, shape: Shape) -> Array:
        """See ``Crew``."""
        return np.empty(shape, np.float32)


ALONE = Alone()


def fused_convolution(
    *arrays: Array,
    adding: Attributes | None = None,
    limits: tuple[float, float] = (-np.inf, np.inf),
    crew: Crew = ALONE,
    **sliding: Any,
) -> Array:
    """``clip(convolution(x, w, bias) + other, *limits)``; ``arrays``: ``x``, ``other`` if there is ``adding``, ``w``, ``bias``.

    ``sliding`` as for a convolution, ``adding`` as for an ``add`` layer, which says how ``other`` is broadcast. NaN stays
    NaN. Float32; other types are computed step by step.
    """
    x, w, bias = arrays[0], arrays[-2], arrays[-1]
    shape, groups, numbers, loop, cuts, block = _bound(x.shape, w.shape, **sliding)
    adds = adding is not None
    if x.dtype != np.float32 or (adds and arrays[1].shape != shape):
        y = convolution(x, w, bias, **sliding)
        return np.clip(ADD.forward(y, arrays[1], **adding) if adding is not None else y, *limits)
    out = crew.empty(shape)
    images, answers = plain(x).reshape(-1, *x.shape[-3:]), out.reshape(-1, *shape[-3:])
    others = plain(arrays[1]).reshape(answers.shape) if adds else answers
    bounds = np.float32(limits[0]), np.float32(limits[1])
    matrix = plain(w).reshape(len(w), -1)
    inner, outer = x.shape[-3] // groups, len(w) // groups

    def part(number: int) -> None:
        first, cut = divmod(number, len(cuts))
        for example in range(first * block, min(first * block + block, len(images))):
            image, other, answer = images[example], others[example], answers[example]
            channels, rows = cuts[cut]
            if loop is depthwise or groups == 1:
                loop(image, matrix, bias, other, adds, bounds, numbers, channels, rows, answer)
                continue
            for group in range(groups):
                ours, theirs = slice(group * outer, group * outer + outer), slice(group * inner, group * inner + inner)
                loop(image[theirs], matrix[ours], bias[ours], other[ours], adds, bounds, numbers, channels, rows, answer[ours])

    crew.share(part, -(-len(images) // block) * len(cuts))
    return out


@lru_cache(maxsize=1024)
def _bound(x: Shape, w: Shape, groups: int = 1, **sliding: Any) -> Any:
    """The answer's shape, the groups, the windows in numbers, the loop, what of an example each part is, and how many examples."""
    shape, windows = convolution_plan(x, w, groups, False, **sliding)
    alone = w[1] == 1 and groups == x[-3]
    rows, cols = windows.count
    # A depthwise tap is not in a product of matrices: it costs about as much as eight that are.
    work = prod(w) * rows * cols * (8 if alone else 1)
    channels = w[0] if alone else w[0] // groups
    most = min(PARTS, max(1, work // PART_WORK, 2 * work // PART_WORK if work < 2 * PART_WORK else 1))
    if alone:
        every = [(part, (0, rows)) for part in _even(channels, most)]
    elif rows * cols >= (FEW * 8 if windows.kernel == (1, 1) else FEW * 2):
        every = [((0, channels), part) for part in _even(rows, min(most, rows * cols // FEW))]
    else:  # each part makes all columns, which is soon done for few windows, but not for many parts
        every = [(part, (0, rows)) for part in _even(channels, min(most, channels // FEW if windows.kernel == (1, 1) else 2))]
    numbers = (*windows.kernel, *windows.stride, *windows.dilation, *windows.begin)
    return shape, groups, numbers, depthwise if alone else multiply, every, max(1, PART_WORK // max(1, work)) if len(every) == 1 else 1


def _even(total: int, most: int) -> list[tuple[int, int]]:
    """``total`` in parts as even as can be, a power of two of them, so that they come out even among threads."""
    parts = 1 << max(0, min(most, total).bit_length() - 1)
    edges = [total * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))


def _fused_shape(*shapes: Shape, adding: Attributes | None = None, limits: Any = None, crew: Any = None, **sliding: Any) -> Shape:
    shape = CONVOLUTION.shape(shapes[0], *shapes[-2:], **sliding)
    answer: Shape = shape if adding is None else ADD.shape(shape, shapes[1], **adding)
    return answer


def _fused_work(*shapes: Shape, adding: Any = None, limits: Any = None, crew: Any = None, **sliding: Any) -> int:
    return CONVOLUTION.work(shapes[0], *shapes[-2:], **sliding)


def _fused_batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    adding = attributes.get("adding")
    if adding is None or ADD.batched is None:
        return attributes
    return {**attributes, "adding": ADD.batched(adding, ranks[:2])}


def shared_pooling(x: Array, *, crew: Crew = ALONE, **attributes: Any) -> Array:
    """``pooling``, in parts."""
    if x.dtype != np.float32 or x.size < 2 * PART_PIXELS:
        pooled: Array = POOLING.forward(x, **attributes)
        return pooled
    shape = POOLING.shape(x.shape, **attributes)
    out = crew.empty(shape)
    images, answers = x.reshape(-1, 1, *x.shape[-2:]), out.reshape(-1, 1, *shape[-2:])
    edges = _even(len(images), min(PARTS, x.size // PART_PIXELS))

    def part(number: int) -> None:
        here = slice(*edges[number])
        answers[here] = POOLING.forward(images[here], **attributes)

    crew.share(part, len(edges))
    return out


def _pooling_shape(x: Shape, *, crew: Any = None, **attributes: Any) -> Shape:
    shape: Shape = POOLING.shape(x, **attributes)
    return shape


def _pooling_work(x: Shape, *, crew: Any = None, **attributes: Any) -> int:
    return POOLING.work(x, **attributes)


def _unread(params: Any, decode: Decode) -> Reading:
    raise ValueError("expected a layer of the format, got one that only rewriting makes")


FUSED_CONVOLUTION = Op("convolution", fused_convolution, _fused_shape, _unread, None, _fused_batched, work=_fused_work)
SHARED_POOLING = Op("pooling", shared_pooling, _pooling_shape, _unread, None, POOLING.batched, work=_pooling_work)
