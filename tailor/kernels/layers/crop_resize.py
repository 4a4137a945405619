"""Patches of an image, given by boxes, each brought to one size: what RoI align is made of."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..bounds import check_elements
from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from ..sampling import Samples, bilinear, bilinear_back, offsets, read, samples, steepness
from ..window import Pair
from .resample import read_method, read_size
from .whole import whole

CORNERS, CORNERS_WIDTH_FIRST, CENTER, CENTER_WIDTH_FIRST = "corners", "corners_width_first", "center", "center_width_first"
BOX_MODES = (CORNERS, CORNERS_WIDTH_FIRST, CENTER, CENTER_WIDTH_FIRST)
"""In the order in which the format numbers them."""


class Patch(NamedTuple):
    """One box: the place of its example and of itself, the images it is cut from, its grid, and how the grid moves with the box.

    ``down``, ``across``  ``[2, points]``: how the points grow with the beginning and the end of the box.
    """

    example: int
    number: int
    images: slice
    rows: Samples
    cols: Samples
    down: Array
    across: Array


def crop_resize(x: Array, boxes: Array, *, size: Pair, method: str, mode: str, normalized: bool, scale: float) -> Array:
    """``x`` ``[1, B, C, H, W]``, ``boxes`` ``[N, 1, 4, 1, 1]`` -> ``[N, B, C, *size]``; with five numbers a box, the first is the
    index of the one image that it is cut from: ``[N, 1, C, *size]``.

    ``method`` (one of ``sampling.METHODS``) says where the points lie between the box's first and last; a box may be the
    wrong way round, and is then turned. Points outside of the image are moved to its border. ``mode``: what the four
    numbers are. ``normalized``: they count from 0 to 1 over the image. ``scale`` multiplies them.

    Raises ``ValueError`` for a coordinate that is not finite, and for an index of an image that there is not.
    """
    shape = _shape(x.shape, boxes.shape, size=size)
    out = np.empty(shape, x.dtype)
    images, patches = x.reshape(-1, *x.shape[-4:]), out.reshape(-1, *shape[-5:])
    for patch in _patches(x.shape, boxes, size, method, mode, normalized, scale):
        patches[patch.example, patch.number] = bilinear(images[patch.example, patch.images], patch.rows, patch.cols)
    return out


def crop_resize_backward(
    g: Array,
    y: Array,
    x: Array,
    boxes: Array,
    *,
    needs: tuple[bool, ...],
    size: Pair,
    method: str,
    mode: str,
    normalized: bool,
    scale: float,
) -> tuple[Array | None, ...]:
    """The gradients of ``crop_resize``: of the image, and of the boxes (0 for an index, and for points moved to the border)."""
    dx = np.zeros((prod(x.shape[:-4]), *x.shape[-4:]), x.dtype) if needs[0] else None
    dboxes = np.zeros((prod(boxes.shape[:-4]), boxes.shape[-3]), boxes.dtype) if needs[1] else None
    images, arriving = x.reshape(-1, *x.shape[-4:]), g.reshape(-1, *g.shape[-5:])
    matrix = _corner_matrix(x.shape, mode, normalized, scale)
    for patch in _patches(x.shape, boxes, size, method, mode, normalized, scale):
        here = arriving[patch.example, patch.number]
        if dx is not None:
            dx[patch.example, patch.images] += bilinear_back(here, patch.rows, patch.cols)
        if dboxes is not None:
            image = images[patch.example, patch.images]
            rows = (here * read(steepness(image, patch.rows, -2), patch.cols, -1)).sum(axis=(0, 1, 3))
            cols = (here * steepness(read(image, patch.rows, -2), patch.cols, -1)).sum(axis=(0, 1, 2))
            corners = np.concatenate([patch.down @ rows, patch.across @ cols])
            dboxes[patch.example * boxes.shape[-5] + patch.number, -4:] = corners @ matrix
    return None if dx is None else dx.reshape(x.shape), None if dboxes is None else dboxes.reshape(boxes.shape)


def _corner_matrix(x: Shape, mode: str, normalized: bool, scale: float) -> Array:
    """What makes top, bottom, left and right, in pixels, of a box's four numbers."""
    made = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    if mode in (CENTER, CENTER_WIDTH_FIRST):
        made = np.array([[1.0, 0, -0.5, 0], [1, 0, 0.5, 0], [0, 1, 0, -0.5], [0, 1, 0, 0.5]])
    if mode in (CORNERS_WIDTH_FIRST, CENTER_WIDTH_FIRST):
        made = made[:, [1, 0, 3, 2]]
    height, width = (x[-2] - 1.0, x[-1] - 1.0) if normalized else (1.0, 1.0)
    scaled: Array = made * scale * np.array([[height], [height], [width], [width]])
    return scaled


