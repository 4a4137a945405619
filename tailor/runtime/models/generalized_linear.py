"""Generalized linear models: the classifier and the regressor.

Sources: ``GLMClassifier.proto`` and ``GLMRegressor.proto`` of the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from tailor.kernels import Array, generalized_linear

from ..errors import MLFormatError
from .coefficients import check_finite, read_numbers, read_rows
from .family import Column, Columns
from .inputs import NumberInputs
from .labels import Classes
from .transform import ARRAY, DOUBLE, outputs_of

T = TypeVar("T")

_ENCODINGS: tuple[generalized_linear.Encoding, ...] = ("reference", "one_vs_rest")
_CLASSIFIER_TRANSFORMS: tuple[generalized_linear.Transform, ...] = ("logit", "probit")
_REGRESSOR_TRANSFORMS: tuple[generalized_linear.Transform, ...] = ("none", "logit", "probit")


class _Sums:
    """The weighted sums that both begin with: ``count`` of them."""

    def __init__(self, spec: Any, message: Any, who: str) -> None:
        self._inputs = NumberInputs.of(spec, who)
        weights = check_finite(read_rows(message.weights, "value", f"{who}: weights"), f"{who}: weights")
        if not weights.size:
            raise MLFormatError(f"{who}: weights: expected one row of numbers at least, got shape {list(weights.shape)}")
        self.count, self._width = weights.shape
        offsets = read_numbers(message, "offset", f"{who}: offset", self.count, "one a row of weights")
        self._inputs.check_width(self._width, "a row of weights")
        self._weights, self._offsets = np.ascontiguousarray(weights.T), check_finite(offsets, f"{who}: offset")

    def of(self, columns: Columns, count: int) -> Array:
        """Float64, one row an example and one column a row of weights."""
        return generalized_linear.weighted_sums(self._inputs.matrix(columns, count, self._width), self._weights, self._offsets)


class GLMClassifierPredictor:
    """Predicts class labels and probabilities from weighted sums of the inputs.

    Raises ``MLFormatError`` where the message contradicts itself: rows of weights of several lengths, more or fewer of them
    than the classes and their encoding ask for, other numbers of inputs than of weights.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message = spec.glmClassifier
        self._sums = _Sums(spec, message, who)
        self._classes = Classes.of(spec, message, who)
        self._encoding = _choice(_ENCODINGS, message.classEncoding, f"{who}: classEncoding")
        self._transform = _choice(_CLASSIFIER_TRANSFORMS, message.postEvaluationTransform, f"{who}: postEvaluationTransform")
        classes = len(self._classes.labels)
        rows = classes if self._encoding == "one_vs_rest" and classes != 2 else classes - 1
        if self._sums.count != rows:
            raise MLFormatError(
                f"{who}: weights: rows: expected {rows}, for {classes} classes (encoding {self._encoding}), got {self._sums.count}"
            )
        if self._transform == "probit" and classes != 2:
            raise MLFormatError(f"{who}: postEvaluationTransform: expected logit for {classes} classes, got probit, which is for 2")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``. The first of the labels with the highest score is the answer."""
        scores = generalized_linear.class_scores(self._sums.of(columns, count), self._encoding, len(self._classes.labels))
        probabilities = generalized_linear.class_probabilities(scores, self._encoding, self._transform)
        return self._classes.answer(probabilities, scores.argmax(axis=1))


class GLMRegressorPredictor:
    """Predicts numbers from weighted sums of the inputs: one output that holds them all, or one a row of weights, in order.

    Raises ``MLFormatError`` where the message contradicts itself: see ``GLMClassifierPredictor``.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message = spec.glmRegressor
        self._sums = _Sums(spec, message, who)
        self._transform = _choice(_REGRESSOR_TRANSFORMS, message.postEvaluationTransform, f"{who}: postEvaluationTransform")
        self._outputs = list(outputs_of(spec, who).values())
        rows = self._sums.count
        if len(self._outputs) not in (1, rows):
            raise MLFormatError(f"{who}: outputs: expected one, or one for each of {rows} rows of weights, got {len(self._outputs)}")
        for output in self._outputs:
            if output.feature.type not in (DOUBLE, ARRAY):
                raise MLFormatError(f"{who}: output {output.feature.name!r}: expected a double or multi-array, got {output.feature.phrase}")
            output.check_size(rows // len(self._outputs), "weights")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``."""
        numbers = generalized_linear.TRANSFORMS[self._transform](self._sums.of(columns, count))
        parts = np.split(numbers, len(self._outputs), axis=1)
        return {output.feature.name: output.write(part) for output, part in zip(self._outputs, parts, strict=True)}


def _choice(choices: tuple[T, ...], number: int, where: str) -> T:
    if number not in range(len(choices)):
        raise MLFormatError(f"{where}: expected a number from 0 to {len(choices) - 1}, got {number}")
    return choices[number]
