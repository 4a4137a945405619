"""MLModel: a Core ML model, loaded; predicts, describes itself, and can be written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from .configuration import MLModelConfiguration
from .description import MLModelDescription, describe
from .errors import MLFeatureError, MLModelError, MLUnsupportedError, numbered
from .format import layers, load_model, model_bytes, model_hash, model_type, save_model
from .inputs import Inputs
from .models import Origin, Predictor, build_predictor
from .network import at_most, stopping
from .parameters import check_parameters, nested_models, parameter_descriptions
from .values import MLBatchProvider, MLFeatureProvider, as_mapping, deliver

_NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")


@dataclass(frozen=True, slots=True)
class MLLayer:
    """One layer of a network, for people to look at."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    updatable: bool


class MLModel:
    """A Core ML model from a ``.mlmodel`` file, an ``.mlpackage`` folder, or the bytes of the former.

    Loads what the format can hold; a part that cannot be run yet says so when it is asked to predict. Models are not
    changed once loaded: an update gives a new one. Several threads may predict with one at the same time.

    Raises ``MLFormatError`` where the source is not a Core ML model, ``MLParameterError`` where ``configuration`` has a
    parameter value that the model does not allow.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes, configuration: MLModelConfiguration | None = None) -> None:
        spec = load_model(source)
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._begin(spec, "model", configuration)
        else:
            path = Path(source)
            self._begin(spec, path.name, configuration, path.absolute().parent)
            self._package = path.is_dir()

    def _begin(self, spec: Any, name: str, configuration: MLModelConfiguration | None, folder: Path | None = None) -> None:
        self.name = name
        self.spec = spec
        if configuration is not None and not isinstance(configuration, MLModelConfiguration):
            raise MLModelError(f"{name}: expected an MLModelConfiguration, got {type(configuration).__name__}")
        self.configuration = configuration if configuration is not None else MLModelConfiguration()
        self._origin = Origin(folder, tuple(map(Path, self.configuration.linked_model_folders)))
        self._given = {str(key): value for key, value in check_parameters(spec, self.configuration.parameters or {}).items()}
        self._predictor: Predictor | None = None
        self._building = threading.Lock()
        self._package = False

    @classmethod
    def from_spec(
        cls,
        spec: Any,
        name: str = "model",
        configuration: MLModelConfiguration | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
    ) -> MLModel:
        """A model over a message of ``tailor.runtime.format``, which must not be changed afterwards.

        ``folder``: where the files of models that it links to are looked for, as if it had been read from there.
        """
        model = cls.__new__(cls)
        model._begin(spec, name, configuration, None if folder is None else Path(folder).absolute())
        return model

    def __repr__(self) -> str:
        updatable = "updatable " if self.description.is_updatable else ""
        return f"<MLModel {self.name}: {updatable}{self.model_type}>"

    @cached_property
    def description(self) -> MLModelDescription:
        """Inputs, outputs, training inputs, parameters and metadata."""
        return describe(self.spec, parameter_descriptions(self.spec))

    @property
    def model_type(self) -> str:
        """The format's name of the model's type, such as ``pipelineClassifier``."""
        return model_type(self.spec)

    @property
    def specification_version(self) -> int:
        """The version of the Core ML format that the model needs."""
        return int(self.spec.specificationVersion)

    @property
    def size(self) -> int:
        """The model's size in bytes, written as a file."""
        return int(self.spec.ByteSize())

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the model's canonical bytes: what ``write`` writes, whatever file it was read from."""
        return model_hash(self.spec)

    @property
    def folder(self) -> Path | None:
        """The folder of the model's file, in which models that it links to are looked for; ``None`` where it was read from none."""
        return self._origin.folder

    @property
    def layers(self) -> list[MLLayer]:
        """The layers of a network, in order; empty for other types."""
        kind = self.model_type
        if kind not in _NETWORKS:
            return []
        records = layers(getattr(self.spec, kind))
        return [MLLayer(record.name, record.kind, record.inputs, record.outputs, record.updatable) for record in records]

    @property
    def models(self) -> list[tuple[str, MLModel]]:
        """The models of a pipeline by name, in order; empty for other types."""
        configuration = replace(self.configuration, parameters=None)
        return [(name, MLModel.from_spec(spec, name, configuration, folder=self.folder)) for name, spec in nested_models(self.spec)]

    @overload
    def predict(self, data: Mapping[str, object] | MLFeatureProvider) -> dict[str, Any]: ...

    @overload
    def predict(self, data: Sequence[Mapping[str, object] | MLFeatureProvider] | MLBatchProvider) -> list[dict[str, Any]]: ...

    def predict(self, data: Any) -> dict[str, Any] | list[dict[str, Any]]:
        """The outputs by name for one example, or a list of them for a list of examples or a batch provider.

        Multi-arrays come as NumPy arrays of the declared type (float16 as float32), doubles as ``float``, dictionaries
        with ``float`` values, images as Pillow images. Raises ``MLFeatureError`` naming the input that does not fit,
        ``MLUnsupportedError`` naming a part that cannot be run.
        """
        if isinstance(data, Mapping) or hasattr(data, "feature_value_for"):
            return self._predict([as_mapping(data)], single=True)[0]
        if hasattr(data, "features_at"):
            return self._predict([as_mapping(data.features_at(i)) for i in range(data.count)])
        if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
            return self._predict([as_mapping(row) for row in data])
        raise MLFeatureError(
            f"{self.name}: expected a mapping of inputs, a list of them, or a batch provider, got {type(data).__name__}"
        )

    async def prediction(self, data: Any) -> Any:
        """``predict``, in a worker thread, off the event loop. A network is left between two layers when it is cancelled."""
        stop = threading.Event()

        async def watch() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                stop.set()

        failure: Exception | None = None
        answer: Any = None
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            with stopping(stop.is_set):
                try:
                    answer = await to_thread.run_sync(self.predict, data)
                except Exception as error:  # raised below, for out of here it would come in an exception group
                    failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            await checkpoint_if_cancelled()
            raise failure
        return answer

    def _predict(self, rows: Sequence[Mapping[str, object]], single: bool = False) -> list[dict[str, Any]]:
        if not rows:
            return []
        outputs = self.description.output_descriptions_by_name
        answers: list[dict[str, Any]] = [{} for _ in rows]
        for numbers, columns in self._inputs.grouped(rows, single):
            with at_most(self.configuration.threads), numbered([None] if single else numbers):
                made = self._ready().predict(columns, len(numbers))
            for place, number in enumerate(numbers):
                answers[number] = {name: deliver(described, made[name][place]) for name, described in outputs.items() if name in made}
        return answers

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self.spec, self.description.input_descriptions_by_name, self.name)

    def _ready(self) -> Predictor:
        """The predictor, made when it is first needed."""
        with self._building:
            if self._predictor is None:
                self._predictor = build_predictor(self.spec, self._given, f"model {self.name!r}", self._origin)
            return self._predictor

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model as a Core ML file, atomically; an existing file is replaced whole or not at all.

        Raises ``MLFormatError`` where the file cannot be written.
        """
        if self._package:
            raise MLUnsupportedError(f"{self.name}: writing a model loaded from an .mlpackage is not supported yet; copy the folder")
        save_model(self.spec, path)

    write = save

    def to_bytes(self) -> bytes:
        """The bytes that ``write`` writes."""
        return model_bytes(self.spec)

    def _changed(self, write: Callable[[Any], None]) -> MLModel:
        """A new model: a copy of this one's message after ``write`` has changed it."""
        spec = type(self.spec)()
        spec.CopyFrom(self.spec)
        write(spec)
        return MLModel.from_spec(spec, self.name, self.configuration, folder=self.folder)
