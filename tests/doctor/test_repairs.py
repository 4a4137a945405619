"""Repairs of networks made by hand: what is left, that it answers as before, and that it learns.

What they answer is worked out in NumPy; what is not proven is not done.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLParameterKey, MLRepair, MLUpdateError, MLUpdateTask
from tailor.building import AdamParams, NeuralNetworkBuilder, SgdParams, array_feature, attach_neighbors, make_pipeline
from tailor.kernels import Array
from tailor.runtime.doctor.repairs import network as repairs_of_networks
from tailor.runtime.format import encode_weights, weight_storage
from tailor.runtime.network import indices
from tests.doctor.models import (
    BIASES,
    FIRST,
    PLAIN,
    SECOND,
    Step,
    X,
    chain,
    hidden_by_hand,
    layer,
    logits_by_hand,
    neighbors,
    network,
    pipeline,
    softmax_by_hand,
    updatable,
)

RESHAPE: Step = ("reshape", layer("reshapeStatic", targetShape=[1, 8]))
SOFTMAX_ND: Step = ("softmaxND", layer("softmaxND", axis=-1))
CONVERTED = ("conv", "relu", RESHAPE, "first", "tanh", "second", SOFTMAX_ND)


def product(params: Any) -> None:
    """``second`` as a matrix product with a matrix of its own."""
    made = params.batchedMatmul
    made.weightMatrixFirstDimension, made.weightMatrixSecondDimension, made.hasBias = 4, 3, True
    encode_weights(made.weights, SECOND)
    encode_weights(made.bias, BIASES[3])


def with_constant(builder: NeuralNetworkBuilder, transposed: bool) -> None:
    """``second`` as a product with a constant, and a bias that is added: what stands for it in ``builder``."""
    layers = builder.nn_spec.layers
    kept = [type(one).FromString(one.SerializeToString()) for one in layers]
    place = next(number for number, one in enumerate(kept) if one.name == "second")
    taken, given = kept[place].input[0], kept[place].output[0]
    del layers[place:]
    for name, array in (("w", SECOND if transposed else SECOND.T), ("b", BIASES[3])):
        constant = layers.add(name=name, output=[name]).loadConstantND
        constant.shape.extend((1, *array.shape) if name == "w" else array.shape)
        encode_weights(constant.data, np.ascontiguousarray(array))
    layers.add(name="lift", input=[taken], output=["lifted"]).expandDims.axes.append(1)
    layers.add(name="product", input=["lifted", "w"], output=["p"]).batchedMatmul.transposeB = transposed
    layers.add(name="sum", input=["p", "b"], output=["s"]).addBroadcastable.SetInParent()
    layers.add(name="drop", input=["s"], output=[given]).squeeze.axes.append(1)
    layers.extend(kept[place + 1 :])


def built(steps: Any, change: Callable[[NeuralNetworkBuilder], object] = lambda builder: None, labels: Any = None) -> NeuralNetworkBuilder:
    builder = network(steps, labels=labels)
    change(builder)
    return builder


REPAIRED = ["conv", "relu", "flatten", "first", "tanh", "second", "softmax", "squeeze"]
CASES: dict[str, tuple[Callable[[], NeuralNetworkBuilder], list[str], set[str]]] = {
    # what comes; the layers that are left; the repairs that were made
    "as a converter leaves it": (lambda: built(CONVERTED), REPAIRED, {"softmax along channels, and no reshapes in front"}),
    "a classifier": (
        lambda: built(CONVERTED, labels=["a", "b", "c"]), REPAIRED[:-1], {"softmax along channels, and no reshapes in front"},
    ),
    "pairs that undo each other": (
        lambda: built(
            ("conv", "relu", "same", ("lift", layer("expandDims", axes=[0])), ("lower", layer("squeeze", axes=[0])), RESHAPE, "first",
             ("turn", layer("transpose", axes=[0, 1])), "tanh", "second", SOFTMAX_ND)
        ),
        REPAIRED, {"no-op layers dropped", "softmax along channels, and no reshapes in front"},
    ),
    "a pair around an activation": (
        lambda: built(
            ("conv", ("lower", layer("squeeze", axes=[0])), "relu", ("lift", layer("expandDims", axes=[0])), RESHAPE, "first", "tanh",
             "second", SOFTMAX_ND)
        ),
        REPAIRED, {"no-op layers dropped", "softmax along channels, and no reshapes in front"},
    ),
    "a matrix product": (
        lambda: built(("conv", "relu", RESHAPE, "first", "tanh", ("second", product), SOFTMAX_ND)),
        REPAIRED, {"matrix products made inner products", "softmax along channels, and no reshapes in front"},
    ),
    "a product with a constant": (
        lambda: built(CONVERTED, lambda builder: with_constant(builder, False)),
        [name if name != "second" else "product" for name in REPAIRED],
        {"matrix products made inner products", "added constants made biases", "softmax along channels, and no reshapes in front"},
    ),
    "a product with a turned constant": (
        lambda: built(CONVERTED, lambda builder: with_constant(builder, True)),
        [name if name != "second" else "product" for name in REPAIRED],
        {"matrix products made inner products", "added constants made biases", "softmax along channels, and no reshapes in front"},
    ),
    "a transpose of axes of size 1": (
        lambda: built(("conv", "relu", ("turn", layer("transpose", axes=[1, 0, 2, 3])), RESHAPE, "first", "tanh", "second", SOFTMAX_ND)),
        REPAIRED, {"softmax along channels, and no reshapes in front"},
    ),
    "reshaped along channels": (
        lambda: built(("conv", "relu", ("reshape", layer("reshapeStatic", targetShape=[1, 8, 1, 1])), "first", "tanh", "second",
                       ("lower", layer("squeeze", axes=[2, 3])), SOFTMAX_ND)),
        REPAIRED, {"softmax along channels, and no reshapes in front"},
    ),
    "logits": (
        lambda: built(("conv", "relu", RESHAPE, "first", "tanh", "second")),
        [*REPAIRED[:-2], "squeeze"], {"no reshapes in front of the loss"},
    ),
}  # fmt: skip


def answers(model: MLModel) -> Array:
    made = model.predict([{"x": x} for x in X])
    return np.array([list(one["y"].values()) if isinstance(one["y"], dict) else one["y"].reshape(-1) for one in made])


@pytest.mark.parametrize("case", CASES)
def test_what_is_repaired_answers_as_before_and_is_accepted(case: str) -> None:
    make, layers, names = CASES[case]
    builder = make()
    before = MLModel.from_spec(builder.spec)
    expected = logits_by_hand(X) if case == "logits" else softmax_by_hand(logits_by_hand(X))
    np.testing.assert_allclose(answers(before), expected, rtol=1e-4, atol=1e-5)
    bytes_before = before.to_bytes()
    model, report = before.repaired()
    assert before.to_bytes() == bytes_before
    assert [one.name for one in model.layers] == layers
    touching = {one.name for one in report.repairs if one.difference is not None}
    assert touching == names and all(one.applied and one.difference < 1e-5 for one in report.repairs if one.name in touching)
    np.testing.assert_allclose(answers(model), expected, rtol=1e-4, atol=1e-5)
    if not builder.spec.HasField("neuralNetworkClassifier"):
        assert [one["y"].shape for one in model.predict([{"x": X[0]}])] == [(1, 3)]
    assert not report.before.accepted_by_core_ml and report.after.findings == ()
    learned = ["conv", "first", "product" if "product" in layers else "second"]
    assert [one.name for one in model.layers if one.updatable] == learned


@pytest.mark.anyio
async def test_a_repaired_network_learns_by_the_gradients_worked_out_by_hand() -> None:
    """One step of gradient descent on the last layer: softmax less one-hot, times what comes in."""
    model, _ = MLModel.from_spec(network(CONVERTED).spec).repaired(trainable=["second"], optimizer=SgdParams(lr=0.5, batch=5))
    labels = [0, 2, 1, 1, 0]
    data = MLArrayBatchProvider([{"x": x, "y_true": [label]} for x, label in zip(X, labels, strict=True)])
    context = await MLUpdateTask(model, data, MLModelConfiguration(parameters={MLParameterKey.SHUFFLE: False}))
    logits = logits_by_hand(X)
    error = softmax_by_hand(logits) - np.eye(3)[labels]
    expected = SECOND - 0.5 * error.T @ hidden_by_hand(X) / len(X)
    np.testing.assert_allclose(context.model.parameter(MLParameterKey.WEIGHTS.scoped("second")), expected, rtol=1e-4, atol=1e-5)


def test_a_transpose_that_moves_numbers_stays_and_what_is_behind_it_does_not_learn() -> None:
    turned = ("conv", "relu", ("turn", layer("transpose", axes=[0, 2, 3, 1])), RESHAPE, "first", "tanh", "second", SOFTMAX_ND)
    before = MLModel.from_spec(network(turned).spec)
    model, report = before.repaired()
    assert [one.name for one in model.layers] == ["conv", "relu", "turn", "flatten", *REPAIRED[3:]]
    assert [one.name for one in model.layers if one.updatable] == ["first", "second"] and report.after.findings == ()
    np.testing.assert_array_equal(answers(model), answers(before))


def half(spec: Any) -> None:
    for one in spec.neuralNetwork.layers:
        if one.name == "first":
            array = FIRST.astype(np.float16)
            one.innerProduct.weights.ClearField("floatValue")
            one.innerProduct.weights.float16Value = array.astype("<f2").tobytes()


def quantised(spec: Any) -> None:
    for one in spec.neuralNetwork.layers:
        if one.name == "first":
            weights = one.innerProduct.weights
            weights.ClearField("floatValue")
            weights.rawValue = bytes(range(32))
            weights.quantization.numberOfBits = 8
            scales = weights.quantization.linearQuantization
            scales.scale.append(np.array([0.125], "<f4").tobytes())
            scales.bias.append(np.array([-2.0], "<f4").tobytes())


def stored(model: MLModel, name: str) -> tuple[str, Array]:
    weights = next(one for one in model.spec.neuralNetwork.layers if one.name == name).innerProduct.weights
    return weight_storage(weights), model.parameter(MLParameterKey.WEIGHTS.scoped(name))  # type: ignore[return-value]


def test_float16_numbers_of_layers_that_learn_become_float32() -> None:
    spec = updatable()
    half(spec)
    model, report = MLModel.from_spec(spec).repaired()
    (repair,) = report.repairs
    assert (repair.name, repair.layers, repair.difference) == ("weights stored as float32", ("first",), 0.0)
    storage, numbers = stored(model, "first")
    assert storage == "floatValue"
    np.testing.assert_array_equal(numbers, FIRST.astype(np.float16).astype(np.float32))


def test_quantised_numbers_become_float32_where_that_is_asked_for() -> None:
    spec = updatable()
    quantised(spec)
    kept, report = MLModel.from_spec(spec).repaired()
    assert [one.name for one in kept.layers if one.updatable] == ["conv", "second"] and report.after.accepted_by_core_ml
    with pytest.raises(MLUpdateError, match="layer 'first': expected floating-point weights, got quantised"):
        MLModel.from_spec(spec).repaired(trainable=["first"])
    model, report = MLModel.from_spec(spec).repaired(dequantize=True)
    assert report.after.findings == () and [one.name for one in model.layers if one.updatable] == ["conv", "first", "second"]
    storage, numbers = stored(model, "first")
    assert storage == "floatValue"
    np.testing.assert_array_equal(numbers, np.arange(32, dtype=np.float32).reshape(4, 8) * 0.125 - 2)


def test_parameters_are_set_and_what_is_allowed_is_widened() -> None:
    spec = updatable()
    optimizer = spec.neuralNetwork.updateParams.optimizer.sgdOptimizer
    optimizer.learningRate.defaultValue = 3.0
    spec.neuralNetwork.updateParams.epochs.set.values[:] = [5, 0]
    given = {MLParameterKey.EPOCHS: 40, MLParameterKey.MINI_BATCH_SIZE: 7, MLParameterKey.SHUFFLE: False}
    model, report = MLModel.from_spec(spec).repaired(parameters=given)
    assert report.after.findings == ()
    told = model.description.parameter_descriptions_by_key
    rate, epochs, batch = (told[key] for key in (MLParameterKey.LEARNING_RATE, MLParameterKey.EPOCHS, MLParameterKey.MINI_BATCH_SIZE))
    assert (rate.default_value, rate.minimum, rate.maximum) == (3.0, 0.0, 3.0)
    assert (epochs.default_value, epochs.allowed_values) == (40, (1, 5, 40))
    assert (batch.default_value, batch.allowed_values) == (7, (2, 7))
    assert told[MLParameterKey.SHUFFLE].default_value is False


def test_an_old_network_needs_no_more_than_a_loss_marks_and_a_newer_version() -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (1, 3, 3))], [array_feature("y", (3,))])
    chain(builder, "x", PLAIN, "y")
    before = MLModel.from_spec(builder.spec)
    model, report = before.repaired()
    assert before.specification_version == 1 and model.specification_version == 4 and report.after.findings == ()
    assert [one.difference for one in report.repairs if one.difference is not None] == []
    expected = softmax_by_hand(logits_by_hand(X))
    np.testing.assert_allclose(model.predict({"x": X[0, 0]})["y"], expected[0], rtol=1e-4, atol=1e-5)


def test_what_is_right_stays_as_it_is() -> None:
    model = MLModel.from_spec(updatable())
    again, report = model.repaired()
    assert report.repairs == () and again.to_bytes() == model.to_bytes()


def test_what_an_optimizer_lacks_is_added_and_what_it_has_is_kept() -> None:
    spec = updatable()
    adam = spec.neuralNetwork.updateParams.optimizer.adamOptimizer
    adam.learningRate.defaultValue = 0.25
    spec.neuralNetwork.updateParams.ClearField("epochs")
    model, report = MLModel.from_spec(spec).repaired()
    assert report.after.findings == ()
    told = {str(key): one.default_value for key, one in model.description.parameter_descriptions_by_key.items()}
    assert (told["learningRate"], told["beta1"], told["beta2"], told["eps"], told["epochs"]) == (0.25, 0.9, 0.999, 1e-8, 1)
    other, _ = model.repaired(optimizer=AdamParams(lr=0.5, batch=3))
    assert other.description.parameter_descriptions_by_key[MLParameterKey.MINI_BATCH_SIZE].default_value == 3


def test_names_are_made_unique() -> None:
    spec = updatable()
    for place, name in ((1, "conv"), (2, "")):
        spec.neuralNetwork.layers[place].name = name
    model, report = MLModel.from_spec(spec).repaired()
    assert report.after.findings == () and [one.name for one in model.layers][:3] == ["conv", "conv_2", "layer"]
    model.spec.neuralNetwork.updateParams.lossLayers[0].name = "conv"
    model, report = model.repaired()
    assert report.after.findings == () and model.spec.neuralNetwork.updateParams.lossLayers[0].name == "conv_3"


def test_a_repair_that_fails_its_proof_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropping layers is made to drop the ReLU, too."""

    def broken(layers: Any, only: Any) -> None:
        relu = next(one for one in layers if one.name == "relu")
        layers.replace(relu.output[0], relu.input[0])
        layers.remove(relu)

    monkeypatch.setattr(repairs_of_networks, "drop_views", broken)
    before = MLModel.from_spec(network(CONVERTED).spec)
    model, report = before.repaired()
    refused = [one for one in report.repairs if not one.applied]
    assert refused and all("expected outputs within 0, got" in one.remark and one.difference for one in refused)
    assert "relu" in [one.name for one in model.layers]
    assert "NOT done: no-op layers dropped" in str(report)
    np.testing.assert_allclose(answers(model), answers(before), rtol=1e-5, atol=1e-6)


