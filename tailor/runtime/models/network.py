"""Neural networks: plain, classifier and regressor; their prediction and their learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tailor.kernels import SGD, Adam, Array, Shape

from ..errors import MLFormatError, MLModelError, MLUpdateError
from ..format import decode_weights, encode_weights, every_layer, layers
from ..network import (
    Graph,
    Plans,
    Team,
    Tensors,
    Trainer,
    asked_to_stop,
    fold_batchnorms,
    fuse,
    lower,
    mates,
    portions,
    shared_team,
)
from .family import Column, Columns
from .labels import Classes
from .tensors import RANK5_ARRAYS, RANK5_IMAGES, ArrayInput, ImageInput, make_input, make_output
from .updatable import loss_names, read_lesson


def _network(spec: Any) -> Any:
    """The part of a model message that is a network, whichever of the three it is."""
    return getattr(spec, spec.WhichOneof("Type"))


def _decode(message: Any, field: str, shape: Shape, who: str) -> Array:
    turned = field == "weights" and getattr(message, "isDeconvolution", False)  # its output channels are the second axis
    return decode_weights(getattr(message, field), shape, who, channel_axis=1 if turned else 0)


def _graph(spec: Any, outputs: Sequence[str], who: str) -> Graph:
    inputs = [feature.name for feature in spec.description.input]
    try:
        return lower(layers(_network(spec)), inputs, tuple(dict.fromkeys(outputs)), _decode)
    except MLFormatError as error:
        raise MLFormatError(f"{who}: {error}") from error


def _inputs(spec: Any, names: Sequence[str], who: str) -> list[ArrayInput | ImageInput]:
    """How the inputs ``names`` enter the network."""
    features = spec.description.input
    images = sum(feature.type.WhichOneof("Type") == "imageType" for feature in features)
    return [make_input(feature, _network(spec), images == 1, who) for feature in features if feature.name in names]


class NetworkPredictor:
    """Predicts with a network; batches are stacked and shared out over a team of threads.

    Raises ``MLFormatError`` where the message contradicts itself. A layer that this version cannot run is no error until
    something is predicted.
    """

    def __init__(self, spec: Any, who: str) -> None:
        network = _network(spec)
        classifier = spec.WhichOneof("Type") == "neuralNetworkClassifier"
        # Networks for ImageNet are about, in which two classes are called "crane".
        self._classes = Classes.of(spec, network, who, repeats=True) if classifier else None
        made_of_scores = (self._classes.label_name, self._classes.probabilities_name) if self._classes else ()
        self._scores = (network.labelProbabilityLayerName or _last_output(network, who)) if classifier else ""
        rank5 = (network.arrayInputShapeMapping, network.imageInputShapeMapping) == (RANK5_ARRAYS, RANK5_IMAGES)
        plain = [feature for feature in spec.description.output if feature.name not in made_of_scores]
        self._outputs = [make_output(feature, rank5, who) for feature in plain]
        graph = _graph(spec, [output.name for output in self._outputs] + [self._scores] * classifier, who)
        graph = fuse(fold_batchnorms(graph.towards(*graph.outputs)))
        self._inputs = _inputs(spec, graph.inputs, who)
        self._plans = Plans(graph, programs=True)
        self._who = who

    def __repr__(self) -> str:
        return f"<NetworkPredictor {self._who}: {self._plans!r}>"

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``. Raises ``MLUnsupportedError`` naming the layer and its kind where one cannot be run."""
        tensors = {entry.name: entry.read(columns.get(entry.name), count) for entry in self._inputs}
        work = portions(self._plans, tensors, count)
        answers: list[dict[str, Array]] = []
        stop = asked_to_stop()
        team = shared_team()
        with mates(team.threads // max(1, len(work)) - 1):  # of several portions each member of the team has one
            if len(work) == 1 and work[0].plan.compiled:  # nobody in the team helps, and BLAS need not be held to one thread
                answers.append(work[0].run(stop=stop))
            else:
                team.each(lambda number: work[number].run(stop=stop), len(work), answers.append)
        stacked = [portion.stacked for portion in work]
        values = {name: _joined([answer[name] for answer in answers], stacked) for name in self._plans.graph.outputs}
        made: dict[str, Column] = {output.name: output.write(values[output.name]) for output in self._outputs}
        if self._classes:
            made.update(self._classes.answer(self._probabilities(values[self._scores], len(self._classes.labels))))
        return made

    def _probabilities(self, scores: Array | list[Array], classes: int) -> Array:
        """The scores as rows ``[count, classes]``."""
        rows = [np.asarray(row).reshape(-1) for row in scores]
        for row in rows:
            if row.size != classes:
                raise MLModelError(f"{self._who}: expected {classes} probabilities in {self._scores!r}, one a class label, got {row.size}")
        return np.array(rows).reshape(len(rows), classes)


def _last_output(network: Any, who: str) -> str:
    if not network.layers or not network.layers[-1].output:
        raise MLFormatError(
            f"{who}: expected a last layer that makes the class probabilities, got {len(network.layers)} layers and no output"
        )
    return str(network.layers[-1].output[0])


def _joined(parts: list[Array], stacked: list[bool]) -> Array | list[Array]:
    """The parts of a column in one: an array where shapes agree."""
    blocks = [part if whole else part[None] for part, whole in zip(parts, stacked, strict=True)]
    if len(blocks) == 1:
        return blocks[0]
    if not blocks or any(block.shape[1:] != blocks[0].shape[1:] for block in blocks):
        return [row for block in blocks for row in block]
    return np.concatenate(blocks)


class NetworkLearner:
    """Teaches a network by gradient descent (see ``Learner``).

    ``threads``: how many share the work, by default one a processor; their number does not change a bit of the result.
    Raises ``MLUpdateError`` naming layer or field where the network cannot be updated.
    """

    iterative = True

    def __init__(self, spec: Any, who: str, threads: int | None = None) -> None:
        if not spec.isUpdatable:
            raise MLUpdateError(f"{who}: expected an updatable model, got one that is not marked as updatable")
        network = _network(spec)
        _, value, _ = loss_names(network, who)
        graph = _graph(spec, [value], who)
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
        self._inputs = _inputs(spec, self.trainer.graph.inputs, who)
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
            for record in every_layer(layers(_network(spec))):
                for field, array in held.get(record.name, {}).items():
                    encode_weights(getattr(record.params, field), array, f"layer {record.name!r} {field}")

        return write

    def close(self) -> None:
        """Ends the team's threads; what was learned can still be written."""
        self._team.close()
