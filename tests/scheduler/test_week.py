"""A week with a day's pattern of power, network and idle processors: each request is honoured in its window, or ``why`` says what kept it.

What holds when is told here once more, from the hour of the day alone; simulation and scheduler are both held to it, and to each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from tailor.scheduler import (
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    BGTask,
    BGTaskScheduler,
    Conditions,
    LanesFull,
    QuietHours,
    RequestedWork,
    Scheduler,
    Simulation,
    Surroundings,
    TooEarly,
    Trace,
    UnmetConditions,
    daily,
    simulate,
)

pytestmark = pytest.mark.anyio

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MONDAY = datetime(2026, 11, 16, 8, tzinfo=UTC)
WEEK = 7 * DAY


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


PATTERN: dict[time, dict[str, Any]] = {
    time(6): {"network": True},
    time(7): {"external_power": False},
    time(8): {"processor_use": 0.8},
    time(18): {"processor_use": 0.1},
    time(22): {"external_power": True},
    time(23): {"network": False},
    time(0): {"battery": 0.3},
}
AROUND = daily(PATTERN, begins=MONDAY, days=7)

IDLE = Conditions(most_processor_use=0.3)
DAYTIME = Conditions(quiet_hours=(QuietHours(time(22), time(6)),))
CHARGED = Conditions(least_battery=0.5)


def unmet(name: str, seconds: float) -> set[str]:
    """What a request lacks, by the hour of the day; the words are those of ``why``."""
    hour = (8 + seconds / HOUR) % 24
    power, network = hour < 7 or hour >= 22, 6 <= hour < 23
    lacks = {
        "weather": {},
        "train": {"external power": not power},
        "sync": {"external power": not power, "network": not network},
        "index": {"idle processors": 8 <= hour < 18},
        "report": {"quiet hours": hour >= 22 or hour < 6},
        "cut short": {"external power": not power},
        "starved": {"battery": True},
        "next week": {},
    }
    return {condition for condition, lacking in lacks[name].items() if lacking}


def request(
    name: str, at: float, delay: float = 0.0, seconds: float = 60.0, conditions: Conditions | None = None, **asks: bool
) -> RequestedWork:
    kind = BGAppRefreshTaskRequest if name == "weather" else BGProcessingTaskRequest
    asked = kind(name, MONDAY + timedelta(seconds=at + delay), **asks)
    return RequestedWork(request=asked, at=at, seconds=seconds, conditions=conditions if conditions is not None else Conditions())


def of_a_day(day: float) -> Iterator[RequestedWork]:
    """What is asked for each day; the day begins at eight."""
    yield request("weather", day + 1 * HOUR, 30 * MINUTE, seconds=10)
    yield request("train", day + 2 * HOUR, 10 * HOUR, seconds=600, requires_external_power=True)  # more than one launch
    yield request("sync", day + 15.5 * HOUR, requires_external_power=True, requires_network_connectivity=True)
    yield request("index", day + 4 * HOUR, seconds=20, conditions=IDLE)
    yield request("report", day + 15 * HOUR, conditions=DAYTIME)
    yield request("cut short", day + 22 * HOUR + 3550, seconds=100, requires_external_power=True)  # power goes at seven, 50 s later


REQUESTS = sorted(
    [
        *(asked for day in range(7) for asked in of_a_day(day * DAY) if asked.at < WEEK - 2 * HOUR),
        request("starved", HOUR, conditions=CHARGED),
        request("next week", 6 * DAY, 6 * DAY),
    ],
    key=lambda asked: asked.at,
)


def week(until: float = WEEK) -> Simulation:
    return simulate(Trace(requests=REQUESTS, around=AROUND, begins=MONDAY, until=until))


def first_possible(name: str, since: float) -> float:
    """The first moment at which nothing is lacking; everything changes on the hour."""
    return next((at for at in [since, *(hour * HOUR for hour in range(math.ceil(since / HOUR), 8 * 24))] if not unmet(name, at)), math.inf)


def test_every_request_is_honoured_within_its_window_or_why_says_what_keeps_it() -> None:
    found = week()
    courses = iter(found.courses.items())
    honoured = 0
    for asked in REQUESTS:
        name, course = next(courses)
        kind = course.identifier
        assert (kind, course.submitted) == (asked.request.identifier, asked.at)
        assert asked.request.earliest_begin_date is not None
        possible = first_possible(kind, (asked.request.earliest_begin_date - MONDAY).total_seconds())
        if possible >= WEEK:
            assert course.began is None and name in found.unfinished
            continue
        honoured += 1
        assert course.began is not None and course.finished is not None
        kept = sum(seconds for reason, seconds in course.under.items() if reason == "lanes")
        assert possible <= course.began <= possible + kept and kept < 20 * MINUTE  # two launches at a time: others may be before it
        assert course.seconds == pytest.approx(asked.seconds)
        assert not [at for stretch in course.stretches for at in (stretch.begin, stretch.end - 1e-6) if unmet(kind, at)]
    assert next(courses, None) is None
    assert honoured == len(REQUESTS) - 2 == 41 and found.unfinished == ("starved", "next week")
    assert len(found.courses["cut short"].stretches) == 2  # one launch was interrupted, and had another
    assert str(found.why("starved")) == "job 'starved': battery: expected at least 50%, got 30%"
    assert str(found.why("next week")) == "job 'next week': its time comes in 5 d: it was not to begin before"


@pytest.mark.parametrize("hours", [2.0, 3.2, 9.75, 13.9, 14.01, 15.2, 15.6, 20.0, 22.99, 23.5, 71.3, 100.0, 110.25, 160.5, 166.0])
def test_at_any_moment_why_names_what_a_request_lacks(hours: float) -> None:
    now = hours * HOUR
    found = week(until=now)
    dates = {
        asked.request.identifier: asked.request.earliest_begin_date for asked in REQUESTS if asked.at <= now
    }  # the latest of each name
    waiting = {found.courses[name].identifier for name in found.unfinished}
    assert "starved" in waiting
    for name in waiting:
        date = dates[name]
        assert date is not None
        reason = found.why(name).reason
        if date > MONDAY + timedelta(seconds=now):
            assert isinstance(reason, TooEarly) and reason.until == (date - MONDAY).total_seconds()
        elif unmet(name, now):
            assert isinstance(reason, UnmetConditions) and {one.name for one in reason.unmet} == unmet(name, now)
        else:
            assert reason.name == "at work" or isinstance(reason, LanesFull)


async def test_the_scheduler_of_background_requests_does_what_the_simulation_says() -> None:
    left: dict[str, float] = {}
    launches: list[tuple[str, float, float]] = []
    begun = anyio.current_time()

    def clock() -> float:
        return anyio.current_time() - begun

    def now() -> datetime:
        return MONDAY + timedelta(seconds=clock())

    async def until(time: float) -> None:
        await anyio.sleep(time - clock())

    async def handler(task: BGTask) -> None:
        """Works on what is left, as long as it may, and asks for another launch for the rest."""
        began, name = clock(), task.identifier
        try:
            seconds = min(left[name], task.expires - anyio.current_time())
            await anyio.sleep(seconds)
            if left[name] - seconds > 1e-6:
                await background.submit(task.request)
            task.set_task_completed(True)
        finally:
            left[name] -= clock() - began
            launches.append((name, began, clock()))

    async def submit() -> None:
        for asked in REQUESTS:
            await until(asked.at)
            left[asked.request.identifier] = asked.seconds
            await background.submit(asked.request)

    registered: dict[str, Conditions] = {asked.request.identifier: asked.conditions for asked in REQUESTS}
    async with Scheduler() as scheduler:
        background = BGTaskScheduler(scheduler, now=now, poll=12 * HOUR)
        for name, conditions in registered.items():
            background.register(name, handler, conditions=conditions)
        async with background, anyio.create_task_group() as group:
            group.start_soon(submit)
            for when, around in AROUND:
                await until(when)
                scheduler.set_surroundings(around_at(around, now()))
            await until(WEEK)
            waiting = {asked.identifier for asked in background.get_pending_task_requests()}
    assert waiting == {"starved", "next week"}
    simulated = [(course.identifier, stretch.begin, stretch.end) for course in week().courses.values() for stretch in course.stretches]
    assert merged(launches) == [(name, pytest.approx(begin), pytest.approx(end)) for name, begin, end in sorted(simulated)]


def around_at(around: Surroundings, now: datetime) -> Surroundings:
    """The surroundings with the time of day that there is then: nothing else tells it here, and quiet hours begin and end on the hour."""
    return replace(around, clock=now.time())


def merged(launches: list[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Launches right after one another as one, as a simulation tells of them."""
    found: list[tuple[str, float, float]] = []
    for name, begin, end in sorted(launches):
        if found and found[-1][0] == name and begin - found[-1][2] < 1e-6:
            found[-1] = (name, found[-1][1], end)
        else:
            found.append((name, begin, end))
    return found
