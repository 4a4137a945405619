"""Events that are kept: the last so many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from tailor.client import EventRecord

from ..times import micros, moment


def add(
    connection: Connection,
    time: datetime,
    kind: str,
    text: str,
    model: str | None,
    user: str | None,
    update: str | None,
    detail: Mapping[str, Any],
    most: int,
) -> EventRecord:
    """The event with its number, as it will be read again; of those before, all but ``most`` go."""
    written = json.dumps(dict(detail), default=str)
    sequence = (
        connection.execute(
            "INSERT INTO events (time, kind, text, model, user, update_, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (micros(time), kind, text, model, user, update, written),
        ).lastrowid
        or 0
    )
    connection.execute("DELETE FROM events WHERE sequence <= ?", (sequence - max(most, 1),))  # the last one stays: numbers go on from it
    return _row(sequence, micros(time), kind, text, model, user, update, written)


def page(connection: Connection, after: int | None, before: int | None, most: int, update: str | None) -> list[EventRecord]:
    """In order: the first behind ``after``; without it the last, of those before ``before``."""
    conditions: list[tuple[str, object]] = [("sequence > ?", after or 0)]
    if before is not None:
        conditions.append(("sequence < ?", before))
    if update is not None:
        conditions.append(("update_ = ?", update))
    rows = connection.execute(
        "SELECT sequence, time, kind, text, model, user, update_, detail FROM events "
        f"WHERE {' AND '.join(condition for condition, _ in conditions)} ORDER BY sequence {'DESC' if after is None else 'ASC'} LIMIT ?",
        (*(value for _, value in conditions), most),
    ).fetchall()
    return [_row(*row) for row in (reversed(rows) if after is None else rows)]


def last(connection: Connection) -> int:
    """The number of the last one, 0 before the first."""
    ((sequence,),) = connection.execute("SELECT ifnull(max(sequence), 0) FROM events").fetchall()
    return int(sequence)


def _row(
    sequence: int, time: int, kind: str, text: str, model: str | None, user: str | None, update: str | None, detail: str
) -> EventRecord:
    return EventRecord(
        sequence=sequence, time=moment(time), kind=kind, text=text, model=model, user=user, update=update, detail=json.loads(detail)
    )