def test_a_reshape_that_only_the_first_size_allows_is_no_no_op() -> None:
    """x may be [1, 8] or [2, 8]: what is a no-op for one mixes up the other."""
    builder = NeuralNetworkBuilder([array_feature("x", (1, 8))], [array_feature("y")], disable_rank5_shape_mapping=True)
    sizes = builder.spec.description.input[0].type.multiArrayType.enumeratedShapes
    for shape in ((1, 8), (2, 8)):
        sizes.shapes.add().shape.extend(shape)
    builder.add_inner_product("first", FIRST, None, 8, 4, False, "x", "h")
    builder.nn_spec.layers.add(name="turn", input=["h"], output=["t"]).rankPreservingReshape.targetShape.extend((1, -1))
    builder.nn_spec.layers.add(name="sums", input=["t"], output=["y"]).reduceSum.axes.append(-1)
    before = MLModel.from_spec(builder.spec)
    model, report = before.repaired(loss="mean_squared_error")
    (refused,) = [one for one in report.repairs if not one.applied]
    assert refused.name == "no-op layers dropped" and refused.layers == ("turn",)
    assert "expected outputs of the shapes that they had" in refused.remark
    for shape in ((1, 8), (2, 8)):
        np.testing.assert_array_equal(model.predict({"x": np.ones(shape)})["y"], before.predict({"x": np.ones(shape)})["y"])


