"""Weights in and out of models: every field of every layer that has any, in any kind of model, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor import MLModel, MLModelConfiguration, MLModelError, MLMultiArray, MLParameterError
from tailor import MLParameterKey as Key
from tailor.kernels import OPS
from tailor.runtime.format import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, array_feature, make_pipeline
from tests.fuzz.corpus import one_layer, quantised
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Case
from tests.tasks.models import BIAS, WEIGHTS, regression_model

W, B = Key.WEIGHTS.scoped("dense"), Key.BIASES.scoped("dense")

WITH_WEIGHTS = {str(case): case for case in CASES if case.weights and case.op in OPS}


def embedder(half: bool = False) -> Any:
    """m = x, of two numbers; ``half``: with weights stored as float16."""
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("m", (2,))])
    builder.add_inner_product("eye", np.eye(2), None, 2, 2, False, "x", "m")
    if half:
        weights = builder.nn_spec.layers[0].innerProduct.weights
        weights.ClearField("floatValue")
        weights.float16Value = np.eye(2, dtype="<f2").tobytes()
    return builder.spec


def head() -> Any:
    """y = m . w + b, updatable."""
    spec = regression_model().spec
    copy = type(spec)()
    copy.CopyFrom(spec)
    copy.description.input[0].name = copy.description.trainingInput[0].name = copy.neuralNetwork.layers[0].input[0] = "m"
    return copy


def pipeline() -> MLModel:
    """An embedder, then a head that learns."""
    return MLModel.from_spec(make_pipeline(None, [embedder(), head()], ["front", "head"]), "two")


@pytest.mark.parametrize("case", WITH_WEIGHTS.values(), ids=WITH_WEIGHTS)
def test_every_field_of_a_layer_is_read_and_set_by_its_name(case: Case) -> None:
    model = MLModel.from_spec(one_layer(case).spec)
    keys = {field: Key("biases" if field == "bias" else field, "spoilt") for field in case.weights}
    for field, array in case.weights.items():
        np.testing.assert_array_equal(model.parameter(keys[field]), np.asarray(array, np.float32))
    given = {keys[field]: np.asarray(array, np.float32) + 1 for field, array in case.weights.items()}
    changed = MLModel(model.with_parameters(given).to_bytes())
    for key, array in given.items():
        np.testing.assert_array_equal(changed.parameter(key), array)
    last = keys[next(reversed(keys))]
    only = model.with_parameters({last: given[last]})
    assert [key for key in given if not np.array_equal(only.parameter(key), model.parameter(key))] == [last]


def test_numbers_have_the_layout_of_the_format_and_are_a_copy() -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (4, 5, 5))], [array_feature("y", (6, 4, 3))])
    weights = np.arange(6 * 2 * 2 * 3, dtype=np.float32).reshape(6, 2, 2, 3)  # [output, input / groups, height, width]
    builder.add_convolution("conv", 2, 6, 2, 3, 1, 1, "valid", 2, weights, np.arange(6), True, "x", "y")
    model = MLModel.from_spec(builder.spec)
    read = model.parameter(Key.WEIGHTS.scoped("conv"))
    np.testing.assert_array_equal(read, weights)
    with pytest.raises(ValueError, match="read-only"):
        read[:] = 0
    given = weights.copy()
    changed = model.with_parameters({Key.WEIGHTS.scoped("conv"): given})
    given[:] = 7
    builder.nn_spec.layers[0].convolution.weights.ClearField("floatValue")
    np.testing.assert_array_equal(read, weights)
    np.testing.assert_array_equal(changed.parameter(Key.WEIGHTS.scoped("conv")), weights)


def test_what_is_set_is_what_predicts_and_the_model_it_was_set_in_stays() -> None:
    model = regression_model()
    before = model.to_bytes()
    weights, bias = np.array([[3.0, -1.0]]), MLMultiArray(np.array([0.25], np.float32))
    changed = model.with_parameters({W: weights, B: bias, Key.LEARNING_RATE: 0.5, Key.EPOCHS: 7})
    assert changed.predict({"x": np.array([2.0, 5.0])})["y"] == pytest.approx([3 * 2 - 5 + 0.25])
    assert (changed.parameter(Key.LEARNING_RATE), changed.parameter(Key.EPOCHS), changed.parameter(Key.MINI_BATCH_SIZE)) == (0.5, 7, 4)
    assert (model.parameter(Key.LEARNING_RATE), model.parameter(Key.EPOCHS)) == (pytest.approx(0.1), 3)
    assert model.to_bytes() == before
    assert MLModel(changed.to_bytes()).parameter(Key.LEARNING_RATE) == pytest.approx(0.1)  # as all parameters given: not written
    assert model.with_parameters({}).to_bytes() == before


def test_values_in_force_are_those_given_before_the_model_s() -> None:
    model = regression_model()
    assert [model.parameter(key) for key in (Key.MOMENTUM, Key.SHUFFLE, Key.SEED)] == [0.0, False, None]
    given = MLModel(model.to_bytes(), MLModelConfiguration(parameters={Key.SEED: 5, Key.SHUFFLE: True}))
    assert [given.parameter(key) for key in (Key.SEED, Key.SHUFFLE, Key.EPOCHS)] == [5, True, 3]
    again = given.with_parameters({Key.SEED: 6})
    assert [again.parameter(key) for key in (Key.SEED, Key.SHUFFLE)] == [6, True]


def test_weights_can_be_given_when_a_model_is_loaded() -> None:
    configuration = MLModelConfiguration(parameters={W: [[1.0, 2.0]], Key.EPOCHS: 2})
    loaded = MLModel(regression_model().to_bytes(), configuration)
    assert loaded.predict({"x": np.array([10.0, 1.0])})["y"] == pytest.approx([12 + float(BIAS[0])])
    assert dict(loaded.configuration.parameters or {}) == {Key.EPOCHS: 2}  # the weights are the model's own now
    np.testing.assert_array_equal(MLModel(loaded.to_bytes()).parameter(W), np.array([[1, 2]], np.float32))
    np.testing.assert_array_equal(configuration.parameters[W], [[1.0, 2.0]])  # type: ignore[index,arg-type]


def test_a_key_is_narrowed_from_the_outside_in_and_found_in_either_order() -> None:
    model = pipeline()
    assert str(Key.BIASES.scoped("head").scoped("dense")) == "head.dense.biases"
    assert Key.parse("head.dense.biases") == Key.BIASES.scoped("head.dense")
    assert Key.parse("norm.gamma") == Key("gamma", "norm")
    spellings = [Key.WEIGHTS.scoped("head").scoped("dense"), Key.WEIGHTS.scoped("dense").scoped("head"), W]
    for key in spellings:
        np.testing.assert_array_equal(model.parameter(key), WEIGHTS)
    assert list(map(str, model.trainable_parameters())) == ["head.dense.weights", "head.dense.biases"]
    changed = model.with_parameters({Key.WEIGHTS.scoped("front").scoped("eye"): 2 * np.eye(2), spellings[0]: [[1, 1]]})
    assert changed.predict({"x": np.array([3.0, 4.0])})["y"] == pytest.approx([14 + float(BIAS[0])])
    with pytest.raises(MLParameterError, match="dense.head.weights: expected one value, got two under different scopes"):
        model.with_parameters(dict.fromkeys(spellings[:2], WEIGHTS))
    twins = MLModel.from_spec(make_pipeline(None, [embedder(), embedder_of("m", "n")]))
    with pytest.raises(MLParameterError, match="eye.weights: expected the name of one layer, .*: model0.eye, model1.eye"):
        twins.parameter(Key.WEIGHTS.scoped("eye"))
    assert twins.parameter(Key.WEIGHTS.scoped("model1").scoped("eye")).shape == (2, 2)  # type: ignore[union-attr]


def embedder_of(taken: str, made: str) -> Any:
    spec = embedder()
    spec.description.input[0].name = spec.neuralNetwork.layers[0].input[0] = taken
    spec.description.output[0].name = spec.neuralNetwork.layers[0].output[0] = made
    return spec


def test_half_precision_stays_half_and_is_rounded_to_the_nearest() -> None:
    model, key = MLModel.from_spec(embedder(half=True)), Key.WEIGHTS.scoped("eye")
    assert model.parameter(key).dtype == np.float32  # type: ignore[union-attr]
    changed = model.with_parameters({key: [[0.1, 65519.0], [-1e-9, 1.0]]})
    # 0.1 is 0x2E66 in binary16, of which the value is 1638 / 16384; 65519 is nearer to 65504, the largest, than to 65536
    np.testing.assert_array_equal(changed.parameter(key), np.array([[1638 / 16384, 65504], [0, 1]], np.float32))
    assert changed.size == model.size
    with pytest.raises(MLParameterError, match=r"eye.weights: expected finite numbers that fit float16, got 65520.0 at index \[0, 1\]"):
        model.with_parameters({key: [[0.1, 65520.0], [0.0, 1.0]]})


def test_quantised_numbers_are_read_and_not_set() -> None:
    model, key = MLModel.from_spec(quantised("line", 8).spec), Key.WEIGHTS.scoped("dense")
    table = np.linspace(-1, 1, 256, dtype=np.float32)
    expected = np.arange(17, 29).reshape(3, 4) * table[:3, None] + table[-3:, None]
    np.testing.assert_allclose(model.parameter(key), expected, rtol=1e-6)
    with pytest.raises(MLParameterError, match=r"dense.weights: expected floating-point numbers in the layer, got quantised ones"):
        model.with_parameters({key: expected})


BAD: dict[str, tuple[Any, str]] = {
    "no such layer": ({Key.WEIGHTS.scoped("dance"): WEIGHTS}, r"dance.weights: expected a layer with weights \(dense\), got 'dance'"),
    "no such field": ({Key("gamma", "dense"): WEIGHTS}, r"layer 'dense' \(innerProduct\) has \(weights, biases\), got 'gamma'"),
    "no layer": ({Key.WEIGHTS: WEIGHTS}, "parameter weights: expected it scoped to a layer"),
    "no key": ({"dense.weights": WEIGHTS}, "expected keys of type MLParameterKey, got 'dense.weights'"),
    "no mapping": ([(W, WEIGHTS)], "parameters: expected a mapping from MLParameterKey to a value, got list"),
    "another shape": ({W: WEIGHTS.T}, r"dense.weights: expected numbers of shape \[1, 2\], got shape \[2, 1\]"),
    "as many in a row": ({W: WEIGHTS[0]}, r"expected numbers of shape \[1, 2\], got shape \[2\]"),
    "a number for all": ({W: 1.0}, r"expected numbers of shape \[1, 2\], got shape \[\]"),
    "not a number": ({W: [[0.0, np.nan]]}, r"dense.weights: expected finite numbers that fit float32, got nan at index \[0, 1\]"),
    "too large": ({W: [[1e39, 0.0]]}, r"expected finite numbers that fit float32, got 1e\+39 at index \[0, 0\]"),
    "text": ({W: "heavy"}, r"dense.weights: expected numbers of shape \[1, 2\], got a str"),
    "nothing": ({B: None}, r"dense.biases: expected numbers of shape \[1\], got nothing"),
    "a value that is not allowed": ({W: WEIGHTS, Key.LEARNING_RATE: 7.0}, "learningRate: expected a number from 0.0 to 1.0, got 7.0"),
    "a number that is no float": ({Key.LEARNING_RATE: 10**400}, "learningRate: expected a number from 0.0 to 1.0, got 1000"),
    "a seed of 65 bits": ({Key.SEED: 2**63}, "seed: expected a whole number of 64 bits, got 9223372036854775808"),
    "no such value": ({Key.BETA1: 0.5}, "beta1: the model does not have it; it has: learningRate"),
}


@pytest.mark.parametrize(("given", "said"), BAD.values(), ids=BAD)
def test_what_does_not_fit_is_refused_whichever_way_it_is_given(given: Any, said: str) -> None:
    model = regression_model()
    before = model.to_bytes()
    ways: list[Callable[[], Any]] = [lambda: model.with_parameters(given)]
    if isinstance(given, dict):
        ways.append(lambda: MLModel(before, MLModelConfiguration(parameters=given)))
    for way in ways:
        with pytest.raises(MLParameterError, match=said):
            way()
    assert model.to_bytes() == before


def test_deltas_are_differences_and_go_back_on() -> None:
    base = regression_model()
    changed = base.with_parameters({W: [[1.5, -0.25]], B: [0.6]})
    delta = changed.delta_from(base)
    assert list(delta) == [W, B]
    np.testing.assert_allclose(delta[W], [[1.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(delta[B], [0.5], rtol=1e-6)
    half = base.with_delta({key: array / 2 for key, array in delta.items()})
    np.testing.assert_allclose(half.parameter(W), [[1.0, -0.25]], rtol=1e-6)
    np.testing.assert_allclose(half.parameter(B), [0.35], rtol=1e-6)
    with pytest.raises(MLParameterError, match=r"two from regression: expected both to train head.dense.weights, .* got \[1, 2\] and none"):
        pipeline().delta_from(base)
    big = base.with_parameters({W: [[3e38, 0]]})
    for other, said in (({Key.EPOCHS: 1}, "numbers of layers, got epochs"), ({"a": 1}, "got a"), ([WEIGHTS], "a mapping .* got list")):
        with pytest.raises(MLParameterError, match=said):
            big.with_delta(other)  # type: ignore[arg-type]
    with pytest.raises(MLModelError, match="delta of regression: expected an MLModel as its base, got dict"):
        base.delta_from({})  # type: ignore[arg-type]
    for wrong, said in ((1.0, r"of shape \[1, 2\], got shape \[\]"), ([[3e38, 0]], "finite .* got 6.0"), ([[np.inf, 0]], "got inf")):
        with pytest.raises(MLParameterError, match=said):
            big.with_delta({W: wrong})


def test_neighbours_have_values_and_no_weights() -> None:
    builder = KNearestNeighborsClassifierBuilder("x", "label", 2, "nobody", number_of_neighbors=3)
    model = MLModel.from_spec(builder.spec, configuration=MLModelConfiguration(parameters={Key.NUMBER_OF_NEIGHBORS: 2}))
    assert model.parameter(Key.NUMBER_OF_NEIGHBORS) == 2
    assert MLModel.from_spec(builder.spec).parameter(Key.NUMBER_OF_NEIGHBORS) == 3
    assert model.trainable_parameters() == {}
    with pytest.raises(MLParameterError, match=r"dense.weights: expected a layer with weights \(none\), got 'dense'"):
        model.parameter(W)
    assert not MLModel.from_spec(embedder()).trainable_parameters()  # nothing of it is updatable
