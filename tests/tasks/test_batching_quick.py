"""Batches that take less than the way to a lane make no such way; whatever may take longer does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from PIL import Image

from tailor import MLModel, MLModelError, Priority, Runtime
from tailor.kernels import OPS
from tailor.runtime.batching import MLBatching
from tailor.runtime.format import Model, NeuralNetworkBuilder, array_feature
from tailor.runtime.network import Team
from tailor.runtime.quick import KINDS, LAYERS, MOST_SEEN, SEEN, SIZED, VALUES, Quick
from tailor.scheduler.testing import InlineLane
from tests.tasks.batches import HeldLane, asked, batches, own_model
from tests.tasks.test_batching import Own, dense, flexible, neighbors, same

pytestmark = pytest.mark.anyio

ALWAYS = 1000.0
"""Seconds that no batch takes."""
PATIENCE = 60.0
"""Seconds after which a test that waits for what never comes ends."""


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


async def test_what_nobody_waited_for_any_more_was_not_quick() -> None:
    model, data = dense()
    lane = HeldLane()
    async with batches(lane, quick=ALWAYS) as made:
        for _ in range(2 * SEEN):
            async with anyio.create_task_group() as group:
                group.start_soon(asked, made, model, data[0])
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
            lane.release()
            await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as group:
            group.start_soon(asked, made, model, data[0])
            await anyio.wait_all_tasks_blocked()
            assert made._lines, "it waits for the lane, which is held"
            lane.release(for_good=True)


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
        with anyio.fail_after(PATIENCE):
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
        assert kind_of(one, {"x": 1.0}) is None
    assert await answers(own_model(), [{"x": float(number)} for number in range(20)], quick=ALWAYS) == 20


def of_layers(*kinds: str, inputs: int = 1) -> MLModel:
    """A network of layers of these kinds."""
    builder = NeuralNetworkBuilder([array_feature("x", (1,))], [array_feature("y", (1,))])
    for kind in kinds:
        made = builder.spec.neuralNetwork.layers.add(name=kind, input=["x"] * inputs, output=["y"])
        getattr(made, kind).SetInParent()
    return MLModel.from_spec(builder.spec)


def kind_of(model: MLModel, *batch: Any) -> Any:
    quick = Quick(ALWAYS)
    quick.look(model)
    return quick.kind(batch)


@pytest.mark.parametrize(
    "kind",
    ["loop", "branch", "custom", "NonMaximumSuppression", "rangeDynamic", "fillDynamic", "reshapeDynamic", "whereNonZero", "sliceDynamic"],
)
def test_where_values_decide_what_a_network_does_it_is_never_quick(kind: str) -> None:
    assert kind_of(of_layers("softmax"), {"x": 1.0}) is not None
    assert kind_of(of_layers("softmax", kind), {"x": 1.0}) is None


@pytest.mark.parametrize("kind", ["tile", "constantPad", "topK", "oneHot"])
def test_a_size_that_is_an_input_is_a_value(kind: str) -> None:
    assert kind_of(of_layers(kind), {"x": 1.0}) is not None
    assert kind_of(of_layers(kind, inputs=2), {"x": 1.0}) is None


def test_every_layer_whose_shape_is_told_by_values_is_known_as_such() -> None:
    """Ops say what shapes tell; those that, given two inputs of some rank, leave it open are no layers of quick networks."""
    told = {name for name, op in OPS.items() if name in LAYERS and "None" in str(inspect.signature(op.shape).return_annotation)}
    assert told and told <= SIZED


def test_a_model_that_is_none_is_left_to_its_predictions() -> None:
    model = of_layers("softmax")
    model.spec.neuralNetwork.layers.add(name="nothing", input=["x"])
    assert kind_of(model, {"x": 1.0}) is None


def test_what_no_shape_tells_is_of_no_kind() -> None:
    model = of_layers("softmax")

    class Odd(dict[str, Any]):
        def values(self) -> Any:
            raise RuntimeError("code of others")

    class Array(np.ndarray[Any, Any]):
        pass

    pictures = BytesIO()
    picture = Image.new("RGB", (3, 2))
    picture.save(pictures, "png")
    for value in ({"a": 1.0}, [1.0], "word " * 100, np.str_("word"), None, object(), np.zeros(3).view(Array), Image.open(pictures)):
        assert kind_of(model, {"x": value}) is kind_of(model, [{"x": 1.0}, {"x": value}]) is None, value
    for data in (None, Odd(x=1.0), iter([]), [[{"x": 1.0}]], {str(number): 0.0 for number in range(VALUES + 1)}):
        assert kind_of(model, data) is None, data
    alike = [({"x": 1.0}, {"x": np.float32(2)}), ({"x": "one"}, {"x": "two"}), ({"x": np.zeros(3)}, {"x": np.ones(3, np.float32)})]
    for one, other in alike:
        assert kind_of(model, one) == kind_of(model, other) is not None
    values = (np.zeros(3), np.zeros((3, 1)), picture, picture.convert("L"))
    others: list[Any] = [*({"x": value} for value in values), {"y": np.zeros(3)}, []]
    assert len({kind_of(model, one) for one in others} | {kind_of(model, others[0], others[0])}) == len(others) + 1


def earned(quick: Quick) -> int:
    """How many quick ones it takes until the next is taken for quick."""
    count = 0
    while not quick.is_quick("a"):
        quick.took("a", 0.001)
        count += 1
    return count


def known_quick() -> Quick:
    quick = Quick(0.01)
    quick.look(of_layers("softmax"))
    assert not quick.is_quick("a") and earned(quick) == SEEN
    return quick


def test_some_that_were_slow_are_made_up_for() -> None:
    quick = known_quick()
    for _ in range(1000):
        quick.took("a", 0.015)
        quick.took("a", 0.009)
        assert quick.is_quick("a")
    assert not quick.is_quick("b") and not quick.is_quick(None)


def test_those_that_hold_the_loop_up_have_to_be_earned_anew_and_more_each_time() -> None:
    quick = known_quick()
    for _ in range(SEEN - 1):
        quick.took("a", 0.015)
        assert quick.is_quick("a")
    quick.took("a", 0.015)
    assert not quick.is_quick("a") and earned(quick) == 4 * SEEN
    quick.took("a", 0.09)  # nine times as long as may be
    assert not quick.is_quick("a") and earned(quick) == 16 * SEEN
    for _ in range(10):
        quick.took("a", 10.0)
        earned(quick)
    quick.took("a", 10.0)
    assert earned(quick) == MOST_SEEN


def test_slow_ones_in_turns_count_against_the_quick_ones() -> None:
    quick = Quick(0.01)
    quick.look(of_layers("softmax"))
    for _ in range(100):
        quick.took("a", 0.001)
        quick.took("a", 0.011)
        assert not quick.is_quick("a")
    assert earned(quick) == SEEN


def test_only_so_many_kinds_are_remembered() -> None:
    quick = Quick(1.0)
    quick.look(of_layers("softmax"))
    for _ in range(SEEN):
        for kind in range(KINDS):
            quick.took(kind, 0.1)
    quick.took("one more", 0.1)
    assert not quick.is_quick(0) and all(quick.is_quick(kind) for kind in range(1, KINDS))


async def test_who_predicts_without_a_pause_is_cancelled_all_the_same() -> None:
    model, data = dense()
    count = 0

    async def predict() -> None:
        nonlocal count
        while count < 10_000:
            await made.prediction(model, data[0], Priority.USER_INTERACTIVE)
            count += 1

    async with batches(quick=ALWAYS) as made:
        async with anyio.create_task_group() as group:
            group.start_soon(predict)
            while count < 2 * SEEN:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert count < 10_000


async def test_the_loop_goes_on_between_quick_ones_of_many_models(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [dense() for _ in range(5)]
    async with batches(quick=ALWAYS) as made:
        for model, data in models:
            for _ in range(SEEN):
                await asked(made, model, data[0])
        order: list[str] = []
        for model, _ in models:
            monkeypatch.setattr(model, "predict", partial(told, order, model.predict))
        async with anyio.create_task_group() as group:
            for model, data in models:
                group.start_soon(asked, made, model, data[0])
            while order.count("prediction") < len(models):
                order.append("loop")
                await anyio.lowlevel.checkpoint()
        assert "prediction prediction prediction" not in " ".join(order)  # trio has tasks of one round in any order


def told(order: list[str], really: Callable[..., Any], *given: Any, **more: Any) -> Any:
    """A prediction that is told in ``order``."""
    order.append("prediction")
    return really(*given, **more)


async def test_quick_ones_are_computed_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = dense()
    threads: list[int] = []
    really = model.predict

    def predict(*given: Any, **more: Any) -> Any:
        threads.append(Team(4).threads)
        return really(*given, **more)

    monkeypatch.setattr(model, "predict", predict)
    async with batches(quick=ALWAYS) as made:
        for _ in range(SEEN + 1):
            await asked(made, model, data[0])
    assert threads == [4] * SEEN + [1]