def test_what_core_ml_would_refuse_all_the_same_is_said() -> None:
    """Leaky ReLU has no gradient in Core ML's update; tailor trains the convolution in front of it."""
    leaky = ("conv", "leaky", RESHAPE, "first", "tanh", "second", SOFTMAX_ND)
    model, report = MLModel.from_spec(network(leaky).spec).repaired(trainable=["conv"])
    assert [one.rule for one in report.after.findings] == ["gradient"] and "'leaky' (activation.leakyReLU)" in str(report)
    assert not report.after.accepted_by_core_ml and report.after.accepted_by_tailor
    assert [one.name for one in model.layers if one.updatable] == ["conv"]
    _, report = MLModel.from_spec(network(leaky).spec).repaired()
    assert report.after.findings == () and report.repairs[-1].layers == ("first", "second")


def test_what_is_selected_from_is_no_index_and_so_is_not_zero_in_a_proof() -> None:
    def step(kind: str, inputs: list[str], made: str) -> SimpleNamespace:
        return SimpleNamespace(kind=kind, inputs=inputs, outputs=[made])

    steps = [step("squeeze", ["i"], "j"), step("gather", ["x", "j"], "g"), step("embeddingND", ["word"], "e")]
    assert indices(steps) == {"i", "j", "word"}


