"""A snapshot's file to a model's file: of a full snapshot, without having the model in memory."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

from tailor.persistence import open_snapshot, write_atomically

from .format import peek_model_type
from .model import MLModel
from .snapshots import at_the_door, restore_snapshot

PEEK_BYTES = 2**20


def restore_to(
    snapshot: str | os.PathLike[str], output: str | os.PathLike[str], base: MLModel | str | os.PathLike[str] | None = None
) -> str:
    """Writes the model of a snapshot's file to the file ``output``, whole or not at all; returns the model's type.

    As ``restore_snapshot``, but a full snapshot goes from file to file in pieces, byte for byte, whatever its size. Raises
    ``MLSnapshotError``, and ``MLFormatError`` where ``output`` cannot be written.
    """
    if Path(output).suffix not in (".mlpackage", ".mlmodelc"):  # which refuse to be written as one file
        kind = at_the_door(_in_pieces, snapshot, output)
        if kind:
            return kind
    model = restore_snapshot(snapshot, base)
    model.write(output)
    return model.model_type


def _in_pieces(snapshot: str | os.PathLike[str], output: str | os.PathLike[str]) -> str:
    """The type of the model that was written; ``""`` where nothing was: for a delta, and where its first bytes do not show its type."""
    with open_snapshot(snapshot) as reader:
        if reader.size is None:
            return ""
        chunks, start = reader.chunks(), bytearray()
        while len(start) < PEEK_BYTES and (chunk := next(chunks, None)) is not None:
            start += chunk
        kind = peek_model_type(bytes(start))
        if kind:
            write_atomically(output, chain((start,), chunks))  # the last chunk comes only if the file is undamaged
        return kind
