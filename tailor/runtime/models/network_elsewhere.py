"""A network that learns on an accelerator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tailor.kernels import SGD, Adam, Array
from tailor.persistence import Content

from ..accelerators import Device, DeviceTrainer
from ..errors import MLUpdateError
from .family import Columns
from .network_state import read_state

if TYPE_CHECKING:
    from .network_learner import NetworkLearner


class NetworkElsewhere:
    """A ``Resident`` (see there): ``here`` is the learner whose steps it computes on ``device``."""

    iterative = True

    def __init__(self, here: NetworkLearner, device: Device) -> None:
        self._here = here
        self._trainer = DeviceTrainer(here.trainer, device)
        self.frozen = here.frozen
        self.label = here.label

    def take(self) -> None:
        """See ``Resident``."""
        self._trainer.take()

    def settle(self) -> None:
        """See ``Resident``."""
        self._trainer.settle()

    def prepared(self, columns: Columns, count: int) -> Columns:
        """See ``Learner``; it is made here."""
        return self._here.prepared(columns, count)

    def step(self, columns: Columns, count: int, optimizer: SGD | Adam | None, waits: bool = False) -> Array | None:
        """See ``Learner``."""
        if optimizer is None:
            raise MLUpdateError("expected an optimizer for a network's step, got none")
        return self._trainer.step(*self._here.taken(columns, count), optimizer, waits)

    def state(self) -> dict[str, Content]:
        """See ``Learner``."""
        return read_state(self._trainer)

    def restore(self, state: Mapping[str, Content]) -> None:
        """See ``Learner``."""
        self._here.restore(state)
        self.take()

    def writer(self) -> Callable[[Any], None]:
        """See ``Learner``."""
        return self._here.writer(self._trainer.held()[0])

    def close(self) -> None:
        """The learner here stays; what was on the device goes with this object."""