def test_what_cannot_be_run_is_not_repaired() -> None:
    builder = network(CONVERTED)
    builder.nn_spec.layers.insert(1, type(builder.nn_spec.layers[0])(name="mystery", input=["v0"], output=["m"]))
    builder.nn_spec.layers[1].custom.className = "Mystery"
    builder.nn_spec.layers[2].input[0] = "m"
    with pytest.raises(MLUpdateError, match="expected a shape that is known beforehand, .* once their classes are registered: Mystery"):
        MLModel.from_spec(builder.spec).repaired()


def test_nearest_neighbours_and_pipelines() -> None:
    spec = neighbors()
    message = spec.kNearestNeighborsClassifier
    message.numberOfNeighbors.Clear()
    message.ClearField("uniformWeighting")
    message.nearestNeighborsIndex.ClearField("linearIndex")
    spec.isUpdatable = False
    del spec.description.trainingInput[:]
    model, report = MLModel.from_spec(spec).repaired(parameters={MLParameterKey.NUMBER_OF_NEIGHBORS: 2})
    assert report.after.findings == () and list(model.description.training_input_descriptions_by_name) == ["point", "label"]
    assert model.description.parameter_descriptions_by_key[MLParameterKey.NUMBER_OF_NEIGHBORS].default_value == 2
    whole = pipeline()
    whole.isUpdatable = whole.pipelineClassifier.pipeline.models[1].isUpdatable = False
    del whole.description.trainingInput[:]
    model, report = MLModel.from_spec(whole).repaired()
    assert report.after.findings == () and list(model.description.training_input_descriptions_by_name) == ["x", "label"]
    with pytest.raises(MLUpdateError, match="expected no loss, trainable for nearest neighbours"):
        MLModel.from_spec(spec).repaired(loss="mean_squared_error", trainable=["a"])


