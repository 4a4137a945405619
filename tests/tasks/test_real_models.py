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


async def test_house_prices_are_learned() -> None:
    model = MLModel(shared_model("HousePrices_updatable.mlmodel"))
    table = np.loadtxt(shared_model("HousePrices.csv"), dtype=np.float32)
    # The columns are the Boston housing table's: CHAS (0 or 1) and RAD (of nine values) are categories, MEDV is the price.
    chas, rad, price = table[:, [3]], table[:, [8]], table[:, [13]]
    numbers = np.delete(table, [3, 8, 13], axis=1)
    numbers = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    codes = np.searchsorted(np.unique(rad), rad).astype(np.float32)
    columns = {"categoricalInput1": chas, "categoricalInput2": codes, "numericalInput": numbers, "output_true": price}
    epochs: list[float] = []

    def handler(context: Any) -> None:
        epochs.append(context.metrics[MLMetricKey.LOSS_VALUE])
        if len(epochs) == 10:
            context.task.cancel()

    handlers = MLUpdateProgressHandlers(Event.EPOCH_END, handler)
    task = MLUpdateTask(model, MLArrayBatchProvider(columns), MLModelConfiguration(parameters={Key.SEED: 1}), progress_handlers=handlers)
    with pytest.raises(MLTaskCancelledError):
        await task
    assert epochs[-1] < 0.5 * epochs[0]
    assert epochs[-1] < float(price.var())
