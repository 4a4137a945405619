"""Pipelines: models in a row, each fed by name from the inputs and from the models before it.

Source: the pipeline messages in ``Model.proto`` of the format. In an updatable pipeline only the last model learns; the
models in front of it are frozen, so what they make of an example can be computed once and kept.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeAlias

import numpy as np

from tailor.kernels import SGD, Adam, Array
from tailor.persistence import Content

from ..accelerators import Device
from ..description import MLModelDescription, describe
from ..errors import MLFeatureError, MLFormatError, MLUpdateError
from ..format import pipeline_of
from ..network import model_watched
from ..options import NO_OPTIONS, MLTrainingOptions
from ..parameters import nested_models
from ..values import MLFeatureDescription, MLMultiArrayConstraint, accept_column
from .family import Column, Columns, Learner, Movable, Predictor, Resident, Trainable, kept_here
from .missing import TAKES_ABSENCE, inputs_to
from .neighbors import Neighbor, NeighborsAsked
from .samples import Taught

PredictorBuilder: TypeAlias = Callable[[Any, Mapping[str, object], str], Predictor]
LearnerBuilder: TypeAlias = Callable[[Any, str, Trainable, MLTrainingOptions], Learner]


class PipelinePredictor:
    """Runs the models of a pipeline in their order; each is built when it is first needed.

    ``build`` makes the predictor of one model. Of ``parameters``, those scoped to a model, ``model1.numberOfNeighbors``,
    are given to that model alone, the others to all. Raises ``MLFormatError`` where names and models do not go together.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str, build: PredictorBuilder) -> None:
        self._spec = spec
        self._who = who
        self._stages = [
            _Stage(name, model, f"model {name!r} of {who}", within(name, parameters), build) for name, model in named_models(spec, who)
        ]

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The outputs that the pipeline's description names, whichever model makes them."""
        values = self._run(self._stages, columns, count)
        outputs = self._description.output_descriptions_by_name
        for name in outputs:
            if name not in values.columns:
                raise MLFormatError(f"{self._who}: output {name!r}: expected a model that makes it, got only {', '.join(values.columns)}")
        return {name: values.columns[name] for name in outputs}

    def front_columns(self, columns: Columns, count: int) -> dict[str, Column]:
        """What the last model learns from: its training inputs, given the pipeline's.

        What it also predicts from comes from the models in front where they make it; its targets come from ``columns``.
        Where the last model is a pipeline too, this goes on to the innermost one.
        """
        *front, last = self._stages
        made = self._run(front, columns, count)
        given = _Values(dict(columns), self._declared())
        predicted_from = last.description.input_descriptions_by_name
        wanted = last.description.training_input_descriptions_by_name
        fitted = {
            name: (made if name in predicted_from or name not in columns else given).fitted(description, last.who, count)
            for name, description in wanted.items()
        }
        inner = last.predictor if pipeline_of(last.spec) is not None else None
        return inner.front_columns(fitted, count) if isinstance(inner, PipelinePredictor) else fitted

    @property
    def kept_here(self) -> str:
        """See ``Placed``: what keeps the first of the models here, where no model that has been needed yet can leave."""
        reasons = [kept_here(stage.built) for stage in self._stages]
        return "" if "" in reasons else reasons[0]

    def taught(self, examples: Taught) -> Self:
        """See ``NeighborsAsked``; the models in front are shared."""
        *front, last = self._stages
        other = copy(self)
        other._stages = [*front, last.taught(examples)]
        return other

    def knowing(self, other: Self) -> None:
        """See ``NeighborsAsked``."""
        self._stages[-1].neighbors.knowing(other._stages[-1].neighbors)

    def explain(self, columns: Columns, count: int) -> list[list[Neighbor]]:
        """See ``NeighborsAsked``; the models in front run first."""
        *front, last = self._stages
        return last.neighbors.explain(last.used(self._run(front, columns, count), count), count)

    def _run(self, stages: Iterable[_Stage], columns: Columns, count: int) -> _Values:
        """All values there are once ``stages`` have run; of two of one name, the later one."""
        values = _Values(dict(columns), self._declared())
        for stage in stages:
            used = stage.used(values, count)
            with model_watched(stage.name):
                values.columns.update(stage.predictor.predict(used, count))
            values.declared.update(stage.description.output_descriptions_by_name)
        return values

    def _declared(self) -> dict[str, MLFeatureDescription]:
        description = self._description
        return {**description.training_input_descriptions_by_name, **description.input_descriptions_by_name}

    @cached_property
    def _description(self) -> MLModelDescription:
        return describe(self._spec)


