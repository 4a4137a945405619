"""Updates and predictions of a runtime, as its scheduler gives them their turns."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import numpy as np
import pytest

from tailor import (
    MLBatchProvider,
    MLCheckpoints,
    MLModelConfiguration,
    MLModelError,
    MLParameterError,
    MLTaskCancelledError,
    MLTaskState,
    MLTaskStateError,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateTask,
    Runtime,
    read_checkpoint,
)
from tailor import MLParameterKey as Key
from tailor.runtime import MLScheduling
from tailor.scheduler import AcceleratorLane, Budget, Conditions, Job, LaneLost, Priority, Retry, Stint, Surroundings, ThreadLane
from tailor.scheduler.testing import FakeSensors, InlineLane
from tests.tasks.models import regression_model, regression_provider
from tests.tasks.resumable import BATCH, COUNT, EPOCHS, adam, handled

pytestmark = pytest.mark.anyio

Result = TypeVar("Result")
SEEDED = MLModelConfiguration(parameters={Key.SEED: 3})
STEPS = EPOCHS * -(-COUNT // BATCH)


def update(runtime: Runtime | None = None, scheduling: MLScheduling | None = None, **fields: Any) -> MLUpdateTask:
    provider = fields.pop("provider", None) or regression_provider()
    return MLUpdateTask(adam(), provider, SEEDED, runtime=runtime, scheduling=scheduling, **fields)


async def undisturbed() -> bytes:
    """The model after an update that nothing happens to."""
    return (await update()).model.to_bytes()


def quiet(**fields: Any) -> Runtime:
    """A runtime of one lane on the event loop, that nobody tells of the machine."""
    return Runtime(**{"lane": InlineLane(), "cores": 1, "sensors": FakeSensors(), **fields})


@asynccontextmanager
async def busy(runtime: Runtime) -> AsyncIterator[Stint]:
    """The runtime's one lane is taken meanwhile."""
    ticket = runtime.scheduler.submit(Job(identifier="busy"))
    async with ticket.turn() as turn:
        yield turn
    ticket.finish()


async def waits(*tasks: MLUpdateTask) -> None:
    """Returns when the tasks wait for their turns."""
    await anyio.wait_all_tasks_blocked()
    assert [task.state for task in tasks] == [MLTaskState.RUNNING] * len(tasks)


class FaultyLane(InlineLane):
    """Loses the stretches of which ``lost`` gives the numbers, before they have begun."""

    def __init__(self, lost: Callable[[int], bool]) -> None:
        super().__init__()
        self.runs = 0
        self._lost = lost

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns."""
        self.runs += 1
        if self._lost(self.runs):
            raise LaneLost(f"worker {self.runs} died")
        return await super().run(work)


class FaultyProvider:
    """Examples whose reading fails as often as ``errors`` says, once learning has begun."""

    def __init__(self, errors: list[Exception]) -> None:
        self._provider: MLBatchProvider = regression_provider()
        self._errors = errors
        self.armed = False

    @property
    def count(self) -> int:
        """How many there are."""
        return self._provider.count

    def features_at(self, index: int) -> Any:
        """One of them."""
        if self.armed and self._errors:
            raise self._errors.pop()
        return self._provider.features_at(index)


# Order


async def test_tasks_go_in_the_order_of_their_priorities() -> None:
    ended: list[str] = []
    async with quiet() as runtime:
        tasks = {}
        for name, scheduling in [
            ("old", MLScheduling()),
            ("idle", MLScheduling(priority=Priority.BACKGROUND)),
            ("due", MLScheduling(deadline=anyio.current_time() + 1e6)),
            ("wanted", MLScheduling(priority=Priority.USER_INITIATED)),
        ]:
            tasks[name] = update(runtime, scheduling, completion_handler=lambda context, name=name: ended.append(name))
        async with busy(runtime):
            for task in tasks.values():
                task.resume()
            await waits(*tasks.values())
    assert ended == ["wanted", "due", "old", "idle"]


async def test_predictions_go_before_updates() -> None:
    told: list[str] = []
    model = regression_model()
    x = np.array([1.0, -1.0], np.float32)
    async with quiet() as runtime, anyio.create_task_group() as group:

        async def predict() -> None:
            answer = await runtime.prediction(model, {"x": x})
            assert answer["y"] == pytest.approx(model.predict({"x": x})["y"])
            told.append("prediction")

        async with busy(runtime):
            task = update(runtime, completion_handler=lambda context: told.append("update"))
            task.resume()
            await waits(task)
            group.start_soon(predict)
            await anyio.wait_all_tasks_blocked()
        await task
    assert told == ["prediction", "update"]


async def test_a_prediction_that_cannot_be_is_an_error_of_the_family() -> None:
    async with quiet() as runtime:
        for scheduling, message in [
            (MLScheduling(lanes=["gpu7"]), "prediction: .*lanes: expected one of 'cpu'.*got 'gpu7'"),
            (MLScheduling(budget=Budget(steps=0)), "prediction: .*budget: expected room for one step"),
        ]:
            with pytest.raises(MLTaskStateError, match=message):
                await runtime.prediction(regression_model(), {"x": np.zeros(2, np.float32)}, scheduling=scheduling)
        with pytest.raises(MLModelError):
            await runtime.prediction(regression_model(), {"x": np.zeros(3, np.float32)})
        assert runtime.scheduler.waiting == 0


class FullLane(AcceleratorLane[Any]):
    """Of a device that never has the memory."""

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Nothing."""
        self.runs += 1
        raise LaneLost("gpu7 has too little memory")


