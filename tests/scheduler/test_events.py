"""Events: what they say, who is told of them, and what becomes of those that nobody reads."""

from __future__ import annotations

import dataclasses
import logging
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailor.scheduler
from tailor.scheduler import (
    Event,
    EventsMissed,
    EventStream,
    Job,
    JobCheckpointed,
    JobEvent,
    JobExpired,
    JobFinished,
    JobMoved,
    JobPaused,
    JobResumed,
    JobRetried,
    JobStarted,
    JobSubmitted,
    LaneCameBack,
    LaneWentAway,
    Observers,
    Outcome,
    Pause,
    RequestGivenUp,
    RequestLaunched,
    RequestStoreFailed,
    Scheduler,
    SurroundingsChanged,
)
from tailor.scheduler.testing import InlineLane

SENTENCES: list[tuple[Event, int, str]] = [
    (JobSubmitted(1.0, "a"), logging.DEBUG, "job 'a' was submitted"),
    (JobStarted(1.0, "a", "cpu"), logging.INFO, "job 'a' started on cpu"),
    (
        JobPaused(1.0, "a", "cpu", Pause.YIELDED, 0.5, 1),
        logging.DEBUG,
        "job 'a' paused on cpu after 1 step in 0.5 s: others go before it",
    ),
    (
        JobPaused(1.0, "a", "cpu", Pause.BUDGET, 2.0, 30),
        logging.DEBUG,
        "job 'a' paused on cpu after 30 steps in 2 s: no further step fits its budget",
    ),
    (JobCheckpointed(1.0, "a"), logging.DEBUG, "job 'a' was checkpointed"),
    (JobCheckpointed(1.0, "a", "a.checkpoint"), logging.DEBUG, "job 'a' was checkpointed in a.checkpoint"),
    (JobResumed(1.0, "a", "gpu0"), logging.DEBUG, "job 'a' resumed on gpu0"),
    (JobMoved(1.0, "a", "gpu0", "cpu", "no memory"), logging.INFO, "job 'a' moved from gpu0 to cpu: no memory"),
    (JobExpired(1.0, "a", "deadline"), logging.INFO, "job 'a' expired: no further step fits its budget (deadline)"),
    (
        JobRetried(1.0, "a", 2, 4.0, "LaneLost: exit -9"),
        logging.WARNING,
        "job 'a' failed (attempt 2) and is tried again in 4 s: LaneLost: exit -9",
    ),
    (JobFinished(1.0, "a", Outcome.COMPLETED), logging.INFO, "job 'a' completed"),
    (JobFinished(1.0, "a", Outcome.CANCELLED), logging.INFO, "job 'a' cancelled"),
    (JobFinished(1.0, "a", Outcome.FAILED, "ValueError: no"), logging.WARNING, "job 'a' failed: ValueError: no"),
    (RequestLaunched(1.0, "org.refresh"), logging.INFO, "background request 'org.refresh' was launched"),
    (
        RequestGivenUp(1.0, "org.tidy", 3),
        logging.WARNING,
        "background request 'org.tidy' was given up: the process ended during 3 launches in a row",
    ),
    (
        RequestStoreFailed(1.0, "org.tidy", "no space left"),
        logging.WARNING,
        "background request 'org.tidy' could not be written down: no space left",
    ),
    (LaneWentAway(1.0, "process", "exit -9", 1), logging.WARNING, "lane process lost a worker and has 1 left: exit -9"),
    (LaneWentAway(1.0, "gpu0", "no driver"), logging.WARNING, "lane gpu0 lost a worker and is gone: no driver"),
    (LaneCameBack(1.0, "process", 2), logging.INFO, "lane process has 2 workers"),
    (SurroundingsChanged(1.0, "on battery"), logging.DEBUG, "the surroundings changed: on battery"),
]


