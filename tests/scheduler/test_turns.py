"""Turns that holders take themselves, and schedulers that are entered and left."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from tailor.scheduler import (
    Budget,
    BudgetExhausted,
    Conditions,
    DependencyFailed,
    Event,
    JobCancelled,
    JobFinished,
    JobStarted,
    Lane,
    Priority,
    Retry,
    Scheduler,
    SchedulerClosed,
    SchedulerError,
    Standing,
    Surroundings,
    ThreadLane,
    TurnWithdrawn,
)
from tailor.scheduler.testing import FakeSensors
from tests.scheduler.timed import Holder, TimedLane, inline, job, virtual, waits

pytestmark = pytest.mark.anyio


# Turns


async def test_a_more_urgent_job_interrupts_the_holder() -> None:
    async with inline() as scheduler, anyio.create_task_group() as group:
        holder = Holder(scheduler.submit(job("low", priority=Priority.BACKGROUND)))
        group.start_soon(holder)
        await holder.held.wait()
        assert await scheduler.run(lambda: "first", job("high", priority=Priority.USER_INTERACTIVE)) == "first"
        assert holder.let_go.is_set()


async def test_what_an_interrupt_raises_comes_out_of_its_own_block() -> None:
    async with inline() as scheduler:
        low = scheduler.submit(job("low", priority=Priority.BACKGROUND))
        with pytest.raises(ZeroDivisionError):
            async with low.turn() as turn:
                turn.interrupt = lambda: 1 // 0  # type: ignore[assignment, return-value]
                high = scheduler.submit(job("high", priority=Priority.USER_INTERACTIVE), lambda: 4)
        with pytest.raises(KeyError):
            async with low.turn() as turn:
                turn.interrupt = lambda: 1 // 0  # type: ignore[assignment, return-value]
                low.cancel()
                raise KeyError("the block's own goes first")
        assert await high == 4


async def test_a_turn_is_withdrawn_held_back_and_taken_again() -> None:
    async with inline() as scheduler, anyio.create_task_group() as group:
        holder = Holder(scheduler.submit(job("holder")))
        group.start_soon(holder)
        await holder.held.wait()
        ticket = scheduler.submit(job())
        ticket.withdraw()  # nobody waits

        async def withdrawn() -> None:
            with pytest.raises(TurnWithdrawn, match="no longer wanted"):
                async with ticket.turn():
                    raise AssertionError("it was withdrawn")

        group.start_soon(withdrawn)
        await waits(ticket)
        ticket.withdraw()
        await anyio.wait_all_tasks_blocked()
        assert ticket.standing is Standing.RESTING
        holder.let_go.set()
        async with ticket.turn() as turn:
            ticket.withdraw()  # too late: it has it
            assert (turn.lane_name, turn.threads) == ("cpu", 1)
        ticket.finish()
        ticket.finish(KeyError("ignored: it has ended"))
        assert await ticket is None
        ticket.hold(5.0)
        ticket.renew(Budget())
        assert not ticket.exclude("cpu")
        with pytest.raises(SchedulerClosed, match="expected one that has not ended"):
            async with ticket.turn():
                raise AssertionError("it has ended")


@virtual()
async def test_a_job_is_held_for_a_while() -> None:
    async with inline() as scheduler:
        ticket, begun = scheduler.submit(job()), anyio.current_time()
        ticket.hold(3.0)
        async with ticket.turn() as turn:
            assert anyio.current_time() - begun == 3.0
            turn.used(0.5, 1)
        ticket.finish()


async def test_one_turn_at_a_time() -> None:
    async with inline() as scheduler:
        ticket = scheduler.submit(job())
        async with ticket.turn() as turn:
            with pytest.raises(SchedulerError, match="'a': expected one turn at a time"):
                async with ticket.turn():
                    raise AssertionError("there is one")
            with pytest.raises(ValueError, match="'a': expected one without a turn, got one at work on lane 'cpu'"):
                ticket.finish()
            for wrong in [(-1.0, 0), (float("nan"), 0), (float("inf"), 1), (1.0, -1)]:
                with pytest.raises(ValueError, match="'a': used: expected 0 seconds and steps or more"):
                    turn.used(*wrong)
        worked = scheduler.submit(job("b"), lambda: 2)
        with pytest.raises(SchedulerError, match="'b': expected one turn at a time"):
            async with worked.turn():
                raise AssertionError("the scheduler takes its turns")
        assert await worked == 2
        ticket.finish()


@virtual()
async def test_budgets_end_a_wait() -> None:
    async with inline() as scheduler, anyio.create_task_group() as group:
        holder, begun = Holder(scheduler.submit(job("holder"))), anyio.current_time()
        group.start_soon(holder)
        await holder.held.wait()
        work = [scheduler.submit(job("b", budget=Budget(deadline=begun + 4.0)), lambda: None)]
        for name, before in [("c", "b"), ("d", "c")]:  # all end at the same moment
            work.append(scheduler.submit(job(name, after={before}, budget=Budget(deadline=begun + 4.0)), lambda: None))
        ticket = scheduler.submit(job(budget=Budget(deadline=begun + 4.0)))
        with pytest.raises(BudgetExhausted, match="'a': budget: expected room for one step, got 0 s and inf steps"):
            async with ticket.turn():
                raise AssertionError("no turn came")
        assert anyio.current_time() - begun == 4.0
        for one in work:
            with pytest.raises((BudgetExhausted, DependencyFailed)):
                await one
        ticket.renew(Budget(steps=1))
        holder.let_go.set()
        async with ticket.turn() as turn:
            assert turn.steps == 1
        ticket.finish()


@virtual()
async def test_conditions_are_looked_at_every_half_minute() -> None:
    sensors = FakeSensors(Surroundings(external_power=False))
    async with inline(sensors=sensors) as scheduler, anyio.create_task_group() as group:
        begun = anyio.current_time()
        holder = Holder(scheduler.submit(job(conditions=Conditions(external_power=True))))
        group.start_soon(holder)
        await anyio.sleep(40.0)
        sensors.set(external_power=True)
        await holder.held.wait()
        assert anyio.current_time() - begun == 60.0
        sensors.set(external_power=False)
        await holder.let_go.wait()
        assert anyio.current_time() - begun == 90.0


# Entering and leaving


async def test_to_leave_is_to_wait_for_the_work() -> None:
    done: list[str] = []
    async with Scheduler({"cpu": ThreadLane()}) as scheduler:
        for name in "abc":
            scheduler.submit(job(name), partial(done.append, name))
    assert done == ["a", "b", "c"] and scheduler.waiting == 0


async def test_an_error_in_the_block_cancels_what_waits() -> None:
    threads, done = set(threading.enumerate()), []
    begun, let_go = threading.Event(), threading.Event()
    outcomes: list[str] = []

    def work() -> None:
        begun.set()
        assert let_go.wait(30)
        done.append("at work")

    async def runs(scheduler: Scheduler) -> None:
        with pytest.raises(JobCancelled):
            await scheduler.run(partial(done.append, "run"))
        outcomes.append("JobCancelled")

    async def admitted(scheduler: Scheduler) -> None:
        with pytest.raises(SchedulerClosed):
            await scheduler.admit(job("never"))
        outcomes.append("SchedulerClosed")

    async with anyio.create_task_group() as group:
        with pytest.raises(KeyError, match="the block's own"):
            async with Scheduler({"cpu": ThreadLane()}, cores=1, most_waiting=3) as scheduler:
                tickets = [scheduler.submit(job("at work"), work)]
                await anyio.to_thread.run_sync(begun.wait, 30)
                tickets.append(scheduler.submit(job("waits"), partial(done.append, "waits")))
                resting = scheduler.submit(job("rests"))
                group.start_soon(runs, scheduler)
                await anyio.lowlevel.checkpoint()
                group.start_soon(admitted, scheduler)
                for _ in range(9):
                    await anyio.lowlevel.checkpoint()
                scheduler.observers.add(lambda event: let_go.set())  # the first that is told of is the end of what waits
                raise KeyError("the block's own")
    assert done == ["at work"] and sorted(outcomes) == ["JobCancelled", "SchedulerClosed"]
    for ticket in tickets:
        with pytest.raises(JobCancelled):
            await ticket
    assert resting.standing is Standing.RESTING  # whoever holds it may go on when the scheduler is entered again
    left = {thread.name for thread in set(threading.enumerate()) - threads}
    assert all("AnyIO" in name or "Trio" in name for name in left)  # kept by the event loop for others


async def test_a_scheduler_is_entered_again_but_not_twice() -> None:
    scheduler = inline()
    with pytest.raises(SchedulerClosed, match="around the jobs it runs, got one that is closed"):
        scheduler.submit(job(), lambda: None)
    with pytest.raises(SchedulerClosed, match="closed"):
        await scheduler.run(lambda: None)
    async with scheduler:
        with pytest.raises(SchedulerClosed, match="expected one that does not run yet"):
            async with scheduler:
                raise AssertionError("it runs")
        ticket = scheduler.submit(job(budget=Budget(steps=3)))
        async with ticket.turn() as turn:
            turn.used(1.0, 2)
    with pytest.raises(SchedulerClosed, match="closed"):
        async with ticket.turn():
            raise AssertionError("it is closed")
    heard: list[Event] = []
    async with scheduler:
        async with ticket.turn() as turn:
            assert turn.steps == 1  # what was spent is spent
        async with scheduler.events() as events:
            ticket.finish()
            heard.append(await events.__anext__())
    assert [type(event) for event in heard] == [JobFinished]


async def test_who_holds_a_turn_while_the_scheduler_is_left_gives_it_back_later() -> None:
    async with anyio.create_task_group() as group:
        async with inline() as scheduler:
            holder = Holder(scheduler.submit(job()))
            group.start_soon(holder)
            await holder.held.wait()
        holder.let_go.set()
        await anyio.wait_all_tasks_blocked()
        assert not scheduler.dispatcher.turns and holder.ticket.standing is Standing.RESTING
        holder.ticket.finish()


# Those who call back


async def test_a_listener_may_call_the_scheduler() -> None:
    done: list[str] = []
    async with inline(2) as scheduler:

        def listen(event: Event) -> None:
            if isinstance(event, JobStarted) and event.identifier == "a":
                scheduler.submit(job("from a"), partial(done.append, "from a"))
                scheduler.cancel("c")
            if isinstance(event, JobFinished) and event.identifier == "a":
                scheduler.submit(job("after a"), partial(done.append, "after a"))

        scheduler.observers.add(listen)
        tickets = [scheduler.submit(job(name, lanes=("cpu1",)), partial(done.append, name)) for name in "bac"]
        await scheduler.submit(job("last", after={"a"}), partial(done.append, "last"))
        with pytest.raises(JobCancelled):
            await tickets[2]
    assert sorted(done) == ["a", "after a", "b", "from a", "last"]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="most_waiting: expected a whole number of at least 1, got 0"):
        inline(most_waiting=0)
    for fields, message in [
        ({"attempts": 0}, "attempts: expected a whole number of at least 1, got 0"),
        ({"attempts": "3"}, "attempts: expected a whole number of at least 1, got '3'"),
        ({"first": "1"}, "first: expected a number of at least 0, got '1'"),
        ({"on": OSError}, "on: expected a tuple of exceptions, got <class 'OSError'>"),
        ({"on": (3,)}, "on: expected a tuple of exceptions, got "),
        ({"first": -1.0}, "first: expected a number of at least 0, got -1.0"),
        ({"factor": 0.5}, "factor: expected a number of at least 1, got 0.5"),
        ({"most": float("inf")}, "most: expected a number of at least 0, got inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            Retry(**fields)  # type: ignore[arg-type]
    lane: Lane = TimedLane()
    assert Scheduler({"cpu": lane}).lanes == {"cpu": lane}
