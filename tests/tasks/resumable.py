"""Updates of every kind of model that learns, to be stopped and taken up again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import (
    Checkpoint,
    MLArrayBatchProvider,
    MLBatchProvider,
    MLLearningRateSchedule,
    MLModel,
    MLModelConfiguration,
    MLTrainingOptions,
    MLUpdateContext,
    MLUpdateProgressHandlers,
    MLUpdateTask,
)
from tailor import MLUpdateProgressEvent as Event
from tailor.persistence import checkpoint_bytes, parse_checkpoint
from tailor.runtime.format import (
    AdamParams,
    KNearestNeighborsClassifierBuilder,
    NeuralNetworkBuilder,
    SgdParams,
    array_feature,
    make_pipeline,
)
from tests.tasks.models import regression_model, regression_provider

EPOCHS, BATCH, COUNT = 3, 4, 10  # the last mini-batch of an epoch has two examples


def network(optimizer: SgdParams | AdamParams, shuffle: bool) -> Any:
    """Two layers, mean squared error; updatable in both."""
    rng = np.random.default_rng(5)
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("y", (1,))])
    builder.add_inner_product("first", rng.normal(size=(3, 2)), rng.normal(size=3), 2, 3, True, "x", "h")
    builder.add_activation("relu", "RELU", "h", "r")
    builder.add_inner_product("second", rng.normal(size=(1, 3)), np.zeros(1), 3, 1, True, "r", "y")
    builder.make_updatable(["first", "second"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (1,)))
    if isinstance(optimizer, AdamParams):
        builder.set_adam_optimizer(optimizer)
    else:
        builder.set_sgd_optimizer(optimizer)
    builder.set_epochs(EPOCHS, allowed_set=range(1, 9))
    builder.set_shuffle(shuffle)
    return builder.spec


def adam(shuffle: bool = True) -> MLModel:
    return MLModel.from_spec(network(AdamParams(lr=0.01, batch=BATCH), shuffle), "adam")


def neighbors(labels: type = str) -> Any:
    return KNearestNeighborsClassifierBuilder("x", "label", 2, "nobody" if labels is str else -1, number_of_neighbors=1).spec


def voters(count: int, labels: type = str) -> MLArrayBatchProvider:
    x = np.random.default_rng(3).normal(size=(count, 2)).astype(np.float32)
    return MLArrayBatchProvider([{"x": row, "label": labels(number % 3)} for number, row in enumerate(x)])


def pipeline() -> MLModel:
    front = NeuralNetworkBuilder([array_feature("raw", (2,))], [array_feature("x", (2,))])
    front.add_inner_product("turn", np.array([[0.0, 1.0], [1.0, 0.0]]), None, 2, 2, False, "raw", "x")
    return MLModel.from_spec(make_pipeline("classifier", [front.spec, neighbors()]), "pipeline")


def raw(count: int) -> MLArrayBatchProvider:
    return MLArrayBatchProvider([{"raw": row["x"], "label": row["label"]} for row in voters(count)])


SCHEDULED = MLTrainingOptions(schedule=MLLearningRateSchedule("cosine", "step", warmup=2), clip_norm=1.0)

CASES: dict[str, tuple[Callable[[], MLModel], Callable[[], MLBatchProvider], dict[str, Any]]] = {
    "SGD": (regression_model, regression_provider, {}),
    "momentum": (lambda: MLModel.from_spec(network(SgdParams(lr=0.05, batch=BATCH, momentum=0.9), False)), regression_provider, {}),
    "Adam, shuffled": (adam, regression_provider, {}),
    "Adam, accumulated and decayed": (adam, regression_provider, {"training": MLTrainingOptions(accumulate=2, weight_decay=0.1)}),
    "one layer, scheduled": (adam, regression_provider, {"trainable": ["second"], "training": SCHEDULED}),
    "neighbours": (lambda: MLModel.from_spec(neighbors()), lambda: voters(150), {}),
    "neighbours by number": (lambda: MLModel.from_spec(neighbors(int)), lambda: voters(150, int), {}),
    "pipeline": (pipeline, lambda: raw(150), {}),
}
EACH = pytest.mark.parametrize("case", CASES)


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def handled(handler: Callable[[MLUpdateContext], Any], events: Event = Event.MINI_BATCH_END) -> MLUpdateProgressHandlers:
    return MLUpdateProgressHandlers(events, handler)


def carried(checkpoint: Checkpoint) -> Checkpoint:
    """As it comes out of a file."""
    return parse_checkpoint(checkpoint_bytes(checkpoint))


async def collected(
    model: MLModel, data: MLBatchProvider, configuration: MLModelConfiguration | None = None, **more: Any
) -> tuple[MLUpdateContext, list[Checkpoint]]:
    """The end of an update, and a checkpoint of each of its mini-batch boundaries."""
    checkpoints: list[Checkpoint] = []

    async def keep(context: MLUpdateContext) -> None:
        checkpoints.append(carried(await context.task.checkpoint()))

    return await MLUpdateTask(model, data, configuration, progress_handlers=handled(keep), **more), checkpoints
