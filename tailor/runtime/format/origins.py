"""Where a nearest neighbour classifier's examples came from, kept in the model's user metadata, which other readers pass over.

Under ``com.tailor.examples`` stands a JSON object of columns, one entry an example, in the order of the samples:

* ``format``: 1;
* ``from``: the first sample that has an entry; those before it, and those behind the last entry, have none;
* ``ids``: a text each, ``null`` where the sample has no entry;
* ``sources``: the sources there are, each once, and ``source``: the place of each one's there, or ``null``; absent where none has one;
* ``times``: ISO 8601 in UTC, or ``null``; absent where none has one.

It takes at most 64 MiB. Who appends samples and does not know of it leaves it valid.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from ..errors import MLFormatError
from .schema.model_pb2 import Model

ORIGINS_KEY = "com.tailor.examples"
MOST_BYTES = 1 << 26

OriginRow: TypeAlias = tuple[str, str, str] | None
"""Id, source and time of one example, the latter two ``""`` where there is none; ``None`` where nothing is known of it."""


def read_origins(model: Model, who: str) -> list[OriginRow]:
    """A row for each sample of ``model``, a nearest neighbour classifier.

    Raises ``MLFormatError``, naming ``who`` and the key, where the metadata does not hold what it should.
    """
    count = len(model.kNearestNeighborsClassifier.nearestNeighborsIndex.floatSamples)
    text = model.description.metadata.userDefined.get(ORIGINS_KEY)
    if text is None:
        return [None] * count
    try:
        begin, rows = _decoded(text)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        expected = "the origins of examples as tailor writes them"
        raise MLFormatError(f"{who}: metadata {ORIGINS_KEY!r}: expected {expected}, got {type(error).__name__}: {error}") from None
    if begin + len(rows) > count:
        raise MLFormatError(
            f"{who}: metadata {ORIGINS_KEY!r}: expected no more entries than samples ({count}), got them for {begin + len(rows)}: samples "
            "were removed, and it is not known whose entries are whose; delete the metadata to go on without"
        )
    return [*[None] * begin, *rows, *[None] * (count - begin - len(rows))]


def write_origins(model: Model, rows: Sequence[OriginRow], who: str) -> None:
    """Puts a row for each sample into ``model``'s metadata; nothing where there is nothing to say.

    Equal rows give equal bytes. Raises ``MLFormatError`` for more than 64 MiB.
    """
    known = [place for place, row in enumerate(rows) if row is not None]
    metadata = model.description.metadata
    if not known:
        if ORIGINS_KEY in metadata.userDefined:
            del metadata.userDefined[ORIGINS_KEY]
            if not metadata.ByteSize():  # as in a model that never had any
                model.description.ClearField("metadata")
        return
    some = rows[known[0] : known[-1] + 1]
    value: dict[str, Any] = {"format": 1, "from": known[0], "ids": [row[0] if row else None for row in some]}
    sources = {source: place for place, source in enumerate(dict.fromkeys(row[1] for row in some if row and row[1]))}
    if sources:
        value |= {"sources": list(sources), "source": [sources[row[1]] if row and row[1] else None for row in some]}
    if any(row and row[2] for row in some):
        value["times"] = [(row[2] or None) if row else None for row in some]
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MOST_BYTES:
        raise MLFormatError(f"{who}: metadata {ORIGINS_KEY!r}: expected at most {MOST_BYTES} bytes, got {len(text.encode())}")
    metadata.userDefined[ORIGINS_KEY] = text


def origin_texts(rows: Iterable[OriginRow]) -> list[str]:
    """A text for each row, as snapshots keep them: ``""``, or a JSON list of id, source and time, as many as there are."""
    return ["" if row is None else json.dumps(_trimmed(row), ensure_ascii=False, separators=(",", ":")) for row in rows]


def origin_rows(texts: Iterable[Any], who: str) -> list[OriginRow]:
    """What ``origin_texts`` made texts of; raises ``MLFormatError``, naming ``who``, for any other."""
    try:
        return [None if text == "" else _row(*_listed(json.loads(text))) for text in texts]
    except (ValueError, TypeError, RecursionError) as error:
        raise MLFormatError(f"{who}: expected JSON lists of id, source and time, got {type(error).__name__}: {error}") from None


def _decoded(text: str) -> tuple[int, list[OriginRow]]:
    """Which sample is the first, and rows from there on."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"{len(text)} characters")
    value = json.loads(text)
    if value["format"] != 1:
        raise ValueError(f"format {value['format']!r}, which this tailor does not know")
    begin, ids = value["from"], _listed(value["ids"])
    if type(begin) is not int or begin < 0:
        raise ValueError(f"from {begin!r}")
    nothing = [None] * len(ids)
    table, places, times = _listed(value.get("sources", [])), _listed(value.get("source", nothing)), _listed(value.get("times", nothing))
    sources = ["" if place is None else table[place] for place in places]
    return begin, [None if name is None else _row(name, source, time or "") for name, source, time in zip(ids, sources, times, strict=True)]


def _row(name: Any, source: Any = "", time: Any = "") -> OriginRow:
    if not (isinstance(name, str) and name and isinstance(source, str) and isinstance(time, str)):
        raise ValueError(f"{[name, source, time]!r}")
    return name, source, time


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{type(value).__name__} where a list should be")
    return value


def _trimmed(row: tuple[str, str, str]) -> list[str]:
    """Without what is missing at its end."""
    return list(row) if row[2] else list(row[:2]) if row[1] else [row[0]]
