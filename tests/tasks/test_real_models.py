"""Real models personalised through the public tasks; the figures were computed with PyTorch and NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tailor import (
    MLArrayBatchProvider,
    MLMetricKey,
    MLModel,
    MLModelConfiguration,
    MLTaskCancelledError,
    MLUpdateContext,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    restore_snapshot,
    take_snapshot,
    write_snapshot,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.runtime.format import read_contents
from tests.places import shared_model

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Images scaled to 0..1 ``[10000, 1, 28, 28]``, and their labels."""
    with np.load(shared_model("mnist_test_10k.npz")) as data:
        return (data["pixels"].astype(np.float32) / np.float32(255))[:, None], data["labels"]


def share_right(model: MLModel, digits: tuple[NDArray[np.float32], NDArray[np.uint8]]) -> float:
    images, labels = (part[5000:] for part in digits)
    answers = model.predict([{"image": image} for image in images])
    return float(np.mean([answer["output"].argmax() for answer in answers] == labels))


async def test_mnist_learns_as_the_same_network_does_in_pytorch(digits: Any, tmp_path: Path) -> None:
    images, labels = (part[:5000] for part in digits)
    model, losses = MLModel(shared_model("MNIST_Model.mlmodel")), []
    assert share_right(model, digits) == pytest.approx(0.122, abs=0.0005)
    configuration = MLModelConfiguration(parameters={Key.EPOCHS: 3, Key.SHUFFLE: False})
    handlers = MLUpdateProgressHandlers(Event.MINI_BATCH_END, lambda context: losses.append(context.metrics[MLMetricKey.LOSS_VALUE]))
    examples = MLArrayBatchProvider({"image": images, "output_true": labels[:, None].astype(np.int32)})
    context = await MLUpdateTask(model, examples, configuration, progress_handlers=handlers)
    assert len(losses) == 3 * 40
    assert losses[:5] == pytest.approx([2.4594, 2.3689, 2.3032, 2.2845, 2.2520], rel=1e-4)
    # What PyTorch reaches from the same weights in the same order, 120 mini-batch losses apart by less than 1e-6.
    assert share_right(context.model, digits) == pytest.approx(0.8452, abs=0.002)

    context.model.write(tmp_path / "trained.mlmodel")
    again = MLModel(tmp_path / "trained.mlmodel")
    np.testing.assert_array_equal(again.predict({"image": images[0]})["output"], context.model.predict({"image": images[0]})["output"])
    write_snapshot(tmp_path / "trained.tailor", take_snapshot(context, model))
    assert restore_snapshot(tmp_path / "trained.tailor", model).to_bytes() == (tmp_path / "trained.mlmodel").read_bytes()

    coremltools = pytest.importorskip("coremltools", reason="compares with coremltools, which is not installed")
    trained, before = coremltools.utils.load_spec(str(tmp_path / "trained.mlmodel")), read_contents(model.spec)
    now = read_contents(context.model.spec)
    for layer in trained.neuralNetwork.layers:
        kind = layer.WhichOneof("layer")
        if kind in ("convolution", "innerProduct"):
            for field in ("weights", "bias"):
                name = f"{layer.name}.{field}"
                written = np.array(getattr(getattr(layer, kind), field).floatValue, np.float32)
                np.testing.assert_array_equal(written, now[name])
                assert not np.array_equal(written, before[name])


def houses() -> dict[str, NDArray[np.float32]]:
    """The Boston housing table as the model takes it: CHAS (0 or 1) and RAD (nine values) are categories, MEDV is the price."""
    table = np.loadtxt(shared_model("HousePrices.csv"), dtype=np.float32)
    numbers = np.delete(table, [3, 8, 13], axis=1)
    return {
        "categoricalInput1": table[:, [3]],
        "categoricalInput2": np.searchsorted(np.unique(table[:, 8]), table[:, [8]]).astype(np.float32),
        "numericalInput": (numbers - numbers.mean(axis=0)) / numbers.std(axis=0),
        "output_true": table[:, [13]],
    }


async def house_losses(event: Event, most: int, trainable: str | None = None, **parameters: Any) -> list[float]:
    """The first ``most`` losses at ``event`` of an update on the whole table; the model asks for 500 epochs, no others."""
    losses: list[float] = []

    def handler(context: MLUpdateContext) -> None:
        losses.append(context.metrics[MLMetricKey.LOSS_VALUE])
        if len(losses) == most:
            context.task.cancel()

    given = {getattr(Key, name): value for name, value in parameters.items()}
    configuration = MLModelConfiguration(parameters=given, trainable=trainable)
    model, handlers = MLModel(shared_model("HousePrices_updatable.mlmodel")), MLUpdateProgressHandlers(event, handler)
    with pytest.raises(MLTaskCancelledError):
        await MLUpdateTask(model, MLArrayBatchProvider(houses()), configuration, progress_handlers=handlers)
    return losses


async def test_house_prices_are_learned_through_fifty_epochs() -> None:
    losses = await house_losses(Event.EPOCH_END, 50, SEED=1)
    assert len(losses) == 50
    decades = np.array(losses).reshape(5, 10).mean(axis=1)
    assert (np.diff(decades) < 0).all(), "each ten epochs are better than the ten before"
    assert losses[-1] < 0.2 * float(houses()["output_true"].var()), "far better than always guessing the mean"


@pytest.mark.parametrize("trainable", [None, "all"])
async def test_house_prices_are_learned_as_the_same_network_does_in_pytorch(trainable: str | None, torch: Any) -> None:
    losses = await house_losses(Event.MINI_BATCH_END, 20, trainable, SHUFFLE=False)
    held = {
        name: torch.tensor(array, dtype=torch.float64)
        for name, array in read_contents(MLModel(shared_model("HousePrices_updatable.mlmodel")).spec).items()
    }
    flags, codes, numbers, price = (torch.tensor(column, dtype=torch.float64) for column in houses().values())
    # An embedding's weights are [channels, entries] in the format. Core ML does not train them.
    tables = [held[f"embedding{number}.weights"].requires_grad_(trainable == "all") for number in (1, 2)]
    learning = [held[f"dense{number}.{field}"].requires_grad_() for number in (1, 2, 3) for field in ("weights", "bias")]
    optimizer = torch.optim.SGD(learning if trainable is None else [*learning, *tables], lr=0.001)
    expected = []
    for number in range(20):
        rows = slice(32 * (number % 16), 32 * (number % 16) + 32)  # 506 examples are sixteen batches, the last one of 26
        looked_up = [tables[0].reshape(2, -1).T[flags[rows, 0].long()], tables[1].reshape(5, -1).T[codes[rows, 0].long()]]
        x = torch.cat([numbers[rows], *looked_up], dim=1)
        for place in (0, 2, 4):
            weights, bias = learning[place : place + 2]
            x = torch.nn.functional.linear(torch.relu(x) if place else x, weights.reshape(len(bias), -1), bias)
        loss = ((x - price[rows]) ** 2).mean()
        expected.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == pytest.approx(expected, rel=1e-3)
