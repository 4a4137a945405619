"""Comparisons and logic: 1.0 for true and 0.0 for false, of the inputs' type; any number but 0 is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .activation import unchanged
from .aligned import aligned, common_shape
from .axes import one_more
from .broadcast import broadcast_work, read_nothing


def _comparison(name: str, function: Callable[[Array, Any], Array]) -> Op:
    """The row of a comparison of two inputs, or of one with ``alpha``."""

    def forward(*inputs: Array, alpha: float, examples: int = 0) -> Array:
        a, b = aligned(inputs, examples) if len(inputs) > 1 else (inputs[0], alpha)
        return function(a, b).astype(inputs[0].dtype)

    return Op(name, forward, _compared, _read_alpha, None, one_more, broadcast_work, portable=True)


def _compared(a: Shape, b: Shape | None = None, *, alpha: float, examples: int = 0) -> Shape:
    return a if b is None else common_shape((a, b), examples)


def _read_alpha(params: Any, decode: Decode) -> Reading:
    return Reading({"alpha": float(params.alpha)}, {})


def _connective(name: str, function: Callable[[Array, Array], Array]) -> Op:
    """The row of a connective of two inputs."""

    def forward(a: Array, b: Array, *, examples: int = 0) -> Array:
        return function(*aligned((a, b), examples)).astype(a.dtype)

    return Op(name, forward, _connected, read_nothing, None, one_more, broadcast_work, portable=True)


def _connected(a: Shape, b: Shape, *, examples: int = 0) -> Shape:
    return common_shape((a, b), examples)


def logical_not(x: Array) -> Array:
    """1 where x is 0, else 0."""
    return np.equal(x, 0).astype(x.dtype)


OPS = (
    _comparison("equal", np.equal),
    _comparison("notEqual", np.not_equal),
    _comparison("lessThan", np.less),
    _comparison("lessEqual", np.less_equal),
    _comparison("greaterThan", np.greater),
    _comparison("greaterEqual", np.greater_equal),
    _connective("logicalOr", np.logical_or),
    _connective("logicalXor", np.logical_xor),
    _connective("logicalAnd", np.logical_and),
    Op("logicalNot", logical_not, unchanged, read_nothing, None, from_the_end, portable=True),
)
