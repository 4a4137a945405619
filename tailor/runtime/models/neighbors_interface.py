"""What goes in and out of a nearest neighbour classifier: vectors of one size, and labels of one type, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLFeatureError, MLFormatError
from .family import Column, Columns
from .labels import Label

LABEL_FIELDS: dict[type, str] = {str: "stringClassLabels", int: "int64ClassLabels"}
LABEL_WORDS: dict[type, str] = {str: "a string", int: "a whole number of 64 bits"}


@dataclass(frozen=True, slots=True)
class Interface:
    """What the description and the message say of the vectors and labels that go in and out."""

    who: str
    vector_name: str
    label_name: str
    dimensions: int
    label_type: type

    @classmethod
    def of(cls, spec: Any, who: str) -> Interface:
        """Reads the interface; raises ``MLFormatError`` for another number of inputs than one and for labels of two types."""
        inputs = [feature.name for feature in spec.description.input]
        if len(inputs) != 1:
            raise MLFormatError(f"{who}: expected one input of a nearest neighbour classifier, got {inputs}")
        model = spec.kNearestNeighborsClassifier
        declared = [field for field in (model.WhichOneof("ClassLabels"), model.WhichOneof("DefaultClassLabel")) if field]
        kinds = {int if "int64" in field.lower() else str for field in declared}
        if len(kinds) > 1:
            raise MLFormatError(f"{who}: expected labels and default label of one type, got {' and '.join(declared)}")
        taught = [feature.name for feature in spec.description.trainingInput if feature.name != inputs[0]]
        return cls(
            who,
            inputs[0],
            taught[0] if taught else spec.description.predictedFeatureName,
            model.nearestNeighborsIndex.numberOfDimensions,
            kinds.pop() if kinds else str,
        )

    def vectors(self, columns: Columns, count: int) -> Array:
        """The input column as finite float32 rows ``[count, dimensions]``, whatever the shape that holds the numbers."""
        column = self._column(columns, self.vector_name)
        for row, value in enumerate(column if not isinstance(column, np.ndarray) else column[:1]):
            if np.size(value) != self.dimensions:
                raise MLFeatureError(
                    f"{self.who}: input {self.vector_name!r}: expected {self.dimensions} numbers as the samples have, "
                    f"got shape {list(np.shape(value))}"
                ).of_example(row)
        with np.errstate(over="ignore"):
            if isinstance(column, np.ndarray):
                rows = column.astype(np.float32, copy=False).reshape(count, self.dimensions)
            else:
                rows = np.array([np.ravel(value) for value in column], np.float32).reshape(count, self.dimensions)
        if not np.isfinite(rows).all():
            row, place = np.argwhere(~np.isfinite(rows))[0]
            raise MLFeatureError(
                f"{self.who}: input {self.vector_name!r}: expected finite numbers, got {rows[row, place]} at [{place}]"
            ).of_example(int(row))
        return rows

    def labels(self, columns: Columns, count: int) -> list[Label]:
        """The label column, each label of the model's type."""
        labels = [self._label(value, row) for row, value in enumerate(self._column(columns, self.label_name))]
        if len(labels) != count:
            raise MLFeatureError(f"{self.who}: training input {self.label_name!r}: expected {count} labels, got {len(labels)}")
        return labels

    def _column(self, columns: Columns, name: str) -> Column:
        if name not in columns:
            raise MLFeatureError(f"{self.who}: input {name!r}: expected a value, got none (given: {', '.join(columns) or 'nothing'})")
        return columns[name]

    def _label(self, value: object, row: int) -> Label:
        plain = value.item() if isinstance(value, np.generic) else value
        if type(plain) is int and self.label_type is int and -(2**63) <= plain < 2**63:
            return plain
        if isinstance(plain, str) and self.label_type is str and _encodes(plain):
            return str(plain)
        raise MLFeatureError(
            f"{self.who}: training input {self.label_name!r}: expected {LABEL_WORDS[self.label_type]}, got {value!r}"
        ).of_example(row)


def _encodes(text: str) -> bool:
    """Whether the format can hold ``text``: it keeps UTF-8, which has no lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
