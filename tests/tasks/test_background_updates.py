"""An update in the launches of a background request: each goes on from where the one before was stopped."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tailor import (
    BGProcessingTaskRequest,
    BGTask,
    BGTaskScheduler,
    MLCheckpoints,
    MLModelConfiguration,
    MLScheduling,
    MLTaskState,
    MLUpdateContext,
    MLUpdateTask,
    Runtime,
    SQLiteRequestStore,
)
from tailor import MLParameterKey as Key
from tests.tasks.models import regression_provider
from tests.tasks.resumable import adam, handled

pytestmark = pytest.mark.anyio

CONFIGURATION = MLModelConfiguration(parameters={Key.SEED: 3})


async def test_an_update_goes_on_from_launch_to_launch_and_from_run_to_run(tmp_path: Path) -> None:
    checkpoint, store = tmp_path / "improve.ckpt", tmp_path / "requests.db"
    expected = await MLUpdateTask(adam(), regression_provider(), CONFIGURATION)
    launches: list[int] = []
    finished: list[MLUpdateContext] = []

    def run(runtime: Runtime, background: BGTaskScheduler, ends: anyio.Event, leave_after: int) -> None:
        async def improve(task: BGTask) -> None:
            async def count(context: MLUpdateContext) -> None:
                launches[-1] += 1
                if launches[-1] == 2:  # as if its time were up
                    background.simulate_expiration(task.identifier)

            launches.append(0)
            more = {
                "progress_handlers": handled(count),
                "checkpoints": MLCheckpoints(checkpoint),
                "runtime": runtime,
                "scheduling": MLScheduling(budget=task.budget),
            }
            if checkpoint.exists():
                update = MLUpdateTask.restore(checkpoint, adam(), regression_provider(), **more)
            else:
                update = MLUpdateTask(adam(), regression_provider(), CONFIGURATION, **more)
            task.expiration_handler = update.suspend
            update.resume()
            done = await update.paused() is MLTaskState.COMPLETED
            if done:
                finished.append(await update)
            else:
                await background.submit(task.request)
            task.set_task_completed(done)
            if done or len(launches) == leave_after:
                ends.set()

        background.register("improve", improve)

    for leave_after in (2, 0):
        ends = anyio.Event()
        with SQLiteRequestStore(store) as kept:
            async with Runtime() as runtime:
                background = BGTaskScheduler(runtime.scheduler, kept, at_once=1)
                run(runtime, background, ends, leave_after)
                async with background:
                    if leave_after:
                        await background.submit(BGProcessingTaskRequest("improve"))
                    await ends.wait()
    assert [context.model.to_bytes() for context in finished] == [expected.model.to_bytes()]
    assert sum(launches) >= 9 and len(launches) >= 4  # three epochs of three mini-batches, two a launch
    with SQLiteRequestStore(store) as kept:
        assert await kept.load() == []
    assert not checkpoint.exists()