class PipelineLearner:
    """Teaches the last model of a pipeline.

    ``step`` takes that model's own training inputs, as ``PipelinePredictor.front_columns`` makes them of the pipeline's.
    ``build`` makes the learner of one model. Raises ``MLFormatError`` where names and models do not go together, ``MLUpdateError`` where
    ``trainable`` names what is not in the last one.
    """

    def __init__(
        self, spec: Any, who: str, build: LearnerBuilder, trainable: Trainable = None, options: MLTrainingOptions = NO_OPTIONS
    ) -> None:
        *front, (name, last) = named_models(spec, who)
        trainable = within_last(name, [other for other, _ in front], trainable, who)
        self._learner = build(last, f"model {name!r} of {who}", trainable, options)
        self.iterative = self._learner.iterative
        self.label = self._learner.label
        self.frozen = self._learner.frozen

    def prepared(self, columns: Columns, count: int) -> Columns:
        """What the last model learns from, of its training inputs."""
        return self._learner.prepared(columns, count)

    def step(self, columns: Columns, count: int, optimizer: SGD | Adam | None, waits: bool = False) -> Array | None:
        """Learns from one mini-batch of the last model's training inputs."""
        return self._learner.step(columns, count, optimizer, waits)

    def state(self) -> dict[str, Content]:
        """What the last model has learned."""
        return self._learner.state()

    def restore(self, state: Mapping[str, Content]) -> None:
        """Lets the last model go on from ``state``."""
        self._learner.restore(state)

    @property
    def kept_here(self) -> str:
        """See ``Placed``: it is the last model that learns."""
        return kept_here(self._learner)

    def resident(self, device: Device) -> PipelineElsewhere:
        """See ``Movable``."""
        assert isinstance(self._learner, Movable), "asked only where nothing keeps it here"
        return PipelineElsewhere(self._learner.resident(device))

    def writer(self) -> Callable[[Any], None]:
        """A function that puts what is learned now into the last model of a copy of the pipeline."""
        write = self._learner.writer()
        return write if isinstance(write, Taught) else lambda spec: write(nested_models(spec)[-1][1])

    def close(self) -> None:
        """Gives back what the last model's learner needs."""
        self._learner.close()


class PipelineElsewhere(PipelineLearner):
    """Teaches the last model of a pipeline on a device (see ``Resident``)."""

    def __init__(self, last: Resident) -> None:
        self._learner = self._last = last
        self.iterative, self.label, self.frozen = last.iterative, last.label, last.frozen

    def take(self) -> None:
        """See ``Resident``."""
        self._last.take()

    def settle(self) -> None:
        """See ``Resident``."""
        self._last.settle()


@dataclass(slots=True)
class _Values:
    """The values there are so far, and how whoever made them declares them."""

    columns: dict[str, Column]
    declared: dict[str, MLFeatureDescription]

    def fitted(self, wanted: MLFeatureDescription, who: str, count: int) -> Column:
        """A value as the model ``who`` declares its input; as it is where it fits already."""
        name = wanted.name
        if name not in self.columns:
            raise MLFeatureError(f"{who}: input {name!r}: expected a value, got only {', '.join(self.columns) or 'nothing'}")
        column = self.columns[name]
        made = self.declared.get(name)
        if isinstance(wanted.constraint, MLMultiArrayConstraint):
            if isinstance(column, np.ndarray):
                column = _reshaped(column, wanted.constraint)
                if column.dtype == wanted.constraint.data_type.dtype and wanted.constraint.allows(column.shape[1:]):
                    return column
        elif made is not None and (made.type, made.constraint) == (wanted.type, wanted.constraint):
            return column
        try:
            return accept_column(wanted, column, "input", range(count), finite=False)
        except MLFeatureError as error:
            raise MLFeatureError(f"{who}: {error}") from error