def _patches(x: Shape, boxes: Array, size: Pair, method: str, mode: str, normalized: bool, scale: float) -> Iterator[Patch]:
    count, numbers = boxes.shape[-5], boxes.shape[-3]
    rows = boxes.reshape(-1, numbers).astype(np.float64)
    if not np.isfinite(rows).all():
        raise ValueError(f"expected boxes of finite numbers, got {float(rows[~np.isfinite(rows)][0])}")
    corners = rows[:, -4:] @ _corner_matrix(x, mode, normalized, scale).T
    which = whole(rows[:, 0], 0, x[-4] - 1, "indices of images") if numbers == 5 else None
    down, down_by = _points(corners[:, 0], corners[:, 1], size[0], method)
    across, across_by = _points(corners[:, 2], corners[:, 3], size[1], method)
    for at in range(len(rows)):
        images = slice(None) if which is None else slice(int(which[at]), int(which[at]) + 1)
        grid = samples(down[at], x[-2]), samples(across[at], x[-1])
        yield Patch(at // count, at % count, images, grid[0], grid[1], down_by[:, at], across_by[:, at])


def _points(begin: Array, end: Array, count: int, method: str) -> tuple[Array, Array]:
    """The points between ``begin`` and ``end``, ``[N, count]``, and how they grow with either, ``[2, N, count]``."""
    found, growth = offsets(method, np.abs(end - begin), count)
    return begin[:, None] + np.where(end < begin, -1.0, 1.0)[:, None] * found, np.stack([1 - growth, growth])


def _shape(x: Shape, boxes: Shape, *, size: Pair, **attributes: Any) -> Shape:
    if len(x) < 5 or len(boxes) != len(x) or x[-5] != 1 or boxes[:-5] != x[:-5]:
        raise ValueError(f"expected an image [1, B, C, H, W] and boxes [N, 1, 4 or 5, 1, 1], got shapes {list(x)} and {list(boxes)}")
    if boxes[-4] != 1 or boxes[-3] not in (4, 5) or boxes[-2:] != (1, 1):
        raise ValueError(f"expected boxes [N, 1, 4 or 5, 1, 1], got shape {list(boxes)}")
    if not prod(x[-2:]):
        raise ValueError(f"expected an image with pixels, got shape {list(x)}")
    shape = (*boxes[:-4], x[-4] if boxes[-3] == 4 else 1, x[-3], *size)
    check_elements(shape)
    return shape


def _work(x: Shape, boxes: Shape, **attributes: Any) -> int:
    return 4 * max(prod(x), prod(_shape(x, boxes, **attributes)))


def _read(params: Any, decode: Decode) -> Reading:
    if int(params.boxIndicesMode.boxMode) not in range(len(BOX_MODES)):
        raise ValueError(f"boxMode: expected 0 to {len(BOX_MODES) - 1}, got {params.boxIndicesMode.boxMode}")
    attributes = {
        "size": read_size(params.targetSize),
        "method": read_method(params.mode),
        "mode": BOX_MODES[int(params.boxIndicesMode.boxMode)],
        "normalized": bool(params.normalizedCoordinates),
        "scale": float(params.spatialScale) or 1.0,  # 0 is what a message has that does not set it
    }
    return Reading(attributes, {})


OPS = (Op("cropResize", crop_resize, _shape, _read, crop_resize_backward, from_the_end, _work),)
