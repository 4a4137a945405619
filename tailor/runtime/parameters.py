"""Parameters of a model: their keys, what a model allows them to be, and the values in force.

Keys and rules: Core ML's MLParameterKey and MLParameterDescription; constraints: ``Parameters.proto`` of the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, TypeVar

from .errors import MLParameterError
from .options import is_number

ParameterValue: TypeAlias = int | float | bool | str

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MLParameterKey:
    """Names a parameter, optionally narrowed to a layer, to a model inside a pipeline, or to both.

    ``MLParameterKey.BIASES.scoped("model1").scoped("dense")`` prints as ``model1.dense.biases``: from the outside in, as in Core
    ML. Where a layer's numbers are meant, a name may be that of any field of the layer with weights: ``MLParameterKey("gamma", "norm")``.
    """

    name: str
    scope: str = ""

    LEARNING_RATE: ClassVar[MLParameterKey]
    MOMENTUM: ClassVar[MLParameterKey]
    BETA1: ClassVar[MLParameterKey]
    BETA2: ClassVar[MLParameterKey]
    EPS: ClassVar[MLParameterKey]
    MINI_BATCH_SIZE: ClassVar[MLParameterKey]
    EPOCHS: ClassVar[MLParameterKey]
    SHUFFLE: ClassVar[MLParameterKey]
    SEED: ClassVar[MLParameterKey]
    NUMBER_OF_NEIGHBORS: ClassVar[MLParameterKey]
    WEIGHTS: ClassVar[MLParameterKey]
    BIASES: ClassVar[MLParameterKey]
    LINKED_MODEL_FILE_NAME: ClassVar[MLParameterKey]
    LINKED_MODEL_SEARCH_PATH: ClassVar[MLParameterKey]

    def scoped(self, to: str) -> MLParameterKey:
        """This key, narrowed to the layer or model named ``to``, which is inside what it is narrowed to already."""
        return MLParameterKey(self.name, f"{self.scope}.{to}" if self.scope else to)

    @property
    def is_of_layer(self) -> bool:
        """Whether it names numbers of a layer, such as its weights, and not a single value."""
        return self.name in ("weights", "biases") or (bool(self.scope) and self.name not in _NAMES)

    @classmethod
    def parse(cls, text: str) -> MLParameterKey:
        """The key that prints as ``text``; raises ``MLParameterError`` where it has no scope and the name is not one of Core ML's."""
        scope, _, name = text.rpartition(".")
        if name not in _NAMES and not (scope and name):
            raise MLParameterError(f"parameter {text!r}: expected one of {', '.join(_NAMES)}, with scopes in front, got {name!r}")
        return cls(name, scope)

    def __str__(self) -> str:
        return f"{self.scope}.{self.name}" if self.scope else self.name


_NAMES = {
    "learningRate": "LEARNING_RATE",
    "momentum": "MOMENTUM",
    "beta1": "BETA1",
    "beta2": "BETA2",
    "eps": "EPS",
    "miniBatchSize": "MINI_BATCH_SIZE",
    "epochs": "EPOCHS",
    "shuffle": "SHUFFLE",
    "seed": "SEED",
    "numberOfNeighbors": "NUMBER_OF_NEIGHBORS",
    "weights": "WEIGHTS",
    "biases": "BIASES",
    "linkedModelFileName": "LINKED_MODEL_FILE_NAME",
    "linkedModelSearchPath": "LINKED_MODEL_SEARCH_PATH",
}
for _name, _constant in _NAMES.items():
    setattr(MLParameterKey, _constant, MLParameterKey(_name))

ADJUSTABLE_IN_PROGRESS = frozenset({MLParameterKey.LEARNING_RATE.name})


