"""Sound as VGGish hears it: a spectrogram in steps of pitch and of loudness.

Source: ``SoundAnalysisPreprocessing.proto`` of the format, and Hershey et al., "CNN Architectures for Large-Scale Audio
Classification" (2017). Pitch is measured in mel by the formula of HTK, ``1127 * ln(1 + f / 700)``. Where these leave a choice:
magnitudes, not their squares, are summed into the bands, the bands are triangles over mel, and the logarithm is the natural one.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from .op import Array

SAMPLE_RATE = 16_000
SAMPLES = 15_600
FRAMES = 96
BANDS = 64

_FRAME = 400
_HOP = 160
_TRANSFORM = 512
_LOWEST, _HIGHEST = 125.0, 7_500.0
_OFFSET = 0.01


def log_mel(samples: Array) -> NDArray[np.float32]:
    """The logarithms of how strong each band of pitch is, frame by frame: float32 ``[n, 96, 64]``.

    ``samples`` ``[n, 15600]``: 0.975 seconds at 16 kHz, usually from -1 to 1. An answer does not depend on the other rows.
    """
    frames = sliding_window_view(samples.astype(np.float64), _FRAME, axis=-1)[:, ::_HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)
    spectra = np.abs(fft.rfft(frames * window, _TRANSFORM))
    made: NDArray[np.float32] = np.log(spectra @ _bands() + _OFFSET).astype(np.float32)
    return made


@cache
def _bands() -> NDArray[np.float64]:
    """How much of each frequency counts in each band, ``[257, 64]``: triangles whose corners are equally far apart in mel."""
    corners = np.linspace(_mel(_LOWEST), _mel(_HIGHEST), BANDS + 2)
    lower, centre, upper = corners[:-2], corners[1:-1], corners[2:]
    pitch = _mel(fft.rfftfreq(_TRANSFORM, 1 / SAMPLE_RATE))[:, None]
    rising, falling = (pitch - lower) / (centre - lower), (upper - pitch) / (upper - centre)
    made: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    made.flags.writeable = False  # it is kept, and everybody's
    return made


def _mel(frequency: Array | float) -> Array:
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)
