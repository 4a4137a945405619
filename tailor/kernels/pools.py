"""Pooling: sums and maxima over windows, and their ways back. Windows are clipped to the image; dilation is not used.

A window's pixels are first put together down its columns, then along its row. Each loop has a NumPy twin that does it in
the same order, so that both give the same bits. Images are ``[N, H, W]``: channels and examples are all the same here.
As in ``window``, ``max(0, ...)`` in a loop tells the compiler that an index does not wrap around.
"""

from __future__ import annotations

import numpy as np

from .jit import jit, plain
from .op import Array
from .window import Pair, Windows, padded, unpadded


def max_pool(x: Array, windows: Windows) -> Array:
    """The greatest pixel of each window, NaN where there is one, -inf where there are no pixels: ``[N, rows, cols]``."""
    out = np.empty((len(x), *windows.count), x.dtype, like=x)
    if _tiles(windows, x.shape[1:]):
        _max_of_four(plain(x), out)
    else:
        _max_pool(padded(x, windows, -np.inf), *windows.kernel, *windows.stride, out)
    return out


def max_pool_back(g: Array, y: Array, x: Array, windows: Windows) -> Array:
    """The gradient of ``max_pool``: each window's goes to the first of its greatest pixels, row by row, as in PyTorch."""
    h, w = x.shape[1:]
    if _tiles(windows, (h, w)):
        out = (np.empty if h % 2 == w % 2 == 0 else np.zeros)(x.shape, x.dtype, like=x)  # an odd pixel is in no tile
        _max_of_four_back(plain(g), plain(y), plain(x), out)
        return out
    images = padded(x, windows, -np.inf)
    out = np.zeros(images.shape, x.dtype, like=x)
    _max_pool_back(plain(g), plain(y), images, *windows.kernel, *windows.stride, out)
    return unpadded(out, windows, (h, w))


def sum_pool(x: Array, windows: Windows) -> Array:
    """The sum of each window: ``[N, rows, cols]``."""
    out = np.empty((len(x), *windows.count), x.dtype, like=x)
    _sum_pool(padded(x, windows, 0.0), *windows.kernel, *windows.stride, out)
    return out


def sum_pool_back(g: Array, windows: Windows, size: Pair) -> Array:
    """The gradient of ``sum_pool``: each pixel gets that of every window it is in: ``[N, H, W]``."""
    out = np.zeros((len(g), *windows.room(size)), g.dtype, like=g)
    _sum_pool_back(plain(g), *windows.kernel, *windows.stride, out)
    return unpadded(out, windows, size)


