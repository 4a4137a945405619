"""Pixels into channels and back: blocks of an image become channels, or channels become blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from .channels import check_rank

SPACE_TO_DEPTH, DEPTH_TO_SPACE, PIXEL_SHUFFLE = "space_to_depth", "depth_to_space", "pixel_shuffle"
MODES = (SPACE_TO_DEPTH, DEPTH_TO_SPACE, PIXEL_SHUFFLE)
"""In the order in which the format numbers them."""


def reorganize_data(x: Array, *, mode: str, block: int) -> Array:
    """``"space_to_depth"``: ``[..., C, H, W]`` -> ``[..., C * block^2, H / block, W / block]``, channels ordered (row in the block,
    column in the block, C). ``"depth_to_space"`` is its inverse; ``"pixel_shuffle"`` orders channels (C, row, column)."""
    _shape(x.shape, mode=mode, block=block)
    return _into_channels(x, block) if mode == SPACE_TO_DEPTH else _into_pixels(x, block, mode)


def reorganize_data_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], mode: str, block: int) -> tuple[Array | None, ...]:
    """The gradient of ``reorganize_data``: back to where it came from."""
    if not needs[0]:
        return (None,)
    return (_into_pixels(g, block, mode) if mode == SPACE_TO_DEPTH else _into_channels(g, block, mode),)


def _into_channels(x: Array, block: int, mode: str = DEPTH_TO_SPACE) -> Array:
    *lead, c, h, w = x.shape
    blocks = np.moveaxis(x.reshape(-1, c, h // block, block, w // block, block), (3, 5), (2, 3) if mode == PIXEL_SHUFFLE else (1, 2))
    return blocks.reshape(*lead, c * block * block, h // block, w // block)


def _into_pixels(x: Array, block: int, mode: str) -> Array:
    *lead, c, h, w = x.shape
    inner = c // block**2
    order = (inner, block, block) if mode == PIXEL_SHUFFLE else (block, block, inner)
    blocks = np.moveaxis(x.reshape(-1, *order, h, w), (2, 3) if mode == PIXEL_SHUFFLE else (1, 2), (3, 5))
    return blocks.reshape(*lead, inner, h * block, w * block)


def _shape(x: Shape, *, mode: str, block: int) -> Shape:
    check_rank(x, 3)
    *lead, c, h, w = x
    if mode == SPACE_TO_DEPTH:
        if h % block or w % block:
            raise ValueError(f"expected a height and width that {block} divides, got shape {list(x)}")
        return (*lead, c * block**2, h // block, w // block)
    if c % block**2:
        raise ValueError(f"expected channels that {block**2} divides, got shape {list(x)}")
    return (*lead, c // block**2, h * block, w * block)


def _read(params: Any, decode: Decode) -> Reading:
    if int(params.mode) not in range(len(MODES)) or int(params.blockSize) < 2:
        raise ValueError(f"expected a mode up to {len(MODES) - 1} and a blockSize above 1, got {params.mode} and {params.blockSize}")
    return Reading({"mode": MODES[int(params.mode)], "block": int(params.blockSize)}, {})


OPS = (Op("reorganizeData", reorganize_data, _shape, _read, reorganize_data_backward, from_the_end, portable=True),)
