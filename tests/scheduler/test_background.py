"""Background requests: what is launched, when, and how often. On a virtual clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from tailor.scheduler import (
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    BGTask,
    BGTaskRequest,
    BGTaskScheduler,
    BGTaskSchedulerError,
    BGTaskSchedulerErrorCode,
    Conditions,
    Expiry,
    Job,
    JobPaused,
    KeptRequest,
    MemoryRequestStore,
    RequestLaunched,
    Scheduler,
    SchedulerClosed,
    SchedulerFull,
)
from tests.scheduler.launching import BEGIN, DAY, HOUR, World, identifiers, noting

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def test_requests_are_launched_when_their_date_has_come_and_their_conditions_hold() -> None:
    world, store = World(), MemoryRequestStore()
    world.sensors.set(external_power=False)
    work = noting(world, 10)
    async with world.running(dict.fromkeys(("power", "network", "dated", "past", "refresh"), work), store, at_once=9) as background:
        await background.submit(BGProcessingTaskRequest("power", BEGIN + HOUR, requires_external_power=True))
        await background.submit(BGProcessingTaskRequest("network", requires_network_connectivity=True))
        await background.submit(BGProcessingTaskRequest("dated", BEGIN + 2 * HOUR))
        await background.submit(BGProcessingTaskRequest("past", BEGIN - 300 * DAY))
        await background.submit(BGAppRefreshTaskRequest("refresh", BEGIN + 5 * HOUR))
        await world.until(3 * 3600)
        assert identifiers(background) == ["power", "refresh"]
        world.sensors.set(external_power=True)
        await world.until(6 * 3600)
        assert await store.load() == []
    launched = dict(world.log)
    assert list(launched)[2:] == ["dated", "power", "refresh"]
    assert launched | {"power": 0.0} == {"network": 0, "past": 0, "dated": 7200, "power": 0, "refresh": 5 * 3600}
    assert 3 * 3600 <= launched["power"] <= 3 * 3600 + 60  # seen when the machine is looked at next
    assert len(world.told(RequestLaunched)) == 5


async def test_a_handlers_own_conditions_hold_too() -> None:
    world = World()
    world.sensors.set(battery=0.3)
    async with Scheduler(sensors=world.sensors) as scheduler:
        background = BGTaskScheduler(scheduler, now=world.now)
        background.register("a", noting(world), conditions=Conditions(least_battery=0.5))
        async with background:
            await background.submit(BGProcessingTaskRequest("a", requires_external_power=True))
            await world.until(500)
            assert world.log == []
            world.sensors.set(battery=0.6)
            await world.until(600)
    assert [name for name, _ in world.log] == ["a"]


async def test_no_more_launches_go_on_at_once_than_may() -> None:
    world = World()
    async with world.running({f"p{number}": noting(world, 60) for number in range(5)}) as background:
        for number in range(5):
            await background.submit(BGProcessingTaskRequest(f"p{number}"))
        await world.until(1000)
    assert sorted(world.log) == [("p0", 0), ("p1", 0), ("p2", 60), ("p3", 60), ("p4", 120)]


@pytest.mark.parametrize(
    ("requests", "refused", "code"),
    [
        ([BGProcessingTaskRequest(f"p{number}", BEGIN + DAY) for number in range(10)], BGProcessingTaskRequest("p10"), 2),
        ([BGAppRefreshTaskRequest("p0", BEGIN + DAY)], BGAppRefreshTaskRequest("p1"), 2),
        ([], BGProcessingTaskRequest("nobody's"), 3),
        ([], BGProcessingTaskRequest("p1", BEGIN + 8 * DAY), 3),
    ],
    ids=["the eleventh", "the second refresh", "never registered", "too far away"],
)
async def test_a_request_against_the_rules_changes_nothing(requests: list[BGTaskRequest], refused: BGTaskRequest, code: int) -> None:
    world, store = World(), MemoryRequestStore()
    async with world.running({f"p{number}": noting(world) for number in range(11)}, store) as background:
        for request in requests:
            await background.submit(request)
        with pytest.raises(BGTaskSchedulerError) as error:
            await background.submit(refused)
        assert error.value.code is BGTaskSchedulerErrorCode(code)
        assert background.get_pending_task_requests() == requests == [kept.request for kept in await store.load()]
        await world.until(100)
    assert world.log == []


async def test_of_many_that_submit_at_once_no_more_are_taken_than_may_wait() -> None:
    world, refused = World(), []

    async def submit(identifier: str) -> None:
        try:
            await background.submit(BGProcessingTaskRequest(identifier, BEGIN + DAY))
        except BGTaskSchedulerError:
            refused.append(identifier)

    names = [f"p{number}" for number in range(30)]
    async with world.running(dict.fromkeys(names, noting(world))) as background:
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(submit, name)
        assert (len(identifiers(background)), len(refused)) == (10, 20)


async def test_a_launched_request_waits_no_longer_and_leaves_room_for_another() -> None:
    world = World()

    async def again(task: BGTask) -> None:
        """As most handlers do: asks for the next launch first."""
        world.note(task.identifier)
        assert identifiers(background) == []
        await background.submit(BGAppRefreshTaskRequest("a", world.now() + HOUR))
        assert identifiers(background) == ["a"]
        await anyio.sleep(10)
        task.set_task_completed(True)

    async with world.running({"a": again}) as background:
        await background.submit(BGAppRefreshTaskRequest("a"))
        await world.until(3 * 3600 + 60)
        assert identifiers(background) == ["a"]
    assert world.log == [("a", 0), ("a", 3600), ("a", 7200), ("a", 10800)]


async def test_a_handler_is_not_launched_twice_at_once() -> None:
    world = World()
    async with world.running({"a": noting(world, 100)}) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(10)
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(500)
    assert world.log == [("a", 0), ("a", 100)]


@pytest.mark.parametrize(("before", "after"), [(2 * HOUR, HOUR), (HOUR, 2 * HOUR), (HOUR, None), (None, HOUR)])
async def test_the_same_identifier_replaces_what_is_pending(before: timedelta | None, after: timedelta | None) -> None:
    world, store = World(), MemoryRequestStore()
    world.sensors.set(external_power=False)
    async with world.running({"a": noting(world), "b": noting(world)}, store) as background:
        for delay in (before, timedelta(days=3), after):
            newest = BGProcessingTaskRequest("a", None if delay is None else BEGIN + delay, requires_external_power=delay == before)
            await background.submit(newest)
            await background.submit(BGProcessingTaskRequest("b", BEGIN + DAY))
        assert set(background.get_pending_task_requests()) == {kept.request for kept in await store.load()}
        assert newest in background.get_pending_task_requests()
        if after is not None:
            await background.submit(newest)  # its place is behind the others now
            assert identifiers(background) == ["b", "a"] == [kept.request.identifier for kept in await store.load()]
        await world.until(3 * 3600)
    assert world.log == [("a", 0 if after is None else after.total_seconds())]


async def test_what_is_cancelled_is_not_launched() -> None:
    world, store = World(), MemoryRequestStore()
    async with world.running({name: noting(world) for name in "abcd"}, store) as background:
        for name in "abcd":
            await background.submit(BGProcessingTaskRequest(name, BEGIN + HOUR))
        await background.cancel("b")
        await background.cancel("b")
        await background.cancel("nobody's")
        assert identifiers(background) == ["a", "c", "d"] == [kept.request.identifier for kept in await store.load()]
        assert background._scheduler.cancel("d")  # whoever cancels its job means the request
        await anyio.wait_all_tasks_blocked()
        assert identifiers(background) == ["a", "c"] == [kept.request.identifier for kept in await store.load()]
        await background.submit(BGProcessingTaskRequest("b", BEGIN + 2 * HOUR))
        await world.until(1.5 * 3600)
        await background.cancel_all_task_requests()
        assert identifiers(background) == [] == await store.load()
        await world.until(5 * 3600)
    assert sorted(name for name, _ in world.log) == ["a", "c"]


@pytest.mark.parametrize("said", [None, False, True])
async def test_a_launch_that_conditions_interrupt_is_repeated_when_they_hold_again(said: bool | None) -> None:
    world, store = World(), MemoryRequestStore()

    async def handler(task: BGTask) -> None:
        def expire() -> None:
            world.note(f"told: {task.expired}")
            if said is not None:
                task.set_task_completed(said)

        task.expiration_handler = expire
        world.note(f"{task.deadline - anyio.current_time():.0f} s")
        await anyio.sleep(60)
        task.set_task_completed(True)

    async with world.running({"a": handler}, store) as background:
        await background.submit(BGProcessingTaskRequest("a", requires_external_power=True))
        await world.until(10)
        world.sensors.set(external_power=False)
        await world.until(1000)
        assert await store.load() == ([] if said else [KeptRequest(BGProcessingTaskRequest("a", requires_external_power=True), 1)])
        assert identifiers(background) == ([] if said else ["a"])
        world.sensors.set(external_power=True)
        await world.until(2000)
        assert identifiers(background) == [] == await store.load()
        assert background.failures == {}
    notes = [what for what, _ in world.log]
    assert notes == ["180 s", f"told: {Expiry.CONDITIONS}"] + ["180 s"] * (said is not True)
    paused = [event.why.name for event in world.events if isinstance(event, JobPaused)]
    assert paused == ["CONDITIONS", *["TURN_ENDED"] * (said is not True)]


async def test_an_interrupted_launch_gives_way_to_a_newer_request_and_to_a_cancellation() -> None:
    world, store = World(), MemoryRequestStore()
    async with world.running({name: noting(world, 60) for name in "ab"}, store) as background:
        for name in "ab":
            await background.submit(BGProcessingTaskRequest(name, requires_external_power=True))
        await world.until(10)
        await background.submit(BGProcessingTaskRequest("a", BEGIN + HOUR))
        await background.cancel("b")
        world.sensors.set(external_power=False)
        await world.until(100)
        world.sensors.set(external_power=True)
        assert identifiers(background) == ["a"]
        await world.until(7200)
        assert await store.load() == []
    assert sorted(world.log) == [("a", 0), ("a", 3600), ("b", 0)]


@pytest.mark.parametrize(
    ("ahead", "launched"),
    [
        ([(1000, -1800)], 5400),  # set back by half an hour: the date is half an hour further away
        ([(3590, -1800)], 5400),  # just before, between two looks at the clock
        ([(1000, 1800)], 1800),
        ([(1000, 7200)], 1020),  # past its date: with the next look, each minute
        ([(1000, -1800), (2000, 1800)], 2040),  # it has just passed
        ([(1000, 0.5)], 3600),  # less than a second is not looked at: never early ...
        ([(1000, -0.5)], 3600.5),  # ... nor by less
        ([(500, -86400 * 6), (1000, 0)], 3600),
    ],
)
async def test_a_date_is_the_wall_clocks_even_when_that_is_set(ahead: list[tuple[float, float]], launched: float) -> None:
    world, store = World(), MemoryRequestStore()
    async with world.running({"a": noting(world)}, store) as background:
        await background.submit(BGProcessingTaskRequest("a", BEGIN + HOUR))
        for time, seconds in ahead:
            await world.until(time)
            world.wall = seconds
        await world.until(2 * 3600)
        assert await store.load() == []
    assert world.log == [("a", pytest.approx(launched, abs=0.6 if abs(ahead[0][1]) < 1 and ahead[0][1] > 0 else 0.001))]


async def test_why_speaks_of_requests() -> None:
    world = World()
    world.sensors.set(external_power=False)
    async with world.running({name: noting(world) for name in "ab"}) as background:
        await background.submit(BGProcessingTaskRequest("a", BEGIN + HOUR))
        await background.submit(BGProcessingTaskRequest("b", requires_external_power=True))
        await anyio.wait_all_tasks_blocked()
        assert "its time comes in 1 h" in str(background.why("a"))
        assert "external power: expected the machine to be plugged in, got it runs on battery" in str(background.why("b"))
        with pytest.raises(ValueError, match="'c'"):
            background.why("c")


async def test_launches_and_expirations_can_be_simulated() -> None:
    world, store = World(), MemoryRequestStore()
    world.sensors.set(external_power=False)

    async def handler(task: BGTask) -> None:
        task.expiration_handler = lambda: world.note(f"told: {task.expired}")
        world.note("launched")

    async with world.running({"a": handler}, store) as background:
        await background.submit(BGProcessingTaskRequest("a", BEGIN + DAY, requires_external_power=True))
        with pytest.raises(ValueError, match="'a': expected one that is launched, got none"):
            background.simulate_expiration("a")
        await world.until(5)
        await background.simulate_launch("a")
        with pytest.raises(ValueError, match="'a': expected one that is pending"):
            await background.simulate_launch("a")
        await world.until(50)
        background.simulate_expiration("a")
        await world.until(100)
        assert str(background.failures["a"]).startswith("background request 'a' was not completed: its time ran out")
        assert await store.load() == []
        await background.submit(BGProcessingTaskRequest("a", BEGIN + DAY))
    with pytest.raises(SchedulerClosed):
        await background.simulate_launch("a")
    assert world.log == [("launched", 5), ("told: Expiry.TIME", 50)]


async def test_a_launch_that_is_no_longer_to_come_is_waited_for_no_longer() -> None:
    world = World()
    async with world.running({name: noting(world, 60) for name in "ab"}, at_once=1) as background:
        for name in "ab":
            await background.submit(BGProcessingTaskRequest(name))
        await world.until(10)
        async with anyio.create_task_group() as group:
            group.start_soon(background.simulate_launch, "b")
            await anyio.wait_all_tasks_blocked()
            await background.cancel("b")
        await world.until(100)
    assert world.log == [("a", 0)]


async def test_a_request_has_a_forecast_once_a_launch_of_it_is_known() -> None:
    world = World()
    async with world.running({"a": noting(world, 40)}) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(100)
        await background.submit(BGProcessingTaskRequest("a", BEGIN + HOUR))
        found = background._scheduler.forecast("a")
        assert found.begin is not None and found.end is not None and found.seconds == pytest.approx(40)
        assert [moment.likely - found.time for moment in (found.begin, found.end)] == [pytest.approx(3500), pytest.approx(3540)]


async def test_handlers_are_registered_once_and_before() -> None:
    world = World()
    async with Scheduler() as scheduler:
        background = BGTaskScheduler(scheduler)
        background.register("a", noting(world))
        with pytest.raises(TypeError, match="'b': expected a function that takes the task, got 7"):
            background.register("b", 7)
        with pytest.raises(TypeError, match="'b': conditions: expected Conditions, got {'network': True}"):
            background.register("b", noting(world), conditions={"network": True})
        for identifier in ("", 7):
            with pytest.raises(ValueError, match=f"register: expected an identifier that is a non-empty string, got {identifier!r}"):
                background.register(identifier, noting(world))
        with pytest.raises(ValueError, match="'a': expected one that no handler is registered for"):
            background.register("a", noting(world))
        with pytest.raises(SchedulerClosed):
            await background.submit(BGProcessingTaskRequest("a"))
        async with background:
            with pytest.raises(SchedulerClosed, match="'b': expected a handler to be registered before the scheduler starts"):
                background.register("b", noting(world))
            with pytest.raises(SchedulerClosed, match="does not run yet"):
                async with background:
                    raise AssertionError("entered twice")
    with pytest.raises(SchedulerClosed):
        async with BGTaskScheduler(scheduler):
            raise AssertionError("on a scheduler that is closed")


async def test_a_wall_clock_without_a_zone_is_refused() -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(ValueError, match="now: expected times with a zone, got datetime"):
            async with BGTaskScheduler(scheduler, now=datetime.now):
                raise AssertionError("dates could not be compared with it")


async def test_another_one_on_the_same_scheduler_has_its_own_number_of_launches() -> None:
    world = World()
    async with Scheduler() as scheduler:
        for at_once in (1, 2):
            background = BGTaskScheduler(scheduler, now=world.now, at_once=at_once)
            for name in "abc":
                background.register(f"{name}{at_once}", noting(world, 10))
            async with background:
                for name in "abc":
                    await background.submit(BGProcessingTaskRequest(f"{name}{at_once}"))
                await world.until(at_once * 100)
    assert sorted(world.log) == [("a1", 0), ("a2", 100), ("b1", 10), ("b2", 100), ("c1", 20), ("c2", 110)]


async def test_requests_have_a_bound_of_their_own() -> None:
    world = World()
    async with Scheduler(most_waiting=1) as scheduler:
        background = BGTaskScheduler(scheduler, now=world.now)
        for name in "abc":
            background.register(name, noting(world))
        async with background:
            scheduler.submit(Job(identifier="job"))
            for name in "abc":
                await background.submit(BGProcessingTaskRequest(name, BEGIN + HOUR))
            with pytest.raises(SchedulerFull):
                scheduler.submit(Job(identifier="another job"))
            scheduler.cancel("job")
            scheduler.submit(Job(identifier="another job"))
        with pytest.raises(SchedulerFull):
            scheduler.submit(Job(identifier="job"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at_once": 0}, "at_once: expected a whole number above 0, got 0"),
        ({"at_once": 1.5}, "at_once: expected a whole number above 0, got 1.5"),
        ({"notice": 30.0}, "notice: expected seconds within those of a launch, got 30.0"),
        ({"notice": float("nan")}, "notice.*nan"),
        ({"processing_seconds": 0.0}, "notice"),
        ({"poll": 0}, "poll: expected seconds above 0, got 0"),
        ({"most_launches": 0}, "most_launches"),
    ],
)
async def test_times_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BGTaskScheduler(Scheduler(), **options)
    with pytest.raises(TypeError, match="expected a Scheduler .that of a runtime is runtime.scheduler., got 'runtime'"):
        BGTaskScheduler("runtime")


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_what_needs_no_time_is_the_same_on_every_loop(anyio_backend: str) -> None:
    world, store, done = World(), MemoryRequestStore(), anyio.Event()

    async def again(task: BGTask) -> None:
        world.note(task.identifier)
        if len(world.log) < 5:
            await background.submit(BGAppRefreshTaskRequest("a"))
            task.set_task_completed(False)
            raise OSError("on purpose")
        task.set_task_completed(True)
        done.set()

    def plain(task: BGTask) -> None:
        task.set_task_completed(False)

    async with world.running({"a": again, "b": plain, "c": plain}, store) as background:
        await background.submit(BGAppRefreshTaskRequest("a"))
        await background.submit(BGProcessingTaskRequest("b"))
        await background.submit(BGProcessingTaskRequest("c", BEGIN + DAY))
        await done.wait()
        await background.simulate_launch("c")
        await anyio.wait_all_tasks_blocked()
        assert await store.load() == []
        assert {name: str(why) for name, why in background.failures.items()} == {
            name: f"background request {name!r} was not completed: its handler said so" for name in "bc"
        }
    assert [name for name, _ in world.log] == ["a"] * 5
