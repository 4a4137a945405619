"""Examples that come in, as rows of the ledger: all of them, or none."""

from __future__ import annotations

import uuid
from functools import partial
from hashlib import sha256

from anyio import CapacityLimiter, to_thread

from tailor import MLExampleOrigin, MLLimitError, MLModelError
from tailor.client import NewExample, NewExamples

from ..configuration import Limits
from ..ledger import NewRow
from .features import TrainingFeatures

FEW = 32
"""So many small examples are read on the event loop: to hand them to a thread would take longer."""


class Intake:
    """Makes rows of examples, of not more than ``at_once`` requests at the same time, so that what is decoded stays small."""

    def __init__(self, at_once: int = 2) -> None:
        self._turns = CapacityLimiter(at_once)

    async def rows(self, new: NewExamples, features: TrainingFeatures, limits: Limits) -> list[NewRow]:
        """``rows_of``, in a worker thread where that takes long."""
        if features.is_quick and len(new.examples) <= FEW:
            return rows_of(new, features, limits)
        return await to_thread.run_sync(partial(rows_of, new, features, limits), limiter=self._turns)


def rows_of(new: NewExamples, features: TrainingFeatures, limits: Limits) -> list[NewRow]:
    """The rows of ``new`` examples of the model that ``features`` are of. One without an id is called ``batch``-number, from 0 on.

    Raises ``MLFeatureError`` for what does not fit, ``MLLimitError`` for what is larger than ``limits`` allow, about the first such one.
    """
    batch = new.batch or uuid.uuid4().hex
    return [_row(example, number, batch, features, limits) for number, example in enumerate(new.examples)]


def _row(example: NewExample, number: int, batch: str, features: TrainingFeatures, limits: Limits) -> NewRow:
    try:
        body, label = features.normalised(example.features, limits.pixels)
        if len(body) > limits.example_bytes:
            raise MLLimitError(f"limits.example_bytes: expected at most {limits.example_bytes} bytes, got {len(body)}")
        origin = MLExampleOrigin(example.id or f"{batch}-{number}", example.source, example.time)
    except MLModelError as error:
        raise error.of_example(number) from None
    assert origin.id is not None
    return NewRow(origin.id, sha256(body).digest(), body, label, origin.source, origin.time)
