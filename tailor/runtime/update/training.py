"""The course of an update, without awaiting: epochs, mini-batches, permutations, losses; run in a worker."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tailor.kernels import SGD, Adam, Array

from ..errors import MLModelError, MLPredictionCancelledError, MLUpdateError, numbered
from ..model import MLModel
from ..models import Learner, build_learner
from ..network import at_most, stopping
from ..parameters import MLParameterKey as Key
from ..parameters import ParameterValue, parameter_descriptions
from ..values import MLBatchProvider
from .context import MLMetricKey, MLUpdateProgressEvent
from .examples import Examples

# How long a worker computes, at most, before the event loop hears of it and may cancel or change parameters: a
# mini-batch of a small model takes less than the hand-over to the worker, so several are taken at once.
STRETCH_SECONDS = 0.05

# How many examples a model without mini-batches (nearest neighbours) takes at once.
PORTION = 64


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened in an update."""

    event: MLUpdateProgressEvent
    metrics: Mapping[MLMetricKey, float | int]


class Training:
    """Where an update is and how it goes on: ``stretch`` takes it further, one or several mini-batches at a time."""

    def __init__(self, model: MLModel, provider: MLBatchProvider, given: Mapping[Key, ParameterValue]) -> None:
        self.learner: Learner = build_learner(model.spec, f"model {model.name!r}")
        self.examples = Examples(model, provider)
        self.parameters = _in_force(model, given)
        self.done = False
        self._threads = model.configuration.threads
        self._epoch = 0
        self._batch = 0
        self._loss_sum = 0.0
        self._order: Array | None = None
        self._begun = False
        self._interrupted = False
        self._cancelled = False

    def interrupt(self) -> None:
        """Ends the present stretch after its present mini-batch. May be called from any thread."""
        self._interrupted = True

    def cancel(self) -> None:
        """Ends the present stretch between two layers: the mini-batch at work has not happened then. From any thread."""
        self._cancelled = self._interrupted = True

    def change(self, parameters: Mapping[Key, ParameterValue]) -> None:
        """Puts new parameter values in force; called between stretches."""
        self.parameters.update(parameters)
        self._interrupted = False

    def stretch(self, wanted: MLUpdateProgressEvent) -> list[Note]:
        """Goes on to the next event of ``wanted``, to an interruption, or for a while; what happened last."""
        if not self._begun:
            self._begun = True
            return [Note(MLUpdateProgressEvent.TRAINING_BEGIN, {})]
        until = time.monotonic() + STRETCH_SECONDS
        while True:
            notes = self._step()
            heard = any(note.event & wanted for note in notes)
            if heard or self.done or self._interrupted or time.monotonic() >= until:
                return notes

    def close(self) -> None:
        """Gives back what training needs."""
        self.learner.close()
        self.examples.close()

    def _step(self) -> list[Note]:
        """One mini-batch; nothing, where it was cancelled."""
        count = self.examples.count
        size = min(int(self.parameters[Key.MINI_BATCH_SIZE]), count) if self.learner.iterative else PORTION
        if self._order is None:
            self._order = self._permutation()
        start = self._batch * size
        indices = self._order[start : start + size]
        try:
            with at_most(self._threads):
                columns = self.examples.columns(indices)
                with numbered(indices.tolist()), stopping(lambda: self._cancelled):
                    losses = self.learner.step(columns, len(indices), self._optimizer())
        except MLPredictionCancelledError:
            return []
        except MLModelError as error:
            raise type(error)(f"epoch {self._epoch}, mini-batch {self._batch}: {error}") from error
        metrics: dict[MLMetricKey, float | int] = {MLMetricKey.EPOCH_INDEX: self._epoch, MLMetricKey.MINI_BATCH_INDEX: self._batch}
        if losses is not None:
            total = float(np.sum(losses, dtype=np.float64))
            self._loss_sum += total
            metrics[MLMetricKey.LOSS_VALUE] = total / len(indices)
        notes = [Note(MLUpdateProgressEvent.MINI_BATCH_END, metrics)]
        self._batch += 1
        if start + size >= count:
            if losses is not None:
                metrics = {**metrics, MLMetricKey.LOSS_VALUE: self._loss_sum / count}
            notes.append(Note(MLUpdateProgressEvent.EPOCH_END, metrics))
            self._epoch, self._batch, self._loss_sum, self._order = self._epoch + 1, 0, 0.0, None
            self.done = self._epoch >= (int(self.parameters[Key.EPOCHS]) if self.learner.iterative else 1)
        return notes

    def _permutation(self) -> Array:
        """The order of the examples in this epoch, which depends on seed and epoch alone."""
        if not (self.learner.iterative and self.parameters[Key.SHUFFLE]):
            return np.arange(self.examples.count)
        seed = int(self.parameters[Key.SEED]) % 2**64
        return np.random.Generator(np.random.PCG64([seed, self._epoch])).permutation(self.examples.count)

    def _optimizer(self) -> SGD | Adam | None:
        """The optimizer with the parameters in force."""
        value = self.parameters
        if not self.learner.iterative:
            return None
        rate = float(value[Key.LEARNING_RATE])
        if Key.BETA1 in value:
            return Adam(rate, float(value[Key.BETA1]), float(value[Key.BETA2]), float(value[Key.EPS]))
        return SGD(rate, float(value[Key.MOMENTUM]))


def _in_force(model: MLModel, given: Mapping[Key, ParameterValue]) -> dict[Key, ParameterValue]:
    """The model's defaults under what was given; a seed that nobody gave is drawn, so that it can be told."""
    values: dict[Key, ParameterValue] = {}
    for key, description in parameter_descriptions(model.spec).items():
        default = description.default_value
        value = given.get(key, secrets.randbits(63) if default is None else default)
        try:
            values[key] = description.check(value)
        except MLModelError as error:
            raise MLUpdateError(f"{model.name}: the model's own default is not allowed: {error}") from error
    return values
