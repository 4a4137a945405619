"""Accelerators: devices found through CuPy, and networks that run and learn on them."""

from __future__ import annotations

from .cuda import CudaDevice, accelerators
from .device import Device, device_at_work, on_device
from .lanes import accelerator_lanes, kept_by, lanes_for
from .prediction import Residents, kept_here
from .trainer import DeviceTrainer

__all__ = [
    "CudaDevice",
    "Device",
    "DeviceTrainer",
    "Residents",
    "accelerator_lanes",
    "accelerators",
    "device_at_work",
    "kept_by",
    "kept_here",
    "lanes_for",
    "on_device",
]
