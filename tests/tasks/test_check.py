"""check_update: right models pass, and each check fails where what it looks at is wrong."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from tailor import (
    Check,
    MLArrayBatchProvider,
    MLFeatureError,
    MLModel,
    MLModelConfiguration,
    MLTrainingOptions,
    MLUpdateError,
    check_update,
)
from tailor import MLParameterKey as Key
from tailor.kernels import OPS, Array, neighbors
from tailor.runtime.check import votes
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature, make_pipeline
from tailor.runtime.models import lowered, network_learner
from tailor.runtime.network import trainer
from tests.models.hand_made import classifier
from tests.network.models import digits_builder, images, teach, weights
from tests.tasks.models import regression_model, regression_provider
from tests.tasks.softmax_regression import classifier as points_classifier
from tests.tasks.softmax_regression import points
from tests.tasks.softmax_regression import provider as points_provider

pytestmark = pytest.mark.anyio


def digits(classes: Sequence[Any] | None = None, adam: bool = True) -> MLModel:
    return MLModel.from_spec(teach(digits_builder(classes), adam=adam), "digits")


def digit_data(target: str, classes: Sequence[Any], count: int = 40) -> MLArrayBatchProvider:
    chosen = np.random.default_rng(3).integers(0, 3, count)
    return MLArrayBatchProvider([{"image": image, target: classes[place]} for image, place in zip(images(count), chosen, strict=True)])


def knn(**settings: Any) -> MLModel:
    return MLModel.from_spec(classifier([[0, 0], [1, 1]], ["a", "b"], **settings), "neighbours")


def knn_data(count: int = 60) -> MLArrayBatchProvider:
    """Points on a small grid, so that there are many ties and exact matches."""
    draw = np.random.default_rng(4)
    return MLArrayBatchProvider(
        [{"input": draw.integers(0, 4, 2).astype(np.float32), "label": str(draw.choice(list("abc")))} for _ in range(count)]
    )


def scaled_classifier() -> MLModel:
    front = NeuralNetworkBuilder([array_feature("raw", (2,))], [array_feature("input", (2,))])
    front.add_inner_product("double", 2 * np.eye(2), None, 2, 2, False, "raw", "input")
    return MLModel.from_spec(make_pipeline("classifier", [front.spec, classifier([], [], k=3)]), "scaled")


def verdicts(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.verdict for check in checks}


NETWORK, NEIGHBORS = (
    ["gradients", "loss", "PyTorch", "saved and read again", "repeated", "taken up again"],
    ["examples kept", "votes", "saved and read again", "repeated"],
)


def unseen() -> MLModel:
    """A model that puts out what goes into the softmax, and keeps its probabilities to itself."""
    spec = digits().spec
    spec.description.output[0].name = "logits"
    return MLModel.from_spec(spec, "unseen")


def residual() -> MLModel:
    """Convolutions of every padding, pooling of both kinds, batch normalisation, a way around, an activation of every kind."""
    builder = NeuralNetworkBuilder([array_feature("x", (2, 9, 9))], [array_feature("y", (3,))])
    builder.add_convolution("first", 1, 4, 3, 3, 1, 1, "same", 2, weights(1, 4, 1, 3, 3), weights(2, 4, 1)[:, 0], True, "x", "a")
    gamma, beta, mean, variance = (np.linspace(low, high, 4) for low, high in ((0.5, 2), (-1, 1), (0, 1), (1, 2)))
    builder.add_batchnorm("norm", 4, gamma, beta, mean, variance, "a", "b")
    clip = builder.spec.neuralNetwork.layers.add(name="clip", input=["b"], output=["c"]).clip
    clip.minVal, clip.maxVal = -1.5, 1.5
    builder.add_elementwise("around", ["a", "c"], "d", "ADD")
    builder.add_pooling("most", 3, 3, 2, 2, "MAX", "SAME", "d", "e")
    second, bias = weights(3, 3, 4, 2, 2), weights(4, 3, 1)[:, 0]
    builder.add_convolution("second", 4, 3, 2, 2, 2, 1, "valid", 1, second, bias, True, "e", "f", padding_top=1)
    builder.add_activation("tanh", "TANH", "f", "g")
    builder.add_activation("leaky", "LEAKYRELU", "f", "h", [0.1])
    builder.add_elementwise("both", ["g", "h"], "i", "CONCAT")
    builder.add_pooling("mean", 2, 2, 1, 1, "AVERAGE", "SAME", "i", "j", exclude_pad_area=False)
    builder.add_flatten("flat", 1, "j", "k")
    builder.add_inner_product("dense", weights(5, 3, 72), weights(6, 3, 1)[:, 0], 72, 3, True, "k", "l")
    builder.add_activation("sigmoid", "SIGMOID", "l", "y")
    builder.make_updatable(["first", "second", "dense"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (3,)))
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=5, momentum=0.5))
    builder.set_epochs(2)
    return MLModel.from_spec(builder.spec, "residual")


def residual_data() -> MLArrayBatchProvider:
    draw = np.random.default_rng(2)
    return MLArrayBatchProvider([{"x": draw.normal(size=(2, 9, 9)), "y_true": draw.random(3)} for _ in range(12)])


RIGHT = {
    "squared error": (regression_model, regression_provider, NETWORK),
    "cross entropy, Adam": (digits, lambda: digit_data("scores_true", np.arange(3)[:, None]), NETWORK),
    "text labels, momentum": (lambda: digits(["a", "b", "c"], adam=False), lambda: digit_data("classLabel", ["a", "b", "c"]), NETWORK),
    "number labels": (lambda: digits([7, 8, 9]), lambda: digit_data("classLabel", [7, 8, 9]), NETWORK),
    "probabilities kept back": (unseen, lambda: digit_data("scores_true", np.arange(3)[:, None]), NETWORK),
    "layers of many kinds": (residual, residual_data, NETWORK),
    "neighbours": (lambda: knn(k=3), knn_data, NEIGHBORS),
    "neighbours, uniform": (lambda: knn(k=4, weighting="uniform"), knn_data, NEIGHBORS),
    "a pipeline": (
        scaled_classifier,
        lambda: MLArrayBatchProvider([{"raw": [i % 3, i % 5], "label": "xyz"[i % 3]} for i in range(20)]),
        NEIGHBORS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
async def test_a_right_update_passes_every_check(case: str, torch: Any) -> None:
    make, data, names = RIGHT[case]
    model = make()
    before = model.to_bytes()
    checks = await check_update(model, data(), mini_batches=4, samples=4)
    assert verdicts(checks) == dict.fromkeys(names, "passed"), checks
    assert model.to_bytes() == before
    for check in checks:
        assert check.numbers.get("worst", 0) <= check.numbers.get("tolerance", 1e-9), check


def spoiled(losses: Any, change: Any) -> Any:
    """Every loss of the trainer's, changed on the way out."""
    judge = losses.judge
    return lambda self, *arguments: change(*judge(self, *arguments))


