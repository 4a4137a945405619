"""The training examples as columns of what learns: read, checked, and taken through the frozen models in front of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLFeatureError, MLModelError, MLUpdateError, numbered
from ..model import MLModel
from ..models import TAKES_NAN, Column, Columns, frozen_front, inputs_to
from ..values import MLBatchProvider, accept_column, as_mapping


class Examples:
    """Gives mini-batches of a provider's examples, in canonical columns by training input.

    In a pipeline, what the frozen models in front of the last one make of an example is computed once and kept, except
    where the provider says that it augments.
    """

    def __init__(self, model: MLModel, provider: MLBatchProvider) -> None:
        count = getattr(provider, "count", None)
        if not isinstance(count, int) or not callable(getattr(provider, "features_at", None)):
            raise MLUpdateError(f"update of {model.name}: expected training data as an MLBatchProvider, got {type(provider).__name__}")
        if count < 1:
            raise MLUpdateError(f"update of {model.name}: expected at least one training example, got none")
        self.count = count
        self._who = model.name
        self._provider = provider
        self._descriptions = model.description.training_input_descriptions_by_name
        if not self._descriptions:
            raise MLUpdateError(f"update of {model.name}: expected training inputs in its description, got none")
        self._nan = inputs_to(model.spec, TAKES_NAN)
        self._front = frozen_front(model.spec, f"model {model.name!r}", model._given, model._origin)
        self._keep = self._front is not None and not getattr(provider, "augments", False)
        self._kept: dict[int, dict[str, Any]] = {}

    def columns(self, indices: Array) -> Columns:
        """The examples at ``indices``, in that order.

        Raises ``MLFeatureError`` naming example and feature, ``MLUpdateError`` where the provider fails.
        """
        numbers = [int(index) for index in indices]
        if not self._keep:
            return self._through_front(self._read(numbers), numbers)
        missing = [number for number in numbers if number not in self._kept]
        if missing:
            columns = self._through_front(self._read(missing), missing)
            for row, number in enumerate(missing):
                self._kept[number] = {name: column[row] for name, column in columns.items()}
        rows = [self._kept[number] for number in numbers]
        return {name: _column([row[name] for row in rows]) for name in rows[0]}

    def close(self) -> None:
        """Forgets what was kept."""
        self._kept.clear()

    def _read(self, numbers: list[int]) -> dict[str, Column]:
        rows = []
        for number in numbers:
            try:
                rows.append(as_mapping(self._provider.features_at(number)))
            except MLModelError:
                raise
            except Exception as error:
                raise MLUpdateError(
                    f"example {number}: expected the training data to give its features, got {type(error).__name__}: {error}"
                ) from error
        columns: dict[str, Column] = {}
        for name, description in self._descriptions.items():
            values = []
            for number, row in zip(numbers, rows, strict=True):
                if name not in row:
                    got = ", ".join(map(repr, row)) or "nothing"
                    raise MLFeatureError(f"example {number}: expected training input {name!r}, got only {got}")
                values.append(row[name])
            columns[name] = accept_column(description, values, "training input", numbers, finite=name not in self._nan)
        return columns

    def _through_front(self, columns: dict[str, Column], numbers: list[int]) -> Columns:
        if self._front is None:
            return columns
        with numbered(numbers):
            return self._front.front_columns(columns, len(numbers))


def _column(rows: list[Any]) -> Column:
    """Rows as a column: stacked where they are arrays of one shape."""
    first = rows[0]
    if isinstance(first, np.ndarray) and all(row.shape == first.shape for row in rows):
        return np.stack(rows)
    return rows
