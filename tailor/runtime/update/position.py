"""Where an update is, between two mini-batches, as a value; and what has happened on the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tailor.kernels import Array

from .context import MLMetricKey, MLUpdateProgressEvent

Metrics = Mapping[MLMetricKey, float | int]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened in an update."""

    event: MLUpdateProgressEvent
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Position:
    """``cursor`` examples of the order of this ``epoch`` have been learned from.

    ``loss_sum`` is over those; ``first_loss`` the mean loss of epoch 0, once it is over; ``metrics`` those of the last event;
    ``multiplier`` what the learning rate was multiplied by in the last mini-batch.
    """

    epoch: int = 0
    cursor: int = 0
    loss_sum: float = 0.0
    first_loss: float | None = None
    metrics: Metrics = field(default_factory=dict)
    multiplier: float = 1.0

    def after(self, batch: int, learned: int, losses: Array | None, count: int, multiplier: float) -> tuple[Position, list[Note]]:
        """One mini-batch of ``learned`` examples on (of ``count`` in an epoch), and what has happened by that."""
        metrics: dict[MLMetricKey, float | int] = {MLMetricKey.EPOCH_INDEX: self.epoch, MLMetricKey.MINI_BATCH_INDEX: batch}
        loss_sum = self.loss_sum
        if losses is not None:
            total = float(np.sum(losses, dtype=np.float64))
            loss_sum += total
            metrics[MLMetricKey.LOSS_VALUE] = total / learned
        notes = [Note(MLUpdateProgressEvent.MINI_BATCH_END, metrics)]
        if self.cursor + learned < count:
            return replace(self, cursor=self.cursor + learned, loss_sum=loss_sum, metrics=metrics, multiplier=multiplier), notes
        if losses is not None:
            metrics = {**metrics, MLMetricKey.LOSS_VALUE: loss_sum / count}
        notes.append(Note(MLUpdateProgressEvent.EPOCH_END, metrics))
        first = metrics.get(MLMetricKey.LOSS_VALUE) if self.first_loss is None else self.first_loss
        return Position(self.epoch + 1, first_loss=first, metrics=metrics, multiplier=multiplier), notes
