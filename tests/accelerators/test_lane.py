"""The lane of a device: what all lanes promise, and what it says where the device fails."""

from __future__ import annotations

import threading

import pytest

from tailor import MLModelError
from tailor.runtime.accelerators import device_at_work
from tailor.runtime.accelerators.testing import FakeDevice, FakeDeviceError, FakeOutOfMemoryError
from tailor.scheduler import AcceleratorLane, LaneLost
from tailor.scheduler.testing import check_lane

pytestmark = pytest.mark.anyio


def fail(error: Exception, cause: Exception | None = None) -> None:
    raise error from cause


async def test_a_devices_lane_keeps_the_promises_of_lanes() -> None:
    await check_lane(AcceleratorLane(FakeDevice()))


async def test_work_runs_on_the_device_in_a_thread() -> None:
    device = FakeDevice()
    lane = AcceleratorLane(device)
    assert await lane.run(lambda: (device_at_work(), threading.get_ident() != threading.main_thread().ident)) == (device, True)
    assert device_at_work() is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [(FakeOutOfMemoryError("too much"), None), (MLModelError("layer 'conv'"), FakeOutOfMemoryError("too much"))],
    ids=["itself", "its cause"],
)
async def test_a_full_device_loses_the_work_and_takes_other(error: Exception, cause: Exception | None) -> None:
    lane = AcceleratorLane(FakeDevice("gpu3"))
    with pytest.raises(LaneLost, match="gpu3: the device has too little memory: too much") as caught:
        await lane.run(lambda: fail(error, cause))
    assert (caught.value.lane, caught.value.gone, caught.value.__cause__) == ("gpu3", False, error)
    assert await lane.run(lambda: 7) == 7


async def test_a_device_that_is_gone_takes_no_work_any_more() -> None:
    lane, begun = AcceleratorLane(FakeDevice()), []
    with pytest.raises(LaneLost, match="gpu0: the device cannot be used any more: away"):
        await lane.run(lambda: fail(FakeDeviceError("away")))
    with pytest.raises(LaneLost, match="cannot be used any more") as caught:
        await lane.run(lambda: begun.append(1))
    assert caught.value.gone and not begun
    assert repr(lane) == "<AcceleratorLane gpu0: gone>"


async def test_what_says_nothing_of_the_device_is_raised_as_it_is() -> None:
    error = LookupError("of the work")
    with pytest.raises(LookupError) as caught:
        await AcceleratorLane(FakeDevice()).run(lambda: fail(error))
    assert caught.value is error


def test_what_is_no_device_has_no_lane() -> None:
    with pytest.raises(ValueError, match="lane: expected a device, got 'gpu0'"):
        AcceleratorLane("gpu0")
