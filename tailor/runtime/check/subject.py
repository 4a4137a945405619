"""What is checked: an updatable model, its examples, and the part of it that learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..model import MLModel
from ..models import Columns, Learner, build_learner
from ..models.network_state import PARAMETER
from ..update.examples import Examples
from ..values import MLBatchProvider, as_mapping


class Subject:
    """A model and the examples that it is taught with.

    Raises ``MLUpdateError`` where there are no examples.
    """

    def __init__(self, model: MLModel, data: MLBatchProvider) -> None:
        self.model = model
        self.data = data
        self.configuration = model.configuration
        self.examples = Examples(model, data)

    @cached_property
    def learner(self) -> MLModel:
        """The part that learns: the last model of a pipeline, or the model itself."""
        return part_that_learns(self.model)

    def rows(self, numbers: Sequence[int]) -> list[dict[str, object]]:
        """What the model is given to predict the examples ``numbers``."""
        inputs = self.model.description.input_descriptions_by_name
        given = [as_mapping(self.data.features_at(number)) for number in numbers]
        return [{name: row[name] for name in inputs if name in row} for row in given]

    def columns(self, numbers: Sequence[int]) -> Columns:
        """The examples ``numbers`` as the part that learns is given them."""
        return self.examples.columns(np.asarray(numbers, np.intp))

    def some(self, most: int) -> list[int]:
        """``most`` examples (or all) from the whole of the data, evenly spread: data is often sorted by label."""
        return sorted({int(place) for place in np.linspace(0, self.examples.count - 1, most)})

    @contextmanager
    def taught(self) -> Iterator[Learner]:
        """What teaches the model, of its own weights, by plain descent."""
        learner = build_learner(self.model.spec, f"model {self.model.name!r}", self.configuration.trainable)
        try:
            yield learner
        finally:
            learner.close()


def learned(learner: Learner) -> dict[str, Array]:
    """The parameters of a network that learn, as they are now, by ``LAYER.FIELD``."""
    state = learner.state().items()
    return {name.removeprefix(PARAMETER): np.asarray(value) for name, value in state if name.startswith(PARAMETER)}


def part_that_learns(model: MLModel) -> MLModel:
    """The last model of a pipeline, or of one in it; any other model itself."""
    while model.models:
        model = model.models[-1][1]
    return model


def same_answers(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> int:
    """How many of two models' answers agree bit for bit."""
    return sum(a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a) for a, b in zip(one, other, strict=True))


def _same(a: Any, b: Any) -> bool:
    left, right = np.asarray(a), np.asarray(b)
    if left.dtype != object:
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    return bool(a == b)