async def test_a_prediction_that_no_device_has_room_for_ends() -> None:
    model, x = regression_model(), {"x": np.zeros(2, np.float32)}
    lane = FullLane()
    async with quiet(lanes={"gpu7": lane}) as runtime:
        with pytest.raises(MLTaskStateError, match="prediction: gpu7 has too little memory"):
            await runtime.prediction(model, x, scheduling=MLScheduling(lanes=["gpu7"]))
        assert lane.runs == 4
        answer = await runtime.prediction(model, x, scheduling=MLScheduling(lanes=["gpu7", "cpu"]))
        assert answer["y"] == pytest.approx(model.predict(x)["y"]) and lane.runs == 5


async def test_no_more_tasks_of_a_tag_are_at_work_than_may() -> None:
    most: dict[int, int] = {}
    for limit in (1, 2):
        lane = ThreadLane(2)
        async with quiet(lane=lane, cores=2, limits={"user": limit}) as runtime:
            seen = []
            handler = handled(lambda context, seen=seen, runtime=runtime: seen.append(runtime.scheduler.dispatcher.tagged["user"]))
            for _ in range(3):
                update(runtime, MLScheduling(tags=frozenset({"user"})), progress_handlers=handler).resume()
        most[limit] = max(seen)
    assert most[1] <= 1 and most[2] <= 2 and len(seen) == 3 * STEPS


async def test_a_task_comes_after_others() -> None:
    ended: list[int] = []
    async with quiet() as runtime:
        first = update(runtime, completion_handler=lambda context: ended.append(1))
        second = update(runtime, MLScheduling(after=[first]), completion_handler=lambda context: ended.append(2))
        third = update(runtime, MLScheduling(after=[first, second]), completion_handler=lambda context: ended.append(3))
        third.resume()
        second.resume()
        await waits(second, third)
        assert ended == []
        await first
        await third
        assert ended == [1, 2, 3]
        late = update(runtime, MLScheduling(after=[first, third]))
        assert (await late).task is late


async def test_a_task_that_comes_after_one_that_fails_fails() -> None:
    async with quiet() as runtime:
        first = update(runtime)
        second = update(runtime, MLScheduling(after=[first]))
        third = update(runtime, MLScheduling(after=[second]))
        never = update(runtime, MLScheduling(after=[first]))
        third.resume()
        second.resume()
        await waits(second, third)
        first.cancel()
        for task, other in [(second, first), (third, second)]:
            with pytest.raises(MLUpdateError, match=f"comes after '{other.task_identifier}', which did not end well"):
                await task
        for _ in range(2):
            with pytest.raises(MLTaskStateError, match=r"after: expected tasks that end well, got .*cancelled"):
                never.resume()
        assert never.state is MLTaskState.SUSPENDED
        unknown = update(runtime)
        unknown.cancel()  # before anybody but its owner knew of it
        with pytest.raises(MLTaskStateError, match=r"after: expected tasks that end well"):
            await update(runtime, MLScheduling(after=[unknown]))
    async with quiet() as other_runtime:
        with pytest.raises(MLTaskStateError, match="after: expected tasks of its own runtime"):
            update(other_runtime, MLScheduling(after=[update(runtime)])).resume()


# While it waits


async def test_a_task_that_waits_for_its_turn_is_suspended_asked_and_changed_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "c"
    rates: list[Any] = []
    async with quiet() as runtime:
        task = update(
            runtime,
            checkpoints=MLCheckpoints(path),
            progress_handlers=handled(lambda context: rates.append(context.parameters[Key.LEARNING_RATE])),
        )
        async with busy(runtime):
            task.resume()
            await waits(task)
            assert (await task.checkpoint()).progress["cursor"] == 0
            task.suspend()
            task.resume()  # before it has heard of it
            await waits(task)
            task.suspend()
            assert await task.paused() is MLTaskState.SUSPENDED
            assert not path.exists()  # nothing had begun
            task.resume()
            await waits(task)
            task.resume(with_parameters={Key.LEARNING_RATE: 0.5})
            assert (await task.checkpoint()).progress["parameters"]["learningRate"] == 0.5  # type: ignore[index, call-overload]
            await waits(task)
        await task
    assert rates == [0.5] * STEPS


