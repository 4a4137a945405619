"""What a loss compares with: a training input's column, checked, as class indices or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLFeatureError, MLUpdateError
from .family import Columns

SHOWN = 10
"""How many class labels an error lists."""


@dataclass(frozen=True, slots=True)
class Target:
    """The training input ``name``. ``labels``: class labels in order, where the input is a label and not a number."""

    name: str
    labels: tuple[str | int, ...] = ()

    def indices(self, columns: Columns, classes: int) -> Array:
        """Class indices, int64 ``[N]``, from labels or from arrays of one number.

        Raises ``MLFeatureError`` naming example and value for an unknown label or an index outside ``classes``,
        ``MLUpdateError`` where the model has not one label a class.
        """
        if self.labels and len(self.labels) != classes:
            raise MLUpdateError(f"expected one class label for each of {classes} probabilities, got {len(self.labels)}")
        if self.labels:
            places = {label: place for place, label in enumerate(self.labels)}
            return np.array([self._place(row, value, places) for row, value in enumerate(self._column(columns))], dtype=np.int64)
        return np.array([self._index(row, value, classes) for row, value in enumerate(self._column(columns))], dtype=np.int64)

    def numbers(self, columns: Columns, size: int) -> Array:
        """Float32 ``[N, size]``. Raises ``MLFeatureError`` naming the example that has another number of elements."""
        rows = [np.asarray(value, dtype=np.float32).reshape(-1) for value in self._column(columns)]
        for row, numbers in enumerate(rows):
            if numbers.size != size:
                raise self._misfit(row, f"{size} numbers, as many as the loss's input has", numbers.size)
        return np.stack(rows)

    def _column(self, columns: Columns) -> Any:
        if self.name not in columns:
            raise MLFeatureError(f"training input {self.name!r}: expected the target of the loss, got nothing")
        return columns[self.name]

    def _place(self, row: int, value: Any, places: dict[str | int, int]) -> int:
        label = value.item() if isinstance(value, np.generic) else value
        if label not in places:
            known = ", ".join(map(repr, self.labels[:SHOWN])) + (" ..." if len(self.labels) > SHOWN else "")
            raise self._misfit(row, f"one of the class labels {known}", repr(label))
        return places[label]

    def _index(self, row: int, value: Any, classes: int) -> int:
        numbers = np.asarray(value).reshape(-1)
        if numbers.size != 1 or not 0 <= numbers[0] < classes or numbers[0] != int(numbers[0]):
            got = numbers[0] if numbers.size == 1 else f"{numbers.size} numbers"
            raise self._misfit(row, f"a class index from 0 to {classes - 1}", got)
        return int(numbers[0])

    def _misfit(self, row: int, expected: str, got: object) -> MLFeatureError:
        return MLFeatureError(f"training input {self.name!r}: expected {expected}, got {got}").of_example(row)
