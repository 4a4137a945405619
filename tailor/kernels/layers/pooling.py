"""Pooling: the maximum, mean or Euclidean norm of windows, or of the whole image."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..bounds import check_elements
from ..jit import elsewhere
from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from ..pools import max_pool, max_pool_back, sum_pool, sum_pool_back
from ..window import LAST_PIXEL, VALID, Amounts, Pair, Windows, slide
from .channels import check_rank
from .convolution import read_padding, read_pair

MAX, AVERAGE, L2 = "max", "average", "l2"


def pooling(x: Array, *, kind: str, **sliding: Any) -> Array:
    """``x`` ``[..., C, H, W]`` -> ``[..., C, H', W']``; padding is no part of a maximum, and zero otherwise.

    ``kind``: ``"max"``, ``"average"`` or ``"l2"``. ``sliding``: ``kernel``, ``stride`` (pairs: height, width), ``padding``
    (``"valid"``, ``"same"``, ``"same_top_left"``, ``"include_last_pixel"``), ``amounts`` (top, bottom, left, right),
    ``whole`` (one window over the image), and ``exclude_padding`` (a mean is over pixels of the image only).
    """
    shape, windows, counts = pooling_windows(x.shape, **sliding)
    images = x.reshape(-1, *x.shape[-2:])
    if kind == MAX:
        out = max_pool(images, windows)
    elif kind == AVERAGE:
        out = sum_pool(images, windows)
        out /= _divisors(x, windows, counts, **sliding)
    else:
        out = np.sqrt(sum_pool(np.square(images), windows))
    return out.reshape(shape)


def pooling_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], kind: str, **sliding: Any) -> tuple[Array | None, ...]:
    """The gradient of ``pooling``: that of a maximum goes to the first pixel that has it; that of a norm is 0 at 0."""
    if not needs[0]:
        return (None,)
    _, windows, counts = pooling_windows(x.shape, **sliding)
    size = (x.shape[-2], x.shape[-1])
    images, answers, arriving = x.reshape(-1, *size), y.reshape(-1, *windows.count), g.reshape(-1, *windows.count)
    if kind == MAX:
        out = max_pool_back(arriving, answers, images, windows)
    elif kind == AVERAGE:
        out = sum_pool_back(arriving / _divisors(x, windows, counts, **sliding), windows, size)
    else:
        positive = answers > 0
        out = sum_pool_back(np.where(positive, arriving / np.where(positive, answers, 1.0), 0.0), windows, size)
        out *= images
    return (out.reshape(x.shape),)


@lru_cache(maxsize=256)
def pooling_windows(
    x: Shape,
    *,
    kernel: Pair,
    stride: Pair = (1, 1),
    padding: str = VALID,
    amounts: Amounts = (0, 0, 0, 0),
    whole: bool = False,
    exclude_padding: bool = False,
) -> tuple[Shape, Windows, Array]:
    """The answer's shape, the windows, and how many pixels a mean over each is divided by, ``[H', W']``."""
    check_rank(x, 3)
    size = (x[-2], x[-1])
    check_elements((size[0] + amounts[0] + amounts[1], size[1] + amounts[2] + amounts[3]))
    windows = Windows(size, (1, 1), (1, 1), (0, 0), (1, 1)) if whole else slide(size, kernel, stride, (1, 1), padding, amounts)
    return (*x[:-2], *windows.count), windows, _counts(size, windows, padding=padding, amounts=amounts, exclude_padding=exclude_padding)


def _counts(
    size: Pair,
    windows: Windows,
    like: Array | None = None,
    *,
    padding: str = VALID,
    amounts: Amounts = (0, 0, 0, 0),
    exclude_padding: bool = False,
    **sliding: Any,
) -> Array:
    """How many pixels of an image of ``size`` a mean over each of its windows is divided by, as an array where ``like`` is."""
    # Padding that counts ends where it was asked to: windows that overhang it (include_last_pixel) are cut off there.
    bottom, right = (amounts[1], amounts[3]) if padding in (VALID, LAST_PIXEL) else windows.room(size)
    rows = windows.covered(0, 0 if exclude_padding else -windows.begin[0], size[0] + (0 if exclude_padding else bottom), like)
    cols = windows.covered(1, 0 if exclude_padding else -windows.begin[1], size[1] + (0 if exclude_padding else right), like)
    counts: Array = np.maximum(1, np.outer(rows, cols))
    return counts


def _divisors(x: Array, windows: Windows, counts: Array, **sliding: Any) -> Array:
    """``counts`` in the type of ``x``; counted anew where ``x`` lies elsewhere."""
    found = _counts((x.shape[-2], x.shape[-1]), windows, x, **sliding) if elsewhere(x) else counts
    return found.astype(x.dtype)


def _shape(x: Shape, *, kind: str, **sliding: Any) -> Shape:
    return pooling_windows(x, **sliding)[0]


def _work(x: Shape, *, kind: str, **sliding: Any) -> int:
    shape, windows, _ = pooling_windows(x, **sliding)
    return prod(shape) * prod(windows.kernel)


def _read(params: Any, decode: Decode) -> Reading:
    kind = {0: MAX, 1: AVERAGE, 2: L2}.get(params.type)
    if kind is None:
        raise ValueError(f"type: expected one of 0 (max), 1 (average), 2 (L2), got {params.type}")
    field = params.WhichOneof("PoolingPaddingType")
    if field == "includeLastPixel":
        both = tuple(int(amount) for amount in params.includeLastPixel.paddingAmounts) or (0, 0)
        if len(both) != 2:
            raise ValueError(f"paddingAmounts: expected two numbers, height and width, got {list(both)}")
        padding, amounts = LAST_PIXEL, (both[0], both[0], both[1], both[1])
    elif field is None and params.globalPooling:
        padding, amounts = VALID, (0, 0, 0, 0)
    else:
        padding, amounts = read_padding(params, field)
    whole = bool(params.globalPooling)
    attributes = {
        "kind": kind,
        # one window over the image has no size of its own: writers leave zeros there
        "kernel": (1, 1) if whole else read_pair(params.kernelSize, "kernelSize", (3, 3)),
        "stride": (1, 1) if whole else read_pair(params.stride, "stride", (1, 1)),
        "padding": padding,
        "amounts": amounts,
        "whole": whole,
        "exclude_padding": bool(params.avgPoolExcludePadding),
    }
    return Reading(attributes, {})


OPS = (Op("pooling", pooling, _shape, _read, pooling_backward, from_the_end, _work, portable=True),)
