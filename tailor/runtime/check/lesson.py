"""What a network's update minimises, worked out a second time: in NumPy and float64, from what the message says.

Nothing here uses the losses or gradients that training uses; that is what they are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..model import MLModel
from ..models import Columns
from ..models.lowered import network_of
from .subject import Subject

CROSS_ENTROPY = "categoricalCrossEntropyLossLayer"


class Lesson:
    """The one loss of an updatable network: ``value`` is compared with ``target``; ``labels`` where the target is one of them."""

    @classmethod
    def of(cls, subject: Subject) -> Lesson | None:
        """That of an updatable network; None where it has several, or a weighted one."""
        losses = network_of(subject.learner.spec).updateParams.lossLayers
        weighted = subject.configuration.training.loss_weights
        return None if weighted or len(losses) != 1 else cls(subject.learner, losses[0])

    def __init__(self, learner: MLModel, layer: Any) -> None:
        self.spec = learner.spec
        self.network: Any = network_of(learner.spec)
        self.kind = layer.WhichOneof("LossLayerType")
        self.value: str = getattr(layer, self.kind).input
        given = learner.description.training_input_descriptions_by_name
        named: str = getattr(layer, self.kind).target
        predicted = learner.description.predicted_feature_name
        self.target = predicted if predicted in given and (named == predicted or named not in given) else named
        kind = self.network.WhichOneof("ClassLabels") if self.target == predicted else None
        self.labels: list[str | int] = list(getattr(self.network, kind).vector) if kind else []

    def losses(self, values: Sequence[Any], targets: Sequence[Any]) -> Array:
        """Each example's loss, float64: -log(p[target]), or the mean of (y - target)²."""
        if self.kind == CROSS_ENTROPY:
            shares = [float(np.asarray(row, np.float64).ravel()[self.place(target)]) for row, target in zip(values, targets, strict=True)]
            return -np.log(np.maximum(shares, np.finfo(np.float32).tiny))
        pairs = zip(values, targets, strict=True)
        return np.array([np.mean((np.asarray(y, np.float64).ravel() - np.asarray(t, np.float64).ravel()) ** 2) for y, t in pairs])

    def place(self, target: Any) -> int:
        """The class of a label or index."""
        return self.labels.index(target) if self.labels else int(np.asarray(target).ravel()[0])

    def targets(self, columns: Columns) -> list[Any]:
        """What the examples' values are compared with."""
        return list(columns[self.target])

    def told_by(self, model: MLModel) -> str | None:
        """The output of ``model`` that holds the loss's value, or its probabilities by label; ``None`` where it has none."""
        outputs = model.description.output_descriptions_by_name
        if self.value in outputs:
            return self.value
        probabilities = self.spec.description.predictedProbabilitiesName
        scores = getattr(self.network, "labelProbabilityLayerName", "") or self.network.layers[-1].output[0]
        return probabilities if self.labels and scores == self.value and probabilities in outputs else None

    def told(self, answer: Any) -> Array:
        """What ``told_by`` names, as numbers in the order of the classes."""
        return np.array([answer[label] for label in self.labels]) if isinstance(answer, dict) else np.asarray(answer)
