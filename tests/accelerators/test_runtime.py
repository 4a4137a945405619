"""A runtime with a device: tasks and predictions use it where they may, and end well without it when it fails."""

from __future__ import annotations

import numpy as np
import pytest

from tailor import MLComputeUnits, MLModel, MLModelConfiguration, MLParameterKey, MLScheduling, MLUpdateContext, MLUpdateTask, Runtime
from tailor.runtime.accelerators.testing import FakeDevice
from tailor.scheduler import AcceleratorLane
from tests.network.models import digits_builder, images, teach
from tests.tasks.resumable import CASES as RESUMABLE
from tests.tasks.softmax_regression import classifier, points, provider

pytestmark = pytest.mark.anyio

ROWS = [{"image": image} for image in images(5)]


async def updated(device: FakeDevice, units: MLComputeUnits = MLComputeUnits.ALL, lanes: tuple[str, ...] | None = None) -> MLUpdateContext:
    configuration = MLModelConfiguration(units, parameters={MLParameterKey.EPOCHS: 3})
    async with Runtime(lanes={device.name: AcceleratorLane(device)}) as runtime:
        scheduling = MLScheduling(lanes=lanes)
        task = MLUpdateTask(classifier(epochs=3), provider(*points(40)), configuration, runtime=runtime, scheduling=scheduling)
        task.resume()
        return await task


def learned(context: MLUpdateContext) -> np.ndarray:
    return np.concatenate([array.reshape(-1) for array in context.model.trainable_parameters().values()])


async def test_an_update_goes_to_the_device_first() -> None:
    device, idle = FakeDevice(), FakeDevice()
    there = await updated(device)
    assert device.operations and device.used == 0
    here = await updated(idle, MLComputeUnits.CPU_ONLY)
    assert idle.operations == 0
    np.testing.assert_allclose(learned(there), learned(here), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("device", [FakeDevice, lambda vanish: FakeDevice(memory=vanish)], ids=["vanishes", "is full"])
@pytest.mark.parametrize("when", [0, 30, 100, 200])
async def test_an_update_whose_device_fails_ends_on_the_cpu(device: type[FakeDevice], when: int) -> None:
    failing = device(vanish=when)
    context = await updated(failing, lanes=("gpu0", "cpu"))
    np.testing.assert_allclose(learned(context), learned(await updated(FakeDevice(), MLComputeUnits.CPU_ONLY)), rtol=1e-4, atol=1e-6)


async def test_neighbours_learn_on_the_cpu() -> None:
    model, examples, _ = RESUMABLE["neighbours"]
    device = FakeDevice()
    async with Runtime(lanes={"gpu0": AcceleratorLane(device)}) as runtime:
        task = MLUpdateTask(model(), examples(), runtime=runtime)
        task.resume()
        await task
    assert device.operations == 0


async def test_predictions_go_to_the_device_once_it_is_known_that_they_can() -> None:
    model, device = MLModel.from_spec(teach(digits_builder()), "digits"), FakeDevice()
    right = [row["scores"] for row in model.predict(ROWS)]
    fresh = MLModel.from_spec(model.spec, "digits")
    async with Runtime(lanes={"gpu0": AcceleratorLane(device)}) as runtime:
        await runtime.prediction(fresh, ROWS)
        assert device.operations == 0  # nobody knew
        found = [row["scores"] for row in await runtime.prediction(fresh, ROWS)]
        assert device.get_count == 1
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-6)


async def test_a_prediction_whose_device_vanishes_is_made_on_the_cpu() -> None:
    model, device = MLModel.from_spec(digits_builder().spec, "digits"), FakeDevice(vanish=10)
    right = model.predict(ROWS)
    async with Runtime(lanes={"gpu0": AcceleratorLane(device)}) as runtime:
        found = await runtime.prediction(model, ROWS)
        assert device.operations == 11
        await runtime.prediction(model, ROWS)
    assert device.operations == 11  # and nothing more was tried there
    for one, other in zip(found, right, strict=True):
        np.testing.assert_array_equal(one["scores"], other["scores"])
