"""Devices that CuPy computes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from tailor.kernels import Array

from .device import Device, on_device

LOGGER = logging.getLogger("tailor.accelerators")

NO_MEMORY = 2
"""``cudaErrorMemoryAllocation``."""


class CudaDevice:
    """A device of CuPy's, by its number (see ``Device``)."""

    def __init__(self, cupy: Any, number: int) -> None:
        self.name = f"gpu{number}"
        self._cupy = cupy
        self._number = number
        properties = cupy.cuda.runtime.getDeviceProperties(number)
        self.model = str(properties["name"], "utf-8", "replace")
        self.memory = int(properties["totalGlobalMem"])
        cuda = cupy.cuda
        self._full = (cuda.memory.OutOfMemoryError,)
        self._gone = (
            cuda.runtime.CUDARuntimeError,
            cuda.driver.CUDADriverError,
            cuda.cublas.CUBLASError,
            cuda.nvrtc.NVRTCError,
            cuda.compiler.CompileException,
        )

    def __repr__(self) -> str:
        return f"<CudaDevice {self.name}: {self.model}, {self.memory >> 20} MiB>"

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """See ``Accelerator``."""
        with on_device(self), self._cupy.cuda.Device(self._number):
            yield

    def put(self, array: Array) -> Array:
        """See ``Device``."""
        there: Array = self._cupy.array(array, order="C")
        return there

    def get(self, array: Array) -> Array:
        """See ``Device``."""
        here: Array = self._cupy.asnumpy(array)
        return here

    def full(self, error: BaseException) -> bool:
        """See ``Accelerator``."""
        return isinstance(error, self._full) or (isinstance(error, self._gone) and getattr(error, "status", None) == NO_MEMORY)

    def gone(self, error: BaseException) -> bool:
        """See ``Accelerator``."""
        return isinstance(error, self._gone) and not self.full(error)

    def tried(self) -> None:
        """Lets it multiply two matrices; raises whatever goes wrong."""
        with self.at_work():
            ones = self.put(np.ones((4, 4), np.float32))
            found = self.get(np.matmul(ones, ones) + np.maximum(ones, 0.0))
        if not (found == 5.0).all():
            raise RuntimeError(f"expected 5 in each place of a product, got {found.tolist()}")


@lru_cache(maxsize=1)
def accelerators() -> tuple[Device, ...]:
    """The devices that there are, found and tried at the first call; none where CuPy or a device is absent.

    A CuPy that is installed but cannot be used, and a device that fails at its trial, are told to the log, as warnings.
    """
    if find_spec("cupy") is None:
        return ()
    try:
        cupy = import_module("cupy")
    except Exception as error:  # whatever a library that is installed wrongly raises
        LOGGER.warning("CuPy is installed, but cannot be imported, so no accelerator is used: %s: %s", type(error).__name__, error)
        return ()
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:  # no driver, or none for this machine
        LOGGER.debug("CuPy finds no device: %s", error)
        return ()
    return tuple(device for number in range(count) for device in _working(cupy, number))


def _working(cupy: Any, number: int) -> list[Device]:
    """The device with this number, if it works."""
    try:
        device = CudaDevice(cupy, number)
        device.tried()
    except Exception as error:  # whatever the trial was for
        LOGGER.warning("device %d of CuPy fails at its trial, and is not used: %s: %s", number, type(error).__name__, error)
        return []
    return [device]