@dataclass(frozen=True, slots=True)
class MLParameterDescription:
    """What a model says of one parameter: its default, and the range (both ends included) or set of what is allowed.

    A seed without a default is drawn when an update begins.
    """

    key: MLParameterKey
    default_value: ParameterValue | None
    minimum: float | int | None = None
    maximum: float | int | None = None
    allowed_values: tuple[int, ...] | None = None

    @property
    def kind(self) -> type:
        """The Python type of this parameter's values."""
        return _KINDS.get(self.key.name, float)

    @property
    def constraint(self) -> str:
        """The constraint in words, for people and errors."""
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[self.kind]
        if self.allowed_values is not None:
            return f"one of {', '.join(map(str, self.allowed_values))}"
        if self.minimum is not None and self.maximum is not None:
            return f"{kind} from {self.minimum} to {self.maximum}"
        if self.minimum is not None:
            return f"{kind} of at least {self.minimum}"
        return f"{kind} of 64 bits" if self.kind is int else kind

    def check(self, value: object) -> ParameterValue:
        """``value`` in this parameter's type; raises ``MLParameterError`` naming value, constraint and key."""
        checked = _typed(value, self.kind)
        if checked is not None and not isinstance(checked, (bool, str)):
            low = self.minimum is not None and checked < self.minimum
            high = self.maximum is not None and checked > self.maximum
            foreign = self.allowed_values is not None and checked not in self.allowed_values
            if low or high or foreign:
                checked = None
        if checked is None:
            raise MLParameterError(f"parameter {self.key}: expected {self.constraint}, got {value!r}")
        return checked


def _typed(value: object, kind: type) -> ParameterValue | None:
    """``value`` as ``kind`` without loss, or None; bool is no number, NumPy's scalars are."""
    plain = value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value
    if kind is bool or kind is str:
        return plain if isinstance(plain, (bool, str)) and isinstance(plain, kind) else None
    if not is_number(plain):
        return None
    if kind is int:
        return int(plain) if plain == int(plain) and -(2**63) <= plain < 2**63 else None  # an int64 in the format
    return float(plain)


_KINDS: dict[str, type] = {
    "miniBatchSize": int,
    "epochs": int,
    "seed": int,
    "numberOfNeighbors": int,
    "shuffle": bool,
    "linkedModelFileName": str,
    "linkedModelSearchPath": str,
}

# What a parameter must be whatever the model says: an epoch of no batches or a batch of no examples means nothing.
_LEAST: dict[str, float | int] = {"epochs": 1, "miniBatchSize": 1, "numberOfNeighbors": 1, "learningRate": 0.0}


def _described(key: MLParameterKey, message: Any) -> MLParameterDescription:
    """The description of a parameter from the format's Int64Parameter, DoubleParameter, BoolParameter or StringParameter."""
    default = message.defaultValue
    fields = {field.name for field in message.DESCRIPTOR.fields}
    minimum: float | int | None = _LEAST.get(key.name)
    maximum: float | int | None = None
    allowed = None
    if "range" in fields and message.HasField("range"):
        minimum = message.range.minValue if minimum is None else max(minimum, message.range.minValue)
        maximum = message.range.maxValue
    if "set" in fields and message.HasField("set"):
        allowed = tuple(message.set.values)
    return MLParameterDescription(key, default, minimum, maximum, allowed)


_OPTIMIZER_FIELDS = {
    "sgdOptimizer": ("learningRate", "miniBatchSize", "momentum"),
    "adamOptimizer": ("learningRate", "miniBatchSize", "beta1", "beta2", "eps"),
}
_NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
_PIPELINES = ("pipelineClassifier", "pipelineRegressor", "pipeline")


def nested_models(spec: Any) -> list[tuple[str, Any]]:
    """The models of a pipeline with their names (``model0``, ``model1`` ... where it gives none); empty for other types."""
    kind = spec.WhichOneof("Type")
    if kind not in _PIPELINES:
        return []
    pipeline = spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline
    names = list(pipeline.names) or [f"model{i}" for i in range(len(pipeline.models))]
    return list(zip(names, pipeline.models, strict=True))


def _own(spec: Any) -> Iterator[MLParameterDescription]:
    """The parameters of one model, not of models inside it."""
    kind = spec.WhichOneof("Type")
    if kind == "kNearestNeighborsClassifier":
        yield _described(MLParameterKey.NUMBER_OF_NEIGHBORS, spec.kNearestNeighborsClassifier.numberOfNeighbors)
    elif kind == "linkedModel":
        yield _described(MLParameterKey.LINKED_MODEL_FILE_NAME, spec.linkedModel.linkedModelFile.linkedModelFileName)
        yield _described(MLParameterKey.LINKED_MODEL_SEARCH_PATH, spec.linkedModel.linkedModelFile.linkedModelSearchPath)
    elif kind in _NETWORKS and spec.isUpdatable:
        update = getattr(spec, kind).updateParams
        chosen = update.optimizer.WhichOneof("OptimizerType")
        if chosen is not None:
            optimizer = getattr(update.optimizer, chosen)
            for name in _OPTIMIZER_FIELDS[chosen]:
                if optimizer.HasField(name) or name == "momentum":
                    yield _described(MLParameterKey(name), getattr(optimizer, name))
        yield _described(MLParameterKey.EPOCHS, update.epochs)
        yield _described(MLParameterKey.SHUFFLE, update.shuffle)
        if update.HasField("seed"):
            yield _described(MLParameterKey.SEED, update.seed)
        else:
            yield MLParameterDescription(MLParameterKey.SEED, None)


