"""MLUpdateTask: an update as a task, with handlers, event streams and parameters that can change on the way."""

from __future__ import annotations

import inspect
import math
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio import to_thread

from tailor.persistence import Checkpoint
from tailor.scheduler import AcceleratorLane, Budget, BudgetExhausted, Job, LaneLost, ProcessLane, Stint, ThreadLane, Ticket, TurnWithdrawn

from ..accelerators import kept_by, lanes_for
from ..configuration import MLModelConfiguration
from ..errors import MLCheckpointError, MLModelError, MLTaskStateError, MLUpdateError
from ..model import MLModel
from ..models import kept_here
from ..parameters import MLParameterKey, ParameterValue, check_adjustable, check_parameters
from ..scheduling import MLScheduling
from ..task import MLTask
from ..values import MLBatchProvider
from .checkpoint import apply_checkpoint, kept_parameters, read_checkpoint, take_checkpoint
from .context import Handler, MLMetricKey, MLUpdateContext, MLUpdateProgressEvent, MLUpdateProgressHandlers, check_handler
from .elsewhere import OnDevice
from .guard import MLUpdateGuard
from .in_process import InProcess, check_can_leave, own_parts
from .position import Note
from .saving import MLCheckpoints, Saving
from .stream import EventStream
from .stretch import Bounds, Stretch
from .training import FREE, Training
from .workplace import InThread, Workplace

if TYPE_CHECKING:
    from ..background import Runtime


NOTHING = Stretch([])