async def test_a_task_that_waits_for_its_turn_is_cancelled_at_once() -> None:
    async with quiet() as runtime:
        async with busy(runtime):
            task, other = update(runtime), update(runtime)
            task.resume()
            await waits(task)
            task.cancel()
            with pytest.raises(MLTaskCancelledError):
                await task
            with anyio.CancelScope() as scope:
                other.resume()
                await waits(other)
                scope.cancel()
                await other
            assert scope.cancelled_caught and other.state is MLTaskState.FAILED
        assert len(runtime.scheduler.dispatcher) == 0
        await update(runtime)


async def test_a_task_is_awaited_from_several_places_and_has_one_end() -> None:
    ends: list[bytes] = []
    async with quiet() as runtime, anyio.create_task_group() as group:
        task = update(runtime)

        async def wait() -> None:
            ends.append((await task).model.to_bytes())

        async with busy(runtime):
            for _ in range(3):
                group.start_soon(wait)
            await waits(task)
    assert ends == [await undisturbed()] * 3


async def test_handlers_hold_no_lane() -> None:
    async with quiet() as runtime:
        other = update(runtime)

        async def handler(context: MLUpdateContext) -> None:
            await other  # on the same one lane

        await update(runtime, progress_handlers=handled(handler))
        assert other.state is MLTaskState.COMPLETED


async def test_a_runtime_is_left_with_tasks_that_are_suspended_and_entered_again() -> None:
    runtime = quiet()
    expected = await undisturbed()
    async with runtime:
        seen: list[int] = []

        def handler(context: MLUpdateContext) -> None:
            seen.append(1)
            if len(seen) == 4:
                context.task.suspend()

        task = update(runtime, MLScheduling(budget=Budget(steps=STEPS)), progress_handlers=handled(handler))
        task.resume()
    assert (task.state, len(seen)) == (MLTaskState.SUSPENDED, 4)
    with pytest.raises(MLTaskStateError, match="got one that is closed"):
        task.resume()
    async with runtime:
        task.resume()
        assert (await task).model.to_bytes() == expected
    assert len(seen) == STEPS


# Conditions and budgets


async def test_a_task_works_while_its_conditions_hold() -> None:
    sensors = FakeSensors(Surroundings(external_power=False))
    seen: list[int] = []
    async with quiet(sensors=sensors) as runtime:

        def handler(context: MLUpdateContext) -> None:
            seen.append(1)
            if len(seen) == 3:
                runtime.scheduler.set_surroundings(Surroundings(external_power=False))

        task = update(runtime, MLScheduling(conditions=Conditions(external_power=True)), progress_handlers=handled(handler))
        task.resume()
        await waits(task)
        assert seen == []
        runtime.scheduler.set_surroundings(Surroundings(external_power=True))
        await waits(task)
        assert len(seen) == 3
        runtime.scheduler.set_surroundings(Surroundings(external_power=True))
        assert (await task).model.to_bytes() == await undisturbed()


async def test_a_task_whose_budget_is_used_up_goes_on_with_another_one(tmp_path: Path) -> None:
    path, seen = tmp_path / "c", []
    async with quiet() as runtime:
        task = update(
            runtime,
            MLScheduling(budget=Budget(steps=4)),
            checkpoints=MLCheckpoints(path),
            progress_handlers=handled(lambda context: seen.append(1)),
        )
        task.resume()
        assert await task.paused() is MLTaskState.SUSPENDED
        assert len(seen) == 4 and read_checkpoint(path).progress["epoch"] == 1
        task.resume()  # with nothing more
        assert await task.paused() is MLTaskState.SUSPENDED and len(seen) == 4
        task.resume(budget=Budget(steps=3))
        assert await task.paused() is MLTaskState.SUSPENDED and len(seen) == 7
        async with busy(runtime):
            task.resume(budget=Budget(steps=0))
            task.resume(budget=Budget(steps=STEPS))  # before it has paused
            await waits(task)
        assert (await task).model.to_bytes() == await undisturbed()
    assert len(seen) == STEPS
    with pytest.raises(MLTaskStateError, match="budget: expected a task with a runtime"):
        update().resume(budget=Budget())
    async with quiet() as runtime:
        task = update(runtime)
        with pytest.raises(MLTaskStateError, match="budget: expected Budget, got 3"):
            task.resume(budget=3)  # type: ignore[arg-type]
        assert task.state is MLTaskState.SUSPENDED


