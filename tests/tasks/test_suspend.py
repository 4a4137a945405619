"""Tasks that pause, and tasks that are asked for a checkpoint."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest

from tailor import (
    Checkpoint,
    MLCheckpoints,
    MLModelConfiguration,
    MLTaskCancelledError,
    MLTaskState,
    MLTaskStateError,
    MLUpdateContext,
    MLUpdateTask,
    Runtime,
    read_checkpoint,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tests.tasks.models import regression_model, regression_provider
from tests.tasks.resumable import BATCH, EPOCHS, adam, handled

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("background", [False, True])
async def test_a_suspended_update_waits_for_somebody_to_resume_it(background: bool, tmp_path: Path) -> None:
    path, told = tmp_path / "c", []
    configuration = MLModelConfiguration(parameters={Key.SEED: 3})
    expected = await MLUpdateTask(adam(), regression_provider(), configuration)

    def handler(context: MLUpdateContext) -> None:
        told.append(context.metrics)
        if len(told) in (2, 5):
            context.task.suspend()
            assert context.task.state is MLTaskState.RUNNING

    outcomes: list[MLUpdateContext] = []

    async def wait() -> None:
        outcomes.append(await task)

    async with Runtime() as runtime, anyio.create_task_group() as group:
        task = MLUpdateTask(
            adam(),
            regression_provider(),
            configuration,
            progress_handlers=handled(handler),
            checkpoints=MLCheckpoints(path),
            runtime=runtime if background else None,
        )
        for _ in range(2):
            group.start_soon(wait)
        for number in (2, 5):
            while task.state is not MLTaskState.SUSPENDED or len(told) < number:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            assert (len(told), len(outcomes), task.state) == (number, 0, MLTaskState.SUSPENDED)
            assert read_checkpoint(path).progress["metrics"] == {key.value: value for key, value in told[-1].items()}
            assert (await task.checkpoint()).values.keys() == read_checkpoint(path).values.keys()
            task.resume()
    assert [outcome.model.to_bytes() for outcome in outcomes] == [expected.model.to_bytes()] * 2
    assert len(told) == EPOCHS * 3


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("how", ["cancel", "scope"])
async def test_cancelled_while_suspended_it_is_cleaned_up(how: str, background: bool, tmp_path: Path) -> None:
    threads, errors = set(threading.enumerate()), []
    suspend = handled(lambda context: context.task.suspend())
    async with Runtime() as runtime:
        task = MLUpdateTask(
            adam(),
            regression_provider(),
            progress_handlers=suspend,
            checkpoints=MLCheckpoints(tmp_path / "c"),
            runtime=runtime if background else None,
        )
        scope = anyio.CancelScope()

        async def wait() -> None:
            with scope:
                try:
                    await task
                except MLTaskCancelledError as error:
                    errors.append(str(error))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            while task.state is not MLTaskState.SUSPENDED or not task._begun:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            (task if how == "cancel" else scope).cancel()
    assert task.state is MLTaskState.FAILED
    assert str(task.error) == "update of adam was cancelled while it was suspended"
    assert errors == ([str(task.error)] if how == "cancel" else [])
    assert read_checkpoint(tmp_path / "c").progress["cursor"] == BATCH
    assert not [thread for thread in set(threading.enumerate()) - threads if thread.name == "tailor-checkpoint"]


async def test_suspended_and_resumed_before_the_next_boundary_nothing_stops() -> None:
    def handler(context: MLUpdateContext) -> None:
        context.task.suspend()
        context.task.resume()

    assert (await MLUpdateTask(adam(), regression_provider(), progress_handlers=handled(handler))).event is Event(0)


async def test_what_cannot_be_suspended_says_so() -> None:
    task = MLUpdateTask(adam(), regression_provider())
    task.suspend()
    assert task.state is MLTaskState.SUSPENDED
    await task
    for refused in (task.suspend, task.resume):
        with pytest.raises(MLTaskStateError, match="is completed"):
            refused()
    with pytest.raises(MLTaskStateError, match="is completed: there is nothing to go on from"):
        await task.checkpoint()


async def test_anybody_may_ask_a_running_task_for_a_checkpoint() -> None:
    model = regression_model(epochs=1_000_000)
    task = MLUpdateTask(model, regression_provider())
    begin = await task.checkpoint()
    assert (begin.progress["epoch"], begin.progress["cursor"]) == (0, 0)
    taken: list[Checkpoint] = []

    async def ask() -> None:
        for _ in range(3):
            taken.append(await task.checkpoint())
        task.cancel()
        with pytest.raises(MLTaskStateError, match="ended before the checkpoint could be taken"):
            while True:
                await task.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        with pytest.raises(MLTaskCancelledError):
            await task
    at = [(checkpoint.progress["epoch"], checkpoint.progress["cursor"]) for checkpoint in taken]
    assert at == sorted(at)  # type: ignore[type-var]
