"""An update gives its place back to what is more urgent, also where it has not yet begun to use it."""

from __future__ import annotations

import anyio
import pytest

from tailor import (
    MLModelConfiguration,
    MLScheduling,
    MLTaskState,
    MLUpdateContext,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    Priority,
    Runtime,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.scheduler import Job, Ticket
from tests.tasks.models import regression_model, regression_provider

pytestmark = pytest.mark.anyio


async def test_a_turn_that_is_asked_back_before_it_begins_has_one_mini_batch() -> None:
    def stop(context: MLUpdateContext) -> None:
        context.task.suspend()

    async with Runtime(workers=1) as runtime:
        task = MLUpdateTask(
            regression_model(epochs=1_000_000),
            regression_provider(),
            MLModelConfiguration(parameters={Key.SEED: 1}),
            progress_handlers=MLUpdateProgressHandlers(Event.TRAINING_BEGIN, stop),
            runtime=runtime,
            scheduling=MLScheduling(priority=Priority.BACKGROUND),
        )
        task.resume()
        assert await task.paused() is MLTaskState.SUSPENDED
        entry = runtime.scheduler.dispatcher.entry(task.task_identifier)
        assert entry is not None
        holder: Ticket[None] = runtime.scheduler.submit(Job(identifier="holder"))
        async with holder.turn():
            task.resume()
            await anyio.wait_all_tasks_blocked()
        holder.finish()  # the update has its turn now, but its task of the event loop has not heard of it
        assert entry.turn is not None
        done = await runtime.scheduler.submit(Job(identifier="urgent", priority=Priority.USER_INTERACTIVE), lambda: entry.spent.steps)
        assert done == 1
        task.cancel()
