"""Real updates driven by random scripts, held after each act against the life of a task as it is documented, written out here.

More scripts: ``pytest --hypothesis-profile thorough``.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from anyio.abc import TaskGroup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailor import (
    MLModelError,
    MLParameterError,
    MLTaskCancelledError,
    MLTaskStateError,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    Runtime,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.persistence import Checkpoint
from tests.tasks.models import Reference, regression_data, regression_model, regression_provider

pytestmark = pytest.mark.anyio

EVERYTHING = Event.TRAINING_BEGIN | Event.MINI_BATCH_END | Event.EPOCH_END
BATCHES = (slice(0, 4), slice(4, 6))  # six examples
BEGIN, BATCH, EPOCH = "TRAINING_BEGIN", "MINI_BATCH_END", "EPOCH_END"
COURSE = ((BEGIN,), (BATCH,), (BATCH, EPOCH), (BATCH,), (BATCH, EPOCH))
"""What two epochs tell. A task may pause or stop between two groups; the rate of learning may change there."""

REFUSED: dict[str, tuple[dict[Any, Any], str]] = {
    "resume with epochs": ({Key.EPOCHS: 5}, "in progress"),
    "resume out of range": ({Key.LEARNING_RATE: 7}, "from 0.0 to 1.0"),
    "resume with another's": ({Key.BETA1: 0.5}, "does not have"),
}
ACTS = [
    *9 * ["go on"],
    *3 * ["await"],
    *2 * ["resume", "resume faster", "suspend", "read"],
    "checkpoint",
    "cancel",
    "raise",
    "leave",
    *REFUSED,
]
"""``go on`` and ``raise`` are what the handler does, ``leave`` is that the scope of one who awaits is cancelled."""


class Life:
    """What the documentation says of the task, from all that was done to it."""

    def __init__(self, background: bool, completion_raises: bool) -> None:
        self.background, self.completion_raises = background, completion_raises
        self.state = "SUSPENDED"
        self.error: type[MLModelError] | None = None
        self.completions: list[str] = []
        self.held = ""  # the event that a handler is dealing with
        self.rest: list[str] = []  # events that follow before the task may stop
        self.groups = list(COURSE)
        self.begun = self.pausing = False
        self.rate, self.next_rate = 0.1, 0.1
        self.rates: list[float] = []  # of each mini-batch
        self.waiting = self.reading = 0
        self.read = False  # whether an event has been told since this group of them began

    @property
    def final(self) -> bool:
        return self.state in ("COMPLETED", "FAILED")

    def end(self, error: type[MLModelError] | None, *, told: bool) -> None:
        self.state, self.error, self.held, self.rest = "FAILED" if error else "COMPLETED", error, "", []
        if told:
            self.completions.append(self.state)
            if self.completion_raises and error is None:
                self.state, self.error = "FAILED", MLUpdateError
        self.waiting = self.reading = 0

    def resume(self) -> bool:
        """Whether it is legal."""
        if self.final or self.state == "CANCELLING":
            return False
        self.state, self.begun, self.pausing = "RUNNING", True, False
        self.go()
        return True

    def suspend(self) -> bool:
        if self.final or self.state == "CANCELLING":
            return False
        self.pausing = self.state == "RUNNING"
        return True

    def cancel(self) -> None:
        if self.state == "SUSPENDED":
            self.end(MLTaskCancelledError, told=False)
        elif self.state == "RUNNING":
            self.state = "CANCELLING"
        self.go()

    def follow(self) -> None:
        """Somebody awaits the task or reads its events: where nobody ever has, that resumes it."""
        if not self.begun and not self.final:
            self.resume()
        self.go()

    def go(self) -> None:
        """As far as it goes by itself: to the next event, a pause or the end; without a runtime only where it is followed."""
        if self.held or self.final or self.state == "SUSPENDED":
            return
        if self.rest and self.state == "RUNNING":
            self.held = self.rest.pop(0)
            return
        if self.read:  # whoever has read an event has left
            self.reading, self.read = 0, False
        if not (self.background or self.waiting or self.reading):
            return
        if self.state == "CANCELLING":
            self.end(MLTaskCancelledError, told=False)
        elif self.pausing:
            self.state, self.pausing = "SUSPENDED", False
        elif not self.groups:
            self.end(None, told=True)
        else:
            self.rate = self.next_rate
            self.held, *self.rest = self.groups.pop(0)
            if self.held == BATCH:
                self.rates.append(self.rate)

    def release(self, raising: bool) -> None:
        """The handler returns, or raises."""
        cancelling, self.held, self.read = self.state == "CANCELLING", "", True
        if raising:
            self.end(MLUpdateError, told=not cancelling)
        self.go()


class Driven:
    """A real update whose handler holds it at every event, and those who await and read it."""

    def __init__(self, life: Life, group: TaskGroup, runtime: Runtime | None) -> None:
        self.life, self._group = life, group
        self.held: MLUpdateContext | None = None
        self.completions: list[str] = []
        self.waiters: list[tuple[anyio.CancelScope, int]] = []
        self.ends: list[object] = []
        self.left: tuple[Checkpoint, list[float], float] | None = None  # a checkpoint, the rates so far, and the one to come
        self._go, self._raises = anyio.Event(), False
        self._driver = 0
        handlers = MLUpdateProgressHandlers(EVERYTHING, self._hold)
        self.task = MLUpdateTask(
            regression_model(epochs=2),
            regression_provider(6),
            progress_handlers=handlers,
            completion_handler=self._completed,
            runtime=runtime,
        )

    async def _hold(self, context: MLUpdateContext) -> None:
        self.held, self._go, self._driver = context, anyio.Event(), anyio.get_current_task().id
        try:
            await self._go.wait()
        finally:
            self.held = None
        if self._raises:
            raise ZeroDivisionError("the handler's own")

    def _completed(self, context: MLUpdateContext) -> None:
        self.completions.append(context.task.state.name)
        if self.life.completion_raises:
            raise ZeroDivisionError("the completion handler's own")

    async def _wait(self, *, task_status: Any) -> None:
        with anyio.CancelScope() as scope:
            entry = (scope, anyio.get_current_task().id)
            self.waiters.append(entry)
            task_status.started()
            try:
                self.ends.append(await self.task)
            except MLModelError as error:
                self.ends.append(error)
            finally:
                self.waiters.remove(entry)

    async def _read(self, *, task_status: Any) -> None:
        stream = self.task.events()
        task_status.started()
        try:
            async for context in stream:
                assert context.task is self.task
                break
        finally:
            await stream.aclose()

    def refused(self, parameters: dict[Any, Any] | None, error: type[MLModelError], match: str) -> None:
        with pytest.raises(error, match=match):
            self.task.resume(parameters)

    async def act(self, what: str) -> None:
        """Does it to the task and to its expected life."""
        life, task = self.life, self.task
        if what in REFUSED:
            self.refused(REFUSED[what][0], MLParameterError, REFUSED[what][1])
        elif what in ("resume", "resume faster"):
            parameters = {Key.LEARNING_RATE: round(life.next_rate / 2, 6)} if what == "resume faster" else None
            if life.final or life.state == "CANCELLING":
                self.refused(parameters, MLTaskStateError, life.state.lower())
                return
            task.resume(parameters)
            life.next_rate = parameters[Key.LEARNING_RATE] if parameters else life.next_rate
            life.resume()
        elif what == "suspend":
            if life.suspend():
                task.suspend()
            else:
                with pytest.raises(MLTaskStateError, match=life.state.lower()):
                    task.suspend()
        elif what == "checkpoint":
            if life.final:
                with pytest.raises(MLTaskStateError, match=life.state.lower()):
                    await task.checkpoint()
            else:
                self.left = (await task.checkpoint(), [*life.rates], life.next_rate)
        elif what == "cancel":
            running = life.state == "RUNNING"
            task.cancel()
            assert not running or task.state.name == "CANCELLING", "at once"
            life.cancel()
        elif what == "await":
            life.waiting += not life.final
            life.follow()
            await self._group.start(self._wait)
        elif what == "read":
            life.reading += not life.final
            life.follow()
            await self._group.start(self._read)
        elif what == "leave" and self.waiters:
            scope, who = self.waiters[0]
            life.state = "CANCELLING" if life.state == "RUNNING" else life.state
            if life.state == "SUSPENDED":
                life.end(MLTaskCancelledError, told=False)
            elif self.held is not None and who == self._driver and not life.background:
                life.held = ""  # the handler runs in the scope that is cancelled
            life.go()
            scope.cancel()
        elif what in ("go on", "raise") and self.held is not None:
            self._raises = what == "raise"
            self._go.set()
            self.held = None
            life.release(self._raises)

    async def settled(self) -> None:
        """Waits until the task is where its life should be, and sees that it stays there."""
        life = self.life
        with anyio.fail_after(10):
            while (self.task.state.name, self._event()) != (life.state, life.held):
                await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert (self.task.state.name, self._event()) == (life.state, life.held)
        assert self.completions == life.completions
        error = self.task.error
        assert (error is None) if life.error is None else (type(error) is life.error)
        if life.error is MLUpdateError:
            assert error is not None and isinstance(error.__cause__, ZeroDivisionError)
        if self.held is not None and life.held == BATCH:
            assert self.held.parameters[Key.LEARNING_RATE] == life.rate
        assert len(self.waiters) == life.waiting

    def _event(self) -> str:
        return "" if self.held is None else str(self.held.event.name)


@pytest.fixture(scope="module", autouse=True)
def temporary_files() -> Iterator[Path]:
    """A folder of its own for temporary files."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        yield Path(folder)
        tempfile.tempdir = before


