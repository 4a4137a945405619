"""Windows that slide over the last two axes of an array: where they lie, and moving data into columns and back.

Columns turn a convolution into a matrix product (Chellapilla et al. 2006). Each loop has a NumPy twin that adds in the
same order, so that both give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np

from .bounds import check_elements
from .jit import jit, plain
from .op import Array

Pair: TypeAlias = tuple[int, int]
Amounts: TypeAlias = tuple[int, int, int, int]
"""Padding at the top, bottom, left and right."""

VALID = "valid"
SAME = "same"
SAME_TOP_LEFT = "same_top_left"
LAST_PIXEL = "include_last_pixel"


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows over height and width.

    ``kernel``, ``stride``, ``dilation``  their size, distance, and the distance of the pixels in them.
    ``begin``                             where the first lies: padding above and to the left.
    ``count``                             how many there are.
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    begin: Pair
    count: Pair

    def room(self, size: Pair) -> Pair:
        """Height and width of an image of ``size`` with the padding that the windows reach; ``size`` where they reach none."""
        reach = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(self.count, self.stride, self.kernel, self.dilation, strict=True)]
        return max(reach[0], self.begin[0] + size[0]), max(reach[1], self.begin[1] + size[1])

    def covered(self, axis: int, low: int, high: int, like: Array | None = None) -> Array:
        """How many pixels of each window along ``axis`` lie from ``low`` up to, not including, ``high``; an array where ``like`` is."""
        starts = np.arange(self.count[axis], like=like) * self.stride[axis] - self.begin[axis]
        covered: Array = np.maximum(np.minimum(starts + self.kernel[axis], high) - np.maximum(starts, low), 0)
        return covered

    def pointwise(self, size: Pair) -> bool:
        """Whether the windows are the pixels themselves."""
        return self.kernel == self.stride == (1, 1) and self.begin == (0, 0) and self.count == size


def slide(size: Pair, kernel: Pair, stride: Pair, dilation: Pair, padding: str, amounts: Amounts) -> Windows:
    """The windows of a convolution or pooling over ``size`` pixels (height, width).

    Raises ``ValueError`` where no window fits, or the image with its padding is beyond bounds. Source: the comments of
    ``ValidPadding``, ``SamePadding`` and ``PoolingLayerParams`` in the format's ``NeuralNetwork.proto``.
    """
    vertical = _along("height", size[0], kernel[0], stride[0], dilation[0], padding, amounts[:2], any(amounts))
    horizontal = _along("width", size[1], kernel[1], stride[1], dilation[1], padding, amounts[2:], any(amounts))
    windows = Windows(kernel, stride, dilation, (vertical[0], horizontal[0]), (vertical[1], horizontal[1]))
    check_elements(windows.room(size))
    return windows


def _along(name: str, size: int, kernel: int, stride: int, dilation: int, padding: str, amounts: Pair, padded: bool) -> Pair:
    """Padding at the beginning of one axis, and the number of windows."""
    span = (kernel - 1) * dilation + 1
    if padding in (SAME, SAME_TOP_LEFT):
        count = -(-size // stride)
        return split(max(0, (count - 1) * stride + span - size), padding), count
    begin, end = amounts
    if padding == LAST_PIXEL:
        count = -(-(size + 2 * begin - span) // stride) + 1
        if padded and (count - 1) * stride >= size + begin:  # the last window would lie in the padding
            count -= 1
    else:
        count = (size + begin + end - span) // stride + 1
    if count < 1:
        raise ValueError(f"expected a {name} of at least {span} pixels for the kernel, got {size} and {begin + end} of padding")
    return begin, count


def split(total: int, padding: str) -> int:
    """The part of ``total`` pixels of padding that comes first."""
    return total - total // 2 if padding == SAME_TOP_LEFT else total // 2


def padded(x: Array, windows: Windows, filling: float) -> Array:
    """``x`` ``[..., H, W]`` with the padding that the windows reach; without any, ``x`` itself (or ``plain(x)``)."""
    size = (x.shape[-2], x.shape[-1])
    room = windows.room(size)
    if room == size:
        return plain(x)
    out = np.full_like(x, filling, order="C", shape=(*x.shape[:-2], *room))
    unpadded(out, windows, size)[...] = x
    return out


def unpadded(x: Array, windows: Windows, size: Pair) -> Array:
    """The part of what ``padded`` makes that it was made from: a view."""
    (top, left), (height, width) = windows.begin, size
    return x[..., top : top + height, left : left + width]


def columns(x: Array, windows: Windows, buffer: Array | None = None) -> Array:
    """Every window's pixels as columns: ``[N, C, H, W]`` -> ``[N, C * kh * kw, windows]``; padding is zero.

    They are put into ``buffer`` where there is one, unless the windows are the pixels themselves: then it is a view.
    """
    n, c, h, w = x.shape
    if windows.pointwise((h, w)):
        return x.reshape(n, c, h * w)
    out = np.empty((n, c * prod(windows.kernel), prod(windows.count)), x.dtype, like=x) if buffer is None else buffer
    _im2col(padded(x, windows, 0.0), *windows.stride, *windows.dilation, out.reshape(n, c, *windows.kernel, *windows.count))
    return out


def add_columns(cols: Array, windows: Windows, out: Array) -> None:
    """The adjoint of ``columns``: adds ``[N, C * kh * kw, windows]`` to the pixels they come from, ``out`` ``[N, C, H, W]``."""
    n, c, h, w = out.shape
    whole = padded(out, windows, 0.0)
    _col2im(plain(cols).reshape(n, c, *windows.kernel, *windows.count), *windows.stride, *windows.dilation, whole)
    if whole is not out:
        out[...] = unpadded(whole, windows, (h, w))


def _im2col_numpy(x: Array, sh: int, sw: int, dh: int, dw: int, out: Array) -> None:
    _, _, kh, kw, rows, cols = out.shape
    for i in range(kh):
        for j in range(kw):
            down, across = slice(i * dh, i * dh + (rows - 1) * sh + 1, sh), slice(j * dw, j * dw + (cols - 1) * sw + 1, sw)
            out[:, :, i, j] = x[:, :, down, across]


@jit(twin=_im2col_numpy)
def _im2col(x: Array, sh: int, sw: int, dh: int, dw: int, out: Array) -> None:
    # max(0, ...) tells the compiler that indices do not wrap around: only then the inner loops become vector instructions.
    n, c, kh, kw, rows, cols = out.shape
    for e in range(n):
        for k in range(c):
            for i in range(kh):
                for j in range(kw):
                    across = max(0, j * dw)
                    for r in range(rows):
                        down = max(0, r * sh + i * dh)
                        if sw == 1:
                            for q in range(cols):
                                out[e, k, i, j, r, q] = x[e, k, down, across + q]
                        else:
                            for q in range(cols):
                                out[e, k, i, j, r, q] = x[e, k, down, across + q * max(1, sw)]


def _col2im_numpy(x: Array, sh: int, sw: int, dh: int, dw: int, out: Array) -> None:
    _, _, kh, kw, rows, cols = x.shape
    for i in range(kh):
        for j in range(kw):
            down, across = slice(i * dh, i * dh + (rows - 1) * sh + 1, sh), slice(j * dw, j * dw + (cols - 1) * sw + 1, sw)
            out[:, :, down, across] += x[:, :, i, j]


@jit(twin=_col2im_numpy)
def _col2im(x: Array, sh: int, sw: int, dh: int, dw: int, out: Array) -> None:
    n, c, kh, kw, rows, cols = x.shape
    for e in range(n):
        for k in range(c):
            for i in range(kh):
                for j in range(kw):
                    across = max(0, j * dw)
                    for r in range(rows):
                        down = max(0, r * sh + i * dh)
                        if sw == 1:
                            for q in range(cols):
                                out[e, k, down, across + q] += x[e, k, i, j, r, q]
                        else:
                            for q in range(cols):
                                out[e, k, down, across + q * max(1, sw)] += x[e, k, i, j, r, q]
