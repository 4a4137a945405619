"""How a model is loaded and where it may run (Core ML's MLModelConfiguration)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .errors import MLParameterError
from .options import NO_OPTIONS, MLTrainingOptions
from .parameters import MLParameterKey

DEFAULT_CACHE_BYTES = 1 << 28
"""Memory that an update may keep of what the frozen part of a model makes of its examples: 256 MiB."""


class MLComputeUnits(IntEnum):
    """Where a model may run: never elsewhere, but not everywhere either.

    ``CPU_ONLY`` keeps it off any accelerator; answers and updates are the same bits then, on any number of threads. The others
    allow every accelerator that is found (``pip install 'tailor[gpu]'``), by whatever name: a ``Runtime`` uses one for a network
    that can be computed there (``MLModel.kept_on_cpu`` says what cannot) as soon as that is seen to be faster than the CPU.
    Answers from there are the same up to rounding. Outside of a ``Runtime`` everything is computed on the CPU.
    """

    CPU_ONLY = 0
    CPU_AND_GPU = 1
    ALL = 2
    CPU_AND_NEURAL_ENGINE = 3


@dataclass(frozen=True, slots=True)
class MLModelConfiguration:
    """Load-time choices for a model or an update.

    ``parameters`` override the model's defaults; a value that the model does not allow is refused where the model is
    loaded. Those that name numbers of a layer, such as ``WEIGHTS``, are arrays, which become the loaded model's own.
    ``allow_low_precision_accumulation_on_gpu`` affects accelerators only.

    ``threads``: how many threads one prediction or update may use at most, the caller's included. ``None``: one a processor
    that this process may use, but no more than BLAS may use when it begins (``OMP_NUM_THREADS``, ``OPENBLAS_NUM_THREADS``,
    ``threadpoolctl.threadpool_limits``), nor than the environment variable ``TAILOR_THREADS`` says. The number changes no bit of
    an answer. BLAS is held to one thread meanwhile, and afterwards is what it was.

    ``linked_model_folders``: folders, besides the model's own, in which the files of models that it links to may lie, and in
    which they are looked for after its own. Relative ones are taken from the present working directory.

    ``trainable``: what an update trains, whatever the model says of its layers: ``"all"`` that can be trained, or a list of names of layers
    (``lstm``) and of their fields (``bn1.gamma``), in a pipeline with the name of its last model in front or not. ``None``: the layers
    that the model marks as updatable, as Core ML does. ``training``: what an update does besides. Whether both fit the model is seen
    when an update is made.

    ``cache_bytes``: how much memory an update may use to keep what the part of the model that does not learn makes of each example, so
    that it is computed once. What is beyond that is kept in a temporary file, as long as there is room on the disk.

    Raises ``MLParameterError`` naming the field that cannot be.
    """

    compute_units: MLComputeUnits = MLComputeUnits.ALL
    parameters: Mapping[MLParameterKey, object] | None = field(default=None)
    preferred_metal_device: object | None = None
    allow_low_precision_accumulation_on_gpu: bool = False
    threads: int | None = None
    linked_model_folders: Sequence[str | os.PathLike[str]] = ()
    trainable: str | Sequence[str] | None = None
    training: MLTrainingOptions = NO_OPTIONS
    cache_bytes: int = DEFAULT_CACHE_BYTES

    def __post_init__(self) -> None:
        if self.compute_units not in list(MLComputeUnits):
            raise MLParameterError(f"compute_units: expected one of {', '.join(MLComputeUnits.__members__)}, got {self.compute_units!r}")
        object.__setattr__(self, "compute_units", MLComputeUnits(self.compute_units))
        if self.threads is not None and (isinstance(self.threads, bool) or not isinstance(self.threads, int) or self.threads < 1):
            raise MLParameterError(f"threads: expected a whole number of at least 1, or None, got {self.threads!r}")
        object.__setattr__(self, "linked_model_folders", _folders(self.linked_model_folders))
        object.__setattr__(self, "trainable", _trainable(self.trainable))
        if not isinstance(self.training, MLTrainingOptions):
            raise MLParameterError(f"training: expected MLTrainingOptions, got {self.training!r}")
        if isinstance(self.cache_bytes, bool) or not isinstance(self.cache_bytes, int) or self.cache_bytes < 0:
            raise MLParameterError(f"cache_bytes: expected a whole number of at least 0, got {self.cache_bytes!r}")
        if self.parameters is not None:
            if not isinstance(self.parameters, Mapping):
                raise MLParameterError(f"parameters: expected a mapping from MLParameterKey to a value, got {self.parameters!r}")
            object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def beyond_core_ml(self) -> dict[str, Any]:
        """What an update does that Core ML does not know of, as plain data: ``trainable``, and what differs in ``training``."""
        found = self.training.used()
        if self.trainable is not None:
            found["trainable"] = self.trainable if isinstance(self.trainable, str) else list(self.trainable)
        return found


def _folders(given: object) -> tuple[Path, ...]:
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)) or not all(isinstance(one, (str, os.PathLike)) for one in given):
        raise MLParameterError(f"linked_model_folders: expected a list of paths of folders, got {given!r}")
    return tuple(Path(folder).absolute() for folder in given)


def _trainable(given: object) -> str | tuple[str, ...] | None:
    if given is None or given == "all":
        return given if given is None else "all"
    names = tuple(given) if isinstance(given, Sequence) and not isinstance(given, (str, bytes)) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise MLParameterError(f"trainable: expected 'all', a list of one name or more, or None, got {given!r}")
    return names
