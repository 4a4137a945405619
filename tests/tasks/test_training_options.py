"""Training options: each against PyTorch doing the same, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLCheckpointError,
    MLLearningRateSchedule,
    MLModel,
    MLModelConfiguration,
    MLParameterError,
    MLTrainingOptions,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    read_snapshot,
    restore_snapshot,
    take_snapshot,
    write_snapshot,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.kernels import Array
from tailor.persistence import Checkpoint
from tailor.runtime.format import AdamParams, NeuralNetworkBuilder, SgdParams, array_feature, read_contents
from tests.models.hand_made import classifier
from tests.network.models import weights

pytestmark = pytest.mark.anyio

RATE, SIZE, COUNT, EPOCHS = 0.05, 4, 22, 3
X = np.random.default_rng(0).normal(size=(COUNT, 3)).astype(np.float32)
CLASSES = np.random.default_rng(1).integers(0, 3, COUNT)
HIDDEN = np.random.default_rng(2).normal(size=(COUNT, 4)).astype(np.float32)
LAYERS = {"first": (4, 3), "second": (3, 4)}
Step = MLLearningRateSchedule


def model(*, adam: bool, two: bool = False, epochs: int = EPOCHS) -> MLModel:
    """x -> first -> tanh: h -> second -> softmax: p; cross entropy of p, and with ``two`` also squared error of h."""
    builder = NeuralNetworkBuilder([array_feature("x", (3,))], [array_feature("p", (3,)), array_feature("h", (4,))])
    for (name, shape), (given, made) in zip(LAYERS.items(), (("x", "a"), ("h", "logits")), strict=True):
        bias = weights(9, shape[0], 1)[:, 0]
        builder.add_inner_product(name, weights(len(name), *shape), bias, shape[1], shape[0], True, given, made)
    builder.add_activation("tanh", "TANH", "a", "h")
    builder.add_softmax("softmax", "logits", "p")
    builder.make_updatable(list(LAYERS))
    builder.set_categorical_cross_entropy_loss("ce", "p")
    if two:
        builder.set_mean_squared_error_loss("mse", "h", beside=True)
    if adam:
        builder.set_adam_optimizer(AdamParams(lr=RATE, batch=SIZE))
    else:
        builder.set_sgd_optimizer(SgdParams(lr=RATE, batch=SIZE, momentum=0.9))
    builder.set_epochs(epochs)
    builder.set_shuffle(False)
    return MLModel(builder.spec.SerializeToString())


def provider() -> MLArrayBatchProvider:
    rows = zip(X, CLASSES, HIDDEN, strict=True)
    return MLArrayBatchProvider([{"x": x, "p_true": np.array([c], np.int32), "h_true": h.astype(np.float64)} for x, c, h in rows])


def parameters(of: MLModel) -> dict[str, Array]:
    return {name: np.array(array) for name, array in read_contents(of.spec).items()}


def batches(size: int) -> Iterator[slice]:
    for start in range(0, COUNT, size):
        yield slice(start, start + size)


class Twin:
    """The same network in PyTorch."""

    def __init__(self, torch: Any, start: Mapping[str, Array], loss_weights: Mapping[str, float] | None) -> None:
        shapes = {f"{name}.weights": shape for name, shape in LAYERS.items()}
        self.torch = torch
        self.w = {name: torch.tensor(array.reshape(shapes.get(name, (-1,))), requires_grad=True) for name, array in start.items()}
        self.weights = loss_weights or {"ce": 1.0}

    def loss(self, at: slice) -> Any:
        functional, w = self.torch.nn.functional, self.w
        h = self.torch.tanh(functional.linear(self.torch.tensor(X[at]), w["first.weights"], w["first.bias"]))
        logits = functional.linear(h, w["second.weights"], w["second.bias"])
        found = functional.cross_entropy(logits, self.torch.tensor(CLASSES[at])) * self.weights["ce"]
        if "mse" in self.weights:
            found = found + functional.mse_loss(h, self.torch.tensor(HIDDEN[at])) * self.weights["mse"]
        return found


def by_epoch(make: Callable[[Any, Any], Any]) -> tuple[bool, Callable[[Any, Any], Any]]:
    return True, make


def by_step(make: Callable[[Any, Any], Any]) -> tuple[bool, Callable[[Any, Any], Any]]:
    return False, make


STEPS = 6 * EPOCHS  # 22 examples in mini-batches of four are six

CASES: dict[str, tuple[MLTrainingOptions, tuple[bool, Callable[[Any, Any], Any]] | None]] = {
    "nothing": (MLTrainingOptions(), None),
    "clip value": (MLTrainingOptions(clip_value=0.02), None),
    "clip norm": (MLTrainingOptions(clip_norm=0.1), None),
    "clip both": (MLTrainingOptions(clip_norm=0.1, clip_value=0.02), None),
    "weight decay": (MLTrainingOptions(weight_decay=0.2), None),
    "accumulate": (MLTrainingOptions(accumulate=4), None),
    "accumulate and clip": (MLTrainingOptions(accumulate=2, clip_norm=0.1, weight_decay=0.1), None),
    "losses": (MLTrainingOptions(loss_weights={"ce": 0.7, "mse": 1.5}), None),
    "step": (
        MLTrainingOptions(schedule=Step("step", factor=0.5, every=2)),
        by_epoch(lambda schedulers, o: schedulers.StepLR(o, 2, 0.5)),
    ),
    "exponential": (
        MLTrainingOptions(schedule=Step("exponential", "step", factor=0.9)),
        by_step(lambda schedulers, o: schedulers.ExponentialLR(o, 0.9)),
    ),
    "cosine": (
        MLTrainingOptions(schedule=Step("cosine", "step", lowest=0.1)),
        by_step(lambda schedulers, o: schedulers.CosineAnnealingLR(o, STEPS, RATE * 0.1)),
    ),
    "cosine of epochs": (
        MLTrainingOptions(schedule=Step("cosine", length=2)),
        by_epoch(lambda schedulers, o: schedulers.CosineAnnealingLR(o, 2)),
    ),
    "warm-up": (
        MLTrainingOptions(schedule=Step(warmup=5)),
        by_step(lambda schedulers, o: schedulers.LinearLR(o, 1 / 5, 1.0, 4)),
    ),
    "warm-up and step": (
        MLTrainingOptions(schedule=Step("step", "step", factor=0.5, every=7, warmup=5)),
        by_step(lambda schedulers, o: schedulers.ChainedScheduler([schedulers.LinearLR(o, 1 / 5, 1.0, 4), schedulers.StepLR(o, 7, 0.5)])),
    ),
}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # of arithmetic alone
@pytest.mark.parametrize("adam", [False, True], ids=["sgd", "adam"])
@pytest.mark.parametrize("name", CASES)
async def test_the_course_is_that_of_pytorch(name: str, adam: bool) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
    options, scheduler = CASES[name]
    start = model(adam=adam, two=options.loss_weights is not None)
    twin = Twin(torch, parameters(start), options.loss_weights)
    kind = torch.optim.AdamW if adam else torch.optim.SGD
    # where rates change, velocities differ: ours have the rate in them that held when they grew, PyTorch's the one that holds
    momentum = 0.0 if scheduler else 0.9
    settings: dict[str, Any] = {"eps": 1e-8} if adam else {"momentum": momentum}
    optimizer = kind(twin.w.values(), lr=RATE, weight_decay=options.weight_decay, **settings)
    schedule = scheduler[1](torch.optim.lr_scheduler, optimizer) if scheduler else None
    rates: list[float] = []
    expected: list[dict[str, Array]] = []
    for _ in range(EPOCHS):
        for at in batches(SIZE * options.accumulate):
            optimizer.zero_grad()
            twin.loss(at).backward()
            if options.clip_value is not None:
                torch.nn.utils.clip_grad_value_(twin.w.values(), options.clip_value)
            if options.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(twin.w.values(), options.clip_norm)
            rates += [optimizer.param_groups[0]["lr"]] * len(list(batches(SIZE))[: -(-len(X[at]) // SIZE)])
            optimizer.step()
            if scheduler and not scheduler[0]:
                schedule.step()
        if scheduler and scheduler[0]:
            schedule.step()
        expected.append({key: tensor.detach().numpy().reshape(-1).copy() for key, tensor in twin.w.items()})

    told: list[float] = []
    epochs: list[dict[str, Array]] = []

    def handler(context: MLUpdateContext) -> None:
        if context.event is Event.MINI_BATCH_END:
            told.append(float(context.parameters[Key.LEARNING_RATE]))
        else:
            epochs.append(parameters(context.model))

    handlers = MLUpdateProgressHandlers(Event.MINI_BATCH_END | Event.EPOCH_END, handler)
    configuration = MLModelConfiguration(parameters=None if adam else {Key.MOMENTUM: momentum}, training=options)
    await MLUpdateTask(start, provider(), configuration, progress_handlers=handlers)
    np.testing.assert_allclose(told, rates, rtol=1e-12)
    for mine, theirs in zip(epochs, expected, strict=True):
        for key, array in theirs.items():
            np.testing.assert_allclose(mine[key], array, rtol=1e-4 if adam else 1e-5, atol=1e-6, err_msg=key)


async def test_an_update_taken_up_again_within_a_step_and_a_schedule_ends_with_the_same_bits() -> None:
    options = MLTrainingOptions(accumulate=4, clip_norm=0.5, schedule=MLLearningRateSchedule("cosine", "step", warmup=3), weight_decay=0.01)
    configuration = MLModelConfiguration(training=options, trainable=["first", "second.bias"])
    start = model(adam=True)
    kept: list[Checkpoint] = []
    courses: tuple[list[Any], list[Any]] = ([], [])

    def following(course: list[Any]) -> MLUpdateProgressHandlers:
        async def follow(context: MLUpdateContext) -> None:
            course.append((context.metrics, context.parameters[Key.LEARNING_RATE]))
            kept.append(await context.task.checkpoint())

        return MLUpdateProgressHandlers(Event.MINI_BATCH_END, follow)

    straight = await MLUpdateTask(start, provider(), configuration, progress_handlers=following(courses[0]))
    third = kept[8]  # of the second epoch's six mini-batches the third, so that three of the step's four have been
    assert {name for name in third.values if name.endswith(("/added", "/examples"))} == {
        f"learner.slot.{name}" for name in ("first.weights/added", "first.bias/added", "second.bias/added", "/examples")
    }
    again = await MLUpdateTask.restore(third, start, provider(), configuration, progress_handlers=following(courses[1]))
    assert again.model.content_hash == straight.model.content_hash != start.content_hash
    assert courses[1] == courses[0][9:]
    with pytest.raises(MLCheckpointError, match="accumulate"):
        MLUpdateTask.restore(third, start, provider(), MLModelConfiguration(training=MLTrainingOptions(accumulate=2)))


async def test_a_rate_given_in_progress_is_what_the_schedule_goes_on_with() -> None:
    schedule = MLLearningRateSchedule("step", factor=0.5)
    rates = []

    def handler(context: MLUpdateContext) -> None:
        rates.append(context.parameters[Key.LEARNING_RATE])
        if len(rates) == 2:
            context.task.resume(with_parameters={Key.LEARNING_RATE: 0.4})

    handlers = MLUpdateProgressHandlers(Event.EPOCH_END, handler)
    configuration = MLModelConfiguration(training=MLTrainingOptions(schedule=schedule))
    context = await MLUpdateTask(model(adam=False), provider(), configuration, progress_handlers=handlers)
    assert rates == [RATE, RATE * 0.5, 0.4 * 0.25]
    assert context.parameters[Key.LEARNING_RATE] == 0.4 * 0.25


async def test_what_was_trained_how_is_told_and_kept_with_the_snapshot(tmp_path: Path) -> None:
    start = model(adam=True, two=True)
    options = MLTrainingOptions(
        clip_norm=1.0, loss_weights={"ce": 1, "mse": 0.5}, schedule=MLLearningRateSchedule("constant", warmup=2), accumulate=2
    )
    context = await MLUpdateTask(start, provider(), MLModelConfiguration(training=options, trainable=["second"]))
    asked = {
        "trainable": ["second"],
        "clip_norm": 1.0,
        "loss_weights": {"ce": 1.0, "mse": 0.5},
        "schedule": {"kind": "constant", "warmup": 2},
        "accumulate": 2,
    }
    assert context.training == asked
    write_snapshot(tmp_path / "s.tailor", take_snapshot(context, base=start))
    snapshot = read_snapshot(tmp_path / "s.tailor")
    assert snapshot.metadata.extra["training"] == asked
    assert restore_snapshot(snapshot, start).content_hash == context.model.content_hash
    plain = await MLUpdateTask(model(adam=True), provider())
    assert plain.training == {}
    assert "training" not in take_snapshot(plain).metadata.extra


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLTrainingOptions(clip_norm=0), "clip_norm: expected a number above 0, or None, got 0"),
        (lambda: MLTrainingOptions(clip_value=float("nan")), "clip_value: expected a number above 0, or None, got nan"),
        (lambda: MLTrainingOptions(clip_norm=10**400), "clip_norm: expected a number above 0, or None, got 1000"),  # no float
        (lambda: MLTrainingOptions(weight_decay=-0.1), "weight_decay: expected a number of at least 0, got -0.1"),
        (lambda: MLTrainingOptions(accumulate=0), "accumulate: expected a whole number of at least 1, got 0"),
        (lambda: MLTrainingOptions(accumulate=True), "accumulate: expected a whole number"),
        (lambda: MLTrainingOptions(schedule="cosine"), "schedule: expected an MLLearningRateSchedule, or None, got 'cosine'"),  # type: ignore[arg-type]
        (lambda: MLTrainingOptions(loss_weights={"a": 0.0}), "loss_weights: expected numbers above 0 by the names of loss layers"),
        (lambda: MLTrainingOptions(loss_weights={}), "loss_weights: expected numbers above 0"),
        (lambda: MLLearningRateSchedule("linear"), "kind: expected one of constant, step, exponential, cosine, got 'linear'"),
        (lambda: MLLearningRateSchedule(unit="batch"), "unit: expected one of epoch, step, got 'batch'"),
        (lambda: MLLearningRateSchedule("step", factor=1.5), "factor: expected a number above 0, at most 1, got 1.5"),
        (lambda: MLLearningRateSchedule("step", every=0), "every: expected a whole number of at least 1, got 0"),
        (lambda: MLLearningRateSchedule("cosine", length=2.5), "length: expected a whole number of at least 1, got 2.5"),  # type: ignore[arg-type]
        (lambda: MLLearningRateSchedule("cosine", lowest=-1), "lowest: expected a number from 0 to 1, got -1"),
        (lambda: MLLearningRateSchedule(warmup=-1), "warmup: expected a whole number of at least 0, got -1"),
        (lambda: MLModelConfiguration(training={"clip_norm": 1}), "training: expected MLTrainingOptions, got"),  # type: ignore[arg-type]
    ],
)
def test_options_that_cannot_be_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(MLParameterError, match=message):
        make()


@pytest.mark.parametrize(
    ("two", "loss_weights", "message"),
    [
        (True, None, "expected one loss layer in updateParams, got 'ce', 'mse'; loss_weights in the training options allow more"),
        (True, {"ce": 1.0}, r"loss_weights: expected a weight for each loss layer of the model \('ce', 'mse'\), got ce"),
        (False, {"ce": 1.0, "mse": 1.0}, r"loss_weights: expected a weight for each loss layer of the model \('ce'\), got ce, mse"),
    ],
)
def test_losses_and_weights_that_do_not_go_together_are_refused(two: bool, loss_weights: Any, message: str) -> None:
    configuration = MLModelConfiguration(training=MLTrainingOptions(loss_weights=loss_weights))
    with pytest.raises(MLUpdateError, match=message):
        MLUpdateTask(model(adam=True, two=two), provider(), configuration)


async def test_a_step_that_makes_parameters_infinite_fails_even_if_it_is_the_last() -> None:
    configuration = MLModelConfiguration(
        parameters={Key.EPOCHS: 1, Key.MINI_BATCH_SIZE: COUNT}, training=MLTrainingOptions(weight_decay=1e300)
    )
    for adam in (False, True):
        start = model(adam=adam)
        for parameter in (start.spec.neuralNetwork.updateParams.epochs, optimizer_of(start).miniBatchSize):
            parameter.set.values.extend((1, COUNT))
        with pytest.raises(MLUpdateError, match="epoch 0, mini-batch 0: expected finite parameters after the step, got .*inf"):
            await MLUpdateTask(start, provider(), configuration)


def optimizer_of(of: MLModel) -> Any:
    optimizer = of.spec.neuralNetwork.updateParams.optimizer
    return getattr(optimizer, optimizer.WhichOneof("OptimizerType"))


def test_nearest_neighbours_take_no_options() -> None:
    neighbors = MLModel.from_spec(classifier([[0.0, 1.0]], ["a"]))
    data = MLArrayBatchProvider([{"input": np.zeros(2, np.float32), "label": "a"}])
    for asked in (MLModelConfiguration(trainable="all"), MLModelConfiguration(training=MLTrainingOptions(clip_norm=1.0))):
        with pytest.raises(
            MLUpdateError, match="expected no trainable layers and no training options, for nearest neighbours learn without"
        ):
            MLUpdateTask(neighbors, data, asked)
