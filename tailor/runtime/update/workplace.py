"""Where the stretches of an update are computed: in a thread of this process, in another process, or on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tailor.scheduler import Lane

from .context import MLUpdateProgressEvent
from .stretch import Bounds, Stretch

if TYPE_CHECKING:
    from .training import Training


class Workplace(Protocol):
    """Computes stretches of one training. The ``training`` given, here, is the one that counts.

    A workplace that has a copy elsewhere puts what came of a stretch into it before it returns, whole or not at all. Raises what the
    training raises, and ``LaneLost`` where the stretch has not happened because the place is gone.
    """

    async def stretch(self, training: Training, wanted: MLUpdateProgressEvent, bounds: Bounds) -> Stretch:
        """Takes ``training`` further, as ``Training.stretch`` does."""
        ...

    def close(self) -> None:
        """Forgets the training; called once, when the task ends."""
        ...


class InThread:
    """A lane whose work runs in this process."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def stretch(self, training: Training, wanted: MLUpdateProgressEvent, bounds: Bounds) -> Stretch:
        """Takes ``training`` itself further."""
        return await self._lane.run(lambda: training.stretch(wanted, bounds))

    def close(self) -> None:
        """There is nothing to forget."""
