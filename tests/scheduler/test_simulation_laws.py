"""Laws of simulations, over random traces: what is never so, and that a scheduler really does what is simulated."""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import pairwise

import anyio
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tailor.scheduler import (
    AfterJobs,
    Budget,
    BudgetExhausted,
    BudgetTooSmall,
    Conditions,
    CoresTaken,
    Dispatcher,
    EnergyClass,
    Job,
    LanesFull,
    OthersAhead,
    Priority,
    Scheduler,
    Simulation,
    SparesBattery,
    Surroundings,
    TagLimit,
    TooEarly,
    Trace,
    UnmetConditions,
    Work,
    simulate,
)
from tailor.scheduler.testing import InlineLane

LANES = {"cpu": 2, "process": 1, "gpu": 1}
LIMITS = {"t": 1, "u": 2}
CORES = 2
conditions = st.sampled_from([Conditions(), Conditions(), Conditions(external_power=True), Conditions(network=True)])
budgets = st.sampled_from(
    [Budget(), Budget(), Budget(steps=3), Budget(deadline=30.0), Budget(seconds=4.0), Budget(energy=EnergyClass.NONE)]
)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    works = []
    for number in range(draw(st.integers(1, 10))):
        job = Job(
            identifier=f"job {number}",
            priority=Priority(draw(st.integers(0, 3))),
            share=draw(st.sampled_from(["", "ann", "bob"])),
            tags=frozenset(draw(st.sets(st.sampled_from("tu")))),
            lanes=tuple(draw(st.lists(st.sampled_from(list(LANES)), min_size=1, max_size=3, unique=True))),
            after=frozenset(draw(st.sets(st.sampled_from([f"job {before}" for before in range(number)]), max_size=2)))
            if number
            else frozenset(),
            not_before=draw(st.sampled_from([-math.inf, 5.0, 20.0])),
            conditions=draw(conditions),
            budget=draw(budgets),
            model=draw(st.sampled_from("mn")),
        )
        # in the order of their numbers, so that none comes after one that nobody knows yet
        works.append(Work(job=job, at=float(number), steps=draw(st.integers(1, 6)), seconds=draw(st.sampled_from([0.0, 0.5, 1.0, 4.0]))))
    flags = st.sampled_from([True, False])
    around = [(when, Surroundings(external_power=draw(flags), network=draw(flags))) for when in (0.0, 3.0, 11.0, 40.0)]
    return Trace(works=works, around=around, lanes=LANES, limits=LIMITS, cores=CORES, until=200.0)


@settings(max_examples=50)
@given(traces())
def test_nothing_is_lost_or_done_twice_and_no_limit_is_exceeded(trace: Trace) -> None:
    found = simulate(trace)
    assert list(found.courses) == [work.job.identifier for work in trace.works]
    jobs = {work.job.identifier: work for work in trace.works}
    for identifier, course in found.courses.items():
        work, taken = jobs[identifier], sum(stretch.steps for stretch in course.stretches)
        assert taken == work.steps if course.finished is not None else taken < work.steps or work.seconds == 0.0
        assert all(one.end <= other.begin for one, other in pairwise(course.stretches))
        assert course.began is None or course.began >= max(work.at, work.job.not_before)
        assert taken <= work.job.budget.steps
        for before in work.job.after:
            done = found.courses[before].finished
            assert course.began is None or (done is not None and done <= course.began)
        span = (course.finished if course.finished is not None else found.end) - course.submitted
        assert sum(course.under.values()) == pytest.approx(span)
        assert course.finished is not None or reason_is_true(found.left, identifier, found)
    stretches = [(identifier, stretch) for identifier, course in found.courses.items() for stretch in course.stretches]
    for moment in {stretch.begin for _, stretch in stretches}:
        at_work = [(identifier, stretch.lane) for identifier, stretch in stretches if stretch.begin <= moment < stretch.end]
        assert all(sum(lane == name for _, lane in at_work) <= most for name, most in LANES.items())
        assert all(sum(tag in jobs[identifier].job.tags for identifier, _ in at_work) <= most for tag, most in LIMITS.items())
        assert sum(lane != "gpu" for _, lane in at_work) <= CORES


