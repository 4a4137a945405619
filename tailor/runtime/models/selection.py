"""Features passed on as they are: all of them, or some elements of an array.

Source: ``Identity.proto`` and ``ArrayFeatureExtractor.proto`` of the format. Elements of an array of several axes are
counted in C order. An element that leaves as an integer must be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailor.kernels import Array

from ..errors import MLFeatureError, MLFormatError
from ..values import MLFeatureType
from .family import Column, Columns
from .transform import ARRAY, DOUBLE, INT64, Given, check_same_type, each, fixed_size, inputs_of, one_input, one_output, outputs_of


class IdentityPredictor:
    """Every output is the input of its name. Raises ``MLFormatError`` where there is none, or one of another type."""

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        inputs = inputs_of(spec, who, tuple(MLFeatureType))
        self._passed: list[Given] = []
        for name, made in outputs_of(spec, who).items():
            if name not in inputs:
                raise MLFormatError(f"{who}: outputs: expected names of inputs, {', '.join(map(repr, inputs)) or 'none'}, got {name!r}")
            check_same_type(inputs[name], made)
            self._passed.append(inputs[name])

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The columns as they came; an optional input that is absent is an output that is absent."""
        return {
            given.feature.name: given.column(columns)
            for given in self._passed
            if given.feature.name in columns or not given.feature.optional
        }


class ArrayFeatureExtractorPredictor:
    """The elements of an array at given places: a number, or an array of them.

    Raises ``MLFormatError`` where a place is beyond the array, and where there are more places than the output can hold.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        self._given = one_input(spec, who, (ARRAY,))
        self._made = one_output(spec, who, (DOUBLE, INT64, ARRAY))
        places = list(spec.arrayFeatureExtractor.extractIndex)
        if not places:
            raise MLFormatError(f"{who}: extractIndex: expected a place or more, got none")
        self._made.check_size(len(places), "extractIndex")
        size = fixed_size(self._given.feature)
        if size is not None and max(places) >= size:
            raise MLFormatError(f"{who}: extractIndex: expected places from 0 to {size - 1}, got {max(places)}")
        self._places, self._most = places, max(places)

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """``[count]`` or ``[count, places]``."""
        return {self._made.feature.name: each(self._given.column(columns), self._extract)}

    def _extract(self, arrays: Array) -> Array:
        flat = arrays.reshape(len(arrays), -1)
        if self._most >= flat.shape[1]:
            raise MLFeatureError(f"{self._given.where}: expected more than {self._most} numbers, got {flat.shape[1]}").of_example(0)
        return self._made.write(flat[:, self._places])
