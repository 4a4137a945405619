"""What coremltools finds where macOS has its native module: the names that it imports, over tailor's models.

The names and signatures are those that ``coremltools.models`` calls. What only Apple's framework has raises
``MLUnsupportedError`` when it is called, as a feature that is not there, and says so.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NoReturn, TypeVar

from PIL import Image

from tailor.runtime import (
    MLComputeUnits,
    MLFeatureError,
    MLImageConstraint,
    MLModel,
    MLModelConfiguration,
    MLModelError,
    MLUnsupportedError,
)

MODULE = "coremltools.libcoremlpython"

# coremltools' names of compute units, where they differ from Core ML's.
_UNITS = {"CPU_AND_NE": MLComputeUnits.CPU_AND_NEURAL_ENGINE}
_ANY_VERSION = 2**31 - 1
# How far above the proxy whoever wrote MLModel(...) is: coremltools calls it from a method of its constructor.
_LOADER = 4

T = TypeVar("T")


class Proxy:
    """A loaded model, as ``coremltools.models.MLModel`` holds one.

    A model that cannot be loaded is made all the same, with the warning that coremltools gives for it on macOS, and raises
    what was wrong when it is asked to predict: coremltools itself would then say that predictions need macOS.
    """

    def __init__(
        self,
        path: str,
        compute_units: str = "ALL",
        function_name: str = "",
        optimization_hints: Mapping[str, str] | None = None,
        asset: object = None,
    ) -> None:
        if asset is not None:
            _only_macos("a model asset")
        units = _UNITS[compute_units] if compute_units in _UNITS else MLComputeUnits[compute_units]
        self._model: MLModel | MLModelError
        self._predicted: int | None = None
        began = time.perf_counter_ns()
        try:
            self._model = MLModel(path, MLModelConfiguration(compute_units=units))
        except MLModelError as error:
            self._model = error
            warnings.warn(f"You will not be able to run predict() on this Core ML model: {error}", RuntimeWarning, stacklevel=_LOADER)
        self._loaded = time.perf_counter_ns() - began

    def predict(self, inputs: Mapping[str, object], state: object = None) -> dict[str, Any]:
        """The outputs of one example by name. Raises what ``tailor.MLModel.predict`` does, all of it ``RuntimeError``."""
        if state is not None:
            _only_macos("a model's state")
        model = self._ready()
        return self._timed(lambda: model.predict(_sized(model, inputs)))

    def batchPredict(self, batch: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """The outputs of each example, computed as one batch."""
        model = self._ready()
        return self._timed(lambda: model.predict([_sized(model, inputs, f"example {row}: ") for row, inputs in enumerate(batch)]))

    def get_load_duration_in_nano_seconds(self) -> int:
        """How long it took to load the model."""
        return self._loaded

    def get_last_predict_duration_in_nano_seconds(self) -> int | None:
        """How long the last prediction took; ``None`` where there was none."""
        return self._predicted

    def newState(self) -> NoReturn:
        """Raises ``MLUnsupportedError``, as the methods below do."""
        _only_macos("a model's state")

    def get_compiled_model_path(self) -> NoReturn:
        """tailor compiles no models."""
        _only_macos("a compiled model")

    @staticmethod
    def maximum_supported_specification_version() -> int:
        """No limit here: a model that is too new says so when it is asked to predict."""
        return _ANY_VERSION

    @staticmethod
    def auto_set_specification_version(spec: object) -> NoReturn:
        """Not of this platform."""
        _only_macos("finding the lowest specification version")

    @staticmethod
    def compileModel(path: str) -> NoReturn:
        """Not of this platform."""
        _only_macos("a compiled model")

    @staticmethod
    def create_model_asset_from_path(path: str) -> NoReturn:
        """Not of this platform."""
        _only_macos("a model asset")

    @staticmethod
    def create_model_asset_from_memory(data: bytes, blobs: object) -> NoReturn:
        """Not of this platform."""
        _only_macos("a model asset")

    @staticmethod
    def get_model_structure(path: str) -> NoReturn:
        """Not of this platform."""
        _only_macos("the structure of a compiled model")

    @staticmethod
    def get_compute_plan(path: str, compute_units: str) -> NoReturn:
        """Not of this platform."""
        _only_macos("a compute plan")

    @staticmethod
    def get_available_compute_devices() -> NoReturn:
        """Not of this platform."""
        _only_macos("a list of compute devices")

    @staticmethod
    def get_all_compute_devices() -> NoReturn:
        """Not of this platform."""
        _only_macos("a list of compute devices")

    def _ready(self) -> MLModel:
        if isinstance(self._model, MLModelError):
            raise self._model
        return self._model

    def _timed(self, predict: Callable[[], T]) -> T:
        began = time.perf_counter_ns()
        answer = predict()
        self._predicted = time.perf_counter_ns() - began
        return answer


def _stand_in() -> ModuleType:
    """A module with the names that coremltools imports from its native one; those of devices and plans are empty classes."""
    module = ModuleType(MODULE, __doc__)
    module.__dict__["_MLModelProxy"] = Proxy
    for name in (
        "_MLModelAssetProxy",
        "_MLComputePlanProxy",
        "_MLCPUComputeDeviceProxy",
        "_MLGPUComputeDeviceProxy",
        "_MLNeuralEngineComputeDeviceProxy",
    ):
        module.__dict__[name] = type(name, (), {})
    return module


STAND_IN = _stand_in()


def _sized(model: MLModel, inputs: Mapping[str, object], where: str = "") -> Mapping[str, object]:
    """``inputs``, whose images must have sizes that the model takes: coremltools scales none, and Core ML refuses them."""
    for name, description in model.description.input_descriptions_by_name.items():
        picture, constraint = inputs.get(name), description.constraint
        if not isinstance(picture, Image.Image) or not isinstance(constraint, MLImageConstraint):
            continue
        if not constraint.allows(picture.width, picture.height):
            got = f"an image {picture.width}x{picture.height}; resize it first"
            raise MLFeatureError(f"{where}input {name!r}: expected {constraint.phrase}, got {got}")
    return inputs


def _only_macos(what: str) -> NoReturn:
    raise MLUnsupportedError(f"tailor.coremltools: {what} needs Core ML itself, which only macOS has")
