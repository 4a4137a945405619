"""MLTask: the state table, and what awaiting, cancelling and failing do."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import anyio
import pytest

from tailor import MLModelError, MLTaskCancelledError, MLTaskState, Runtime
from tailor.runtime.errors import MLTaskStateError, MLUpdateError
from tailor.runtime.task import TRANSITIONS, MLTask, Signal

pytestmark = pytest.mark.anyio


class Steps(MLTask[int]):
    """Counts to ``count``, calling ``each`` on the way."""

    def __init__(self, count: int, each: Callable[[Steps], None] = lambda task: None, runtime: Runtime | None = None) -> None:
        super().__init__(runtime)
        self.count, self.each = count, each
        self.taken = self.released = self.told = 0

    async def _stretch(self) -> bool:
        await anyio.lowlevel.checkpoint()
        self.taken += 1
        self.each(self)
        self._outcome = self.taken
        return self.taken == self.count

    async def _told(self) -> None:
        self.told += 1

    def _release(self) -> None:
        self.released += 1

    def _translated(self, error: Exception) -> MLModelError:
        translated = MLUpdateError(str(error))
        translated.__cause__ = error
        return translated


# The documented life of a task, written out again by hand: every pair that is not here must be refused.
LEGAL = {
    ("SUSPENDED", "RESUME"): "RUNNING",
    ("SUSPENDED", "SUSPEND"): "SUSPENDED",
    ("SUSPENDED", "CANCEL"): "FAILED",
    ("RUNNING", "RESUME"): "RUNNING",
    ("RUNNING", "SUSPEND"): "RUNNING",
    ("RUNNING", "PAUSE"): "SUSPENDED",
    ("RUNNING", "CANCEL"): "CANCELLING",
    ("RUNNING", "COMPLETE"): "COMPLETED",
    ("RUNNING", "FAIL"): "FAILED",
    ("CANCELLING", "CANCEL"): "CANCELLING",
    ("CANCELLING", "FAIL"): "FAILED",
    ("COMPLETED", "FAIL"): "FAILED",
    ("COMPLETED", "CANCEL"): "COMPLETED",
    ("FAILED", "CANCEL"): "FAILED",
}


@pytest.mark.parametrize(("state", "signal"), list(itertools.product(MLTaskState, Signal)))
async def test_the_table_is_the_whole_of_what_may_happen(state: MLTaskState, signal: Signal) -> None:
    task = Steps(1)
    task._state = state
    expected = LEGAL.get((state.name, signal.name))
    if expected is None:
        with pytest.raises(MLTaskStateError, match=signal.name.lower()):
            task._signal(signal)
        assert task.state is state
    else:
        assert task._signal(signal).name == expected == task.state.name
    assert len(TRANSITIONS) == len(LEGAL)


def test_the_states_have_core_mls_numbers() -> None:
    assert [(state.name, state.value) for state in MLTaskState] == [
        ("SUSPENDED", 1),
        ("RUNNING", 2),
        ("CANCELLING", 3),
        ("COMPLETED", 4),
        ("FAILED", 5),
    ]


def test_a_task_can_be_made_before_there_is_an_event_loop() -> None:
    task = Steps(3)

    async def wait() -> int:
        return await task

    assert anyio.run(wait) == 3
    assert Steps(1).task_identifier != Steps(1).task_identifier


async def test_awaiting_resumes_and_gives_the_outcome_as_often_as_asked() -> None:
    task = Steps(3)
    assert task.state is MLTaskState.SUSPENDED
    assert await task == 3
    assert await task == 3
    assert (task.state, task.taken, task.told, task.released, task.error) == (MLTaskState.COMPLETED, 3, 1, 1, None)


async def test_several_may_await_one_task() -> None:
    task = Steps(5)
    outcomes = []

    async def wait() -> None:
        outcomes.append(await task)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(wait)
    assert outcomes == [5, 5, 5]
    assert task.taken == 5


async def test_resuming_twice_is_nothing_and_after_the_end_an_error() -> None:
    task = Steps(2, each=lambda task: task.resume())
    await task
    with pytest.raises(MLTaskStateError, match=r"completed.*resume"):
        task.resume()
    assert task.state is MLTaskState.COMPLETED


async def test_cancelled_before_it_began_it_has_not_run() -> None:
    task = Steps(2)
    task.cancel()
    assert task.state is MLTaskState.FAILED
    with pytest.raises(MLTaskCancelledError, match="before it began"):
        await task
    assert (task.taken, task.told, task.released) == (0, 0, 1)


async def test_cancelling_is_a_state_at_once_and_ends_in_failed() -> None:
    seen = []

    def each(task: Steps) -> None:
        task.cancel()
        seen.append(task.state)

    task = Steps(9, each)
    with pytest.raises(MLTaskCancelledError):
        await task
    assert seen == [MLTaskState.CANCELLING]
    assert isinstance(task.error, MLTaskCancelledError)
    assert (task.state, task.taken, task.told, task.released) == (MLTaskState.FAILED, 1, 0, 1)


async def test_a_failure_is_translated_told_and_kept() -> None:
    def each(task: Steps) -> None:
        raise ValueError("no such thing")

    task = Steps(2, each)
    with pytest.raises(MLUpdateError, match="no such thing") as raised:
        await task
    assert isinstance(raised.value.__cause__, ValueError)
    assert task.error is raised.value
    assert (task.state, task.told, task.released) == (MLTaskState.FAILED, 1, 1)


@pytest.mark.parametrize("background", [False, True])
async def test_cancelling_the_awaiting_scope_cancels_the_task_and_leaves_nothing(background: bool) -> None:
    async with Runtime() as runtime:
        with anyio.CancelScope() as scope:

            def each(task: Steps) -> None:
                if task.taken == 3:
                    scope.cancel()

            task = Steps(10**9, each, runtime if background else None)
            await task
        assert scope.cancelled_caught
        assert isinstance(task.error, MLTaskCancelledError)
        assert (task.state, task.released) == (MLTaskState.FAILED, 1)


async def test_one_of_two_who_wait_being_cancelled_cancels_for_both() -> None:
    task = Steps(10**9)
    scope = anyio.CancelScope()

    async def first() -> None:
        with scope:
            await task

    async def second() -> None:
        with pytest.raises(MLTaskCancelledError):
            await task
        assert task.state is MLTaskState.FAILED

    task.each = lambda task: scope.cancel() if task.taken == 5 else None
    async with anyio.create_task_group() as group:
        group.start_soon(first)
        group.start_soon(second)
    assert task.released == 1


async def test_a_runtime_runs_what_was_resumed_and_waits_for_it() -> None:
    async with Runtime(workers=2) as runtime:
        tasks = [Steps(4, runtime=runtime) for _ in range(3)]
        for task in tasks:
            task.resume()
        left = Steps(4, runtime=runtime)
    assert [task.state for task in tasks] == [MLTaskState.COMPLETED] * 3
    assert left.state is MLTaskState.SUSPENDED
    with pytest.raises(MLTaskStateError, match="closed"):
        left.resume()
    assert left.state is MLTaskState.SUSPENDED


async def test_an_exception_in_the_runtimes_block_cancels_its_tasks() -> None:
    with pytest.raises(KeyError, match="the owner's own"):
        async with Runtime() as runtime:
            task = Steps(10**9, runtime=runtime)
            task.resume()
            await anyio.lowlevel.checkpoint()
            raise KeyError("the owner's own")
    assert (task.state, task.released) == (MLTaskState.FAILED, 1)
