"""The Bayesian probit regressor: numbers worked out by hand, SciPy's normal distribution, and bad models and values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tailor import MLModel
from tailor.runtime.errors import MLFeatureError, MLFormatError
from tailor.runtime.format import Model
from tailor.runtime.format.features import array_feature, double_feature
from tailor.runtime.models import build_predictor

OUTPUTS = ("mean", "variance", "pessimisticProbability", "sampledProbability")
SETTINGS = ("optimism", "samplingScale", "samplingTruncation")
WEIGHTS = {(0, 0): (0.5, 4.0), (0, 7): (-1.0, 2.0), (2, 1): (0.25, 8.0), (1, 3): (2.0, 0.5)}
"""Mean and precision by feature and value."""


def regressor(shape: tuple[int, ...] = (3,), change: Callable[[Model], object] | None = None) -> Model:
    """A regressor over three features with all outputs, and a bias of mean -0.5 and precision 10."""
    made = Model(specificationVersion=1)
    message = made.bayesianProbitRegressor
    message.numberOfFeatures = 3
    message.bias.mean, message.bias.precision = -0.5, 10.0
    for (feature, value), (mean, precision) in WEIGHTS.items():
        weight = message.features.add(featureId=feature).weights.add(featureValue=value)
        weight.featureWeight.mean, weight.featureWeight.precision = mean, precision
    message.regressionInputFeatureName = "x"
    made.description.input.append(array_feature("x", shape, "int32"))
    for name in SETTINGS:
        setattr(message, f"{name}InputFeatureName", name)
        made.description.input.append(double_feature(name, optional=True))
    made.description.output.append(double_feature("p"))
    made.description.predictedFeatureName = "p"
    for name in OUTPUTS:
        setattr(message, f"{name}OutputFeatureName", name)
        made.description.output.append(double_feature(name))
    if change:
        change(made)
    return made


MODEL = MLModel.from_spec(regressor())
X = np.array([7, 3, 1], np.int32)
MEAN, VARIANCE = -0.5 - 1.0 + 2.0 + 0.25, 1 / 10 + 1 / 2 + 1 / 0.5 + 1 / 8  # 0.75 and 2.725


def test_a_regression_worked_out_by_hand() -> None:
    answer = MODEL.predict({"x": X, "optimism": -2.0, "samplingTruncation": 0.0})
    noise = math.sqrt(1 + VARIANCE)
    assert answer == pytest.approx(
        {
            "p": stats.norm.cdf(0.75 / noise),
            "mean": 0.75,
            "variance": 2.725,
            "pessimisticProbability": stats.norm.cdf((0.75 - 2 * math.sqrt(2.725)) / noise),
            "sampledProbability": stats.norm.cdf(0.75),
        },
        rel=1e-12,
    )
    assert MODEL.predict({"x": X})["pessimisticProbability"] == answer["p"]


def test_pairs_of_feature_and_value_may_be_some_in_any_order() -> None:
    pairs = MLModel.from_spec(regressor((3, 2)))
    whole = pairs.predict({"x": np.array([[2, 1], [0, 7], [1, 3]], np.int32)})
    assert (whole["mean"], whole["variance"]) == pytest.approx((MEAN, VARIANCE), rel=1e-12)
    some = MLModel.from_spec(regressor((1, 2))).predict({"x": np.array([[0, 0]], np.int32)})
    assert (some["mean"], some["variance"]) == pytest.approx((0.0, 0.35), rel=1e-12)


def test_each_example_is_answered_as_it_is_alone() -> None:
    rows = [{"x": np.array([value, 3, 1], np.int32), "samplingScale": 0.0} for value in (0, 7, 7, 0, 0)]
    assert MODEL.predict(rows) == [MODEL.predict(row) for row in rows]


def test_samples_follow_the_distribution_of_the_weights() -> None:
    rows = [{"x": X, "samplingScale": 0.5, "samplingTruncation": 1.5}] * 2000
    drawn = stats.norm.ppf([answer["sampledProbability"] for answer in MODEL.predict(rows)])
    deviations = (drawn - MEAN) / (0.5 * math.sqrt(VARIANCE))
    assert len(set(drawn)) == 2000
    assert stats.kstest(deviations, stats.truncnorm(-1.5, 1.5).cdf).pvalue > 1e-6


def test_without_a_bias_and_other_outputs() -> None:
    def change(made: Model) -> None:
        made.bayesianProbitRegressor.ClearField("bias")
        for name in OUTPUTS:
            made.bayesianProbitRegressor.ClearField(f"{name}OutputFeatureName")  # type: ignore[arg-type]
        del made.description.output[1:]

    answer = MLModel.from_spec(regressor(change=change)).predict({"x": X})
    assert answer == pytest.approx({"p": stats.norm.cdf(1.25 / math.sqrt(3.625))}, rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((3,), {"x": [7, 3, 2]}, "input 'x': expected values that the model has weights for, got value 2 of feature 2"),
        ((3,), {"x": [-1, 3, 1]}, "input 'x': expected values that the model has weights for, got value -1 of feature 0"),
        ((3,), {"x": [7, 3, 1], "samplingTruncation": -0.5}, "input 'samplingTruncation': expected 0 or more, got -0.5"),
        ((2, 2), {"x": [[0, 7], [5, 1]]}, "input 'x': expected values that the model has weights for, got value 1 of feature 5"),
        ((2, 2), {"x": [[0, 7], [0, 0]]}, "input 'x': expected each feature once, got one twice"),
        ((4,), {"x": [7, 3, 1, 0]}, "input 'x': expected shape [3], or any number of pairs of feature and value, got shape [4]"),
    ],
)
def test_bad_values_are_refused_by_example(shape: tuple[int, ...], given: dict[str, Any], message: str) -> None:
    model = MLModel.from_spec(regressor(shape))
    good = {"x": np.array(X if shape == (3,) else [[0, 7], [2, 1]], np.int32)}
    rows = [good, given] if np.shape(good["x"]) == shape else [given]
    with pytest.raises(MLFeatureError) as refusal:
        model.predict([{name: np.array(value, np.int32) if name == "x" else value for name, value in row.items()} for row in rows])
    assert str(refusal.value) == f"example {len(rows) - 1}: model 'model': {message}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda made: setattr(made.bayesianProbitRegressor, "regressionInputFeatureName", "y"),
            "regressionInputFeatureName: expected one of 'x'",
        ),
        (
            lambda made: setattr(made.bayesianProbitRegressor, "meanOutputFeatureName", "m"),
            "meanOutputFeatureName: expected one of 'p', 'mean'",
        ),
        (lambda made: setattr(made.description, "predictedFeatureName", ""), "predictedFeatureName: expected one of 'p'"),
        (
            lambda made: made.description.input[0].CopyFrom(array_feature("x", (3,), "float32")),
            "input 'x': expected a multi-array of int32",
        ),
        (
            lambda made: made.description.input[1].CopyFrom(array_feature("optimism", (2,), "int32")),
            "input 'optimism': expected one number",
        ),
        (lambda made: made.bayesianProbitRegressor.bias.ClearField("precision"), "bias: precision: expected a number above 0, got 0.0"),
        (
            lambda made: setattr(made.bayesianProbitRegressor.features[1].weights[0].featureWeight, "mean", math.nan),
            "features: value 7 of feature 0: mean: expected a finite number, got nan",
        ),
        (
            lambda made: made.bayesianProbitRegressor.features.append(made.bayesianProbitRegressor.features[3]),
            "features: expected one weight for value 3 of feature 1, got two",
        ),
    ],
)
def test_bad_models_are_refused(change: Callable[[Model], object], message: str) -> None:
    with pytest.raises(MLFormatError) as refusal:
        build_predictor(regressor(change=change), {}, "X.mlmodel")
    assert str(refusal.value).startswith(f"X.mlmodel: {message}")
