"""Updates that learn in worker processes, which are real ones: the same bits as in a thread, whatever happens on the way.

All tests of a backend share a lane, for a worker takes a second to start. What waits here waits for a process, never for a time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLCheckpoints,
    MLFeatureError,
    MLModel,
    MLModelConfiguration,
    MLScheduling,
    MLTaskCancelledError,
    MLTaskState,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateGuard,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    Runtime,
    read_checkpoint,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.runtime.format import NeuralNetworkBuilder, array_feature, make_pipeline
from tailor.runtime.update.in_process import InProcess
from tailor.runtime.update.position import Position
from tailor.runtime.update.stretch import Bounds
from tailor.runtime.update.training import Training
from tailor.runtime.update.workplace import InThread, Workplace
from tailor.scheduler import Budget, LaneLost, ProcessLane, ThreadLane
from tests.tasks.models import regression_model, regression_provider
from tests.tasks.resumable import CASES, EPOCHS, adam, handled

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name == "nt", reason="processes are killed by signals")]

AWAY = MLScheduling(lanes=("process",))


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of all tests, and of the lane that they share."""
    backend: str = request.param
    return backend


@pytest.fixture(scope="module")
async def lane(anyio_backend: str) -> AsyncIterator[ProcessLane]:
    async with ProcessLane() as lane:
        yield lane


class Watched(MLArrayBatchProvider):
    """Counts what is read of it, and where; ``spoiled`` is an example that cannot be."""

    def __init__(self, examples: Any, spoiled: int | None = None) -> None:
        super().__init__(examples)
        self.read: list[tuple[int, int]] = []
        self.spoiled = spoiled

    def asked(self) -> list[int]:
        """The examples that were read, in that order."""
        return [index for _, index in self.read]

    def features_at(self, index: int) -> Mapping[str, object]:
        self.read.append((os.getpid(), index))
        if index == self.spoiled:
            raise OSError("the disk is on fire")
        return super().features_at(index)


