"""Gradient descent on a device: a copy of a trainer, whose parameters, slots and constants lie there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tailor.kernels import SGD, Adam, Array
from tailor.scheduler import LaneLost

from ..network import Tape, Tensors, Trainer, asked_to_stop, check_finite, check_losses, gradients, quiet
from ..network.trainer import EXAMPLES
from .device import Device
from .prediction import plans_there, together


class DeviceTrainer(Trainer):
    """Computes the steps of another trainer on a device, inside ``device.at_work()``; that one, here, is changed by ``settle`` alone.

    A mini-batch goes there in one transfer an input and a target; its losses come back together with whether all gradients are finite.
    The numbers are those of the other trainer up to rounding.
    """

    def __init__(self, mirror: Trainer, device: Device) -> None:
        self._mirror = mirror
        self._device = device
        plans = plans_there(mirror.plans, device, mirror.parameters.keys())
        super().__init__(plans.graph, mirror.losses, mirror.parameters.keys(), mirror.team, mirror.clip, plans.constants)
        self._take_slots()

    def take(self) -> None:
        """Goes on from what the other trainer has come to."""
        for key, array in self._mirror.parameters.items():
            self.parameters[key][...] = self._device.put(array)
        self._take_slots()

    def _take_slots(self) -> None:
        self.slots = {key: slot.copy() if key == EXAMPLES else self._device.put(slot) for key, slot in self._mirror.slots.items()}
        self.steps = self._mirror.steps

    def settle(self) -> None:
        """Lets the other trainer have come to where this one is: wholly, or not at all where the device fails."""
        parameters, slots, steps = self.held()
        for key, array in parameters.items():
            self._mirror.parameters[key][...] = array
        self._mirror.slots, self._mirror.steps = slots, steps

    def held(self) -> tuple[dict[str, Array], dict[str, Array], int]:
        """See ``Trainer``."""
        parameters = {key: self._device.get(array) for key, array in self.parameters.items()}
        return parameters, {key: slot.copy() if key == EXAMPLES else self._device.get(slot) for key, slot in self.slots.items()}, self.steps

    def _mean_gradients(self, tensors: Tensors, targets: Sequence[Array]) -> tuple[Array, dict[str, Array]]:
        found = together(tensors, self.plans)
        if found is None:
            raise LaneLost(f"{self._device.name}: expected examples of one shape, which can be computed together, got others")
        columns, plan = found
        stop = asked_to_stop()
        tape = Tape(self.parameters.keys())
        values = plan.run({name: self._device.put(column) for name, column in columns.items()}, stacked=True, tape=tape, stop=stop)
        losses, starts = self._compared(values, [self._device.put(target) for target in targets], len(targets[0]), 0)
        sums = gradients(tape, starts, stop)
        return self._told("gradients", sums, losses), sums

    def _advance(self, sums: Mapping[str, Array], optimizer: SGD | Adam) -> None:
        if self.steps == 0:
            self.slots = optimizer.init(self.parameters)
        with quiet():
            optimizer.step(self.parameters, sums, self.slots, self.steps + 1)
        self._told("parameters after the step", {key: self.parameters[key] for key in sums})
        self.steps += 1

    def _told(self, what: str, arrays: Mapping[str, Array], *losses: Array) -> Array:
        """The losses, if any, and in one transfer with them whether ``arrays`` are finite. Raises where either are not."""
        flags = [np.isfinite(array).all().reshape(1).astype(np.float64) for array in arrays.values()]
        told = self._device.get(np.concatenate([*losses, *flags])) if losses or flags else np.empty(0)
        found = told[: len(told) - len(flags)]
        check_losses(found)
        for key, flag in zip(arrays, told[len(found) :], strict=True):
            if not flag:
                check_finite(what, {key: self._device.get(arrays[key])})
        return found
