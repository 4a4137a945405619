"""Which part of a picture a model sees, which way up, and how it is brought to the size that the model takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailor.kernels import resize

from ..errors import MLFeatureError
from .constraints import MLImageConstraint
from .wording import wording


class MLImageOption(StrEnum):
    """What ``MLFeatureValue.image`` can be told about a picture; Core ML's ``MLFeatureValue.ImageOption``.

    ``CROP_RECT``: the part that is used, ``(x, y, width, height)`` in fractions of the upright picture, from its upper left
    corner. ``CROP_AND_SCALE``: an ``MLImageCropAndScale``.
    """

    CROP_RECT = "cropRect"
    CROP_AND_SCALE = "cropAndScale"


class MLImageCropAndScale(IntEnum):
    """How a picture is brought to a size; numbers are those of Vision's ``VNImageCropAndScaleOption``.

    ``CENTER_CROP`` keeps the aspect ratio and fills the size with the middle of the picture; ``SCALE_FIT`` keeps the aspect
    ratio and shows the whole picture between black bars; ``SCALE_FILL`` stretches it.
    """

    CENTER_CROP = 0
    SCALE_FIT = 1
    SCALE_FILL = 2


# EXIF's numbers: what makes a picture ``[N, H, W, ...]`` that was stored so upright.
_TURNS: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, :, ::-1],
    3: lambda pixels: pixels[:, ::-1, ::-1],
    4: lambda pixels: pixels[:, ::-1],
    5: lambda pixels: pixels.swapaxes(1, 2),
    6: lambda pixels: pixels.swapaxes(1, 2)[:, :, ::-1],
    7: lambda pixels: pixels.swapaxes(1, 2)[:, ::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(1, 2)[:, ::-1],
}


@dataclass(frozen=True, slots=True)
class Framing:
    """An orientation (``None``: what the picture says of itself), the part that is used, and how that is scaled."""

    orientation: int | None = None
    rect: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    scale: MLImageCropAndScale = MLImageCropAndScale.SCALE_FILL

    @classmethod
    def of(cls, orientation: int | None, options: Mapping[MLImageOption, Any] | None) -> Framing:
        """The framing that a caller asks for. Raises ``MLFeatureError`` for an option, or a value of one, that there is not."""
        if orientation is not None and orientation not in range(1, 9):
            raise MLFeatureError(f"MLFeatureValue: orientation: expected EXIF's 1..8, got {wording(orientation)}")
        if options is not None and not isinstance(options, Mapping):
            raise MLFeatureError(f"MLFeatureValue: expected options as a mapping from MLImageOption, got {wording(options)}")
        given = dict(options or {})
        rect = _rect(given.pop(MLImageOption.CROP_RECT, WHOLE.rect))
        scale = given.pop(MLImageOption.CROP_AND_SCALE, WHOLE.scale)
        if scale not in iter(MLImageCropAndScale):
            raise MLFeatureError(f"MLFeatureValue: cropAndScale: expected an MLImageCropAndScale, got {wording(scale)}")
        if given:
            raise MLFeatureError(f"MLFeatureValue: expected options among {', '.join(MLImageOption)}, got {', '.join(map(str, given))}")
        return cls(orientation, rect, MLImageCropAndScale(scale))

    def fitted(self, pixels: NDArray[Any], constraint: MLImageConstraint) -> NDArray[Any]:
        """Pictures ``[N, H, W, ...]`` turned and cropped, and scaled where the model does not take their size as it then is."""
        pixels = self._part(_TURNS[self.orientation or 1](pixels))
        height, width = pixels.shape[1:3]
        high, wide = constraint.pixels_high, constraint.pixels_wide
        if constraint.allows(width, height):
            return np.ascontiguousarray(pixels)
        if self.scale is MLImageCropAndScale.SCALE_FILL:
            return resize(pixels, high, wide)
        across, down = wide / width, high / height
        if self.scale is MLImageCropAndScale.CENTER_CROP:
            used = wide / max(across, down), high / max(across, down)
            left, upper = (width - used[0]) / 2, (height - used[1]) / 2
            return resize(pixels, high, wide, (left, upper, left + used[0], upper + used[1]))
        inner = resize(pixels, max(1, round(height * min(across, down))), max(1, round(width * min(across, down))))
        shown = np.zeros((len(pixels), high, wide, *pixels.shape[3:]), dtype=pixels.dtype)
        upper, left = round((high - inner.shape[1]) / 2), round((wide - inner.shape[2]) / 2)
        shown[:, upper : upper + inner.shape[1], left : left + inner.shape[2]] = inner
        return shown

    def _part(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The pixels inside ``rect``, to the nearest whole one, and one at least."""
        x, y, across, down = self.rect
        height, width = pixels.shape[1:3]
        upper, left = min(round(y * height), height - 1), min(round(x * width), width - 1)
        return pixels[:, upper : max(round((y + down) * height), upper + 1), left : max(round((x + across) * width), left + 1)]


WHOLE = Framing()
"""The whole picture, as upright as it says, stretched where it has to be."""


def _rect(value: Any) -> tuple[float, float, float, float]:
    try:
        x, y, across, down = (float(number) for number in value)
    except (TypeError, ValueError):
        raise MLFeatureError(f"MLFeatureValue: cropRect: expected (x, y, width, height), got {wording(value)}") from None
    inside = all(map(math.isfinite, (x, y, across, down))) and min(x, y) >= 0 and min(across, down) > 0
    if not inside or max(x + across, y + down) > 1 + 1e-9:
        raise MLFeatureError(f"MLFeatureValue: cropRect: expected fractions within 0..1 of a size above 0, got {(x, y, across, down)}")
    return x, y, across, down
