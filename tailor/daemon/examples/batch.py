"""The examples of one update, as training reads them: from the ledger, when they are needed; what is small only once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailor import MLExampleOrigin

from ..ledger import Ledger, TrainingRow
from .features import TrainingFeatures

REMEMBERED = 4 << 20
"""Bytes of an update's examples, as the ledger keeps them, that stay in memory: each epoch reads them again."""


class LedgerExamples:
    """``rows`` of the ledger as an ``MLBatchProvider``: equal at each reading, in the order given, at most ``REMEMBERED`` in memory."""

    augments = False

    def __init__(self, ledger: Ledger, rows: Sequence[TrainingRow], features: TrainingFeatures) -> None:
        self._ledger = ledger
        self._rows = rows
        self._features = features
        self._known: dict[int, bytes] = {}
        self._room = REMEMBERED

    @property
    def count(self) -> int:
        """The number of examples."""
        return len(self._rows)

    def features_at(self, index: int) -> dict[str, Any]:
        """The training inputs of one example; raises what ``Ledger.content`` and ``TrainingFeatures.restored`` raise."""
        content = self._known.get(index)
        if content is None:
            content = self._ledger.content(self._rows[index].sequence)
            if len(content) <= self._room:
                self._room -= len(content)
                self._known[index] = content
        return self._features.restored(content)

    def origin_at(self, index: int) -> MLExampleOrigin:
        """Where one example came from."""
        row = self._rows[index]
        return MLExampleOrigin(row.id, row.source, row.time)

    def __repr__(self) -> str:
        return f"<LedgerExamples {self.count}>"
