"""Short digests of examples, by which an update that is taken up again tells other training data from its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..errors import MLCheckpointError
from ..models import Column, Columns

UNREAD = 0
HANDFUL = 8
"""How many examples are compared at once where an update is taken up; the others are when their turn comes."""


class Fingerprints:
    """The digest of each example that has been read, ``digests`` (uint64 ``[count]``, 0 where it has not).

    It is taken of its canonical values, when it is read first; one that came with a checkpoint is compared then.
    """

    def __init__(self, count: int) -> None:
        self.digests = np.full(count, UNREAD, np.uint64)
        self._read = np.zeros(count, bool)

    def expect(self, digests: Array) -> list[int]:
        """Compares from now on with ``digests`` of a checkpoint; a handful of examples that have one, from the first to the last."""
        self.digests[...] = digests
        self._read[...] = False
        known = np.flatnonzero(self.digests != UNREAD)
        chosen: list[int] = known[np.unique(np.linspace(0, max(len(known) - 1, 0), min(HANDFUL, len(known)), dtype=np.int64))].tolist()
        return chosen

    def check(self, numbers: Sequence[int], columns: Columns) -> None:
        """Takes the examples ``numbers`` to account. Raises ``MLCheckpointError`` naming one that is not what it was."""
        rows = [row for row, number in enumerate(numbers) if not self._read[number]]
        if not rows:
            return
        parts = [_encoded(name, columns[name], rows) for name in sorted(columns)]
        for row, *values in zip(rows, *parts, strict=True):
            number = numbers[row]
            found = int.from_bytes(hashlib.sha256(b"".join(values)).digest()[:8], "little") or 1
            if self.digests[number] not in (UNREAD, found):
                raise MLCheckpointError(
                    f"example {number}: expected the training data that the checkpoint was made with, got another example in this place"
                )
            self.digests[number] = found
            self._read[number] = True


def _encoded(name: str, column: Column, rows: Sequence[int]) -> list[bytes]:
    """The canonical values of some rows, each as bytes that do not depend on the others."""
    if isinstance(column, np.ndarray):
        head = f"{name} {column.dtype.str}{column.shape[1:]}".encode()
        return [head + column[row].tobytes() for row in rows]
    return [_bytes(name, column[row]) for row in rows]


def _bytes(name: str, value: Any) -> bytes:
    if isinstance(value, np.ndarray | np.generic):
        return f"{name} {value.dtype.str}{value.shape}".encode() + value.tobytes()
    if isinstance(value, Mapping):
        return f"{name} {sorted(value.items())!r}".encode()
    return f"{name} {value!r}".encode()
