"""MLUpdateTask: an update as a task, with handlers, event streams and parameters that can change on the way."""

from __future__ import annotations

import inspect
import os
import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio

from tailor.scheduler import Lane, ThreadLane

from ..configuration import MLModelConfiguration
from ..errors import MLModelError, MLUpdateError
from ..model import MLModel
from ..parameters import MLParameterKey, ParameterValue, check_adjustable, check_parameters
from ..task import MLTask, MLTaskState
from ..values import MLBatchProvider
from .context import Handler, MLMetricKey, MLUpdateContext, MLUpdateProgressEvent, MLUpdateProgressHandlers
from .stream import EventStream
from .training import Note, Training

if TYPE_CHECKING:
    from ..background import Runtime


class MLUpdateTask(MLTask[MLUpdateContext]):
    """Trains a model on examples; the model given, and its file, stay as they are.

    ``context = await MLUpdateTask("Sticker.mlmodel", training_data)`` gives the final context; ``context.model`` is the
    updated model. ``training_data`` is an ``MLBatchProvider`` of the model's training inputs; it is read in a worker.

    Raises ``MLUpdateError`` at once where the model cannot be updated or there are no examples, ``MLParameterError`` for
    a parameter that the model does not allow. What goes wrong later is raised by ``await`` and kept in ``error``.
    """

    def __init__(
        self,
        model: MLModel | str | os.PathLike[str] | bytes,
        training_data: MLBatchProvider,
        configuration: MLModelConfiguration | None = None,
        *,
        progress_handlers: MLUpdateProgressHandlers | None = None,
        completion_handler: Handler | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(runtime)
        _check_handlers(progress_handlers)
        if not isinstance(model, MLModel):
            model = MLModel(model, configuration)
        elif configuration is not None:
            model = MLModel.from_spec(model.spec, model.name, configuration, folder=model.folder)
        given = model.configuration.parameters or {}
        self._model = model
        self._training = Training(model, training_data, check_parameters(model.spec, given))
        self._lane: Lane = runtime.lane if runtime is not None else ThreadLane()
        self._handlers = progress_handlers
        self._completion_handler = completion_handler
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._contexts: weakref.WeakSet[MLUpdateContext] = weakref.WeakSet()
        self._changes: dict[MLParameterKey, ParameterValue] = {}
        self._last = Note(MLUpdateProgressEvent(0), MappingProxyType({}))

    def resume(self, with_parameters: Mapping[MLParameterKey, object] | None = None) -> None:
        """Starts the task; ``with_parameters`` replace the values in force from the next mini-batch on.

        Raises ``MLParameterError`` for a key that cannot change in progress and for a value out of its constraint, and
        ``MLTaskStateError`` where the task has ended; nothing changes then.
        """
        changes = check_parameters(self._model.spec, with_parameters or {})
        check_adjustable(changes)
        super().resume()
        if changes:
            self._changes.update(changes)
            self._training.interrupt()

    def cancel(self) -> None:
        """Asks the task to stop at the next mini-batch, or between two layers of a network; the state is CANCELLING at once."""
        super().cancel()
        self._training.cancel()
        for stream in list(self._streams):
            stream.asked.set()  # there is nothing more to wait for

    def events(
        self,
        events: MLUpdateProgressEvent = MLUpdateProgressEvent.TRAINING_BEGIN
        | MLUpdateProgressEvent.EPOCH_END
        | MLUpdateProgressEvent.MINI_BATCH_END,
    ) -> EventStream:
        """The contexts of ``events``, from the first reading on, as an async iterator that ends when the task does.

        Training waits while a context is dealt with. To iterate resumes the task, and without a runtime drives it. A stream
        that is kept after its loop was left early must be closed (``aclose``), or training waits for it to be read on; one
        that is dropped, or whose reader awaits the task or leaves the runtime's block, closes by itself.
        """
        stream = EventStream(self, events)
        self._streams.add(stream)
        return stream

    def _wanted(self) -> MLUpdateProgressEvent:
        """The events that anybody asked for."""
        wanted = MLUpdateProgressEvent(0)
        if self._handlers is not None and self._handlers.progress_handler is not None:
            wanted |= self._handlers.for_events
        for stream in self._streams:
            wanted |= stream.events
        return wanted

    async def _until(self, arrived: anyio.Event) -> None:
        """Waits for ``arrived`` or the end, for a stream; drives the task where nobody else would."""
        self._about_to_wait()
        if self._state is MLTaskState.SUSPENDED:
            self.resume()
        if self._runtime is not None:
            await arrived.wait()
        else:
            await self._drive(arrived)

    def _left_by(self, reader: int) -> None:
        # Who waits for the end reads its stream no longer: training would wait for it, and it for the training.
        for stream in list(self._streams):
            if stream.reader == reader:
                stream.close()

    async def _stretch(self) -> bool:
        for asked in [stream.asked for stream in self._streams if stream.reader is not None]:
            await asked.wait()
        if self._cancelling():
            return False
        if self._training.done:  # not before who follows the events has dealt with the last one: it may still resume or cancel
            self._outcome = self._context(MLUpdateProgressEvent(0), self._last.metrics)
            return True
        for context in list(self._contexts):
            context._settle()
        self._training.change(self._changes)
        self._changes.clear()
        wanted = self._wanted()
        for note in await self._worked(wanted):
            self._last = note
            await self._notify(note)
        return False

    async def _worked(self, wanted: MLUpdateProgressEvent) -> list[Note]:
        """The notes of one stretch. Where this is interrupted, the training hears of it at once: the lane waits for its end."""
        notes: list[Note] = []
        failure: Exception | None = None
        ended = False

        async def watch() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                if not ended:
                    self._training.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            try:
                notes = await self._lane.run(lambda: self._training.stretch(wanted))
            except Exception as error:  # raised below, for out of here it would come in an exception group
                failure = error
            ended = True
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return notes

    async def _notify(self, note: Note) -> None:
        """Tells handlers and streams of an event."""
        if self._cancelling() or not note.event & self._wanted():
            return
        context = self._context(note.event, note.metrics)
        if self._handlers is not None and note.event & self._handlers.for_events:
            await _call(self._handlers.progress_handler, context)
        for stream in list(self._streams):
            stream.put(context)
        self._move()

    def _context(self, event: MLUpdateProgressEvent, metrics: Mapping[MLMetricKey, float | int]) -> MLUpdateContext:
        def hold() -> Callable[[], MLModel]:
            write = self._training.learner.writer()
            return lambda: self._model._changed(write)

        context = MLUpdateContext(self, event, metrics, self._training.parameters, hold)
        self._contexts.add(context)
        return context

    async def _told(self) -> None:
        context = self._outcome
        if context is None or self._error is not None:
            context = self._context(MLUpdateProgressEvent(0), self._last.metrics)
        if self._handlers is not None:
            await _call(self._handlers.completion_handler, context)
        await _call(self._completion_handler, context)

    def _release(self) -> None:
        for context in list(self._contexts):
            context._settle()
        self._training.close()
        for stream in list(self._streams):
            stream.wake()

    def _name(self) -> str:
        return f"update of {self._model.name}"

    def _translated(self, error: Exception) -> MLModelError:
        if isinstance(error, MLModelError):
            return error
        translated = MLUpdateError(f"{self._name()}: {type(error).__name__}: {error}")
        translated.__cause__ = error
        return translated


def _check_handlers(given: object) -> None:
    if given is not None and not isinstance(given, MLUpdateProgressHandlers):
        raise MLUpdateError(f"progress_handlers: expected MLUpdateProgressHandlers, got {type(given).__name__}")


async def _call(handler: Handler | None, context: MLUpdateContext) -> None:
    """Calls a handler, plain or async."""
    if handler is not None:
        result = handler(context)
        if inspect.isawaitable(result):
            await result
