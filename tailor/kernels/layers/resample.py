"""Images of another size: upsample, resize, and patches of an image brought to one size."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..bounds import check_elements
from ..op import Array, Decode, Op, Reading, Shape, from_the_end
from ..sampling import METHODS, STRICT, UPSAMPLE, Samples, bilinear, bilinear_back, offsets, samples
from ..window import Pair
from .channels import check_rank

NEAREST, HALF_PIXEL = "nearest", "half_pixel"
UPSAMPLINGS = (UPSAMPLE, STRICT, HALF_PIXEL)
"""Of ``LinearUpsampleMode``, in its order: the default, corners aligned, corners not aligned."""


def upsample(x: Array, *, factors: tuple[float, float], method: str) -> Array:
    """``x`` ``[..., H, W]`` -> ``[..., factors[0] * H, factors[1] * W]``, rounded down.

    ``method``: ``"nearest"`` (whole factors only), or the way in which bilinear sampling points lie: ``"upsample"``,
    ``"strict_align_endpoints"``, ``"half_pixel"``.
    """
    shape = _upsample_shape(x.shape, factors=factors, method=method)
    if method != NEAREST:
        return bilinear(x, *_upsample_grid(x, x.shape, shape, method))
    return x.repeat(shape[-1] // x.shape[-1], axis=-1).repeat(shape[-2] // x.shape[-2], axis=-2)


def upsample_backward(
    g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], factors: tuple[float, float], method: str
) -> tuple[Array | None, ...]:
    """The gradient of ``upsample``."""
    if not needs[0]:
        return (None,)
    if method != NEAREST:
        return (bilinear_back(g, *_upsample_grid(g, x.shape, g.shape, method)),)
    h, w = x.shape[-2:]
    return (g.reshape(*x.shape[:-2], h, g.shape[-2] // h, w, g.shape[-1] // w).sum(axis=(-3, -1)),)


def _upsample_grid(like: Array, x: Shape, y: Shape, method: str) -> tuple[Samples, Samples]:
    """Where an image of shape ``x`` is read for one of shape ``y``, as arrays where ``like`` is."""

    def points(size: int, count: int) -> Array:
        if method == HALF_PIXEL:
            found: Array = (np.arange(count, like=like) + 0.5) * size / count - 0.5
            return found
        return along(like, method, size, count)

    rows, cols = (samples(points(size, count), size) for size, count in zip(x[-2:], y[-2:], strict=True))
    return rows, cols


def along(like: Array, method: str, size: int, count: int) -> Array:
    """The ``count`` places at which a whole axis of ``size`` elements is sampled, as an array where ``like`` is."""
    places: Array = offsets(method, np.zeros(1, np.float64, like=like) + (size - 1), count)[0][0]
    return places


def _upsample_shape(x: Shape, *, factors: tuple[float, float], method: str) -> Shape:
    _check_image(x)
    # in float32, in which the factor was stored: 1.66 x 50 is 83 there, not a little less
    size = [int(np.float32(length) * np.float32(factor)) for length, factor in zip(x[-2:], factors, strict=True)]
    if min(size) < 1:
        raise ValueError(f"expected factors that leave a pixel, got {list(factors)} for shape {list(x)}")
    shape = (*x[:-2], *size)
    check_elements(shape)
    return shape


def _check_image(x: Shape) -> None:
    check_rank(x, 3)
    if not prod(x[-2:]):
        raise ValueError(f"expected an image with pixels, got shape {list(x)}")


def _upsample_work(x: Shape, **attributes: Any) -> int:
    return 4 * prod(_upsample_shape(x, **attributes))


def _read_upsample(params: Any, decode: Decode) -> Reading:
    whole = [max(1, int(factor)) for factor in params.scalingFactor]
    raw = b"".join(params.fractionalScalingFactor)
    if len(raw) % 4:
        raise ValueError(f"fractionalScalingFactor: expected a whole number of float32 values, got {len(raw)} bytes")
    fractional = np.frombuffer(raw, "<f4")
    factors = tuple(float(factor) for factor in fractional) if len(fractional) else tuple(map(float, whole)) or (1.0, 1.0)
    if len(factors) != 2 or (whole and len(fractional)):
        raise ValueError(f"expected two factors, height and width, got {whole} and {fractional.tolist()}")
    if not all(0 < factor < 1e9 for factor in factors):
        raise ValueError(f"fractionalScalingFactor: expected positive numbers, got {list(factors)}")
    if int(params.mode) not in (0, 1) or int(params.linearUpsampleMode) not in range(len(UPSAMPLINGS)):
        raise ValueError(f"expected a mode up to 1 and a linearUpsampleMode up to 2, got {params.mode} and {params.linearUpsampleMode}")
    method = UPSAMPLINGS[int(params.linearUpsampleMode)] if params.mode else NEAREST
    if method == NEAREST and any(factor % 1 for factor in factors):
        raise ValueError(f"fractionalScalingFactor: expected whole numbers for nearest neighbours, got {list(factors)}")
    return Reading({"factors": factors, "method": method}, {})


def resize_bilinear(x: Array, *, size: Pair, method: str) -> Array:
    """``x`` ``[..., H, W]`` -> ``[..., *size]``; ``method`` is one of ``sampling.METHODS``."""
    _resize_shape(x.shape, size=size, method=method)
    return bilinear(x, *_resize_grid(x, x.shape, size, method))


def resize_bilinear_backward(g: Array, y: Array, x: Array, *, needs: tuple[bool, ...], size: Pair, method: str) -> tuple[Array | None, ...]:
    """The gradient of ``resize_bilinear``."""
    return (bilinear_back(g, *_resize_grid(g, x.shape, size, method)) if needs[0] else None,)


def _resize_grid(like: Array, x: Shape, size: Pair, method: str) -> tuple[Samples, Samples]:
    rows, cols = (samples(along(like, method, n, count), n) for n, count in zip(x[-2:], size, strict=True))
    return rows, cols


def _resize_shape(x: Shape, *, size: Pair, method: str) -> Shape:
    _check_image(x)
    shape = (*x[:-2], *size)
    check_elements(shape)
    return shape


def _resize_work(x: Shape, **attributes: Any) -> int:
    return 4 * max(prod(x), prod(_resize_shape(x, **attributes)))


def read_size(values: Any) -> Pair:
    """``targetSize``: height and width, 1 where it is not set or 0."""
    size = [max(1, int(value)) for value in values] or [1, 1]
    if len(size) != 2:
        raise ValueError(f"targetSize: expected two numbers, height and width, got {size}")
    return size[0], size[1]


def read_method(mode: Any) -> str:
    """A ``SamplingMode`` message as one of ``sampling.METHODS``."""
    if int(mode.samplingMethod) not in range(len(METHODS)):
        raise ValueError(f"samplingMethod: expected 0 to {len(METHODS) - 1}, got {mode.samplingMethod}")
    return METHODS[int(mode.samplingMethod)]


def _read_resize(params: Any, decode: Decode) -> Reading:
    return Reading({"size": read_size(params.targetSize), "method": read_method(params.mode)}, {})


OPS = (
    Op("upsample", upsample, _upsample_shape, _read_upsample, upsample_backward, from_the_end, _upsample_work, portable=True),
    Op("resizeBilinear", resize_bilinear, _resize_shape, _read_resize, resize_bilinear_backward, from_the_end, _resize_work, portable=True),
)
