"""Weights into an update and out of it: what a federated client does, what handlers see in the middle, and every way to begin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLModel,
    MLModelConfiguration,
    MLParameterError,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateProgressHandlers,
    MLUpdateTask,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature
from tests.tasks.models import Reference, regression_data, regression_model, regression_provider

pytestmark = pytest.mark.anyio

W, B = Key.WEIGHTS.scoped("dense"), Key.BIASES.scoped("dense")


def holds(model: MLModel, reference: Reference) -> None:
    """The model's parameters are those of the reference."""
    np.testing.assert_allclose(model.parameter(W), reference.w.T.reshape(1, 2), rtol=1e-5)
    np.testing.assert_allclose(model.parameter(B), reference.b, rtol=1e-5)


async def test_three_calls_a_round_make_the_average_of_clients_a_step_on_all_their_examples() -> None:
    x, y = regression_data(12)
    clients = [MLArrayBatchProvider({"x": x[rows], "y_true": y[rows]}) for rows in (slice(0, 6), slice(6, 12))]
    server, reference = regression_model(batch=6, epochs=1), Reference(12)
    for _ in range(2):
        sent = []
        for data in clients:
            base = regression_model(batch=6, epochs=1).with_parameters(server.trainable_parameters())
            context = await MLUpdateTask(base, data)
            sent.append(context.model.trainable_parameters())
        server = server.with_parameters({key: (sent[0][key] + sent[1][key]) / 2 for key in sent[0]})
        reference.step(slice(None), 0.1)  # of steps of gradient descent the mean is the step by the mean gradient
        holds(server, reference)


async def test_a_model_in_mid_training_can_be_read_written_and_gone_on_from(tmp_path: Path) -> None:
    seen: list[MLModel] = []
    base = regression_model(epochs=2)
    handlers = MLUpdateProgressHandlers(Event.TRAINING_BEGIN | Event.MINI_BATCH_END, lambda context: seen.append(context.model))
    task = MLUpdateTask(base, regression_provider(), progress_handlers=handlers)
    context = await task
    reference = Reference()
    holds(seen[0], reference)
    for number, model in enumerate(seen[1:]):
        reference.step([slice(0, 4), slice(4, 8), slice(8, 10)][number % 3], 0.1)
        holds(model, reference)
    assert len(seen) == 1 + 2 * 3
    holds(context.model, reference)

    path = tmp_path / "after one epoch.mlmodel"
    seen[3].write(path)
    again = await MLUpdateTask(path, regression_provider(), MLModelConfiguration(parameters={Key.EPOCHS: 1}))
    holds(again.model, reference)
    np.testing.assert_allclose(base.with_delta(context.model.delta_from(base)).parameter(W), context.model.parameter(W), rtol=1e-6)  # type: ignore[arg-type]


async def test_weights_given_with_a_configuration_are_where_an_update_begins_and_no_more() -> None:
    given = {W: np.array([[2.0, -1.0]]), B: np.array([0.5])}  # what the targets are made of: nothing is left to learn
    configuration = MLModelConfiguration(parameters={**given, Key.EPOCHS: 1})
    for model in (regression_model(), regression_model().to_bytes()):
        context = await MLUpdateTask(model, regression_provider(), configuration)
        np.testing.assert_allclose(context.model.parameter(W), given[W], atol=1e-6)
    moved = MLModelConfiguration(parameters={B: np.array([1.5]), Key.EPOCHS: 1})
    context = await MLUpdateTask(regression_model(), regression_provider(), moved)
    reference = Reference()
    reference.b[:] = 1.5
    for rows in (slice(0, 4), slice(4, 8), slice(8, 10)):
        reference.step(rows, 0.1)
    holds(context.model, reference)


async def test_weights_cannot_change_while_an_update_is_in_progress() -> None:
    task = MLUpdateTask(regression_model(), regression_provider())
    with pytest.raises(MLParameterError, match=r"dense.weights: expected a single value, got numbers of a layer"):
        task.resume(with_parameters={W: np.zeros((1, 2))})
    holds((await task).model, trained_reference())


def trained_reference() -> Reference:
    reference = Reference()
    for _ in range(3):
        for rows in (slice(0, 4), slice(4, 8), slice(8, 10)):
            reference.step(rows, 0.1)
    return reference