WRONG: Mapping[str, tuple[Any, set[str]]] = {
    # what training makes of it -> the checks that must notice
    "a gradient too large": (lambda told, gradient: (told, 1.05 * gradient), {"gradients", "PyTorch"}),
    "one forgotten": (lambda told, gradient: (told, gradient * (np.indices(gradient.shape)[0] > 0)), {"gradients", "PyTorch"}),
    "a loss too small": (lambda told, gradient: (0.99 * told, gradient), {"loss", "PyTorch"}),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_gradient_or_loss_is_caught(case: str, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    change, noticed = WRONG[case]
    monkeypatch.setattr(trainer.Loss, "judge", spoiled(trainer.Loss, change))
    checks = await check_update(regression_model(), regression_provider(), mini_batches=4)
    assert {check.name for check in checks if check.verdict == "failed"} == noticed


async def test_a_wrong_layer_is_caught(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """ReLU that lets no gradient through: what it answers is right, so only gradients and training are wrong."""
    blind = replace(OPS["activation.ReLU"], backward=lambda g, y, x, *, needs: (np.zeros_like(g),))
    monkeypatch.setattr(lowered, "lower", partial(lowered.lower, ops={**OPS, "activation.ReLU": blind}))
    checks = verdicts(await check_update(digits(), digit_data("scores_true", np.arange(3)[:, None])))
    assert (checks["gradients"], checks["PyTorch"], checks["loss"]) == ("failed", "failed", "passed")


async def test_a_file_that_says_something_else_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    write = MLModel.write

    def rounded(self: MLModel, path: Any) -> None:
        spec = type(self.spec)()
        spec.CopyFrom(self.spec)
        spec.neuralNetwork.layers[0].innerProduct.bias.floatValue[:] = [np.float32(0.5).tobytes()]
        write(MLModel.from_spec(spec), path)

    monkeypatch.setattr(MLModel, "write", rounded)
    checks = await check_update(regression_model(), regression_provider(), mini_batches=2)
    assert verdicts(checks)["saved and read again"] == "failed"


@pytest.mark.parametrize(
    ("name", "wrong", "noticed"),
    [
        ("nearest", lambda found, squared: (found[:, ::-1], squared[:, ::-1]), {"votes"}),
        ("nearest", lambda found, squared: (found, squared + 1), {"votes"}),
        ("votes", lambda sums, winners: (sums, np.zeros_like(winners)), {"votes"}),
    ],
)
async def test_wrong_votes_are_caught(name: str, wrong: Any, noticed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(neighbors, name)
    monkeypatch.setattr(neighbors, name, lambda *arguments: wrong(*right(*arguments)))
    checks = await check_update(knn(k=3, weighting="inverse_distance"), knn_data())
    assert {check.name for check in checks if check.verdict == "failed"} == noticed


@pytest.mark.parametrize(
    ("query", "k", "inverse", "label", "shares"),
    [  # samples 0 a, 1 b, 3 b, 4 a, 4 c on a line
        (0.5, 2, False, "a", {"a": 0.5, "b": 0.5}),
        (0.9, 2, False, "b", {"a": 0.5, "b": 0.5}),
        (2.0, 3, True, "b", {"b": 8 / 9, "a": 1 / 9}),
        (4.0, 3, True, "a", {"a": 0.5, "c": 0.5}),
        (9.0, 9, False, "a", {"a": 0.4, "b": 0.4, "c": 0.2}),
    ],
)
def test_the_votes_that_others_are_held_against_by_hand(query: float, k: int, inverse: bool, label: str, shares: dict[str, float]) -> None:
    samples: Array = np.array([[0], [1], [3], [4], [4]], np.float32)
    winner, found = votes.brute_force(samples, list("abbac"), np.array([query], np.float32), k, inverse)
    assert (winner, found) == (label, pytest.approx(shares))


async def test_an_update_that_forgets_its_optimizer_when_it_is_taken_up_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    write = network_learner.write_state
    forgetful = lambda state: {name: 0 * array if name.startswith("slot.") else array for name, array in state.items()}  # noqa: E731
    monkeypatch.setattr(network_learner, "write_state", lambda trainer, state, who: write(trainer, forgetful(state), who))
    checks = await check_update(digits(), digit_data("scores_true", np.arange(3)[:, None]), mini_batches=4)
    assert {check.name for check in checks if check.verdict == "failed"} == {"taken up again"}


async def test_what_is_asked_for_beyond_core_ml_is_checked_as_far_as_it_can_be(torch: Any) -> None:
    data = digit_data("scores_true", np.arange(3)[:, None])
    clipped = MLModelConfiguration(training=MLTrainingOptions(clip_norm=0.01))
    checks = {check.name: check for check in await check_update(digits(), data, clipped, mini_batches=2)}
    assert (checks["PyTorch"].verdict, checks["PyTorch"].told) == ("not run", "the mirror does not know what is asked for: clip_norm")
    assert (checks["gradients"].verdict, checks["loss"].verdict) == ("passed", "passed")
    weighted = MLModelConfiguration(training=MLTrainingOptions(loss_weights={"loss": 2.0}))
    checks = {check.name: check for check in await check_update(digits(), data, weighted, mini_batches=2)}
    assert [checks[name].verdict for name in NETWORK] == 3 * ["not run"] + 3 * ["passed"]
    assert checks["loss"].told == "the model has several losses, or a weighted one"
    begun = MLModelConfiguration(parameters={Key.WEIGHTS.scoped("dense"): np.array([[2.0, -1.0]])})
    assert verdicts(await check_update(regression_model(), regression_provider(), begun)) == dict.fromkeys(NETWORK, "passed")
    one = await check_update(digits(), data, MLModelConfiguration(trainable=["conv.weights"]), mini_batches=2)
    assert verdicts(one) == dict.fromkeys(NETWORK, "passed")
    assert one[0].numbers["parameters"] == 1


@pytest.mark.parametrize("key", [Key.NUMBER_OF_NEIGHBORS, Key.NUMBER_OF_NEIGHBORS.scoped("model1")], ids=str)
async def test_neighbours_in_a_pipeline_are_as_many_as_are_asked_for(key: Key) -> None:
    data = MLArrayBatchProvider([{"raw": [i % 3, i % 5], "label": "xyz"[i % 3]} for i in range(20)])
    checks = {check.name: check for check in await check_update(scaled_classifier(), data, MLModelConfiguration(parameters={key: 1}))}
    assert (checks["votes"].verdict, checks["votes"].numbers["neighbors"]) == ("passed", 1)


async def test_shuffling_is_off_however_it_is_asked_for() -> None:
    shuffled = MLModelConfiguration(parameters={Key.SHUFFLE.scoped("model1"): True, Key.SEED: 1})
    x, places = points(30)
    checks = await check_update(points_classifier(doubled="model"), points_provider(x, places, "given"), shuffled, mini_batches=3)
    assert verdicts(checks)["loss"] == "passed"


async def test_losses_of_models_that_hold_what_they_learned_rounded_are_not_taken_for_wrong() -> None:
    spec = type(regression_model().spec)()
    spec.CopyFrom(regression_model().spec)
    dense = spec.neuralNetwork.layers[0].innerProduct.weights
    numbers = np.array(MLModel.from_spec(spec).parameter(Key.WEIGHTS.scoped("dense")))
    dense.ClearField("floatValue")
    dense.float16Value = numbers.astype("<f2").tobytes()
    x = np.random.default_rng(7).normal(size=(40, 2)).astype(np.float32)
    far = MLArrayBatchProvider({"x": x, "y_true": 100 * x[:, :1]})
    checks = {check.name: check for check in await check_update(MLModel.from_spec(spec), far, mini_batches=8)}
    assert {check.verdict for check in checks.values()} <= {"passed", "not run"}
    assert checks["loss"].numbers["miniBatches"] == 1


@pytest.mark.parametrize(("most", "verdict"), [(1, "not run"), (3, "passed"), (4, "passed"), (10, "passed")])
async def test_a_short_update_is_broken_off_and_taken_up_too(most: int, verdict: str) -> None:
    """Three examples in a mini-batch, three epochs: there are but three mini-batches."""
    checks = verdicts(await check_update(regression_model(), regression_provider(3), mini_batches=most))
    assert (checks["taken up again"], checks["repeated"]) == (verdict, "passed")


async def test_what_cannot_be_checked_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = digits_builder()
    builder.spec.neuralNetwork.layers[1].activation.softplus.SetInParent()
    model = MLModel.from_spec(teach(builder), "soft")
    checks = {check.name: check for check in await check_update(model, digit_data("scores_true", np.arange(3)[:, None]), mini_batches=2)}
    assert (checks["PyTorch"].verdict, checks["PyTorch"].told) == ("not run", "the mirror has no such layers: activation.softplus")
    assert (checks["gradients"].verdict, checks["loss"].verdict) == ("passed", "passed")

    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    checks = {check.name: check for check in await check_update(regression_model(), regression_provider(), mini_batches=2)}
    assert (checks["PyTorch"].verdict, checks["PyTorch"].told) == ("not run", "PyTorch is not installed (pip install torch)")


async def test_wrong_input_is_one_clear_error() -> None:
    still = MLModel.from_spec(digits_builder().spec, "still")
    for data, settings, message in (
        (regression_provider(), {"mini_batches": 0}, "mini_batches: expected a whole number of at least 1, got 0"),
        (regression_provider(), {"samples": True}, "samples: expected a whole number of at least 1, got True"),
        (regression_provider(), {"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        (MLArrayBatchProvider([]), {}, "at least one training example"),
        ([1], {}, "MLBatchProvider, got list"),
    ):
        with pytest.raises(MLUpdateError, match=message):
            await check_update(regression_model(), data, **settings)  # type: ignore[arg-type]
    with pytest.raises(MLUpdateError, match="still.*updatable"):
        await check_update(still, regression_provider())
    with pytest.raises(MLFeatureError, match="example 0.*'x'"):
        await check_update(regression_model(), MLArrayBatchProvider([{"x": "text", "y_true": [1.0]}]))
    rows = [{"x": [1.0, 2.0], "y_true": [1.0]} for _ in range(20)]
    rows[19] = {"x": [1.0], "y_true": [1.0]}  # after the mini-batches that are trained
    with pytest.raises(MLFeatureError, match="example 19.*'x'"):
        await check_update(regression_model(), MLArrayBatchProvider(rows), mini_batches=1)
    with pytest.raises(MLUpdateError, match="learningRate"):
        await check_update(regression_model(), regression_provider(), MLModelConfiguration(parameters={Key.LEARNING_RATE: 7.0}))
