"""Predictions side by side: who waits, for how long, who may leave, and who is let in."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from trio.testing import MockClock

from tailor import MLBatching, MLBusyError, MLModel, MLParameterError, MLTaskStateError
from tailor.runtime.batching import PredictionBatches
from tailor.runtime.network import asked_to_stop
from tailor.scheduler import Priority, ThreadLane
from tailor.scheduler.testing import InlineLane
from tests.tasks.batches import HeldLane, Own, asked, batches, own_model

pytestmark = pytest.mark.anyio


async def test_who_is_cancelled_leaves_and_the_others_are_answered(own: Own) -> None:
    """Out of the batch at work, and while it is at work."""
    model, lane = own_model(), HeldLane()
    outcomes: dict[int, Any] = {}
    scopes = [anyio.CancelScope() for _ in range(8)]

    async def client(number: int) -> None:
        with scopes[number]:
            outcomes[number] = await asked(made, model, {"x": float(number)})

    async with batches(lane, most=4) as made, anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(client, number)
            await anyio.wait_all_tasks_blocked()
        lane.release()  # the first, alone: the next four have their turn
        await anyio.wait_all_tasks_blocked()
        for number in (1, 4, 6):
            scopes[number].cancel()
        await anyio.wait_all_tasks_blocked()
        lane.release(for_good=True)
    assert outcomes == {number: {"y": 2.0 * number} for number in (0, 2, 3, 5, 7)}
    assert own.counts == [1, 2, 2]


async def test_where_all_have_left_the_prediction_is_stopped(own: Own) -> None:
    """A real thread, for what it looks at is set by another one."""
    model = own_model()
    begun, stopped = threading.Event(), threading.Event()

    def long(x: Any) -> None:
        stop = asked_to_stop()
        assert stop is not None
        begun.set()
        while not stop():
            pass
        stopped.set()

    own.before = long
    async with batches(ThreadLane()) as made, anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(asked, made, model, {"x": float(number)})
        while not begun.is_set():
            await checkpoint()
        assert not stopped.is_set()
        group.cancel_scope.cancel()
    assert stopped.is_set()


async def test_a_storm_of_cancellations_leaves_nothing_behind(own: Own) -> None:
    model, outcomes, chance = own_model(), {}, random.Random(4)
    leaving = set(chance.sample(range(400), 240))
    before = set(threading.enumerate())

    async def client(number: int) -> None:
        for _ in range(chance.randrange(5)):
            await checkpoint()
        with anyio.CancelScope() as scope:
            if number in leaving:
                group.start_soon(leave, scope)
            outcomes[number] = await asked(made, model, {"x": float(number)})

    async def leave(scope: anyio.CancelScope) -> None:
        for _ in range(chance.randrange(8)):
            await checkpoint()
        scope.cancel()

    async with batches(InlineLane(), most=8, most_waiting=100) as made, anyio.create_task_group() as group:
        for number in range(400):
            group.start_soon(client, number)
    assert outcomes.keys() >= set(range(400)) - leaving
    assert all(outcome == {"y": 2.0 * number} for number, outcome in outcomes.items())
    assert set(threading.enumerate()) <= before  # those that others left may end meanwhile


async def test_where_the_runtime_is_cancelled_who_waits_outside_is_told_so(own: Own) -> None:
    model, lane = own_model(), HeldLane()
    outcomes: list[Any] = []

    async def client(number: int) -> None:
        outcomes.append(await asked(made, model, {"x": float(number)}))

    async with anyio.create_task_group() as outside:
        with anyio.CancelScope() as scope:
            async with batches(lane, most=2) as made:
                for number in range(5):
                    outside.start_soon(client, number)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
    assert own.counts == []
    assert [type(outcome) for outcome in outcomes] == [MLTaskStateError] * 5
    assert str(outcomes[0]) == "prediction: expected a runtime that stays open until it is made, got one that was closed"
    assert type(await asked(made, model, {"x": 1.0})) is MLTaskStateError
    assert made._lines == {}


@pytest.mark.parametrize("refuses", [False, True])
async def test_more_than_may_wait_wait_for_room_or_are_refused(refuses: bool, own: Own) -> None:
    model, lane = own_model(), HeldLane()
    computed: list[int] = []
    refused: list[str] = []
    own.before = computed.extend

    async def client(number: int) -> None:
        try:
            assert await made.prediction(model, {"x": float(number)}, Priority.USER_INTERACTIVE) == {"y": 2.0 * number}
        except MLBusyError as error:
            refused.append(str(error))

    async with batches(lane, most=2, most_waiting=3, refuses=refuses) as made, anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(client, number)
            await anyio.wait_all_tasks_blocked()
        assert [line.examples for line in made._lines.values()] == [2]  # one is at work, and nobody else has been let in
        lane.release(for_good=True)
    assert sorted(computed) == list(range(3 if refuses else 8))
    assert all(abs(place - number) < 2 for place, number in enumerate(computed))  # trio wakes those of one moment in any order
    assert refused == ["prediction: expected no more than 3 that wait, got one more"] * (5 if refuses else 0)


async def test_priorities_and_models_do_not_wait_for_each_other(own: Own) -> None:
    models, order = [own_model(), own_model()], []

    async def run(work: Callable[[], None], model: MLModel, priority: Priority) -> None:
        order.append((models.index(model), priority))
        work()

    async with anyio.create_task_group() as group:
        made = PredictionBatches(MLBatching(), group, run)
        async with anyio.create_task_group() as clients:
            for _ in range(3):
                for model in models:
                    for priority in (Priority.BACKGROUND, Priority.USER_INTERACTIVE):
                        clients.start_soon(asked, made, model, {"x": 1.0}, priority)
    assert sorted(order) == [(model, priority) for model in (0, 1) for priority in (Priority.BACKGROUND, Priority.USER_INTERACTIVE)]
    assert own.counts == [3] * 4


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"most": 0}, "most: expected a whole number of at least 1, got 0"),
    ({"most": 2.0}, r"most: expected a whole number of at least 1, got 2\.0"),
    ({"most_waiting": True}, "most_waiting: expected a whole number of at least 1, got True"),
    ({"wait": -1}, "wait: expected seconds, 0 or more, got -1"),
    ({"wait": float("inf")}, "wait: expected seconds, 0 or more, got inf"),
    ({"wait": "2 ms"}, "wait: expected seconds, 0 or more, got '2 ms'"),
    ({"refuses": "no"}, "refuses: expected True or False, got 'no'"),
]


@pytest.mark.parametrize(("fields", "told"), BAD_FIELDS)
def test_what_cannot_be_is_refused_at_once(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(MLParameterError, match=f"^batching: {told}$"):
        MLBatching(**fields)


class SlowLane(InlineLane):
    """Each piece of work takes a second of the test's clock."""

    async def run(self, work: Callable[[], Any]) -> Any:
        await anyio.sleep(1.0)
        return await super().run(work)


