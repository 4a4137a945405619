"""The Bayesian probit regressor: the probability of an event from features with few values each, and how sure it is.

Source: ``BayesianProbitRegressor.proto`` of the format. Where that is silent: beta is 1, as the message has no field for
it; a value of a feature that has no weight is refused; ``variance`` is that of the weighted sum alone; where they are not
given, optimism is 0, the sampling scale 1, and the sampling truncation endless.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from tailor.kernels import Array, probit

from ..errors import MLFeatureError, MLFormatError
from ..values import MLMultiArrayConstraint, MLMultiArrayDataType
from .family import Column, Columns
from .transform import ARRAY, DOUBLE, Given, each, fixed_size, inputs_of, outputs_of

T = TypeVar("T")


class BayesianProbitPredictor:
    """Predicts a probability, and what else the message names outputs for: mean, variance, pessimistic and sampled probability.

    The sampled probability is random: another one in each prediction. Raises ``MLFormatError`` where a feature that the
    message names is absent or of another type, where a weight comes twice, and where a mean or precision makes no sense.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message, description = spec.bayesianProbitRegressor, spec.description
        inputs, outputs = inputs_of(spec, who, (ARRAY, DOUBLE)), outputs_of(spec, who)
        self._features = _FeatureValues(_named(inputs, message, "regressionInputFeatureName", who), _Weights(message, who))
        self._settings = {
            name: _named(inputs, message, f"{name}InputFeatureName", who)
            for name in ("optimism", "samplingScale", "samplingTruncation")
            if getattr(message, f"{name}InputFeatureName")
        }
        self._outputs = {
            name: _named(outputs, message, f"{name}OutputFeatureName", who)
            for name in ("mean", "variance", "pessimisticProbability", "sampledProbability")
            if getattr(message, f"{name}OutputFeatureName")
        }
        self._outputs["probability"] = _named(outputs, description, "predictedFeatureName", who)
        for output in self._outputs.values():
            output.check_size(1, "the model")
        for setting in self._settings.values():
            if fixed_size(setting.feature) != 1:
                raise MLFormatError(f"{setting.where}: expected one number, got {setting.feature.phrase}")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``. Raises ``MLFeatureError`` for a value without a weight, and for a negative truncation."""
        mean, variance = self._features.sums(columns)
        found = {"mean": mean, "variance": variance, "probability": probit.probability(mean, variance)}
        if "pessimisticProbability" in self._outputs:
            found["pessimisticProbability"] = probit.probability(mean, variance, self._setting("optimism", columns, count, 0))
        if "sampledProbability" in self._outputs:
            scale = self._setting("samplingScale", columns, count, 1)
            truncation = self._setting("samplingTruncation", columns, count, np.inf)
            if (truncation < 0).any():
                row = int(np.argmax(truncation < 0))
                where = self._settings["samplingTruncation"].where
                raise MLFeatureError(f"{where}: expected 0 or more, got {truncation[row]}").of_example(row)
            uniform = np.random.default_rng().random(count)
            found["sampledProbability"] = probit.sampled_probability(mean, variance, scale, truncation, uniform)
        return {output.feature.name: output.write(found[name][:, None]) for name, output in self._outputs.items()}

    def _setting(self, name: str, columns: Columns, count: int, default: float) -> Array:
        """An input of one number, float64 ``[count]``; ``default`` where the model has none or it is not given."""
        given = self._settings.get(name)
        if given is None or given.feature.name not in columns:
            return np.full(count, default, np.float64)
        return np.asarray(columns[given.feature.name], np.float64).reshape(count)


class _Weights:
    """The weights by feature and value, and the bias: means and variances."""

    def __init__(self, message: Any, who: str) -> None:
        rows = [(row.featureId, one.featureValue, one.featureWeight) for row in message.features for one in row.weights]
        self.features = int(message.numberOfFeatures)
        self.keys = _key(np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.int64))
        order = np.argsort(self.keys)
        self.keys = self.keys[order]
        twice = np.flatnonzero(self.keys[1:] == self.keys[:-1])
        if len(twice):
            feature, value, _ = rows[order[twice[0]]]
            raise MLFormatError(f"{who}: features: expected one weight for value {value} of feature {feature}, got two")
        found = [_gaussian(weight, f"{who}: features: value {value} of feature {feature}") for feature, value, weight in rows]
        self.table = np.array(found, np.float64).reshape(-1, 2)[order]
        self.bias = np.array(_gaussian(message.bias, f"{who}: bias") if message.HasField("bias") else (0.0, 0.0))


class _FeatureValues:
    """The input: the value of each feature in order ``[features]``, or pairs of a feature and its value ``[any number, 2]``."""

    def __init__(self, given: Given, weights: _Weights) -> None:
        match given.feature.constraint:
            case MLMultiArrayConstraint(data_type=MLMultiArrayDataType.INT32):
                self._given, self._weights = given, weights
            case _:
                raise MLFormatError(f"{given.where}: expected a multi-array of int32, got {given.feature.phrase}")

    def sums(self, columns: Columns) -> tuple[Array, Array]:
        """Mean and variance of the weighted sum, float64 ``[count]`` each."""
        found = np.asarray(each(self._given.column(columns), self._sums))
        return found[:, 0], found[:, 1]

    def _sums(self, arrays: Array) -> Array:
        """Mean and variance side by side, ``[count, 2]``."""
        weights, where = self._weights, self._given.where
        if arrays.ndim == 2 and arrays.shape[1] == weights.features:
            features, values = np.broadcast_to(np.arange(weights.features), arrays.shape), arrays
        elif arrays.ndim == 3 and arrays.shape[2] == 2:
            features, values = arrays[:, :, 0], arrays[:, :, 1]
            ordered = np.sort(features, axis=1)
            again = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
            if again.any():
                raise MLFeatureError(f"{where}: expected each feature once, got one twice").of_example(int(again.argmax()))
        else:
            expected = f"shape [{weights.features}], or any number of pairs of feature and value"
            raise MLFeatureError(f"{where}: expected {expected}, got shape {list(arrays.shape[1:])}").of_example(0)
        keys = _key(features, values)
        places = np.searchsorted(weights.keys, keys).clip(max=max(len(weights.keys) - 1, 0))
        known = (features >= 0) & (values >= 0)
        known &= weights.keys[places] == keys if len(weights.keys) else False
        if not known.all():
            row, place = (int(axis) for axis in np.argwhere(~known)[0])
            got = f"value {values[row, place]} of feature {features[row, place]}"
            raise MLFeatureError(f"{where}: expected values that the model has weights for, got {got}").of_example(row)
        found = np.ascontiguousarray(np.moveaxis(weights.table[places], 2, 1))  # summed in one order, however many rows there are
        return np.asarray(found.sum(axis=2) + weights.bias)


def _key(features: Array, values: Array) -> Array:
    """One number for a feature and its value, of up to 32 bits each."""
    return np.asarray(features.astype(np.uint64) << np.uint64(32) | values.astype(np.uint64))


def _gaussian(weight: Any, where: str) -> tuple[float, float]:
    """Mean and variance."""
    if not np.isfinite(weight.mean):
        raise MLFormatError(f"{where}: mean: expected a finite number, got {weight.mean}")
    if not weight.precision > 0:
        raise MLFormatError(f"{where}: precision: expected a number above 0, got {weight.precision}")
    return weight.mean, 1 / weight.precision


def _named(features: Mapping[str, T], message: Any, field: str, who: str) -> T:
    """The feature that ``field`` of ``message`` names."""
    name = getattr(message, field)
    if name not in features:
        raise MLFormatError(f"{who}: {field}: expected one of {', '.join(map(repr, features)) or 'no features'}, got {name!r}")
    return features[name]
