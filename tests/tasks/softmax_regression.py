"""A classifier small enough to be worked out in NumPy: softmax regression of points, and its mathematics in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailor import MLArrayBatchProvider, MLModel
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature, make_pipeline

LABELS = ("low", "mid", "high")
WEIGHTS = np.array([[0.5, -0.25], [0.0, 0.125], [-0.5, 0.25]], np.float32)
BIAS = np.array([0.1, 0.0, -0.1], np.float32)
RATE, BATCH, EPOCHS = 0.5, 8, 3


def classifier(*, rate: float = RATE, epochs: int = EPOCHS, shuffle: bool = False, doubled: str = "", labels: bool = True) -> MLModel:
    """x [2] -> dense -> softmax; labels ``LABELS``, cross entropy, SGD in batches of 8.

    ``doubled``: x is first multiplied by two, in a ``"layer"`` that does not learn, or in a ``"model"`` in front, in a pipeline.
    Without ``labels`` it is no classifier, and the target p_true is the place of a label.
    """
    named = ("classifier", list(LABELS)) if labels else (None, None)
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("p", (3,))], *named)
    if doubled == "layer":
        builder.add_inner_product("twice", 2 * np.eye(2), None, 2, 2, False, "x", "twofold")
    builder.add_inner_product("dense", WEIGHTS, BIAS, 2, 3, True, "twofold" if doubled == "layer" else "x", "logits")
    builder.add_softmax("softmax", "logits", "p")
    builder.make_updatable(["dense"])
    builder.set_categorical_cross_entropy_loss("loss", "p")
    builder.set_sgd_optimizer(SgdParams(lr=rate, batch=BATCH))
    builder.set_epochs(epochs)
    builder.set_shuffle(shuffle)
    if doubled != "model":
        return MLModel.from_spec(builder.spec, "points")
    front = NeuralNetworkBuilder([array_feature("given", (2,))], [array_feature("x", (2,))])
    front.add_inner_product("twice", 2 * np.eye(2), None, 2, 2, False, "given", "x")
    return MLModel.from_spec(make_pipeline("classifier", [front.spec, builder.spec]), "points")


def points(count: int, seed: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points ``[count, 2]`` and the places of their labels: by the sum of the two numbers, one in ten wrong."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2)).astype(np.float32)
    places = np.digitize(x.sum(axis=1), [-0.5, 0.5])
    return x, np.where(rng.random(count) < 0.1, rng.integers(0, 3, count), places)


def provider(x: NDArray[np.float32], places: NDArray[np.int64], name: str = "x") -> MLArrayBatchProvider:
    """The points as examples; ``name`` is that of the input."""
    return MLArrayBatchProvider([{name: row, "classLabel": LABELS[place]} for row, place in zip(x, places, strict=True)])


class Reference:
    """The same by hand."""

    def __init__(self) -> None:
        self.w, self.b = WEIGHTS.astype(np.float64), BIAS.astype(np.float64)

    def probabilities(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        raised = np.exp(x @ self.w.T + self.b)
        answer: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
        return answer

    def scores(self, x: NDArray[np.float32], places: NDArray[np.int64]) -> dict[str, float]:
        """Share of right answers, mean cross entropy."""
        p = self.probabilities(x)
        return {"accuracy": float((p.argmax(axis=1) == places).mean()), "loss": float(-np.log(p[np.arange(len(x)), places]).mean())}

    def learn(self, x: NDArray[np.float32], places: NDArray[np.int64], rate: float = RATE, epochs: int = EPOCHS) -> None:
        """Gradient descent in batches, in order."""
        for _ in range(epochs):
            for start in range(0, len(x), BATCH):
                rows = slice(start, start + BATCH)
                g = (self.probabilities(x[rows]) - np.eye(3)[places[rows]]) / len(x[rows])
                self.w, self.b = self.w - rate * g.T @ x[rows], self.b - rate * g.sum(axis=0)