async def test_a_deadline_that_is_past_leaves_a_task_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c"
    async with quiet() as runtime:
        task = update(runtime, MLScheduling(budget=Budget(deadline=anyio.current_time() - 1.0)), checkpoints=MLCheckpoints(path))
        task.resume()
        assert await task.paused() is MLTaskState.SUSPENDED and not path.exists()
        task.resume(budget=Budget())
        assert (await task).model.to_bytes() == await undisturbed()


# What goes wrong under it


@pytest.mark.parametrize("most", [0, 2, 9])
async def test_a_task_goes_on_after_its_lane_was_lost_and_fails_where_that_happens_too_often(most: int) -> None:
    rng = np.random.default_rng(most)
    lost = set(rng.choice(range(1, 16), size=9, replace=False).tolist())
    lane = FaultyLane(lost.__contains__)
    async with quiet(lane=lane) as runtime:
        task = update(runtime, MLScheduling(most_losses=most), progress_handlers=handled(lambda context: None))
        if most == 9:
            assert (await task).model.to_bytes() == await undisturbed()
        else:
            number = sorted(lost)[most]
            with pytest.raises(MLUpdateError, match=f"lost what it ran on {most + 1} times, the last time: worker {number} died") as failed:
                await task
            assert isinstance(failed.value.__cause__, LaneLost)
        assert runtime.scheduler.dispatcher.tally.lost == min(most + 1, 9)


@pytest.mark.parametrize("errors", [2, 3])
async def test_what_cannot_be_read_is_read_again(errors: int) -> None:
    provider = FaultyProvider([OSError("the disk is away")] * errors)

    def handler(context: MLUpdateContext) -> None:
        provider.armed = True

    async with quiet() as runtime:
        task = update(
            runtime, MLScheduling(retry=Retry(attempts=3, first=0.0)), provider=provider, progress_handlers=handled(handler),
        )  # fmt: skip
        if errors == 2:
            assert (await task).model.to_bytes() == await undisturbed()
        else:
            with pytest.raises(MLModelError, match="the disk is away"):
                await task
    plain = FaultyProvider([OSError("the disk is away")])
    plain.armed = True
    with pytest.raises(MLModelError, match="the disk is away"):
        await update(provider=plain)


# What makes no sense


BAD: list[tuple[dict[str, Any], str]] = [
    ({"priority": 9}, "priority: expected one of BACKGROUND, .*got 9"),
    ({"deadline": math.nan}, "deadline: expected seconds on the scheduler's clock, got nan"),
    ({"not_before": math.nan}, "not_before.*nan"),
    ({"deadline": "soon"}, "deadline: expected seconds on the scheduler's clock, got 'soon'"),
    ({"after": None}, "after: expected a list of tasks, got None"),
    ({"budget": 3}, "budget: expected Budget, got 3"),
    ({"conditions": "power"}, "conditions: expected Conditions, got 'power'"),
    ({"tags": "user"}, "tags: expected non-empty strings, got 'user'"),
    ({"lanes": "cpu"}, "lanes: expected"),
    ({"lanes": 3}, "lanes: expected a list of names, got 3"),
    ({"lanes": [""]}, "lanes: expected non-empty strings"),
    ({"lanes": []}, "lanes: expected at least one"),
    ({"after": ["task"]}, "after: expected a list of tasks, got \\['task'\\]"),
    ({"retry": 3}, "retry: expected Retry or None, got 3"),
    ({"most_losses": -1}, "most_losses: expected a whole number of at least 0, got -1"),
    ({"most_losses": True}, "most_losses: expected a whole number of at least 0, got True"),
    ({"share": None}, "share: expected"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
async def test_a_scheduling_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(MLParameterError, match=message):
        MLScheduling(**fields)


async def test_a_scheduling_needs_a_runtime_that_can_follow_it() -> None:
    with pytest.raises(MLTaskStateError, match="expected a runtime as well"):
        update(None, MLScheduling())
    with pytest.raises(MLTaskStateError, match="scheduling: expected MLScheduling, got dict"):
        update(None, {"priority": 1})  # type: ignore[arg-type]
    async with quiet(most_waiting=1) as runtime:
        task = update(runtime, MLScheduling(lanes=["gpu7"]))
        with pytest.raises(MLTaskStateError, match="lanes: expected one of 'cpu'.*got 'gpu7'"):
            task.resume()
        assert task.state is MLTaskState.SUSPENDED
        async with busy(runtime):
            first, second = update(runtime), update(runtime)
            first.resume()
            with pytest.raises(MLTaskStateError, match="expected fewer than 1 jobs that wait, got 1"):
                second.resume()
            assert second.state is MLTaskState.SUSPENDED
        await first
        await second
