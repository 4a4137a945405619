"""What tailor asks of an accelerator: arrays there and back; and on which one this thread works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from tailor.kernels import Array
from tailor.scheduler import Accelerator

_at_work: ContextVar[Device | None] = ContextVar("tailor_device", default=None)


class Device(Accelerator, Protocol):
    """One accelerator whose arrays take part in NumPy's dispatch protocols, so that kernels run on them as they are.

    ``name`` is that of its lane, ``gpu0``, ``gpu1`` and so on; ``model`` what its maker calls it; ``memory`` the bytes that it has in all.
    """

    @property
    def model(self) -> str:
        """See above."""
        ...

    @property
    def memory(self) -> int:
        """See above."""
        ...

    def put(self, array: Array) -> Array:
        """A copy there, C-contiguous, of an array that is here."""
        ...

    def get(self, array: Array) -> Array:
        """A copy here of an array that is there."""
        ...


def device_at_work() -> Device | None:
    """The device that this thread works on, inside ``on_device``."""
    return _at_work.get()


@contextmanager
def on_device(device: Device | None) -> Iterator[None]:
    """What networks compute inside they compute on ``device``, as far as they can; with ``None``, here."""
    token = _at_work.set(device)
    try:
        yield
    finally:
        _at_work.reset(token)
