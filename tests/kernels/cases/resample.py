"""PyTorch's interpolate, SciPy's map_coordinates at the points that the format's comments name, literals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import ndimage

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

METHODS = ("strict_align_endpoints", "align_endpoints", "upsample", "roi_align")
LINEAR = ("upsample", "strict_align_endpoints", "half_pixel")


def sampled(x: Array, rows: Array, cols: Array) -> Array:
    """``x`` ``[..., H, W]`` at a grid of points."""
    grid = np.meshgrid(rows, cols, indexing="ij")
    images = [ndimage.map_coordinates(image, grid, order=1, mode="nearest") for image in x.reshape(-1, *x.shape[-2:])]
    return np.array(images).reshape(*x.shape[:-2], len(rows), len(cols))


def upsample(note: str, x: Array, reference: Any, factors: tuple[float, float], method: str = "nearest") -> Case:
    whole = all(factor % 1 == 0 for factor in factors)
    message = Message(
        scalingFactor=[] if not whole or factors == (1, 1) else [int(factor) for factor in factors],
        # each number comes in a chunk of its own, as a writer may put them
        fractionalScalingFactor=[] if whole else [np.array(factor, "<f4").tobytes() for factor in factors],
        mode=int(method != "nearest"),
        linearUpsampleMode=LINEAR.index(method) if method != "nearest" else 0,
    )
    stored = tuple(float(np.float32(factor)) for factor in factors)
    return Case("upsample", (x,), reference, message, {"factors": stored, "method": method}, note=note)


def resize(note: str, x: Array, reference: Any, size: tuple[int, int], method: str) -> Case:
    message = Message(targetSize=[] if size == (1, 1) else list(size), mode=SimpleNamespace(samplingMethod=METHODS.index(method)))
    return Case("resizeBilinear", (x,), reference, message, {"size": size, "method": method}, note=note)


def torch_resize(aligned: bool, *size: int) -> Any:
    return by_torch(lambda t, f, x: f.interpolate(x, size, mode="bilinear", align_corners=aligned))


X = numbers(1, 2, 3, 4)
ROW = np.array([[[1.0, 2.0, 3.0]]])

CASES = (
    upsample("nothing", X, lambda x: x * 1.0, (1, 1)),
    upsample("nearest", X, lambda x: np.kron(x, np.ones((1, 1, 2, 3))), (2, 3)),
    upsample("rank 3", numbers(2, 2, 1), lambda x: np.kron(x, np.ones((1, 1, 4))), (1, 4)),
    upsample("bilinear", ROW, np.array([[[1, 4 / 3, 5 / 3, 2, 7 / 3, 8 / 3, 3, 3, 3]] * 2]), (2, 3), "upsample"),
    upsample("corners", X, torch_resize(True, 6, 8), (2, 2), "strict_align_endpoints"),
    upsample("no corners", X, torch_resize(False, 6, 12), (2, 3), "half_pixel"),
    upsample("fractional, corners", X, torch_resize(True, 4, 9), (1.66, 2.32), "strict_align_endpoints"),
    # 1.66 as a float32 is a little less than 1.66, and still makes 83 of 50
    upsample("fractional, no corners", numbers(1, 1, 1, 50), torch_resize(False, 1, 83), (1.0, 1.66), "half_pixel"),
    upsample("smaller", X, torch_resize(False, 1, 3), (0.5, 0.75), "half_pixel"),
    resize("larger", X, torch_resize(True, 5, 7), (5, 7), "strict_align_endpoints"),
    resize("one point", X, lambda x: x[..., :1, :1] * 1.0, (1, 1), "strict_align_endpoints"),
    resize("larger", X, torch_resize(True, 5, 7), (5, 7), "align_endpoints"),
    resize("one point", X, lambda x: (x[..., 1:2, 1:2] + x[..., 1:2, 2:3]) / 2, (1, 1), "align_endpoints"),
    resize("larger", X, lambda x: sampled(x, np.arange(6) * 3 / 6, np.arange(5) * 4 / 5), (6, 5), "upsample"),
    resize("smaller", X, lambda x: sampled(x, np.array([0.0, 1.5]), np.array([0, 4 / 3, 8 / 3])), (2, 3), "upsample"),
    resize("larger", X, lambda x: sampled(x, (np.arange(4) + 0.5) * 2 / 4, (np.arange(6) + 0.5) * 3 / 6), (4, 6), "roi_align"),
    resize("one pixel", numbers(2, 1, 1), lambda x: np.broadcast_to(x, (2, 2, 3)), (2, 3), "roi_align"),
)