# how long the first may wait, examples in a batch, when predictions are asked for -> when they are answered
TIMES: dict[str, tuple[float, int, list[float], list[float]]] = {
    "nobody waits for nobody": (0.0, 8, [0.0], [1.0]),
    "who comes while a batch is at work is in the next": (0.0, 8, [0.0, 0.2, 0.9, 1.1], [1.0, 2.0, 2.0, 3.0]),
    "the first waits for others": (0.5, 8, [0.0], [1.5]),
    "no longer, whoever comes": (0.5, 8, [0.0, 0.3, 0.4], [1.5, 1.5, 1.5]),
    "not once the batch is full": (0.5, 2, [0.0, 0.3], [1.3, 1.3]),
    "the time behind a batch at work counts": (0.5, 8, [0.0, 0.6, 1.4], [1.5, 2.5, 2.5]),
    "and what is left of it is waited": (0.5, 8, [0.0, 1.3, 1.7, 1.9], [1.5, 2.8, 2.8, 3.8]),
}


@pytest.mark.parametrize("anyio_backend", [pytest.param(("trio", {"clock": MockClock(autojump_threshold=0)}), id="trio")])
@pytest.mark.parametrize("case", TIMES)
async def test_nobody_waits_longer_than_allowed(case: str, own: Own) -> None:
    """On a virtual clock, which asyncio does not have."""
    wait, most, arrivals, expected = TIMES[case]
    model, lane = own_model(), SlowLane()
    answered = [0.0] * len(arrivals)
    begin = anyio.current_time()

    async def client(number: int) -> None:
        await anyio.sleep(arrivals[number])
        assert await made.prediction(model, {"x": 1.0}, Priority.USER_INTERACTIVE) == {"y": 2.0}
        answered[number] = anyio.current_time() - begin

    async with batches(lane, most=most, wait=wait) as made, anyio.create_task_group() as group:
        for number in range(len(arrivals)):
            group.start_soon(client, number)
    assert answered == pytest.approx(expected)


@pytest.mark.parametrize("anyio_backend", [pytest.param(("trio", {"clock": MockClock(autojump_threshold=0)}), id="trio")])
async def test_who_waits_for_others_and_is_cancelled_is_not_waited_for(own: Own) -> None:
    model = own_model()
    begin = anyio.current_time()
    async with batches(InlineLane(), wait=60.0) as made:
        with anyio.move_on_after(1.0):
            await made.prediction(model, {"x": 1.0}, Priority.USER_INTERACTIVE)
    assert anyio.current_time() - begin == pytest.approx(1.0)
    assert own.counts == []
