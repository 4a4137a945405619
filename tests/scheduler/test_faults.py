"""What goes wrong, and that no job is lost by it, none is run twice to its end, and no thread, process or file is left behind.

Where each fault is:

- a handler that hangs: of an update here; of a background request in ``test_launches.py``
  (``test_a_launch_ends_in_its_time_whatever_its_handler_does``), as one that raises is there too.
- a handler that raises: of an update here, and in ``tests/tasks/test_update_task.py``.
- a worker process killed with SIGKILL: ``test_processes.py`` and ``tests/tasks/test_process_workplace.py``; at random in ``tests/faults``.
- a full disk under a checkpoint: here; under the store of requests in ``test_kept_requests.py`` and ``test_request_store.py``.
- the clock set back: ``test_background.py`` (``test_a_date_is_the_wall_clocks_even_when_that_is_set``); the scheduler's own never is.
- a deadline already past: ``test_dispatch.py``, ``test_scheduler.py`` (``test_budgets_end_a_wait``), ``tests/tasks/test_scheduling.py``.
- a request for an identifier never registered, the eleventh pending one: ``test_requests.py`` and ``test_background.py``
  (``test_a_request_against_the_rules_changes_nothing``).
- a cancel storm: here.
- an event stream that nobody reads: here, and in ``test_events.py`` (``test_every_event_is_read_or_counted_as_missed``).
- lanes that are lost, work that fails, schedulers that are left: ``test_scheduler.py``.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import pytest

from tailor import MLCheckpoints, MLModelError, MLTaskCancelledError, MLTaskState, MLUpdateContext, MLUpdateTask, Runtime
from tailor.runtime import MLScheduling
from tailor.runtime.errors import MLCheckpointError, MLUpdateError
from tailor.runtime.task import MLTask
from tailor.scheduler import (
    Budget,
    EventsMissed,
    Job,
    JobCancelled,
    JobFinished,
    Outcome,
    Retry,
    Scheduler,
    ThreadLane,
    Ticket,
)
from tailor.scheduler.testing import FakeSensors, InlineLane
from tests.tasks.models import regression_provider
from tests.tasks.resumable import adam, files, handled
from tests.tasks.test_scheduling import SEEDED, STEPS, busy, undisturbed

pytestmark = pytest.mark.anyio

STORM = 10_000


def quiet() -> Runtime:
    return Runtime(lane=InlineLane(), cores=1, sensors=FakeSensors())


def update(runtime: Runtime, **fields: Any) -> MLUpdateTask:
    return MLUpdateTask(adam(), regression_provider(), SEEDED, runtime=runtime, **fields)


# Handlers


@pytest.mark.parametrize("which", ["progress", "completion"])
async def test_a_handler_that_hangs_keeps_nobody_else_and_ends_with_its_runtime(which: str) -> None:
    hanging = anyio.Event()

    async def hang(context: MLUpdateContext) -> None:
        hanging.set()
        await anyio.sleep_forever()

    handlers = {"progress": {"progress_handlers": handled(hang)}, "completion": {"completion_handler": hang}}[which]
    before = set(threading.enumerate())
    with pytest.raises(KeyError, match="enough"):
        async with quiet() as runtime:
            task = update(runtime, **handlers)
            task.resume()
            await hanging.wait()
            assert (await update(runtime)).model.to_bytes() == await undisturbed()  # on the same one lane
            raise KeyError("enough")
    assert task.state is (MLTaskState.FAILED if which == "progress" else MLTaskState.COMPLETED)
    assert len(runtime.scheduler.dispatcher) == 0 and not runtime.scheduler.dispatcher.turns
    assert not [thread for thread in set(threading.enumerate()) - before if "tailor" in thread.name]


async def test_a_handler_that_raises_fails_its_own_task_only() -> None:
    def handler(context: MLUpdateContext) -> None:
        raise ZeroDivisionError("the handler's own")

    async with quiet() as runtime:
        task, other = update(runtime, progress_handlers=handled(handler)), update(runtime)
        other.resume()
        with pytest.raises(MLUpdateError, match="ZeroDivisionError: the handler's own"):
            await task
        assert (await other).model.to_bytes() == await undisturbed()
        assert runtime.scheduler.dispatcher.outcome(task.task_identifier) is False


# A full disk


def content(path: Path) -> bytes:
    return path.read_bytes()


class FullDisk:
    """The disk has no room for the next ``times`` files; whatever is written is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = self.tries = 0
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, file: int) -> None:
        self.tries += 1
        if self.times:
            self.times -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._sync(file)


