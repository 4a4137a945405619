"""Loops of convolutions that predict: products, bias, what is added and limits in one go, tile by tile while it is in the cache.

A tile is a strip of rows of the answer: its windows become columns, a product puts the answer in its place, and the
rest is done there. Each loop has a NumPy twin. Images are float32, ``[C, H, W]``; ``limits`` are (low, high).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .blas import find_sgemm
from .jit import jit
from .op import Array
from .window import Windows, columns

TILE = 1 << 19
"""Elements of the columns of a tile, at most, unless one row of the answer has more: what fits into a core's cache."""

_sgemm: Any = None


def _prepare() -> None:
    global _sgemm
    _sgemm = find_sgemm()


def _finish_numpy(y: Array, bias: Array, other: Array, adds: bool, low: Any, high: Any) -> None:
    y += bias.reshape(-1, 1, 1)
    if adds:
        y += other
    np.copyto(y, low, where=y < low)
    np.copyto(y, high, where=y > high)


def _patch(x: Array, windows: tuple[int, ...], rows: tuple[int, int], cols: int) -> Array:
    """The pixels that windows of some rows reach, zeros where they reach beyond the image."""
    kh, kw, sh, sw, dh, dw, top, left = windows
    begin, end = rows[0] * sh - top, (rows[1] - 1) * sh + (kh - 1) * dh + 1 - top
    width = (cols - 1) * sw + (kw - 1) * dw + 1
    patch = np.zeros((len(x), end - begin, width), x.dtype)
    up, down, right = max(0, begin), min(x.shape[1], end), min(x.shape[2], width - left)
    if up < down:
        patch[:, up - begin : down - begin, left : left + right] = x[:, up:down, :right]
    return patch


def _multiply_numpy(
    x: Array, w: Array, bias: Array, other: Array, adds: bool, limits: Any, windows: Any, channels: Any, rows: Any, out: Array
) -> None:
    kh, kw, sh, sw, dh, dw, _, _ = windows
    cols = out.shape[2]
    flat = Windows((kh, kw), (sh, sw), (dh, dw), (0, 0), (rows[1] - rows[0], cols))
    matrix = columns(_patch(x, windows, rows, cols)[None], flat)[0]
    here = slice(*channels), slice(*rows)
    y = (w[here[0]] @ matrix).reshape(-1, rows[1] - rows[0], cols)
    _finish_numpy(y, bias[here[0]], other[here] if adds else other, adds, *limits)
    out[here] = y


