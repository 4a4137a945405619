"""Why a job is where it is: the reason, and its sentence, in situations set up by hand. Time is what the test says."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from tailor.scheduler import (
    AfterJobs,
    AtRest,
    AtWork,
    Budget,
    BudgetTooSmall,
    Conditions,
    CoresTaken,
    Dispatcher,
    EnergyClass,
    Finished,
    Job,
    LanesFull,
    Next,
    NoLane,
    OthersAhead,
    Priority,
    Reason,
    Retry,
    Scheduler,
    SparesBattery,
    Surroundings,
    TagLimit,
    TooEarly,
    UnmetConditions,
)
from tailor.scheduler.outlook.reasons import spoken
from tailor.scheduler.outlook.why import why
from tailor.scheduler.testing import InlineLane


def dispatcher(*jobs: Job, now: float = 0.0, lanes: dict[str, int] | None = None, **more: Any) -> Dispatcher:
    """A dispatcher of which these jobs have asked for a turn, in order, and been decided on after each."""
    found = Dispatcher(lanes or {"cpu": 1}, **{"cores": 4, **more})
    for job in jobs:
        found.submit(job, now)
        found.ask(job.identifier, now)
        found.decide(now)
    return found


def a(**fields: Any) -> Job:
    return Job(identifier="a", **fields)


def b(**fields: Any) -> Job:
    return Job(identifier="b", **fields)


BATTERY = Surroundings(external_power=False, battery=0.31)

SITUATIONS: list[tuple[Dispatcher, tuple[Reason, ...], str]] = [
    (dispatcher(a()), (AtWork("cpu", 10.0, 4),), "it is at work on cpu, for 10 s so far"),
    (
        dispatcher(a(priority=0), b(priority=3)),
        (AtWork("cpu", 10.0, 4, "job 'b' is more urgent"),),
        "it is at work on cpu, for 10 s so far, and gives its place back at the end of its step: job 'b' is more urgent",
    ),
    (
        dispatcher(a(not_before=100.0)),
        (TooEarly(90.0, 100.0, "it was not to begin before"),),
        "its time comes in 1 min 30 s: it was not to begin before",
    ),
    (
        dispatcher(b(), Job(identifier="c"), a(after={"c", "b"}, not_before=13.0)),
        (AfterJobs(("b", "c")), TooEarly(3.0, 13.0, "it was not to begin before")),
        "it comes after 'b', 'c', which have not finished; its time comes in 3 s: it was not to begin before",
    ),
    (dispatcher(b(), a(after={"b"})), (AfterJobs(("b",)),), "it comes after 'b', which has not finished"),
    (
        dispatcher(a(conditions=Conditions(external_power=True, least_battery=0.5)), around=BATTERY),
        (UnmetConditions(Conditions(external_power=True, least_battery=0.5).unmet(BATTERY)),),
        "external power: expected the machine to be plugged in, got it runs on battery; battery: expected at least 50%, got 31%",
    ),
    (
        dispatcher(a(budget=Budget(energy=EnergyClass.NONE)), around=BATTERY),
        (SparesBattery(EnergyClass.NONE),),
        "energy: expected external power, got a battery, of which a job of class NONE may use nothing",
    ),
    (
        dispatcher(b(tags={"t"}), a(tags={"t"}), lanes={"cpu": 2}, limits={"t": 1}),
        (TagLimit("t", 1, ("b",)),),
        "of jobs tagged 't' at most 1 may be at work: 'b' is at work",
    ),
    (dispatcher(b(), a()), (LanesFull(("cpu",), ("b",)),), "cpu is full: 'b' is at work there"),
    (
        dispatcher(b(lanes=("gpu",)), a(lanes=("gpu", "tpu")), lanes={"gpu": 1, "tpu": 1}, cores=1),
        (AtWork("tpu", 10.0),),
        "it is at work on tpu, for 10 s so far",
    ),
    (
        dispatcher(b(), a(lanes=("process",)), lanes={"cpu": 1, "process": 1}, cores=1),
        (CoresTaken(1, ("b",)),),
        "the only core is taken: 'b' is at work",
    ),
    (
        dispatcher(b(), Job(identifier="c", priority=2), a(priority=1)),
        (LanesFull(("cpu",), ("b",)), OthersAhead(1, "c", "it is more urgent (USER_INITIATED, not UTILITY)")),
        "cpu is full: 'b' is at work there; 1 job goes before it, first 'c': it is more urgent (USER_INITIATED, not UTILITY)",
    ),
    (
        dispatcher(b(), Job(identifier="c", deadline=50.0), Job(identifier="d"), a()),
        (LanesFull(("cpu",), ("b",)), OthersAhead(2, "c", "its deadline is earlier")),
        "cpu is full: 'b' is at work there; 2 jobs go before it, first 'c': its deadline is earlier",
    ),
    (
        dispatcher(b(), Job(identifier="c"), a()),
        (LanesFull(("cpu",), ("b",)), OthersAhead(1, "c", "it came first")),
        "cpu is full: 'b' is at work there; 1 job goes before it, first 'c': it came first",
    ),
    (
        # those before it that something else keeps are not ahead of it
        dispatcher(b(), Job(identifier="c", priority=3, conditions=Conditions(external_power=True)), a(), around=BATTERY),
        (LanesFull(("cpu",), ("b",)),),
        "cpu is full: 'b' is at work there",
    ),
    (
        dispatcher(a(budget=Budget(deadline=5.0))),
        (AtWork("cpu", 10.0, 4),),  # and it has a turn: what it does with it is its holder's
        "it is at work on cpu, for 10 s so far",
    ),
    (
        dispatcher(a(budget=Budget(steps=0))),
        (BudgetTooSmall("steps", 0.0, 1),),
        "its budget has no step left",
    ),
    (
        dispatcher(a(budget=Budget(deadline=5.0, seconds=9.0)), now=7.0),
        (BudgetTooSmall("deadline", 0.0, 0.0),),
        "its deadline has passed",
    ),
]


@pytest.mark.parametrize(("found", "reasons", "sentence"), SITUATIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_reason_and_its_sentence(found: Dispatcher, reasons: tuple[Reason, ...], sentence: str) -> None:
    told = why(found, "a", 10.0)
    assert (told.identifier, told.time, told.reasons, told.reason) == ("a", 10.0, reasons, reasons[0])
    assert str(told) == f"job 'a': {sentence}"


def test_a_job_that_rests_and_its_end() -> None:
    found = Dispatcher({"cpu": 1})
    found.submit(a(), 0.0)
    assert why(found, "a", 5.0).reasons == (AtRest(5.0, begun=False),)
    assert str(why(found, "a", 5.0)) == "job 'a': it has asked for no turn for 5 s: it has not begun"
    found.ask("a", 6.0)
    assert why(found, "a", 6.0).reasons == (Next(),)  # before anybody has decided
    found.decide(6.0)
    found.end_turn("a", 1.0, 1, 7.0)
    assert str(why(found, "a", 9.0)).endswith("for 2 s: whoever holds it suspended it, or is doing something else")
    found.finish("a", True, 9.0)
    assert why(found, "a", 10.0).reasons == (Finished(True),) and str(why(found, "a", 9.0)) == "job 'a': it is done"
    found.submit(a(), 11.0)
    found.finish("a", False, 12.0)
    assert str(why(found, "a", 12.0)) == "job 'a': it has failed, or was cancelled"


def test_a_share_that_has_had_more_goes_later() -> None:
    found = dispatcher(Job(identifier="x", share="ann"))
    found.end_turn("x", 60.0, 1, 60.0)
    found.ask("x", 60.0)
    for identifier, share in (("b", "bob"), ("c", "bob"), ("a", "ann")):
        found.submit(Job(identifier=identifier, share=share), 60.0)
        found.ask(identifier, 60.0)
    found.decide(60.0)
    ahead = why(found, "a", 60.0).reasons[-1]
    assert isinstance(ahead, OthersAhead) and ahead.because == "share 'bob' has had less time for its weight than 'ann' (0 s, not 1 min)"


def test_a_budget_that_a_step_does_not_fit_says_how_much_is_missing() -> None:
    found = Dispatcher({"cpu": 1})
    for _ in range(60):
        found.costs.learn("m", "cpu", seconds=8.0, steps=1)  # known well: a step takes 8 s
    found.submit(a(model="m", budget=Budget(seconds=10.0)), 0.0).reserve = 1.0
    found.ask("a", 0.0)
    assert [turn.steps for turn in found.decide(0.0).turns] == [1]
    found.end_turn("a", 8.0, 1, 8.0)
    found.ask("a", 8.0)
    assert found.decide(8.0).exhausted == ["a"]
    (short,) = why(found, "a", 8.0).reasons
    assert isinstance(short, BudgetTooSmall) and short.bound == "seconds"
    assert (short.left, short.needs, short.missing) == pytest.approx((2.0, 9.0, 7.0), abs=0.01)
    assert str(short) == "its budget left 2 s, a step needs up to 9 s: 7 s are missing"
    found.renew("a", Budget(seconds=60.0), 9.0)  # the next window: nothing is missing any more
    assert why(found, "a", 9.0).reasons == (AtRest(1.0, True),)


def test_a_faster_lane_that_is_taken_is_waited_for() -> None:
    found = Dispatcher({"gpu": 1, "tpu": 1})
    found.costs.learn("m", "gpu", 1.0, 1)
    found.costs.learn("m", "tpu", 60.0, 1)
    for identifier in ("b", "a"):
        found.submit(Job(identifier=identifier, lanes=("gpu", "tpu"), model="m"), 0.0)
        found.ask(identifier, 0.0)
    found.decide(0.0)
    assert why(found, "a", 0.0).reasons == (LanesFull(("gpu",), ("b",), slower=("tpu",)),)
    assert str(why(found, "a", 0.0)) == "job 'a': gpu is full: 'b' is at work there; on tpu it would take far longer"


def test_a_lane_that_was_lost() -> None:
    found = Dispatcher({"cpu": 1, "gpu": 1})
    found.submit(a(lanes=("gpu",)), 0.0)
    found.set_capacity("gpu", 0)
    found.ask("a", 0.0)
    found.decide(0.0)
    assert why(found, "a", 0.0).reasons == (NoLane(("gpu",)),)
    assert str(why(found, "a", 0.0)) == "job 'a': gpu was lost, and it may run nowhere else"


def test_the_battery_is_spared_between_turns() -> None:
    found = dispatcher(a(budget=Budget(energy=EnergyClass.LOW)), around=BATTERY)
    found.end_turn("a", 6.0, 1, 6.0)
    found.ask("a", 6.0)
    assert found.decide(6.0).turns == []
    assert str(why(found, "a", 6.0)) == "job 'a': its time comes in 54 s: on battery it may work 10% of the time"


def test_many_at_work_are_not_all_named() -> None:
    found = dispatcher(*(Job(identifier=str(number), lanes=("gpu",)) for number in range(8)), a(lanes=("gpu",)), lanes={"gpu": 8})
    assert str(why(found, "a", 0.0)) == "job 'a': gpu is full: '0', '1', '2', '3', '4' and 3 more are at work there"


def test_a_job_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match="scheduler: expected the identifier of a job that it knows, got 'nobody'"):
        why(dispatcher(a()), "nobody", 0.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (0.0123, "0.0123 s"),
        (59.4, "59.4 s"),
        (60.0, "1 min"),
        (61.4, "1 min 1 s"),
        (3599.0, "1 h"),
        (3725.0, "1 h 2 min"),
        (47 * 3600.0, "47 h"),
        (50 * 3600.0, "2 d 2 h"),
        (-5.0, "-5 s"),
        (math.inf, "for ever"),
    ],
)
def test_lengths_of_time_in_words(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


@pytest.mark.anyio
async def test_a_scheduler_is_asked_while_it_runs() -> None:
    async with Scheduler({"cpu": InlineLane()}, cores=1) as scheduler:
        first, second = scheduler.submit(a()), scheduler.submit(b(priority=Priority.UTILITY))
        async with first.turn():
            assert isinstance(scheduler.why("a").reason, AtWork)
            assert isinstance(scheduler.why("b").reason, AtRest)
            assert [told.identifier for told in (scheduler.why(second), scheduler.forecast(second))] == ["b", "b"]
            with pytest.raises(ValueError, match="^expected a job's identifier, or what has one \\(a task, a ticket\\), got 7$"):
                scheduler.why(7)  # type: ignore[arg-type]
            async with anyio.create_task_group() as group:

                async def waits() -> None:
                    async with second.turn():
                        pass

                group.start_soon(waits)
                await anyio.wait_all_tasks_blocked()
                assert scheduler.why("b").reasons == (LanesFull(("cpu",), ("a",)),)
                group.cancel_scope.cancel()
        first.finish()
        second.cancel()
        assert [scheduler.why(name).reason for name in "ab"] == [Finished(True), Finished(False)]


@pytest.mark.anyio
async def test_why_a_job_waits_for_another_attempt() -> None:
    def fail() -> None:
        raise OSError("no room")

    async with Scheduler({"cpu": InlineLane()}, cores=1) as scheduler:
        scheduler.submit(a(), fail, retry=Retry(first=60.0))
        await anyio.wait_all_tasks_blocked()
        (early,) = scheduler.why("a").reasons
        assert isinstance(early, TooEarly) and early.cause == "attempt 1 failed" and 59 < early.seconds <= 60
        scheduler.cancel("a")