def _tiles(windows: Windows, size: Pair) -> bool:
    """Whether the windows are 2 x 2 tiles: nearly every network has these, and loops of their own are four times faster."""
    tiles = windows.kernel == windows.stride == (2, 2) and windows.begin == (0, 0)
    return tiles and windows.count == (size[0] // 2, size[1] // 2)


def _max_of_four_numpy(x: Array, out: Array) -> None:
    rows, cols = out.shape[1] * 2, out.shape[2] * 2
    np.maximum(x[:, 0:rows:2, 0:cols:2], x[:, 0:rows:2, 1:cols:2], out=out)
    np.maximum(out, x[:, 1:rows:2, 0:cols:2], out=out)
    np.maximum(out, x[:, 1:rows:2, 1:cols:2], out=out)


@jit(twin=_max_of_four_numpy)
def _max_of_four(x: Array, out: Array) -> None:
    for e in range(out.shape[0]):
        for r in range(out.shape[1]):
            for q in range(out.shape[2]):
                a, b = x[e, 2 * r, 2 * q], x[e, 2 * r, 2 * q + 1]
                c, d = x[e, 2 * r + 1, 2 * q], x[e, 2 * r + 1, 2 * q + 1]
                most = a
                if b > most or b != b:
                    most = b
                if c > most or c != c:
                    most = c
                if d > most or d != d:
                    most = d
                out[e, r, q] = most


def _max_of_four_back_numpy(g: Array, y: Array, x: Array, out: Array) -> None:
    out[...] = 0
    _max_pool_back_numpy(g, y, x, 2, 2, 2, 2, out)


@jit(twin=_max_of_four_back_numpy)
def _max_of_four_back(g: Array, y: Array, x: Array, out: Array) -> None:
    # Products with 0 and 1 instead of branches: which pixel is the greatest cannot be predicted. Gradients are finite.
    one, zero = g.dtype.type(1), g.dtype.type(0)
    for e in range(y.shape[0]):
        for r in range(y.shape[1]):
            for q in range(y.shape[2]):
                most, left = y[e, r, q], g[e, r, q]
                a = left * (one if x[e, 2 * r, 2 * q] == most else zero)
                left -= a
                b = left * (one if x[e, 2 * r, 2 * q + 1] == most else zero)
                left -= b
                c = left * (one if x[e, 2 * r + 1, 2 * q] == most else zero)
                left -= c
                out[e, 2 * r, 2 * q], out[e, 2 * r, 2 * q + 1] = a, b
                out[e, 2 * r + 1, 2 * q], out[e, 2 * r + 1, 2 * q + 1] = c, left * (one if x[e, 2 * r + 1, 2 * q + 1] == most else zero)


def _max_pool_numpy(x: Array, kh: int, kw: int, sh: int, sw: int, out: Array) -> None:
    rows, cols = out.shape[1:]
    tall = x[:, : (rows - 1) * sh + 1 : sh]
    for i in range(1, kh):
        tall = np.maximum(tall, x[:, i : i + (rows - 1) * sh + 1 : sh])
    out[...] = tall[:, :, : (cols - 1) * sw + 1 : sw]
    for j in range(1, kw):
        np.maximum(out, tall[:, :, j : j + (cols - 1) * sw + 1 : sw], out=out)


@jit(twin=_max_pool_numpy)
def _max_pool(x: Array, kh: int, kw: int, sh: int, sw: int, out: Array) -> None:
    width = x.shape[2]
    n, rows, cols = out.shape
    tall = np.empty(width, x.dtype)  # a row of windows, put together downwards
    for e in range(n):
        for r in range(rows):
            for c in range(width):
                tall[c] = x[e, max(0, r * sh), c]
            for i in range(1, kh):
                for c in range(width):
                    v, most = x[e, max(0, r * sh) + i, c], tall[c]
                    tall[c] = v if (v > most or v != v) else most
            for q in range(cols):
                out[e, r, q] = tall[q * max(1, sw)]
            for j in range(1, kw):
                if sw == 1:  # written out, because it becomes vector instructions
                    for q in range(cols):
                        v, most = tall[q + j], out[e, r, q]
                        out[e, r, q] = v if (v > most or v != v) else most
                elif sw == 2:  # and so does this: a distance that is known
                    for q in range(cols):
                        v, most = tall[2 * q + j], out[e, r, q]
                        out[e, r, q] = v if (v > most or v != v) else most
                else:
                    for q in range(cols):
                        v, most = tall[q * max(1, sw) + j], out[e, r, q]
                        out[e, r, q] = v if (v > most or v != v) else most


def _max_pool_back_numpy(g: Array, y: Array, x: Array, kh: int, kw: int, sh: int, sw: int, out: Array) -> None:
    rows, cols = y.shape[1:]
    rest = g.copy()
    parts = []
    for i in range(kh):
        for j in range(kw):
            at = (slice(None), slice(i, i + (rows - 1) * sh + 1, sh), slice(j, j + (cols - 1) * sw + 1, sw))
            part = np.where(x[at] == y, rest, 0)
            rest -= part
            parts.append((at, part))
    for i in reversed(range(kh)):  # a pixel hears first from the windows above, of which it is a lower pixel
        for at, part in parts[i * kw : (i + 1) * kw]:
            out[at] += part


@jit(twin=_max_pool_back_numpy)
def _max_pool_back(g: Array, y: Array, x: Array, kh: int, kw: int, sh: int, sw: int, out: Array) -> None:
    n, rows, cols = y.shape
    one, zero = g.dtype.type(1), g.dtype.type(0)
    rest = np.empty(cols, g.dtype)
    for e in range(n):
        for r in range(rows):
            for q in range(cols):
                rest[q] = g[e, r, q]
            for i in range(kh):
                down = max(0, r * sh + i)
                for j in range(kw):
                    if sw == 1:
                        for q in range(cols):
                            part = rest[q] * (one if x[e, down, q + j] == y[e, r, q] else zero)
                            rest[q] -= part
                            out[e, down, q + j] += part
                    else:
                        for q in range(cols):
                            part = rest[q] * (one if x[e, down, q * max(1, sw) + j] == y[e, r, q] else zero)
                            rest[q] -= part
                            out[e, down, q * max(1, sw) + j] += part


def _sum_pool_numpy(x: Array, kh: int, kw: int, sh: int, sw: int, out: Array) -> None:
    rows, cols = out.shape[1:]
    tall = x[:, : (rows - 1) * sh + 1 : sh]
    for i in range(1, kh):
        tall = tall + x[:, i : i + (rows - 1) * sh + 1 : sh]
    out[...] = tall[:, :, : (cols - 1) * sw + 1 : sw]
    for j in range(1, kw):
        out += tall[:, :, j : j + (cols - 1) * sw + 1 : sw]


@jit(twin=_sum_pool_numpy)
def _sum_pool(x: Array, kh: int, kw: int, sh: int, sw: int, out: Array) -> None:
    width = x.shape[2]
    n, rows, cols = out.shape
    tall = np.empty(width, x.dtype)
    for e in range(n):
        for r in range(rows):
            for c in range(width):
                tall[c] = x[e, max(0, r * sh), c]
            for i in range(1, kh):
                for c in range(width):
                    tall[c] += x[e, max(0, r * sh) + i, c]
            for q in range(cols):
                out[e, r, q] = tall[q * max(1, sw)]
            for j in range(1, kw):
                for q in range(cols):
                    out[e, r, q] += tall[q * max(1, sw) + j]


def _sum_pool_back_numpy(g: Array, kh: int, kw: int, sh: int, sw: int, out: Array) -> None:
    rows, cols = g.shape[1:]
    wide = np.zeros((len(g), rows, out.shape[2]), g.dtype, like=g)
    for j in range(kw):
        wide[:, :, j : j + (cols - 1) * sw + 1 : sw] += g
    for i in reversed(range(kh)):
        out[:, i : i + (rows - 1) * sh + 1 : sh] += wide


@jit(twin=_sum_pool_back_numpy)
def _sum_pool_back(g: Array, kh: int, kw: int, sh: int, sw: int, out: Array) -> None:
    width = out.shape[2]
    n, rows, cols = g.shape
    wide = np.empty(width, g.dtype)
    for e in range(n):
        for r in range(rows):
            wide[:] = 0
            for j in range(kw):
                for q in range(cols):
                    wide[q * max(1, sw) + j] += g[e, r, q]
            for i in range(kh):
                for c in range(width):
                    out[e, max(0, r * sh) + i, c] += wide[c]
