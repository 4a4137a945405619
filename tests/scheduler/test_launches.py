"""One launch of a background request: how it ends, whatever its handler does. On a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from tailor.scheduler import (
    BGAppRefreshTask,
    BGAppRefreshTaskRequest,
    BGProcessingTask,
    BGProcessingTaskRequest,
    BGTask,
    Budget,
    JobFinished,
    Surroundings,
)
from tests.scheduler.launching import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def completes(world: World, task: BGTask) -> None:
    await anyio.sleep(20)
    task.set_task_completed(True)


async def could_not(world: World, task: BGTask) -> None:
    task.set_task_completed(False)


async def returns(world: World, task: BGTask) -> None:
    world.note("returned")


async def raises(world: World, task: BGTask) -> None:
    await anyio.sleep(3)
    raise OSError("no such weather")


async def hangs(world: World, task: BGTask) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        world.note("cancelled")


async def hangs_though_told(world: World, task: BGTask) -> None:
    task.expiration_handler = lambda: world.note("told")
    await hangs(world, task)


async def stops_when_told(world: World, task: BGTask) -> None:
    stop = anyio.Event()

    async def expire() -> None:
        world.note("told")
        await anyio.sleep(1)
        stop.set()

    task.expiration_handler = expire
    await stop.wait()
    task.set_task_completed(True)
    world.note("stopped")


async def fails_when_told(world: World, task: BGTask) -> None:
    def expire() -> None:
        raise LookupError("where?")

    task.expiration_handler = expire
    await hangs(world, task)


async def goes_on_when_done(world: World, task: BGTask) -> None:
    task.set_task_completed(True)
    await hangs(world, task)


async def fails_when_done(world: World, task: BGTask) -> None:
    task.set_task_completed(True)
    raise OSError("too late")


async def changes_its_mind(world: World, task: BGTask) -> None:
    task.set_task_completed(True)
    task.set_task_completed(False)


async def never_gets_to_its_expiration(world: World, task: BGTask) -> None:
    async def expire() -> None:
        await hangs(world, task)

    task.expiration_handler = expire


NOT = "background request 'a' was not completed: "
TIME = NOT + "its time ran out"
FORGOTTEN = ": expected its handler to call set_task_completed, got one that returned without"


@pytest.mark.parametrize(
    ("handler", "log", "ended", "failure"),
    [
        (completes, [], 20, None),
        (could_not, [], 0, NOT + "its handler said so"),
        (returns, [("returned", 0)], 175, TIME + FORGOTTEN),
        (raises, [], 3, NOT + "its handler raised OSError: no such weather"),
        (hangs, [("cancelled", 175)], 175, TIME),
        (hangs_though_told, [("told", 175), ("cancelled", 180)], 180, TIME),
        (stops_when_told, [("told", 175), ("stopped", 176)], 176, None),
        (fails_when_told, [("cancelled", 175)], 175, NOT + "its handler raised LookupError: where?"),
        (goes_on_when_done, [("cancelled", 180)], 180, None),
        (fails_when_done, [], 0, NOT + "its handler raised OSError: too late"),
        (changes_its_mind, [], 0, None),
        (never_gets_to_its_expiration, [("cancelled", 180)], 180, TIME + FORGOTTEN),
    ],
)
async def test_a_launch_ends_in_its_time_whatever_its_handler_does(
    handler: Callable[[World, BGTask], Any], log: list[tuple[str, float]], ended: float, failure: str | None
) -> None:
    world, other = World(), []

    async def after_it(task: BGTask) -> None:
        other.append(world.time)
        task.set_task_completed(True)

    async with world.running({"a": lambda task: handler(world, task), "b": after_it}, at_once=1) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await background.submit(BGProcessingTaskRequest("b"))
        await world.until(1000)
        assert world.log == log
        assert other == [pytest.approx(ended)]  # the other one waited for its place, and had it
        assert background.get_pending_task_requests() == []
        assert {name: str(why) for name, why in background.failures.items()} == ({} if failure is None else {"a": failure})
    assert world.told(JobFinished)[0] == ("job 'a' completed" if failure is None else f"job 'a' failed: LaunchFailed: {failure}")


async def cancels_what_it_waits_for() -> None:
    waited_for = asyncio.create_task(asyncio.sleep(60))
    waited_for.cancel()
    await waited_for


async def cancels_itself() -> None:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio has no such thing
@pytest.mark.parametrize("work", [cancels_what_it_waits_for, cancels_itself])
async def test_a_cancellation_of_the_handlers_own_fails_its_launch_and_nothing_else(
    work: Callable[[], Awaitable[None]], anyio_backend: str
) -> None:
    world, other = World(), anyio.Event()

    def completes(task: BGTask) -> None:
        task.set_task_completed(True)
        other.set()

    async with world.running({"a": lambda task: work(), "b": completes}, at_once=1) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await background.submit(BGProcessingTaskRequest("b"))
        await other.wait()
        assert {name: str(why) for name, why in background.failures.items()} == {"a": NOT + "its handler raised CancelledError: "}


@pytest.mark.parametrize(
    ("request_", "kind", "seconds"),
    [
        (BGAppRefreshTaskRequest("a"), BGAppRefreshTask, 30),  # the documented half minute
        (BGProcessingTaskRequest("a"), BGProcessingTask, 180),
    ],
)
async def test_a_task_says_what_it_may_use(request_: Any, kind: type[BGTask], seconds: float) -> None:
    world, seen = World(), []

    async def look(task: BGTask) -> None:
        begun = anyio.current_time()
        await anyio.sleep(7)
        seen.append((type(task), task.identifier, task.request, task.deadline - begun, task.expires - begun))
        assert task.budget == Budget(deadline=task.expires)  # the same, whoever asks later: it is never restarted
        task.set_task_completed(True)

    async with world.running({"a": look}) as background:
        await world.until(11)
        await background.submit(request_)
        await world.until(50)
    assert seen == [(kind, "a", request_, seconds, seconds - 5)]


async def test_a_plain_handler_may_leave_it_to_others_to_complete_the_task() -> None:
    world, tasks = World(), []
    async with world.running({"a": tasks.append}) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(60)
        assert repr(background) == "<BGTaskScheduler 0 pending, 1 launched>" and repr(tasks[0]) == "<BGProcessingTask 'a' at work>"
        tasks[0].set_task_completed(True)
        await anyio.wait_all_tasks_blocked()
        assert repr(background) == "<BGTaskScheduler 0 pending, 0 launched>" and repr(tasks[0]) == "<BGProcessingTask 'a' completed: True>"
        assert background.failures == {}


async def test_what_the_handler_raised_is_the_cause_and_a_later_success_forgets_it() -> None:
    world, fail = World(), [True]

    async def handler(task: BGTask) -> None:
        if fail.pop():
            raise OSError("once")

    async with world.running({"a": handler}) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(1)
        assert repr(background.failures["a"].__cause__) == "OSError('once')"
        fail.append(False)
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(2)
        background.simulate_expiration("a")
        await world.until(3)
        assert str(background.failures["a"]).startswith(TIME)


@pytest.mark.parametrize("asked", ["conditions", "left", None])
async def test_a_handler_that_goes_on_when_it_is_done_has_until_the_end_is_asked_for(asked: str | None) -> None:
    world = World()
    async with world.running({"a": lambda task: goes_on_when_done(world, task)}) as background:
        await background.submit(BGProcessingTaskRequest("a", requires_external_power=True))
        await world.until(10)
        if asked == "conditions":
            world.sensors.set(external_power=False)
        if asked != "left":
            await world.until(1000)
        assert background.failures == {} and background.get_pending_task_requests() == []
    expected = {"conditions": 30 + 5, "left": 10 + 5, None: 180}[asked]  # the machine is looked at each half minute
    assert world.log == [("cancelled", expected)]


async def test_who_was_interrupted_is_not_told_that_it_forgot_something() -> None:
    world = World()
    async with world.running({"a": lambda task: returns(world, task)}) as background:
        await background.submit(BGProcessingTaskRequest("a", requires_external_power=True))
        await world.until(10)
        world.sensors.set(external_power=False)
        await world.until(100)
        assert str(background.failures["a"]) == NOT + "what it needs around it no longer holds"


async def test_what_the_handler_said_before_counts() -> None:
    world = World()

    async def handler(task: BGTask) -> None:
        world.note("launched")
        task.set_task_completed(False)
        background._scheduler.set_surroundings(Surroundings(external_power=False))
        background._scheduler.set_surroundings(Surroundings(external_power=True))

    async with world.running({"a": handler}) as background:
        await background.submit(BGProcessingTaskRequest("a", requires_external_power=True))
        await world.until(100)
        assert str(background.failures["a"]) == NOT + "its handler said so"
    assert world.log == [("launched", 0)]
