"""Who carries out work that was submitted: one task of the event loop for many jobs, and no job lost with it."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from tailor.scheduler import Job, JobCancelled, Scheduler
from tailor.scheduler.testing import InlineLane

pytestmark = pytest.mark.anyio


async def test_work_submitted_one_after_the_other_needs_no_further_tasks() -> None:
    async with Scheduler({"cpu": InlineLane()}) as scheduler:
        await scheduler.submit(Job(identifier="first"), partial(str, 0))
        tasks = len(anyio.get_running_tasks())
        for number in range(5):
            assert await scheduler.submit(Job(identifier=str(number)), partial(str, number)) == str(number)
            assert len(anyio.get_running_tasks()) == tasks


@pytest.mark.parametrize("idle", [False, True])
async def test_work_whose_turn_comes_as_the_scope_ends_is_cancelled(idle: bool) -> None:
    done: list[str] = []
    with anyio.CancelScope() as scope:
        async with Scheduler({"cpu": InlineLane()}) as scheduler:
            if idle:  # there is somebody to carry it out, who waits
                await scheduler.submit(Job(identifier="before"), partial(done.append, "before"))
            tickets = [scheduler.submit(Job(identifier=name), partial(done.append, name)) for name in ("a", "b")]
            scope.cancel()
            await anyio.sleep_forever()
    for ticket in tickets:
        with pytest.raises(JobCancelled):
            await ticket
    assert done == ["before"] * idle
