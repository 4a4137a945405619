"""The imputer: puts a value of the model in the place of what is missing.

Source: ``Imputer.proto`` of the format. An optional input that is absent is missing; so is what equals ``ReplaceValue``,
and where a model has none, NaN. In an array each element is replaced by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLFeatureError, MLFormatError
from ..format import read_floats
from ..values import MLFeatureType, MLMultiArrayConstraint
from .family import Column, Columns
from .transform import ARRAY, DICTIONARY, DOUBLE, INT64, STRING, check_keys, check_same_type, each, fixed_size, one_input, one_output

# The value that is put there -> the features it suits, and what may be replaced.
_SUITS: Mapping[str, tuple[tuple[MLFeatureType, ...], str | None]] = {
    "imputedDoubleValue": ((DOUBLE, ARRAY), "replaceDoubleValue"),
    "imputedInt64Value": ((INT64,), "replaceInt64Value"),
    "imputedStringValue": ((STRING,), "replaceStringValue"),
    "imputedDoubleArray": ((ARRAY,), "replaceDoubleValue"),
    "imputedInt64Array": ((ARRAY,), "replaceInt64Value"),
    "imputedStringDictionary": ((DICTIONARY,), None),
    "imputedInt64Dictionary": ((DICTIONARY,), None),
}


class ImputerPredictor:
    """Replaces what is missing. Raises ``MLFormatError`` where values and features do not go together."""

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        model = spec.imputer
        field = model.WhichOneof("ImputedValue")
        if field is None:
            raise MLFormatError(f"{who}: expected a value to impute, one of {', '.join(_SUITS)}, got none")
        types, suitable = _SUITS[field]
        self._given, self._made = one_input(spec, who, types), one_output(spec, who, types)
        check_same_type(self._given, self._made)
        if field.endswith("Dictionary"):
            check_keys(self._given.feature, STRING if field == "imputedStringDictionary" else INT64, f"{who}: input")
        replaced = model.WhichOneof("ReplaceValue")
        if replaced not in (None, suitable):
            raise MLFormatError(f"{who}: ReplaceValue: expected {suitable or 'none'} with {field}, got {replaced}")
        self._replaced: Any = np.nan if replaced is None else getattr(model, replaced)
        self._value = _value(getattr(model, field), f"{who}: {field}")
        if isinstance(self._value, np.ndarray) and fixed_size(self._given.feature) not in (None, len(self._value)):
            raise MLFormatError(f"{who}: {field}: expected a value for each of {self._given.feature.phrase}, got {len(self._value)}")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """Values of the input's type and shape."""
        name = self._given.feature.name
        column: Column = columns[name] if name in columns else [self._whole()] * count
        return {self._made.feature.name: self._imputed(column)}

    def _imputed(self, column: Column) -> Column:
        kind = self._given.feature.type
        if kind is DICTIONARY:
            return column
        if kind is STRING:
            return [self._value if text == self._replaced else text for text in column]
        if kind is not ARRAY:
            return self._filled(np.asarray(column, np.float64 if kind is DOUBLE else np.int64))
        return each(column, self._filled)

    def _filled(self, numbers: Array) -> Array:
        """``numbers`` ``[count, ...]`` with those that are missing replaced."""
        value: Any = self._value
        if isinstance(value, np.ndarray):
            if numbers[0].size != len(value):
                raise MLFeatureError(f"{self._given.where}: expected {len(value)} numbers, got {numbers[0].size}").of_example(0)
            value = value.reshape(numbers.shape[1:])
        with np.errstate(over="ignore"):  # a number too large for the type equals none of it
            missing = numbers == self._replaced if self._replaced == self._replaced else np.isnan(numbers)
        return self._made.write(np.where(missing, value, numbers) if missing.any() else numbers)

    def _whole(self) -> Any:
        """What stands for an input that is absent."""
        constraint = self._given.feature.constraint
        if not isinstance(constraint, MLMultiArrayConstraint):
            return self._value
        if isinstance(self._value, np.ndarray):
            return self._value.reshape(constraint.shape) if constraint.shape and prod(constraint.shape) == len(self._value) else self._value
        if constraint.shape:
            return np.broadcast_to(self._value, constraint.shape)
        raise MLFeatureError(f"{self._given.where}: expected a value, for no shape of it is declared, got none")


def _value(value: Any, where: str) -> Any:
    """A number, a string, a dictionary, or a vector."""
    if isinstance(value, (int, float, str)):
        return value
    if hasattr(value, "map"):
        return dict(value.map)
    if value.DESCRIPTOR.name == "DoubleVector":
        return read_floats(value, "vector", where)
    return np.array(value.vector, np.int64)
