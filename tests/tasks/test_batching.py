"""Predictions side by side: the answers of one-by-one predictions, in fewer runs; nobody suffers for another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLBatching,
    MLCustomModelError,
    MLFeatureError,
    MLModel,
    MLModelError,
    MLParameterError,
    MLScheduling,
    MLTaskStateError,
    Priority,
    Runtime,
)
from tailor.cli.made_up import made_up
from tailor.runtime.batching import PredictionBatches
from tailor.runtime.format import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, array_feature, image_feature
from tailor.scheduler.testing import InlineLane
from tests.places import shared_model
from tests.tasks.batches import HeldLane, Own, asked, batches, own_model

pytestmark = pytest.mark.anyio

CLIENTS = 40


async def together(made: PredictionBatches, model: MLModel, several: Sequence[Any]) -> list[Any]:
    """What comes of each, asked for at the same time."""
    outcomes: list[Any] = [None] * len(several)

    async def client(number: int) -> None:
        outcomes[number] = await asked(made, model, several[number])

    async with anyio.create_task_group() as group:
        for number in range(len(several)):
            group.start_soon(client, number)
    return outcomes


def alone(model: MLModel, data: Any) -> Any:
    try:
        return model.predict(data)
    except MLModelError as error:
        return error


def same(first: Any, second: Any) -> bool:
    """Whether two outcomes are equal: answers to the bit, errors by type and words."""
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()
    return (type(first), str(first)) == (type(second), str(second))


def rng(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolutional() -> tuple[MLModel, list[Any]]:
    """All of it is compiled, where Numba is."""
    builder = NeuralNetworkBuilder([image_feature("image", 8, 8)], [array_feature("scores", (3,))], "classifier", ["a", "b", "c"])
    builder.add_convolution("conv", 1, 4, 3, 3, 1, 1, "same", 1, rng(1, 4, 1, 3, 3), rng(2, 4), True, "image", "c")
    builder.add_activation("relu", "RELU", "c", "r")
    builder.add_flatten("flatten", 1, "r", "flat")
    builder.add_inner_product("dense", rng(3, 3, 256), rng(4, 3), 256, 3, True, "flat", "logits")
    builder.add_softmax("softmax", "logits", "scores")
    pixels = np.random.default_rng(5).integers(0, 256, (CLIENTS, 8, 8), np.uint8)
    return MLModel.from_spec(builder.spec, "conv"), [{"image": picture} for picture in pixels]


def dense() -> tuple[MLModel, list[Any]]:
    """A product that BLAS may add up otherwise for a batch than for one."""
    builder = NeuralNetworkBuilder([array_feature("x", (700,))], [array_feature("y", (5,))])
    builder.add_inner_product("dense", rng(6, 5, 700), rng(7, 5), 700, 5, True, "x", "h")
    builder.add_activation("elu", "ELU", "h", "y", 1.0)
    return MLModel.from_spec(builder.spec, "dense"), [{"x": row} for row in rng(8, CLIENTS, 700)]


def neighbors() -> tuple[MLModel, list[Any]]:
    builder = KNearestNeighborsClassifierBuilder("x", "label", 4, "nobody", number_of_neighbors=3)
    builder.add_samples(rng(9, 60, 4), [f"l{number % 3}" for number in range(60)])
    return MLModel.from_spec(builder.spec, "neighbors"), [{"x": row} for row in rng(10, CLIENTS, 4)]


def flexible() -> tuple[MLModel, list[Any]]:
    """Pictures of three sizes."""
    builder = NeuralNetworkBuilder([image_feature("image", 8, 8)], [array_feature("mean", (2,))])
    builder.add_convolution("conv", 1, 2, 3, 3, 1, 1, "same", 1, rng(11, 2, 1, 3, 3), None, False, "image", "c")
    builder.add_pooling("pool", 1, 1, 1, 1, "AVERAGE", "VALID", "c", "mean", is_global=True)
    builder.spec.specificationVersion = 4
    sizes = [(8, 8), (5, 12), (9, 4)]
    kind = builder.spec.description.input[0].type.imageType
    for height, width in sizes:
        kind.enumeratedSizes.sizes.add(width=width, height=height)
    draw = np.random.default_rng(12)
    return MLModel.from_spec(builder.spec, "flexible"), [
        {"image": draw.integers(0, 256, sizes[number % 3], np.uint8)} for number in range(CLIENTS)
    ]


MODELS = {"convolutional": convolutional, "dense": dense, "neighbours": neighbors, "pictures of three sizes": flexible}


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("most", [1, 7, 64])
async def test_answers_are_those_of_predictions_one_by_one_to_the_bit(case: str, most: int) -> None:
    model, data = MODELS[case]()
    expected = [alone(model, row) for row in data]
    assert not any(isinstance(outcome, MLModelError) for outcome in expected)
    async with batches(most=most) as made:
        for _ in range(2):
            assert all(map(same, await together(made, model, data), expected))


async def test_lists_that_join_are_answered_example_by_example_and_long_ones_as_predict_does() -> None:
    model, data = dense()
    several = [data[:3], data[0], data[3:7], data]
    expected = [
        [model.predict(row) for row in data[:3]],
        model.predict(data[0]),
        [model.predict(row) for row in data[3:7]],
        model.predict(data),
    ]
    async with batches(most=10) as made:
        for _ in range(2):
            assert all(map(same, await together(made, model, several), expected))
        assert same(await asked(made, model, data[3:7]), expected[2])  # alone in its batch


async def test_what_was_asked_for_at_the_same_time_is_computed_together(own: Own) -> None:
    model = own_model()
    async with batches(InlineLane(), most=16) as made:
        outcomes = await together(made, model, [{"x": float(number)} for number in range(40)])
    assert outcomes == [{"y": 2.0 * number} for number in range(40)]
    assert own.counts == [16, 16, 8]


async def test_examples_of_one_shape_are_computed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = flexible()
    counts: list[int] = []
    answered = model._answered

    def counted(columns: Any, numbers: Sequence[int | None]) -> Any:
        counts.append(len(numbers))
        return answered(columns, numbers)

    monkeypatch.setattr(model, "_answered", counted)
    async with batches(InlineLane(), most=CLIENTS) as made:
        await together(made, model, data)
    assert sorted(counts) == [13, 13, 14]


async def test_lists_join_and_long_ones_and_providers_are_batches_of_their_own(own: Own) -> None:
    model = own_model()
    rows = [{"x": float(number)} for number in range(7)]
    several: list[Any] = [rows[6], rows[0], rows[1:3], [], rows[:6], MLArrayBatchProvider(rows[:2]), rows[3], rows[4]]
    outcomes: list[Any] = [None] * len(several)

    async def client(number: int) -> None:
        outcomes[number] = await asked(made, model, several[number])

    lane = HeldLane()
    async with batches(lane, most=5) as made, anyio.create_task_group() as group:
        for number in range(len(several)):
            group.start_soon(client, number)
            await anyio.wait_all_tasks_blocked()  # so that they come in this order; the first is at work, alone
        lane.release(for_good=True)
    assert own.counts == [1, 3, 6, 2, 2]
    assert outcomes == [model.predict(data) for data in several]


BAD: list[Any] = [{"x": "two"}, {}, {"x": 1.0, "z": 2.0}, {"x": None}, None, 7, "x", [{"x": 1.0}, {"x": "two"}], [3]]


async def test_who_gives_what_does_not_fit_is_told_so_and_nobody_else(own: Own) -> None:
    model = own_model()
    good = [{"x": float(number)} for number in range(len(BAD))]
    several = [data for pair in zip(good, BAD, strict=True) for data in pair]
    async with batches(InlineLane(), most=64) as made:
        outcomes = await together(made, model, several)
    assert own.counts == [len(good)]
    assert outcomes[::2] == [{"y": 2 * row["x"]} for row in good]
    for data, outcome in zip(BAD, outcomes[1::2], strict=True):
        assert isinstance(outcome, MLFeatureError), data
        assert same(outcome, alone(model, data))


async def test_a_batch_that_fails_is_done_one_by_one(own: Own) -> None:
    def refuse(x: Any) -> None:
        if 3.0 in x:
            raise LookupError("no three")

    own.before = refuse
    model = own_model()
    several: list[Any] = [{"x": float(number)} for number in range(6)] + [[{"x": 8.0}, {"x": 3.0}], [{"x": 9.0}]]
    async with batches(InlineLane(), most=64) as made:
        outcomes = await together(made, model, several)
    assert (own.counts[0], sorted(own.counts[1:])) == (9, [1] * 7 + [2])
    expected = [alone(model, data) for data in several]
    assert [number for number, outcome in enumerate(expected) if isinstance(outcome, MLCustomModelError)] == [3, 6]
    assert all(map(same, outcomes, expected))
    assert outcomes[3] is not outcomes[6]


async def test_a_lane_that_gives_no_turn_fails_those_that_waited_for_it_and_no_others() -> None:
    model, data = dense()

    class Closed(InlineLane):
        async def run(self, work: Callable[[], Any]) -> Any:
            raise LookupError("no turn")

    async with batches(Closed()) as made:
        for _ in range(2):
            with pytest.raises(LookupError, match="no turn"):
                await made.prediction(model, data[0], Priority.USER_INTERACTIVE)


async def test_a_runtime_with_batching_computes_predictions_together_each_in_its_turn(own: Own) -> None:
    model = own_model()
    outcomes: dict[int, Any] = {}

    async def client(number: int) -> None:
        outcomes[number] = await runtime.prediction(model, {"x": float(number)})

    async with Runtime(lane=InlineLane(), batching=MLBatching(most=16)) as runtime:
        for _ in range(2):
            async with anyio.create_task_group() as group:
                for number in range(40):
                    group.start_soon(client, number)
        with pytest.raises(MLFeatureError, match="expected input 'x', got nothing"):
            await runtime.prediction(model, {})
        assert await runtime.prediction(model, {"x": 2.0}, scheduling=MLScheduling(priority=Priority.UTILITY)) == {"y": 4.0}
        done = runtime.scheduler.statistics()
        assert (done.submitted, done.running + done.waiting) == (8, 0)
    assert outcomes == {number: {"y": 2.0 * number} for number in range(40)}
    assert own.counts == [16, 16, 8] * 2 + [1]
    with pytest.raises(MLTaskStateError, match="got one that is closed"):
        await runtime.prediction(model, {"x": 1.0})
    with pytest.raises(MLParameterError, match="^runtime: batching: expected MLBatching or None, got 16$"):
        Runtime(batching=16)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["MNIST_classifier.mlmodel", "HousePrices_updatable.mlmodel", "TreesRanker_a_z.mlmodel"])
async def test_real_models_answer_as_one_by_one_to_the_bit(name: str) -> None:
    model = MLModel(shared_model(name))
    data = made_up(model, {}, 12)
    async with batches(most=8) as made:
        assert all(map(same, await together(made, model, data), [model.predict(row) for row in data]))
