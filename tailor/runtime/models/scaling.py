"""Numbers scaled: by numbers of the model, or each vector by its own length.

Source: ``Scaler.proto`` and ``Normalizer.proto`` of the format. A vector of length 0 stays as it is. In a pipeline
a scaler lets NaN through, which a model behind it may take for a missing value; a normalizer does not, for it would spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array, Norm, normalized

from ..errors import MLFeatureError, MLFormatError
from ..format import read_floats
from .family import Column, Columns
from .transform import ARRAY, DOUBLE, INT64, check_same_type, each, fixed_size, one_input, one_output

_NORMS: tuple[Norm, ...] = ("max", "L1", "L2")  # by their numbers in the format


class ScalerPredictor:
    """``(x + shift) * scale``, in float64; one shift or scale for all elements, or one for each.

    Raises ``MLFormatError`` for other numbers of them, and where output and input are not of one type, but for a double
    made of an integer.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        self._given, self._made = one_input(spec, who, (DOUBLE, INT64, ARRAY)), one_output(spec, who, (DOUBLE, INT64, ARRAY))
        if (self._given.feature.type, self._made.feature.type) != (INT64, DOUBLE):
            check_same_type(self._given, self._made)
        self._shift = self._read(spec.scaler, "shiftValue", 0.0)
        self._scale = self._read(spec.scaler, "scaleValue", 1.0)
        if min(len(self._shift), len(self._scale)) > 1 and len(self._shift) != len(self._scale):
            raise MLFormatError(f"{who}: shiftValue and scaleValue: expected as many, got {len(self._shift)} and {len(self._scale)}")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """Numbers of the input's shape. Raises ``MLFeatureError`` where integers are declared and would not be exact."""
        return {self._made.feature.name: each(self._given.column(columns), self._scaled)}

    def _scaled(self, column: Array) -> Array:
        flat = column.reshape(len(column), -1)
        for values in (self._shift, self._scale):
            if len(values) not in (1, flat.shape[1]):
                raise MLFeatureError(f"{self._given.where}: expected {len(values)} numbers, got {flat.shape[1]}").of_example(0)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (flat.astype(np.float64) + self._shift) * self._scale
        return self._made.write(scaled.reshape(column.shape))

    def _read(self, model: Any, field: str, default: float) -> Array:
        values = read_floats(model, field, f"{self._given.who}: {field}")
        size = fixed_size(self._given.feature)
        if size is not None and len(values) not in (0, 1, size):
            raise MLFormatError(
                f"{self._given.who}: {field}: expected one value or one for each of {self._given.feature.phrase}, got {len(values)}"
            )
        return values if len(values) else np.array([default])


class NormalizerPredictor:
    """A vector divided by its largest number, by the sum of its magnitudes or by its Euclidean length, in float64."""

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        self._given, self._made = one_input(spec, who, (ARRAY,)), one_output(spec, who, (ARRAY,))
        check_same_type(self._given, self._made)
        kind = spec.normalizer.normType
        if kind not in range(len(_NORMS)):
            raise MLFormatError(f"{who}: normType: expected 0 to {len(_NORMS) - 1}, for {', '.join(_NORMS)}, got {kind}")
        self._norm = _NORMS[kind]

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """Numbers of the input's shape. Raises ``MLFeatureError`` where one is not finite."""
        return {self._made.feature.name: each(self._given.column(columns), self._normalized)}

    def _normalized(self, column: Array) -> Array:
        flat = column.reshape(len(column), -1)
        wrong = ~np.isfinite(flat)
        if wrong.any():
            row, place = (int(axis) for axis in np.argwhere(wrong)[0])
            raise MLFeatureError(f"{self._given.where}: expected finite numbers, got {flat[row, place]} at [{place}]").of_example(row)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._made.write(normalized(flat, self._norm).reshape(column.shape))
