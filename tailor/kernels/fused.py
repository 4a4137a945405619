"""What rewriting makes of a convolution and the layers after it: one op, so that its answer is finished where it is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from .op import Array, Attributes, Decode, Op, Reading, Shape
from .registry import OPS

CONVOLUTION, ADD = OPS["convolution"], OPS["add"]


def fused_convolution(
    *arrays: Array, adding: Attributes | None = None, limits: tuple[float, float] = (-np.inf, np.inf), **sliding: Any
) -> Array:
    """``clip(convolution(x, w, bias) + other, *limits)``; ``arrays``: ``x``, ``other`` if there is ``adding``, ``w``, ``bias``.

    ``sliding`` as for a convolution, ``adding`` as for an ``add`` layer, which says how ``other`` is broadcast. NaN stays NaN.
    """
    y = CONVOLUTION.forward(arrays[0], *arrays[-2:], **sliding)
    total: Array = y if adding is None else ADD.forward(y, arrays[1], **adding)
    return total if limits == (-np.inf, np.inf) else np.clip(total, *limits)


def _shape(*shapes: Shape, adding: Attributes | None = None, limits: Any = None, **sliding: Any) -> Shape:
    shape = CONVOLUTION.shape(shapes[0], *shapes[-2:], **sliding)
    answer: Shape = shape if adding is None else ADD.shape(shape, shapes[1], **adding)
    return answer


def _work(*shapes: Shape, adding: Any = None, limits: Any = None, **sliding: Any) -> int:
    return CONVOLUTION.work(shapes[0], *shapes[-2:], **sliding)


def _batched(attributes: Attributes, ranks: tuple[int, ...]) -> Attributes:
    adding = attributes.get("adding")
    if adding is None or ADD.batched is None:
        return attributes
    return {**attributes, "adding": ADD.batched(adding, ranks[:2])}


def _unread(params: Any, decode: Decode) -> Reading:
    raise ValueError("expected a layer of the format, got one that only rewriting makes")


FUSED_CONVOLUTION = Op("convolution", fused_convolution, _shape, _unread, None, _batched, work=_work, portable=True)
