"""Predictions for whoever asks: with the user's own model, together with others that come at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from anyio import to_thread

from tailor import MLBatching, MLFeatureError, Runtime
from tailor.client import Predictions

from ..configuration import Limits
from .cache import UserModels
from .loaded import Loaded


def batching(limits: Limits) -> MLBatching:
    """How the daemon's runtime predicts: what comes while one is at work is the next batch; too many at a time are refused."""
    return MLBatching(most_waiting=limits.waiting_predictions, refuses=True)


class Predicting:
    """Predicts on ``runtime``, which should have ``batching``."""

    def __init__(self, runtime: Runtime, models: UserModels, limits: Limits) -> None:
        self.limits = limits
        self._runtime = runtime
        self._models = models

    async def predict(self, model: str, user: str | None, inputs: Sequence[Mapping[str, Any]]) -> Predictions:
        """The outputs for each of ``inputs``, by name, as ``MLModel.predict`` gives them: arrays, and Pillow images for images.

        ``user`` ``None``: with the model as it was registered. Raises ``MLFeatureError`` naming the example and what of it does not fit,
        ``MLNotFoundError`` for a model or user that is not there, ``MLBusyError`` where too many wait already.
        """
        found = await self._models.loaded(model, user)
        if found.features.is_little(inputs):
            rows = self._rows(found, inputs)
        else:
            rows = await to_thread.run_sync(partial(self._rows, found, inputs))
        return Predictions(outputs=await self._runtime.prediction(found.model, rows), version=found.version)

    def _rows(self, found: Loaded, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        rows = []
        for number, one in enumerate(inputs):
            try:
                rows.append(found.features.read(one, self.limits.pixels))
            except MLFeatureError as error:
                raise error.of_example(number) from None
        return rows
