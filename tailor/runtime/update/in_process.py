"""A workplace in another process: a worker has a copy of the training, and what it has learned is put into the training here."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, get_args

import anyio
from anyio import to_thread

from tailor.scheduler import Channel, LaneLost, ProcessLane

from ..custom_models import PrivatePart
from ..errors import MLUpdateError
from ..format import every_layer, layers, network_of
from ..model import MLModel
from ..network import allowed
from ..parameters import nested_models
from .context import MLUpdateProgressEvent
from .servant import Order, Origins, Outcome, Question, Reached, Rows, Setup, Standing, serve
from .stretch import Bounds, Stretch
from .training import Training

TRANSFER = 0.03
"""Of the time of a stretch, how much the way back of what was learned may take; the stretch is made long enough for that."""

LONGEST = 10.0
"""Seconds of a stretch at most, so that somebody hears of it now and then."""


class InProcess:
    """Computes stretches of one training in worker processes, to the same bits as here.

    A worker is sent what it lacks: the model, the state of the training where that was elsewhere meanwhile, and examples. The examples
    are read here, by whatever provides them, in the thread that waits for the worker; and here the guard judges. A checkpoint is written
    between two stretches. Where a worker dies, the training is where it was before the stretch.

    Raises ``MLUpdateError`` for a model with parts that are classes of this process: custom layers and models, and provided private parts.
    """

    def __init__(self, lane: ProcessLane, model: MLModel) -> None:
        check_can_leave(model)
        self._lane = lane
        self._channel = Channel(self._answer)
        self._training: Training | None = None
        self._numbered = count()  # no number is used for two states of the training, so that a worker cannot mistake one for the other
        self._at = next(self._numbered)
        self._known: tuple[object, object] = (None, None)  # position and numbers that the worker has which worked last
        self._reached: list[Reached] = []
        self._transfer = 0.0

    async def stretch(self, training: Training, wanted: MLUpdateProgressEvent, bounds: Bounds) -> Stretch:
        """Takes ``training`` further, as ``Training.stretch`` does. Raises ``LaneLost`` where the worker dies; nothing has changed then."""
        if not training.learning:
            return await to_thread.run_sync(training.stretch, wanted, bounds)
        if bounds.seconds < math.inf and not self._lane.is_warm:
            await self._lane.run(os.getpid)  # takes a second or two, for which this turn was not meant; the next one is
            return Stretch([])
        steps, saving = 0, training.saving
        if saving is not None:
            await to_thread.run_sync(saving.at_boundary, training)
        try:
            outcome = await self._served(training, wanted, bounds)
            steps = outcome.stretch.steps
            with anyio.CancelScope(shield=True):  # what was learned is not to be lost
                await to_thread.run_sync(training.put, outcome.reached.position, outcome.reached.state)
        finally:
            if saving is not None:
                saving.pass_by(steps - 1)
        self._known = (training.position, training.numbers)
        self._transfer = max(0.0, time.monotonic() - outcome.ended)
        return outcome.stretch

    def close(self) -> None:
        """Lets the workers forget the training."""
        self._channel.close()

    async def _served(self, training: Training, wanted: MLUpdateProgressEvent, bounds: Bounds) -> Outcome:
        """What a worker makes of the training, which is put where the worker was when something failed there."""
        position, numbers = self._known
        if position is not training.position or numbers is not training.numbers:
            self._at = next(self._numbered)
        if training.judging is not None:
            wanted |= MLUpdateProgressEvent.EPOCH_END  # the guard looks at its loss
        soon = min(max(bounds.soon, self._transfer / TRANSFER), LONGEST)
        until, threads = time.monotonic() + bounds.seconds, min(allowed(), bounds.threads or math.inf)
        bounds = replace(bounds, soon=soon, threads=int(threads))
        order = Order(self._at, next(self._numbered), training.parameters, wanted, bounds, until)
        self._training = training
        self._reached.clear()
        try:
            with training.relayed(self._channel.tell):
                outcome = await self._lane.run(partial(serve, order), self._channel)
        except LaneLost:
            raise
        except Exception:  # whatever failed, what was learned before it counts here as it does in a thread
            for reached in self._reached:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(training.put, reached.position, reached.state)
            raise
        self._at = order.then
        return outcome

    def _answer(self, question: Any) -> Any:
        """What a worker asks, in a thread."""
        training = self._training
        assert training is not None
        match question:
            case Rows():
                return training.examples.read(list(question.numbers), question.names)
            case Origins():
                return training.examples.origins(list(question.numbers))
            case Reached():
                self._reached.append(question)
            case Question.COUNT:
                return training.examples.counted()
            case Question.STANDING:
                return Standing(Reached(training.position, training.learner.state()), training.numbers)
            case Question.SETUP:
                return _setup(training)
            case Question.MODEL:
                return training.model.to_bytes()
        return None


def check_can_leave(model: MLModel) -> None:
    """Raises ``MLUpdateError`` where parts of ``model`` are classes of this process, which another one does not have."""
    found = own_parts(model)
    if found:
        raise MLUpdateError(
            f"update of {model.name}: expected a model that another process can run, for it is to learn in a worker process, "
            f"got one with classes of this process: {', '.join(found)}; let it learn on another lane"
        )


def own_parts(model: MLModel) -> list[str]:
    """The parts of ``model`` that are classes of this process."""
    return list(_own_parts(model._outline))


def _own_parts(spec: Any) -> Iterator[str]:
    for _, nested in nested_models(spec):
        yield from _own_parts(nested)
    kind, network = spec.WhichOneof("Type"), network_of(spec)
    if network is not None:
        for record in every_layer(layers(network)):
            if record.kind == "custom":
                yield f"layer {record.name!r} of class {record.params.className!r}"
    elif kind == "customModel":
        yield f"a custom model of class {spec.customModel.className!r}"
    elif kind in get_args(PrivatePart):
        yield f"what was provided for {kind!r}"


def _setup(training: Training) -> Setup:
    model, examples = training.model, training.examples
    configuration = replace(model.configuration, parameters=None, preferred_metal_device=None)
    return Setup(
        model.content_hash,
        model.name,
        model.folder,
        configuration,
        dict(model.configuration.parameters or {}),
        examples.fingerprints is None,
    )
