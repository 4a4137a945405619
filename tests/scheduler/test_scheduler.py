"""Work that a scheduler runs: its order, its attempts, the room for it, its cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tailor.scheduler import (
    DependencyFailed,
    JobCancelled,
    LaneLost,
    Priority,
    Retry,
    Scheduler,
    SchedulerFull,
    Standing,
    ThreadLane,
)
from tests.scheduler.timed import Holder, TimedLane, inline, job, virtual

pytestmark = pytest.mark.anyio


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


# Work


async def test_work_is_run_in_order_and_its_results_come_back() -> None:
    done: list[str] = []

    def work(name: str) -> str:
        done.append(name)
        return name.upper()

    async with inline() as scheduler:
        tickets = [
            scheduler.submit(job(name, priority=priority), partial(work, name))
            for name, priority in [("a", Priority.UTILITY), ("b", Priority.BACKGROUND), ("c", Priority.USER_INTERACTIVE)]
        ]
        assert [await ticket for ticket in reversed(tickets)] == ["C", "B", "A"]
        assert await scheduler.run(partial(work, "d")) == "D"
        assert [await ticket for ticket in tickets] == ["A", "B", "C"]  # as often as one likes
    assert done == ["a", "c", "b", "d"]  # the first found the lane free
    assert repr(scheduler) == "<Scheduler closed on cpu>"


async def test_what_work_raises_is_raised_to_who_waits() -> None:
    async with inline() as scheduler:
        ticket = scheduler.submit(job(), raising(KeyError("x")))
        with pytest.raises(KeyError, match="x"):
            await ticket
        with pytest.raises(ZeroDivisionError):
            await scheduler.run(lambda: 1 // 0)
        assert await scheduler.run(lambda: 3) == 3


async def test_plain_work_on_two_lanes_of_two_cores_runs_at_once() -> None:
    meeting = threading.Barrier(2)
    async with Scheduler({"cpu": ThreadLane(2)}, cores=2) as scheduler:
        tickets = [scheduler.submit(job(name), partial(meeting.wait, 30)) for name in "ab"]
        assert sorted([await ticket for ticket in tickets]) == [0, 1]


@virtual()
async def test_work_that_failed_is_tried_again_later_and_later() -> None:
    times: list[float] = []
    begun = anyio.current_time()

    def work() -> str:
        times.append(anyio.current_time() - begun)
        if len(times) < 4:
            raise RuntimeError("trouble") from ConnectionResetError()
        return "done"

    retry = Retry(attempts=4, first=2.0, factor=3.0, most=10.0)
    async with inline() as scheduler:
        assert await scheduler.submit(job(), work, retry=retry) == "done"
        assert times == [0.0, 2.0, 8.0, 18.0]
        times.clear()
        begun = anyio.current_time()
        assert await scheduler.run(work, job(), retry=retry) == "done"
        assert times == [0.0, 2.0, 8.0, 18.0]
        times.clear()
        with pytest.raises(RuntimeError, match="trouble"):
            await scheduler.submit(job(), work, retry=Retry(attempts=3))
        assert len(times) == 3
        with pytest.raises(KeyError):
            await scheduler.submit(job(), raising(KeyError()), retry=retry)  # not what is tried again
        times.clear()
        ticket = scheduler.submit(job(), work, retry=retry)
        await anyio.sleep(1.0)
        assert str(scheduler.why("a")) == "job 'a': its time comes in 1 s: attempt 1 failed"
        assert ticket.standing is Standing.HELD and ticket.cancel()
        with pytest.raises(JobCancelled):
            await ticket
    assert len(times) == 1


@virtual()
async def test_a_lost_lane_is_no_failure_of_the_job_unless_it_happens_again_and_again() -> None:
    lane = TimedLane(errors=[LaneLost("died")] * 3 + [OSError("full")])
    async with Scheduler({"cpu": lane}) as scheduler:
        assert await scheduler.submit(job(), lambda: 7, retry=Retry(attempts=2)) == 7  # the losses were none of its attempts
        assert lane.runs == 5
    lane = TimedLane(errors=[LaneLost("died")] * 9)
    async with Scheduler({"cpu": lane}) as scheduler:
        with pytest.raises(LaneLost, match="died"):
            await scheduler.submit(job(), lambda: 7)
        assert lane.runs == 4


@virtual()
async def test_a_device_that_is_gone_is_left_to_nobody() -> None:
    gone = TimedLane(errors=[LaneLost("gpu0 vanished", lane="gpu0", gone=True)])
    async with Scheduler({"gpu0": gone, "cpu": TimedLane()}) as scheduler:
        moves = scheduler.submit(job("moves", lanes=("gpu0", "cpu"), model="m"), lambda: "moved")
        only = scheduler.submit(job("only", lanes=("gpu0",)), lambda: "never")
        holder = scheduler.submit(job("holder", lanes=("gpu0",)))
        assert await moves == "moved"
        with pytest.raises(LaneLost, match="'only': lanes: expected one that is left, got 'gpu0', gone"):
            await only
        with pytest.raises(LaneLost, match="'holder'"):
            async with holder.turn():
                raise AssertionError("there is none")
        holder.finish()
    assert gone.runs == 1


# Room


async def test_no_more_jobs_wait_than_may() -> None:
    async with inline(most_waiting=1) as scheduler, anyio.create_task_group() as group:
        holder = Holder(scheduler.submit(job("holder")))
        group.start_soon(holder)
        await holder.held.wait()
        scheduler.submit(job("first"), lambda: None)
        with pytest.raises(SchedulerFull, match="'second': expected fewer than 1 jobs that wait, got 1"):
            scheduler.submit(job("second"), lambda: None)
        admitted: list[str] = []

        async def admit(name: str, **fields: Any) -> None:
            await (await scheduler.admit(job(name, **fields), lambda: admitted.append(name)))

        async def refused(name: str) -> None:
            with pytest.raises(ValueError, match="lanes"):
                await admit(name, lanes=("gpu",))

        group.start_soon(admit, "second")
        await anyio.wait_all_tasks_blocked()
        group.start_soon(refused, "third")  # its place is handed on
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as scope:
            group.start_soon(admit, "fourth")
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await admit("never")
        holder.let_go.set()
        holder.ticket.cancel()
    assert admitted == ["second", "fourth"]


@virtual()
async def test_a_job_whose_time_has_come_makes_room() -> None:
    async with Scheduler({"cpu": TimedLane(2, 10.0)}, cores=2, most_waiting=1) as scheduler:
        begun = anyio.current_time()
        scheduler.submit(job("later", not_before=begun + 5.0), lambda: None)
        await (await scheduler.admit(job("next"), lambda: None))
        assert anyio.current_time() - begun == 15.0  # not after the first


@pytest.mark.parametrize("seed", range(10))
async def test_a_place_that_comes_as_its_waiter_is_cancelled_goes_to_the_next(seed: int) -> None:
    async with inline(most_waiting=1) as scheduler:
        resting = [scheduler.submit(job("resting"))]
        names: list[str] = []
        scopes = [anyio.CancelScope() for _ in range(3)]

        async def admit(number: int) -> None:
            with scopes[number]:
                resting.append(await scheduler.admit(job(str(number))))
                names.append(str(number))

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(admit, number)
                await anyio.wait_all_tasks_blocked()
            if seed % 2:
                scopes[0].cancel()
            resting[0].finish()
            scopes[0].cancel()
            await anyio.wait_all_tasks_blocked()
            assert names in (["0"], ["1"]) and (names == ["1"] or not seed % 2)
            resting[-1].finish()
            await anyio.wait_all_tasks_blocked()
            scopes[1].cancel()
            scopes[2].cancel()
        for ticket in resting:
            ticket.finish()
        scheduler.submit(job("there is room"), lambda: None)


# Cancelling


async def test_jobs_are_cancelled_wherever_they_are() -> None:
    done: list[str] = []
    begun, let_go = threading.Event(), threading.Event()

    def work(name: str) -> None:
        begun.set()
        assert let_go.wait(30)
        done.append(name)

    async with Scheduler({"cpu": ThreadLane()}) as scheduler:
        at_work = scheduler.submit(job("at work"), partial(work, "at work"))
        waiting = scheduler.submit(job("waiting"), partial(work, "waiting"))
        after = scheduler.submit(job("after", after={"waiting"}), partial(work, "after"))
        assert await anyio.to_thread.run_sync(begun.wait, 30)
        assert scheduler.cancel("waiting") and not scheduler.cancel("waiting") and not scheduler.cancel("nobody")
        assert (waiting.finished, at_work.standing, at_work.cancel(), at_work.cancel()) == (True, Standing.AT_WORK, True, False)
        with pytest.raises(DependencyFailed, match="'after' comes after 'waiting'") as failed:
            await after
        assert isinstance(failed.value.__cause__, JobCancelled)
        let_go.set()
        for ticket in (at_work, waiting):
            with pytest.raises(JobCancelled, match="was cancelled"):
                await ticket
            assert not ticket.cancel()
        assert await scheduler.run(lambda: 1) == 1
    assert done == ["at work"]  # what has begun ends, and counts for nothing


async def test_who_is_cancelled_before_its_turn_never_has_it() -> None:
    ran: list[int] = []
    async with inline() as scheduler, anyio.create_task_group() as group:
        holder = Holder(scheduler.submit(job("holder")))
        group.start_soon(holder)
        await holder.held.wait()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await scheduler.run(lambda: ran.append(1))
        assert scheduler.ticket("run-1") is None
        holder.let_go.set()
    assert ran == []


@pytest.mark.parametrize("seed", range(12))
async def test_a_turn_that_comes_as_its_waiter_is_cancelled_is_not_lost(seed: int) -> None:
    async with inline() as scheduler, anyio.create_task_group() as group:
        holder = Holder(scheduler.submit(job("holder")))
        group.start_soon(holder)
        await holder.held.wait()
        scope, turns = anyio.CancelScope(), []

        async def wait(name: str, scope: anyio.CancelScope) -> None:
            ticket = scheduler.submit(job(name))
            with scope:
                async with ticket.turn():
                    turns.append(name)
            ticket.finish()

        group.start_soon(wait, "cancelled", scope)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(wait, "next", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        if seed % 3 == 0:
            scope.cancel()
        holder.let_go.set()
        for _ in range(seed // 3):  # somewhere between the end of the one turn and the beginning of the other
            await anyio.lowlevel.checkpoint()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert turns[-1] == "next" and not scheduler.dispatcher.turns
        assert scheduler.dispatcher.free_cores == 1


@pytest.mark.parametrize("seed", range(9))
async def test_a_caller_that_is_cancelled_as_its_work_is_about_to_begin_leaves_the_lane_to_the_next(seed: int) -> None:
    done: list[str] = []
    async with inline() as scheduler, anyio.create_task_group() as group:
        holder = Holder(scheduler.submit(job("holder")))
        group.start_soon(holder)
        await holder.held.wait()
        scope = anyio.CancelScope()

        async def run(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                await scheduler.run(partial(done.append, name))

        group.start_soon(run, "cancelled", scope)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(run, "next", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        holder.let_go.set()
        for _ in range(seed):
            await anyio.lowlevel.checkpoint()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert done in (["next"], ["cancelled", "next"]) and not scheduler.dispatcher.turns


async def test_the_end_of_a_scope_around_the_scheduler_ends_it_even_before_work_has_begun() -> None:
    ran: list[int] = []
    with anyio.CancelScope() as scope:
        async with inline() as scheduler:
            tickets = [scheduler.submit(job(name), lambda: ran.append(1)) for name in "ab"]
            scope.cancel()
    assert scope.cancelled_caught and all(ticket.finished for ticket in tickets)
    for ticket in tickets:
        with pytest.raises(JobCancelled):
            await ticket
    async with scheduler:  # its runners are gone, and others come
        assert await scheduler.submit(job("c"), lambda: 5) == 5
    assert ran == []


async def test_what_shields_itself_is_served_to_the_end() -> None:
    done: list[str] = []
    with anyio.CancelScope() as scope:
        async with inline() as scheduler, anyio.create_task_group() as group:
            holder = Holder(scheduler.submit(job("holder")))
            with anyio.CancelScope(shield=True):
                group.start_soon(holder)
                await holder.held.wait()
                scope.cancel()
                await scheduler.run(lambda: done.append("saved"))  # the holder hears of the cancellation, and its turn goes on
    assert done == ["saved"] and scope.cancelled_caught
