"""How a model is loaded and where it may run (Core ML's MLModelConfiguration)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType

from .errors import MLParameterError
from .parameters import MLParameterKey, ParameterValue


class MLComputeUnits(IntEnum):
    """Where a model may run: never elsewhere, but not everywhere either.

    ``CPU_ONLY`` keeps it off any accelerator. The others allow the accelerators that they name, where there is one that
    tailor can use and the model gains by it; the neural engine stands for "an accelerator other than a GPU". This version
    has a backend for the CPU only, so that all four give the same answers, bit for bit.
    """

    CPU_ONLY = 0
    CPU_AND_GPU = 1
    ALL = 2
    CPU_AND_NEURAL_ENGINE = 3


@dataclass(frozen=True, slots=True)
class MLModelConfiguration:
    """Load-time choices for a model or an update.

    ``parameters`` override the model's defaults; a value that the model does not allow is refused where the model is
    loaded. ``allow_low_precision_accumulation_on_gpu`` affects accelerators only.

    ``threads``: how many threads one prediction or update may use at most, the caller's included. ``None``: one a processor
    that this process may use, but no more than BLAS may use when it begins (``OMP_NUM_THREADS``, ``OPENBLAS_NUM_THREADS``,
    ``threadpoolctl.threadpool_limits``), nor than the environment variable ``TAILOR_THREADS`` says. The number changes no bit of
    an answer. BLAS is held to one thread meanwhile, and afterwards is what it was.

    ``linked_model_folders``: folders, besides the model's own, in which the files of models that it links to may lie, and in
    which they are looked for after its own. Relative ones are taken from the present working directory.

    Raises ``MLParameterError`` naming the field that cannot be.
    """

    compute_units: MLComputeUnits = MLComputeUnits.ALL
    parameters: Mapping[MLParameterKey, ParameterValue] | None = field(default=None)
    preferred_metal_device: object | None = None
    allow_low_precision_accumulation_on_gpu: bool = False
    threads: int | None = None
    linked_model_folders: Sequence[str | os.PathLike[str]] = ()

    def __post_init__(self) -> None:
        if self.compute_units not in list(MLComputeUnits):
            raise MLParameterError(f"compute_units: expected one of {', '.join(MLComputeUnits.__members__)}, got {self.compute_units!r}")
        object.__setattr__(self, "compute_units", MLComputeUnits(self.compute_units))
        if self.threads is not None and (isinstance(self.threads, bool) or not isinstance(self.threads, int) or self.threads < 1):
            raise MLParameterError(f"threads: expected a whole number of at least 1, or None, got {self.threads!r}")
        object.__setattr__(self, "linked_model_folders", _folders(self.linked_model_folders))
        if self.parameters is not None:
            if not isinstance(self.parameters, Mapping):
                raise MLParameterError(f"parameters: expected a mapping from MLParameterKey to a value, got {self.parameters!r}")
            object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


def _folders(given: object) -> tuple[Path, ...]:
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)) or not all(isinstance(one, (str, os.PathLike)) for one in given):
        raise MLParameterError(f"linked_model_folders: expected a list of paths of folders, got {given!r}")
    return tuple(Path(folder).absolute() for folder in given)
