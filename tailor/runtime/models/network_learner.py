"""How networks learn: gradient descent on the parameters of their updatable layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tailor.kernels import SGD, Adam, Array

from ..errors import MLUpdateError
from ..format import encode_weights, every_layer, layers
from ..network import Team, Tensors, Trainer
from .family import Columns
from .lowered import graph_of, inputs_of, network_of
from .tensors import ArrayInput
from .updatable import loss_names, read_lesson


class NetworkLearner:
    """Teaches a network by gradient descent (see ``Learner``).

    ``threads``: how many share the work, by default one a processor; their number does not change a bit of the result.
    Raises ``MLUpdateError`` naming layer or field where the network cannot be updated.
    """

    iterative = True

    def __init__(self, spec: Any, who: str, threads: int | None = None) -> None:
        if not spec.isUpdatable:
            raise MLUpdateError(f"{who}: expected an updatable model, got one that is not marked as updatable")
        network = network_of(spec)
        _, value, _ = loss_names(network, who)
        graph = graph_of(spec, [value], who)
        lesson = read_lesson(spec, network, graph, who)
        self._who = who
        self._fields = lesson.trainable
        self._target = lesson.target
        self._loss = lesson.loss
        self._team = Team(threads)
        trainable = {f"{layer}.{field}" for layer, fields in lesson.trainable.items() for field in fields}
        try:
            self.trainer = Trainer(graph, lesson.loss, trainable, self._team)
        except MLUpdateError as error:
            raise MLUpdateError(f"{who}: {error}") from error
        self._inputs = inputs_of(spec, self.trainer.graph.inputs, who)
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

    def step(self, columns: Columns, count: int, optimizer: SGD | Adam | None) -> Array | None:
        """See ``Learner``. Raises ``MLFeatureError`` naming target and example, ``MLUpdateError`` for a loss that is not finite."""
        if optimizer is None:
            raise MLUpdateError(f"{self._who}: expected an optimizer for a network's step, got none")
        tensors = {entry.name: entry.read(columns.get(entry.name), count) for entry in self._inputs}
        return self.trainer.step(tensors, self._targets(tensors, columns), optimizer)

    def _targets(self, tensors: Tensors, columns: Columns) -> Array:
        """Targets as the trainer takes them."""
        shape = self.trainer.plan(tensors).shapes[self._loss.value]
        if shape is None:
            raise MLUpdateError(
                f"{self._who}: expected the loss's value {self._loss.value!r} to have a shape that is known beforehand, "
                "got one that only values tell"
            )
        size = int(np.prod(shape))
        if self._loss.kind == "squared error":
            return self._target.numbers(columns, size)
        if len(shape) < 3 or shape[-3] != size:
            raise MLUpdateError(
                f"{self._who}: cross entropy: expected a vector of probabilities along the channels, got a value of shape {list(shape)}"
            )
        return self._target.indices(columns, size)

    def writer(self) -> Callable[[Any], None]:
        """See ``Learner``: a function that puts the parameters, as they are now, into the layers that they came from."""
        held = {layer: {field: self.parameters[f"{layer}.{field}"].copy() for field in fields} for layer, fields in self._fields.items()}

        def write(spec: Any) -> None:
            for record in every_layer(layers(network_of(spec))):
                for field, array in held.get(record.name, {}).items():
                    encode_weights(getattr(record.params, field), array, f"layer {record.name!r} {field}")

        return write

    def close(self) -> None:
        """Ends the team's threads; what was learned can still be written."""
        self._team.close()
