"""MLModel: a Core ML model, loaded; predicts, describes itself, and can be written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, overload

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from tailor.kernels import Array
from tailor.scheduler import Lane

from .accelerators import device_at_work, kept_by, lanes_for, on_device
from .configuration import MLModelConfiguration
from .description import MLModelDescription, describe
from .doctor import Asked, MLRepairReport, MLTrainability, repaired, trainability
from .errors import MLFeatureError, MLModelError, MLParameterError, MLUnsupportedError, numbered
from .format import AdamParams, SgdParams, layers, load_model, model_bytes, model_hash, model_type, save_model
from .inputs import Inputs
from .message import ModelMessage, copied
from .models import (
    Columns,
    Origin,
    Predictor,
    Taught,
    build_predictor,
    kept_here,
    read_weights,
    trainable_weights,
    weights_writer,
)
from .neighbors import MLExample, MLNeighbor, configured, examples_of, explain, taught, without_examples
from .network import at_most, stopping
from .parameters import (
    MLParameterKey,
    ParameterValue,
    apart,
    check_parameters,
    nested_models,
    parameter_description,
    parameter_descriptions,
)
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
        if configuration is not None and not isinstance(configuration, MLModelConfiguration):
            raise MLModelError(f"{name}: expected an MLModelConfiguration, got {type(configuration).__name__}")
        self.configuration = configuration if configuration is not None else MLModelConfiguration()
        self._origin = Origin(folder, tuple(map(Path, self.configuration.linked_model_folders)))
        of_layers, values = apart(self.configuration.parameters or {})
        self._given = {str(key): value for key, value in check_parameters(spec, values).items()}
        if of_layers:  # from here on they are the model's own, which an update goes on from
            spec = copied(spec, weights_writer(spec, of_layers))
            self.configuration = replace(self.configuration, parameters=values or None)
        self._message = ModelMessage(spec)
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

    @property
    def spec(self) -> Any:
        """The model's message, of ``tailor.runtime.format``, which must not be changed."""
        return self._message.whole

    @property
    def _outline(self) -> Any:
        """The message but, maybe, for examples that an update added: all that it says of itself, at no cost."""
        return self._message.outline

    @cached_property
    def description(self) -> MLModelDescription:
        """Inputs, outputs, training inputs, parameters and metadata."""
        return describe(self.spec, parameter_descriptions(self.spec))

    @property
    def model_type(self) -> str:
        """The format's name of the model's type, such as ``pipelineClassifier``."""
        return model_type(self._outline)

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

    def trainability(self) -> MLTrainability:
        """Whether the model can be updated, by Core ML's rules and by tailor's; what keeps it from it; which of its layers could learn.

        Nothing is trained or run. ``str()`` of the answer is for people; ``docs/doctor.md`` explains every rule.
        """
        return trainability(self.spec, self.name)

    def repaired(
        self,
        *,
        loss: str | None = None,
        output: str | None = None,
        optimizer: str | SgdParams | AdamParams | None = None,
        trainable: Sequence[str] | None = None,
        dequantize: bool = False,
        parameters: Mapping[MLParameterKey, object] | None = None,
    ) -> tuple[MLModel, MLRepairReport]:
        """A copy that can be updated, as far as that can be had, and what was changed for it. This model stays as it is.

        ``loss``: ``"categorical_cross_entropy"`` or ``"mean_squared_error"``, of ``output``; without, the model's own, or what
        its output suggests. ``optimizer``: ``"sgd"``, ``"adam"``, or ``SgdParams`` or ``AdamParams`` of ``tailor.building``; without,
        the model's own, or SGD. ``trainable``: names of the layers that learn; without, those marked, or all that Core ML's gradients
        reach. ``dequantize``: make float32 numbers of quantised weights of layers that learn. ``parameters``: new default values,
        allowed from then on.

        A repair that changes how outputs are made is applied only if they are the same on random inputs, to 1e-5 of the largest.
        Raises ``MLUpdateError`` where the type of the model cannot be updated, nothing could learn, or what is asked for cannot be.
        """
        asked = Asked(loss, output, optimizer, trainable, dequantize, parameters or {})
        spec, report = repaired(self.spec, self.name, asked)
        configuration = replace(self.configuration, parameters=None)
        return MLModel.from_spec(spec, self.name, configuration, folder=self.folder), report

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
        rows, single = self._rows(data)
        answers = self._predict(rows, single)
        return answers[0] if single else answers

    async def prediction(self, data: Any) -> Any:
        """``predict``, in a worker thread, off the event loop. A network is left between two layers when it is cancelled."""
        return await self._prediction(data, None)

    async def _prediction(self, data: Any, lane: Lane | None) -> Any:
        """The same, on a lane whose work runs in this process."""
        run = to_thread.run_sync if lane is None else lane.run
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
                    answer = await run(partial(self.predict, data))
                except Exception as error:  # raised below, for out of here it would come in an exception group
                    failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            await checkpoint_if_cancelled()
            raise failure
        return answer

    @property
    def kept_on_cpu(self) -> str:
        """Why predictions never use an accelerator, such as the name of a layer that has no way to; ``""`` where they may.

        Of a pipeline it is known once it has predicted. An update may differ: see ``MLUpdateTask.kept_on_cpu``.
        """
        return kept_by(self.configuration.compute_units) or kept_here(self._ready())

    def _lanes(self, lanes: Mapping[str, Lane]) -> tuple[str, ...]:
        """Those of ``lanes`` that a prediction may use, the preferred one first: an accelerator's once it is known that it can."""
        return lanes_for(kept_by(self.configuration.compute_units) or kept_here(self._predictor), lanes)

    def _rows(self, data: Any) -> tuple[list[Mapping[str, object]], bool]:
        """The examples in what ``predict`` takes, and whether it is but one."""
        if isinstance(data, Mapping) or hasattr(data, "feature_value_for"):
            return [as_mapping(data)], True
        if hasattr(data, "features_at"):
            return [as_mapping(data.features_at(i)) for i in range(data.count)], False
        if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
            return [as_mapping(row) for row in data], False
        raise MLFeatureError(
            f"{self.name}: expected a mapping of inputs, a list of them, or a batch provider, got {type(data).__name__}"
        )

    def _predict(self, rows: Sequence[Mapping[str, object]], single: bool) -> list[dict[str, Any]]:
        if not rows:
            return []
        answers: list[dict[str, Any]] = [{} for _ in rows]
        for numbers, columns in self._inputs.grouped(rows, single):
            for number, answer in zip(numbers, self._answered(columns, [None] if single else numbers), strict=True):
                answers[number] = answer
        return answers

    def _answered(self, columns: Columns, numbers: Sequence[int | None]) -> list[dict[str, Any]]:
        """The outputs for checked ``columns`` of examples, which errors call by ``numbers``."""
        outputs = self.description.output_descriptions_by_name
        device = None if kept_by(self.configuration.compute_units) else device_at_work()
        with at_most(self.configuration.threads), numbered(numbers), on_device(device):
            made = self._ready().predict(columns, len(numbers))
        return [
            {name: deliver(described, made[name][place]) for name, described in outputs.items() if name in made}
            for place in range(len(numbers))
        ]

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs(self._outline, self.description.input_descriptions_by_name, self.name)

    def _ready(self) -> Predictor:
        """The predictor, made when it is first needed."""
        with self._building:
            if self._predictor is None:
                self._predictor = build_predictor(self._outline, self._given, f"model {self.name!r}", self._origin)
            return self._predictor

    def parameter(self, key: MLParameterKey) -> Array | ParameterValue | None:
        """The value of a parameter (Core ML's ``parameterValue(for:)``).

        Numbers of a layer, quantised ones too, are float32, in the shape in which the format stores them: weights of an inner
        product ``[output, input]``, of a convolution ``[output, input / groups, height, width]``. The array is read-only, and not
        the model's own. Any other parameter is what was given when the model was loaded, or the model's default; a seed that
        nobody gave is ``None``. What is in force in an update is in its contexts' ``parameters``.

        Raises ``MLParameterError`` where the model does not have it.
        """
        if isinstance(key, MLParameterKey) and key.is_of_layer:
            return read_weights(self._outline, key)
        description = parameter_description(self._outline, key)
        return self._given.get(str(description.key), description.default_value)

    def with_parameters(self, parameters: Mapping[MLParameterKey, object]) -> MLModel:
        """A model with other parameters, which shares nothing with this one that can change.

        Numbers of layers are arrays in the shape that ``parameter`` gives; they are rounded to what the layer stores, float32 or
        float16, and are written with the model. Other parameters are as given with an ``MLModelConfiguration``.

        Raises ``MLParameterError`` naming the key that the model does not have, or whose value does not fit: another shape, numbers
        that are not finite or too large, a layer whose numbers are quantised, a value that the model does not allow.
        """
        of_layers, values = apart(parameters)
        spec = self._outline
        inherited = check_parameters(spec, self.configuration.parameters or {})
        configuration = replace(self.configuration, parameters={**inherited, **check_parameters(spec, values)} or None)
        return self._changed(weights_writer(spec, of_layers), configuration) if of_layers else self._configured(configuration)

    def trainable_parameters(self) -> dict[MLParameterKey, Array]:
        """All that an update changes, as ``parameter`` gives it: weights and biases, layer by layer in the model's order.

        Of a pipeline they are its last model's, scoped to model and layer. Empty where there are none: the model is not
        updatable, or learns otherwise, as nearest neighbours do. Raises ``MLUpdateError`` where the layers that the configuration
        names cannot be trained.
        """
        choices = self.configuration
        return trainable_weights(self._outline, f"model {self.name!r}", choices.trainable, choices.training.loss_weights)

    def delta_from(self, base: MLModel) -> dict[MLParameterKey, Array]:
        """What was learned since ``base``: of each trainable parameter this model's numbers less the base's, float32.

        ``base.with_delta(model.delta_from(base))`` is this model but for rounding. Raises ``MLParameterError`` where the two have
        other trainable parameters.
        """
        if not isinstance(base, MLModel):
            raise MLModelError(f"delta of {self.name}: expected an MLModel as its base, got {type(base).__name__}")
        own, its = self.trainable_parameters(), base.trainable_parameters()
        shapes = [{str(key): list(array.shape) for key, array in found.items()} for found in (own, its)]
        if shapes[0] != shapes[1]:
            name = next(name for name in (*shapes[0], *shapes[1]) if shapes[0].get(name) != shapes[1].get(name))
            got = " and ".join(str(shape.get(name, "none")) for shape in shapes)
            raise MLParameterError(f"delta of {self.name} from {base.name}: expected both to train {name}, in one shape, got {got}")
        return {key: array - its[key] for key, array in own.items()}

    def with_delta(self, delta: Mapping[MLParameterKey, object]) -> MLModel:
        """A model like this one with ``delta`` added to its numbers: arrays by key, as ``delta_from`` gives them.

        Raises ``MLParameterError`` as ``with_parameters`` does.
        """
        of_layers, values = apart(delta)
        if values:
            raise MLParameterError(f"delta: expected keys of numbers of layers, got {', '.join(map(str, values))}")
        return self._changed(weights_writer(self._outline, of_layers, added=True))

    @property
    def examples(self) -> list[MLExample]:
        """The examples that a nearest neighbour classifier, or a pipeline that ends in one, keeps, in the order in which they were added.

        Raises ``MLUnsupportedError`` for other models.
        """
        return examples_of(self)

    @overload
    def explain(self, data: Mapping[str, object] | MLFeatureProvider) -> list[MLNeighbor]: ...

    @overload
    def explain(self, data: Sequence[Mapping[str, object] | MLFeatureProvider] | MLBatchProvider) -> list[list[MLNeighbor]]: ...

    def explain(self, data: Any) -> list[MLNeighbor] | list[list[MLNeighbor]]:
        """The examples that vote on the answer ``predict`` gives, nearest first; a list of lists for many. None where nothing was taught.

        Raises as ``predict`` does, and ``MLUnsupportedError`` where the model does not ask nearest neighbours in the end.
        """
        explained: list[MLNeighbor] | list[list[MLNeighbor]] = explain(self, data)
        return explained

    def without_examples(
        self,
        ids: str | Iterable[str] | None = None,
        labels: str | int | Iterable[str | int] | None = None,
        sources: str | Iterable[str] | None = None,
    ) -> MLModel:
        """A new model that predicts as if it had never been taught the examples that have one of the ids, labels or sources given.

        Raises ``MLUpdateError`` for one that no example has, and where none would be left and the model has no default label;
        ``MLUnsupportedError`` where the model does not ask nearest neighbours in the end.
        """
        return without_examples(self, ids, labels, sources)

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

    def _changed(self, write: Callable[[Any], None], configuration: MLModelConfiguration | None = None) -> MLModel:
        """A new model: a copy of this one's message after ``write`` has changed it."""
        if isinstance(write, Taught) and configuration is None:
            return taught(self, write)
        return MLModel.from_spec(copied(self.spec, write), self.name, configuration or self.configuration, folder=self.folder)

    def _configured(self, configuration: MLModelConfiguration) -> MLModel:
        """This model with another configuration."""
        return configured(self, configuration)