class Told:
    """What a task tells: events with their metrics and parameters, and models."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, context: MLUpdateContext) -> None:
        self.events.append((context.event, dict(context.metrics), context.parameters, context.model.content_hash))


def chain(error: BaseException | None) -> list[tuple[type, str]]:
    """An error and its causes."""
    return [] if error is None else [(type(error), str(error)), *chain(error.__cause__)]


async def test_every_kind_of_update_ends_with_the_same_bits_as_in_a_thread(lane: ProcessLane) -> None:
    async with Runtime(workers=2, lanes={"process": lane}) as runtime, anyio.create_task_group() as group:

        async def compare(case: str) -> None:
            make, data, settings = CASES[case]
            provider, told = data(), (Told(), Told())
            parameters = {Key.SEED: 7} if "neighbours" not in case and case != "pipeline" else None
            configuration = MLModelConfiguration(parameters=parameters, **settings)
            contexts = []
            for heard, scheduling in zip(told, (MLScheduling(), AWAY), strict=True):
                handlers = MLUpdateProgressHandlers(Event.TRAINING_BEGIN | Event.EPOCH_END | Event.MINI_BATCH_END, heard)
                task = MLUpdateTask(make(), provider, configuration, progress_handlers=handlers, runtime=runtime, scheduling=scheduling)
                contexts.append(await task)
            here, there = contexts
            assert there.model.to_bytes() == here.model.to_bytes(), case
            assert told[1].events == told[0].events, case
            assert len(told[0].events) > 2
            assert there.metrics == here.metrics
            assert isinstance(task._workplaces["process"], InProcess)

        for case in CASES:
            group.start_soon(compare, case)


async def test_examples_are_read_here_once_and_what_goes_wrong_with_them_is_told_as_in_a_thread(lane: ProcessLane) -> None:
    seeded = MLModelConfiguration(parameters={Key.SEED: 3})
    data = [{"x": np.float32([number, 1]), "y_true": np.float32([number])} for number in range(10)]
    async with Runtime(lanes={"process": lane}) as runtime:
        provider = Watched(data)
        await MLUpdateTask(adam(), provider, runtime=runtime, scheduling=AWAY)
        assert sorted(provider.read) == [(os.getpid(), number) for number in range(10)]

        wrong = [*data[:6], {"x": np.float32([1, 2, 3]), "y_true": np.float32([0])}, *data[7:]]
        for examples, spoiled, kind in ((data, 5, MLUpdateError), (wrong, None, MLFeatureError)):
            told, reached = [], [Told(), Told()]
            for heard, scheduling in zip(reached, (MLScheduling(), AWAY), strict=True):
                given = Watched(examples, spoiled)
                task = MLUpdateTask(adam(False), given, seeded, completion_handler=heard, runtime=runtime, scheduling=scheduling)
                with pytest.raises(kind, match="epoch 0, mini-batch 1: example ") as raised:
                    await task
                told.append(chain(raised.value))
            assert told[1] == told[0]
            assert reached[1].events == reached[0].events != []  # what was learned before is not lost


async def test_it_hears_of_parameters_of_a_pause_and_of_a_cancel_at_once(lane: ProcessLane) -> None:
    changed = anyio.Event()

    def handler(context: MLUpdateContext) -> None:
        if not changed.is_set():
            context.task.resume(with_parameters={Key.LEARNING_RATE: 0.25})
            changed.set()

    async with Runtime(lanes={"process": lane}) as runtime:
        long = regression_model(epochs=1_000_000)
        begun = handled(handler, Event.TRAINING_BEGIN)
        task = MLUpdateTask(long, regression_provider(), progress_handlers=begun, runtime=runtime, scheduling=AWAY)
        task.resume()
        await changed.wait()
        taken = [await task.checkpoint() for _ in range(3)]
        task.suspend()
        await task.paused()
        assert task.state is MLTaskState.SUSPENDED
        taken.append(await task.checkpoint())
        at = [(int(checkpoint.progress["epoch"]), int(checkpoint.progress["cursor"])) for checkpoint in taken]  # type: ignore[call-overload]
        assert at == sorted(set(at))
        assert {checkpoint.progress["parameters"]["learningRate"] for checkpoint in taken} == {0.25}  # type: ignore[index, call-overload]
        task.cancel()
        with pytest.raises(MLTaskCancelledError):
            await task


async def test_a_stretch_for_which_the_time_is_over_takes_no_step_and_ends(lane: ProcessLane) -> None:
    model = adam()
    training, place = Training(model, regression_provider(), {Key.SEED: 3}), InProcess(lane, model)
    assert [note.event for note in (await place.stretch(training, Event(0), Bounds())).notes] == [Event.TRAINING_BEGIN]
    none = Bounds(seconds=0.0)
    first, second = [await place.stretch(training, Event(0), none) for _ in range(2)]
    assert (first.notes, first.steps, first.seconds) == ([], 0, 0.0)  # the time went into what is made once
    assert (second.notes, second.steps) == ([], 0)
    assert second.seconds > 0.0  # so that a budget comes to its end
    assert training.position == Position(multiplier=1.0)
    assert (await place.stretch(training, Event(0), Bounds(steps=2))).steps == 2
    place.close()
    training.close()
    async with Runtime(lanes={"process": lane}) as runtime:
        task = MLUpdateTask(adam(), regression_provider(), runtime=runtime, scheduling=replace(AWAY, budget=Budget(seconds=1e-9)))
        task.resume()
        assert await task.paused() is MLTaskState.SUSPENDED
        task.resume(budget=Budget(seconds=100.0))
        await task


async def test_it_may_be_somewhere_else_at_every_stretch_and_the_guard_judges_here(lane: ProcessLane) -> None:
    guard = MLUpdateGuard(hold_out=0.3, margin=10.0, diverged_above=100.0)
    configuration = MLModelConfiguration(parameters={Key.SEED: 3})
    expected = await MLUpdateTask(adam(), regression_provider(), configuration, guard=guard)
    task = MLUpdateTask(adam(), regression_provider(), configuration, guard=guard, progress_handlers=handled(lambda context: None))
    away, other = InProcess(lane, task._model), InProcess(lane, task._model)
    places: cycle[Workplace] = cycle([away, InThread(ThreadLane()), away, other])
    task._workplace = lambda turn: next(places)  # type: ignore[method-assign]
    outcome = await task
    assert outcome.model.to_bytes() == expected.model.to_bytes()
    assert outcome.verdict == expected.verdict
    assert outcome.verdict is not None
    assert away._at > 1 < other._at


async def test_a_guard_stops_a_training_that_diverges_as_in_a_thread(lane: ProcessLane) -> None:
    told, guard = [], MLUpdateGuard(hold_out=0.3, diverged_above=1.01)
    async with Runtime(lanes={"process": lane}) as runtime:
        for scheduling in (MLScheduling(), AWAY):
            model = regression_model(learning_rate=1.0, epochs=9)
            task = MLUpdateTask(model, regression_provider(), guard=guard, runtime=runtime, scheduling=scheduling)
            with pytest.raises(MLUpdateError, match="the training diverges") as raised:
                await task
            told.append(str(raised.value))
    assert told[0] == told[1]


def test_parts_that_are_classes_of_this_process_keep_a_model_here() -> None:
    custom = NeuralNetworkBuilder([array_feature("raw", (2,))], [array_feature("x", (2,))])
    layer = custom.spec.neuralNetwork.layers.add(name="mine", input=["raw"], output=["x"])
    layer.custom.className = "Mine"
    model = MLModel.from_spec(make_pipeline("regressor", [custom.spec, regression_model().spec]), "own")
    there = Runtime(lanes={"process": ProcessLane()})
    with pytest.raises(MLUpdateError, match="^update of own: .*got one with classes of this process: layer 'mine' of class 'Mine'; let it"):
        MLUpdateTask(model, regression_provider(), runtime=there, scheduling=AWAY)


async def test_a_runtime_with_processes_sends_updates_there_unless_told_otherwise() -> None:
    async with Runtime(processes=1) as runtime:
        for scheduling, lanes in ((MLScheduling(), ("process",)), (MLScheduling(lanes=("cpu",)), ("cpu",))):
            task = MLUpdateTask(regression_model(), regression_provider(), runtime=runtime, scheduling=scheduling)
            task.resume()
            ticket = runtime.scheduler.ticket(task.task_identifier)
            assert ticket is not None
            assert ticket.job.lanes == lanes
            task.cancel()


async def test_a_worker_that_is_killed_costs_one_stretch_and_one_too_many_the_task(lane: ProcessLane, tmp_path: Path) -> None:
    configuration, path = MLModelConfiguration(parameters={Key.SEED: 3}), tmp_path / "checkpoint"
    expected = await MLUpdateTask(adam(), regression_provider(), configuration)

    class Killing(Watched):
        """Kills the worker that asks for its examples, in the middle of a stretch, once."""

        def features_at(self, index: int) -> Mapping[str, object]:
            if index == 9 and index not in self.asked():
                (worker,) = lane.processes
                os.kill(worker, signal.SIGKILL)
            return super().features_at(index)

    examples = [{"x": row["x"], "y_true": row["y_true"]} for row in regression_provider()]
    async with Runtime(lanes={"process": lane}) as runtime:
        checkpoints = MLCheckpoints(path, every_batches=1, keep=True)
        task = MLUpdateTask(adam(), Killing(examples), configuration, runtime=runtime, scheduling=AWAY, checkpoints=checkpoints)
        assert (await task).model.to_bytes() == expected.model.to_bytes()
        assert task._losses == 1
        assert read_checkpoint(path).progress["epoch"] == EPOCHS
        task = MLUpdateTask(adam(), Killing(examples), configuration, runtime=runtime, scheduling=replace(AWAY, most_losses=0))
        with pytest.raises(MLUpdateError, match="lost what it ran on .*, the last time: .* was ended by SIGKILL") as raised:
            await task
        assert isinstance(raised.value.__cause__, LaneLost)
