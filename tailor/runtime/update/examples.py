"""The training examples as columns of what learns: read, checked, and taken through the frozen models in front of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from tailor.kernels import Array

from ..configuration import DEFAULT_CACHE_BYTES
from ..errors import MLFeatureError, MLModelError, MLUpdateError, numbered
from ..format import pipeline_of
from ..model import MLModel
from ..models import ORIGINS, TAKES_NAN, Column, Columns, Learner, PipelinePredictor, inputs_to
from ..network import in_any_company
from ..values import MLBatchProvider, MLExampleOrigin, accept_column, as_mapping
from .fingerprints import Fingerprints
from .kept import Kept

T = TypeVar("T")
R = TypeVar("R")


class Examples:
    """Gives mini-batches of a provider's examples: ``columns`` by training input of what learns, or ``prepared`` by ``learner``.

    In a pipeline, both are what the frozen models in front of the last one make. What is ``prepared`` of an example is kept where
    something frozen has a part in it and the example will come again (``epochs``), unless the provider says that it augments: in
    ``cache_bytes`` of memory, then in a file (see ``Kept``). Kept or not, it is the same to the bit.

    Raises ``MLUpdateError`` where the provider is none, or has no examples.
    """

    def __init__(
        self,
        model: MLModel,
        provider: MLBatchProvider,
        learner: Learner | None = None,
        epochs: int = 1,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        if not callable(getattr(provider, "features_at", None)):
            raise MLUpdateError(f"update of {model.name}: expected training data as an MLBatchProvider, got {type(provider).__name__}")
        self._who = model.name
        self._provider = provider
        self.count = self.counted()
        if self.count < 1:
            raise MLUpdateError(f"update of {model.name}: expected at least one training example, got none")
        self._descriptions = model.description.training_input_descriptions_by_name
        if not self._descriptions:
            raise MLUpdateError(f"update of {model.name}: expected training inputs in its description, got none")
        self._nan = inputs_to(model._outline, TAKES_NAN)
        front = model._ready() if pipeline_of(model._outline) is not None else None  # what is ready for predicting serves here too
        self._front = front if isinstance(front, PipelinePredictor) else None
        self._learner = learner
        frozen = learner is not None and learner.iterative and (learner.frozen or self._front is not None)
        keep = frozen and epochs > 1 and not getattr(provider, "augments", False)
        self._kept = Kept(self.count, cache_bytes) if keep else None
        self.fingerprints = None if getattr(provider, "augments", False) else Fingerprints(self.count)

    def columns(self, indices: Array) -> Columns:
        """The examples at ``indices``, in that order.

        Raises ``MLFeatureError`` naming example and feature, ``MLUpdateError`` where the provider fails.
        """
        numbers = [int(index) for index in indices]
        return self._through_front(self.read(numbers), numbers)

    def prepared(self, indices: Array) -> Columns:
        """What ``learner`` steps on, of the examples at ``indices`` (each there once). Raises as ``columns`` and the learner do."""
        return self._prepared(indices) if self._kept is None else self._kept.columns(indices, self._prepared)

    def check_count(self) -> None:
        """Raises ``MLUpdateError`` where the provider has another number of examples than at first."""
        count = self.counted()
        if count != self.count:
            raise MLUpdateError(f"expected {self.count} training examples, as there were when the update was made, got {count}")

    def expect(self, digests: Array) -> None:
        """Compares from now on with the fingerprints of a checkpoint's examples, and a handful of them at once.

        Raises ``MLCheckpointError`` naming one that is another.
        """
        if self.fingerprints is not None:
            self.read(self.fingerprints.expect(digests))

    def feature(self, name: str, numbers: list[int]) -> Column:
        """One training input of the examples ``numbers``, and nothing else of them. Raises as ``columns`` does."""
        return self.read(numbers, [name])[name]

    def close(self) -> None:
        """Forgets what was kept."""
        if self._kept is not None:
            self._kept.close()

    def counted(self) -> int:
        """How many examples the provider says it has."""
        try:
            count = self._provider.count
        except MLModelError:
            raise
        except Exception as error:
            raise MLUpdateError(
                f"update of {self._who}: expected the training data to count its examples, got {type(error).__name__}: {error}"
            ) from error
        if not isinstance(count, (int, np.integer)) or isinstance(count, bool):
            raise MLUpdateError(f"update of {self._who}: expected training data with a number of examples as its count, got {count!r}")
        return int(count)

    def _prepared(self, indices: Array) -> Columns:
        columns = self.columns(indices)
        if self._learner is None:
            return columns
        if not self._learner.iterative:
            columns = {**columns, ORIGINS: self.origins(indices.tolist())}
        with numbered(indices.tolist()):
            return self._learner.prepared(columns, len(indices))

    def origins(self, numbers: list[int]) -> list[MLExampleOrigin | None]:
        """Where the examples came from, as far as the provider says."""
        origin_at = getattr(self._provider, "origin_at", None)
        origins: list[MLExampleOrigin | None] = []
        for number in numbers:
            origin = None if origin_at is None else _answer(number, "say where it came from", origin_at, number)
            if origin is not None and not isinstance(origin, MLExampleOrigin):
                raise MLUpdateError(f"example {number}: expected its origin as an MLExampleOrigin or None, got {type(origin).__name__}")
            origins.append(origin)
        return origins

    def read(self, numbers: list[int], names: Sequence[str] = ()) -> dict[str, Column]:
        """The training inputs ``names``, by default all."""
        rows = []
        for number in numbers:
            features = _answer(number, "give its features", self._provider.features_at, number)
            try:
                rows.append(as_mapping(features))
            except MLFeatureError as error:
                raise error.of_example(number) from None
        columns: dict[str, Column] = {}
        for name in names or self._descriptions:
            description = self._descriptions[name]
            values = []
            for number, row in zip(numbers, rows, strict=True):
                if name not in row:
                    got = ", ".join(map(repr, row)) or "nothing"
                    raise MLFeatureError(f"example {number}: expected training input {name!r}, got only {got}")
                values.append(_answer(number, "give its features", row.__getitem__, name))
            columns[name] = accept_column(description, values, "training input", numbers, finite=name not in self._nan)
        if self.fingerprints is not None and not names:
            self.fingerprints.check(numbers, columns)
        return columns

    def _through_front(self, columns: dict[str, Column], numbers: list[int]) -> Columns:
        if self._front is None:
            return columns
        with numbered(numbers), in_any_company():
            return self._front.front_columns(columns, len(numbers))


def _answer(number: int, expected: str, ask: Callable[[T], R], what: T) -> R:
    """What whoever gives the examples answers; what it raises names the example."""
    try:
        return ask(what)
    except MLModelError:
        raise
    except Exception as error:
        raise MLUpdateError(
            f"example {number}: expected the training data to {expected}, got {type(error).__name__}: {error}"
        ) from error
