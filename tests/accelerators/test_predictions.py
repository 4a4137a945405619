"""Predictions on a device: those of here up to rounding, with the weights there once; elsewhere where that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor import MLComputeUnits, MLModel, MLModelConfiguration
from tailor.runtime.accelerators import Device, on_device
from tailor.runtime.accelerators import prediction as on_devices
from tailor.runtime.accelerators.testing import FakeDevice, FakeDeviceError
from tailor.runtime.format import NeuralNetworkBuilder, array_feature
from tailor.runtime.models import kept_here
from tailor.scheduler import AcceleratorLane
from tests.network.blocks import network, put
from tests.network.models import digits_builder, images
from tests.places import shared_model
from tests.tasks.softmax_regression import classifier

ROWS = [{"image": image} for image in images(11)]


def digits(configuration: MLModelConfiguration | None = None) -> MLModel:
    return MLModel.from_spec(digits_builder(["a", "b", "c"]).spec, "digits", configuration)


def there(model: MLModel, rows: Any, device: FakeDevice) -> Any:
    with device.at_work():
        return model.predict(rows)


def test_answers_are_those_of_here_and_weights_go_there_once() -> None:
    model, device = digits(), FakeDevice()
    right = model.predict(ROWS)
    for _ in range(2):
        before = device.put_count
        found = there(model, ROWS, device)
        assert [row["classLabel"] for row in found] == [row["classLabel"] for row in right]
        for one, other in zip(found, right, strict=True):
            assert one["scores"] == pytest.approx(other["scores"], rel=1e-4, abs=1e-6)
    assert (device.put_count - before, device.get_count) == (1, 2)  # the images, and twice the scores


def test_many_examples_go_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_devices, "MOST_ELEMENTS", 4 * 64)
    model, device = digits(), FakeDevice()
    assert len(there(model, ROWS, device)) == 11
    assert device.get_count == 3


def test_cpu_only_never_leaves_the_cpu() -> None:
    device = FakeDevice()
    there(digits(MLModelConfiguration(MLComputeUnits.CPU_ONLY)), ROWS, device)
    assert device.operations == 0


def embedding() -> MLModel:
    builder = NeuralNetworkBuilder([array_feature("x", (1, 1, 1))], [array_feature("y", (2, 1, 1))])
    builder.add_embedding("words", np.ones((2, 5), np.float32), None, 5, 2, False, "x", "y")
    return MLModel.from_spec(builder.spec, "words")


def loop() -> MLModel:
    spec = network("y = add(x 0)")
    put(put(spec.neuralNetwork, "loop(x)").loop.bodyNetwork, "more = add(y 1)", "y = copy(more)")
    return MLModel.from_spec(spec, "loop")


@pytest.mark.parametrize(
    ("model", "rows", "why"),
    [
        (embedding, [{"x": np.ones((1, 1, 1))}], "layers of kind 'embedding' run on the CPU only: layer 'words'"),
        (loop, [{"x": np.ones(1)}], "layer 'loop:' (loop) runs on the CPU only"),
    ],
)
def test_a_layer_that_stays_here_keeps_the_network_here_and_is_named(model: Any, rows: Any, why: str) -> None:
    device, made = FakeDevice(), model()
    there(made, rows, device)
    assert device.operations == 0
    assert kept_here(made._ready()) == why


def test_a_pipeline_computes_there_what_it_can() -> None:
    model, device = classifier(doubled="model"), FakeDevice()
    rows = [{"given": np.array([0.5, -1.0])}, {"given": np.array([1.0, 2.0])}]
    assert [row["classLabel"] for row in there(model, rows, device)] == [row["classLabel"] for row in model.predict(rows)]
    assert device.get_count == 2  # of two networks
    assert kept_here(model._ready()) == ""


def test_examples_of_different_shapes_are_computed_here() -> None:
    model, device = MLModel.from_spec(network("y = relu(x)"), "any shape"), FakeDevice()
    rows = [{"x": np.full(size, 2.0)} for size in (4, 5)]
    assert [row["y"].tolist() for row in there(model, rows, device)] == [[2.0] * 4, [2.0] * 5]
    assert device.operations == 0
    assert there(model, rows[:1], device)[0]["y"].tolist() == [2.0] * 4
    assert device.get_count == 1


def test_the_device_at_work_is_that_of_the_innermost_block() -> None:
    model, device, other = digits(), FakeDevice(), FakeDevice("gpu1")
    with device.at_work(), other.at_work():
        model.predict(ROWS)
    with device.at_work(), on_device(None):
        model.predict(ROWS)
    assert (device.operations, other.get_count) == (0, 1)


def test_a_device_that_is_gone_says_so() -> None:
    with pytest.raises(FakeDeviceError):
        there(digits(), ROWS, FakeDevice(vanish=5))
    assert AcceleratorLane[Device](FakeDevice()).lost(FakeDeviceError("away")) is not None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("MNIST_Model.mlmodel", ""),
        ("MNIST_classifier.mlmodel", ""),
        ("TinyDrawingEmbedding.mlmodel", ""),
        ("Waifu2xUpscale.mlmodel", ""),
        ("Image2Image.mlmodel", ""),
        ("UpdatableDrawingClassifier.mlmodel", ""),
        ("HousePrices_updatable.mlmodel", "layers of kind 'embedding' run on the CPU only"),
    ],
)
def test_real_networks_that_can_run_there(name: str, kept: str) -> None:
    model = MLModel(shared_model(name))
    predictor: Any = model._ready()
    if model.models:
        predictor = predictor._stages[0].predictor
    assert predictor.kept_here.startswith(kept) and bool(predictor.kept_here) is bool(kept)
