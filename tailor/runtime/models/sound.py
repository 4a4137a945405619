"""Sound analysis preprocessing: samples of sound as what a VGGish network takes.

Source: ``SoundAnalysisPreprocessing.proto`` of the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array, sound

from ..errors import MLFeatureError, MLFormatError
from ..network import shared_team
from ..values import MLFeatureDescription, MLMultiArrayConstraint, MLMultiArrayDataType
from .family import Column, Columns
from .transform import ARRAY, one_input, one_output

PIECE = 16
"""Examples that one thread takes at a time; the answers do not depend on it."""


class SoundPredictor:
    """Makes log mel spectrograms, float32 ``[1, 96, 64]``, of 15,600 samples at 16 kHz.

    Raises ``MLFormatError`` for another kind of preprocessing, and where the input and output are not declared as these.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        if spec.soundAnalysisPreprocessing.WhichOneof("SoundAnalysisPreprocessingType") != "vggish":
            raise MLFormatError(f"{who}: SoundAnalysisPreprocessingType: expected vggish, got none that the format knows")
        self._input = one_input(spec, who, (ARRAY,))
        self._output = one_output(spec, who, (ARRAY,)).feature.name
        _check(self._input.feature, (sound.SAMPLES,), f"{who}: input")
        _check(one_output(spec, who, (ARRAY,)).feature, (1, sound.FRAMES, sound.BANDS), f"{who}: output")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The spectrograms ``[count, 1, 96, 64]``. Raises ``MLFeatureError`` for samples that are not finite."""
        samples = np.asarray(self._input.column(columns), np.float32).reshape(count, sound.SAMPLES)
        wrong = ~np.isfinite(samples).all(axis=1)
        if wrong.any():
            raise MLFeatureError(f"{self._input.where}: expected finite numbers, got others").of_example(int(wrong.argmax()))
        parts: list[Array] = []
        shared_team().each(lambda piece: sound.log_mel(samples[piece * PIECE : (piece + 1) * PIECE]), -(-count // PIECE), parts.append)
        return {self._output: np.concatenate(parts)[:, None]}


def _check(feature: MLFeatureDescription, shape: tuple[int, ...], where: str) -> None:
    wanted = MLMultiArrayConstraint(shape, MLMultiArrayDataType.FLOAT32)
    got = feature.constraint
    if not isinstance(got, MLMultiArrayConstraint) or (got.shape, got.data_type) != (wanted.shape, wanted.data_type):
        raise MLFormatError(f"{where} {feature.name!r}: expected {wanted.phrase}, got {feature.phrase}")
