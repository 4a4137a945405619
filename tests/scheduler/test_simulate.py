"""What if: traces played on a clock of their own. Times are worked out by hand, or follow from laws over random traces."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor.scheduler import (
    AfterJobs,
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    Budget,
    BudgetTooSmall,
    Conditions,
    CoresTaken,
    Dispatcher,
    EnergyClass,
    Finished,
    Job,
    LanesFull,
    OthersAhead,
    Outcome,
    Priority,
    QuietHours,
    RequestedWork,
    Scheduler,
    Simulation,
    SparesBattery,
    Stretch,
    Surroundings,
    TagLimit,
    TooEarly,
    Trace,
    UnmetConditions,
    Work,
    daily,
    simulate,
)
from tailor.scheduler.testing import InlineLane

HOUR, DAY = 3600.0, 86400.0
MONDAY = datetime(2026, 11, 16, 8, tzinfo=UTC)
PLUGGED, BATTERY = Surroundings(external_power=True), Surroundings(external_power=False, battery=0.5)


def work(identifier: str, at: float = 0.0, steps: float = 1, seconds: Any = 1.0, **fields: Any) -> Work:
    return Work(job=Job(identifier=identifier, **fields), at=at, steps=steps, seconds=seconds)


def spans(found: Simulation, identifier: str) -> list[tuple[float, float]]:
    return [(stretch.begin, stretch.end) for stretch in found.courses[identifier].stretches]


def test_jobs_take_turns_and_an_urgent_one_comes_in_at_the_end_of_a_step() -> None:
    found = simulate(Trace(works=[work("long", steps=10, seconds=2.0), work("urgent", at=3.0, steps=2, seconds=1.0, priority=3)]))
    assert spans(found, "long") == [(0.0, 4.0), (6.0, 22.0)]  # the step at hand is ended
    assert found.courses["long"].stretches == (Stretch("cpu", 0.0, 4.0, 2), Stretch("cpu", 6.0, 22.0, 8))
    assert spans(found, "urgent") == [(4.0, 6.0)]
    assert (found.courses["long"].finished, found.courses["urgent"].finished, found.end) == (22.0, 6.0, 22.0)
    assert found.courses["urgent"].under == {"lanes": 1.0, "at work": 2.0}
    assert found.unfinished == () and found.why("long").reason == Finished(True)
    assert found.statistics.finished[Outcome.COMPLETED] == 2 and found.statistics.lanes["cpu"].use == 1.0


def test_after_not_before_and_limits() -> None:
    found = simulate(
        Trace(
            works=[
                work("first", steps=5),
                work("then", after={"first"}, steps=2),
                work("later", not_before=100.0, tags={"t"}),
                work("too", not_before=100.0, tags={"t"}),
            ],
            lanes={"cpu": 4},
            cores=4,
            limits={"t": 1},
        )
    )
    assert [spans(found, name) for name in ("first", "then", "later", "too")] == [[(0, 5)], [(5, 7)], [(100, 101)], [(101, 102)]]
    assert found.courses["then"].under == {"jobs before it": 5.0, "at work": 2.0}
    assert found.courses["too"].under == {"time": 100.0, "tag": 1.0, "at work": 1.0}


def test_threads_and_lanes_have_their_own_seconds() -> None:
    seconds = {"cpu": 4.0, "cpu x2": 2.5, "gpu": 1.0}
    alone = simulate(Trace(works=[work("a", steps=2, seconds=seconds)], cores=2))
    assert spans(alone, "a") == [(0.0, 5.0)]
    fast = simulate(Trace(works=[work("a", steps=2, seconds=seconds, lanes=("gpu", "cpu"))], lanes={"cpu": 1, "gpu": 1}, cores=2))
    assert spans(fast, "a") == [(0.0, 2.0)]


def test_a_budget_ends_before_it_is_overrun() -> None:
    known = simulate(Trace(works=[work(f"before {number}", seconds=2.0, model="m") for number in range(60)])).left.costs
    trace = Trace(works=[work("a", steps=9, seconds=2.0, model="m", budget=Budget(deadline=7.0))], costs=known)
    found = simulate(trace)
    assert spans(found, "a") == [(0.0, 6.0)]
    course = found.courses["a"]
    assert course.finished is None and found.unfinished == ("a",)
    assert isinstance(found.why("a").reason, BudgetTooSmall)
    assert known.of("m", "cpu") is not None and simulate(trace).courses == found.courses  # what was given is not changed


def test_power_comes_and_goes() -> None:
    around = [(0.0, PLUGGED), (5.0, BATTERY), (50.0, PLUGGED)]
    found = simulate(
        Trace(
            works=[
                work("asks", steps=10, seconds=2.0, conditions=Conditions(external_power=True)),
                work("spares", steps=3, seconds=1.0, budget=Budget(energy=EnergyClass.LOW), at=6.0),
            ],
            around=around,
        )
    )
    assert spans(found, "asks") == [(0.0, 6.0), (50.0, 64.0)]
    # a tenth of the time on battery: a second of work, nine of rest
    assert found.courses["spares"].stretches[0].begin == 6.0
    assert found.courses["asks"].under == {"at work": 20.0, "external power": 44.0}


def test_quiet_hours_end_by_the_clock_alone() -> None:
    quiet = Conditions(quiet_hours=(QuietHours(time(7), time(20)),))
    found = simulate(Trace(works=[work("night", steps=HOUR * 12, conditions=quiet)], begins=MONDAY))
    assert spans(found, "night") == [(12 * HOUR, 23 * HOUR), (36 * HOUR, 37 * HOUR)]  # 20:00 to 7:00, and again
    assert found.courses["night"].under == {"at work": 12 * HOUR, "quiet hours": 25 * HOUR}
    never = Conditions(quiet_hours=(QuietHours(time(7), time(20)), QuietHours(time(20), time(7))))
    stuck = simulate(Trace(works=[work("never", conditions=never)], begins=MONDAY))
    assert stuck.unfinished == ("never",) and isinstance(stuck.why("never").reason, UnmetConditions)  # and it comes to an end


def test_a_simulation_ends_when_it_is_told_to() -> None:
    found = simulate(Trace(works=[work("a", steps=100)], until=10.5))
    assert found.end == 10.5 and found.courses["a"].finished is None
    assert found.courses["a"].stretches == (Stretch("cpu", 0.0, 10.5, 10),)
    assert found.courses["a"].under == {"at work": 10.5}
    endless = simulate(Trace(works=[work("a", steps=math.inf), work("b", at=5.0)]))
    assert endless.end == 5.0 and isinstance(endless.why("b").reason, LanesFull)


def test_what_is_around_over_days_that_are_alike() -> None:
    pattern = {time(22): {"external_power": True}, time(7): {"external_power": False, "network": True}}
    days, nights = Surroundings(external_power=False, network=True), Surroundings(external_power=True, network=True)
    assert daily(pattern, begins=MONDAY, days=2) == [
        (0.0, days),
        (14 * HOUR, nights),
        (23 * HOUR, days),
        (38 * HOUR, nights),
        (47 * HOUR, days),
    ]
    assert daily(pattern, begins=MONDAY - timedelta(hours=2), days=1, at=50.0)[0] == (50.0, nights)
    with pytest.raises(TypeError, match="sunshine"):
        daily({time(7): {"sunshine": True}}, begins=MONDAY, days=1)


def refresh(identifier: str, begin: datetime | None = None) -> BGAppRefreshTaskRequest:
    return BGAppRefreshTaskRequest(identifier, begin)


def test_background_requests_go_by_their_rules() -> None:
    found = simulate(
        Trace(
            requests=[
                RequestedWork(request=refresh("news", MONDAY + timedelta(hours=1)), seconds=10.0),
                RequestedWork(request=refresh("mail"), at=60.0, seconds=10.0),  # the second that waits
                RequestedWork(request=refresh("late", MONDAY + timedelta(days=8)), at=2 * HOUR, seconds=10.0),
                RequestedWork(request=BGProcessingTaskRequest("tidy", requires_external_power=True), seconds=400.0),
                RequestedWork(request=BGProcessingTaskRequest("short"), seconds=400.0, again=False),
            ],
            around=[(0.0, BATTERY), (HOUR, PLUGGED), (HOUR + 100.0, BATTERY), (2 * HOUR, PLUGGED)],
            begins=MONDAY,
        )
    )
    assert spans(found, "news") == [(HOUR, HOUR + 10)]
    assert "expected at most 1 pending refresh request" in found.courses["mail"].ended
    assert "expected at most a week from now" in found.courses["late"].ended
    # what was interrupted is launched again when power is back; a launch has 180 s, of which 5 are for the end
    assert spans(found, "tidy") == [(HOUR, HOUR + 100), (2 * HOUR, 2 * HOUR + 300)]
    assert found.courses["tidy"].finished == 2 * HOUR + 300
    assert found.courses["short"].ended == "its launch was too short" and spans(found, "short") == [(0.0, 175.0)]


def test_a_request_that_is_submitted_again() -> None:
    found = simulate(
        Trace(
            requests=[
                RequestedWork(request=BGProcessingTaskRequest("tidy", MONDAY + timedelta(hours=5)), seconds=1.0),
                RequestedWork(request=BGProcessingTaskRequest("tidy", MONDAY + timedelta(hours=2)), at=HOUR, seconds=10.0),
                RequestedWork(request=BGProcessingTaskRequest("tidy"), at=2 * HOUR + 5, seconds=1.0),
            ],
            begins=MONDAY,
        )
    )
    assert [course.ended for course in found.courses.values()] == ["another request took its place", "", ""]
    assert spans(found, "tidy #2") == [(2 * HOUR, 2 * HOUR + 10)]
    assert spans(found, "tidy #3") == [(2 * HOUR + 10, 2 * HOUR + 11)]


def test_a_week_of_requests_each_honoured_within_its_window_or_explained() -> None:
    """Power at night, idle processors at lunch and at night, a network but on Wednesday: launches as the pattern says."""
    begins = MONDAY.replace(hour=0)
    day = {
        time(0): {"external_power": True, "processor_use": 0.05, "battery": 0.9, "network": True},
        time(7): {"external_power": False, "processor_use": 0.7, "battery": 0.8},
        time(12): {"processor_use": 0.2},
        time(13): {"processor_use": 0.7, "battery": 0.4},
        time(22): {"external_power": True, "processor_use": 0.05},
    }
    around = [
        (
            when,
            state if not 2 * DAY <= when < 3 * DAY else Surroundings(state.external_power, False, state.processor_use, None, state.battery),
        )
        for when, state in daily(day, begins=begins, days=7)
    ]
    requests, windows = [], {}
    for number in range(7):
        morning = begins + timedelta(days=number, hours=8)
        seconds = number * DAY
        rows: list[tuple[str, Any, Conditions, tuple[float, float]]] = [
            ("power", {"requires_external_power": True}, Conditions(), (22 * HOUR, 31 * HOUR)),
            (
                "network",
                {"requires_network_connectivity": True},
                Conditions(),
                (8 * HOUR, 8.1 * HOUR) if number != 2 else (24 * HOUR, 24.1 * HOUR),
            ),
            ("idle", {}, Conditions(most_processor_use=0.3), (12 * HOUR, 13 * HOUR)),
            ("full", {}, Conditions(least_battery=0.5), (8 * HOUR, 13 * HOUR)),
            ("quiet", {}, Conditions(quiet_hours=(QuietHours(time(6), time(20)),)), (20 * HOUR, 20.1 * HOUR)),
        ]
        for name, needs, conditions, (begin, end) in rows:
            request = BGProcessingTaskRequest(f"{name} {number}", morning, **needs)
            requests.append(RequestedWork(request=request, at=seconds, seconds=60.0, conditions=conditions))
            windows[request.identifier] = (seconds + begin, seconds + end)
    never = BGProcessingTaskRequest("never", begins)
    requests.append(RequestedWork(request=never, seconds=60.0, conditions=Conditions(least_battery=0.95)))
    found = simulate(Trace(requests=requests, around=around, begins=begins, until=7.5 * DAY))
    assert found.unfinished == ("never",)
    assert str(found.why("never")) == "job 'never': battery: expected at least 95%, got 90%"  # the pattern ends at midnight
    for identifier, (begin, end) in windows.items():
        course = found.courses[identifier]
        assert course.began is not None and course.finished is not None
        assert begin <= course.began and course.finished <= end, (identifier, course)
    assert found.courses["power 0"].under.keys() == {"time", "external power", "at work"}


def test_a_report_is_readable() -> None:
    found = simulate(
        Trace(
            works=[
                work("photos", steps=2, seconds=1800.0, conditions=Conditions(external_power=True)),
                work("mail", steps=3, conditions=Conditions(network=True)),
            ],
            around=[
                (0.0, Surroundings(external_power=False, network=False)),
                (14 * HOUR, Surroundings(external_power=True, network=False)),
            ],
            begins=MONDAY,
        )
    )
    assert str(found).splitlines() == [
        "Mon 16 08:00:00 to Mon 16 23:00:00: 2 jobs, 1 done",
        "cpu: in use 7% of the time",  # 1 h of 15
        "mail: came Mon 16 08:00:00; not done: network: expected a connection, got none; kept by network 15 h",
        "photos: came Mon 16 08:00:00; began Mon 16 22:00:00 on cpu, had it for 1 h; done Mon 16 23:00:00; kept by external power 14 h",
    ]
    assert list(found.timeline()) == [
        "Mon 16 08:00:00  mail comes",
        "Mon 16 08:00:00  photos comes",
        "Mon 16 22:00:00  photos works on cpu for 1 h, 2 steps",
        "Mon 16 23:00:00  photos is done",
    ]
    assert [simulate(Trace(works=[work("a")], until=until)).moment(DAY + 3661) for until in (50.0, 60.0)] == ["90061.000 s", "1 d 01:01:01"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: work("a", steps=0), ValueError, "job 'a': steps: expected a whole number of 1 or more, got 0"),
        (lambda: work("a", steps=1.5), ValueError, "'a': steps.*got 1.5"),
        (lambda: work("a", seconds=-1.0), ValueError, "'a': expected seconds of 0 or more, got -1.0"),
        (
            lambda: work("a", seconds={"gpu": 1.0}),
            ValueError,
            "'a': seconds: expected those of a step on each of its lanes, got none for 'cpu'",
        ),
        (lambda: RequestedWork(request=refresh("r"), seconds=math.inf), ValueError, "request 'r': expected seconds of 0 or more, got inf"),
        (
            lambda: Trace(requests=[RequestedWork(request=refresh("r", MONDAY))]),
            ValueError,
            "begins: expected a date, as request 'r' has one",
        ),
        (lambda: Trace(until=math.nan), ValueError, "until.*nan"),
        (lambda: simulate(Trace(lanes={"cpu": 0})), ValueError, "lane 'cpu': expected at least 1, got 0"),
        (lambda: simulate(Trace(works=[work("a"), work("a")])), ValueError, "'a': expected an identifier that is not in use"),
        (lambda: simulate(Trace(works=[work("a", lanes=("gpu",))])), ValueError, "'a': lanes: expected one of 'cpu', got 'gpu'"),
        (lambda: simulate(Trace(works=[work("a", after={"b"})])), ValueError, "'a': after: expected jobs that were submitted, got 'b'"),
        (lambda: simulate(Trace(works=[work("a")])).why("b"), ValueError, "got 'b'"),
    ],
)
def test_a_trace_that_makes_no_sense_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.anyio
async def test_a_live_scheduler_is_copied_and_not_touched() -> None:
    async with Scheduler({"cpu": InlineLane()}, cores=1, clock=lambda: 100.0) as scheduler:
        scheduler.costs.learn("m", "cpu", 20.0, 10)
        first, second = scheduler.submit(Job(identifier="a", model="m")), scheduler.submit(Job(identifier="b", model="m"))
        first.steps_left = 5
        async with first.turn():
            before = scheduler.statistics(), str(scheduler.why("a")), scheduler.costs.plain()
            found = scheduler.simulate(Trace(works=[work("new", at=101.0, seconds=3.0)]))
            assert spans(found, "a") == [(100.0, 110.0)] and spans(found, "new") == [(110.0, 113.0)]
            assert found.unfinished == ("b",)  # it asks for nothing
            assert (scheduler.statistics(), str(scheduler.why("a")), scheduler.costs.plain()) == before
            with pytest.raises(ValueError, match="'new'"):
                scheduler.why("new")
        first.finish()
        second.cancel()


# Laws over random traces


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
