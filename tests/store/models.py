"""Small models for the tests of the store of models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailor import MLModel
from tailor.building import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, SgdParams, array_feature

LABELS = {"a": 1.0, "b": 2.0, "c": 3.0}


def network(*weights: float, bias: float = 0.0, name: str = "line") -> MLModel:
    """y = x . weights + bias, which can be trained by the squared error, in batches of two."""
    builder = NeuralNetworkBuilder([array_feature("x", (len(weights),))], [array_feature("y", (1,))])
    builder.add_inner_product("dense", np.array([weights]), np.array([bias]), len(weights), 1, True, "x", "y")
    builder.make_updatable(["dense"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (1,)))
    builder.set_sgd_optimizer(SgdParams(lr=0.125, batch=2))
    builder.set_epochs(1, allowed_set=range(1, 101))
    builder.set_shuffle(False)
    return MLModel.from_spec(builder.spec, name)


def neighbors(labels: Sequence[str] = "") -> MLModel:
    """A nearest neighbour classifier that knows one point of each of these labels."""
    builder = KNearestNeighborsClassifierBuilder("point", "label", 1, "nobody", number_of_neighbors=1)
    if labels:
        builder.add_samples([[LABELS[label]] for label in labels], list(labels))
    return MLModel.from_spec(builder.spec, "points")
