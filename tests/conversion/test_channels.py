"""Networks whose last inner products are moved to channels: the numbers, and the shapes of outputs, stay as they were."""

from __future__ import annotations

import numpy as np
import pytest

from tailor import MLModel
from tailor.building import NeuralNetworkBuilder, array_feature
from tailor.runtime.doctor.repairs.channels import Channels
from tailor.runtime.doctor.repairs.losses import layers_of

RNG = np.random.default_rng(4)
KERNEL, FIRST, SECOND = (RNG.normal(size=shape).astype(np.float32) for shape in ((2, 1, 2, 2), (4, 8), (3, 4)))
X = RNG.normal(size=(1, 1, 3, 3)).astype(np.float32)


def network(*, convolved: bool = True, softmax: bool = False, shared: bool = False) -> NeuralNetworkBuilder:
    """x, maybe through a convolution, flattened by a reshape, then two inner products; ``shared``: the first one's answer, too."""
    shape, size = ((1, 1, 3, 3), 8) if convolved else ((1, 8), 8)
    outputs = [array_feature("y", (1, 3)), *([array_feature("h", (1, 4))] if shared else [])]
    builder = NeuralNetworkBuilder([array_feature("x", shape)], outputs, disable_rank5_shape_mapping=True)
    flat = "x"
    if convolved:
        builder.add_convolution("conv", 1, 2, 2, 2, 1, 1, "valid", 1, KERNEL, None, False, "x", "c")
        builder.add_activation("relu", "RELU", "c", "r")
        builder.nn_spec.layers.add(name="reshape", input=["r"], output=["flat"]).reshapeStatic.targetShape.extend((1, size))
        flat = "flat"
    builder.add_inner_product("first", FIRST, None, size, 4, False, flat, "h")
    builder.add_activation("tanh", "TANH", "h", "t")
    builder.add_inner_product("second", SECOND, None, 4, 3, False, "t", "logits" if softmax else "y")
    if softmax:
        builder.nn_spec.layers.add(name="normal", input=["logits"], output=["y"]).softmaxND.axis = -1
    return builder


def worked_out(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first inner product's answer, and the logits, by hand."""
    if x.ndim == 4:
        windows = np.lib.stride_tricks.sliding_window_view(x[0, 0], (2, 2))
        x = np.maximum(np.einsum("hwij,kij->khw", windows, KERNEL[:, 0]), 0).reshape(1, -1)
    first = x @ FIRST.T
    return first, np.tanh(first) @ SECOND.T


CASES = {
    "flattened": ({}, ["conv", "relu", "flatten", "first", "tanh", "second", "squeeze", "softmax"]),
    "expanded": ({"convolved": False}, ["expand", "first", "tanh", "second", "squeeze", "softmax"]),
    "probabilities": ({"softmax": True}, ["conv", "relu", "flatten", "first", "tanh", "second", "softmax", "squeeze"]),
    "shared": ({"shared": True}, ["conv", "relu", "flatten", "first", "squeeze", "tanh", "second", "squeeze_2", "softmax"]),
}


@pytest.mark.parametrize("case", CASES)
def test_only_the_shape_inside_changes(case: str) -> None:
    options, layers = CASES[case]
    builder = network(**options)
    outputs = {feature.name for feature in builder.spec.description.output}
    changed = layers_of(builder.spec)
    value = Channels(changed).softmax("y")
    changed.write()
    assert [layer.name for layer in builder.nn_spec.layers] == layers
    x = X if options.get("convolved", True) else RNG.normal(size=(1, 8)).astype(np.float32)
    first, logits = worked_out(x)
    exponents = np.exp(logits - logits.max())
    probabilities = exponents / exponents.sum()
    builder.spec.description.output.append(array_feature(value))
    answer = MLModel.from_spec(builder.spec).predict({"x": x})
    np.testing.assert_allclose(answer["y"], probabilities if options.get("softmax") else logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer[value], probabilities[..., None, None], rtol=1e-5, atol=1e-6)
    if "h" in outputs:
        np.testing.assert_allclose(answer["h"], first, rtol=1e-5, atol=1e-6)


def test_a_classifier_gives_the_softmax_itself() -> None:
    builder = network(softmax=True)
    changed = layers_of(builder.spec)
    assert Channels(changed).softmax("y", any_shape=True) == "y"
    changed.write()
    assert [layer.name for layer in builder.nn_spec.layers][-2:] == ["second", "softmax"]
    again = layers_of(builder.spec)
    assert Channels(again).softmax("y", any_shape=True) == "y"  # it is one along channels already
    again.write()
    assert [layer.name for layer in builder.nn_spec.layers][-2:] == ["second", "softmax"]
