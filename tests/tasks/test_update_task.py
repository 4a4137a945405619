"""MLUpdateTask: what it computes, what it tells, and how it can be steered, on a regression worked out by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLFeatureError,
    MLMetricKey,
    MLModel,
    MLModelConfiguration,
    MLModelError,
    MLParameterError,
    MLTaskCancelledError,
    MLTaskState,
    MLTaskStateError,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    Runtime,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tests.tasks.models import Reference, regression_data, regression_model, regression_provider

pytestmark = pytest.mark.anyio

LOSS, EPOCH, BATCH = MLMetricKey.LOSS_VALUE, MLMetricKey.EPOCH_INDEX, MLMetricKey.MINI_BATCH_INDEX
EVERYTHING = Event.TRAINING_BEGIN | Event.MINI_BATCH_END | Event.EPOCH_END
BATCHES = (slice(0, 4), slice(4, 8), slice(8, 10))  # ten examples in batches of four: the last one is smaller


def configured(**parameters: Any) -> MLModelConfiguration:
    return MLModelConfiguration(parameters={getattr(Key, name): value for name, value in parameters.items()})


async def test_the_course_of_an_update_is_gradient_descent_told_event_by_event() -> None:
    told: list[tuple[Event, Mapping[MLMetricKey, float]]] = []
    handlers = MLUpdateProgressHandlers(EVERYTHING, lambda context: told.append((context.event, context.metrics)))
    context = await MLUpdateTask(regression_model(), regression_provider(), progress_handlers=handlers)

    reference, expected = Reference(), [(Event.TRAINING_BEGIN, {})]
    for epoch in range(3):
        losses = [reference.step(rows, 0.1) for rows in BATCHES]
        expected += [(Event.MINI_BATCH_END, {EPOCH: epoch, BATCH: i, LOSS: loss}) for i, loss in enumerate(losses)]
        mean = float(np.average(losses, weights=[4, 4, 2]))
        expected.append((Event.EPOCH_END, {EPOCH: epoch, BATCH: 2, LOSS: mean}))
    assert [event for event, _ in told] == [event for event, _ in expected]
    for (_, got), (_, want) in zip(told, expected, strict=True):
        assert dict(got) == pytest.approx(want, rel=1e-5)
    x, _ = regression_data()
    answers = context.model.predict([{"x": row} for row in x])
    np.testing.assert_allclose([answer["y"] for answer in answers], reference.predict(x), rtol=1e-5)
    assert context.metrics == told[-1][1]
    assert context.event == Event(0)


async def test_the_base_model_stays_as_it_is() -> None:
    model = regression_model()
    before = model.to_bytes()
    context = await MLUpdateTask(model, regression_provider())
    assert model.to_bytes() == before != context.model.to_bytes()


async def test_configuration_overrides_the_models_parameters() -> None:
    context = await MLUpdateTask(regression_model(), regression_provider(), configured(EPOCHS=1, LEARNING_RATE=0.5, MINI_BATCH_SIZE=10))
    reference = Reference()
    assert context.metrics[LOSS] == pytest.approx(reference.step(slice(None), 0.5), rel=1e-5)
    assert context.metrics[EPOCH] == 0
    assert {str(key): value for key, value in context.parameters.items() if key is not Key.SEED}.items() >= {
        "epochs": 1,
        "learningRate": 0.5,
        "miniBatchSize": 10,
        "shuffle": False,
    }.items()


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_handler_can_change_the_learning_rate_from_the_next_mini_batch_on(kind: str) -> None:
    losses, rates = [], []

    def plain(context: MLUpdateContext) -> None:
        losses.append(context.metrics[LOSS])
        rates.append(context.parameters[Key.LEARNING_RATE])
        if len(losses) == 2:
            context.task.resume(with_parameters={Key.LEARNING_RATE: 0.01})

    async def awaiting(context: MLUpdateContext) -> None:
        await anyio.lowlevel.checkpoint()
        plain(context)

    handlers = MLUpdateProgressHandlers(Event.MINI_BATCH_END, plain if kind == "plain" else awaiting)
    await MLUpdateTask(regression_model(epochs=1), regression_provider(), progress_handlers=handlers)
    reference = Reference()
    expected = [reference.step(rows, rate) for rows, rate in zip(BATCHES, [0.1, 0.1, 0.01], strict=True)]
    assert losses == pytest.approx(expected, rel=1e-5)
    assert rates == [0.1, 0.1, 0.01]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({Key.EPOCHS: 4}, "epochs.*in progress"),
        ({Key.LEARNING_RATE: 1.5}, "learningRate.*from 0.0 to 1.0.*1.5"),
        ({Key.LEARNING_RATE: "fast"}, "learningRate.*'fast'"),
        ({Key.LEARNING_RATE.scoped("elsewhere"): 0.1}, "elsewhere.learningRate.*does not have"),
    ],
)
async def test_a_change_that_is_not_allowed_is_refused_and_changes_nothing(change: dict[Key, object], message: str) -> None:
    refused = []

    def handler(context: MLUpdateContext) -> None:
        with pytest.raises(MLParameterError, match=message) as raised:
            context.task.resume(with_parameters=change)
        refused.append(raised.value)

    handlers = MLUpdateProgressHandlers(Event.EPOCH_END, handler)
    disturbed = await MLUpdateTask(regression_model(), regression_provider(), progress_handlers=handlers)
    undisturbed = await MLUpdateTask(regression_model(), regression_provider())
    assert len(refused) == 3
    assert disturbed.model.to_bytes() == undisturbed.model.to_bytes()
    with pytest.raises(MLTaskStateError, match="completed"):
        disturbed.task.resume(with_parameters={Key.LEARNING_RATE: 0.1})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({Key.EPOCHS: 0}, r"epochs: expected a whole number from 1 to 1000000, got 0"),
        ({Key.MINI_BATCH_SIZE: 65}, r"miniBatchSize: expected .* from 1 to 64, got 65"),
        ({Key.MINI_BATCH_SIZE: 2.5}, r"miniBatchSize: .* got 2.5"),
        ({Key.SHUFFLE: 1}, r"shuffle: expected true or false, got 1"),
        ({Key.LEARNING_RATE: True}, r"learningRate: .* got True"),
        ({Key.LEARNING_RATE: float("nan")}, r"learningRate: .* got nan"),
        ({Key.NUMBER_OF_NEIGHBORS: 3}, r"numberOfNeighbors: the model does not have it"),
        ({"epochs": 3}, r"MLParameterKey, got 'epochs'"),
    ],
)
def test_a_parameter_out_of_its_constraint_is_refused_at_construction(parameters: Any, message: str) -> None:
    with pytest.raises(MLParameterError, match=message):
        MLUpdateTask(regression_model(), regression_provider(), MLModelConfiguration(parameters=parameters))


async def test_the_order_of_the_examples_comes_from_seed_and_epoch() -> None:
    context = await MLUpdateTask(regression_model(), regression_provider(), configured(SHUFFLE=True, SEED=11))
    reference, losses = Reference(), []
    for epoch in range(3):
        order = np.random.Generator(np.random.PCG64([11, epoch])).permutation(10)
        losses = [reference.step(order[rows], 0.1) for rows in BATCHES]
    assert context.metrics[LOSS] == pytest.approx(float(np.average(losses, weights=[4, 4, 2])), rel=1e-5)


async def test_a_seed_that_nobody_gave_is_drawn_and_told() -> None:
    first = await MLUpdateTask(regression_model(shuffle=True), regression_provider())
    seed = first.parameters[Key.SEED]
    again = await MLUpdateTask(regression_model(shuffle=True), regression_provider(), configured(SEED=seed))
    other = await MLUpdateTask(regression_model(shuffle=True), regression_provider())
    assert first.model.to_bytes() == again.model.to_bytes()
    assert other.parameters[Key.SEED] != seed


@pytest.mark.parametrize("background", [False, True])
async def test_a_stream_of_events_steers_the_training(background: bool) -> None:
    async with Runtime() as runtime:
        task = MLUpdateTask(regression_model(), regression_provider(), runtime=runtime if background else None)
        task.resume()
        losses = []
        async for context in task.events(Event.EPOCH_END):
            losses.append(context.metrics[LOSS])
            for _ in range(10):  # training must wait, however long the loop's body takes
                await anyio.lowlevel.checkpoint()
            task.resume(with_parameters={Key.LEARNING_RATE: 0.1 / 10 ** len(losses)})
        final = await task
    reference, expected = Reference(), []
    for rate in (0.1, 0.01, 0.001):
        expected.append(float(np.average([reference.step(rows, rate) for rows in BATCHES], weights=[4, 4, 2])))
    assert losses == pytest.approx(expected, rel=1e-5)
    assert final.metrics[LOSS] == losses[-1]


@pytest.mark.parametrize("background", [False, True])
async def test_leaving_a_stream_lets_the_training_go_on(background: bool) -> None:
    async with Runtime() as runtime:
        task = MLUpdateTask(regression_model(), regression_provider(), runtime=runtime if background else None)
        task.resume()
        async for context in task.events(Event.MINI_BATCH_END):
            assert context.metrics[BATCH] == 0
            break
        stream = task.events(Event.MINI_BATCH_END)
        await anext(stream)  # and so does waiting for the end with a stream half read
        context = await task
        assert context.metrics[EPOCH] == 2
        assert [context async for context in stream] == []


async def test_two_streams_and_one_who_waits_see_the_same_training() -> None:
    task, seen = MLUpdateTask(regression_model(), regression_provider()), []

    async def follow(events: Event) -> None:
        seen.append([context.metrics[LOSS] async for context in task.events(events)])

    async def wait() -> None:
        await task

    async with anyio.create_task_group() as group:
        group.start_soon(follow, Event.EPOCH_END)
        group.start_soon(follow, Event.MINI_BATCH_END)
        group.start_soon(wait)
    assert sorted(map(len, seen)) == [3, 9]


async def test_a_contexts_model_is_the_model_of_its_moment() -> None:
    kept: list[MLUpdateContext] = []
    handlers = MLUpdateProgressHandlers(Event.EPOCH_END, kept.append)
    await MLUpdateTask(regression_model(), regression_provider(), progress_handlers=handlers)
    reference, (x, _) = Reference(), regression_data()
    for context in kept:
        for rows in BATCHES:
            reference.step(rows, 0.1)
        np.testing.assert_allclose(context.model.predict({"x": x[0]})["y"], reference.predict(x[0])[0], rtol=1e-5)


async def test_cancelling_in_a_handler_ends_at_once_without_completion() -> None:
    seen, completed = [], []

    def handler(context: MLUpdateContext) -> None:
        context.task.cancel()
        seen.append(context.task.state)

    model = regression_model(epochs=1_000_000)
    handlers = MLUpdateProgressHandlers(Event.MINI_BATCH_END, handler, completed.append)
    task = MLUpdateTask(model, regression_provider(), progress_handlers=handlers, completion_handler=completed.append)
    with pytest.raises(MLTaskCancelledError):
        await task
    assert seen == [MLTaskState.CANCELLING]
    assert task.state is MLTaskState.FAILED
    assert completed == []


async def test_the_awaiting_scope_being_cancelled_stops_an_endless_update_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    task = MLUpdateTask(regression_model(epochs=1_000_000), regression_provider())
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                await task

            group.start_soon(wait)
            async for _ in task.events(Event.EPOCH_END):
                scope.cancel()
    assert isinstance(task.error, MLTaskCancelledError)
    leftover = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in leftover if "tailor" in name}


async def test_the_event_loop_keeps_ticking_while_a_model_trains() -> None:
    task, ticks = MLUpdateTask(regression_model(epochs=1_000_000), regression_provider()), 0

    async def tick() -> None:
        nonlocal ticks
        while ticks < 20:  # on a loop that the training blocks, the million epochs would end first
            await anyio.sleep(0.01)
            ticks += 1
        task.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        with pytest.raises(MLTaskCancelledError):
            await task
    assert ticks == 20


@pytest.mark.parametrize("where", ["progress", "completion", "async completion"])
async def test_an_exception_in_a_handler_fails_the_task_with_it_as_the_cause(where: str) -> None:
    boom = ZeroDivisionError("the handler's own")

    def plain(context: MLUpdateContext) -> None:
        raise boom

    async def awaiting(context: MLUpdateContext) -> None:
        raise boom

    handlers = MLUpdateProgressHandlers(Event.EPOCH_END, plain if where == "progress" else None)
    completion = {"progress": None, "completion": plain, "async completion": awaiting}[where]
    task = MLUpdateTask(regression_model(), regression_provider(), progress_handlers=handlers, completion_handler=completion)
    with pytest.raises(MLUpdateError, match="ZeroDivisionError: the handler's own") as raised:
        await task
    assert raised.value.__cause__ is boom
    assert task.state is MLTaskState.FAILED


async def test_the_completion_handler_is_told_of_success_and_of_failure() -> None:
    told = []

    def completed(context: MLUpdateContext) -> None:
        told.append((context.task.state, type(context.task.error)))

    await MLUpdateTask(regression_model(), regression_provider(), completion_handler=completed)
    bad = MLArrayBatchProvider([{"x": [float("nan"), 0.0], "y_true": [0.0]}])
    with pytest.raises(MLFeatureError):
        await MLUpdateTask(regression_model(), bad, completion_handler=completed)
    assert told == [(MLTaskState.COMPLETED, type(None)), (MLTaskState.FAILED, MLFeatureError)]


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("how", ["awaits", "follows"])
async def test_a_handler_that_waits_for_its_own_task_is_told_so(how: str, background: bool) -> None:
    async def handler(context: MLUpdateContext) -> None:
        await (context.task if how == "awaits" else anext(context.task.events()))

    handlers = MLUpdateProgressHandlers(Event.EPOCH_END, handler)
    async with Runtime() as runtime:
        task = MLUpdateTask(
            regression_model(), regression_provider(), progress_handlers=handlers, runtime=runtime if background else None
        )
        with pytest.raises(MLModelError, match="awaits its own task"):
            await task


class Lazy:
    """A provider that makes examples when they are asked for, and fails at one."""

    count = 10

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def features_at(self, index: int) -> Mapping[str, object]:
        self.threads.add(threading.get_ident())
        if index == 9:
            raise OSError("the disk is gone")
        return {"x": [index, 1.0], "y_true": [1.0], "note": "not a training input"}


async def test_examples_are_read_in_the_worker_and_a_provider_that_fails_fails_the_task() -> None:
    provider = Lazy()
    with pytest.raises(MLUpdateError, match="epoch 0, mini-batch 2: example 9: .*OSError: the disk is gone") as raised:
        await MLUpdateTask(regression_model(), provider)
    assert threading.get_ident() not in provider.threads
    cause = raised.value.__cause__
    assert cause is not None
    assert isinstance(cause.__cause__, OSError)


def rows(**changes: Any) -> list[dict[str, object]]:
    good: dict[str, object] = {"x": [1.0, 2.0], "y_true": [1.0]}
    return [dict(good) for _ in range(5)] + [{name: value for name, value in {**good, **changes}.items() if value is not None}]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (rows(y_true=None), "epoch 0, mini-batch 1: example 5: .*'y_true'.*'x'"),
        (rows(x=[1.0, 2.0, 3.0]), "example 5.*'x'.*2.*3"),
        (rows(x="text"), "example 5.*'x'.*str"),
        (rows(x=[1.0, float("inf")]), "example 5.*'x'.*inf"),
    ],
)
async def test_a_bad_example_fails_the_task_and_names_example_and_feature(examples: list[dict[str, object]], message: str) -> None:
    model = regression_model()
    before = model.to_bytes()
    with pytest.raises(MLFeatureError, match=message):
        await MLUpdateTask(model, MLArrayBatchProvider(examples))
    assert model.to_bytes() == before


async def test_a_loss_that_is_not_finite_fails_the_task_naming_epoch_and_batch() -> None:
    x = [{"x": [3e38, 3e38], "y_true": [0.0]}]
    with pytest.raises(MLUpdateError, match=r"epoch 0, mini-batch 0.*(inf|nan)"):
        await MLUpdateTask(regression_model(), MLArrayBatchProvider(x))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_an_error_in_a_shuffled_mini_batch_names_the_examples_number_in_the_data(seed: int) -> None:
    examples = MLArrayBatchProvider(rows(x=[3e38, 3e38]))
    with pytest.raises(MLUpdateError, match=r"epoch 0, mini-batch [01]: example 5: expected a finite loss"):
        await MLUpdateTask(regression_model(), examples, configured(SHUFFLE=True, SEED=seed))


def test_what_cannot_be_trained_is_refused_at_construction() -> None:
    still = regression_model()
    spec = type(still.spec)()
    spec.CopyFrom(still.spec)
    spec.isUpdatable = False
    cases: list[tuple[MLModel, object, str]] = [
        (MLModel.from_spec(spec, "still"), regression_provider(), "still.*updatable"),
        (still, MLArrayBatchProvider([]), "at least one training example"),
        (still, [{"x": [1, 2]}], "MLBatchProvider, got list"),
    ]
    for model, data, message in cases:
        with pytest.raises(MLUpdateError, match=message):
            MLUpdateTask(model, data)  # type: ignore[arg-type]


async def test_many_tasks_share_a_runtime() -> None:
    async with Runtime(workers=2) as runtime:
        tasks = [MLUpdateTask(regression_model(), regression_provider(), runtime=runtime) for _ in range(8)]
        for task in tasks:
            task.resume()
        contexts = [await task for task in tasks]
    assert len({context.model.content_hash for context in contexts}) == 1
    assert len({task.task_identifier for task in tasks}) == 8


@pytest.mark.parametrize("background", [False, True])
async def test_cancelling_does_not_wait_for_a_slow_reader(background: bool) -> None:
    async with Runtime() as runtime:
        task = MLUpdateTask(regression_model(epochs=1_000_000), regression_provider(), runtime=runtime if background else None)
        ended = anyio.Event()

        async def wait() -> None:
            with pytest.raises(MLTaskCancelledError):
                await task
            ended.set()

        async with anyio.create_task_group() as group:
            stream = task.events(Event.EPOCH_END)
            await anext(stream)  # and this reader does not come back before the task has ended
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            task.cancel()
            await ended.wait()
            assert [context async for context in stream] == []


async def test_a_reader_that_leaves_the_runtimes_block_is_not_waited_for() -> None:
    async with Runtime() as runtime:
        task = MLUpdateTask(regression_model(), regression_provider(), runtime=runtime)
        stream = task.events(Event.MINI_BATCH_END)
        async for _ in stream:
            break
    assert task.state is MLTaskState.COMPLETED


async def test_a_stream_that_nobody_reads_keeps_nothing() -> None:
    task = MLUpdateTask(regression_model(), regression_provider())
    stream = task.events(Event.MINI_BATCH_END)
    await task
    assert [context async for context in stream] == []


async def test_after_a_cancel_no_completion_is_told_even_where_the_handler_then_raises() -> None:
    completed = []

    def handler(context: MLUpdateContext) -> None:
        context.task.cancel()
        raise ZeroDivisionError("on the way out")

    handlers = MLUpdateProgressHandlers(Event.MINI_BATCH_END, handler, completed.append)
    with pytest.raises(MLUpdateError, match="on the way out"):
        await MLUpdateTask(regression_model(), regression_provider(), progress_handlers=handlers)
    assert completed == []


async def test_gradients_that_are_not_finite_fail_the_task_before_they_reach_the_weights() -> None:
    x = [{"x": [1e20, 1e20], "y_true": [-1e19]}]
    with pytest.raises(MLUpdateError, match=r"epoch 0, mini-batch 0.*finite"):
        await MLUpdateTask(regression_model(), MLArrayBatchProvider(x))


async def test_the_updated_model_keeps_the_configuration_in_force() -> None:
    configuration = configured(EPOCHS=2)
    assert (await MLUpdateTask(regression_model(), regression_provider(), configuration)).model.configuration is configuration


async def test_an_optimizer_that_lacks_a_parameter_is_refused_at_construction() -> None:
    spec = regression_model().spec
    spec.neuralNetwork.updateParams.optimizer.sgdOptimizer.ClearField("miniBatchSize")
    with pytest.raises(MLUpdateError, match=r"miniBatchSize in updateParams\.sgdOptimizer"):
        MLUpdateTask(MLModel.from_spec(spec), regression_provider())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLUpdateTask(3, regression_provider()), "path or bytes, got int"),  # type: ignore[arg-type]
        (lambda: MLUpdateTask(regression_model(), regression_provider(), {}), "MLModelConfiguration, got dict"),  # type: ignore[arg-type]
        (lambda: MLUpdateTask(regression_model(), regression_provider(), progress_handlers=print), "MLUpdateProgressHandlers"),  # type: ignore[arg-type]
        (lambda: MLModelConfiguration(compute_units=9), "compute_units: expected one of CPU_ONLY.*got 9"),  # type: ignore[arg-type]
        (lambda: MLUpdateTask(regression_model(), regression_provider()).resume([1]), "mapping"),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_another_type_is_one_clear_error(make: Callable[[], object], message: str) -> None:
    with pytest.raises(MLModelError, match=message):
        make()
