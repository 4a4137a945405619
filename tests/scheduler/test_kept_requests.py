"""Background requests: what is kept of them, over restarts, interruptions and faults of the store. On a virtual clock."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from tailor.scheduler import (
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    BGTask,
    BGTaskScheduler,
    Job,
    KeptRequest,
    MemoryRequestStore,
    RequestGivenUp,
    RequestStoreError,
    RequestStoreFailed,
    Scheduler,
    SchedulerClosed,
    Surroundings,
)
from tailor.scheduler.testing import FaultyRequestStore
from tests.scheduler.launching import BEGIN, DAY, HOUR, World, identifiers, noting

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class SlowToNote(MemoryRequestStore):
    """Takes a second to note a launch; ``noting``: it has begun to."""

    def __init__(self) -> None:
        super().__init__()
        self.noting = anyio.Event()

    async def save(self, kept: KeptRequest) -> None:
        if kept.launches:
            self.noting.set()
            await anyio.sleep(1)
        await super().save(kept)


async def test_a_restart_finds_what_was_pending() -> None:
    world, store = World(), MemoryRequestStore()
    requests = [BGProcessingTaskRequest("a", BEGIN + HOUR, True), BGAppRefreshTaskRequest("b", BEGIN + 2 * HOUR)]
    async with world.running({name: noting(world) for name in "ab"}, store) as background:
        for request in requests:
            await background.submit(request)
    await world.until(1800)
    async with world.running({name: noting(world) for name in "abc"}, store) as background:
        assert background.get_pending_task_requests() == requests
        await background.submit(BGProcessingTaskRequest("c", BEGIN + 3 * HOUR))
        assert [(kept.request.identifier, kept.number) for kept in await store.load()] == [("a", 1), ("b", 2), ("c", 3)]
        await world.until(5 * 3600)
        assert await store.load() == []
    assert world.log == [("a", 3600), ("b", 7200), ("c", 10800)]


async def test_a_restart_in_the_middle_of_a_launch_repeats_it() -> None:
    world, store, died = World(), MemoryRequestStore(), MemoryRequestStore()

    async def handler(task: BGTask) -> None:
        world.note(task.identifier)
        for kept in await store.load():
            await died.save(kept)  # what a process that dies now leaves
        task.set_task_completed(True)

    async with world.running({"a": handler}, store) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(10)
    assert [kept.launches for kept in await died.load()] == [1] and await store.load() == []
    async with world.running({"a": noting(world)}, died):
        await world.until(20)
    assert await died.load() == []
    async with world.running({"a": noting(world)}, died):
        await world.until(30)
    assert world.log == [("a", 0), ("a", 10)]


async def test_a_task_that_is_completed_is_not_repeated_though_its_handler_goes_on() -> None:
    world, store = World(), MemoryRequestStore()

    async def handler(task: BGTask) -> None:
        task.set_task_completed(True)
        await anyio.sleep(33)
        world.note("tidied up")

    async with world.running({"a": handler}, store) as background:
        await background.submit(BGProcessingTaskRequest("a", requires_external_power=True))
        await world.until(10)
        assert await store.load() == []
        world.sensors.set(external_power=False)
        await world.until(40)
        world.sensors.set(external_power=True)
        await world.until(500)
    assert world.log == [("tidied up", 33)]


async def test_who_cancels_the_job_of_a_launch_ends_it_for_good() -> None:
    world, store = World(), MemoryRequestStore()

    async def handler(task: BGTask) -> None:
        task.expiration_handler = lambda: world.note(f"told: {task.expired}")
        await anyio.sleep_forever()

    async with world.running({"a": handler}, store) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(10)
        assert background._scheduler.cancel("a")
        await world.until(500)
        assert identifiers(background) == [] == await store.load()
    assert world.log == [("told: Expiry.CANCELLED", 10)]


async def test_conditions_that_worsen_while_the_launch_is_noted_interrupt_it() -> None:
    world = World()

    class Slow(MemoryRequestStore):
        async def save(self, kept: KeptRequest) -> None:
            if kept.launches and world.time == 0:
                background._scheduler.set_surroundings(Surroundings(external_power=False))
            await super().save(kept)

    async def handler(task: BGTask) -> None:
        world.note(f"{task.expired}")
        await anyio.sleep(60)
        task.set_task_completed(True)

    async with world.running({"a": handler}, Slow()) as background:
        await background.submit(BGProcessingTaskRequest("a", requires_external_power=True))
        await world.until(1)
        assert identifiers(background) == ["a"]
        await world.until(500)
        assert identifiers(background) == []
    assert [what for what, _ in world.log] == ["Expiry.CONDITIONS", "None"]


async def test_what_is_left_while_its_launch_is_noted_is_not_launched() -> None:
    world, store = World(), SlowToNote()

    def handler(task: BGTask) -> None:
        world.note("launched")

    async with world.running({"a": handler}, store) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await store.noting.wait()
    assert world.log == []
    assert await store.load() == [KeptRequest(BGProcessingTaskRequest("a"), 1)]


@pytest.mark.parametrize("noted", ["at the end", "at the next start"])
async def test_what_ended_is_not_launched_again_when_the_block_is_entered_again(noted: str) -> None:
    world, store = World(), FaultyRequestStore(MemoryRequestStore(), 3, 3 if noted == "at the end" else 4)
    async with Scheduler() as scheduler:
        background = BGTaskScheduler(scheduler, store, now=world.now)
        background.register("a", noting(world))
        for _ in range(2):
            async with background:
                if not world.log:
                    await background.submit(BGProcessingTaskRequest("a"))
                await world.until(world.time + 10)
            assert len(await store.load()) == (noted == "at the next start" and world.time < 15)
    assert world.log == [("a", 0)]


async def test_a_request_under_which_the_process_dies_again_and_again_is_given_up() -> None:
    world, store = World(), MemoryRequestStore()
    for name, launches in (("a", 2), ("b", 3)):
        await store.save(KeptRequest(BGProcessingTaskRequest(name), launches, launches=launches))
    async with world.running({name: noting(world) for name in "ab"}, store):
        await world.until(10)
        assert await store.load() == []
    assert world.log == [("a", 0)]
    assert world.told(RequestGivenUp) == ["background request 'b' was given up: the process ended during 3 launches in a row"]


async def test_what_nobody_has_registered_for_is_kept_and_says_so() -> None:
    world, store = World(), MemoryRequestStore()
    await store.save(KeptRequest(BGProcessingTaskRequest("old"), 1))
    async with world.running({"a": noting(world)}, store) as background:
        await world.until(1000)
        assert identifiers(background) == ["old"]
        assert str(background.why("old")) == "job 'old': no handler is registered for it (there are those for 'a'): it is kept"
        with pytest.raises(ValueError, match="'old': expected one that is pending and has a handler"):
            await background.simulate_launch("old")
    async with world.running({"old": noting(world)}, store):
        await world.until(1001)
        assert await store.load() == []
    assert world.log == [("old", 1000)]


@pytest.mark.parametrize("ask", ["submit", "cancel", "cancel_all"])
async def test_what_the_store_does_not_take_has_not_happened(ask: str) -> None:
    world, store = World(), FaultyRequestStore(MemoryRequestStore(), 2)
    async with world.running({name: noting(world) for name in "ab"}, store) as background:
        await background.submit(BGProcessingTaskRequest("a", BEGIN + HOUR))
        with pytest.raises(RequestStoreError, match="at change 2"):
            if ask == "submit":
                await background.submit(BGProcessingTaskRequest("b"))
            elif ask == "cancel":
                await background.cancel("a")
            else:
                await background.cancel_all_task_requests()
        assert identifiers(background) == ["a"]
        await world.until(7200)
    assert world.log == [("a", 3600)]


async def test_what_cannot_be_noted_is_launched_when_it_can() -> None:
    world, store = World(), FaultyRequestStore(MemoryRequestStore(), 2, 4)
    async with world.running({"a": noting(world)}, store) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(30)
        assert "the store of background requests has failed" in str(background.why("a"))
        await world.until(1000)
        assert await store.load() == []
    assert world.log == [("a", 180)]  # three times a minute later
    assert world.told(RequestStoreFailed)[0] == "background request 'a' could not be written down: on purpose, at change 2"


@pytest.mark.parametrize("asks_again", [False, True])
async def test_an_end_that_cannot_be_noted_is_noted_when_it_can_and_not_repeated(asks_again: bool) -> None:
    world, store = World(), FaultyRequestStore(MemoryRequestStore(), 3, 5)
    async with world.running({"a": noting(world)}, store) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await world.until(90)
        assert identifiers(background) == [] and len(await store.load()) == 1
        if asks_again:
            store._fails = range(0)
            await background.submit(BGProcessingTaskRequest("a", BEGIN + HOUR))
        await world.until(1800)
        assert len(await store.load()) == asks_again
        await world.until(7200)
        assert await store.load() == []
    assert world.log == [("a", 0), ("a", 3600)][: 1 + asks_again]


async def test_to_leave_is_to_call_the_expiration_handlers_and_to_keep_what_was_not_done() -> None:
    world, store = World(), MemoryRequestStore()

    async def handler(task: BGTask) -> None:
        done = anyio.Event()

        async def expire() -> None:
            world.note(f"{task.identifier}: {task.expired}")
            await anyio.sleep(3)
            if task.identifier == "a":
                task.set_task_completed(True)
            else:
                await background.submit(BGProcessingTaskRequest("b", BEGIN + DAY))  # the rest can be done tomorrow
            done.set()

        task.expiration_handler = expire
        await done.wait()

    async with world.running(dict.fromkeys("abc", handler), store) as background:
        for name in "abc":
            await background.submit(BGProcessingTaskRequest(name))
        await world.until(10)
    assert sorted(world.log) == [("a: Expiry.LEFT", 10), ("b: Expiry.LEFT", 10)]  # "c" waits for a place
    assert world.time == 15  # "b" does not say that it is done: it is waited for as long as it may take
    kept = await store.load()
    assert [one.request for one in kept] == [BGProcessingTaskRequest("c"), BGProcessingTaskRequest("b", BEGIN + DAY)]
    assert [one.launches for one in kept] == [0, 0]
    with pytest.raises(SchedulerClosed):
        await background.submit(BGProcessingTaskRequest("a"))


@pytest.mark.parametrize("how", ["raises", "is cancelled"])
async def test_where_the_block_fails_handlers_are_cancelled_and_requests_kept(how: str) -> None:
    world, store = World(), MemoryRequestStore()

    async def handler(task: BGTask) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            world.note("cancelled")

    with anyio.CancelScope() as scope:
        try:
            async with world.running({"a": handler}, store) as background:
                await background.submit(BGProcessingTaskRequest("a"))
                await world.until(10)
                if how == "raises":
                    raise KeyError("the block's own")
                scope.cancel()
                await anyio.sleep_forever()
        except KeyError:
            assert how == "raises"
    assert scope.cancelled_caught == (how == "is cancelled")
    assert world.log == [("cancelled", 10)]
    assert [kept.launches for kept in await store.load()] == [0]


async def test_who_cancels_the_job_while_its_launch_is_noted_ends_it_for_good() -> None:
    world, store = World(), SlowToNote()

    async def handler(task: BGTask) -> None:
        world.note(f"{task.expired}")
        await anyio.sleep_forever()

    async with world.running({"a": handler}, store) as background:
        await background.submit(BGProcessingTaskRequest("a"))
        await store.noting.wait()
        assert background._scheduler.cancel("a")
        await world.until(50)
        assert identifiers(background) == [] == await store.load() and "0 launched" in repr(background)
    assert world.log == [("Expiry.CANCELLED", 1)]


async def test_who_is_cancelled_while_a_request_is_kept_leaves_memory_and_store_alike() -> None:
    class Slow(MemoryRequestStore):
        async def save(self, kept: KeptRequest) -> None:
            await super().save(kept)
            await anyio.sleep(10)

    world, store = World(), Slow()
    async with world.running({"a": noting(world)}, store) as background:
        with anyio.move_on_after(5):
            await background.submit(BGProcessingTaskRequest("a", BEGIN + HOUR))
        assert identifiers(background) == [kept.request.identifier for kept in await store.load()] == ["a"]
        await world.until(7200)
    assert world.log == [("a", 3610)]  # noting its launch takes ten seconds, too


async def test_what_is_completed_at_the_moment_at_which_all_is_cancelled_is_done() -> None:
    world, store = World(), MemoryRequestStore()

    async def handler(task: BGTask) -> None:
        world.note("launched")
        task.set_task_completed(True)
        scope.cancel()

    with anyio.CancelScope() as scope:
        async with world.running({"a": handler}, store) as background:
            await background.submit(BGProcessingTaskRequest("a"))
            await anyio.sleep_forever()
    assert world.log == [("launched", 0)] and await store.load() == []


async def test_an_identifier_that_a_job_has_is_waited_for() -> None:
    world, store = World(), MemoryRequestStore()
    await store.save(KeptRequest(BGProcessingTaskRequest("a"), 1))
    async with Scheduler() as scheduler:
        scheduler.submit(Job(identifier="a"))
        scheduler.submit(Job(identifier="b"))
        background = BGTaskScheduler(scheduler, store, now=world.now)
        background.register("a", noting(world))
        background.register("b", noting(world))
        assert world.time == 0
        async with background:
            with pytest.raises(ValueError, match="'b': expected an identifier that no job of the scheduler has"):
                await background.submit(BGProcessingTaskRequest("b"))
            await world.until(90)
            scheduler.cancel("a")
            await world.until(1000)
            assert await store.load() == []
    assert world.log == [("a", 120)]