@pytest.mark.parametrize("times", [2, 3])
async def test_a_full_disk_under_the_checkpoint_of_a_pause(times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, seen = FullDisk(monkeypatch), []
    path = tmp_path / "c"
    async with quiet() as runtime:

        def handler(context: MLUpdateContext) -> None:
            seen.append(1)
            if len(seen) == 3:
                context.task.suspend()
            if len(seen) == 5:
                disk.times = times
                context.task.suspend()

        task = update(
            runtime,
            checkpoints=MLCheckpoints(path),
            progress_handlers=handled(handler),
            scheduling=MLScheduling(retry=Retry(attempts=3, first=0.0)),
        )
        task.resume()
        assert await task.paused() is MLTaskState.SUSPENDED
        good = content(path)
        task.resume()
        if times == 2:  # the third time there is room
            assert await task.paused() is MLTaskState.SUSPENDED
            assert content(path) != good
            task.resume()
            assert (await task).model.to_bytes() == await undisturbed()
            assert len(seen) == STEPS
        else:
            with pytest.raises(MLCheckpointError, match="expected a file that can be written, got No space left on device"):
                await task
            assert content(path) == good  # from there another task goes on
            restored = MLUpdateTask.restore(path, adam(), regression_provider())
            assert (await restored).model.to_bytes() == await undisturbed()
    assert files(tmp_path) == ([] if times == 2 else ["c"])


@pytest.mark.parametrize("retry", [None, Retry(attempts=2, first=0.0)])
async def test_a_full_disk_under_a_checkpoint_on_the_way(retry: Retry | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch)
    disk.times = 1
    async with quiet() as runtime:
        task = update(
            runtime,
            checkpoints=MLCheckpoints(tmp_path / "c", every_batches=1),
            progress_handlers=handled(lambda context: None),
            scheduling=MLScheduling(retry=retry),
        )
        if retry is None:
            with pytest.raises(MLCheckpointError, match="No space left on device"):
                await task
        else:
            assert (await task).model.to_bytes() == await undisturbed()
    assert disk.tries >= 1 and files(tmp_path) == []


async def test_a_task_that_is_paused_while_it_writes_waits_for_no_turn_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, let_go = threading.Event(), threading.Event()

    def slow(file: int) -> None:
        writing.set()
        assert let_go.wait(60)

    monkeypatch.setattr(os, "fsync", slow)
    async with quiet() as runtime:
        # what a checkpoint takes matters to this budget, so that one is written first
        task = update(runtime, checkpoints=MLCheckpoints(tmp_path / "c"), scheduling=MLScheduling(budget=Budget(seconds=1e6)))
        task.resume()
        assert await anyio.to_thread.run_sync(writing.wait, 60)
        async with busy(runtime):
            task.suspend()
            let_go.set()
            with anyio.fail_after(30):  # real time: there is a thread in it
                assert await task.paused() is MLTaskState.SUSPENDED
        task.resume()
        assert (await task).model.to_bytes() == await undisturbed()


class Noted(Retry):
    """Notes that it was asked."""

    asked: ClassVar[list[int]] = []

    def after(self, error: BaseException, attempts: int) -> float | None:
        self.asked.append(attempts)
        return super().after(error, attempts)


async def test_a_task_that_waits_for_room_on_the_disk_is_cancelled_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FullDisk(monkeypatch).times = 1
    Noted.asked.clear()
    async with quiet() as runtime:
        scheduling = MLScheduling(budget=Budget(steps=2), retry=Noted(first=1e6, most=1e6))
        task = update(runtime, checkpoints=MLCheckpoints(tmp_path / "c"), scheduling=scheduling)
        task.resume()
        while not Noted.asked:
            await anyio.lowlevel.checkpoint()
        assert task.state is MLTaskState.RUNNING
        task.cancel()
        with pytest.raises(MLTaskCancelledError):
            await task


# A storm


class Turns(MLTask[int]):
    """Takes ``count`` turns of no work."""

    def __init__(self, count: int, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.left = count

    async def _stretch(self) -> bool:
        assert self._ticket is not None
        async with self._ticket.turn() as turn:
            self.left -= 1
            turn.used(0.0, 1)
        await anyio.lowlevel.checkpoint()
        self._outcome = self.left
        return self.left == 0

    def _translated(self, error: Exception) -> MLModelError:
        return error if isinstance(error, MLModelError) else MLUpdateError(f"{type(error).__name__}: {error}")


async def test_ten_thousand_jobs_are_cancelled_at_once() -> None:
    threads, done = set(threading.enumerate()), Counter[int]()
    begun, let_go = threading.Event(), threading.Event()

    def work(number: int) -> None:
        begun.set()
        assert let_go.wait(60)
        done[number] += 1

    async with Scheduler({"cpu": ThreadLane(2)}, cores=2) as scheduler:
        soon = anyio.current_time() + 3600.0
        fields: list[dict[str, Any]] = [{}, {"not_before": soon}, {"after": frozenset({"0"})}, {"share": "ann"}]
        tickets: list[Ticket[None]] = [
            scheduler.submit(Job(identifier=str(number), **(fields[number % 4] if number else {})), partial(work, number))
            for number in range(STORM)
        ]
        assert await anyio.to_thread.run_sync(begun.wait, 60)
        others = [scheduler.submit(Job(identifier=f"other {number}"), partial(work, -number)) for number in (1, 2)]
        assert all(ticket.cancel() for ticket in reversed(tickets))
        let_go.set()
        for ticket in others:
            await ticket
        outcomes = Counter[str]()
        for ticket in tickets:
            try:
                await ticket
            except Exception as error:
                outcomes[type(error).__name__] += 1
        assert outcomes == {"JobCancelled": STORM}
        assert len(scheduler.dispatcher) == len(scheduler.dispatcher.queue) == 0 and scheduler.dispatcher.free_cores == 2
        assert scheduler.statistics().finished[Outcome.CANCELLED] == STORM
    assert max(done.values()) == 1 and done[-1] == done[-2] == 1
    assert sum(done.values()) == 4  # two had begun
    assert all("AnyIO" in thread.name or "Trio" in thread.name for thread in set(threading.enumerate()) - threads)


async def test_ten_thousand_tasks_are_cancelled_at_once() -> None:
    async with quiet() as runtime:
        tasks = [Turns(3, runtime) for _ in range(STORM)]
        last = Turns(5, runtime)
        for task in [*tasks, last]:
            task.resume()
        while sum(task.left < 3 for task in tasks[:100]) < 50:
            await anyio.lowlevel.checkpoint()
        for task in tasks:
            task.cancel()
        assert await last == 0
        ends = Counter[str]()
        for task in tasks:
            try:
                await task
                ends["completed"] += 1
            except MLTaskCancelledError:
                ends["cancelled"] += 1
        assert ends.total() == STORM and ends["cancelled"] > STORM // 2
        assert all((task.left == 0) == (task.state is MLTaskState.COMPLETED) for task in tasks)
        assert len(runtime.scheduler.dispatcher) == 0 and runtime.scheduler.waiting == 0


# A stream


async def test_a_stream_of_events_that_nobody_reads_holds_up_nothing() -> None:
    async with Scheduler({"cpu": InlineLane()}, cores=1) as scheduler, scheduler.events(most=8) as events:
        for number in range(500):
            scheduler.submit(Job(identifier=str(number)), lambda: None)
        assert await scheduler.run(lambda: 3) == 3
        kept = [await events.__anext__() for _ in range(9)]
    assert isinstance(kept[0], EventsMissed) and kept[0].count == scheduler.observers.missed > 1000
    assert isinstance(kept[-1], JobFinished)


async def test_what_a_cancelled_job_was_told_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async with quiet() as runtime:
        task = update(runtime)
        task.resume()
        task.cancel()
        with pytest.raises(MLTaskCancelledError):
            await task
        with pytest.raises(JobCancelled):
            ticket: Ticket[None] = runtime.scheduler.submit(Job(identifier="a"), lambda: None)
            ticket.cancel()
            await ticket
        assert runtime.scheduler.statistics().finished[Outcome.CANCELLED] == 2
    assert caplog.text == ""