def normalised() -> Any:
    """y = w . norm(x) + b; the normalisation can be trained, and is not marked."""
    builder = NeuralNetworkBuilder([array_feature("x", (2, 1, 1))], [array_feature("y", (1, 1, 1))])
    builder.add_batchnorm("norm", 2, np.ones(2), np.zeros(2), np.zeros(2), np.ones(2), "x", "n")
    builder.add_inner_product("dense", np.ones((1, 2)), np.zeros(1), 2, 1, True, "n", "y")
    builder.make_updatable(["dense"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (1, 1, 1)))
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=4))
    builder.set_epochs(1)
    return builder.spec


@pytest.mark.parametrize(
    ("trainable", "names"),
    [
        (None, ["dense.weights", "dense.biases"]),
        ("all", ["norm.gamma", "norm.beta", "dense.weights", "dense.biases"]),
        (["dense.bias", "norm"], ["norm.gamma", "norm.beta", "dense.biases"]),
    ],
)
async def test_what_is_trained_beyond_core_ml_is_listed_and_is_all_that_changes(trainable: Any, names: list[str]) -> None:
    every = [Key(name, "norm") for name in ("gamma", "beta", "mean", "variance")] + [W, B]
    base = MLModel.from_spec(normalised(), configuration=MLModelConfiguration(trainable=trainable))
    assert list(map(str, base.trainable_parameters())) == names
    x, y = regression_data(8)
    context = await MLUpdateTask(base, MLArrayBatchProvider({"x": x[:, :, None, None], "y_true": y[:, :, None, None]}))
    changed = [str(key) for key in every if not np.array_equal(context.model.parameter(key), base.parameter(key))]  # type: ignore[arg-type]
    assert changed == names
    assert list(map(str, context.model.delta_from(base))) == names


HANDLERS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "nothing": lambda told: {},
    "completion handler": lambda told: {"completion_handler": lambda context: told.append("completed")},
    "progress handlers": lambda told: {
        "progress_handlers": MLUpdateProgressHandlers(
            Event.EPOCH_END, lambda context: told.append("epoch"), lambda context: told.append("completed")
        )
    },
}


@pytest.mark.parametrize("handlers", HANDLERS)
@pytest.mark.parametrize("source", ["path", "text", "bytes", "model"])
@pytest.mark.parametrize("configured", [False, True])
async def test_every_way_to_make_an_update(source: str, configured: bool, handlers: str, tmp_path: Path) -> None:
    model = regression_model(epochs=3)
    model.write(tmp_path / "m.mlmodel")
    path = tmp_path / "m.mlmodel"
    forms: dict[str, Any] = {"path": path, "text": str(path), "bytes": path.read_bytes(), "model": model}
    told: list[str] = []
    configuration = MLModelConfiguration(parameters={Key.EPOCHS: 2}) if configured else None
    task = MLUpdateTask(forms[source], regression_provider(), configuration, **HANDLERS[handlers](told))
    context: MLUpdateContext = await task
    assert context.parameters[Key.EPOCHS] == (2 if configured else 3)
    epochs = ["epoch"] * (2 if configured else 3)
    assert told == {"nothing": [], "completion handler": ["completed"], "progress handlers": [*epochs, "completed"]}[handlers]


WRONG: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "completion": (lambda: {"completion_handler": 5}, "completion_handler: expected a function, plain or async, got int"),
    "a function for handlers": (lambda: {"progress_handlers": print}, "progress_handlers: expected MLUpdateProgressHandlers"),
    "progress": (lambda: {"progress_handlers": MLUpdateProgressHandlers(Event.EPOCH_END, "log")}, "progress_handler: .* got str"),
    "its completion": (lambda: {"progress_handlers": MLUpdateProgressHandlers(Event.EPOCH_END, None, 5)}, "completion_handler: .* got int"),
    "events": (lambda: {"progress_handlers": MLUpdateProgressHandlers("end", print)}, "for_events: expected MLUpdateProgressEvent"),
}


@pytest.mark.parametrize(("made", "said"), WRONG.values(), ids=WRONG)
async def test_a_handler_that_cannot_be_called_is_refused_before_anything_is_trained(made: Callable[[], Any], said: str) -> None:
    with pytest.raises(MLUpdateError, match=said):
        MLUpdateTask(regression_model(), regression_provider(), **made())
