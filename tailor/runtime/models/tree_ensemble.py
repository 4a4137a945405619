"""Tree ensembles: the classifier and the regressor.

Source: ``TreeEnsemble.proto`` of the format, and what its validator refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

from tailor.kernels import Array, trees

from ..errors import MLFormatError
from ..format import read_floats
from ..network import shared_team
from .family import Column, Columns
from .inputs import NumberInputs
from .labels import Classes
from .transform import ARRAY, DOUBLE, fixed_size, outputs_of

LEAST_PIECE = 64
"""Rows that are worth another thread; the answers do not depend on it."""

MOST_DIMENSIONS = 1 << 20
"""Of an ensemble, at most: a few bytes may ask for memory for any number of them."""

_TRANSFORMS: tuple[trees.Transform, ...] = ("none", "softmax", "logistic", "softmax_from_zero")  # by the format's numbers

_NODE = attrgetter(
    "treeId",
    "nodeId",
    "nodeBehavior",
    "branchFeatureIndex",
    "branchFeatureValue",
    "trueChildNodeId",
    "falseChildNodeId",
    "missingValueTracksTrueChild",
)
_ENTRY = attrgetter("evaluationIndex", "evaluationValue")


class _Ensemble:
    """The trees, and the inputs that go down them: numbers one after another, a dictionary from places to numbers last."""

    def __init__(self, spec: Any, message: Any, who: str) -> None:
        self._inputs = NumberInputs.of(spec, who)
        for feature in self._inputs.features[:-1]:
            if fixed_size(feature) is None:
                raise MLFormatError(f"{who}: input {feature.name!r}: expected a declared size before other inputs, got {feature.phrase}")
        told = message.treeEnsemble
        self.dimensions = int(told.numPredictionDimensions)
        self._base = _read_base(told, self.dimensions, who)
        try:
            self._forest = _read_forest(told)
        except ValueError as error:
            raise MLFormatError(f"{who}: {error}") from error
        width = self._inputs.width
        if width is not None and width < self._forest.features:
            raise MLFormatError(f"{who}: inputs: expected {self._forest.features} numbers or more, which the trees look at, got {width}")
        if message.postEvaluationTransform not in range(len(_TRANSFORMS)):
            raise MLFormatError(f"{who}: postEvaluationTransform: expected a number from 0 to 3, got {message.postEvaluationTransform}")
        self.transform = _TRANSFORMS[message.postEvaluationTransform]

    def of(self, columns: Columns, count: int) -> Array:
        """What the trees add up to, before the transform: float64 ``[count, dimensions]``."""
        rows = self._inputs.matrix(columns, count, self._forest.features, missing=True, more=True)
        team = shared_team()
        # Few large pieces: each goes down every tree, and large forests do not stay in the cache.
        size = max(LEAST_PIECE, -(-count // team.threads))
        parts: list[Array] = []

        def walk(piece: int) -> Array:
            return trees.scores(self._forest, rows[piece * size : (piece + 1) * size], self._base)

        team.each(walk, max(1, -(-count // size)), parts.append)
        return np.concatenate(parts)


class TreeEnsembleClassifierPredictor:
    """Predicts class labels, and what the trees find for each class: probabilities, where the transform makes them so.

    With two classes there may be one dimension, of the second class, which then wins from 0.5 on; the first has the rest.
    Without labels the classes are numbers. Raises ``MLFormatError`` where nodes are no trees, and where there are more or
    fewer classes than dimensions.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message = spec.treeEnsembleClassifier
        self._ensemble = _Ensemble(spec, message, who)
        dimensions = self._ensemble.dimensions
        self._classes = Classes.of(spec, message, who, unnamed=max(dimensions, 2))
        if len(self._classes.labels) != max(dimensions, 2):
            raise MLFormatError(
                f"{who}: numPredictionDimensions: expected as many as there are class labels, {len(self._classes.labels)}, "
                f"or one for two, got {dimensions}"
            )
        if dimensions == 1 and self._ensemble.transform == "softmax":
            raise MLFormatError(f"{who}: postEvaluationTransform: expected another than Classification_SoftMax for one dimension")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``. The first of the labels with the highest number is the answer."""
        values, transform = self._ensemble.of(columns, count), self._ensemble.transform
        if self._ensemble.dimensions > 1:
            return self._classes.answer(trees.transformed(values, transform))
        # The softmax of 0 and a number is the number's logistic value.
        second = trees.transformed(values, "logistic" if transform == "softmax_from_zero" else transform)
        return self._classes.answer(np.concatenate([1 - second, second], axis=1), (second[:, 0] >= 0.5).astype(np.intp))


class TreeEnsembleRegressorPredictor:
    """Predicts a number, or an array of them. Raises ``MLFormatError`` where nodes are no trees, or the output cannot hold it."""

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message = spec.treeEnsembleRegressor
        self._ensemble = _Ensemble(spec, message, who)
        outputs, name = outputs_of(spec, who), spec.description.predictedFeatureName
        if name not in outputs:
            known = ", ".join(map(repr, outputs)) or "none"
            raise MLFormatError(f"{who}: predictedFeatureName: expected the name of an output, {known}, got {name!r}")
        self._output = outputs[name]
        if self._output.feature.type not in (DOUBLE, ARRAY):
            raise MLFormatError(f"{who}: output {name!r}: expected a double or multi-array, got {self._output.feature.phrase}")
        self._output.check_size(self._ensemble.dimensions, "numPredictionDimensions")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``."""
        numbers = trees.transformed(self._ensemble.of(columns, count), self._ensemble.transform)
        return {self._output.feature.name: self._output.write(numbers)}


def _read_forest(told: Any) -> trees.Forest:
    """The trees of the message. Raises ``ValueError`` where they are none. Each node is touched once, a leaf twice."""
    nodes = told.nodes
    written = np.fromiter(map(_NODE, nodes), trees.WRITTEN, len(nodes))
    counts = np.zeros(len(nodes), np.int64)
    leaves = np.flatnonzero(written["behavior"] == trees.Behavior.LEAF)
    lists = [nodes[place].evaluationInfo for place in leaves.tolist()]
    counts[leaves] = [len(entries) for entries in lists]
    entries = np.fromiter(map(_ENTRY, chain.from_iterable(lists)), trees.ENTRY, int(counts.sum()))
    return trees.grow(written, counts, entries, int(told.numPredictionDimensions))


def _read_base(told: Any, dimensions: int, who: str) -> Array:
    """What the values of leaves are added to, one number a dimension: zeros where the message has none."""
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise MLFormatError(f"{who}: numPredictionDimensions: expected 1 to {MOST_DIMENSIONS}, got {dimensions}")
    base = read_floats(told, "basePredictionValue", f"{who}: basePredictionValue")
    if len(base) not in (0, dimensions):
        raise MLFormatError(
            f"{who}: basePredictionValue: expected {dimensions} numbers, as numPredictionDimensions says, or none, got {len(base)}"
        )
    return base if len(base) else np.zeros(dimensions)
