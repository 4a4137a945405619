"""What if: traces played on a clock of their own. Times are worked out by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from tailor.scheduler import (
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    Budget,
    BudgetTooSmall,
    Conditions,
    Dispatcher,
    EnergyClass,
    Finished,
    Job,
    LanesFull,
    Outcome,
    QuietHours,
    RequestedWork,
    Scheduler,
    Simulation,
    Stretch,
    Surroundings,
    Trace,
    UnmetConditions,
    Work,
    daily,
    simulate,
)
from tailor.scheduler.outlook.simulate import Player, copied
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


def test_what_comes_after_a_job_that_does_not_end_well_never_begins() -> None:
    late = [work("z", at=1.0, after={"short"}), work("y", at=2.0, after={"short", "z"}), work("new", at=500.0, after={"short"})]
    found = simulate(Trace(works=late, requests=[RequestedWork(request=BGProcessingTaskRequest("short"), seconds=400.0, again=False)]))
    ends = [f"it comes after {before!r}, which did not end well" for before in ("short", "z")]
    assert [found.courses[name].ended for name in ("z", "y")] == ends
    assert "comes after 'short', which did not end well" in found.courses["new"].ended
    assert found.statistics.finished == {Outcome.COMPLETED: 0, Outcome.FAILED: 3, Outcome.CANCELLED: 0}


def test_a_live_job_that_takes_no_time_and_has_no_end_lets_time_pass() -> None:
    live = Dispatcher({"cpu": 1})
    live.costs.learn("m", "cpu", 0.0, 5)
    live.submit(Job(identifier="endless", model="m", budget=Budget(seconds=9.0)), 0.0)
    live.ask("endless", 0.0)
    live.decide(0.0)
    found = Player(copied(live), Trace(works=[work("a", at=1.0)], until=60.0), 0.0).play()
    assert (found.end, found.unfinished) == (60.0, ("endless", "a"))


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
        (lambda: work("a", steps=0), ValueError, "job 'a': steps: expected 1 or more, got 0"),
        (lambda: work("a", steps=1.5), ValueError, "'a': steps.*got 1.5"),
        (lambda: work("a", seconds=-1.0), ValueError, "'a': seconds: expected 0 or more, got -1.0"),
        (lambda: work("a", steps=math.inf, seconds=0.0), ValueError, "'a': seconds: expected more than 0 for steps without end, got 0"),
        (
            lambda: work("a", seconds={"gpu": 1.0}),
            ValueError,
            "'a': seconds: expected those of a step on each of its lanes, got none for 'cpu'",
        ),
        (lambda: RequestedWork(request=refresh("r"), seconds=math.inf), ValueError, "request 'r': seconds: expected 0 or more, got inf"),
        (
            lambda: Trace(requests=[RequestedWork(request=refresh("r", MONDAY))]),
            ValueError,
            "begins: expected a date, as request 'r' has one",
        ),
        (lambda: Work(job="a"), TypeError, "work: job: expected Job, got 'a'"),  # type: ignore[arg-type]
        (lambda: work("a", steps="3"), TypeError, "'a': steps: expected a number, got '3'"),  # type: ignore[arg-type]
        (lambda: work("a", at=math.nan), ValueError, "'a': at: expected a time, got nan"),
        (lambda: Trace(works=[Job(identifier="a")]), TypeError, "trace: works: expected Work, got Job"),  # type: ignore[list-item]
        (lambda: Trace(around=[PLUGGED]), TypeError, "trace: around: expected pairs of a time and Surroundings"),  # type: ignore[list-item]
        (lambda: Trace(around=[("noon", PLUGGED)]), TypeError, "around: time: expected a number, got 'noon'"),  # type: ignore[list-item]
        (lambda: daily({7: {}}, begins=MONDAY, days=1), TypeError, "daily: pattern: expected time, got 7"),  # type: ignore[dict-item]
        (lambda: Trace(until=math.nan), ValueError, "until.*nan"),
        (lambda: simulate(Trace(lanes={"cpu": 0})), ValueError, "lane 'cpu': expected a whole number of at least 1, got 0"),
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
