"""Features put into one array: those of a dictionary by their keys, and several features side by side.

Source: ``DictVectorizer.proto`` and ``FeatureVectorizer.proto`` of the format. Keys that a dict vectorizer does not know
are left out: the format's comment does not allow them, but scikit-learn's vectorizers, which are converted to it, do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array, check_elements

from ..errors import MLFeatureError, MLFormatError
from .family import Column, Columns
from .transform import (
    ARRAY,
    DICTIONARY,
    DOUBLE,
    INT64,
    Given,
    check_keys,
    fixed_size,
    inputs_of,
    one_input,
    one_output,
    places_of,
    put_at_keys,
)


class DictVectorizerPredictor:
    """The values of a dictionary by the places of their keys: again a dictionary, or an array with zeros elsewhere.

    Raises ``MLFormatError`` where a key comes twice, and where the output is declared otherwise.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        model = spec.dictVectorizer
        field = model.WhichOneof("Map")
        if field is None:
            raise MLFormatError(f"{who}: expected stringToIndex or int64ToIndex, got neither")
        self._given = one_input(spec, who, (DICTIONARY,))
        self._made = one_output(spec, who, (DICTIONARY, ARRAY))
        self._places = places_of(getattr(model, field).vector, f"{who}: {field}")
        self._dense = self._made.feature.type is ARRAY
        if self._dense:
            self._made.check_size(len(self._places), field)
        else:
            check_keys(self._made.feature, INT64, f"{who}: output")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """Dictionaries from places to values, or ``[count, keys]``."""
        places = self._places
        found = [{places[key]: value for key, value in row.items() if key in places} for row in self._given.column(columns)]
        if not self._dense:
            return {self._made.feature.name: found}
        numbers = np.zeros((count, len(places)))
        put_at_keys(numbers, found, self._given.where)
        return {self._made.feature.name: self._made.write(numbers)}


class FeatureVectorizerPredictor:
    """Numbers, arrays (all their elements) and dictionaries from places to numbers, one after another in one array.

    Raises ``MLFormatError`` where a feature of ``inputList`` is no input, or not of the dimensions that are listed.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        inputs = inputs_of(spec, who, (DOUBLE, INT64, ARRAY, DICTIONARY))
        self._made = one_output(spec, who, (ARRAY,))
        self._parts = [_part(inputs, listed, who) for listed in spec.featureVectorizer.inputList]
        self._size = sum(size for _, size in self._parts)
        try:
            check_elements((self._size,))
        except ValueError as error:
            raise MLFormatError(f"{who}: inputList: {error}") from error
        self._made.check_size(self._size, "inputList")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """``[count, dimensions of all that is listed]``."""
        numbers = np.zeros((count, self._size))
        start = 0
        for given, size in self._parts:
            _fill(numbers[:, start : start + size], given, given.column(columns))
            start += size
        return {self._made.feature.name: self._made.write(numbers)}


def _part(inputs: Mapping[str, Given], listed: Any, who: str) -> tuple[Given, int]:
    """An input that is listed, and how many places it takes."""
    name, size = listed.inputColumn, int(listed.inputDimensions)
    if name not in inputs:
        raise MLFormatError(f"{who}: inputList: expected names of inputs, {', '.join(map(repr, inputs)) or 'none'}, got {name!r}")
    feature = inputs[name].feature
    if not size or fixed_size(feature) not in (None, size):
        raise MLFormatError(f"{who}: inputList: {name!r}: expected the dimensions of {feature.phrase}, got {size}")
    if feature.type is DICTIONARY:
        check_keys(feature, INT64, f"{who}: input")
    return inputs[name], size


def _fill(place: Array, given: Given, column: Column) -> None:
    """Puts a column into its ``place`` ``[count, size]``. Raises ``MLFeatureError`` where a value has other dimensions."""
    if given.feature.type is DICTIONARY:
        put_at_keys(place, column, given.where)
        return
    if given.feature.type is not ARRAY:
        place[:, 0] = column
        return
    for row, value in enumerate(column if not isinstance(column, np.ndarray) else column[:1]):
        if np.size(value) != place.shape[1]:
            raise MLFeatureError(f"{given.where}: expected {place.shape[1]} numbers, got shape {list(np.shape(value))}").of_example(row)
    place[:] = column.reshape(place.shape) if isinstance(column, np.ndarray) else [np.ravel(value) for value in column]
