"""The lane of one accelerator: a thread whose work is done on a device, and what is lost when the device is."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.to_thread

from ..errors import LaneLost

Result = TypeVar("Result")


class Accelerator(Protocol):
    """What a lane asks of a device; what is computed there it does not know."""

    @property
    def name(self) -> str:
        """What the device is called."""
        ...

    def at_work(self) -> AbstractContextManager[object]:
        """What a thread does inside is done on this device."""
        ...

    def full(self, error: BaseException) -> bool:
        """Whether ``error`` says that the device has too little memory left for what it was asked for."""
        ...

    def gone(self, error: BaseException) -> bool:
        """Whether ``error`` says that the device cannot be used any more."""
        ...


Device = TypeVar("Device", bound=Accelerator)


class AcceleratorLane(Generic[Device]):
    """A lane of one worker thread, which has ``device`` to itself; it belongs to the event loop that it is first used in.

    Work that fails because the device is full or gone, and says so itself or by what caused its error, raises ``LaneLost``. Once
    the device is gone, work that comes raises it before it begins. Raises ``ValueError`` for what is no device.
    """

    capacity = 1

    def __init__(self, device: Device) -> None:
        if not hasattr(device, "at_work"):
            raise ValueError(f"lane: expected a device, got {device!r}")
        self.device = device
        self._limiter = anyio.CapacityLimiter(1)
        self._gone = False

    def __repr__(self) -> str:
        return f"<AcceleratorLane {self.device.name}: {'gone' if self._gone else 'busy' if self.busy else 'free'}>"

    @property
    def busy(self) -> int:
        """How many pieces of work run now."""
        return self._limiter.borrowed_tokens

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns, computed on the device. Raises ``LaneLost`` as the class says."""
        return await anyio.to_thread.run_sync(partial(self._there, work), limiter=self._limiter)

    def lost(self, error: BaseException) -> LaneLost | None:
        """What ``error`` means for whoever waits for the work; ``None`` where it says nothing of the device."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, LaneLost):
                return cause
            if self.device.gone(cause):
                self._gone = True
                return LaneLost(f"{self.device.name}: the device cannot be used any more: {cause}", lane=self.device.name, gone=True)
            if self.device.full(cause):
                return LaneLost(f"{self.device.name}: the device has too little memory: {cause}", lane=self.device.name)
            cause = cause.__cause__
        return None

    def _there(self, work: Callable[[], Result]) -> Result:
        if self._gone:
            raise LaneLost(f"{self.device.name}: the device cannot be used any more", lane=self.device.name, gone=True)
        try:
            with self.device.at_work():
                return work()
        except Exception as error:
            lost = self.lost(error)
            if lost is None or lost is error:
                raise
            _let_go(error)
            raise lost from error


def _let_go(error: BaseException | None) -> None:
    """Lets what failed keep nothing on the device, for as long as somebody keeps the error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__