def test_the_last_network_of_a_pipeline_is_repaired() -> None:
    front = network(("conv", "relu"), (1, 2, 2, 2)).spec
    front.description.output[0].name = "image"
    front.neuralNetwork.layers[-1].output[0] = "image"
    head = NeuralNetworkBuilder([array_feature("image", (1, 2, 2, 2))], [array_feature("y", (1, 3))], disable_rank5_shape_mapping=True)
    layers = head.nn_spec.layers
    layers.add(name="reshape", input=["image"], output=["flat"]).reshapeStatic.targetShape.extend((1, 8))
    head.add_inner_product("first", FIRST, BIASES[4], 8, 4, True, "flat", "h")
    head.add_activation("tanh", "TANH", "h", "t")
    head.add_inner_product("second", SECOND, BIASES[3], 4, 3, True, "t", "l")
    layers.add(name="softmaxND", input=["l"], output=["y"]).softmaxND.axis = 1
    whole = make_pipeline(None, [front, head.spec])
    expected = softmax_by_hand(logits_by_hand(X))
    model, report = MLModel.from_spec(whole).repaired()
    assert report.after.findings == () and report.after.learner == "model1"
    assert list(model.description.training_input_descriptions_by_name) == ["x", "y_true"]
    np.testing.assert_allclose(answers(model), expected, rtol=1e-4, atol=1e-5)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown loss": ({"loss": "hinge"}, "loss: expected categorical_cross_entropy or mean_squared_error, got 'hinge'"),
    "an unknown optimizer": ({"optimizer": "rmsprop"}, "optimizer: expected sgd or adam, or SgdParams or AdamParams, got 'rmsprop'"),
    "an unknown layer": ({"trainable": ["dense"]}, r"trainable: expected the name of a layer .*'conv', 'first', 'second'.*, got 'dense'"),
    "a layer without parameters": ({"trainable": ["tanh"]}, "layer 'tanh': expected convolution or innerProduct .*, got activation.tanh"),
    "names as text": ({"trainable": "first"}, "trainable: expected a list of names of layers, got 'first'"),
    "an unknown output": ({"output": "z"}, r"expected one of the outputs for the loss to be about \('y'\), got 'z'"),
    "an unknown parameter": ({"parameters": {MLParameterKey.BETA1: 0.5}}, "parameter beta1: expected one of learningRate"),
    "an impossible value": ({"parameters": {MLParameterKey.EPOCHS: 0}}, "parameter epochs: expected a whole number of at least 1, got 0"),
    "a key that is none": ({"parameters": {"epochs": 1}}, "expected keys of type MLParameterKey, got 'epochs'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_asked_for_and_cannot_be_is_refused(case: str) -> None:
    options, told = REFUSED[case]
    with pytest.raises(MLUpdateError, match=told):
        MLModel.from_spec(network(CONVERTED).spec).repaired(**options)


def test_what_does_not_fit_a_loss_is_refused() -> None:
    images = MLModel.from_spec(network(("conv",), (1, 2, 2, 2)).spec)
    with pytest.raises(MLUpdateError, match=r"a vector of one number a class for cross entropy, got 'y' of shape \[1, 2, 2, 2\]"):
        images.repaired(loss="categorical_cross_entropy")
    assert images.repaired()[1].after.findings == ()
    with pytest.raises(MLUpdateError, match="expected categorical_cross_entropy for a classifier"):
        MLModel.from_spec(network(CONVERTED, labels=["a", "b", "c"]).spec).repaired(loss="mean_squared_error")
    two = network(PLAIN, (1, 3, 1, 1))
    two.spec.description.output.append(array_feature("v5", (1, 3, 1, 1)))
    with pytest.raises(MLUpdateError, match="expected one output, or to be told which of them the loss is about, got 'y', 'v5'"):
        MLModel.from_spec(two.spec).repaired()
    _, report = MLModel.from_spec(two.spec).repaired(output="v5")
    assert report.after.loss == "mean squared error of 'v5'" and report.after.findings == ()
    with pytest.raises(MLUpdateError, match="expected a convolution or an inner product that a loss can reach, got none"):
        MLModel.from_spec(network(("relu",), (1, 1, 3, 3)).spec).repaired()
    with pytest.raises(MLUpdateError, match="expected a neural network, .*, got identity, which is not updated"):
        spec = type(two.spec)(specificationVersion=1)
        spec.description.CopyFrom(network(("relu",), (1, 1, 3, 3)).spec.description)
        spec.identity.SetInParent()
        MLModel.from_spec(spec).repaired()


def test_a_head_of_nearest_neighbours_is_left_as_it_is() -> None:
    head = MLModel.from_spec(attach_neighbors(network(("conv", "relu", "flat"), (1, 8, 1, 1)).spec, "label", "nobody"))
    again, report = head.repaired()
    assert report.repairs == () and again.to_bytes() == head.to_bytes()


def test_a_report_can_be_read() -> None:
    told = str(MLRepair("no-op layers dropped", ("a", "b"), True, 0.0))
    assert told == "done: no-op layers dropped: a, b (outputs differ by 0)"
