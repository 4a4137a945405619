"""Runtime: where tasks go on in the background while their owner does something else, each in its turn."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup

from tailor.scheduler import (
    AcceleratorLane,
    Job,
    Lane,
    LaneLost,
    Priority,
    ProcessLane,
    PsutilSensors,
    Scheduler,
    SchedulerError,
    Sensors,
    ThreadLane,
    Ticket,
)

from .accelerators import accelerator_lanes
from .batching import MLBatching, PredictionBatches
from .errors import MLParameterError, MLTaskStateError
from .model import MLModel
from .network import at_most
from .scheduling import NO_SCHEDULING, MLScheduling

if TYPE_CHECKING:
    from .task import MLTask


class Runtime:
    """``async with Runtime() as runtime``: tasks made with ``runtime=runtime`` run from their ``resume()`` on.

    ``workers``    threads that compute at the same time, on the lane ``cpu``; ``lane``: what to use in their place; ``lanes``: more, by
                   name. Each accelerator that is found has one too, ``gpu0`` and so on.
    ``processes``  worker processes, on the lane ``process``: updates that can run there do, so that whatever ends a process ends no more
                   than one stretch of work.
    ``cores``      of the processor, which are shared out among them; by default all that this process may use.
    ``limits``     how many tasks of a tag may be at work at a time; ``weights``: of shares against each other.
    ``most_waiting``  how many tasks and predictions may wait for a turn; more are refused (tasks) or wait to be taken on (predictions).
    ``batching``   how predictions with one model, asked for at the same time, are computed together; ``None``: each by itself.
    ``sensors``    what tells of power, network and idle processors.

    To leave the block is to wait for the tasks that were resumed, unless they are suspended; an exception or a cancellation in it
    cancels those that run. ``scheduler`` tells what is going on, and why. Raises ``ValueError`` for what makes no sense.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        processes: int = 0,
        lane: Lane | None = None,
        lanes: Mapping[str, Lane] | None = None,
        cores: int | None = None,
        limits: Mapping[str, int] | None = None,
        weights: Mapping[str, float] | None = None,
        most_waiting: int | None = None,
        batching: MLBatching | None = None,
        sensors: Sensors | None = None,
    ) -> None:
        if lanes is not None and not isinstance(lanes, Mapping):
            raise MLParameterError(f"runtime: lanes: expected a mapping from names to lanes, got {lanes!r}")
        self._processes = ProcessLane(processes) if processes else None
        own = {"cpu": lane if lane is not None else ThreadLane(workers)}
        if self._processes is not None:
            own["process"] = self._processes
        self.scheduler = Scheduler(
            {**own, **accelerator_lanes(), **(lanes or {})},
            cores=cores,
            limits=limits,
            weights=weights,
            most_waiting=most_waiting,
            sensors=sensors if sensors is not None else PsutilSensors(),
        )
        self._stack: AsyncExitStack | None = None
        self._group: TaskGroup | None = None
        self._tasks: set[MLTask[Any]] = set()
        if batching is not None and not isinstance(batching, MLBatching):
            raise MLParameterError(f"runtime: batching: expected MLBatching or None, got {batching!r}")
        self._batching = batching
        self._batches: PredictionBatches | None = None

    def __repr__(self) -> str:
        state = "closed" if self._group is None else f"{len(self._tasks)} running"
        return f"<Runtime {state}, {self.scheduler!r}>"

    async def __aenter__(self) -> Runtime:
        if self._group is not None:
            raise MLTaskStateError("runtime: expected one that is not open yet, got one that is")
        async with AsyncExitStack() as stack:
            if self._processes is not None:
                await stack.enter_async_context(self._processes)
            await stack.enter_async_context(self.scheduler)
            self._group = await stack.enter_async_context(anyio.create_task_group())
            if self._batching is not None:
                self._batches = PredictionBatches(self._batching, self._group, self._batch)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._stack is not None
        for task in list(self._tasks):
            task._left_by(anyio.get_current_task().id)
        try:
            return await self._stack.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            if group.exceptions == (error,):
                return False  # tasks keep their failures to themselves: this one is the block's own, and leaves as it came
            raise
        finally:
            self._group = self._stack = self._batches = None

    async def prediction(
        self, model: MLModel, data: Any, *, priority: Priority = Priority.USER_INTERACTIVE, scheduling: MLScheduling | None = None
    ) -> Any:
        """What ``model.predict(data)`` gives, computed when its turn comes: before updates, unless ``priority`` says otherwise.

        With ``batching`` together with others of the same model and priority, unless it has a ``scheduling`` of its own. Raises as
        ``predict`` does, ``MLTaskStateError`` where the runtime is closed, ``MLBusyError`` where batching refuses it, and
        ``MLParameterError`` for what is no model or no priority.
        """
        self._check_open()
        if not isinstance(model, MLModel):
            raise MLParameterError(f"prediction: model: expected MLModel, got {model!r}")
        if priority not in Priority.__members__.values():
            raise MLParameterError(f"prediction: priority: expected one of {', '.join(Priority.__members__)}, got {priority!r}")
        if self._batches is not None and scheduling is None:
            return await self._batches.prediction(model, data, priority)
        job = None if scheduling is None else scheduling.job(f"prediction-{uuid.uuid4().hex}", f"prediction:{model.name}", ("cpu",))
        job = job or _prediction_job(model, priority, model._lanes(self.scheduler.lanes))
        return await self._in_turn(job, lambda lane: model._prediction(data, lane))

    async def _batch(self, work: Callable[[], None], model: MLModel, priority: Priority) -> None:
        """Runs a batch of predictions in its turn."""
        await self._in_turn(_prediction_job(model, priority), lambda lane: lane.run(work))

    async def _in_turn(self, job: Job, work: Callable[[Lane], Awaitable[Any]]) -> Any:
        """What ``work`` gives on the lane of a job's one turn."""
        try:
            ticket: Ticket[None] = await self.scheduler.admit(job)
        except (SchedulerError, ValueError) as error:
            self._check_open()
            raise MLTaskStateError(f"prediction: {error}") from error
        losses = 0
        try:
            while True:
                async with ticket.turn() as turn:
                    try:
                        with at_most(turn.threads):
                            answer = await work(turn.lane)
                        break
                    except LaneLost as error:  # of a device: it goes on on another lane, where it has one
                        losses += 1
                        if not isinstance(turn.lane, AcceleratorLane) or losses > NO_SCHEDULING.most_losses:
                            raise
                        turn.lose(error)
        except SchedulerError as error:
            ticket.finish(error)
            raise MLTaskStateError(f"prediction: {error}") from error
        except BaseException as error:
            ticket.finish(error)
            raise
        ticket.finish()
        return answer

    def _check_open(self) -> None:
        if self._group is None:
            raise MLTaskStateError("runtime: expected `async with runtime` around the tasks it runs, got one that is closed")

    def _ticket(self, task: MLTask[Any]) -> Ticket[Any]:
        """The ticket of a task: a new one, where it has none, or one of a scheduler that was left."""
        if task._ticket is None or task._ticket.finished:
            for other in task._scheduling.after:
                if other._runtime is not self:
                    raise MLTaskStateError(f"{task._name()}: after: expected tasks of its own runtime, got {other!r}")
                if other.error is not None:
                    raise MLTaskStateError(f"{task._name()}: after: expected tasks that end well, got {other!r}")
                if not other.state.is_final:
                    self._ticket(other)
            try:
                task._ticket = self.scheduler.submit(task._job())
            except (SchedulerError, ValueError) as error:
                raise MLTaskStateError(f"{task._name()}: {error}") from error
        return task._ticket

    def _start(self, task: MLTask[Any]) -> None:
        """Drives a task in the background."""
        self._check_open()
        assert self._group is not None
        self._tasks.add(task)
        self._group.start_soon(self._run, task)

    async def _run(self, task: MLTask[Any]) -> None:
        try:
            await task._drive()
        finally:
            self._tasks.discard(task)


def _prediction_job(model: MLModel, priority: Priority, lanes: tuple[str, ...] = ("cpu",)) -> Job:
    return Job(identifier=f"prediction-{uuid.uuid4().hex}", priority=priority, model=f"prediction:{model.name}", lanes=lanes)
