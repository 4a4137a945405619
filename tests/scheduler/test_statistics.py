"""What was done, as counted by hand."""

from __future__ import annotations

import dataclasses

import pytest

from tailor.scheduler import Dispatcher, Job, LaneLost, LaneUse, Outcome, Retry, Scheduler
from tailor.scheduler.outlook.statistics import statistics
from tailor.scheduler.testing import InlineLane

FINISHED = dict.fromkeys(Outcome, 0)


def test_nothing_was_done_yet() -> None:
    found = statistics(Dispatcher({"cpu": 2}), 7.0)
    assert (found.time, found.submitted, found.turns, found.seconds, found.mean_wait) == (7.0, 0, 0, 0.0, 0.0)
    assert (found.lanes, found.finished) == ({"cpu": LaneUse(2, 0, 0.0, 0.0)}, FINISHED)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.turns = 1  # type: ignore[misc]


def test_counts_and_times() -> None:
    dispatcher = Dispatcher({"cpu": 1, "gpu": 2}, cores=1)
    jobs = [
        Job(identifier="a", share="ann"),
        Job(identifier="b", share="bob"),
        Job(identifier="c", lanes=("gpu",), share="bob"),
        Job(identifier="later", not_before=100.0),
        Job(identifier="rests"),
    ]
    for job in jobs:
        dispatcher.submit(job, 10.0)
    for job in jobs[:-1]:
        dispatcher.ask(job.identifier, 10.0)
    dispatcher.decide(10.0)
    dispatcher.end_turn("a", 3.0, 6, 14.0)  # three seconds of work in the four for which it had the lane
    dispatcher.finish("a", True, 14.0)
    dispatcher.decide(14.0)
    found = statistics(dispatcher, 20.0, missed=5)
    assert (found.submitted, found.running, found.waiting, found.held, found.resting) == (5, 2, 0, 1, 1)
    assert (found.turns, found.seconds, found.events_missed) == (1, 3.0, 5)
    assert found.share_seconds == {"ann": 3.0}
    assert (found.mean_wait, found.longest_wait) == (4 / 3, 4.0)  # a and c at once, b when a was done
    assert found.lanes == {"cpu": LaneUse(1, 1, 3.0, 1.0), "gpu": LaneUse(2, 1, 0.0, 0.5)}
    dispatcher.end_turn("b", 1.0, 1, 20.0)
    dispatcher.ask("b", 20.0)
    assert statistics(dispatcher, 20.0).waiting == 1
    assert statistics(dispatcher, 30.0).lanes["cpu"] == LaneUse(1, 0, 4.0, 0.5)
    assert str(found).splitlines() == [
        "5 jobs: 2 at work, 0 waiting, 1 held, 1 resting, 0 completed, 0 failed, 0 cancelled",
        "1 turn, 3 s of work; waited 1.33 s on average, 4 s at most",
        "cpu: 1 of 1 busy, 3 s of work, in use 100% of the time",
        "gpu: 1 of 2 busy, 0 s of work, in use 50% of the time",
        "share 'ann': 3 s of work",
        "0 retries, 0 lost workers, 5 events missed",
    ]


@pytest.mark.anyio
async def test_a_scheduler_counts_how_jobs_end() -> None:
    attempts = iter([OSError("once"), LaneLost("exit -9"), None])

    def work() -> None:
        error = next(attempts)
        if error is not None:
            raise error

    def fail() -> None:
        raise ValueError("no")

    async with Scheduler({"cpu": InlineLane()}, cores=1) as scheduler, scheduler.events(most=2) as unread:
        await scheduler.submit(Job(identifier="good"), work, retry=Retry(first=0.0))
        with pytest.raises(ValueError, match="no"):
            await scheduler.submit(Job(identifier="bad"), fail)
        scheduler.submit(Job(identifier="left")).cancel()
        found = scheduler.statistics()
        assert found.finished == {Outcome.COMPLETED: 1, Outcome.FAILED: 1, Outcome.CANCELLED: 1}
        assert (found.submitted, found.turns, found.retries, found.lost_workers) == (3, 4, 2, 1)
        assert found.events_missed > 0
        kinds = [type(event).__name__ for event in [await unread.__anext__() for _ in range(3)]]
        assert kinds == ["EventsMissed", "JobSubmitted", "JobFinished"]
