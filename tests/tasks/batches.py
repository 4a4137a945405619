"""Batches of predictions with a model of the tests' own, on lanes that the tests steer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import numpy as np

from tailor import MLModel, MLModelError
from tailor.runtime.batching import MLBatching, PredictionBatches
from tailor.runtime.format import Model, double_feature
from tailor.scheduler import Lane, Priority, ThreadLane
from tailor.scheduler.testing import InlineLane


class Own:
    """A model of the tests' own: y = 2 x. ``counts`` examples were given it at a time; ``before`` is called with their numbers."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.before: Callable[[Any], object] = lambda x: None

    def predict_batch(self, columns: Mapping[str, Any], count: int) -> Mapping[str, Any]:
        self.counts.append(count)
        self.before(columns["x"])
        return {"y": 2 * np.asarray(columns["x"])}


def own_model() -> MLModel:
    spec = Model(specificationVersion=4)
    spec.customModel.className = "Own"
    spec.description.input.append(double_feature("x"))
    spec.description.output.append(double_feature("y"))
    return MLModel.from_spec(spec, "own")


class HeldLane(InlineLane):
    """A lane whose work begins when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._go = anyio.Event()
        self._open = False

    def release(self, *, for_good: bool = False) -> None:
        """Lets what waits begin; ``for_good``: what comes later too."""
        self._open = for_good
        self._go.set()
        self._go = anyio.Event()

    def hold(self) -> None:
        """What comes from now on waits."""
        self._open = False

    async def run(self, work: Callable[[], Any]) -> Any:
        if not self._open:
            await self._go.wait()
        return await super().run(work)


@asynccontextmanager
async def batches(lane: Lane | None = None, **chosen: Any) -> AsyncIterator[PredictionBatches]:
    """Batches on ``lane``; nothing is left of them at the end."""
    lane = lane if lane is not None else ThreadLane()

    async def run(work: Callable[[], None], model: MLModel, priority: Priority) -> None:
        await lane.run(work)

    made = None
    try:
        async with anyio.create_task_group() as group:
            made = PredictionBatches(MLBatching(**chosen), group, run)
            yield made
    finally:
        assert made is not None
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
        assert made._lines == {}
        assert made._room.value == made._batching.most_waiting


async def asked(made: PredictionBatches, model: MLModel, data: Any, priority: Priority = Priority.USER_INTERACTIVE) -> Any:
    """What comes of a prediction: the answer, or the error."""
    try:
        return await made.prediction(model, data, priority)
    except MLModelError as error:
        return error
