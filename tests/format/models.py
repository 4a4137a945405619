"""Small models for the tests of the format."""

from __future__ import annotations

from tailor.runtime.format import Model, NeuralNetworkBuilder, array_feature
from tailor.runtime.format.schema.network_pb2 import NeuralNetworkLayer


def small_model(*layers: NeuralNetworkLayer) -> Model:
    """A network from x to y, with ``layers``."""
    model = Model(specificationVersion=4)
    model.description.input.append(array_feature("x", (3,)))
    model.description.output.append(array_feature("y", (3,)))
    model.neuralNetwork.layers.extend(layers)
    model.neuralNetwork.SetInParent()
    return model


def pipeline_of_depth(depth: int) -> Model:
    """A model inside ``depth`` pipelines."""
    model = small_model()
    for _ in range(depth):
        outer = Model(specificationVersion=4)
        outer.pipeline.models.append(model)
        model = outer
    return model


def regressor() -> Model:
    """A network from vector to y, of one activation."""
    builder = NeuralNetworkBuilder([array_feature("vector", (3,))], [array_feature("y", (3,))], mode="regressor")
    builder.add_activation("relu", "RELU", "vector", "y")
    return builder.spec
