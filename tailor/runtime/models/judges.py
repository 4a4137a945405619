"""How good a model is at examples whose answers are known: what the guard of an update looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from tailor.kernels import Array

from ..format import pipeline_of
from ..options import NO_OPTIONS, MLTrainingOptions
from .family import Columns, Trainable
from .neighbors import NeighborsLearner, NeighborsPredictor
from .network_learner import NetworkLearner
from .pipeline import named_models, within, within_last


class Judge(Protocol):
    """Judges a model that can be updated, as its message has it; takes ``prepared`` columns, and learns nothing."""

    def judge(self, columns: Columns, count: int) -> Mapping[str, Array]:
        """Each example's numbers, float64 ``[count]``: its ``"loss"``, where the model has one, and ``"accuracy"``, where its
        target is a label or class: 1 where the most probable one is right, 0 where it is not.

        Raises ``MLFeatureError`` for an example that does not fit, ``MLUpdateError`` for a loss that is not finite, and
        ``MLPredictionCancelledError`` where ``stopping`` says so.
        """
        ...

    def close(self) -> None:
        """Gives back threads and buffers."""
        ...


class NeighborsJudge:
    """Asks a nearest neighbour classifier for the labels."""

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        self._predictor = NeighborsPredictor(spec, parameters, who)
        self._predicted = spec.description.predictedFeatureName
        self._label = NeighborsLearner(spec, who).label

    def judge(self, columns: Columns, count: int) -> dict[str, Array]:
        """See ``Judge``."""
        answers = self._predictor.predict(columns, count)[self._predicted]
        right = [answer == label for answer, label in zip(answers, columns[self._label], strict=True)]
        return {"accuracy": np.array(right, np.float64)}

    def close(self) -> None:
        """Nothing is held."""


def build_judge(
    spec: Any, parameters: Mapping[str, object], who: str, trainable: Trainable = None, options: MLTrainingOptions = NO_OPTIONS
) -> Judge:
    """The judge of an updatable model message; of a pipeline, of its last model.

    ``parameters`` as ``build_predictor`` takes them, ``trainable`` and ``options`` as ``build_learner`` does.
    """
    if pipeline_of(spec) is not None:
        *front, (name, last) = named_models(spec, who)
        trainable = within_last(name, [other for other, _ in front], trainable, who)
        return build_judge(last, within(name, parameters), f"model {name!r} of {who}", trainable, options)
    if spec.WhichOneof("Type") == "kNearestNeighborsClassifier":
        return NeighborsJudge(spec, parameters, who)
    return NetworkLearner(spec, who, None, trainable, options)