def _reshaped(column: Array, constraint: MLMultiArrayConstraint) -> Array:
    """``column`` in the declared shape, where they differ only by axes of size 1: ``[n, 1, 1]`` is a vector too."""
    shape = column.shape[1:]
    differs = bool(constraint.shape) and not constraint.allows(shape) and math.prod(shape) == math.prod(constraint.shape)
    if differs and [size for size in shape if size != 1] == [size for size in constraint.shape if size != 1]:
        return column.reshape(len(column), *constraint.shape)
    return column


@dataclass
class _Stage:
    """One model of a pipeline, built and described when it is first needed; several threads may need it at once."""

    name: str
    spec: Any
    who: str
    parameters: Mapping[str, object]
    build: PredictorBuilder
    _building: threading.Lock = field(default_factory=threading.Lock)
    _built: Predictor | None = None

    @property
    def built(self) -> Predictor | None:
        """The predictor, if it has been needed yet."""
        return self._built

    @property
    def predictor(self) -> Predictor:
        with self._building:
            if self._built is None:
                self._built = self.build(self.spec, self.parameters, self.who)
            return self._built

    @property
    def neighbors(self) -> NeighborsAsked:
        """The predictor of a model that asks nearest neighbours."""
        assert isinstance(self.predictor, NeighborsAsked), "asked only where the pipeline ends in nearest neighbours"
        return self.predictor

    def taught(self, examples: Taught) -> _Stage:
        """The stage of the model that knows ``examples`` too; what this one says of itself holds for that one."""
        other = copy(self)
        other._building, other._built = threading.Lock(), self.neighbors.taught(examples)
        return other

    def used(self, values: _Values, count: int) -> dict[str, Column]:
        """What of ``values`` the model takes, as it declares it."""
        return {
            name: values.fitted(description, self.who, count)
            for name, description in self.description.input_descriptions_by_name.items()
            if name in values.columns or not description.optional or name not in self.does_without
        }

    @cached_property
    def description(self) -> MLModelDescription:
        return describe(self.spec)

    @cached_property
    def does_without(self) -> frozenset[str]:
        """The inputs that the model does without, where they are optional."""
        return inputs_to(self.spec, TAKES_ABSENCE)


def named_models(spec: Any, who: str) -> list[tuple[str, Any]]:
    """The models with their names; raises ``MLFormatError`` unless there is one at least, and a name of its own for each or none."""
    pipeline = pipeline_of(spec)
    if pipeline is None or not pipeline.models:
        raise MLFormatError(f"{who}: expected a pipeline of at least one model, got none")
    names = list(pipeline.names)
    if names and len(names) != len(pipeline.models):
        raise MLFormatError(f"{who}: expected as many names as models ({len(pipeline.models)}) or none, got {len(names)}")
    if len(set(names)) < len(names):
        raise MLFormatError(f"{who}: expected unique names of models, got {', '.join(names)}")
    return nested_models(spec)


def within(name: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """The parameters that the model ``name`` is given: those scoped to it, by what is left of their key, before the others."""
    scope = f"{name}."
    scoped = {key.removeprefix(scope): value for key, value in parameters.items() if key.startswith(scope)}
    return {**parameters, **scoped}


def within_last(last: str, others: Sequence[str], trainable: Trainable, who: str) -> Trainable:
    """What is ``trainable`` as the ``last`` model knows it: names without its own in front. ``MLUpdateError`` for one of the ``others``."""
    if trainable is None or isinstance(trainable, str):
        return trainable
    for name in trainable:
        if any(name.startswith(f"{other}.") for other in others):
            raise MLUpdateError(
                f"{who}: trainable: expected layers of {last!r}, for only the last model of a pipeline learns, got {name!r}"
            )
    return [name.removeprefix(f"{last}.") for name in trainable]
