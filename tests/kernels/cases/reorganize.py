"""PyTorch's pixel shuffle; the format's own examples; blocks written out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

MODES = ("space_to_depth", "depth_to_space", "pixel_shuffle")
EXAMPLE = np.arange(1.0, 17.0).reshape(8, 1, 2)
IN_BLOCKS = np.array([[[1.0, 5, 2, 6], [9, 13, 10, 14]], [[3, 7, 4, 8], [11, 15, 12, 16]]])
SHUFFLED = np.array([[[1.0, 3, 2, 4], [5, 7, 6, 8]], [[9, 11, 10, 12], [13, 15, 14, 16]]])


def case(note: str, mode: str, x: Array, reference: Any, block: int = 2) -> Case:
    return Case(
        "reorganizeData", (x,), reference, Message(mode=MODES.index(mode), blockSize=block), {"mode": mode, "block": block}, note=note
    )


CASES = (
    case("literal", "depth_to_space", EXAMPLE, IN_BLOCKS),
    case("literal", "space_to_depth", IN_BLOCKS, EXAMPLE),
    case("literal", "pixel_shuffle", EXAMPLE, SHUFFLED),
    case(
        "blocks",
        "space_to_depth",
        numbers(2, 2, 4, 6),
        lambda x: np.concatenate([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=1),
    ),
    case(
        "blocks of 3",
        "depth_to_space",
        numbers(1, 1, 9, 2, 1),
        lambda x: np.stack([[*zip(*x[0, 0, i : i + 3, :, 0], strict=True)] for i in (0, 3, 6)], axis=1).reshape(1, 1, 1, 6, 3),
        3,
    ),
    case("pixels of 3", "pixel_shuffle", numbers(2, 18, 2, 2), by_torch(lambda t, f, x: f.pixel_shuffle(x, 3)), 3),
)