def _everywhere(spec: Any, scope: str) -> Iterator[tuple[str, MLParameterDescription]]:
    for description in _own(spec):
        yield scope, description
    for name, model in nested_models(spec):
        yield from _everywhere(model, f"{scope}.{name}" if scope else name)


def parameter_descriptions(spec: Any) -> dict[MLParameterKey, MLParameterDescription]:
    """What a model says of its parameters, by key.

    A parameter of a model inside a pipeline is listed without a scope where only one model has it, and under its scoped
    key (``model1.numberOfNeighbors``) where several do.
    """
    found = list(_everywhere(spec, ""))
    names = [description.key.name for _, description in found]
    described = {}
    for scope, own in found:
        key = MLParameterKey(own.key.name, scope if names.count(own.key.name) > 1 else "")
        described[key] = MLParameterDescription(key, own.default_value, own.minimum, own.maximum, own.allowed_values)
    return described


def check_parameters(spec: Any, given: Mapping[MLParameterKey, object]) -> dict[MLParameterKey, ParameterValue]:
    """The values given for a model, checked and typed, under the keys of ``parameter_descriptions``.

    Raises ``MLParameterError`` for a key that the model does not have and for a value that it does not allow.
    """
    described = parameter_descriptions(spec)
    checked: dict[MLParameterKey, ParameterValue] = {}
    if not isinstance(given, Mapping):
        raise MLParameterError(f"parameters: expected a mapping from MLParameterKey to a value, got {type(given).__name__}")
    for key, value in given.items():
        listed = _listed(spec, described, key)
        if listed in checked:
            raise MLParameterError(f"parameter {key}: expected one value, got two under different scopes")
        checked[listed] = described[listed].check(value)
    return checked


def parameter_description(spec: Any, key: MLParameterKey) -> MLParameterDescription:
    """What a model says of the parameter ``key``. Raises ``MLParameterError`` where it does not have it."""
    described = parameter_descriptions(spec)
    return described[_listed(spec, described, key)]


def apart(given: Mapping[MLParameterKey, T]) -> tuple[dict[MLParameterKey, T], dict[MLParameterKey, T]]:
    """Those of ``given`` that are numbers of layers, and the others, which are single values; ``MLParameterError`` for no mapping."""
    if not isinstance(given, Mapping):
        raise MLParameterError(f"parameters: expected a mapping from MLParameterKey to a value, got {type(given).__name__}")
    of_layers = {key: value for key, value in given.items() if isinstance(key, MLParameterKey) and key.is_of_layer}
    return of_layers, {key: value for key, value in given.items() if key not in of_layers}


def _listed(spec: Any, described: Mapping[MLParameterKey, MLParameterDescription], key: MLParameterKey) -> MLParameterKey:
    """``key`` as ``parameter_descriptions`` has it."""
    if not isinstance(key, MLParameterKey):
        raise MLParameterError(f"parameters: expected keys of type MLParameterKey, got {key!r}")
    if key in described:
        return key
    bare = MLParameterKey(key.name)
    scopes = {(f"{scope}.{own.key.name}" if scope else own.key.name) for scope, own in _everywhere(spec, "")}
    if str(key) in scopes and bare in described:
        return bare
    if key.is_of_layer:
        raise MLParameterError(f"parameter {key}: expected a single value, got numbers of a layer, which are set before an update is made")
    known = ", ".join(map(str, described)) or "none"
    raise MLParameterError(f"parameter {key}: the model does not have it; it has: {known}")


def check_adjustable(given: Mapping[MLParameterKey, object]) -> None:
    """Raises ``MLParameterError`` for a key that cannot be changed while an update is in progress."""
    for key, value in given.items():
        if key.name not in ADJUSTABLE_IN_PROGRESS:
            raise MLParameterError(
                f"parameter {key}: expected one that can change while an update is in progress "
                f"({', '.join(sorted(ADJUSTABLE_IN_PROGRESS))}), got {value!r} for one that is set when the update is made"
            )
