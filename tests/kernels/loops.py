"""All compiled loops of the room."""

from __future__ import annotations

from typing import Any

from tailor.kernels import optimizers, pairs, pools, sampling, trees, window
from tailor.kernels.jit import Kernel
from tailor.kernels.layers import activation, lstm_gates

KERNELS: tuple[Kernel[..., Any], ...] = tuple(
    value
    for module in (activation, lstm_gates, optimizers, pairs, pools, sampling, trees, window)
    for value in vars(module).values()
    if isinstance(value, Kernel)
)
