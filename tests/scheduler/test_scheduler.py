"""The scheduler on both event loops, and on a clock of the test's own where there is time in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tailor.scheduler import (
    Budget,
    BudgetExhausted,
    Conditions,
    DependencyFailed,
    Event,
    Job,
    JobCancelled,
    JobFinished,
    JobStarted,
    Lane,
    LaneLost,
    Priority,
    Retry,
    Scheduler,
    SchedulerClosed,
    SchedulerError,
    SchedulerFull,
    Standing,
    Surroundings,
    ThreadLane,
    Ticket,
    TurnWithdrawn,
)
from tailor.scheduler.testing import FakeSensors, InlineLane
from tests.scheduler.timed import TimedLane, virtual

pytestmark = pytest.mark.anyio


def job(name: str = "a", **fields: Any) -> Job:
    return Job(identifier=name, **fields)


def inline(lanes: int = 1, **fields: Any) -> Scheduler:
    return Scheduler({f"cpu{number}" if number else "cpu": InlineLane() for number in range(lanes)}, cores=lanes, **fields)


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


async def waits(*tickets: Ticket[Any]) -> None:
    """Returns when nothing more happens, and sees to it that the jobs wait."""
    await anyio.wait_all_tasks_blocked()
    assert [ticket.standing for ticket in tickets] == [Standing.WAITING] * len(tickets)


class Holder:
    """Holds a turn until it is let go."""

    def __init__(self, ticket: Ticket[Any]) -> None:
        self.ticket = ticket
        self.let_go = anyio.Event()
        self.held = anyio.Event()

    async def __call__(self) -> None:
        async with self.ticket.turn() as turn:
            turn.interrupt = self.let_go.set
            self.held.set()
            await self.let_go.wait()


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


@pytest.mark.parametrize("error", [KeyError("the block's own"), None])
async def test_an_error_or_a_cancellation_cancels_what_waits(error: Exception | None) -> None:
    threads, done = set(threading.enumerate()), []
    begun, let_go = threading.Event(), threading.Event()
    outcomes: list[type[BaseException]] = []

    def work() -> None:
        begun.set()
        assert let_go.wait(30)
        done.append("at work")

    async def runs(scheduler: Scheduler) -> None:
        try:
            await scheduler.run(partial(done.append, "run"))
        except JobCancelled as cancelled:
            outcomes.append(type(cancelled))

    async def admitted(scheduler: Scheduler) -> None:
        with pytest.raises(SchedulerClosed):
            await scheduler.admit(job("never"))
        outcomes.append(SchedulerClosed)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            with pytest.raises(KeyError) if error else anyio.CancelScope(shield=True):
                async with Scheduler({"cpu": ThreadLane()}, cores=1, most_waiting=3) as scheduler:
                    tickets = [scheduler.submit(job("at work"), work)]
                    await anyio.to_thread.run_sync(begun.wait, 30)
                    tickets.append(scheduler.submit(job("waits"), partial(done.append, "waits")))
                    resting = scheduler.submit(job("rests"))
                    group.start_soon(runs, scheduler)
                    await anyio.wait_all_tasks_blocked()
                    group.start_soon(admitted, scheduler)
                    await anyio.wait_all_tasks_blocked()
                    threading.Timer(0.05, let_go.set).start()  # real time: the work that has begun has to outlast the block
                    if error:
                        raise error
                    scope.cancel()
                    for ticket in tickets:
                        ticket.cancel()
    assert done == (["at work"] if error else ["at work", "run"])
    assert sorted(kind.__name__ for kind in outcomes) == (["JobCancelled", "SchedulerClosed"] if error else ["SchedulerClosed"])
    for ticket in tickets:
        with pytest.raises(JobCancelled):
            await ticket
    assert resting.standing is Standing.RESTING  # whoever holds it may go on when the scheduler is entered again
    left = {thread.name for thread in set(threading.enumerate()) - threads}
    assert all("AnyIO" in name or "Trio" in name or "Timer" in name for name in left)  # kept by the event loop for others


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
                scheduler.cancel("b")
            if isinstance(event, JobFinished) and event.identifier == "from a":
                scheduler.submit(job("a"), partial(done.append, "another a"))

        scheduler.observers.add(listen)
        for name in "bac":
            scheduler.submit(job(name, lanes=("cpu1",)), partial(done.append, name))
        await scheduler.submit(job("last", after={"a", "c"}), partial(done.append, "last"))
    assert sorted(done) in (["a", "another a", "b", "c", "from a", "last"], ["a", "another a", "c", "from a", "last"])


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="most_waiting: expected at least 1, got 0"):
        inline(most_waiting=0)
    for fields, message in [
        ({"attempts": 0}, "attempts: expected at least 1, got 0"),
        ({"first": -1.0}, "first: expected a number of at least 0, got -1.0"),
        ({"factor": 0.5}, "factor: expected a number of at least 1, got 0.5"),
        ({"most": float("inf")}, "most: expected a number of at least 0, got inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            Retry(**fields)  # type: ignore[arg-type]
    lane: Lane = TimedLane()
    assert Scheduler({"cpu": lane}).lanes == {"cpu": lane}
