"""MLTask: a piece of work as a state machine that can be awaited, resumed and cancelled.

The table below is the whole of what may happen to a task's state; what is absent from it is illegal, raises, and
changes nothing. Only ``MLTask._signal`` moves the state.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from tailor.scheduler import Budget, Job, JobCancelled, Ticket

from .errors import MLModelError, MLTaskCancelledError, MLTaskStateError
from .scheduling import NO_SCHEDULING, MLScheduling

if TYPE_CHECKING:
    from .background import Runtime

Outcome = TypeVar("Outcome")


class MLTaskState(IntEnum):
    """Core ML's task states; the last two are final."""

    SUSPENDED = 1
    RUNNING = 2
    CANCELLING = 3
    COMPLETED = 4
    FAILED = 5

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the task."""
        return self in (MLTaskState.COMPLETED, MLTaskState.FAILED)


class Signal(Enum):
    """What can happen to a task."""

    RESUME = auto()
    SUSPEND = auto()
    PAUSE = auto()
    CANCEL = auto()
    COMPLETE = auto()
    FAIL = auto()


_S = MLTaskState
TRANSITIONS: dict[tuple[MLTaskState, Signal], MLTaskState] = {
    (_S.SUSPENDED, Signal.RESUME): _S.RUNNING,
    (_S.SUSPENDED, Signal.SUSPEND): _S.SUSPENDED,
    (_S.SUSPENDED, Signal.CANCEL): _S.FAILED,
    (_S.RUNNING, Signal.RESUME): _S.RUNNING,
    # To ask for a suspension is not to have it: the task pauses at the end of its present stretch, unless it is resumed before.
    (_S.RUNNING, Signal.SUSPEND): _S.RUNNING,
    (_S.RUNNING, Signal.PAUSE): _S.SUSPENDED,
    (_S.RUNNING, Signal.CANCEL): _S.CANCELLING,
    (_S.RUNNING, Signal.COMPLETE): _S.COMPLETED,
    (_S.RUNNING, Signal.FAIL): _S.FAILED,
    (_S.CANCELLING, Signal.CANCEL): _S.CANCELLING,
    (_S.CANCELLING, Signal.FAIL): _S.FAILED,
    # The completion handler sees COMPLETED, and may still fail the task by raising, before anybody who waits is told.
    (_S.COMPLETED, Signal.FAIL): _S.FAILED,
    # A cancel that loses the race with the end is no mistake of the caller's.
    (_S.COMPLETED, Signal.CANCEL): _S.COMPLETED,
    (_S.FAILED, Signal.CANCEL): _S.FAILED,
}


class MLTask(ABC, Generic[Outcome]):
    """A piece of work that is suspended until resumed, runs in stretches off the event loop, and ends once.

    ``await task`` resumes it where nobody ever has, drives it to its end and gives its outcome, or raises its error. With a
    ``Runtime`` the work goes on in the background from ``resume()`` on; without one it goes on while somebody awaits the
    task (or iterates its events). Who awaits a task that ``suspend()`` has stopped waits until somebody resumes or cancels it.
    To cancel the awaiting scope is to cancel the task. Its methods are called from the event loop's thread.
    """

    def __init__(self, runtime: Runtime | None = None, scheduling: MLScheduling | None = None) -> None:
        if scheduling is not None and not isinstance(scheduling, MLScheduling):
            raise MLTaskStateError(f"scheduling: expected MLScheduling, got {type(scheduling).__name__}")
        if scheduling is not None and runtime is None:
            raise MLTaskStateError("scheduling: expected a runtime as well, whose scheduler it is meant for, got none")
        self._scheduling = scheduling if scheduling is not None else NO_SCHEDULING
        self._ticket: Ticket[Any] | None = None
        self._identifier = uuid.uuid4().hex
        self._state = MLTaskState.SUSPENDED
        self._error: MLModelError | None = None
        self._outcome: Outcome | None = None
        self._runtime = runtime
        self._finished = anyio.Event()
        self._driver: int | None = None
        self._moved = anyio.Event()
        self._begun = False
        self._pausing = False

    @property
    def task_identifier(self) -> str:
        """Names the task; unique among all tasks."""
        return self._identifier

    @property
    def state(self) -> MLTaskState:
        """The state the task is in."""
        return self._state

    @property
    def error(self) -> MLModelError | None:
        """Why the task failed; None unless it did."""
        return self._error

    def __repr__(self) -> str:
        why = f": {self._error}" if self._error is not None else ""
        return f"<{type(self).__name__} {self._identifier[:8]} {self._state.name.lower()}{why}>"

    async def paused(self) -> MLTaskState:
        """Waits until the task is suspended, or has ended, and gives its state then; drives it where no runtime does."""
        await self._drive(lambda: self._state is MLTaskState.SUSPENDED)
        while self._state in (MLTaskState.RUNNING, MLTaskState.CANCELLING):
            await self._moved.wait()
        return self._state

    def resume(self, *, budget: Budget | None = None) -> None:
        """Starts the task, or lets it go on after ``suspend()``, or with another ``budget`` where it had used up its own; does nothing
        more where it runs already.

        Raises ``MLTaskStateError`` where it is being cancelled or has ended, or has no runtime to see to its budget; nothing changes then.
        """
        begins = self._state is MLTaskState.SUSPENDED
        if budget is not None and not isinstance(budget, Budget):
            raise MLTaskStateError(f"{self._name()}: budget: expected Budget, got {budget!r}")
        if budget is not None and self._runtime is None:
            raise MLTaskStateError(f"{self._name()}: budget: expected a task with a runtime, whose scheduler sees to it, got one without")
        if begins and self._runtime is not None:
            self._runtime._check_open()
            self._runtime._ticket(self)
        self._signal(Signal.RESUME)
        if budget is not None and self._ticket is not None:
            self._ticket.renew(budget)
        self._begun = True
        self._pausing = False
        if begins and self._runtime is not None:
            self._runtime._start(self)
        self._move()

    def suspend(self) -> None:
        """Asks the task to pause at its next step: the state is SUSPENDED then, until somebody resumes or cancels it.

        Does nothing where it is suspended already. Raises ``MLTaskStateError`` where it is being cancelled or has ended;
        nothing changes then.
        """
        self._signal(Signal.SUSPEND)
        self._pausing = self._state is MLTaskState.RUNNING
        self._withdraw()

    def cancel(self) -> None:
        """Asks the task to stop at its next step; one that is suspended, or has ended, stops at once."""
        before = self._state
        after = self._signal(Signal.CANCEL)
        self._withdraw()
        if before is MLTaskState.SUSPENDED and after is MLTaskState.FAILED:
            when = "while it was suspended" if self._begun else "before it began"
            self._error = MLTaskCancelledError(f"{self._name()} was cancelled {when}")
            self._leave()
            self._finished.set()
        self._move()

    def _withdraw(self) -> None:
        """Lets the task wait for its turn no longer."""
        if self._ticket is not None:
            self._ticket.withdraw()

    def _job(self) -> Job:
        """What the scheduler is told of the task."""
        return self._scheduling.job(self._identifier, type(self).__name__, ("cpu",))

    def _signal(self, signal: Signal) -> MLTaskState:
        """Moves the state as the table says, or raises and changes nothing."""
        after = TRANSITIONS.get((self._state, signal))
        if after is None:
            raise MLTaskStateError(f"{self._name()} is {self._state.name.lower()}: it cannot {signal.name.lower()}")
        self._state = after
        return after

    def _name(self) -> str:
        return f"task {self._identifier[:8]}"

    def __await__(self) -> Generator[Any, Any, Outcome]:
        return self._wait().__await__()

    async def _wait(self) -> Outcome:
        """The outcome of the task, driving it where no runtime does."""
        self._about_to_wait()
        self._left_by(anyio.get_current_task().id)
        if not self._begun and not self._state.is_final:
            self.resume()
        if self._runtime is None:
            await self._drive()
        try:
            await self._finished.wait()
        except anyio.get_cancelled_exc_class():
            self.cancel()
            with anyio.CancelScope(shield=True):
                await self._finished.wait()
            raise
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        return self._outcome

    def _about_to_wait(self) -> None:
        """Called when somebody begins to wait for the task; raises where that would be for ever."""
        if self._driver == anyio.get_current_task().id:
            raise MLTaskStateError(f"{self._name()}: expected a handler to return, got one that awaits its own task")

    async def _drive(self, until: Callable[[], bool] = bool) -> None:
        """Sees to it that the task goes on, until it has ended or ``until`` says so: takes the wheel whenever nobody has it.

        A task that is suspended it waits for, unless a runtime has it: that takes it up again when it is resumed.

        Where that is interrupted, cancels the task and cleans up before passing the interruption on.
        """
        try:
            while not (self._finished.is_set() or until()):
                if self._state is MLTaskState.SUSPENDED and self._runtime is not None:
                    return
                await self._advance()
        except BaseException:
            self.cancel()
            with anyio.CancelScope(shield=True):
                while not self._finished.is_set():
                    await self._advance()
            raise

    async def _advance(self) -> None:
        """Takes one stretch of work and tells of it, and ends the task after the last; or waits while somebody else does."""
        if self._driver is not None or self._state is MLTaskState.SUSPENDED:
            await self._moved.wait()
            return
        self._driver = anyio.get_current_task().id
        try:
            if self._cancelling():
                await self._end(MLTaskCancelledError(f"{self._name()} was cancelled"))
            elif self._pausing:
                await self._pause()
            elif await self._stretch() and not self._cancelling():
                await self._end(None)
        except Exception as error:
            await self._end(self._translated(error))
        finally:
            self._driver = None
            self._move()

    async def _pause(self) -> None:
        """Moves to SUSPENDED, unless somebody resumes or cancels the task meanwhile."""
        await self._settle(stopped=True)
        if self._pausing and not self._cancelling():
            self._pausing = False
            self._signal(Signal.PAUSE)

    def _move(self) -> None:
        """Lets everybody who waits while another drives look again at what they wait for."""
        self._moved.set()
        self._moved = anyio.Event()

    def _cancelling(self) -> bool:
        return self._state is MLTaskState.CANCELLING

    async def _end(self, error: MLModelError | None) -> None:
        """Moves to the final state, lets the completion be told, and wakes who waits."""
        with anyio.CancelScope(shield=True):
            try:
                await self._settle(stopped=self._cancelling())
            except Exception as raised:
                error = self._joined(error, raised)
        cancelled = self._cancelling()
        if cancelled and error is None:
            error = MLTaskCancelledError(f"{self._name()} was cancelled")
        self._error = error
        self._signal(Signal.COMPLETE if error is None else Signal.FAIL)
        try:
            if not cancelled:
                await self._told()  # not shielded: whoever is told may take for ever
        except Exception as raised:
            self._error = self._joined(error, raised)
            if error is None:
                self._signal(Signal.FAIL)
        finally:
            self._leave()
            self._finished.set()

    def _leave(self) -> None:
        """Gives back what the task holds, and tells the scheduler that it has ended."""
        self._release()
        if self._ticket is not None:
            cancelled = isinstance(self._error, MLTaskCancelledError)
            self._ticket.finish(JobCancelled(str(self._error)) if cancelled else self._error)

    def _joined(self, error: MLModelError | None, then: Exception) -> MLModelError:
        """The error that the task fails with: the first one."""
        if error is None:
            return self._translated(then)
        error.add_note(f"then {type(then).__name__}: {then}")
        return error

    @abstractmethod
    async def _stretch(self) -> bool:
        """Does some of the work, off the event loop; true when all of it is done and ``_outcome`` is set."""

    async def _settle(self, *, stopped: bool) -> None:
        """Brings to an end what goes on beside the work: called before the task pauses or ends; ``stopped`` where it is not done."""

    async def _told(self) -> None:
        """Lets whoever asked for it know that the task has completed or failed."""

    def _left_by(self, reader: int) -> None:
        """Called when the async task ``reader`` will follow this one no longer."""

    def _release(self) -> None:
        """Gives back what the task holds; called once, when it ends."""

    @abstractmethod
    def _translated(self, error: Exception) -> MLModelError:
        """``error`` as one of the family, with its cause."""