@pytest.mark.parametrize(("event", "level", "sentence"), SENTENCES, ids=lambda value: type(value).__name__)
def test_an_event_is_frozen_says_a_sentence_and_is_echoed_in_the_log(
    event: Event, level: int, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert str(event) == sentence
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.time = 2.0  # type: ignore[misc]
    assert not hasattr(event, "__dict__")
    with caplog.at_level(logging.DEBUG, logger="tailor.scheduler"):
        Observers().emit(event)
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("tailor.scheduler", level, sentence)
    extra = vars(record)
    assert (extra["event"], extra["time"]) == (type(event).__name__, 1.0)
    if isinstance(event, JobEvent):
        assert extra["identifier"] == event.identifier
    if isinstance(event, JobFinished):
        assert extra["outcome"] == event.outcome.value  # plain, for whoever writes JSON


def test_every_kind_of_event_has_its_sentence() -> None:
    offered = [thing for thing in vars(tailor.scheduler).values() if isinstance(thing, type) and issubclass(thing, Event)]
    assert set(offered) - {Event, JobEvent, EventsMissed} == {type(event) for event, *_ in SENTENCES}
    assert [str(EventsMissed(1.0, count)) for count in (1, 2)] == ["1 event was missed", "2 events were missed"]


def test_what_nobody_hears_need_not_be_made() -> None:
    observers, heard = Observers(), []
    with_levels = logging.getLogger("tailor.scheduler")
    before = with_levels.level
    try:
        with_levels.setLevel(logging.WARNING)
        assert not observers.heard
        with_levels.setLevel(logging.INFO)
        assert observers.heard
        with_levels.setLevel(logging.WARNING)
        observers.add(heard.append)
        assert observers.heard
        observers.emit(JobSubmitted(1.0, "a"))
        observers.remove(heard.append)
        observers.remove(heard.append)
        assert not observers.heard
        observers.emit(JobSubmitted(1.0, "b"))
    finally:
        with_levels.setLevel(before)
    assert heard == [JobSubmitted(1.0, "a")]


def test_a_listener_that_raises_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise LookupError("on purpose")

    observers, heard = Observers(), []
    observers.add(broken)
    observers.add(heard.append)
    observers.emit(JobSubmitted(1.0, "a"))
    assert heard == [JobSubmitted(1.0, "a")]
    assert "broken" in caplog.text and "LookupError: on purpose" in caplog.text


@pytest.mark.parametrize("most", [0, -1, 1.5, None])
def test_a_bound_that_makes_no_sense_is_refused(most: int) -> None:
    with pytest.raises(ValueError, match="most: expected a whole number of 1 or more, got"):
        Observers().stream(most)


@pytest.mark.anyio
class TestStreams:
    async def test_a_reader_gets_what_happens_in_order_from_its_beginning_to_the_end(self) -> None:
        observers, read = Observers(), []
        observers.emit(JobSubmitted(0.0, "before"))
        async with observers.stream() as events, anyio.create_task_group() as group:

            async def reader() -> None:
                async for event in events:
                    read.append(event)

            group.start_soon(reader)
            for number in range(5):
                observers.emit(JobSubmitted(float(number), "a"))
                if number % 2:
                    await anyio.wait_all_tasks_blocked()
            observers.close()
        assert read == [JobSubmitted(float(number), "a") for number in range(5)]

    async def test_of_what_nobody_reads_the_newest_are_kept_and_the_others_counted(self) -> None:
        observers = Observers()
        async with observers.stream(most=3) as unread, observers.stream(most=1000) as roomy:
            for number in range(100):
                observers.emit(JobSubmitted(float(number), "a"))
            observers.close()
            assert [event async for event in unread] == [EventsMissed(96.0, 97), *(JobSubmitted(float(n), "a") for n in (97, 98, 99))]
            assert len([event async for event in roomy]) == 100
        assert observers.missed == 97

    async def test_readers_that_share_a_stream_share_its_events(self) -> None:
        observers, read = Observers(), []
        async with anyio.create_task_group() as group, observers.stream() as events:

            async def reader() -> None:
                async for event in events:
                    read.append(event.time)

            for _ in range(3):
                group.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            for number in range(10):
                observers.emit(JobSubmitted(float(number), "a"))
            await anyio.wait_all_tasks_blocked()
            observers.close()
        assert sorted(read) == [float(number) for number in range(10)]

    async def test_closing_wakes_the_reader(self) -> None:
        observers, ended = Observers(), []

        async def reader(events: EventStream) -> None:
            assert [event async for event in events] == []
            ended.append(True)

        async with observers.stream() as one, observers.stream() as other, anyio.create_task_group() as group:
            group.start_soon(reader, one)
            group.start_soon(reader, other)
            await anyio.wait_all_tasks_blocked()
            one.close()
            await anyio.wait_all_tasks_blocked()
            assert ended == [True]
            observers.close()
        assert ended == [True, True]

    async def test_a_stream_that_was_left_takes_nothing_more(self) -> None:
        observers = Observers()
        async with observers.stream() as events:
            observers.emit(JobSubmitted(0.0, "a"))
        observers.emit(JobSubmitted(1.0, "a"))
        assert [event async for event in events] == []
        observers.close()
        async with observers.stream() as late:
            assert [event async for event in late] == []

    async def test_a_cancelled_reader_loses_nothing_of_the_others(self) -> None:
        observers = Observers()
        async with observers.stream() as events:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(events.__anext__)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            observers.emit(JobSubmitted(0.0, "a"))
            assert await events.__anext__() == JobSubmitted(0.0, "a")

    async def test_a_scheduler_tells_the_course_of_a_job(self) -> None:
        async with Scheduler({"cpu": InlineLane(), "gpu0": InlineLane()}, cores=1) as scheduler, scheduler.events() as events:
            ticket = scheduler.submit(Job(identifier="a", lanes=("gpu0", "cpu")))
            async with ticket.turn() as turn:
                turn.used(0.5, 3)
            scheduler.lose_lane("gpu0")
            async with ticket.turn() as turn:
                turn.used(0.0, 1)
            scheduler.add_lane("gpu0", InlineLane())
            ticket.finish()
            scheduler.observers.close()
            told = [dataclasses.replace(event, time=0.0) async for event in events]
        assert told == [
            JobSubmitted(0.0, "a"),
            JobStarted(0.0, "a", "gpu0"),
            JobPaused(0.0, "a", "gpu0", Pause.TURN_ENDED, 0.5, 3),
            LaneWentAway(0.0, "gpu0", "it was taken away", 0),
            JobMoved(0.0, "a", "gpu0", "cpu"),
            JobResumed(0.0, "a", "cpu"),
            JobPaused(0.0, "a", "cpu", Pause.TURN_ENDED, 0.0, 1),
            LaneCameBack(0.0, "gpu0", 1),
            JobFinished(0.0, "a", Outcome.COMPLETED),
        ]

    async def test_streams_end_with_the_scheduler(self) -> None:
        scheduler, read = Scheduler({"cpu": InlineLane()}, cores=1), []
        async with anyio.create_task_group() as group, scheduler.events() as events:

            async def reader() -> None:
                read.extend([event async for event in events])
                group.cancel_scope.cancel()

            async with scheduler:
                group.start_soon(reader)
                await scheduler.run(lambda: None, Job(identifier="a"))
            await anyio.sleep_forever()
        assert [type(event) for event in read] == [JobSubmitted, JobStarted, JobPaused, JobFinished]


@settings(max_examples=30)  # an event loop each
@given(st.lists(st.sampled_from(["emit", "emit", "read"]), max_size=60), st.integers(1, 5))
def test_every_event_is_read_or_counted_as_missed(moves: list[str], most: int) -> None:
    observers, emitted, read = Observers(), 0, []

    async def play() -> None:
        nonlocal emitted
        async with observers.stream(most) as events:
            for move in [*moves, "end"]:
                if move == "emit":
                    observers.emit(JobSubmitted(float(emitted), "a"))
                    emitted += 1
                elif move == "end":
                    observers.close()
                    read.extend([event async for event in events])
                elif emitted and (not read or read[-1].time < emitted - 1):
                    read.append(await events.__anext__())

    anyio.run(play)
    assert sum(event.count if isinstance(event, EventsMissed) else 1 for event in read) == emitted
    assert all(one.time < other.time for one, other in pairwise(read))
