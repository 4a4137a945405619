"""How networks learn: gradient descent on the parameters of their updatable layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from tailor.kernels import SGD, Adam, Array
from tailor.persistence import Content

from ..accelerators import Device, kept_here
from ..errors import MLUpdateError
from ..format import encode_weights, every_layer, layers, weight_message
from ..network import Clip, Loss, Plans, Team, Tensors, Trainer, cut, fold_batchnorms, fuse, in_any_company, run_all
from ..options import NO_OPTIONS, MLTrainingOptions
from .family import Columns, Trainable
from .lowered import graph_of, inputs_of, network_of
from .network_elsewhere import NetworkElsewhere
from .network_state import read_state, write_state
from .targets import Target
from .tensors import ArrayInput
from .updatable import check_marked, loss_records, read_lesson


class NetworkLearner:
    """Teaches a network by gradient descent (see ``Learner``).

    What is in front of all layers that learn is no part of what is trained: it runs as it does for predictions, and once an
    example where ``prepared`` columns are kept. ``step`` and ``judge`` take training inputs too, and prepare them first.

    ``threads``: how many share the work, by default one a processor; their number does not change a bit of the result.
    ``trainable``: the layers that learn, as ``MLModelConfiguration`` takes them; by default those that the model marks.
    Raises ``MLUpdateError`` naming layer or field where the network cannot be updated.
    """

    iterative = True

    def __init__(
        self,
        spec: Any,
        who: str,
        threads: int | None = None,
        trainable: Trainable = None,
        options: MLTrainingOptions = NO_OPTIONS,
    ) -> None:
        check_marked(spec, who, trainable)
        network = network_of(spec)
        values = [loss.value for loss in loss_records(network, options.loss_weights, who)]
        graph = graph_of(spec, values, who)
        lesson = read_lesson(spec, network, graph, who, trainable, options.loss_weights)
        self._who = who
        self._fields = lesson.trainable
        self._lessons = tuple(zip(lesson.losses, lesson.targets, strict=True))
        self._team = Team(threads)
        learning = {f"{layer}.{field}" for layer, fields in lesson.trainable.items() for field in fields}
        try:
            front, rest = cut(graph, [name for loss in lesson.losses for name in (loss.value, loss.start)], learning)
            self.trainer = Trainer(rest, lesson.losses, learning, self._team, Clip(options.clip_value, options.clip_norm))
        except MLUpdateError as error:
            raise MLUpdateError(f"{who}: {error}") from error
        self.frozen = front is not None
        self._front = None if front is None else Plans(fuse(fold_batchnorms(front)), programs=True)
        self._border = {f"value {name}": name for name in self.trainer.graph.inputs}
        self._targets = [f"target {place}" for place in range(len(self._lessons))]
        self._inputs = inputs_of(spec, (*self.trainer.graph.inputs, *(front.inputs if front else ())), who)
        given = {feature.name for feature in spec.description.trainingInput}
        for entry in self._inputs:
            if entry.name not in given and not (isinstance(entry, ArrayInput) and entry.default is not None):
                raise MLUpdateError(
                    f"{who}: expected the input {entry.name!r} among the training inputs, got {', '.join(sorted(given)) or 'none'}"
                )

    def __repr__(self) -> str:
        return f"<NetworkLearner {self._who}: {len(self.parameters)} parameters after {self.steps} steps>"

    @property
    def parameters(self) -> dict[str, Array]:
        """What learns, by ``<layer>.<field>``: float32, changed in place; to restore, copy into the arrays."""
        return self.trainer.parameters

    @property
    def slots(self) -> dict[str, Array]:
        """What the optimizer remembers, by name; empty before the first step. May be replaced, together with ``steps``."""
        return self.trainer.slots

    @slots.setter
    def slots(self, slots: dict[str, Array]) -> None:
        self.trainer.slots = slots

    @property
    def steps(self) -> int:
        """How many steps the optimizer has taken."""
        return self.trainer.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.trainer.steps = steps

    def step(self, columns: Columns, count: int, optimizer: SGD | Adam | None, waits: bool = False) -> Array | None:
        """See ``Learner``. Raises ``MLFeatureError`` naming target and example, ``MLUpdateError`` for a loss that is not finite."""
        if optimizer is None:
            raise MLUpdateError(f"{self._who}: expected an optimizer for a network's step, got none")
        return self.trainer.step(*self.taken(columns, count), optimizer, waits)

    def prepared(self, columns: Columns, count: int) -> Columns:
        """See ``Learner``: the values at the border between what is frozen and what learns, and what the losses compare with."""
        tensors = {entry.name: entry.read(columns.get(entry.name), count) for entry in self._inputs}
        if self._front is not None:
            with in_any_company():
                tensors |= run_all(self._front, tensors, count, self._team)
        targets = [self._compared(*lesson, tensors, columns) for lesson in self._lessons]
        return {column: tensors[name] for column, name in self._border.items()} | dict(zip(self._targets, targets, strict=True))

    def taken(self, columns: Columns, count: int) -> tuple[Tensors, list[Array]]:
        """What a step of the trainer takes, prepared if it is not."""
        if not columns.keys() >= {*self._border, *self._targets}:
            columns = self.prepared(columns, count)
        return {name: columns[column] for column, name in self._border.items()}, [np.asarray(columns[name]) for name in self._targets]

    @cached_property
    def kept_here(self) -> str:
        """See ``Movable``."""
        return kept_here(self.trainer.plans)

    def resident(self, device: Device) -> NetworkElsewhere:
        """See ``Movable``."""
        return NetworkElsewhere(self, device)

    @property
    def label(self) -> str | None:
        """See ``Learner``: the target of the (first) cross entropy."""
        return next((target.name for loss, target in self._lessons if loss.kind == "cross entropy"), None)

    def judge(self, columns: Columns, count: int) -> dict[str, Array]:
        """See ``Judge``. The right class is that of ``label``."""
        tensors, targets = self.taken(columns, count)
        losses, largest = self.trainer.judge(tensors, targets)
        for (loss, _), target, place in zip(self._lessons, targets, largest, strict=True):
            if loss.kind == "cross entropy":
                return {"accuracy": (place == target).astype(np.float64), "loss": losses}
        return {"loss": losses}

    def _compared(self, loss: Loss, target: Target, tensors: Tensors, columns: Columns) -> Array:
        """What ``loss`` compares with, as the trainer takes it."""
        shape = self.trainer.plan(tensors).shapes[loss.value]
        if shape is None:
            raise MLUpdateError(
                f"{self._who}: expected the loss's value {loss.value!r} to have a shape that is known beforehand, "
                "got one that only values tell"
            )
        size = int(np.prod(shape))
        if loss.kind == "squared error":
            return target.numbers(columns, size)
        if len(shape) < 3 or shape[-3] != size:
            raise MLUpdateError(
                f"{self._who}: cross entropy: expected a vector of probabilities along the channels, got a value of shape {list(shape)}"
            )
        return target.indices(columns, size)

    def state(self) -> dict[str, Content]:
        """See ``Learner``: parameters, what the optimizer remembers, and its steps."""
        return read_state(self.trainer)

    def restore(self, state: Mapping[str, Content]) -> None:
        """See ``Learner``."""
        write_state(self.trainer, state, self._who)

    def writer(self, parameters: Mapping[str, Array] | None = None) -> Callable[[Any], None]:
        """See ``Learner``: a function that puts the parameters, as they are now, or others, into the layers that they came from."""
        found = self.parameters if parameters is None else parameters
        held = {layer: {field: found[f"{layer}.{field}"].copy() for field in fields} for layer, fields in self._fields.items()}

        def write(spec: Any) -> None:
            for record in every_layer(layers(network_of(spec))):
                for field, array in held.get(record.name, {}).items():
                    encode_weights(weight_message(record.params, field), array, f"layer {record.name!r} {field}")

        return write

    def close(self) -> None:
        """Ends the team's threads; what was learned can still be written."""
        self._team.close()