def learned(context: MLUpdateContext, rates: list[float]) -> None:
    """The model is what gradient descent by hand makes of it, with these rates."""
    reference, (x, _) = Reference(6), regression_data(6)
    for rows, rate in zip(2 * BATCHES, rates, strict=True):
        reference.step(rows, rate)
    np.testing.assert_allclose([row["y"] for row in context.model.predict([{"x": row} for row in x])], reference.predict(x), rtol=1e-4)


def temporary() -> list[Path]:
    """The temporary files that there are."""
    return list(Path(tempfile.gettempdir()).iterdir())


@settings(deadline=None, max_examples=settings.default.max_examples * 2 // 5, suppress_health_check=list(HealthCheck))
@given(script=st.lists(st.sampled_from(ACTS), min_size=10, max_size=30), background=st.booleans(), completion_raises=st.booleans())
async def test_any_life_of_an_update_is_as_documented(script: list[str], background: bool, completion_raises: bool) -> None:
    threads = set(threading.enumerate())
    life = Life(background, completion_raises)
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime()) if background else None
        group = await stack.enter_async_context(anyio.create_task_group())
        driven = Driven(life, group, runtime)
        await driven.settled()
        for what in (*script, "cancel", "await", "go on"):  # and whatever it was, it can be ended
            await driven.act(what)
            await driven.settled()
        assert life.final
    final = driven.task.error
    for end in driven.ends:
        assert (isinstance(end, MLUpdateContext) and end.task is driven.task) if final is None else (end is final)
    if life.state == "COMPLETED":
        learned(await driven.task, life.rates)
    if driven.left is not None:  # whatever became of the task, another goes on from there
        checkpoint, rates, rate = driven.left
        again = MLUpdateTask.restore(checkpoint, regression_model(epochs=2), regression_provider(6))
        learned(await again, rates + [rate] * (4 - len(rates)))
    assert not {thread.name for thread in set(threading.enumerate()) - threads if "tailor" in thread.name}
    assert temporary() == []
