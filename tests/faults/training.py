"""A training that is taken up wherever its last checkpoint is: the same work in every process that is given its folder."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import anyio
import numpy as np

from tailor import (
    MLArrayBatchProvider,
    MLCheckpoints,
    MLMetricKey,
    MLModel,
    MLModelConfiguration,
    MLUpdateContext,
    MLUpdateProgressHandlers,
    MLUpdateTask,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.runtime.format import AdamParams, NeuralNetworkBuilder, array_feature
from tailor.runtime.update import saving

if find_spec("numba") is not None and os.environ.get("TAILOR_NO_NUMBA", "") in ("", "0"):
    import numba  # noqa: F401 (once, in the process that the others are forked from)

EPOCHS, COUNT, BATCH = 6, 53, 8
BATCHES = EPOCHS * -(-COUNT // BATCH)  # the last of an epoch has five examples
RATES = {1: 0.003, 3: 0.02}
"""The learning rate from the end of these epochs on."""


class Told(Protocol):
    """Where the training tells of each mini-batch."""

    def send(self, moment: tuple[int, int]) -> None:
        """Epoch and mini-batch."""


def model(epochs: int = EPOCHS) -> MLModel:
    """Three layers that learn, Adam, shuffled."""
    rng = np.random.default_rng(5)
    builder = NeuralNetworkBuilder([array_feature("x", (6,))], [array_feature("y", (2,))])
    for number, (before, after) in enumerate(((6, 64), (64, 32), (32, 2))):
        source = "x" if number == 0 else f"r{number - 1}"
        weights = rng.normal(size=(after, before)) / before**0.5
        builder.add_inner_product(
            f"dense{number}", weights, np.zeros(after), before, after, True, source, "y" if number == 2 else f"h{number}"
        )
        if number < 2:
            builder.add_activation(f"relu{number}", "RELU", f"h{number}", f"r{number}")
    builder.make_updatable(["dense0", "dense1", "dense2"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (2,)))
    builder.set_adam_optimizer(AdamParams(lr=0.01, batch=BATCH))
    builder.set_epochs(epochs)
    builder.set_shuffle(True)
    return MLModel.from_spec(builder.spec, "steadfast")


def examples() -> MLArrayBatchProvider:
    """Numbers that hang on nothing but their seed."""
    x = np.random.default_rng(11).normal(size=(COUNT, 6)).astype(np.float32)
    return MLArrayBatchProvider({"x": x, "y_true": np.tanh(x[:, :2] * x[:, 2:4])})


def train(folder: Path, told: Told) -> None:
    """Trains to the end, from the checkpoint in ``folder`` where there is one, and writes the model beside it."""
    saving.SHARE = float("inf")  # every mini-batch's, whatever it costs: the more are written, the more are killed on the way
    checkpoints = MLCheckpoints(folder / "checkpoint", every_batches=1, keep=True)

    def handler(context: MLUpdateContext) -> None:
        epoch, batch = int(context.metrics[MLMetricKey.EPOCH_INDEX]), int(context.metrics[MLMetricKey.MINI_BATCH_INDEX])
        if context.event is Event.MINI_BATCH_END:
            told.send((epoch, batch))
        elif epoch in RATES:
            context.task.resume(with_parameters={Key.LEARNING_RATE: RATES[epoch]})

    async def run() -> MLUpdateContext:
        handlers = MLUpdateProgressHandlers(Event.MINI_BATCH_END | Event.EPOCH_END, handler)
        configuration = MLModelConfiguration(parameters={Key.SEED: 2})
        if (folder / "checkpoint").exists():
            return await MLUpdateTask.restore(
                folder / "checkpoint", model(), examples(), configuration, progress_handlers=handlers, checkpoints=checkpoints
            )
        return await MLUpdateTask(model(), examples(), configuration, progress_handlers=handlers, checkpoints=checkpoints)

    anyio.run(run).model.write(folder / "trained.mlmodel")
