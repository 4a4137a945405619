"""A short update through the public task, in a known order, whose every model is kept: what several checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tailor.persistence import Checkpoint

from ..configuration import MLModelConfiguration
from ..errors import MLTaskCancelledError
from ..model import MLModel
from ..parameters import MLParameterKey as Key
from ..parameters import ParameterValue, check_parameters, parameter_descriptions
from ..update import MLMetricKey, MLUpdateContext, MLUpdateProgressHandlers, MLUpdateTask
from ..update import MLUpdateProgressEvent as Event
from .subject import Subject


@dataclass(slots=True)
class Course:
    """``losses`` as told after each mini-batch, ``rows``, its examples, and ``models``, before the first one and after each.

    ``count``: of all examples. After ``stop`` mini-batches the update is cancelled, and ``checkpoint`` is where it was. Unless ``every``
    model is wanted, the last one alone is kept.
    """

    count: int
    stop: int
    every: bool
    losses: list[float] = field(default_factory=list)
    rows: list[range] = field(default_factory=list)
    models: list[MLModel] = field(default_factory=list)
    parameters: Mapping[Key, ParameterValue] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    @property
    def handlers(self) -> MLUpdateProgressHandlers:
        """What an update is given to be followed."""
        return MLUpdateProgressHandlers(Event.TRAINING_BEGIN | Event.MINI_BATCH_END, self._follow)

    async def _follow(self, context: MLUpdateContext) -> None:
        if not self.every:
            self.models.clear()
        self.models.append(context.model)
        if context.event is Event.TRAINING_BEGIN:
            return
        self.parameters = context.parameters
        self.losses.append(context.metrics[MLMetricKey.LOSS_VALUE])
        size = int(context.parameters[Key.MINI_BATCH_SIZE])
        begin = int(context.metrics[MLMetricKey.MINI_BATCH_INDEX]) * size
        self.rows.append(range(begin, min(begin + size, self.count)))
        if len(self.rows) == self.stop:
            self.checkpoint = await context.task.checkpoint()
            context.task.cancel()

    async def ended(self, task: MLUpdateTask) -> Course:
        """Waits for the end of the task, which may be that the course has cancelled it; raises what the update raises."""
        try:
            await task
        except MLTaskCancelledError:
            if len(self.rows) < self.stop:
                raise
        return self


async def taken(subject: Subject, mini_batches: int) -> Course:
    """The first mini-batches of an update without shuffling, or all of it where there are fewer."""
    course = Course(subject.examples.count, mini_batches, every=True)
    return await course.ended(MLUpdateTask(subject.model, subject.data, _in_order(subject), progress_handlers=course.handlers))


async def repeated(subject: Subject, mini_batches: int) -> MLModel:
    """The model after the same course, by one thread."""
    course = Course(subject.examples.count, mini_batches, every=False)
    configuration = replace(_in_order(subject), threads=1)
    return (await course.ended(MLUpdateTask(subject.model, subject.data, configuration, progress_handlers=course.handlers))).models[-1]


async def taken_up(subject: Subject, mini_batches: int) -> MLModel | None:
    """The model after the same course, broken off half-way and taken up from a checkpoint; None where it is too short for that."""
    course = Course(subject.examples.count, mini_batches // 2, every=False)
    if course.stop == 0:
        return None
    configuration = _in_order(subject)
    await course.ended(MLUpdateTask(subject.model, subject.data, configuration, progress_handlers=course.handlers))
    if course.checkpoint is None:
        return None
    course.stop = mini_batches
    again = MLUpdateTask.restore(course.checkpoint, subject.model, subject.data, configuration, progress_handlers=course.handlers)
    return (await course.ended(again)).models[-1]


def _in_order(subject: Subject) -> MLModelConfiguration:
    """The configuration, without shuffling."""
    given: dict[Key, object] = dict(check_parameters(subject.model.spec, subject.configuration.parameters or {}))
    shuffling = [key for key in parameter_descriptions(subject.model.spec) if key.name == Key.SHUFFLE.name]
    given.update(dict.fromkeys(shuffling, False))
    return replace(subject.configuration, parameters=given)
