"""An update whose steps are computed on a device: the same as here up to rounding, and as if nothing had been where the device fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLParameterKey, MLUpdateError
from tailor import MLUpdateProgressEvent as Event
from tailor.kernels import SGD
from tailor.runtime.accelerators import Device, DeviceTrainer, kept_by, lanes_for
from tailor.runtime.accelerators.testing import FakeDevice, FakeDeviceError, FakeOutOfMemoryError
from tailor.runtime.configuration import MLComputeUnits
from tailor.runtime.models import kept_here
from tailor.runtime.models.network_learner import NetworkLearner
from tailor.runtime.update.elsewhere import OnDevice
from tailor.runtime.update.saving import MLCheckpoints, Saving
from tailor.runtime.update.stretch import Bounds, Stretch
from tailor.runtime.update.training import Training
from tailor.runtime.values import MLBatchProvider
from tailor.scheduler import AcceleratorLane, LaneLost, ThreadLane
from tests.network.models import digits_builder, images, teach
from tests.tasks.models import regression_model
from tests.tasks.resumable import CASES as RESUMABLE
from tests.tasks.softmax_regression import classifier, points, provider
from tests.tasks.test_training_options import CASES as OPTIONS
from tests.tasks.test_training_options import model as two_losses
from tests.tasks.test_training_options import provider as two_targets

pytestmark = pytest.mark.anyio


def digits() -> MLModel:
    return MLModel.from_spec(teach(digits_builder(["a", "b", "c"])), "digits")


def labelled(count: int = 40) -> MLArrayBatchProvider:
    return MLArrayBatchProvider([{"image": image, "classLabel": "abc"[place % 3]} for place, image in enumerate(images(count))])


Made = tuple[Callable[[], MLModel], Callable[[], MLBatchProvider], dict[str, Any]]
LEARNED: dict[str, Made] = {
    **{name: case for name, case in RESUMABLE.items() if "neighbours" not in name and name != "pipeline"},
    "images": (digits, labelled, {}),
    "only the head": (digits, labelled, {"trainable": ["dense"]}),
    "behind a frozen layer": (lambda: classifier(doubled="layer"), lambda: provider(*points(30)), {}),
    "last of a pipeline": (lambda: classifier(doubled="model"), lambda: provider(*points(30), name="given"), {}),
    "accumulated, clipped, decayed": (lambda: two_losses(adam=True), two_targets, {"training": OPTIONS["accumulate and clip"][0]}),
    "two losses": (lambda: two_losses(adam=False, two=True), two_targets, {"training": OPTIONS["losses"][0]}),
}


def training(case: Made) -> Training:
    model, examples, options = case
    return Training(model()._configured(MLModelConfiguration(**options)), examples(), {MLParameterKey.SEED: 5})


def state(of: Training) -> dict[str, Any]:
    return {name: np.array(value) for name, value in of.learner.state().items()}


async def step(of: Training, place: OnDevice, steps: int = 2) -> Stretch:
    return await place.stretch(of, Event(0), Bounds(steps=steps, soon=60.0))


def here(case: Made) -> dict[str, Any]:
    """What is learned on the CPU."""
    whole = training(case)
    while not whole.done:
        whole.stretch(Event(0), Bounds(soon=60.0))
    found = state(whole)
    whole.close()
    return found


def check(found: Mapping[str, Any], right: Mapping[str, Any], exactly: bool = False) -> None:
    assert found.keys() == right.keys()
    for name, array in right.items():
        tolerance = {"rtol": 0.0, "atol": 0.0} if exactly else {"rtol": 2e-3, "atol": 2e-5}
        np.testing.assert_allclose(found[name], array, err_msg=name, **tolerance)


@pytest.mark.parametrize("name", LEARNED)
async def test_what_is_learned_there_is_what_is_learned_here(name: str) -> None:
    device = FakeDevice()
    there, place = training(LEARNED[name]), OnDevice(AcceleratorLane[Device](device))
    while not there.done:
        await step(there, place)
    check(state(there), here(LEARNED[name]))
    assert device.operations
    place.close()
    there.close()
    assert device.used == 0


async def test_a_mini_batch_goes_there_once_and_its_losses_come_back() -> None:
    device = FakeDevice()
    there, place = training(LEARNED["images"]), OnDevice(AcceleratorLane[Device](device))
    await step(there, place)  # TRAINING_BEGIN
    await step(there, place)
    learned = len(state(there))
    before = device.put_count, device.get_count
    done = await step(there, place, steps=2)
    assert done.steps == 2
    # images and classes of two mini-batches; losses with the gradients' flags, the parameters' flags, and at the end what was learned
    assert (device.put_count - before[0], device.get_count - before[1]) == (2 * 2, 2 * 2 + learned - 1)
    there.close()


async def test_it_goes_on_from_what_was_learned_elsewhere_meanwhile() -> None:
    device = FakeDevice()
    there, place = training(LEARNED["Adam, shuffled"]), OnDevice(AcceleratorLane[Device](device))
    on_device = True
    while not there.done:
        if on_device:
            await step(there, place, steps=1)
        else:
            there.stretch(Event(0), Bounds(steps=1, soon=60.0))
        on_device = not on_device
    check(state(there), here(LEARNED["Adam, shuffled"]))
    there.close()


@pytest.mark.parametrize("name", ["Adam, accumulated and decayed", "images", "last of a pipeline"])
async def test_a_device_that_vanishes_at_any_operation_takes_one_stretch_with_it(name: str) -> None:
    device = FakeDevice()
    whole, place = training(LEARNED[name]), OnDevice(AcceleratorLane[Device](device))
    while not whole.done:
        await step(whole, place)
    right, all_operations = here(LEARNED[name]), device.operations
    whole.close()
    for vanish in range(0, all_operations, max(1, all_operations // 12)):
        there, lane = training(LEARNED[name]), AcceleratorLane[Device](FakeDevice(vanish=vanish))
        place, losses = OnDevice(lane), 0
        while not there.done:
            before = (state(there), there.position, there.done)
            try:
                await step(there, place)
            except LaneLost as error:
                losses += 1
                assert error.gone and error.lane == "gpu0" and isinstance(error.__cause__, Exception)
                check(state(there), before[0], exactly=True)
                assert (there.position, there.done) == before[1:]
                break
        while not there.done:
            there.stretch(Event(0), Bounds(soon=60.0))
        assert losses == 1
        check(state(there), right)
        there.close()


@pytest.mark.parametrize("memory", [0, 1000, 20_000, 40_000])
async def test_a_device_without_memory_for_it_is_lost_to_this_update_but_not_gone(memory: int) -> None:
    there, device = training(LEARNED["images"]), FakeDevice(memory=memory)
    place = OnDevice(AcceleratorLane[Device](device))
    await step(there, place)
    before = state(there)
    with pytest.raises(LaneLost, match="gpu0: the device has too little memory: gpu0: out of memory") as caught:
        await step(there, place)
    assert not caught.value.gone
    assert device.used == 0  # although somebody keeps the error
    check(state(there), before, exactly=True)
    place.close()
    there.close()


async def test_checkpoints_on_the_way_leave_what_is_here_alone(tmp_path: Any) -> None:
    there, device = training(LEARNED["Adam, shuffled"]), FakeDevice()
    place = OnDevice(AcceleratorLane[Device](device))
    await step(there, place)
    begun = device.operations
    await step(there, place, steps=1)
    before, one = state(there), device.operations - begun
    there.saving = Saving(MLCheckpoints(tmp_path / "a.ckpt", every_batches=1))
    device.vanish = device.operations + 2 * one  # in the second of them, before which a checkpoint is taken, or in the third
    with pytest.raises(LaneLost):
        await step(there, place, steps=100)
    there.saving.finish(None)
    assert (tmp_path / "a.ckpt").exists()
    check(state(there), before, exactly=True)
    there.close()


async def test_what_fails_but_the_device_fails_as_here_and_keeps_what_was_learned_before() -> None:
    x = np.ones((8, 2), np.float32)
    x[6] = 3e38  # its loss is infinite
    rows = MLArrayBatchProvider([{"x": row, "y_true": np.zeros(1, np.float32)} for row in x])
    said, learned = [], []
    for where in ("here", "there"):
        of = training((lambda: regression_model(batch=2, epochs=1), lambda: rows, {}))
        place = OnDevice(AcceleratorLane[Device](FakeDevice()))
        of.stretch(Event(0))
        with pytest.raises(MLUpdateError) as caught:
            await step(of, place, 9) if where == "there" else of.stretch(Event(0), Bounds(soon=60.0))
        said.append(str(caught.value))
        learned.append(state(of))
        assert of.position.cursor == 6
        of.close()
    assert said[0] == said[1] and "mini-batch 3" in said[0] and "example 6" in said[0]
    check(learned[1], learned[0])


@pytest.mark.parametrize("kind", ["neighbours", "pipeline"])
async def test_what_cannot_be_computed_there_is_computed_here(kind: str) -> None:
    case, device = RESUMABLE[kind], FakeDevice()
    there = training(case)
    assert kept_here(there.learner) == "only networks are computed on accelerators"
    while not there.done:
        await step(there, OnDevice(AcceleratorLane[Device](device)))
    assert device.operations == 0
    there.close()


def test_what_may_use_an_accelerator() -> None:
    lanes = {"cpu": ThreadLane(), "gpu0": AcceleratorLane(FakeDevice()), "gpu1": AcceleratorLane(FakeDevice("gpu1"))}
    for units in MLComputeUnits:
        expected = ("cpu",) if units is MLComputeUnits.CPU_ONLY else ("gpu0", "gpu1", "cpu")
        assert lanes_for(kept_by(units), lanes) == expected
    assert lanes_for("a layer keeps it", lanes) == ("cpu",)


def test_errors_of_the_device_are_told_from_others() -> None:
    lane = AcceleratorLane(FakeDevice())
    assert lane.lost(ValueError("of the work")) is None
    wrapped = MLUpdateError("a layer")
    wrapped.__cause__ = FakeOutOfMemoryError("full")
    full, gone = lane.lost(wrapped), lane.lost(FakeDeviceError("away"))
    assert full is not None and gone is not None and (full.gone, gone.gone) == (False, True)


def test_examples_that_cannot_go_together_are_not_for_a_device() -> None:
    learner = NetworkLearner(teach(digits_builder()), "digits", threads=1)
    rows = [np.zeros((1, 1, 1, 8, width), np.float32) for width in (8, 9)]
    with pytest.raises(LaneLost, match="gpu0: expected examples of one shape, which can be computed together, got others"):
        DeviceTrainer(learner.trainer, FakeDevice()).step({"image": rows}, [np.zeros(2, np.int64)], SGD(0.1))
    learner.close()
