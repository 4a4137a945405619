"""Images as arrays: grey and colour, channel order, resizing, and the preprocessing of a network's image input.

An image is uint8, ``[H, W]`` when grey and ``[H, W, 3]`` in RGB order when in colour; a batch has one more leading axis.
A tensor is float, ``[N, C, H, W]``, its channels in the model's own order (``"gray"``, ``"rgb"`` or ``"bgr"``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from .op import Array

ChannelOrder: TypeAlias = Literal["gray", "rgb", "bgr"]

_CHANNELS = {"gray": 1, "rgb": 3, "bgr": 3}
# ITU-R BT.601 luma (0.299, 0.587, 0.114) in 16 bits of fixed point.
_LUMA = (19595, 38470, 7471)
# Resampling weights have this many bits.
_WEIGHT_BITS = 22


def rgb_to_gray(image: Array) -> Array:
    """Luma (ITU-R BT.601, rounded) of a uint8 image ``[..., 3]`` -> uint8 ``[...]``."""
    red, green, blue = (image[..., channel].astype(np.uint32) for channel in range(3))
    luma: Array = (red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2] + 0x8000) >> 16
    return luma.astype(np.uint8)


def gray_to_rgb(image: Array) -> Array:
    """A grey image ``[...]`` -> ``[..., 3]`` with three equal channels (a copy)."""
    return np.repeat(image[..., None], 3, axis=-1)


def hwc_to_chw(image: Array) -> Array:
    """``[..., H, W, C]`` -> ``[..., C, H, W]`` (a view)."""
    return np.moveaxis(image, -1, -3)


def chw_to_hwc(tensor: Array) -> Array:
    """``[..., C, H, W]`` -> ``[..., H, W, C]`` (a view)."""
    return np.moveaxis(tensor, -3, -1)


def image_to_chw(image: Array, order: ChannelOrder) -> Array:
    """Images ``[N, H, W]`` (grey) or ``[N, H, W, 3]`` (RGB) -> float32 ``[N, C, H, W]``, values as they are (0 to 255).

    Raises ``ValueError`` where the image does not have the channels of ``order``.
    """
    expected = "[N, H, W]" if _channels(order) == 1 else "[N, H, W, 3]"
    if image.ndim != len(expected.split(",")) or (_channels(order) == 3 and image.shape[-1] != 3):
        raise ValueError(f"expected images {expected} for the channel order {order!r}, got {list(image.shape)}")
    if order == "gray":
        return image[:, None].astype(np.float32)
    ordered = image[..., ::-1] if order == "bgr" else image
    return np.ascontiguousarray(hwc_to_chw(ordered), dtype=np.float32)


def chw_to_image(tensor: Array, order: ChannelOrder) -> Array:
    """A tensor ``[N, C, H, W]`` -> uint8 images ``[N, H, W]`` or, in RGB order, ``[N, H, W, 3]``.

    Values are rounded to the nearest integer, halves to even (IEEE 754's default, which vector units use too), and
    clipped to 0 to 255; NaN becomes 0. Raises ``ValueError`` where the tensor does not have the channels of ``order``.
    """
    if tensor.ndim != 4 or tensor.shape[1] != _channels(order):
        raise ValueError(f"expected a tensor [N, {_channels(order)}, H, W] for the channel order {order!r}, got {list(tensor.shape)}")
    # rint first and clip last would pass NaN on to the cast, whose answer is undefined.
    levels: Array = np.nan_to_num(np.clip(np.rint(tensor), 0.0, 255.0), copy=False, nan=0.0).astype(np.uint8)
    if order == "gray":
        gray: Array = levels[:, 0]
        return gray
    return np.ascontiguousarray(chw_to_hwc(levels[:, ::-1] if order == "bgr" else levels))


def channel_biases(order: ChannelOrder, *, red: float, green: float, blue: float, gray: float) -> tuple[float, ...]:
    """The biases of an image scaler in the model's own channel order, as ``scale_and_bias`` takes them."""
    return {"gray": (gray,), "rgb": (red, green, blue), "bgr": (blue, green, red)}[order]


def scale_and_bias(tensor: Array, scale: float, biases: Sequence[float]) -> Array:
    """``scale * x + bias`` for a tensor ``[..., C, H, W]``; one bias a channel, in the tensor's own channel order.

    Keeps the dtype. Raises ``ValueError`` where there are not as many biases as channels.
    Source: ``NeuralNetworkImageScaler`` of the Core ML format.
    """
    if len(biases) != tensor.shape[-3]:
        raise ValueError(f"expected one bias for each of {tensor.shape[-3]} channels, got {len(biases)}")
    scaled: Array = tensor * np.asarray(scale, dtype=tensor.dtype)
    scaled += np.asarray(biases, dtype=tensor.dtype)[:, None, None]
    return scaled


def subtract_mean(tensor: Array, mean: Array) -> Array:
    """``x - mean`` for a tensor ``[..., C, H, W]`` and a mean image ``[C, H, W]`` (or its C*H*W values in a row).

    Keeps the dtype. Raises ``ValueError`` where the sizes differ. Source: ``NeuralNetworkMeanImage`` of the Core ML format.
    """
    shape = tensor.shape[-3:]
    if mean.size != int(np.prod(shape)):
        raise ValueError(f"expected a mean image of shape {list(shape)}, got {mean.size} values of shape {list(mean.shape)}")
    difference: Array = tensor - mean.reshape(shape).astype(tensor.dtype, copy=False)
    return difference


def resize(image: Array, height: int, width: int, box: tuple[float, float, float, float] | None = None) -> Array:
    """Images ``[N, H, W]`` or ``[N, H, W, C]`` scaled to ``[N, height, width, ...]``; the aspect ratio is not kept.

    ``box``: the part that is scaled, (left, upper, right, lower) in pixels, which need not be whole; all of it without.

    A triangle (bilinear) filter that widens where the image shrinks, so that nothing is skipped, in two passes: rows
    first where there will be fewer of them, columns first otherwise. uint8 is computed in fixed point and rounded after
    each pass, as Pillow's ``BILINEAR`` does (which may order the passes otherwise, and then differs by one level); other
    dtypes in float64, rounded once a pass.
    Raises ``ValueError`` for an empty image or size.
    """
    if image.ndim < 3 or 0 in image.shape[1:3] or height < 1 or width < 1:
        raise ValueError(f"expected images [N, H, W, ...] and a size of at least 1x1, got {list(image.shape)} to {width}x{height}")
    left, upper, right, lower = box or (0.0, 0.0, float(image.shape[2]), float(image.shape[1]))
    # Rows lie together in memory: the sooner there are fewer of them, the better.
    rows_first = height < image.shape[1]
    resized = _resample(image, height, upper, lower) if rows_first else image
    resized = _resample(resized.swapaxes(1, 2), width, left, right).swapaxes(1, 2)
    return np.ascontiguousarray(resized if rows_first else _resample(resized, height, upper, lower))


def _channels(order: ChannelOrder) -> int:
    if order not in _CHANNELS:
        raise ValueError(f"expected a channel order 'gray', 'rgb' or 'bgr', got {order!r}")
    return _CHANNELS[order]


def _resample(image: Array, size: int, start: float, stop: float) -> Array:
    """Axis 1 from ``start`` to ``stop`` resampled to ``size``: each output line is a weighted sum of the few lines under its filter."""
    if (start, stop, image.shape[1]) == (0.0, float(size), size):
        return image
    whole = image.dtype == np.uint8
    one = float(1 << _WEIGHT_BITS)
    lines: Array = np.empty((image.shape[0], size, *image.shape[2:]), dtype=image.dtype)
    first, weights = _filter_taps(image.shape[1], size, start, stop)
    for place, (start, row) in enumerate(zip(first.tolist(), weights, strict=True)):
        under = image[:, start : start + len(row)].astype(np.float64, order="C")
        shares = row[: under.shape[1]]
        if whole:
            # Integers in float64: exact, whatever the order in which BLAS adds them.
            shares = np.floor(shares * one + 0.5)
        total = shares @ under.reshape(len(image), len(shares), -1)
        if whole:
            total = np.minimum(np.floor(total / one + 0.5), 255.0)
        lines[:, place] = total.reshape(lines[:, place].shape)
    return lines


def _filter_taps(source: int, size: int, start: float, stop: float) -> tuple[Array, Array]:
    """For each of ``size`` outputs: the first input under a triangle filter, and the weights (each row sums to 1)."""
    scale = (stop - start) / size
    support = max(scale, 1.0)
    centers = start + (np.arange(size) + 0.5) * scale
    first = np.maximum((centers - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centers + support + 0.5).astype(np.int64), source)
    taps = first[:, None] + np.arange(int((last - first).max()))
    weights = np.maximum(1.0 - np.abs((taps - centers[:, None] + 0.5) / support), 0.0)
    weights[taps >= last[:, None]] = 0.0
    return first, weights / weights.sum(axis=1, keepdims=True)
