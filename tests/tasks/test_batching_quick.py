"""Batches that take less than the way to a lane make no such way; whatever may take longer does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import numpy as np
import pytest
from PIL import Image

from tailor import MLModel, MLModelError, Priority, Runtime
from tailor.runtime.batching import MLBatching
from tailor.runtime.format import Model, NeuralNetworkBuilder, array_feature
from tailor.runtime.quick import KINDS, SEEN, Quick
from tailor.scheduler.testing import InlineLane
from tests.tasks.batches import HeldLane, asked, batches, own_model
from tests.tasks.test_batching import Own, dense, flexible, neighbors, same

pytestmark = pytest.mark.anyio

ALWAYS = 1000.0
"""Seconds that no batch takes."""


class CountingLane(InlineLane):
    """Counts what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def run(self, work: Callable[[], Any]) -> Any:
        self.count += 1
        return await super().run(work)


async def answers(model: MLModel, data: list[Any], priority: Priority = Priority.USER_INTERACTIVE, **chosen: Any) -> int:
    """How many of these predictions, one after the other, had a turn; each is checked to be that of ``predict``."""
    lane = CountingLane()
    async with batches(lane, **chosen) as made:
        for one in data:
            assert same(await asked(made, model, one, priority), model.predict(one))
    return lane.count


@pytest.mark.parametrize("case", [dense, neighbors])
async def test_what_was_quick_is_made_without_a_turn_to_the_same_bits(case: Callable[[], tuple[MLModel, list[Any]]]) -> None:
    model, data = case()
    assert len(data) > SEEN
    assert await answers(model, data, quick=ALWAYS) == SEEN


async def test_what_takes_longer_than_that_has_a_turn() -> None:
    model, data = dense()
    assert await answers(model, data[:20], quick=1e-9) == 20
    assert await answers(model, data[:20], quick=0.0) == 20


async def test_batches_of_other_shapes_are_of_another_kind() -> None:
    model, data = flexible()  # three sizes, by turns
    assert await answers(model, data, quick=ALWAYS) == 3 * SEEN
    model, data = neighbors()
    several = [data[:2], data[:3], data[0]] * (SEEN + 4)
    assert await answers(model, several, quick=ALWAYS) == 3 * SEEN
    assert await answers(model, several, quick=ALWAYS, most=2) == 2 * SEEN + SEEN + 4  # what is a batch of its own always has a turn


async def test_predictions_that_may_wait_have_a_turn() -> None:
    model, data = dense()
    assert await answers(model, data[:20], Priority.BACKGROUND, quick=ALWAYS) == 20


async def test_what_was_refused_was_not_quick() -> None:
    model, data = dense()
    lane = CountingLane()
    async with batches(lane, quick=ALWAYS) as made:
        for _ in range(2 * SEEN):
            assert isinstance(await asked(made, model, {"x": np.zeros(3)}), MLModelError)
        assert lane.count == 2 * SEEN
        for row in data[: SEEN + 2]:
            await asked(made, model, row)
        assert lane.count == 3 * SEEN


async def test_a_quick_one_does_not_wait_for_what_is_at_work(own: Own) -> None:
    model, data = dense()
    lane = HeldLane()
    async with Runtime(lane=lane, batching=MLBatching(quick=ALWAYS)) as runtime:
        lane.release(for_good=True)
        for row in data[:SEEN]:
            await runtime.prediction(model, row)
        lane.hold()
        async with anyio.create_task_group() as group:
            group.start_soon(runtime.prediction, own_model(), {"x": 1.0})
            await anyio.wait_all_tasks_blocked()
            assert same(await runtime.prediction(model, data[0]), model.predict(data[0]))
            lane.release(for_good=True)


async def test_code_of_others_is_never_run_on_the_event_loop(own: Own) -> None:
    pipeline = Model(specificationVersion=4)
    pipeline.pipeline.models.add().CopyFrom(own_model().spec)
    linked = Model(specificationVersion=4)
    linked.linkedModel.linkedModelFile.linkedModelFileName.defaultValue = "own.mlmodelc"
    for one in (own_model(), MLModel.from_spec(pipeline), MLModel.from_spec(linked)):
        assert Quick(one, ALWAYS).kind([{"x": 1.0}]) is None
    assert await answers(own_model(), [{"x": float(number)} for number in range(20)], quick=ALWAYS) == 20


def test_a_network_with_a_loop_is_never_quick() -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (1,))], [array_feature("y", (1,))])
    builder.add_activation("linear", "LINEAR", "x", "y", [1.0, 0.0])
    assert Quick(MLModel.from_spec(builder.spec), ALWAYS).kind([{"x": 1.0}]) is not None
    loop = builder.spec.neuralNetwork.layers.add(name="branch", input=["x"]).branch.ifBranch.layers.add(name="loop").loop
    loop.maxLoopIterations = 3
    assert Quick(MLModel.from_spec(builder.spec), ALWAYS).kind([{"x": 1.0}]) is None


def test_what_no_shape_tells_is_of_no_kind() -> None:
    model, _ = dense()
    kind = Quick(model, ALWAYS).kind
    picture = Image.new("RGB", (3, 2))
    for value in ({"a": 1.0}, [1.0], "word " * 100, None, object()):
        assert kind([{"x": value}]) is kind([[{"x": 1.0}, {"x": value}]]) is None, value
    assert kind([None]) is kind([iter([])]) is kind([[[{"x": 1.0}]]]) is None
    alike = [({"x": 1.0}, {"x": np.float32(2)}), ({"x": "one"}, {"x": "two"}), ({"x": np.zeros(3)}, {"x": np.ones(3, np.float32)})]
    for one, other in alike:
        assert kind([one]) == kind([other]) is not None
    values = (np.zeros(3), np.zeros((3, 1)), picture, picture.convert("L"))
    others: list[Any] = [*({"x": value} for value in values), {"y": np.zeros(3)}, [{"x": picture}], []]
    assert len({kind([one]) for one in others} | {kind([others[0], others[0]])}) == len(others) + 1


def test_the_fastest_of_the_last_decides() -> None:
    model, _ = dense()
    quick = Quick(model, 0.01)
    for _ in range(3 * SEEN):
        assert not quick.is_quick("a")
        quick.took("a", 0.02)
    quick.took("a", 0.005)
    for _ in range(SEEN - 1):
        assert quick.is_quick("a")
        quick.took("a", 0.02)
    assert quick.is_quick("a")
    quick.took("a", 0.02)
    assert not quick.is_quick("a")


def test_only_so_many_kinds_are_remembered() -> None:
    model, _ = dense()
    quick = Quick(model, 1.0)
    for _ in range(SEEN):
        for kind in range(KINDS):
            quick.took(kind, 0.1)
    quick.took("one more", 0.1)
    assert not quick.is_quick(0) and all(quick.is_quick(kind) for kind in range(1, KINDS))