@jit(twin=_multiply_numpy, before=_prepare)
def multiply(
    x: Array, w: Array, bias: Array, other: Array, adds: bool, limits: Any, windows: Any, channels: Any, rows: Any, out: Array
) -> None:
    """``rows`` and ``channels`` (from, up to) of a convolution of ``x`` ``[C, H, W]``.

    ``w`` is ``[O, C * kh * kw]``; ``out``, and ``other`` where it ``adds``, ``[O, H', W']``.
    """
    kh, kw, sh, sw, dh, dw, top, left = windows
    low, high = limits
    height, width = x.shape[1], x.shape[2]
    cols, area = out.shape[2], out.shape[1] * out.shape[2]
    k, flat = w.shape[1], x.reshape(-1)
    pointwise = kh == 1 and kw == 1 and sh == 1 and sw == 1 and top == 0 and left == 0 and out.shape[1] == height and cols == width
    step = rows[1] - rows[0] if pointwise else min(rows[1] - rows[0], max(1, TILE // (k * cols)))
    buffer = np.empty(1 if pointwise else k * step * cols, np.float32)
    letter, numbers, factors = np.full(1, 78, np.uint8), np.empty(6, np.int64), np.empty(2, np.float32)  # 78: "N", not transposed
    factors[0], factors[1] = 1, 0
    n_, i_, f_ = letter.ctypes.data, numbers.ctypes.data, factors.ctypes.data
    for first in range(rows[0], rows[1], step):
        last = min(first + step, rows[1])
        n = (last - first) * cols
        if pointwise:
            b, pitch = x.ctypes.data + 4 * first * cols, area
        else:
            b, pitch = buffer.ctypes.data, n
            place = 0
            for c in range(x.shape[0]):
                for i in range(kh):
                    for j in range(kw):
                        off = j * dw - left
                        begin = min(cols, max(0, (sw - 1 - off) // sw))
                        end = max(begin, min(cols, (width - 1 - off + sw) // sw))
                        for r in range(first, last):
                            row = r * sh + i * dh - top
                            if row < 0 or row >= height:
                                for q in range(cols):
                                    buffer[max(0, place) + q] = 0
                            else:
                                source = max(0, (c * height + row) * width + begin * sw + off)
                                for q in range(begin):
                                    buffer[max(0, place) + q] = 0
                                if sw == 1:
                                    for q in range(end - begin):
                                        buffer[max(0, place + begin) + q] = flat[source + q]
                                elif sw == 2:
                                    for q in range(end - begin):
                                        buffer[max(0, place + begin) + q] = flat[source + 2 * q]
                                else:
                                    for q in range(end - begin):
                                        buffer[max(0, place + begin) + q] = flat[source + q * max(1, sw)]
                                for q in range(end, cols):
                                    buffer[max(0, place) + q] = 0
                            place += cols
        numbers[0], numbers[1], numbers[2] = n, channels[1] - channels[0], k
        numbers[3], numbers[4], numbers[5] = pitch, k, area
        # Fortran's order: the transposed product of the transposed matrices, which are ours as they lie.
        _sgemm(
            n_,
            n_,
            i_,
            i_ + 8,
            i_ + 16,
            f_,
            b,
            i_ + 24,
            w.ctypes.data + 4 * channels[0] * k,
            i_ + 32,
            f_ + 4,
            out.ctypes.data + 4 * (channels[0] * area + first * cols),
            i_ + 40,
        )
        for o in range(channels[0], channels[1]):
            shift = bias[o]
            line = out[o, first:last].reshape(-1)
            if adds:
                more = other[o, first:last].reshape(-1)
                for q in range(n):
                    v = (line[q] + shift) + more[q]
                    v = low if v < low else v
                    line[q] = high if v > high else v
            else:
                for q in range(n):
                    v = line[q] + shift
                    v = low if v < low else v
                    line[q] = high if v > high else v


def _depthwise_numpy(
    x: Array, w: Array, bias: Array, other: Array, adds: bool, limits: Any, windows: Any, channels: Any, rows: Any, out: Array
) -> None:
    kh, kw, sh, sw, dh, dw, _, _ = windows
    here = slice(*channels), slice(*rows)
    cols, many = out.shape[2], len(w) // len(x)
    patch = np.repeat(_patch(x, windows, rows, cols), many, axis=0)[here[0]]
    y = np.zeros((len(patch), rows[1] - rows[0], cols), x.dtype)
    for i in range(kh):
        for j in range(kw):
            taps = w[here[0], i * kw + j].reshape(-1, 1, 1)
            y += taps * patch[:, i * dh :: sh, j * dw :: sw][:, : y.shape[1], :cols]
    _finish_numpy(y, bias[here[0]], other[here] if adds else other, adds, *limits)
    out[here] = y


@jit(twin=_depthwise_numpy)
def depthwise(
    x: Array, w: Array, bias: Array, other: Array, adds: bool, limits: Any, windows: Any, channels: Any, rows: Any, out: Array
) -> None:
    """As ``multiply``, where each channel is a group: ``w`` ``[O, kh * kw]``, O a multiple of C."""
    kh, kw, sh, sw, dh, dw, top, left = windows
    low, high = limits
    height, width = x.shape[1], x.shape[2]
    cols, many = out.shape[2], w.shape[0] // x.shape[0]
    begin, end = rows[0] * sh - top, (rows[1] - 1) * sh + (kh - 1) * dh + 1 - top
    room = (cols - 1) * sw + (kw - 1) * dw + 1
    up, down, right = max(0, begin), min(height, end), min(width, room - left)
    patch = np.zeros((end - begin, room), x.dtype)
    sums = np.empty(cols, x.dtype)
    for o in range(channels[0], channels[1]):
        if o == channels[0] or o % many == 0:
            for r in range(up, down):
                source, inside = x[o // many, r], patch[r - begin, max(0, left) :]
                for q in range(right):
                    inside[q] = source[q]
        for r in range(rows[1] - rows[0]):
            if kh == 3 and kw == 3 and dh == 1 and dw == 1 and sw <= 2:
                a, b, c = patch[r * sh], patch[r * sh + 1], patch[r * sh + 2]
                a0, a1, a2, b0, b1, b2, c0, c1, c2 = w[o, 0], w[o, 1], w[o, 2], w[o, 3], w[o, 4], w[o, 5], w[o, 6], w[o, 7], w[o, 8]
                if sw == 1:
                    for q in range(cols):
                        v = a0 * a[q] + a1 * a[q + 1] + a2 * a[q + 2]
                        v = v + b0 * b[q] + b1 * b[q + 1] + b2 * b[q + 2]
                        sums[q] = v + c0 * c[q] + c1 * c[q + 1] + c2 * c[q + 2]
                else:
                    for q in range(cols):
                        v = a0 * a[2 * q] + a1 * a[2 * q + 1] + a2 * a[2 * q + 2]
                        v = v + b0 * b[2 * q] + b1 * b[2 * q + 1] + b2 * b[2 * q + 2]
                        sums[q] = v + c0 * c[2 * q] + c1 * c[2 * q + 1] + c2 * c[2 * q + 2]
            else:
                sums[:] = 0
                for i in range(kh):
                    for j in range(kw):
                        tap, source = w[o, i * kw + j], patch[r * sh + i * dh, max(0, j * dw) :]
                        for q in range(cols):
                            sums[q] += tap * source[q * max(1, sw)]
            shift, line = bias[o], out[o, rows[0] + r]
            if adds:
                more = other[o, rows[0] + r]
                for q in range(cols):
                    v = (sums[q] + shift) + more[q]
                    v = low if v < low else v
                    line[q] = high if v > high else v
            else:
                for q in range(cols):
                    v = sums[q] + shift
                    v = low if v < low else v
                    line[q] = high if v > high else v
