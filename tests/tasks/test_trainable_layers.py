"""``trainable=``: what is asked for learns, whatever the model says of it, by the gradient, and is written where it came from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLParameterError, MLParameterKey, MLUpdateError, MLUpdateTask
from tailor.kernels import Array
from tailor.runtime.format import (
    AdamParams,
    NeuralNetworkBuilder,
    NeuralNetworkLayer,
    array_feature,
    encode_weights,
    make_pipeline,
    read_contents,
    write_floats,
)
from tailor.runtime.models.lowered import graph_of
from tailor.runtime.models.trainable import trainable_layers
from tailor.runtime.network import make_plan
from tests.network.models import weights
from tests.tasks.trainable_cases import CASES, RATE, Case

pytestmark = pytest.mark.anyio


def key_of(name: str) -> str:
    """The graph's key of the weight that the message's walk calls ``name``: ``it.weightParams.1.X`` is ``it.X[1]``."""
    layer, *_, field = name.split(".")
    place = next((part for part in name.split(".") if part.isdigit()), None)
    return f"{layer}.{field}" if place is None else f"{layer}.{field}[{place}]"


def slopes(case: Case, model: MLModel, key: str) -> Array:
    """The gradient of the loss by the parameter ``key``, by central differences in float64."""
    graph = graph_of(model.spec, ["y"], "model")
    parameters = {name: np.array(array, np.float64) for name, array in graph.parameters.items()}
    x, target = (array.astype(np.float64) for array in case.examples())
    plan = make_plan(replace(graph, parameters=parameters), {"x": case.x})
    moved, found = parameters[key].reshape(-1), []
    for place in range(moved.size):
        start, losses = moved[place], []
        for step in (1e-5, -1e-5):
            moved[place] = start + step
            y = plan.run({"x": x}, stacked=True)["y"]
            losses.append(np.mean((y.reshape(target.shape) - target) ** 2))
        moved[place] = start
        found.append((losses[0] - losses[1]) / 2e-5)
    return np.array(found)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_layer_that_is_asked_for_takes_the_step_of_its_gradient_and_is_written_back(case: Case) -> None:
    model = case.model()
    context = await MLUpdateTask(model, case.provider(), MLModelConfiguration(trainable=["it"]))
    before, after = read_contents(model.spec), read_contents(context.model.spec)
    names = {f"it.{path}" for path in case.weights}
    assert before.keys() == names
    for name in names:
        if name.rpartition(".")[2] in case.fixed:
            np.testing.assert_array_equal(after[name], before[name])
            continue
        step = (np.array(before[name]) - np.array(after[name])) / RATE
        np.testing.assert_allclose(step, slopes(case, model, key_of(name)), rtol=1e-3, atol=2e-6, err_msg=name)
        assert np.abs(step).max() > 1e-4, name
    x, _ = case.examples()
    again = MLModel(context.model.to_bytes())
    assert not again.layers[0].updatable
    for row in x:
        got, there = again.predict({"x": row})["y"], context.model.predict({"x": row})["y"]
        np.testing.assert_array_equal(got, there)
        assert not np.array_equal(got, model.predict({"x": row})["y"])


def holds_weights(message: Any) -> bool:
    """Whether a message of the format has a field for weights, not counting those of networks and functions inside it."""
    fields = [field.message_type for field in message.fields if field.message_type is not None]
    return any(inner.name == "WeightParams" or (inner.name == "LSTMWeightParams" and holds_weights(inner)) for inner in fields)


def test_every_layer_of_the_format_that_has_weights_is_among_the_cases() -> None:
    kinds = {field.name: field.message_type for field in NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields}
    functions = kinds.pop("activation").oneofs_by_name["NonlinearityType"].fields
    kinds |= {f"activation.{field.name}": field.message_type for field in functions}
    assert {kind for kind, message in kinds.items() if holds_weights(message)} - {"custom"} == {case.kind for case in CASES}


def digits() -> Any:
    """x -> batch normalisation "bn" -> ReLU -> "dense" -> softmax, of which "dense" is marked as updatable; Adam."""
    builder = NeuralNetworkBuilder([array_feature("x", (3,))], [array_feature("p", (2,))])
    numbers = weights(3, 3, 1)[:, 0]
    builder.add_batchnorm("bn", 3, numbers, numbers, numbers, np.abs(numbers), "x", "n")
    builder.add_activation("relu", "RELU", "n", "r")
    builder.add_inner_product("dense", weights(1, 2, 3), weights(2, 2, 1)[:, 0], 3, 2, True, "r", "l")
    builder.add_softmax("softmax", "l", "p")
    builder.add_inner_product("elsewhere", weights(1, 2, 3), None, 3, 2, False, "x", "unused")
    builder.make_updatable(["dense"])
    builder.set_categorical_cross_entropy_loss("loss", "p")
    builder.set_adam_optimizer(AdamParams(lr=0.01, batch=4))
    builder.set_epochs(2)
    builder.set_shuffle(False)
    return builder.spec


def digits_data(count: int = 10) -> MLArrayBatchProvider:
    rng = np.random.default_rng(4)
    rows = zip(rng.normal(size=(count, 3)).astype(np.float32), rng.integers(0, 2, (count, 1), dtype=np.int32), strict=True)
    return MLArrayBatchProvider([{"x": x, "p_true": target} for x, target in rows])


def changed(before: Any, after: Any) -> set[str]:
    old, new = read_contents(before), read_contents(after)
    return {name for name in old if not np.array_equal(old[name], new[name])}


@pytest.mark.parametrize(
    ("asked", "learned"),
    [
        (None, {"dense.weights", "dense.bias"}),
        ("all", {"bn.gamma", "bn.beta", "dense.weights", "dense.bias"}),
        (["bn"], {"bn.gamma", "bn.beta"}),
        (["bn.beta"], {"bn.beta"}),
        (["dense.weights", "bn.gamma", "bn"], {"bn.gamma", "bn.beta", "dense.weights"}),
    ],
    ids=["what is marked", "all", "a layer", "a field", "both"],
)
async def test_exactly_what_is_asked_for_learns(asked: Any, learned: set[str]) -> None:
    spec = digits()
    model = MLModel.from_spec(spec)
    context = await MLUpdateTask(model, digits_data(), MLModelConfiguration(trainable=asked))
    assert changed(spec, context.model.spec) == learned
    assert [layer.updatable for layer in context.model.layers] == [layer.updatable for layer in model.layers]


def quantised(spec: Any) -> Any:
    dense = spec.neuralNetwork.layers[2].innerProduct
    del dense.weights.floatValue[:]
    dense.weights.rawValue, dense.weights.quantization.numberOfBits = bytes(range(6)), 8
    for field, value in (("scale", 0.1), ("bias", 0.0)):
        write_floats(dense.weights.quantization.linearQuantization, field, [value])
    return spec


def rounded(spec: Any) -> Any:
    """With a layer that has no gradient before "dense"."""
    relu = spec.neuralNetwork.layers[1]
    relu.round.SetInParent()
    return spec


def unmarked(spec: Any) -> Any:
    spec.isUpdatable = False
    spec.neuralNetwork.updateParams.ClearField("optimizer")
    return spec


@pytest.mark.parametrize(
    ("change", "asked", "message"),
    [
        (None, ["nowhere"], r"trainable: expected the name of a layer with parameters, or LAYER.FIELD \(.*'bn', 'dense'.*, got 'nowhere'"),
        (None, ["relu"], r"layer 'relu' \(activation.ReLU\): expected a layer with parameters of its own, got one without"),
        (None, ["bn.mean"], r"layer 'bn' \(batchnorm\): expected one of its fields that learn, gamma, beta, got 'mean'"),
        (None, ["elsewhere"], r"layer 'elsewhere' \(innerProduct\): .* but the loss does not depend on it"),
        (quantised, ["dense"], r"layer 'dense' \(innerProduct\): .* but its weights are quantised"),
        (quantised, ["dense.weights"], "its weights are quantised"),
        (rounded, ["bn"], r"layer 'bn' \(batchnorm\): .*no gradient comes back to it: layer 'relu' of kind 'round'"),
        (unmarked, ["bn"], "not marked as updatable; 'trainable' chooses layers, .* NeuralNetworkBuilder .* adds the mark, an optimizer$"),
    ],
)
def test_what_cannot_be_trained_is_refused_when_the_task_is_made(change: Any, asked: Any, message: str) -> None:
    spec = digits() if change is None else change(digits())
    with pytest.raises(MLUpdateError, match=message):
        MLUpdateTask(MLModel.from_spec(spec), digits_data(), MLModelConfiguration(trainable=asked))


@pytest.mark.parametrize("asked", ["some", "", [], [""], [1], {"bn": 1}, b"all", 7], ids=str)
def test_what_is_no_list_of_names_is_refused(asked: Any) -> None:
    with pytest.raises(MLParameterError, match="trainable: expected 'all', a list of one name or more, or None, got"):
        MLModelConfiguration(trainable=asked)


def test_all_leaves_out_what_cannot_be_trained_and_says_so_where_nothing_is_left() -> None:
    found = trainable_layers(quantised(digits()), ["l"])
    assert [(layer.name, layer.fields, layer.numbers, layer.marked) for layer in found] == [
        ("bn", ("gamma", "beta"), 6, False),
        ("dense", ("bias",), 2, True),
        ("elsewhere", (), 0, False),
    ]
    assert [bool(layer.obstacle) for layer in found] == [False, True, True]
    spec = quantised(digits())
    del spec.neuralNetwork.layers[0], spec.neuralNetwork.layers[0]
    spec.neuralNetwork.layers[0].input[0] = "x"
    with pytest.raises(
        MLUpdateError, match="trainable: expected at least one layer that can be trained, got none .*'dense': its weights are quant"
    ):
        MLUpdateTask(MLModel.from_spec(spec), digits_data(), MLModelConfiguration(trainable="all"))


def test_layers_that_cannot_be_told_apart_are_listed_with_the_reason() -> None:
    spec = digits()
    for layer, name in zip(spec.neuralNetwork.layers, ("", "", "same", "softmax", "same"), strict=True):
        layer.name = name
    found = {(layer.kind, layer.obstacle) for layer in trainable_layers(spec)}
    nameless, same = "it has no name, by which its parameters are kept", "another layer has the same name"
    assert found == {("batchnorm", nameless), ("innerProduct", same)}


async def test_in_a_pipeline_layers_of_the_last_model_are_named_with_it_or_without() -> None:
    front = NeuralNetworkBuilder([array_feature("raw", (3,))], [array_feature("x", (3,))])
    front.add_activation("front", "LINEAR", "raw", "x", params=[2.0, 0.0])
    whole = make_pipeline(None, [front.spec, digits()], ["scaled", "judged"])
    rows = [{"raw": row["x"], "p_true": row["p_true"]} for row in (digits_data().features_at(i) for i in range(10))]
    models = []
    for name in ("bn", "judged.bn"):
        task = MLUpdateTask(MLModel.from_spec(whole), MLArrayBatchProvider(rows), MLModelConfiguration(trainable=[name]))
        models.append((await task).model)
    assert changed(whole, models[0].spec) == {"judged.bn.gamma", "judged.bn.beta"}
    assert models[0].content_hash == models[1].content_hash
    with pytest.raises(
        MLUpdateError, match="expected layers of 'judged', for only the last model of a pipeline learns, got 'scaled.front'"
    ):
        MLUpdateTask(MLModel.from_spec(whole), MLArrayBatchProvider(rows), MLModelConfiguration(trainable=["scaled.front"]))


async def test_float16_weights_are_trained_in_float32_and_rounded_where_they_are_written() -> None:
    exact, halved = digits(), digits()
    for layer in (exact.neuralNetwork.layers[0].batchnorm, halved.neuralNetwork.layers[0].batchnorm):
        numbers = np.array([0.5, 0.25, 0.125], np.float32)  # which both types hold
        encode_weights(layer.gamma, numbers)
    half = halved.neuralNetwork.layers[0].batchnorm.gamma
    del half.floatValue[:]
    half.float16Value = numbers.astype("<f2").tobytes()
    learned = []
    for spec in (exact, halved):
        context = await MLUpdateTask(MLModel.from_spec(spec), digits_data(), MLModelConfiguration(trainable=["bn"]))
        learned.append(read_contents(context.model.spec))
    assert learned[1]["bn.gamma"].dtype == np.float16
    assert learned[1]["bn.gamma"].tobytes() == np.asarray(learned[0]["bn.gamma"]).astype(np.float16).tobytes()
    np.testing.assert_array_equal(learned[0]["bn.beta"], learned[1]["bn.beta"])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # of arithmetic alone
async def test_an_lstm_behind_a_batch_normalisation_learns_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
    case = next(case for case in CASES if case.kind == "uniDirectionalLSTM")
    spec = case.model().spec
    spec.neuralNetwork.layers[0].input[0] = "n"
    lstm = spec.neuralNetwork.layers[0].uniDirectionalLSTM
    lstm.params.hasPeepholeVectors = False
    layer = spec.neuralNetwork.layers.add(name="bn", input=["x"], output=["n"])
    layer.batchnorm.channels, layer.batchnorm.epsilon = 3, 0.001
    statistics = {"gamma": [1.0, 0.5, -1.0], "beta": [0.0, 0.25, 0.5], "mean": [0.1, 0.2, 0.3], "variance": [1.0, 2.0, 0.5]}
    for field, values in statistics.items():
        encode_weights(getattr(layer.batchnorm, field), np.array(values, np.float32))
    spec.neuralNetwork.updateParams.epochs.set.values.append(20)

    gates = ("inputGate", "forgetGate", "blockInput", "outputGate")  # in PyTorch's order
    fields = {"weight_ih_l0": "WeightMatrix", "weight_hh_l0": "RecursionMatrix", "bias_ih_l0": "BiasVector"}
    contents = read_contents(spec)
    twin = torch.nn.LSTM(3, 2)
    with torch.no_grad():
        twin.bias_hh_l0.zero_()  # Core ML has one bias
        for name, field in fields.items():
            parts = [contents[f"it.weightParams.{gate}{field}"] for gate in gates]
            getattr(twin, name).copy_(torch.tensor(np.concatenate(parts)).reshape(getattr(twin, name).shape))
    tensors = {name: torch.tensor(values, requires_grad=name in ("gamma", "beta")) for name, values in statistics.items()}
    learning = [tensors["gamma"], tensors["beta"], *(getattr(twin, name) for name in fields)]
    optimizer = torch.optim.SGD(learning, lr=RATE)
    x, target = (torch.tensor(array.reshape(len(array), 3, -1)).transpose(0, 1) for array in case.examples())
    for _ in range(20):
        optimizer.zero_grad()
        normal = torch.nn.functional.batch_norm(x.flatten(0, 1), *(tensors[n] for n in ("mean", "variance", "gamma", "beta")), eps=0.001)
        torch.nn.functional.mse_loss(twin(normal.reshape(x.shape))[0], target).backward()
        optimizer.step()

    configuration = MLModelConfiguration(parameters={MLParameterKey.EPOCHS: 20}, trainable="all")
    context = await MLUpdateTask(MLModel.from_spec(spec), case.provider(), configuration)
    learned = read_contents(context.model.spec)
    for name, field in fields.items():
        parts = [learned[f"it.weightParams.{gate}{field}"] for gate in gates]
        theirs = getattr(twin, name).detach().numpy().reshape(-1)
        np.testing.assert_allclose(np.concatenate(parts), theirs, rtol=1e-5, atol=2e-6, err_msg=field)
    for name in ("gamma", "beta"):
        np.testing.assert_allclose(learned[f"bn.{name}"], tensors[name].detach().numpy(), rtol=1e-5, atol=2e-6)
    assert np.abs(learned["bn.gamma"] - np.array(statistics["gamma"])).max() > 0.01
