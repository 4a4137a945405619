"""Pooling over depth, height and width: the maximum or mean of windows, or of the whole volume."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, elementwise_work, from_the_end
from ..volume import Borders, Places, Triple, pad, place, unpad
from ..window import VALID
from .channels import check_rank
from .convolution3d import read_borders, read_triple

MAX, AVERAGE = "max", "average"
VOLUME = (-3, -2, -1)


def pooling3d(x: Array, *, kind: str, **sliding: Any) -> Array:
    """``x`` ``[..., D, H, W]`` -> ``[..., D', H', W']``; padding is no part of a maximum, and zero otherwise.

    ``kind``: ``"max"`` or ``"average"``. ``sliding``: ``kernel``, ``stride`` (depth, height, width), ``padding`` (``"custom"``,
    ``"valid"``, ``"same"``), ``borders`` (front, back, top, bottom, left, right), and ``exclude_padding`` (a mean is over the
    volume's own elements only).
    """
    shape, places, counts = _plan(x.shape, **sliding)
    out = _gathered(pad(x, places, -np.inf if kind == MAX else 0.0), places, kind)
    return (out if kind == MAX else out / counts.astype(x.dtype)).reshape(shape)


def _gathered(volume: Array, places: Places, kind: str) -> Array:
    """The maximum or sum of each window: one axis after another, since both may be taken so."""
    gather = np.maximum if kind == MAX else np.add
    for axis, (kernel, stride, count) in enumerate(zip(places.kernel, places.stride, places.count, strict=True)):
        lead = (slice(None),) * (volume.ndim - 3 + axis)
        parts = [volume[(*lead, slice(i, i + (count - 1) * stride + 1, stride))] for i in range(kernel)]
        gathered = parts[0].copy()
        for part in parts[1:]:
            gather(gathered, part, out=gathered)
        volume = gathered
    return volume


def pooling3d_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], kind: str, **sliding: Any) -> tuple[Array | None, ...]:
    """The gradient of ``pooling3d``: that of a maximum goes to the first element of the window that has it."""
    if not needs[0]:
        return (None,)
    _, places, counts = _plan(x.shape, **sliding)
    volume = pad(x, places, -np.inf) if kind == MAX else None
    left = np.array(g if kind == MAX else g / counts.astype(g.dtype))
    size = (x.shape[-3], x.shape[-2], x.shape[-1])
    out = np.zeros((*x.shape[:-3], *places.room(size)), x.dtype)
    for _, _, _, where in places.elements():
        if volume is None:
            out[(..., *where)] += left
            continue
        first = volume[(..., *where)] == y
        out[(..., *where)] += np.where(first, left, 0.0).astype(x.dtype, copy=False)
        left[first] = 0.0  # what has been given away
    return (np.ascontiguousarray(unpad(out, places, size)),)


@lru_cache(maxsize=256)
def _plan(
    x: Shape,
    *,
    kernel: Triple,
    stride: Triple = (1, 1, 1),
    padding: str = VALID,
    borders: Borders = (0, 0, 0, 0, 0, 0),
    exclude_padding: bool = False,
) -> tuple[Shape, Places, Array]:
    """The answer's shape, the windows, and how many elements a mean over each is divided by, ``[D', H', W']``."""
    check_rank(x, 3)
    size = (x[-3], x[-2], x[-1])
    places = place(size, kernel, stride, (1, 1, 1), padding, borders)
    counts = np.full(places.count, prod(kernel))
    if exclude_padding:
        covered = []
        for begin, step, count, span, length in zip(places.begin, stride, places.count, kernel, size, strict=True):
            starts = np.arange(count) * step - begin
            covered.append(np.minimum(starts + span, length) - np.maximum(starts, 0))
        counts = np.maximum(1, np.einsum("d,h,w->dhw", *(np.maximum(0, along) for along in covered)))
    return (*x[:-3], *places.count), places, counts


def _shape(x: Shape, *, kind: str, **sliding: Any) -> Shape:
    return _plan(x, **sliding)[0]


def _work(x: Shape, *, kind: str, **sliding: Any) -> int:
    shape, places, _ = _plan(x, **sliding)
    return prod(shape) * prod(places.kernel)


def global_pooling3d(x: Array, *, kind: str) -> Array:
    """``x`` ``[..., D, H, W]`` -> ``[..., 1, 1, 1]``: the maximum or the mean."""
    out: Array = x.max(axis=VOLUME, keepdims=True) if kind == MAX else x.mean(axis=VOLUME, keepdims=True)
    return out


def global_pooling3d_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], kind: str) -> tuple[Array | None, ...]:
    """The gradient of ``global_pooling3d``: that of a maximum goes to the first element that has it."""
    if not needs[0]:
        return (None,)
    if kind == AVERAGE:
        return (np.broadcast_to(g / prod(x.shape[-3:]), x.shape).astype(x.dtype),)
    rows = x.reshape(-1, prod(x.shape[-3:]))
    out = np.zeros_like(rows)
    out[np.arange(len(rows), like=rows), rows.argmax(axis=1)] = g.reshape(-1)
    return (out.reshape(x.shape),)


def _global_shape(x: Shape, *, kind: str) -> Shape:
    check_rank(x, 3)
    if not prod(x[-3:]):
        raise ValueError(f"expected a volume with elements, got shape {list(x)}")
    return (*x[:-3], 1, 1, 1)


def _kind(params: Any) -> str:
    kind = {0: MAX, 1: AVERAGE}.get(int(params.type))
    if kind is None:
        raise ValueError(f"type: expected one of 0 (max), 1 (average), got {params.type}")
    return kind


def _read(params: Any, decode: Decode) -> Reading:
    padding, borders = read_borders(params)
    attributes = {
        "kind": _kind(params),
        "kernel": read_triple(params, "kernel"),
        "stride": read_triple(params, "stride"),
        "padding": padding,
        "borders": borders,
        "exclude_padding": bool(params.countExcludePadding),
    }
    return Reading(attributes, {})


def _read_global(params: Any, decode: Decode) -> Reading:
    return Reading({"kind": _kind(params)}, {})


OPS = (
    Op("pooling3d", pooling3d, _shape, _read, pooling3d_backward, from_the_end, _work),
    Op(
        "globalPooling3d",
        global_pooling3d,
        _global_shape,
        _read_global,
        global_pooling3d_backward,
        from_the_end,
        elementwise_work,
        portable=True,
    ),
)
