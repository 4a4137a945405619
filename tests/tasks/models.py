"""Small models for the tests of tasks, and the mathematics of the first worked out in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailor import MLArrayBatchProvider, MLModel
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature

WEIGHTS = np.array([[0.5, -0.25]], np.float32)
BIAS = np.array([0.1], np.float32)


def regression_model(learning_rate: float = 0.1, batch: int = 4, epochs: int = 3, shuffle: bool = False) -> MLModel:
    """y = x . w + b, updatable, mean squared error, SGD; learning rate 0 to 1, batches 1 to 64, epochs 1 to 1,000,000."""
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("y", (1,))])
    builder.add_inner_product("dense", WEIGHTS, BIAS, 2, 1, True, "x", "y")
    builder.make_updatable(["dense"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (1,)))
    builder.set_sgd_optimizer(SgdParams(lr=learning_rate, batch=batch, momentum=0.0))
    builder.set_epochs(epochs)
    builder.set_shuffle(shuffle)
    update = builder.spec.neuralNetwork.updateParams
    update.optimizer.sgdOptimizer.learningRate.range.maxValue = 1.0
    for parameter, most in ((update.optimizer.sgdOptimizer.miniBatchSize, 64), (update.epochs, 1_000_000)):
        parameter.ClearField("set")
        parameter.range.minValue, parameter.range.maxValue = 1, most
    return MLModel.from_spec(builder.spec, "regression")


def regression_data(count: int = 10) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Examples x ``[count, 2]`` and targets ``[count, 1]``."""
    x = np.random.default_rng(7).normal(size=(count, 2)).astype(np.float32)
    return x, (x @ np.array([[2.0], [-1.0]]) + 0.5).astype(np.float32)


def regression_provider(count: int = 10) -> MLArrayBatchProvider:
    """The examples as a batch provider."""
    x, y = regression_data(count)
    return MLArrayBatchProvider([{"x": a, "y_true": b} for a, b in zip(x, y, strict=True)])


class Reference:
    """The same regression by hand, in float64."""

    def __init__(self, count: int = 10) -> None:
        x, y = regression_data(count)
        self.x, self.y = x.astype(np.float64), y.astype(np.float64)
        self.w, self.b = WEIGHTS.astype(np.float64).copy(), BIAS.astype(np.float64).copy()

    def step(self, rows: NDArray[np.int64] | slice, rate: float) -> float:
        """One step of gradient descent; the mean loss before it."""
        x, y = self.x[rows], self.y[rows]
        error = x @ self.w.T + self.b - y
        self.w -= rate * 2 * error.T @ x / len(x)
        self.b -= rate * 2 * error.mean(axis=0)
        return float((error**2).mean())

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The answers for ``x``."""
        return x @ self.w.T + self.b
