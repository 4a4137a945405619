"""Categories turned into others: into the places of a vector, or an integer into a string and back.

Source: ``OneHotEncoder.proto`` and ``CategoricalMapping.proto`` of the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLFeatureError, MLFormatError
from .family import Column, Columns
from .transform import ARRAY, DICTIONARY, INT64, SEQUENCE, STRING, Given, check_keys, one_input, one_output, places_of

_ERROR_ON_UNKNOWN, _IGNORE_UNKNOWN = 0, 1  # OneHotEncoder.HandleUnknown


class OneHotEncoderPredictor:
    """A 1 at the place of a category: in an array of zeros, or in a dictionary that has nothing else.

    Raises ``MLFormatError`` where a category comes twice, or categories and features are not as declared.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        model = spec.oneHotEncoder
        field = model.WhichOneof("CategoryType")
        if field is None:
            raise MLFormatError(f"{who}: expected stringCategories or int64Categories, got neither")
        self._given = one_input(spec, who, (STRING if field == "stringCategories" else INT64,))
        self._made = one_output(spec, who, (DICTIONARY,) if model.outputSparse else (ARRAY,))
        self._places = places_of(getattr(model, field).vector, f"{who}: {field}")
        self._sparse = bool(model.outputSparse)
        if self._sparse:
            check_keys(self._made.feature, INT64, f"{who}: output")
        else:
            self._made.check_size(len(self._places), field)
        if model.handleUnknown not in (_ERROR_ON_UNKNOWN, _IGNORE_UNKNOWN):
            raise MLFormatError(f"{who}: handleUnknown: expected 0 (an error) or 1 (ignored), got {model.handleUnknown}")
        self._ignores = model.handleUnknown == _IGNORE_UNKNOWN

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """``[count, categories]``, or dictionaries of one entry or of none. Raises ``MLFeatureError`` for an unknown category."""
        values = _plain(self._given.column(columns))
        places = np.fromiter((self._places.get(value, -1) for value in values), np.intp, count)
        known = places >= 0
        if not (self._ignores or known.all()):
            row = int(np.argmin(known))
            raise _unknown(self._given, values[row]).of_example(row)
        name = self._made.feature.name
        if self._sparse:
            return {name: [{place: 1.0} if place >= 0 else {} for place in places.tolist()]}
        vectors: Array = np.zeros((count, len(self._places)))
        vectors[known, places[known]] = 1.0
        return {name: self._made.write(vectors)}


class CategoricalMappingPredictor:
    """Another value for each value of a feature, or for each item of a sequence.

    Raises ``MLFormatError`` where maps, default and features are not of one type.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        model = spec.categoricalMapping
        field = model.WhichOneof("MappingType")
        if field is None:
            raise MLFormatError(f"{who}: expected stringToInt64Map or int64ToStringMap, got neither")
        kinds = (STRING, INT64) if field == "stringToInt64Map" else (INT64, STRING)
        self._given, self._made = one_input(spec, who, (kinds[0], SEQUENCE)), one_output(spec, who, (kinds[1], SEQUENCE))
        self._sequences = self._given.feature.type is SEQUENCE
        if self._sequences != (self._made.feature.type is SEQUENCE):
            raise MLFormatError(
                f"{who}: expected two sequences or none, got input {self._given.feature.phrase} and output {self._made.feature.phrase}"
            )
        for feature, kind, what in ((self._given.feature, kinds[0], "input"), (self._made.feature, kinds[1], "output")):
            check_keys(feature, kind, f"{who}: {what}")
        default = model.WhichOneof("ValueOnUnknown")
        expected = "int64Value" if kinds[1] is INT64 else "strValue"
        if default not in (None, expected):
            raise MLFormatError(f"{who}: ValueOnUnknown: expected {expected}, as {field} makes, got {default}")
        self._default: str | int | None = None if default is None else getattr(model, default)
        self._map: dict[str | int, str | int] = dict(getattr(model, field).map)

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """What each value, or each item, is mapped to. Raises ``MLFeatureError`` for an unknown one, where there is no default."""
        column, name = self._given.column(columns), self._made.feature.name
        if self._sequences:
            return {name: [self._mapped(items, row) for row, items in enumerate(column)]}
        mapped = self._mapped(_plain(column))
        return {name: np.array(mapped, np.int64) if self._made.feature.type is INT64 else mapped}

    def _mapped(self, values: Iterable[Any], row: int | None = None) -> list[Any]:
        found = [self._map.get(value, self._default) for value in values]
        if None in found:
            place = found.index(None)
            raise _unknown(self._given, list(values)[place]).of_example(place if row is None else row)
        return found


def _plain(column: Column) -> list[Any]:
    """The values in Python's own types, which are quicker to look up."""
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _unknown(given: Given, value: object) -> MLFeatureError:
    return MLFeatureError(f"{given.where}: expected one of the categories that the model knows, got {value!r}")
