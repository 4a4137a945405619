"""Custom layers: classes that callers register, and what is said where one is missing or fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import tailor
from tailor.kernels import SGD, Array, Shape
from tailor.runtime.errors import MLCustomLayerError, MLModelError, MLModelErrorCode
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature, load_model
from tailor.runtime.models.network import NetworkPredictor
from tailor.runtime.models.network_learner import NetworkLearner
from tests.network.blocks import network, put
from tests.places import shared_model


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Names that a test registered are free again."""
    yield
    for name in ("Swish", "Scale", "Pair"):
        tailor.register_custom_layer(name, None)


class Scale:
    """y = factor * weights * x, a gradient included."""

    def __init__(self, parameters: Mapping[str, Any], weights: Sequence[Array]) -> None:
        self.factor = parameters["factor"] * (weights[0] if weights else 1)

    def output_shapes(self, input_shapes: Sequence[Shape]) -> Sequence[Shape]:
        if len(input_shapes) != 1:
            raise ValueError(f"expected one input, got {len(input_shapes)}")
        return input_shapes

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return [inputs[0] * self.factor]

    def gradient(self, gradients: Sequence[Array | None], outputs: Sequence[Array], inputs: Sequence[Array]) -> Sequence[Array]:
        assert gradients[0] is not None
        return [gradients[0] * self.factor]


class Swish:
    """x * sigmoid(x)."""

    def __init__(self, parameters: Mapping[str, Any], weights: Sequence[Array]) -> None:
        self.beta = parameters["beta"]

    def output_shapes(self, input_shapes: Sequence[Shape]) -> Sequence[Shape]:
        return input_shapes

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return [x / (1 + np.exp(-x)) for x in inputs]


def scaling(**parameters: float | int | str | bool) -> Any:
    spec = network("y = custom.Scale(x)")
    custom = spec.neuralNetwork.layers[0].custom
    for name, value in parameters.items():
        field = {bool: "boolValue", str: "stringValue", int: "longValue", float: "doubleValue"}[type(value)]
        setattr(custom.parameters[name], field, value)
    return spec


def test_a_custom_layer_is_made_from_its_parameters_and_weights() -> None:
    tailor.register_custom_layer("Scale", Scale)
    spec = scaling(factor=0.5, label="of no use", times=3, flag=True)
    spec.neuralNetwork.layers[0].custom.weights.add().floatValue.append(np.array([1, 2, 3], "<f4").tobytes())
    made = NetworkPredictor(spec, "m").predict({"x": np.array([[2, 2, 2], [4, 0, 2]])}, 2)["y"]
    assert np.asarray(made).tolist() == [[1, 2, 3], [2, 0, 3]]


def test_a_missing_class_is_named_with_its_layer_and_parameters_until_it_is_registered() -> None:
    predictor = NetworkPredictor(scaling(factor=2.0, kind="a"), "m")
    message = (
        r"layer 'custom\.Scale:y' of class 'Scale' with parameters \{factor=2\.0, kind='a'\} and 0 weights: expected a class registered"
    )
    with pytest.raises(MLCustomLayerError, match=message) as raised:
        predictor.predict({"x": np.ones((1, 3))}, 1)
    assert raised.value.code == MLModelErrorCode.CUSTOM_LAYER
    tailor.register_custom_layer("Scale", Scale)
    assert np.asarray(predictor.predict({"x": np.ones((1, 3))}, 1)["y"]).tolist() == [[2, 2, 2]]


class Wrong(Scale):
    """Foretells another shape than it makes."""

    def output_shapes(self, input_shapes: Sequence[Shape]) -> Sequence[Shape]:
        return [(7,)]


class Failing(Scale):
    """Fails with an error of its own."""

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        raise KeyError("lost")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Wrong, r"class 'Scale' .*: evaluate: expected arrays of shapes \[7\], got \[3\]"),
        (Failing, "class 'Scale' .*: evaluate: KeyError: 'lost'"),
        (lambda parameters, weights: parameters["absent"], "class 'Scale' .*: KeyError: 'absent'"),
    ],
)
def test_a_class_that_fails_is_named(layer: Any, message: str) -> None:
    tailor.register_custom_layer("Scale", layer)
    with pytest.raises(MLCustomLayerError, match=message):
        NetworkPredictor(scaling(factor=2.0), "m").predict({"x": np.ones((1, 3))}, 1)


def test_inputs_that_do_not_fit_name_the_layer() -> None:
    tailor.register_custom_layer("Scale", Scale)
    spec = network("b = add(x 1)")
    put(spec.neuralNetwork, "y = custom.Scale(x b)")
    spec.neuralNetwork.layers[1].custom.parameters["factor"].doubleValue = 1
    with pytest.raises(MLModelError, match=r"layer 'custom\.Scale:y' \(custom\.Scale\): expected one input, got 2"):
        NetworkPredictor(spec, "m").predict({"x": np.ones((1, 3))}, 1)


def test_what_comes_before_learns_through_a_gradient() -> None:
    """y = 3 (w x) against 0: the mean over 2 elements of y^2 has the gradient 2 y 3 x / 2 in w."""
    tailor.register_custom_layer("Scale", Scale)
    builder = NeuralNetworkBuilder([array_feature("x", (1,))], [array_feature("y", (2,))])
    builder.add_inner_product("dense", np.array([[1], [2]], np.float32), None, 1, 2, False, "x", "h")
    put(builder.nn_spec, "y = custom.Scale(h)")
    builder.nn_spec.layers[-1].custom.parameters["factor"].doubleValue = 3
    builder.make_updatable(["dense"])
    builder.set_mean_squared_error_loss("loss", "y")
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=4))
    builder.set_epochs(1)
    learner = NetworkLearner(builder.spec, "m", 1)
    losses = learner.step({"x": np.array([[1.0]]), "y_true": np.zeros((1, 2))}, 1, SGD(0.01))
    learner.close()
    assert losses is not None and losses.tolist() == [(3**2 + 6**2) / 2]
    np.testing.assert_allclose(learner.parameters["dense.weights"].reshape(-1), [1 - 0.01 * 9, 2 - 0.01 * 18], rtol=1e-6)


def test_a_real_model_with_a_custom_layer() -> None:
    spec = load_model(shared_model("CustomSwishLayer.mlmodel"))
    feature = spec.description.input[0]
    size = feature.type.imageType
    predictor = NetworkPredictor(spec, "CustomSwishLayer")
    column = {feature.name: np.zeros((1, size.height, size.width, 3), np.uint8)}
    with pytest.raises(MLCustomLayerError, match=r"layer '.*' of class 'Swish' with parameters \{beta=0\.01\}"):
        predictor.predict(column, 1)
    tailor.register_custom_layer("Swish", Swish)
    made = predictor.predict(column, 1)
    assert set(made) == {feature.name for feature in spec.description.output}
