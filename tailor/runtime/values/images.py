"""Images: from a file, a Pillow image or an array to the pixels that a model asks for.

The answer is uint8, ``[H, W]`` for a grey feature and ``[H, W, 3]`` in RGB order for one in colour (BGR too: the order
of channels is the network's affair), or float16 ``[H, W]`` for ``GRAYSCALE_FLOAT16``.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tailor.kernels import gray_to_rgb, rgb_to_gray

from ..errors import MLFeatureError
from .arrays import as_array
from .constraints import MLImageConstraint
from .framing import WHOLE, Framing
from .opening import decoded, open_image
from .types import MLColorSpace
from .wording import wording

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
# Pillow converts premultiplied colours only to these.
_STRAIGHT = {"RGBa": "RGBA", "La": "LA"}


def accept_image(constraint: MLImageConstraint, value: object, where: str, framing: Framing = WHOLE) -> NDArray[Any]:
    """``value`` as an image that the model takes.

    Takes the path of an image file; a Pillow image of any mode (turned as its EXIF orientation says, alpha dropped);
    an array ``[H, W]`` or ``[H, W, 1]`` (grey), ``[H, W, 3]`` (RGB) or ``[H, W, 4]`` (RGBA, alpha dropped) of values from
    0 to 255, floats rounded to the nearest, booleans as black and white. Colour becomes grey by the ITU-R BT.601 luma, grey
    becomes colour with three equal channels. It is then turned, cropped and scaled as ``framing`` says: a size that the
    model does not take is scaled to its (default) size, with the filter of ``tailor.kernels.resize``.

    For ``GRAYSCALE_FLOAT16`` grey floats are kept as they are, whatever their range.
    Raises ``MLFeatureError``, which ``where`` begins.
    """
    upright = framing.orientation is None
    if isinstance(value, (str, os.PathLike)):
        value = open_image(value, where, constraint.phrase, upright=upright)
    elif isinstance(value, Image.Image):
        value = decoded(value, where, constraint.phrase, upright=upright)
    if isinstance(value, Image.Image):
        value = _pixels(constraint, value, where)
    array = as_array(value, where, constraint.phrase)
    pixels: NDArray[Any] = accept_image_arrays(constraint, array[None], where, framing)[0]
    return pixels


def accept_image_arrays(constraint: MLImageConstraint, arrays: NDArray[Any], where: str, framing: Framing = WHOLE) -> NDArray[Any]:
    """As ``accept_image``, for many arrays of one shape at once: ``[N, H, W]``, or ``[N, H, W, C]``."""
    if arrays.ndim == 4 and arrays.shape[-1] == 1:
        arrays = arrays[..., 0]
    if arrays.ndim not in (3, 4) or (arrays.ndim == 4 and arrays.shape[-1] not in (3, 4)) or 0 in arrays.shape[1:]:
        shapes = "[H, W], [H, W, 1], [H, W, 3] or [H, W, 4]"
        raise MLFeatureError(f"{where}: expected {constraint.phrase}, as an array {shapes}, got {wording(arrays[0])}")
    if constraint.color_space is MLColorSpace.GRAYSCALE_FLOAT16 and arrays.ndim == 3:
        pixels = _half_floats(arrays, where)
    else:
        pixels = _levels(arrays, where)
        pixels = _recoloured(constraint, pixels)
    return framing.fitted(pixels, constraint)


def _pixels(constraint: MLImageConstraint, image: Image.Image, where: str) -> NDArray[Any]:
    """The pixels of a decoded Pillow image as an array that ``accept_image_arrays`` takes."""
    if image.mode in ("I", "F"):
        return np.asarray(image)
    if image.mode in _SIXTEEN_BITS:
        # 65535 is white, as 255 is: 257 to 1.
        return np.asarray(image).astype(np.float32) / 257.0
    # Pillow warns where transparency is lost, unless it is an alpha channel first.
    bridge = "RGBA" if image.mode == "P" and "transparency" in image.info else _STRAIGHT.get(image.mode)
    try:
        straight = image.convert(bridge) if bridge else image
        return np.asarray(straight.convert("L" if constraint.color_space.is_gray else "RGB"))
    except ValueError as error:
        raise MLFeatureError(f"{where}: expected {constraint.phrase}, got {wording(image)}: {error}") from error


def _levels(arrays: NDArray[Any], where: str) -> NDArray[Any]:
    """Numbers from 0 to 255 as uint8; booleans as black and white, as Pillow reads them."""
    if arrays.dtype == np.uint8:
        return arrays
    if arrays.dtype.kind == "b":
        return arrays.astype(np.uint8) * np.uint8(255)
    # NaN fails every comparison, so the bad ones are those that are not good.
    bad = ~((arrays >= 0) & (arrays <= 255))
    if bad.any():
        _, *index = (int(axis) for axis in np.unravel_index(int(np.argmax(bad)), bad.shape))
        raise MLFeatureError(f"{where}: expected pixels in the range 0..255, got {arrays[bad].flat[0]} at index {index}")
    return np.rint(arrays).astype(np.uint8) if arrays.dtype.kind == "f" else arrays.astype(np.uint8)


def _half_floats(arrays: NDArray[Any], where: str) -> NDArray[Any]:
    """Grey numbers as float16, as they are; booleans as black and white."""
    with np.errstate(over="ignore"):
        pixels = (arrays * np.float16(255.0) if arrays.dtype.kind == "b" else arrays).astype(np.float16)
    bad = ~np.isfinite(pixels)
    if bad.any():
        _, *index = (int(axis) for axis in np.unravel_index(int(np.argmax(bad)), bad.shape))
        raise MLFeatureError(f"{where}: expected finite pixels that fit float16, got {arrays[bad].flat[0]} at index {index}")
    return pixels


def _recoloured(constraint: MLImageConstraint, levels: NDArray[Any]) -> NDArray[Any]:
    """uint8 ``[N, H, W]`` or ``[N, H, W, 3 or 4]`` in the colours that the model takes."""
    if constraint.color_space.is_gray:
        gray = rgb_to_gray(levels) if levels.ndim == 4 else levels
        return gray.astype(np.float16) if constraint.color_space is MLColorSpace.GRAYSCALE_FLOAT16 else gray
    return levels[..., :3] if levels.ndim == 4 else gray_to_rgb(levels)
