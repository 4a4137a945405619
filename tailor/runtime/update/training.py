"""The course of an update, without awaiting: epochs, mini-batches, permutations, losses; run in a worker."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from tailor.kernels import SGD, Adam, Array
from tailor.persistence import Content

from ..errors import MLModelError, MLPredictionCancelledError, MLUpdateError, numbered
from ..model import MLModel
from ..models import Learner, build_learner
from ..network import at_most, stopping
from ..parameters import MLParameterKey as Key
from ..parameters import ParameterValue, parameter_descriptions
from ..values import MLBatchProvider
from .context import MLMetricKey, MLUpdateProgressEvent
from .examples import Examples
from .guard import MLUpdateGuard
from .judging import Judging
from .position import Note, Position
from .saving import Saving
from .stretch import Bounds, Stretch

# How many examples a model without mini-batches (nearest neighbours) takes at once, and are judged at once at most.
PORTION = 64


FREE = Bounds()


class Training:
    """Where an update is and how it goes on: ``stretch`` takes it further, one or several mini-batches at a time."""

    def __init__(
        self,
        model: MLModel,
        provider: MLBatchProvider,
        given: Mapping[Key, ParameterValue],
        guard: MLUpdateGuard | None = None,
        examples: Callable[..., Examples] = Examples,
    ) -> None:
        self.learner: Learner = build_learner(
            model._outline, f"model {model.name!r}", model.configuration.trainable, model.configuration.training
        )
        self.parameters = _in_force(model, given)
        epochs = int(self.parameters.get(Key.EPOCHS, 1))
        self.examples = examples(model, provider, self.learner, epochs, model.configuration.cache_bytes)
        portion = min(PORTION, int(self.parameters.get(Key.MINI_BATCH_SIZE, PORTION)))
        self.judging = None if guard is None else Judging(guard, model, self.examples, self.learner, portion)
        self.candidate: MLModel | None = None  # what was judged
        self.numbers: Array = np.arange(self.examples.count)  # of the examples to learn from, in the training data
        self.guard = guard
        self.model = model
        self.position = Position()
        self.begun = False
        self.done = False
        self.saving: Saving | None = None
        self._cold = True
        self._course = None if self.judging is None else self.judging.before()  # of the guard, to be walked through next
        self._options = model.configuration.training
        self._threads = model.configuration.threads
        self._order: Array | None = None
        self._interrupted = False
        self._cancelled = False
        self._relay: Callable[[bool], None] | None = None
        self.position = Position(multiplier=self._scheduled())

    def interrupt(self) -> None:
        """Ends the present stretch after its present mini-batch. May be called from any thread."""
        self._interrupted = True
        if (relay := self._relay) is not None:
            relay(False)

    def cancel(self) -> None:
        """Ends the present stretch between two layers: the mini-batch at work has not happened then. From any thread."""
        self._cancelled = self._interrupted = True
        if (relay := self._relay) is not None:
            relay(True)

    @contextmanager
    def relayed(self, relay: Callable[[bool], None]) -> Iterator[None]:
        """Interruptions meanwhile, and one that is there already, are told to ``relay`` too, with whether they cancel."""
        self._relay = relay
        if self._interrupted:
            relay(self._cancelled)
        try:
            yield
        finally:
            self._relay = None

    def change(self, parameters: Mapping[Key, ParameterValue]) -> None:
        """Puts new parameter values in force; called between stretches."""
        self.parameters.update(parameters)
        self._interrupted = False

    def go_on_from(self, position: Position) -> None:
        """Puts a training that has not begun where another one was."""
        self.position = position

    @property
    def learning(self) -> bool:
        """Whether a mini-batch is what comes next."""
        return self.begun and self._course is None and not self._ended()

    def put(self, position: Position, state: Mapping[str, Content]) -> None:
        """Puts a training that is learning where another one has come to, of the same model on the same examples."""
        self.learner.restore(state)
        self._order, self.done = None, False
        self._move(position)

    def in_force(self) -> dict[Key, ParameterValue]:
        """The parameters as they are now: the learning rate as it is scheduled for the last mini-batch that was begun."""
        if self._options.schedule is None:
            return dict(self.parameters)
        return {**self.parameters, Key.LEARNING_RATE: float(self.parameters[Key.LEARNING_RATE]) * self.position.multiplier}

    def begins_anew(self) -> None:
        """Says that the next mini-batch is the first where it is taken."""
        self._cold = True

    def marked(self) -> Callable[[], None]:
        """What puts the training back to where it is now, between two mini-batches; what its learner has learned stays."""
        kept = (self.position, self.done, self._course)

        def undo() -> None:
            self.position, self.done, self._course = kept
            self._order = None

        return undo

    def stretch(self, wanted: MLUpdateProgressEvent, bounds: Bounds = FREE) -> Stretch:
        """Goes on to the next event of ``wanted``, to an interruption, or as long as it may; what happened last, and what it took."""
        if not self.begun:
            self.begun = True
            return Stretch([Note(MLUpdateProgressEvent.TRAINING_BEGIN, {})])
        begun = now = time.monotonic()
        with at_most(bounds.threads):
            if self._course is not None:
                self._walk(self._course, begun + min(bounds.soon, bounds.seconds))
                return Stretch([], time.monotonic() - begun)
            if self._ended():
                self._finish()
                return Stretch([])
            steps, cold, longest = 0, 0.0, bounds.step
            while True:
                if self.saving is not None:
                    self.saving.at_boundary(self)
                notes = self._step()
                before, now, steps = now, time.monotonic(), steps + 1
                if self._cold:
                    self._cold, cold = False, now - before
                else:
                    longest = max(longest, now - before)
                heard = any(note.event & wanted for note in notes)
                spent = now - begun
                over = steps >= bounds.steps or spent >= bounds.soon or spent + longest > bounds.seconds
                if heard or over or self.done or self._course is not None or self._interrupted:
                    return Stretch(notes, spent, steps, cold)

    @property
    def epochs(self) -> int:
        """How often all examples are learned from."""
        return int(self.parameters[Key.EPOCHS]) if self.learner.iterative else 1

    @property
    def learned(self) -> int:
        """How many examples were learned from so far, an epoch's each time."""
        return self.position.epoch * len(self.numbers) + self.position.cursor

    @property
    def steps_left(self) -> int:
        """How many mini-batches are still to come, as things are now."""
        count = len(self.numbers)
        batches = -(-count // self._size)
        return max(0, (self.epochs - self.position.epoch) * batches - self._batch) if not self.done else 0

    def close(self) -> None:
        """Gives back what training needs."""
        self.learner.close()
        self.examples.close()
        if self._course is not None:
            self._course.close()

    def _walk(self, course: Iterator[None], until: float) -> None:
        """Goes on with what the guard does, to its end, to an interruption, or for a while."""
        try:
            with at_most(self._threads), stopping(lambda: self._cancelled):
                for _ in course:
                    if self._interrupted or time.monotonic() >= until:
                        return
        except MLPredictionCancelledError:
            return
        self._course = None
        if self.judging is not None:
            self.numbers, self.done = self.judging.numbers, self.judging.verdict is not None

    def _judged(self, judging: Judging) -> Generator[None]:
        """The end of an update that has a guard."""
        self.candidate = self.model._changed(self.learner.writer())
        yield from judging.after(self.candidate)

    def _step(self) -> list[Note]:
        """One mini-batch; nothing, where it was cancelled."""
        count, at, batch, multiplier = len(self.numbers), self.position, self._batch, self._scheduled()
        if self._order is None:
            self._order = self._permutation()
        indices = self._order[at.cursor : at.cursor + self._size]
        waits = self.learner.iterative and (batch + 1) % self._options.accumulate != 0 and at.cursor + len(indices) < count
        try:
            with at_most(self._threads), stopping(lambda: self._cancelled):
                if batch == 0:
                    self.examples.check_count()
                columns = self.examples.prepared(indices)
                with numbered(indices.tolist()):
                    losses = self.learner.step(columns, len(indices), self._optimizer(multiplier), waits)
        except MLPredictionCancelledError:
            return []
        except MLModelError as error:
            raise type(error)(f"epoch {at.epoch}, mini-batch {batch}: {error}") from error
        position, notes = at.after(batch, len(indices), losses, count, multiplier)
        self._move(position)
        return notes

    def _move(self, position: Position) -> None:
        """Goes on to ``position``, maybe over the end of an epoch."""
        before, self.position = self.position.epoch, position
        if position.epoch > before:
            self._order = None
            self._check_loss(position.epoch - 1, position)
            if self._ended():
                self._finish()

    @property
    def _size(self) -> int:
        """Examples of a mini-batch that is full."""
        return min(int(self.parameters[Key.MINI_BATCH_SIZE]), len(self.numbers)) if self.learner.iterative else PORTION

    @property
    def _batch(self) -> int:
        """The number of the next mini-batch in its epoch."""
        return self.position.cursor // self._size

    def _ended(self) -> bool:
        """Whether all examples have been learned from as often as they should be."""
        return self.position.epoch >= self.epochs

    def _finish(self) -> None:
        """Goes over to what comes behind the learning."""
        self.done = self.judging is None
        self._course = None if self.judging is None else self._judged(self.judging)

    def _check_loss(self, epoch: int, after: Position) -> None:
        """Lets the guard see the mean loss of an epoch."""
        if self.judging is not None and after.first_loss is not None:
            self.judging.check_epoch(epoch, after.metrics[MLMetricKey.LOSS_VALUE], after.first_loss)

    def _permutation(self) -> Array:
        """The order of the examples in this epoch, which depends on seed and epoch alone."""
        if not (self.learner.iterative and self.parameters[Key.SHUFFLE]):
            return self.numbers
        seed = int(self.parameters[Key.SEED]) % 2**64
        return np.random.Generator(np.random.PCG64([seed, self.position.epoch])).permutation(self.numbers)

    def _optimizer(self, multiplier: float) -> SGD | Adam | None:
        """The optimizer with the parameters in force."""
        value = self.parameters
        if not self.learner.iterative:
            return None
        rate, decay = float(value[Key.LEARNING_RATE]) * multiplier, self._options.weight_decay
        if Key.BETA1 in value:
            return Adam(rate, float(value[Key.BETA1]), float(value[Key.BETA2]), float(value[Key.EPS]), decay)
        return SGD(rate, float(value[Key.MOMENTUM]), decay)

    def _scheduled(self) -> float:
        """What the learning rate of the present mini-batch is multiplied by."""
        schedule = self._options.schedule
        if schedule is None:
            return 1.0
        batches = -(-len(self.numbers) // int(self.parameters[Key.MINI_BATCH_SIZE]))
        steps = -(-batches // self._options.accumulate)
        step = self.position.epoch * steps + self._batch // self._options.accumulate
        return schedule.multiplier(self.position.epoch, step, int(self.parameters[Key.EPOCHS]), steps)


def _in_force(model: MLModel, given: Mapping[Key, ParameterValue]) -> dict[Key, ParameterValue]:
    """The model's defaults under what was given; a seed that nobody gave is drawn, so that it can be told."""
    values: dict[Key, ParameterValue] = {}
    for key, description in parameter_descriptions(model._outline).items():
        default = description.default_value
        value = given.get(key, secrets.randbits(63) if default is None else default)
        try:
            values[key] = description.check(value)
        except MLModelError as error:
            raise MLUpdateError(f"{model.name}: the model's own default is not allowed: {error}") from error
    return values
