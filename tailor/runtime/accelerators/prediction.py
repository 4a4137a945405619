"""Networks on a device: whether one can run there, and running it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from threading import Lock

import numpy as np

from tailor.kernels import Array

from ..network import Plan, Plans, Tensors, asked_to_stop, stacked
from .device import Device

MOST_ELEMENTS = 1 << 24
"""Elements of the inputs that go to a device at a time, at most, unless one example has more: 64 MiB."""


def kept_here(plans: Plans) -> str:
    """Why a graph cannot run on an accelerator: its first layer that stays here, unless no input changes that. ``""`` where it can."""
    graph = plans.graph
    for node in graph.needed(graph.outputs, plans.constants):
        if node.op is None:
            return f"{node.who} runs on the CPU only"
        if not node.op.portable:
            return f"layers of kind {node.kind!r} run on the CPU only: layer {node.name!r}"
    return "" if graph.inputs else "no input changes it"


def together(tensors: Tensors, plans: Plans) -> tuple[dict[str, Array], Plan] | None:
    """The inputs of a graph, stacked, and the plan for them; ``None`` where the examples have to be taken one by one."""
    columns: dict[str, Array] = {}
    for name in plans.graph.inputs:
        column = stacked(tensors[name])
        if not isinstance(column, np.ndarray):
            return None
        columns[name] = column
    plan = plans.plan({name: column.shape[1:] for name, column in columns.items()})
    return (columns, plan) if plan.together else None


def plans_there(here: Plans, device: Device, learns: Collection[str] = ()) -> Plans:
    """The plans of the same graph with its parameters and constants on ``device``."""
    constants = {name: device.put(value) for name, value in here.constants.items()}
    parameters = {key: device.put(array) for key, array in here.graph.parameters.items()}
    return Plans(replace(here.graph, parameters=parameters), learns=learns, constants=constants)


class DevicePlans:
    """A graph on a device."""

    def __init__(self, here: Plans, device: Device) -> None:
        self._device = device
        self._plans = plans_there(here, device)

    def run(self, tensors: Tensors, total: int) -> dict[str, Array] | None:
        """The outputs of ``total`` examples, by name, computed there; ``None`` where their shapes do not let them go together."""
        found = together(tensors, self._plans)
        if found is None:
            return None
        columns, plan = found
        size = max(1, MOST_ELEMENTS // max(1, sum(column.size for column in columns.values()) // total))
        parts: list[Mapping[str, Array]] = []
        for start in range(0, total, size):
            there = {name: self._device.put(column[start : start + size]) for name, column in columns.items()}
            made = plan.run(there, stacked=True, stop=asked_to_stop())
            parts.append({name: self._device.get(value) for name, value in made.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in plan.outputs}


class Residents:
    """A graph on each of the devices that it has been run on."""

    def __init__(self, here: Plans) -> None:
        self._here = here
        self._lock = Lock()
        self._kept_here: str | None = None
        self._plans: dict[str, DevicePlans] = {}

    @property
    def kept_here(self) -> str:
        """Why the graph cannot run on an accelerator, ``""`` where it can."""
        if self._kept_here is None:
            self._kept_here = kept_here(self._here)
        return self._kept_here

    def run(self, device: Device, tensors: Tensors, total: int) -> dict[str, Array] | None:
        """The outputs of ``total`` examples, computed on ``device``; ``None`` where they have to be computed here."""
        if self.kept_here:
            return None
        with self._lock:
            if device.name not in self._plans:
                self._plans[device.name] = DevicePlans(self._here, device)
            plans = self._plans[device.name]
        return plans.run(tensors, total)
