"""The numbers that a model looks at as one matrix: one row an example, one column a number, whatever the inputs that hold them.

The inputs follow each other in the order of the model's description: a double or int64 is one column, a multi-array has
a column an element (C order), a dictionary from int64 to doubles a column a key, with 0 where a key is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLFeatureError, MLFormatError
from ..values import MLFeatureDescription
from .family import Column, Columns
from .transform import ARRAY, DICTIONARY, DOUBLE, INT64, check_keys, fixed_size, inputs_of, put_at_keys


@dataclass(frozen=True, slots=True)
class NumberInputs:
    """The inputs of a model that takes numbers; made by ``of``."""

    who: str
    features: tuple[MLFeatureDescription, ...]

    @classmethod
    def of(cls, spec: Any, who: str) -> NumberInputs:
        """The inputs of ``spec``. Raises ``MLFormatError`` where there is none, or one of a type that holds no numbers."""
        given = inputs_of(spec, who, (DOUBLE, INT64, ARRAY, DICTIONARY))
        if not given:
            raise MLFormatError(f"{who}: expected inputs that hold numbers, got none")
        for entry in given.values():
            if entry.feature.type is DICTIONARY:
                check_keys(entry.feature, INT64, f"{who}: input")
        return cls(who, tuple(entry.feature for entry in given.values()))

    @property
    def width(self) -> int | None:
        """How many numbers an example has; ``None`` where that is not declared: for dictionaries and arrays of several shapes."""
        sizes = [fixed_size(feature) for feature in self.features]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def check_width(self, expected: int, what: str) -> None:
        """Raises ``MLFormatError`` where other than ``expected`` numbers are declared, which ``what`` asks for."""
        if self.width not in (None, expected):
            raise MLFormatError(f"{self.who}: inputs: expected {expected} numbers in all, as {what} has them, got {self.width}")

    def matrix(self, columns: Columns, count: int, width: int, *, missing: bool = False, more: bool = False) -> Array:
        """The inputs of ``count`` examples, float64 ``[count, width]``, C-contiguous; may be a view of a column: not to be changed.

        ``missing``: NaN and infinity are let through, and optional inputs that are absent (or ``None``) are NaN. Otherwise
        they raise ``MLFeatureError`` that names input and example, as do inputs of other than ``width`` numbers in all and
        keys of dictionaries outside of 0 to ``width`` - 1. ``more``: numbers behind those ``width`` are let through too,
        and keys beyond them left out.
        """
        parts = [self._part(feature, columns, count, width, missing, more) for feature in self.features]
        rows = np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
        if rows.shape[1] < width or (rows.shape[1] > width and not more):
            or_more = " or more" if more else ""
            raise MLFeatureError(f"{self.who}: expected {width} numbers{or_more} in the inputs, got {rows.shape[1]}")
        if not missing and not np.isfinite(rows).all():
            row, place = (int(found) for found in np.argwhere(~np.isfinite(rows))[0])
            starts = np.cumsum([0, *(part.shape[1] for part in parts)])
            part = int(np.searchsorted(starts, place, side="right")) - 1
            feature = self.features[part]
            index = f" at [{place - starts[part]}]" if feature.type in (ARRAY, DICTIONARY) else ""
            raise self._misfit(feature, f"finite numbers, got {rows[row, place]}{index}").of_example(row)
        return rows

    def _part(self, feature: MLFeatureDescription, columns: Columns, count: int, width: int, missing: bool, more: bool) -> Array:
        """One input, float64 ``[count, size]``."""
        column = columns.get(feature.name)
        lacking = missing and feature.optional
        if column is None:
            if not lacking:
                raise self._misfit(feature, f"a value, got none (given: {', '.join(columns) or 'nothing'})")
            column = [None] * count
        if isinstance(column, np.ndarray):
            return column.astype(np.float64, copy=False).reshape(count, int(np.prod(column.shape[1:])))
        if feature.type is DICTIONARY:
            return self._counted(feature, column, count, width, more)
        absent = np.full(fixed_size(feature) or 0, np.nan)
        rows = [absent if value is None and lacking else np.asarray(value, np.float64).reshape(-1) for value in column]
        size = len(rows[0]) if rows else 0
        for row, numbers in enumerate(rows):
            if len(numbers) != size:
                raise self._misfit(feature, f"{size} numbers, as the first example has, got {len(numbers)}").of_example(row)
        return np.array(rows).reshape(count, size)

    def _counted(self, feature: MLFeatureDescription, column: Column, count: int, width: int, more: bool) -> Array:
        """A column of dictionaries as rows with the values at the places that their keys say."""
        dictionaries: Sequence[dict[int, float]] = [value or {} for value in column]
        if more:
            dictionaries = [{key: number for key, number in one.items() if key < width} for one in dictionaries]
        rows = np.zeros((count, width))
        put_at_keys(rows, dictionaries, f"{self.who}: input {feature.name!r}")
        return rows

    def _misfit(self, feature: MLFeatureDescription, problem: str) -> MLFeatureError:
        return MLFeatureError(f"{self.who}: input {feature.name!r}: expected {problem}")
