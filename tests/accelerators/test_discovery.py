"""Devices are found through CuPy, each tried once; what is absent is absent quietly, what is broken is told once, to the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor import Runtime
from tailor.runtime.accelerators import accelerator_lanes, accelerators, cuda
from tailor.runtime.accelerators.testing import FakeDevice, FakeOutOfMemoryError


class DriverError(RuntimeError):
    """As CuPy's ``CUDARuntimeError``."""

    def __init__(self, message: str, status: int = 999) -> None:
        super().__init__(message)
        self.status = status


class FakeCupy(ModuleType):
    """The part of CuPy that is asked: as many devices as ``names``, of which those in ``broken`` fail at their first computation."""

    def __init__(self, names: list[str], broken: tuple[int, ...] = (), driver: bool = True) -> None:
        super().__init__("cupy")
        self.names, self.driver = names, driver
        self.device = FakeDevice()
        self.broken = FakeDevice(vanish=0)
        self.current = -1
        self.numbers_broken = broken
        error = type("OtherError", (RuntimeError,), {})
        self.cuda = SimpleNamespace(
            runtime=SimpleNamespace(
                CUDARuntimeError=DriverError,
                getDeviceCount=self.count,
                getDeviceProperties=lambda number: {"name": self.names[number].encode(), "totalGlobalMem": 8 << 30},
            ),
            memory=SimpleNamespace(OutOfMemoryError=FakeOutOfMemoryError),
            driver=SimpleNamespace(CUDADriverError=error),
            cublas=SimpleNamespace(CUBLASError=error),
            nvrtc=SimpleNamespace(NVRTCError=error),
            compiler=SimpleNamespace(CompileException=error),
            Device=self.chosen,
        )

    def count(self) -> int:
        if not self.driver:
            raise DriverError("cudaErrorInsufficientDriver", 35)
        return len(self.names)

    def chosen(self, number: int) -> nullcontext[None]:
        self.current = number
        return nullcontext()

    def array(self, array: Any, order: str) -> Any:
        return (self.broken if self.current in self.numbers_broken else self.device).put(array)

    def asnumpy(self, array: Any) -> Any:
        return array.get()


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is found is found anew in each test."""
    accelerators.cache_clear()
    yield
    monkeypatch.undo()
    accelerators.cache_clear()


def installed(monkeypatch: pytest.MonkeyPatch, library: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "cupy", library)
    monkeypatch.setattr(cuda, "find_spec", lambda name: None if library is None else object())


def test_without_cupy_there_is_none_and_nothing_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    installed(monkeypatch, None)
    assert accelerators() == () and accelerator_lanes() == {}
    assert not caplog.records


@pytest.mark.parametrize("library", [FakeCupy([]), FakeCupy(["never seen"], driver=False)], ids=["no device", "no driver"])
def test_without_a_device_nothing_is_warned_of(
    library: FakeCupy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed(monkeypatch, library)
    assert accelerators() == ()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_several_devices_are_found_with_name_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, FakeCupy(["A100", "T4"]))
    assert [(device.name, device.model, device.memory) for device in accelerators()] == [("gpu0", "A100", 8 << 30), ("gpu1", "T4", 8 << 30)]
    assert accelerators() is accelerators()
    assert list(accelerator_lanes()) == ["gpu0", "gpu1"]
    assert list(Runtime().scheduler.lanes) == ["cpu", "gpu0", "gpu1"]


def test_a_device_that_fails_at_its_trial_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    installed(monkeypatch, FakeCupy(["good", "broken"], broken=(1,)))
    assert [device.name for device in accelerators()] == ["gpu0"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "device 1 of CuPy fails at its trial" in record.getMessage()


def test_a_cupy_that_cannot_be_imported_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    installed(monkeypatch, FakeCupy([]))

    def broken(name: str) -> ModuleType:
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(cuda, "import_module", broken)
    for _ in range(3):
        assert accelerators() == ()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "CuPy is installed, but cannot be imported" in record.getMessage() and "libcudart" in record.getMessage()


def test_errors_of_a_device_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, FakeCupy(["A100"]))
    (device,) = accelerators()
    told = {
        FakeOutOfMemoryError("full"): (True, False),
        DriverError("cudaErrorMemoryAllocation", 2): (True, False),
        DriverError("cudaErrorDevicesUnavailable", 46): (False, True),
        ValueError("of the work"): (False, False),
    }
    for error, expected in told.items():
        assert (device.full(error), device.gone(error)) == expected


def test_a_real_device_multiplies_and_brings_back() -> None:
    devices = accelerators()
    if not devices:
        pytest.skip("needs CuPy and a device that it can use; there is none here")
    for device in devices:
        with device.at_work():
            ones = device.put(np.ones((64, 64), np.float32))
            np.testing.assert_array_equal(device.get(ones @ ones), np.full((64, 64), 64.0))
