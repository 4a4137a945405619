"""Where an interval is sampled, and reading an array between its elements along one axis (bilinear is two of these).

Source: the comments of ``SamplingMode`` and ``UpsampleLayerParams`` in the format's ``NeuralNetwork.proto``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .jit import jit, plain
from .op import Array

STRICT, ENDS, UPSAMPLE, ROI = "strict_align_endpoints", "align_endpoints", "upsample", "roi_align"
METHODS = (STRICT, ENDS, UPSAMPLE, ROI)
"""In the order in which the format numbers them."""


def offsets(method: str, length: Array, count: int) -> tuple[Array, Array]:
    """How far from the beginning of an interval its ``count`` samples lie, ``[..., count]``, and how that grows with ``length``.

    ``length`` ``[...]``: from the first to the last point of the interval, so a whole axis of X elements has X - 1.
    """
    span, steps = length.astype(np.float64, copy=False)[..., None], np.arange(count, dtype=np.float64, like=length)
    if method == UPSAMPLE:
        found = steps * (span + 1) / count
        return np.minimum(found, span), np.where(found < span, steps / count, 1.0)
    if method == ROI:
        # at least one element is sampled, however small the interval
        shares = (steps + 0.5) / count
        return shares * np.maximum(1.0, span), np.where(span > 1, shares, 0.0)
    shares = steps / (count - 1) if count > 1 else steps + (0.5 if method == ENDS else 0.0)
    return shares * span, np.broadcast_to(shares, (*span.shape[:-1], count))


@dataclass(frozen=True, slots=True)
class Samples:
    """Points along an axis of ``size`` elements: between ``low`` and ``high``, ``share`` of the way.

    ``inside`` is 0 where a point lay outside and was moved to the end of the axis, otherwise 1.
    """

    low: Array
    high: Array
    share: Array
    inside: Array
    size: int

    def matrix(self, dtype: np.dtype[np.generic]) -> Array:
        """What ``read`` does, as a matrix ``[points, size]``."""
        out = np.zeros((len(self.low), self.size), dtype, like=self.share)
        rows = np.arange(len(self.low), like=self.share)
        out[rows, self.low] = 1 - self.share
        out[rows, self.high] += self.share
        return out


def samples(points: Array, size: int) -> Samples:
    """``points`` along an axis of ``size`` elements; those outside are moved to its nearest end."""
    clipped = np.clip(points, 0.0, size - 1.0)
    low = np.minimum(np.floor(clipped), max(0, size - 2)).astype(np.intp)
    return Samples(low, np.minimum(low + 1, size - 1), clipped - low, (clipped == points).astype(np.float64), size)


def read(x: Array, at: Samples, axis: int) -> Array:
    """``x`` at the points along ``axis`` (negative), between two elements on the straight line that joins them."""
    share = at.share.astype(x.dtype).reshape(-1, *(1,) * (-1 - axis))
    out: Array = x.take(at.low, axis=axis)
    if not share.any():
        return out
    out *= 1 - share
    out += x.take(at.high, axis=axis) * share
    return out


def steepness(x: Array, at: Samples, axis: int) -> Array:
    """How what ``read`` answers grows with its points."""
    inside = at.inside.astype(x.dtype).reshape(-1, *(1,) * (-1 - axis))
    out: Array = (x.take(at.high, axis=axis) - x.take(at.low, axis=axis)) * inside
    return out


def bilinear(x: Array, rows: Samples, cols: Samples) -> Array:
    """``x`` ``[..., H, W]`` read at a grid of points: ``[..., rows, cols]``."""
    images = plain(x).reshape(-1, *x.shape[-2:])
    out = np.empty((len(images), len(rows.low), len(cols.low)), x.dtype, like=x)
    _bilinear(images, rows.low, rows.high, *_shares(rows, x), cols.low, cols.high, *_shares(cols, x), out)
    return out.reshape(*x.shape[:-2], *out.shape[1:])


def _shares(at: Samples, x: Array) -> tuple[Array, Array]:
    """How much of ``low`` and of ``high`` a point has."""
    share = at.share.astype(x.dtype)
    return 1 - share, share


def _bilinear_numpy(
    x: Array, top: Array, bottom: Array, above: Array, below: Array, left: Array, right: Array, before: Array, after: Array, out: Array
) -> None:
    rows = x[:, top] * above[:, None] + x[:, bottom] * below[:, None]
    out[...] = rows[:, :, left] * before + rows[:, :, right] * after


@jit(twin=_bilinear_numpy)
def _bilinear(
    x: Array, top: Array, bottom: Array, above: Array, below: Array, left: Array, right: Array, before: Array, after: Array, out: Array
) -> None:
    n, rows, cols = out.shape
    width = x.shape[2]
    row = np.empty(width, x.dtype)
    for e in range(n):
        for i in range(rows):
            a, b = max(0, top[i]), max(0, bottom[i])
            for k in range(width):
                row[k] = x[e, a, k] * above[i] + x[e, b, k] * below[i]
            for j in range(cols):
                out[e, i, j] = row[max(0, left[j])] * before[j] + row[max(0, right[j])] * after[j]


def bilinear_back(g: Array, rows: Samples, cols: Samples) -> Array:
    """The gradient of ``bilinear``: ``[..., H, W]``."""
    out: Array = rows.matrix(g.dtype).T @ (g @ cols.matrix(g.dtype))
    return out
