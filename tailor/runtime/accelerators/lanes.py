"""The lanes of the accelerators, and which of them a model may use."""

from __future__ import annotations

from collections.abc import Mapping

from tailor.scheduler import AcceleratorLane, Lane

from ..configuration import MLComputeUnits
from .cuda import accelerators
from .device import Device


def accelerator_lanes() -> dict[str, AcceleratorLane[Device]]:
    """A lane for each of ``accelerators()``, by its name."""
    return {device.name: AcceleratorLane(device) for device in accelerators()}


def kept_by(units: MLComputeUnits) -> str:
    """Why a model whose configuration has these ``units`` stays on the CPU; ``""`` where they allow accelerators."""
    return "compute_units is CPU_ONLY" if units is MLComputeUnits.CPU_ONLY else ""


def lanes_for(kept: str, lanes: Mapping[str, Lane]) -> tuple[str, ...]:
    """The lanes that work may use, the preferred ones first: accelerators', unless something has ``kept`` it on the CPU, then ``cpu``."""
    if kept:
        return ("cpu",)
    return (*(name for name, lane in lanes.items() if isinstance(lane, AcceleratorLane)), "cpu")