def reason_is_true(left: Dispatcher, identifier: str, found: Simulation) -> bool:
    """Whether what ``why`` says holds, as far as the records tell without it."""
    entry = left.entry(identifier)
    assert entry is not None
    job, now = entry.job, found.end
    for reason in found.why(identifier).reasons:
        match reason:
            case TooEarly(until=until):
                true = until > now and until in (job.not_before, entry.held_until)
            case AfterJobs(jobs=jobs):
                true = set(jobs) <= job.after and all(found.courses[before].finished is None for before in jobs)
            case UnmetConditions(unmet=unmet):
                true = unmet == job.conditions.unmet(left.around) != ()
            case SparesBattery():
                true = left.around.external_power is False and job.budget.energy is EnergyClass.NONE
            case TagLimit(tag=tag, most=most, at_work=at_work):
                true = tag in job.tags and len(at_work) == most == LIMITS[tag]
            case LanesFull(lanes=lanes, at_work=at_work):
                true = set(lanes) <= set(job.lanes) and len(at_work) == sum(LANES[lane] for lane in lanes)
            case CoresTaken(cores=cores, at_work=at_work):
                true = sum(left.turns[name].threads for name in at_work) == cores == CORES
            case OthersAhead(count=count, first=first):
                order = [other.identifier for other in left.queue]
                true = count >= 1 and order.index(first) < order.index(identifier)
            case BudgetTooSmall(bound="steps"):
                true = entry.spent.steps >= job.budget.steps
            case BudgetTooSmall(bound=bound):
                true = math.isfinite(getattr(job.budget, bound)) and reason.missing >= 0
            case _:
                true = False
        if not true:
            return False
    return True


@st.composite
def untied(draw: st.DrawFn) -> Trace:
    """Traces in which no two things happen at the same moment by chance."""
    works = []
    for number in range(draw(st.integers(2, 6))):
        job = Job(
            identifier=f"job {number}",
            priority=Priority(draw(st.integers(0, 3))),
            share=draw(st.sampled_from(["", "ann"])),
            tags=frozenset(draw(st.sets(st.sampled_from("tu")))),
            lanes=draw(st.sampled_from([("cpu",), ("gpu",), ("gpu", "cpu")])),
            after=frozenset({f"job {number - 1}"}) if number and draw(st.booleans()) and draw(st.booleans()) else frozenset(),
            not_before=draw(st.sampled_from([-math.inf, 5.0171, 20.0193])) + number * 0.0113,
            conditions=draw(conditions),
            budget=draw(st.sampled_from([Budget(), Budget(), Budget(steps=3), Budget(deadline=30.0131), Budget(seconds=4.0)])),
            model=f"model {number}",
        )
        seconds = draw(st.sampled_from([0.7013, 1.1051, 3.3079])) + number * 0.00071
        works.append(Work(job=job, at=number * 1.0037, steps=draw(st.integers(1, 6)), seconds={"cpu": seconds, "gpu": 0.6 * seconds}))
    flags = st.sampled_from([True, False])
    around = [(when, Surroundings(external_power=draw(flags), network=draw(flags))) for when in (0.0, 3.0719, 11.1373, 40.2137)]
    return Trace(works=works, around=around, lanes={"cpu": 2, "gpu": 1}, limits=LIMITS, cores=2, until=200.0)


async def really(trace: Trace) -> dict[str, list[tuple[str, float, float]]]:
    """The stretches of a trace's jobs when a scheduler runs, on a clock that jumps."""
    found: dict[str, list[tuple[str, float, float]]] = {work.job.identifier: [] for work in trace.works}
    begun = anyio.current_time()

    def clock() -> float:
        return anyio.current_time() - begun

    async def hold(work: Work) -> None:
        assert isinstance(work.seconds, dict)
        await anyio.sleep(work.at - clock())
        ticket, left, stretches = scheduler.submit(work.job), int(work.steps), found[work.job.identifier]
        while left:
            async with ticket.turn() as turn:
                began, taken = clock(), 0
                while taken < min(turn.steps, left) and not (taken and (turn.yields or clock() - began + turn.step > turn.seconds)):
                    await anyio.sleep(work.seconds[turn.lane_name])
                    taken += 1
                turn.used(clock() - began, taken)
            left -= taken
            joined = stretches and stretches[-1][::2] == (turn.lane_name, began)
            stretches.append((turn.lane_name, stretches.pop()[1] if joined else began, clock()))
        ticket.finish()

    async def holds(work: Work) -> None:
        with suppress(BudgetExhausted):  # as a holder that is suspended then
            await hold(work)

    lanes = {name: InlineLane() for name in trace.lanes}
    for name, lane in lanes.items():
        lane.capacity = trace.lanes[name]
    async with Scheduler(lanes, cores=2, limits=trace.limits, clock=clock) as scheduler, anyio.create_task_group() as group:
        for work in trace.works:
            group.start_soon(holds, work)
        for when, around in trace.around:
            await anyio.sleep(when - clock())
            scheduler.set_surroundings(around)
        await anyio.sleep(trace.until - clock())
        group.cancel_scope.cancel()
    return found


@settings(max_examples=30)
@given(untied())
def test_what_is_simulated_is_what_a_scheduler_does(trace: Trace) -> None:
    simulated = simulate(trace)
    real = trio.run(really, trace, clock=MockClock(autojump_threshold=0))
    for identifier, stretches in real.items():
        told = simulated.courses[identifier].stretches
        assert [stretch.lane for stretch in told] == [lane for lane, *_ in stretches]
        assert [(stretch.begin, stretch.end) for stretch in told] == [pytest.approx((begin, end)) for _, begin, end in stretches]
