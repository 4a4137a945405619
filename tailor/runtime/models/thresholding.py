"""Class confidence thresholding: which classes count as present.

Source: ``ClassConfidenceThresholding.proto`` of the format. As yet every class does, says its comment, so that the
precision and recall curves are checked but decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLFormatError
from ..format import read_floats
from .family import Column, Columns
from .transform import ARRAY, each, fixed_size, one_input, one_output

_PAIRS = (("precisionValues", "precisionConfidenceThresholds"), ("recallValues", "recallConfidenceThresholds"))


class ThresholdingPredictor:
    """The confidences, and beneath them a 1 for each class that is present.

    Raises ``MLFormatError`` where curves are empty, not of one length, not of numbers of 0 or more, or not one for each class.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        self._given, self._made = one_input(spec, who, (ARRAY,)), one_output(spec, who, (ARRAY,))
        curves = spec.classConfidenceThresholding.precisionRecallCurves
        for number, curve in enumerate(curves):
            for values, thresholds in _PAIRS:
                _check(curve, values, thresholds, f"{who}: precisionRecallCurves[{number}]")
        classes = fixed_size(self._given.feature)
        if curves and classes not in (None, len(curves)):
            raise MLFormatError(f"{who}: precisionRecallCurves: expected one for each of {classes} classes, got {len(curves)}")
        if classes is not None:
            self._made.check_size(2 * classes, "input and presence")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """``[count, 2, classes]``."""
        return {self._made.feature.name: each(self._given.column(columns), self._present)}

    def _present(self, confidences: Array) -> Array:
        flat = confidences.reshape(len(confidences), -1)
        return self._made.write(np.stack([flat, np.ones_like(flat)], axis=1))


def _check(curve: Any, values: str, thresholds: str, where: str) -> None:
    """Raises ``MLFormatError`` unless values and thresholds are as many numbers of 0 or more, and one at least."""
    lengths = []
    for field in (values, thresholds):
        numbers = read_floats(getattr(curve, field), "vector", f"{where}.{field}")
        wrong = numbers[~(np.isfinite(numbers) & (numbers >= 0))]
        if len(wrong):
            raise MLFormatError(f"{where}.{field}: expected finite numbers of 0 or more, got {wrong[0]}")
        lengths.append(len(numbers))
    if not lengths[0] or lengths[0] != lengths[1]:
        raise MLFormatError(f"{where}: expected as many {values} as {thresholds}, and one at least, got {lengths[0]} and {lengths[1]}")
