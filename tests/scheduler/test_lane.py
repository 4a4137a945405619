"""Lanes keep the promises of their interface, the fake included."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest

from tailor.scheduler import Lane, ThreadLane
from tailor.scheduler.testing import InlineLane, check_lane

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("make", [InlineLane, ThreadLane, lambda: ThreadLane(3)], ids=["inline", "one thread", "three threads"])
async def test_a_lane_keeps_its_promises(make: Callable[[], Lane]) -> None:
    await check_lane(make())


async def test_the_check_finds_a_lane_that_loses_results() -> None:
    class Forgetful(InlineLane):
        async def run(self, work: Callable[[], object]) -> object:  # type: ignore[override]
            await super().run(work)
            return None

    with pytest.raises(AssertionError, match="comes back"):
        await check_lane(Forgetful())


async def test_a_thread_lane_works_off_the_event_loops_thread() -> None:
    assert await ThreadLane().run(threading.get_ident) != threading.get_ident()


async def test_work_that_has_begun_ends_before_its_caller_is_told_of_the_cancellation() -> None:
    lane, started, go, ended = ThreadLane(), anyio.Event(), threading.Event(), []

    def work() -> None:
        anyio.from_thread.run_sync(started.set)
        go.wait()
        ended.append(True)

    async def caller(scope: anyio.CancelScope) -> None:
        with scope:
            await lane.run(work)
        assert ended == [True]

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(caller, scope)
        await started.wait()
        assert lane.busy == 1
        scope.cancel()
        go.set()
    assert lane.busy == 0


def test_a_lane_without_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one worker, got 0"):
        ThreadLane(0)
