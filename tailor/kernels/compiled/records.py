"""The steps of a compiled program as records: what each kind of step says of its operands.

An operand is a slot (which of the addresses that a run is given), where in it the first image begins, and strides, all in
elements of float32. ``<operand>_image`` is the distance from one image to the next: 0 for what all images share.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

LANES = 16
"""Channels of the answer in a tile of a product: a cache line of float32. Weights are packed in panels as wide."""

COUNTERS = 16
"""64-bit numbers for each step: how many parts are taken, and eight later, in another cache line, how many are done."""

AXES = 6
"""Axes of a value that is copied or mapped, at most; one may be added, so that what has more than five is left to the ops."""


class Kind(IntEnum):
    """What a step does; the order of the arrays that a program holds its records in."""

    PRODUCT = 0
    POOL = 1
    MAP = 2
    NORM = 3
    COPY = 4
    PACK = 5
    BORDER = 6
    RECURRENT = 7


def _operand(name: str, *strides: str) -> list[tuple[str, str]]:
    return [(name, "i8"), *((f"{name}_{part}", "i8") for part in ("at", "image", *strides))]


def _record(*fields: object) -> np.dtype[np.void]:
    return np.dtype(
        [
            field if isinstance(field, tuple) else (field, "i8")
            for group in fields
            for field in (group if isinstance(group, list) else [group])
        ]
    )


def _strided(name: str) -> list[object]:
    return [*_operand(name), (f"{name}_stride", "i8", (AXES,))]


PRODUCT = _record(
    _operand("x", "outer", "row", "col"),
    _operand("w", "outer"),
    _operand("bias", "outer"),
    _operand("y", "outer", "row", "col"),
    _operand("z", "outer", "row", "col"),
    *("lead", "outer", "rows", "cols", "offsets", "taps", "depth", "channels", "each", "apart", "adds"),
    [("low", "f4"), ("high", "f4")],
)
"""``y = clip(bias + sum of x * w + z)``: ``rows`` x ``cols`` pixels, ``outer`` times (groups, heads), for ``lead`` images each.

``apart``: each image has weights of its own. ``each``: a channel of the answer sees its own channel only.
"""

POOL = _record(
    _operand("x", "row", "col"),
    _operand("y", "row", "col"),
    "counts",
    *("lead", "rows", "cols", "channels", "height", "width"),
    *("kernel_high", "kernel_wide", "stride_down", "stride_right", "top", "left", "maximum"),
)
"""The maximum or mean of windows; ``counts``: the slot of what the sum of each window is divided by."""

MAP = _record(
    "code", _strided("y"), _strided("a"), _strided("b"), _strided("c"), [("size", "i8", (AXES,)), ("alpha", "f4"), ("beta", "f4")]
)
"""``y = f(a, b, c)`` element by element; the last axis lies in one piece in ``y``, and in ``a``, ``b``, ``c`` or is one number."""

NORM = _record("code", _strided("y"), _strided("x"), [("size", "i8", (AXES,)), ("epsilon", "f4")])
"""Each row along the last axis, which lies in one piece: softmax, or mean 0 and variance 1."""

COPY = _record(_strided("y"), _strided("x"), [("size", "i8", (AXES,))])
"""``y = x``; the last two axes are those in one piece in ``x`` and in ``y``."""

PACK = _record(_operand("x", "outer", "deep", "channel"), _operand("y", "outer"), "outer", "depth", "channels")
"""A matrix ``[depth, channels]`` that was computed becomes panels, as weights are packed beforehand."""

BORDER = _record(_operand("y", "row", "col"), *("lead", "rows", "cols", "channels", "top", "bottom", "left", "right"))
"""Zeros around the ``rows`` x ``cols`` pixels of images."""

RECURRENT = _record(
    _operand("a", "step", "row"),
    _operand("w"),
    _operand("h", "row"),
    _operand("c", "row"),
    _operand("m", "row"),
    _operand("y", "step", "row"),
    _operand("p"),
    *("code", "steps", "batch", "size", "gates", "ways", "coupled", "peepholes"),
    [("kinds", "i8", (3,)), ("alphas", "f4", (3,)), ("betas", "f4", (3,)), ("limit", "f4")],
)
"""Steps in time after the inputs' products ``a``: answers ``y`` from the recursion panels ``w``, the state ``h`` and memory ``c`` before.

``m``: the memory as it is, or what a reset gate left of the answer. ``p``: peepholes. Gate by gate, ``a``, ``w`` and ``p`` have whole
blocks of ``LANES`` units, and so has ``m``.
``ways``: how many steps like this one run beside each other.
"""

RECORDS = {
    Kind.PRODUCT: PRODUCT,
    Kind.POOL: POOL,
    Kind.MAP: MAP,
    Kind.NORM: NORM,
    Kind.COPY: COPY,
    Kind.PACK: PACK,
    Kind.BORDER: BORDER,
    Kind.RECURRENT: RECURRENT,
}


class Norm(IntEnum):
    """What a ``NORM`` step does with a row."""

    SOFTMAX = 0
    STANDARD = 1
    """Mean 0, variance 1 (plus ``epsilon`` under the root)."""
    CENTRED = 2
    """Mean 0."""


class Function(IntEnum):
    """What a ``MAP`` step does with an element; ``alpha``, ``beta``: its numbers."""

    ADD = 0
    SUBTRACT = 1
    MULTIPLY = 2
    DIVIDE = 3
    MAXIMUM = 4
    MINIMUM = 5
    SCALE = 6
    """``a * b + c``."""
    AFFINE = 7
    """``alpha * a + beta``."""
    CLIP = 8
    LEAKY = 9
    """``alpha * a`` below 0."""
    SIGMOID = 10
    TANH = 11
    """``alpha * tanh(beta * a)``."""
    ELU = 12
    EXP = 13
    SQRT = 14
    INVERSE = 15
    ABS = 16
    GELU = 17
    GELU_TANH = 18
    GELU_SIGMOID = 19


class Cell(IntEnum):
    """What a ``RECURRENT`` step goes through time with."""

    SIMPLE = 0
    GRU = 1
    LSTM = 2


class Squash(IntEnum):
    """An activation in a ``RECURRENT`` step; ``alphas``, ``betas``: their numbers."""

    SIGMOID = 0
    TANH = 1
    SCALED_TANH = 2
    LINEAR = 3
    HARD = 4
    RELU = 5