class MLUpdateTask(MLTask[MLUpdateContext]):
    """Trains a model on examples; the model given, and its file, stay as they are.

    ``context = await MLUpdateTask("Sticker.mlmodel", training_data)`` gives the final context; ``context.model`` is the
    updated model. ``training_data`` is an ``MLBatchProvider`` of the model's training inputs; it is read in a worker.
    With a ``guard`` the updated model is judged at the end. Where it is refused the task completes all the same, but ``context.model`` is
    the model there was; ``context.verdict`` tells why.

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
        guard: MLUpdateGuard | None = None,
        checkpoints: MLCheckpoints | None = None,
        scheduling: MLScheduling | None = None,
        _goes_on: Checkpoint | None = None,
    ) -> None:
        super().__init__(runtime, scheduling)
        _check_given("progress_handlers", progress_handlers, MLUpdateProgressHandlers)
        _check_given("checkpoints", checkpoints, MLCheckpoints)
        check_handler("completion_handler", completion_handler)
        if not isinstance(model, MLModel):
            model = MLModel(model, configuration)
        elif configuration is not None:
            model = model._configured(configuration)
        given = check_parameters(model._outline, model.configuration.parameters or {})
        if runtime is not None and any(isinstance(runtime.scheduler.lanes.get(name), ProcessLane) for name in self._scheduling.lanes or ()):
            check_can_leave(model)
        self._model = model
        self._training = Training(model, training_data, given if _goes_on is None else kept_parameters(_goes_on, model, given), guard)
        if _goes_on is not None:
            try:
                apply_checkpoint(_goes_on, self._training)
            except BaseException:
                self._training.close()
                raise
        self._training.saving = Saving(checkpoints) if checkpoints is not None else None
        self._workplaces: dict[str, Workplace] = {}
        self._losses = self._attempts = 0
        self._handlers = progress_handlers
        self._completion_handler = completion_handler
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._contexts: weakref.WeakSet[MLUpdateContext] = weakref.WeakSet()
        self._changes: dict[MLParameterKey, ParameterValue] = {}
        self._asked: list[_Asked] = []
        self._at_work = False

    @classmethod
    def restore(
        cls,
        checkpoint: Checkpoint | str | os.PathLike[str],
        model: MLModel | str | os.PathLike[str] | bytes,
        training_data: MLBatchProvider,
        configuration: MLModelConfiguration | None = None,
        *,
        progress_handlers: MLUpdateProgressHandlers | None = None,
        completion_handler: Handler | None = None,
        runtime: Runtime | None = None,
        guard: MLUpdateGuard | None = None,
        checkpoints: MLCheckpoints | None = None,
        scheduling: MLScheduling | None = None,
    ) -> Self:
        """The task that goes on where ``checkpoint`` was taken, in this process or another one, and ends with the same bits.

        ``model``, ``training_data``, ``configuration`` and ``guard`` are those of the task that it was taken of. Parameters may be
        left out: those in force then are in force again, the learning rate as it was changed last. TRAINING_BEGIN is told again,
        the other events from the next mini-batch on.

        Raises ``MLCheckpointError`` for a file that is no checkpoint or damaged, and for one of another model, of other training data
        (by their number, by a handful of examples that were learned from, which are compared now, and by the others when their
        turn comes) or of other parameters; besides what making a task raises. The file stays as it is.
        """
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = read_checkpoint(checkpoint)
        return cls(
            model,
            training_data,
            configuration,
            progress_handlers=progress_handlers,
            completion_handler=completion_handler,
            runtime=runtime,
            guard=guard,
            checkpoints=checkpoints,
            scheduling=scheduling,
            _goes_on=checkpoint,
        )

    def resume(self, with_parameters: Mapping[MLParameterKey, object] | None = None, *, budget: Budget | None = None) -> None:
        """Starts the task, or lets it go on; ``with_parameters`` replace the values in force from the next mini-batch on, and ``budget``
        what was left of the task's own.

        Raises ``MLParameterError`` for a key that cannot change in progress and for a value out of its constraint, and
        ``MLTaskStateError`` where the task has ended, or has no runtime to see to its budget; nothing changes then.
        """
        changes = check_parameters(self._model._outline, with_parameters or {})
        check_adjustable(changes)
        super().resume(budget=budget)
        if changes:
            self._changes.update(changes)
            self._training.interrupt()

    def cancel(self) -> None:
        """Asks the task to stop at the next mini-batch, or between two layers of a network; the state is CANCELLING at once."""
        super().cancel()
        self._training.cancel()
        for stream in list(self._streams):
            stream.asked.set()  # there is nothing more to wait for

    def suspend(self) -> None:
        """Asks the task to pause at the end of the mini-batch at work; the state is SUSPENDED then.

        ``resume()`` lets it go on, ``cancel()`` ends it; who awaits it waits for either. Its checkpoint has been written by
        then, if it has ``MLCheckpoints``, so that it can also be taken up by another process.
        """
        super().suspend()
        if self._pausing:
            self._training.interrupt()

    async def checkpoint(self) -> Checkpoint:
        """The update as it is at the end of the mini-batch at work, to be kept elsewhere than ``MLCheckpoints`` does.

        Raises ``MLTaskStateError`` where the task has ended, or ends before.
        """
        if self._state.is_final:
            raise MLTaskStateError(f"{self._name()} is {self._state.name.lower()}: there is nothing to go on from")
        if not self._at_work:
            return self._taken()
        asked = _Asked()
        self._asked.append(asked)
        self._training.interrupt()
        await asked.answered.wait()
        if asked.checkpoint is None:
            raise MLTaskStateError(f"{self._name()} ended before the checkpoint could be taken")
        return asked.checkpoint

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
        if not self._begun and not self._state.is_final:
            self.resume()
        if self._runtime is not None:
            await arrived.wait()
        else:
            await self._drive(arrived.is_set)

    def _left_by(self, reader: int) -> None:
        # Who waits for the end reads its stream no longer: training would wait for it, and it for the training.
        for stream in list(self._streams):
            if stream.reader == reader:
                stream.close()

    async def _stretch(self) -> bool:
        for asked in [stream.asked for stream in self._streams if stream.reader is not None]:
            await asked.wait()
        if self._cancelling() or self._pausing:
            return False
        if self._training.done:  # not before who follows the events has dealt with the last one: it may still resume or cancel
            self._outcome = self._context(MLUpdateProgressEvent(0), self._training.position.metrics)
            return True
        try:
            notes = await self._turn()
        except TurnWithdrawn:  # somebody cancels or suspends it
            return False
        except BudgetExhausted:
            self._pausing = True
            return False
        for note in notes:
            await self._notify(note)
        if self._asked and not self._cancelling():
            self._answer(self._taken())
        return False

    @property
    def kept_on_cpu(self) -> str:
        """Why this update never uses an accelerator, such as the name of a layer that has no way to; ``""`` where it may.

        Only what learns, and what is behind it, has to be computed there.
        """
        return kept_by(self._model.configuration.compute_units) or kept_here(self._training.learner)

    def _job(self) -> Job:
        there = {} if self._runtime is None else self._runtime.scheduler.lanes
        lanes = lanes_for(self.kept_on_cpu, there)
        if isinstance(there.get("process"), ProcessLane) and not own_parts(self._model):
            lanes = tuple("process" if lane == "cpu" else lane for lane in lanes)
        return self._scheduling.job(self._identifier, f"update:{self._model.content_hash}", lanes)

    async def _turn(self) -> Sequence[Note]:
        """What happened in one stretch, taken when its turn has come."""
        if self._ticket is None:
            stretch = await self._worked(self._workplace(None), FREE)
            return stretch.notes
        await self._plan(self._ticket)
        if self._cancelling() or self._pausing:
            return []
        delay: float | None = None
        notes: Sequence[Note] = []
        async with self._ticket.turn() as turn:
            turn.interrupt = self._training.interrupt
            bounds = Bounds(turn.seconds, turn.steps, turn.step, threads=turn.threads)
            try:
                stretch = await self._worked(self._workplace(turn), bounds, asked_back=turn.yields)
            except LaneLost as error:
                self._lost(error, turn)
            except Exception as error:
                delay = self._delay(error)
                if delay is None:
                    raise
            else:
                turn.used(stretch.seconds, stretch.steps, stretch.learned)
                notes = stretch.notes
                self._attempts = 0
        if delay is not None:
            self._ticket.hold(delay, f"attempt {self._attempts} failed")
        return notes

    def _workplace(self, turn: Stint | None) -> Workplace:
        """Where a turn's work is done; without a runtime, in a thread of its own."""
        name = "" if turn is None else turn.lane_name
        if name not in self._workplaces:
            lane = ThreadLane() if turn is None else turn.lane
            if isinstance(lane, AcceleratorLane):
                self._workplaces[name] = OnDevice(lane)
            else:
                self._workplaces[name] = InProcess(lane, self._model) if isinstance(lane, ProcessLane) else InThread(lane)
        return self._workplaces[name]

    async def _plan(self, ticket: Ticket[Any]) -> None:
        """Tells the scheduler what is still to come: steps, and seconds for a checkpoint. What one takes is not known before one was
        written: where that matters, one is at once."""
        ticket.steps_left = self._training.steps_left
        if self._training.saving is None or not self._training.saving.when.on_stop:
            return
        if ticket.checkpoint_cost is None and self._training.begun and 0 < ticket.left.seconds < math.inf:
            await self._save(self._training.saving)
        cost = ticket.checkpoint_cost
        ticket.reserve = 0.0 if cost is None else cost.at_most(1)

    def _lost(self, error: LaneLost, turn: Stint) -> None:
        """Takes in that the place of a stretch, which has not happened, is gone; raises where that was once too often."""
        self._losses += 1
        turn.lose(error)
        if self._losses > self._scheduling.most_losses:
            raise MLUpdateError(f"{self._name()}: lost what it ran on {self._losses} times, the last time: {error}") from error

    def _delay(self, error: Exception) -> float | None:
        """Seconds until the stretch that failed is tried again; ``None`` where it is not."""
        self._attempts += 1
        return None if self._scheduling.retry is None else self._scheduling.retry.after(error, self._attempts)

    async def _worked(self, workplace: Workplace, bounds: Bounds, *, asked_back: bool = False) -> Stretch:
        """One stretch, of one mini-batch where the turn was ``asked_back`` before it began. Where this is interrupted, the training
        hears of it at once: the lane waits for its end."""
        for context in list(self._contexts):
            context._settle()
        self._training.change(self._changes)
        self._changes.clear()
        if asked_back:
            self._training.interrupt()
        wanted = self._wanted()
        stretch = NOTHING
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
            self._at_work = True
            try:
                stretch = await workplace.stretch(self._training, wanted, bounds)
            except Exception as error:  # raised below, for out of here it would come in an exception group
                failure = error
            finally:
                self._at_work = False
            ended = True
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return stretch

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
        judged, judging = self._training.candidate, self._training.judging

        def hold() -> Callable[[], MLModel]:
            if judged is not None:
                return lambda: judged
            write = self._training.learner.writer()
            return lambda: self._model._changed(write)

        verdict = judging.verdict if judging is not None else None
        learned = self._training.learned
        context = MLUpdateContext(self, event, metrics, self._training.in_force(), hold, self._model, verdict, learned)
        self._contexts.add(context)
        return context

    def _taken(self) -> Checkpoint:
        return take_checkpoint(self._training, self._changes)

    def _answer(self, checkpoint: Checkpoint | None) -> None:
        """Gives a checkpoint to those who asked for one."""
        for asked in self._asked:
            asked.checkpoint = checkpoint
            asked.answered.set()
        self._asked.clear()

    async def _settle(self, *, stopped: bool) -> None:
        saving = self._training.saving
        if saving is not None:
            last = (saving.when.on_stop if stopped else saving.when.keep and self._training.done) and self._training.begun
            if last:
                await self._save(saving)
            else:
                await self._finished_saving(saving, None)

    async def _save(self, saving: Saving) -> None:
        """Writes a checkpoint, and lets the scheduler know what that took."""
        seconds = await self._finished_saving(saving, self._taken)
        if self._ticket is not None:
            self._ticket.checkpointed(seconds, os.fspath(saving.when.path))

    async def _finished_saving(self, saving: Saving, last: Callable[[], Checkpoint] | None) -> float:
        """Finishes with the checkpoints, again where that may be tried again; the seconds that it took."""
        failures = 0
        while True:
            try:
                return await to_thread.run_sync(saving.finish, last)
            except MLCheckpointError as error:
                failures += 1
                retry = None if self._cancelling() else self._scheduling.retry
                delay = None if retry is None else retry.after(error, failures)
                if delay is None:
                    raise
                with anyio.move_on_after(delay):
                    while not self._cancelling():
                        await self._moved.wait()

    async def _told(self) -> None:
        context = self._outcome
        if context is None or self._error is not None:
            context = self._context(MLUpdateProgressEvent(0), self._training.position.metrics)
        if self._handlers is not None:
            await _call(self._handlers.completion_handler, context)
        await _call(self._completion_handler, context)
        if self._error is None and self._training.saving is not None and not self._training.saving.when.keep:
            self._training.saving.remove()

    def _release(self) -> None:
        self._answer(None)
        for context in list(self._contexts):
            context._settle()
        self._training.close()
        for workplace in self._workplaces.values():
            workplace.close()
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


class _Asked:
    """Somebody's wish for a checkpoint."""

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.checkpoint: Checkpoint | None = None


def _check_given(name: str, given: object, kind: type) -> None:
    if given is not None and not isinstance(given, kind):
        raise MLUpdateError(f"{name}: expected {kind.__name__}, got {type(given).__name__}")


async def _call(handler: Handler | None, context: MLUpdateContext) -> None:
    """Calls a handler, plain or async."""
    if handler is not None:
        result = handler(context)
        if inspect.isawaitable(result):
            await result
