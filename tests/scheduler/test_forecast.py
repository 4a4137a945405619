"""When a job will begin and end: worked out by hand from what was learned, and held against what then comes."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from tailor.scheduler import Budget, Conditions, Costs, Dispatcher, Forecast, Job, Moment, Scheduler, Surroundings, Trace, Work, simulate
from tailor.scheduler.outlook.forecast import forecast
from tailor.scheduler.testing import InlineLane


def learned(**seconds: float) -> Costs:
    """Of models whose steps have always taken as long."""
    costs = Costs()
    for _ in range(100):
        for model, each in seconds.items():
            costs.learn(model, "cpu", each, 1)
    return costs


def asked(found: Dispatcher, identifier: str, steps: float | None, now: float = 0.0, **fields: Any) -> None:
    found.submit(Job(identifier=identifier, **fields), now).steps_left = steps
    found.ask(identifier, now)
    found.decide(now)


def exactly(seconds: float) -> Moment:
    """A moment whose deviation is too small to matter."""
    return pytest.approx(Moment(seconds, seconds, seconds))  # type: ignore[return-value]


def moments(told: Forecast) -> tuple[float | None, ...]:
    return tuple(None if moment is None else round(moment.likely, 3) for moment in (told.begin, told.end))


def test_a_job_begins_when_those_ahead_are_done() -> None:
    found = Dispatcher({"cpu": 1}, costs=learned(m=2.0, n=0.5))
    asked(found, "a", 10, model="m")
    asked(found, "b", 4, model="n")
    asked(found, "c", 3, model="m", priority=2)
    assert moments(forecast(found, "a", 0.0)) == (0.0, 26.0)  # 2 s to the end of its step, c's 6 s, then its other 18 s
    assert moments(forecast(found, "c", 0.0)) == (2.0, 8.0)
    told = forecast(found, "b", 0.0)
    assert moments(told) == (26.0, 28.0)
    assert (told.seconds, told.unknown, told.provided) == (pytest.approx(2.0), "", "")
    assert str(told) == "job 'b': begins in 26 s; ends in 28 s"
    found.end_turn("a", 6.0, 3, 6.0)
    found.finish("a", True, 6.0)
    found.decide(6.0)
    assert moments(forecast(found, "b", 7.0)) == (12.0, 14.0)  # c has its turn since 6 s, and 6 s to do


def test_times_and_dependencies_count() -> None:
    found = Dispatcher({"cpu": 2}, cores=2, costs=learned(m=1.0))
    asked(found, "early", 30, model="m")
    asked(found, "late", 5, model="m", not_before=100.0)
    asked(found, "then", 5, model="m", after={"early"})
    assert moments(forecast(found, "late", 0.0)) == (100.0, 105.0)
    assert moments(forecast(found, "then", 0.0)) == (30.0, 35.0)


def test_what_deviates_gives_a_range_that_what_comes_lies_in() -> None:
    draw = random.Random(7)
    costs = Costs()
    steps = [draw.uniform(0.5, 1.5) for _ in range(600)]
    for seconds in steps[:500]:
        costs.learn("m", "cpu", seconds, 1)
    found = Dispatcher({"cpu": 1}, costs=costs)
    asked(found, "a", 100, model="m")
    told = forecast(found, "a", 0.0)
    assert told.end is not None and told.begin == Moment(0.0, 0.0, 0.0)
    assert told.end.soonest < told.end.likely < told.end.latest
    assert told.end.soonest <= sum(steps[500:]) <= told.end.latest
    assert "at the soonest" in str(told) and "at the latest" in str(told)


def test_what_was_forecast_is_what_is_simulated() -> None:
    """The same decisions: a forecast from the first moment agrees with the course that the trace then takes."""
    works = [
        Work(job=Job(identifier=name, model="m", priority=priority, share=share), steps=steps, seconds=2.0)
        for name, priority, share, steps in [("a", 1, "x", 9), ("b", 3, "x", 2), ("c", 1, "y", 4), ("d", 0, "y", 1)]
    ]
    found = Dispatcher({"cpu": 2}, cores=2, costs=learned(m=2.0))
    for work in works:
        found.submit(work.job, 0.0).steps_left = work.steps
        found.ask(work.job.identifier, 0.0)
    found.decide(0.0)
    played = simulate(Trace(works=works, lanes={"cpu": 2}, cores=2, costs=learned(m=2.0)))
    for work in works:
        course = played.courses[work.job.identifier]
        assert moments(forecast(found, work.job.identifier, 0.0)) == (course.began, course.finished)


UNKNOWN: list[tuple[float | None, dict[str, Any], tuple[float | None, float | None], str]] = [
    (None, {"model": "m"}, (0.0, None), "when it ends nobody can tell: its holder has not said how many steps are left"),
    (5, {"model": "new"}, (0.0, None), "when it ends nobody can tell: no step of model 'new' was taken on cpu yet"),
    (
        5,
        {"model": "m", "conditions": Conditions(external_power=True)},
        (None, None),
        "as things are it will not end: external power: expected the machine to be plugged in, got it runs on battery",
    ),
    (
        5,
        {"model": "m", "budget": Budget(deadline=3.5)},
        (0.0, None),
        "as things are it will not end: its deadline left 0.5 s, a step needs up to 1 s: 0.5 s are missing",
    ),
    (5, {"model": "m", "budget": Budget(steps=2)}, (0.0, None), "as things are it will not end: its budget has no step left"),
]


@pytest.mark.parametrize(("steps", "fields", "expected", "words"), UNKNOWN)
def test_what_nobody_can_tell_is_said(steps: float | None, fields: Any, expected: tuple[float | None, ...], words: str) -> None:
    found = Dispatcher({"cpu": 1}, costs=learned(m=1.0), around=Surroundings(external_power=False))
    asked(found, "a", steps, **fields)
    told = forecast(found, "a", 0.0)
    assert moments(told) == expected
    assert told.unknown.startswith(words) and words in str(told)


def test_behind_a_job_that_may_go_on_for_ever_nothing_begins() -> None:
    found = Dispatcher({"cpu": 1}, costs=learned(m=1.0))
    asked(found, "endless", None, model="m")
    asked(found, "a", 5, model="m")
    told = forecast(found, "a", 0.0)
    assert moments(told) == (None, None) and told.unknown == "as things are it will not end: cpu is full: 'endless' is at work there"


def test_one_that_rests_and_one_that_is_done() -> None:
    found = Dispatcher({"cpu": 1}, costs=learned(m=1.0))
    found.submit(Job(identifier="a", model="m"), 0.0).steps_left = 5
    told = forecast(found, "a", 10.0)
    assert moments(told) == (10.0, 15.0)
    assert str(told) == "job 'a': provided that it asks for a turn now: begins now; ends in 5 s"
    assert found.decide(10.0).turns == []  # nothing was asked of it
    found.finish("a", True, 11.0)
    assert str(forecast(found, "a", 11.0)) == "job 'a': it is done"
    with pytest.raises(ValueError, match="got 'nobody'"):
        forecast(found, "nobody", 0.0)


def test_a_moment_that_may_never_come() -> None:
    told = Forecast("a", 10.0, Moment(4.0, 4.0, 4.0), Moment(30.0, 20.0, math.inf), 5.0)
    assert str(told) == "job 'a': began 6 s ago; ends in 20 s (10 s at the soonest, nobody knows when at the latest)"


@pytest.mark.anyio
async def test_a_scheduler_is_asked_while_it_runs() -> None:
    async with Scheduler({"cpu": InlineLane()}, cores=1, clock=lambda: 50.0, costs=learned(m=2.0)) as scheduler:
        ticket = scheduler.submit(Job(identifier="a", model="m"))
        ticket.steps_left = 3
        async with ticket.turn():
            assert moments(scheduler.forecast("a")) == (50.0, 56.0)
        ticket.finish()
