"""What a network learns: the mathematics worked out independently, its determinism, and what it refuses to take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailor.kernels import SGD, Adam, Array
from tailor.runtime.errors import MLFeatureError, MLUpdateError
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature, image_feature
from tailor.runtime.models.network import NetworkPredictor
from tailor.runtime.models.network_learner import NetworkLearner
from tailor.runtime.network.portions import portions
from tests.network.models import digits_builder, images, teach, weights

ADAM = Adam(0.01)

pytestmark = pytest.mark.usefixtures("small_pieces")


def linear(*, bias: bool = True) -> Any:
    """y = W x (+ b), mean squared error over two outputs, SGD."""
    builder = NeuralNetworkBuilder([array_feature("x", (3,))], [array_feature("y", (2,))])
    builder.add_inner_product("dense", weights(1, 2, 3), weights(2, 2, 1)[:, 0] if bias else None, 3, 2, bias, "x", "y")
    builder.make_updatable(["dense"])
    builder.set_mean_squared_error_loss("loss", "y")
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=4, momentum=0.0))
    builder.set_epochs(1)
    return builder.spec


@pytest.mark.parametrize("bias", [True, False])
def test_squared_error_and_momentum_by_hand(bias: bool) -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(40, 2)).astype(np.float32)
    learner = NetworkLearner(linear(bias=bias), "linear", threads=1)
    w, b = weights(1, 2, 3).astype(float), weights(2, 2, 1)[:, 0].astype(float) * bias
    speed_w, speed_b = np.zeros_like(w), np.zeros_like(b)
    for step in range(3):
        losses = learner.step({"x": x, "y_true": t}, 40, SGD(0.1, 0.9))
        error = x @ w.T + b - t
        assert losses is not None
        assert losses.dtype == np.float64
        np.testing.assert_allclose(losses, (error**2).mean(axis=1), rtol=1e-5, atol=1e-7)
        speed_w = 0.9 * speed_w - 0.1 * error.T @ x / 40  # d mean(error ^ 2) = 2 error / 2 elements
        speed_b = 0.9 * speed_b - 0.1 * error.mean(axis=0)
        w, b = w + speed_w, b + speed_b * bias
        assert learner.steps == step + 1
    np.testing.assert_allclose(learner.parameters["dense.weights"], w, rtol=1e-5)
    assert list(learner.parameters) == ["dense.weights", "dense.bias"][: 1 + bias]
    if bias:
        np.testing.assert_allclose(learner.parameters["dense.bias"], b, rtol=1e-5)


def targets(count: int, seed: int = 6) -> Array:
    return np.random.default_rng(seed).integers(0, 3, (count, 1), dtype=np.int32)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("adam", [True, False])
def test_cross_entropy_like_pytorch(adam: bool, frozen: bool) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
    learner = NetworkLearner(teach(digits_builder(), ("dense",) if frozen else ("conv", "dense"), adam=adam), "digits", threads=2)
    ours = {name: torch.tensor(array, requires_grad=True) for name, array in learner.parameters.items()}
    conv = [torch.tensor(weights(1, 4, 1, 3, 3)), torch.tensor(weights(2, 4, 1)[:, 0])]
    conv = conv if frozen else [ours["conv.weights"], ours["conv.bias"]]
    theirs: Any = torch.optim.Adam(ours.values(), lr=0.01) if adam else torch.optim.SGD(ours.values(), lr=0.1)
    for step in range(4):
        batch, classes = images(70, step), targets(70, step)
        x = torch.tensor(batch[:, None] / np.float32(255) - 0.5)
        x = torch.nn.functional.conv2d(x, *conv, padding=1)
        x = torch.nn.functional.max_pool2d(torch.relu(x), 2).flatten(1)
        logits = x @ ours["dense.weights"].T + ours["dense.bias"]
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(classes[:, 0], dtype=torch.int64), reduction="none")
        theirs.zero_grad()
        expected.mean().backward()
        theirs.step()
        losses = learner.step({"image": batch, "scores_true": classes}, 70, ADAM if adam else SGD(0.1))
        np.testing.assert_allclose(losses, expected.detach().numpy(), rtol=1e-4)
    for name, array in learner.parameters.items():
        np.testing.assert_allclose(array, ours[name].detach().numpy(), rtol=1e-3, atol=1e-5, err_msg=name)
    learner.close()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    spec = teach(digits_builder())
    states = []
    for threads in (1, 2, 3):
        learner = NetworkLearner(spec, "digits", threads)
        tensors = {"image": np.zeros((100, 1, 1, 1, 8, 8), np.float32)}
        assert len(portions(learner.trainer.plans, tensors, 100)) == 13  # there is work to share
        losses = [learner.step({"image": images(100, i), "scores_true": targets(100, i)}, 100, ADAM) for i in range(3)]
        learner.close()
        states.append((np.stack([np.asarray(row) for row in losses]), learner.parameters, learner.slots))
    for losses_, parameters, slots in states[1:]:
        np.testing.assert_array_equal(losses_, states[0][0])
        for name, array in {**parameters, **slots}.items():
            np.testing.assert_array_equal(array, {**states[0][1], **states[0][2]}[name], err_msg=name)


def test_what_is_frozen_stays_and_what_learns_is_the_learners_own() -> None:
    spec = teach(digits_builder(), layers=("dense",))
    before = spec.SerializeToString(deterministic=True)
    learner = NetworkLearner(spec, "digits", 1)
    learner.step({"image": images(8), "scores_true": targets(8)}, 8, ADAM)
    assert list(learner.parameters) == ["dense.weights", "dense.bias"]
    assert spec.SerializeToString(deterministic=True) == before
    written = type(spec)()
    written.CopyFrom(spec)
    write = learner.writer()
    learner.step({"image": images(8), "scores_true": targets(8)}, 8, ADAM)
    learner.close()
    write(written)
    again = NetworkLearner(written, "again", 1)
    assert written.neuralNetwork.layers[0] == spec.neuralNetwork.layers[0]  # the convolution
    assert not np.array_equal(again.parameters["dense.weights"], learner.parameters["dense.weights"])  # written as it was then
    learner.writer()(written)
    np.testing.assert_array_equal(NetworkLearner(written, "again", 1).parameters["dense.weights"], learner.parameters["dense.weights"])


def test_a_learner_put_back_where_another_was_goes_on_with_the_same_bits() -> None:
    spec = teach(digits_builder())
    batches = [({"image": images(16, i), "scores_true": targets(16, i)}, 16, ADAM) for i in range(4)]
    straight, first, second = (NetworkLearner(spec, "digits", 1) for _ in range(3))
    for batch in batches:
        straight.step(*batch)
    for batch in batches[:2]:
        first.step(*batch)
    for name, array in first.parameters.items():
        second.parameters[name][...] = array
    second.slots, second.steps = {name: array.copy() for name, array in first.slots.items()}, first.steps
    for batch in batches[2:]:
        second.step(*batch)
    for name, array in straight.parameters.items():
        np.testing.assert_array_equal(second.parameters[name], array)


@pytest.mark.parametrize("labels", [["cat", "dog", "emu"], [7, 8, 9]])
def test_a_classifier_learns_from_labels(labels: list[Any]) -> None:
    spec = teach(digits_builder(labels))
    batch, classes = images(16), targets(16)[:, 0]
    by_label = NetworkLearner(spec, "m", 1).step({"image": batch, "classLabel": [labels[i] for i in classes]}, 16, ADAM)
    probabilities = [list(row.values()) for row in NetworkPredictor(spec, "m").predict({"image": batch}, 16)["scores"]]
    np.testing.assert_allclose(by_label, -np.log([row[i] for row, i in zip(probabilities, classes, strict=True)]), rtol=1e-5)
    with pytest.raises(MLFeatureError, match="example 1: training input 'classLabel': expected one of the class labels .* got 'cow'"):
        NetworkLearner(spec, "m", 1).step({"image": batch[:2], "classLabel": [labels[0], "cow"]}, 2, ADAM)


@pytest.mark.parametrize(("wrong", "got"), [(3, "3"), (-1, "-1"), (0.5, "0.5"), (np.nan, "nan")])
def test_a_class_index_outside_the_classes_is_refused(wrong: float, got: str) -> None:
    learner = NetworkLearner(teach(digits_builder()), "m", 1)
    with pytest.raises(MLFeatureError, match=f"example 1: training input 'scores_true': expected a class index from 0 to 2, got {got}"):
        learner.step({"image": images(2), "scores_true": np.array([[0], [wrong]])}, 2, ADAM)


def test_a_target_of_another_size_is_refused() -> None:
    learner = NetworkLearner(linear(), "m", 1)
    with pytest.raises(MLFeatureError, match="example 0: training input 'y_true': expected 2 numbers, .* got 3"):
        learner.step({"x": np.ones((1, 3)), "y_true": np.ones((1, 3))}, 1, SGD(0.1))
    with pytest.raises(MLFeatureError, match="training input 'y_true': expected the target of the loss, got nothing"):
        learner.step({"x": np.ones((1, 3))}, 1, SGD(0.1))


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    learner = NetworkLearner(linear(), "m", 2)
    x, t = np.ones((80, 3), np.float32), np.ones((80, 2), np.float32)
    learner.step({"x": x, "y_true": t}, 80, SGD(0.1, 0.9))
    before = {name: array.copy() for name, array in {**learner.parameters, **learner.slots}.items()}
    x[70] = 1e38
    with pytest.raises(MLUpdateError, match="example 70: expected a finite loss, got inf"):
        learner.step({"x": x, "y_true": t}, 80, SGD(0.1, 0.9))
    assert learner.steps == 1
    for name, array in {**learner.parameters, **learner.slots}.items():
        np.testing.assert_array_equal(array, before[name])


def test_examples_that_differ_in_shape_are_learned_one_by_one() -> None:
    builder = NeuralNetworkBuilder([image_feature("image", 8, 8)], [array_feature("mean", (2,))])
    builder.add_convolution("conv", 1, 2, 3, 3, 1, 1, "same", 1, weights(1, 2, 1, 3, 3), np.zeros(2), True, "image", "c")
    builder.add_pooling("pool", 1, 1, 1, 1, "AVERAGE", "VALID", "c", "mean", is_global=True)
    builder.make_updatable(["conv"])
    builder.set_mean_squared_error_loss("loss", "mean")
    builder.set_sgd_optimizer(SgdParams())
    builder.set_epochs(1)
    pictures, goals = images(4), np.random.default_rng(2).normal(size=(4, 2))
    together, alone, mixed = (NetworkLearner(builder.spec, "m", 2) for _ in range(3))
    losses = together.step({"image": pictures, "mean_true": goals}, 4, SGD(1e-4))
    np.testing.assert_array_equal(alone.step({"image": list(pictures), "mean_true": list(goals)}, 4, SGD(1e-4)), losses)
    larger = np.full((9, 12), 3, np.uint8)
    answer = mixed.step({"image": [pictures[0], larger], "mean_true": goals[:2]}, 2, SGD(1e-4))
    assert answer is not None
    assert answer[0] == pytest.approx(np.asarray(losses)[0], rel=1e-6)


def broken(change: Callable[[Any, Any], object], labels: list[str] | None = None) -> Any:
    spec = teach(digits_builder(labels))
    network = spec.neuralNetworkClassifier if labels else spec.neuralNetwork
    change(spec, network)
    return spec


def layer(network: Any, name: str) -> Any:
    return next(layer for layer in network.layers if layer.name == name)


def quantise(spec: Any, network: Any) -> None:
    layer(network, "conv").convolution.weights.quantization.numberOfBits = 8


def frozen_all(spec: Any, network: Any) -> None:
    for row in network.layers:
        row.isUpdatable = False


def no_gradient(spec: Any, network: Any) -> None:
    row = layer(network, "relu")
    row.activation.Clear()
    row.custom.className = "Nobody"


def add_loss(spec: Any, network: Any) -> None:
    network.updateParams.lossLayers.add(name="second").meanSquaredErrorLossLayer.input = "scores"


def loss_of(value: str) -> Callable[[Any, Any], None]:
    def change(spec: Any, network: Any) -> None:
        network.updateParams.lossLayers[0].categoricalCrossEntropyLossLayer.input = value

    return change


def squared_error_of_the_input(spec: Any, network: Any) -> None:
    loss = network.updateParams.lossLayers[0].meanSquaredErrorLossLayer
    loss.input, loss.target = "image", "scores_true"


def target_from_the_graph(spec: Any, network: Any) -> None:
    network.updateParams.lossLayers[0].categoricalCrossEntropyLossLayer.target = "logits"


def without_training_input(name: str) -> Callable[[Any, Any], None]:
    def change(spec: Any, network: Any) -> None:
        kept = [feature for feature in spec.description.trainingInput if feature.name != name]
        spec.description.ClearField("trainingInput")
        spec.description.trainingInput.extend(kept)

    return change


REFUSED: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "not updatable": (lambda s, n: s.ClearField("isUpdatable"), "m: expected an updatable model"),
    "no loss": (lambda s, n: n.updateParams.ClearField("lossLayers"), "expected one loss layer in updateParams, got none"),
    "two losses": (add_loss, "expected one loss layer in updateParams, got 'loss', 'second'"),
    "a loss of no kind": (lambda s, n: n.updateParams.lossLayers[0].ClearField("LossLayerType"), "loss layer 'loss': expected categorical"),
    "no softmax": (loss_of("logits"), r"'logits' to be the output of a softmax layer, got the output of layer 'dense' \(innerProduct\)"),
    "the input itself": (loss_of("image"), "'image' to be the output of a softmax layer, got an input of the model"),
    "nothing made": (squared_error_of_the_input, "mean squared error: expected its input 'image' to be made by a layer"),
    "target from the graph": (target_from_the_graph, "target 'logits' to come with the training data, got the output of layer 'dense'"),
    "no target": (without_training_input("scores_true"), "target 'scores_true' among the training inputs, got 'image'"),
    "no input": (without_training_input("image"), "expected the input 'image' among the training inputs, got scores_true"),
    "no optimizer": (lambda s, n: n.updateParams.ClearField("optimizer"), "expected an SGD or Adam optimizer in updateParams, got none"),
    "nothing learns": (frozen_all, "expected at least one updatable layer, got none among 6"),
    "another kind learns": (lambda s, n: setattr(layer(n, "pool"), "isUpdatable", True), r"layer 'pool' \(pooling\): .* got pooling"),
    "quantised": (quantise, r"layer 'conv' \(convolution\): expected floating-point weights in an updatable layer, got quantised"),
    "half flagged": (
        lambda s, n: setattr(layer(n, "dense").innerProduct.bias, "isUpdatable", False),
        r"layer 'dense' \(innerProduct\): expected its weights and bias to be marked as updatable, as the layer is, got bias that",
    ),
    "one name for two": (lambda s, n: setattr(layer(n, "relu"), "name", "pool"), "different names, got two called 'pool'"),
    "no way back": (no_gradient, "layer 'relu' of kind 'custom.Nobody': expected a layer that gradients pass through"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_network_that_cannot_learn_says_why(case: str) -> None:
    change, message = REFUSED[case]
    with pytest.raises(MLUpdateError, match=message):
        NetworkLearner(broken(change), "m")


def test_a_classifier_without_its_label_among_the_training_inputs() -> None:
    spec = broken(without_training_input("classLabel"), ["a", "b", "c"])
    with pytest.raises(MLUpdateError, match="target 'scores_true' or 'classLabel' among the training inputs, got 'image'"):
        NetworkLearner(spec, "m")
