"""Stretches of an update computed on an accelerator, of which the training here has its copy."""

from __future__ import annotations

import time
from dataclasses import replace

from tailor.scheduler import AcceleratorLane

from ..accelerators import Device, on_device
from ..models import Movable, Resident
from .context import MLUpdateProgressEvent
from .in_process import LONGEST, TRANSFER
from .position import Position
from .stretch import Bounds, Stretch
from .training import Training


class OnDevice:
    """A workplace on the device of a lane, which is given the model once, and what was learned when that changed elsewhere.

    The steps are computed there; the order of the examples, what is frozen, the guard and checkpoints are this process's. After a stretch
    what it has learned is here too. Where the device fails, the training is as if the stretch had never begun, and ``LaneLost`` is raised.
    """

    def __init__(self, lane: AcceleratorLane[Device]) -> None:
        self._lane = lane
        self._resident: Resident | None = None
        self._left: Position | None = None  # where the training was when the device had learned as much as it
        self._transfer = 0.0

    async def stretch(self, training: Training, wanted: MLUpdateProgressEvent, bounds: Bounds) -> Stretch:
        """See ``Workplace``."""
        return await self._lane.run(lambda: self._there(training, wanted, bounds))

    def close(self) -> None:
        """Lets go of what is on the device."""
        self._resident = None

    def _there(self, training: Training, wanted: MLUpdateProgressEvent, bounds: Bounds) -> Stretch:
        here = training.learner
        with on_device(None):  # what is in front of what learns is made here, where it has the same bits whatever it comes with
            if not (training.learning and isinstance(here, Movable) and not here.kept_here):
                return training.stretch(wanted, bounds)
            undo, begun = training.marked(), time.monotonic()
            try:
                training.learner = resident = self._current(here, training)
                before = time.monotonic() - begun
                stretch = self._computed(training, resident, wanted, bounds)
            except Exception as error:
                if self._lane.lost(error) is not None:
                    self._resident = None
                    undo()
                raise
            finally:
                training.learner = here
            self._left = training.position
            return replace(stretch, seconds=time.monotonic() - begun, cold=stretch.cold and stretch.cold + before)

    def _current(self, here: Movable, training: Training) -> Resident:
        """The copy on the device, which has learned as much as the learner ``here``."""
        if self._resident is None:
            self._resident = here.resident(self._lane.device)
            training.begins_anew()
        elif training.position is not self._left:
            self._resident.take()
        return self._resident

    def _computed(self, training: Training, resident: Resident, wanted: MLUpdateProgressEvent, bounds: Bounds) -> Stretch:
        """The stretch, and what it has learned here; where an example or a loss is at fault, what was learned before it."""
        try:
            soon = min(max(bounds.soon, self._transfer / TRANSFER), LONGEST)
            stretch = training.stretch(wanted, replace(bounds, soon=soon, seconds=bounds.seconds - self._transfer))
        except Exception as error:
            if self._lane.lost(error) is None:
                resident.settle()
            raise
        begun = time.monotonic()
        resident.settle()
        self._transfer = time.monotonic() - begun
        return stretch
