"""How a model is loaded and where it may run (Core ML's MLModelConfiguration)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from .errors import MLParameterError
from .parameters import MLParameterKey, ParameterValue


class MLComputeUnits(IntEnum):
    """Where a model may run. The neural engine stands for "an accelerator if there is one"."""

    CPU_ONLY = 0
    CPU_AND_GPU = 1
    ALL = 2
    CPU_AND_NEURAL_ENGINE = 3


@dataclass(frozen=True, slots=True)
class MLModelConfiguration:
    """Load-time choices for a model or an update.

    ``parameters`` override the model's defaults; a value that the model does not allow is refused where the model is
    loaded. ``allow_low_precision_accumulation_on_gpu`` affects accelerators only.
    """

    compute_units: MLComputeUnits = MLComputeUnits.ALL
    parameters: Mapping[MLParameterKey, ParameterValue] | None = field(default=None)
    preferred_metal_device: object | None = None
    allow_low_precision_accumulation_on_gpu: bool = False

    def __post_init__(self) -> None:
        if self.compute_units not in list(MLComputeUnits):
            raise MLParameterError(f"compute_units: expected one of {', '.join(MLComputeUnits.__members__)}, got {self.compute_units!r}")
        object.__setattr__(self, "compute_units", MLComputeUnits(self.compute_units))
        if self.parameters is not None:
            if not isinstance(self.parameters, Mapping):
                raise MLParameterError(f"parameters: expected a mapping from MLParameterKey to a value, got {self.parameters!r}")
            object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
