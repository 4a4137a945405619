"""Examples as they are kept: told of, and their content."""

from __future__ import annotations

from sqlite3 import Connection
from typing import get_args

from tailor.client import ExampleRecord, ExampleState

from ..errors import LedgerMissing
from ..times import moment, moment_if_any
from .users import owner_of

STATES: tuple[ExampleState, ...] = get_args(ExampleState)


def page(connection: Connection, model: str, user: str, state: ExampleState | None, after: str, most: int) -> list[ExampleRecord]:
    """Those of a user in the order of arrival, behind the one whose id is ``after``. Raises ``LedgerMissing``."""
    owner = owner_of(connection, model, user).number
    sequence = 0
    if after:
        found = connection.execute("SELECT sequence FROM examples WHERE owner = ? AND id = ?", (owner, after)).fetchone()
        if found is None:
            raise LedgerMissing(f"user {user!r} of model {model!r} has no example {after!r}")
        (sequence,) = found
    sql = (
        "SELECT e.sequence, e.id, e.state, e.source, e.time, e.received_at, e.size, p.identifier, e.version "
        "FROM examples e LEFT JOIN updates p ON p.number = e.taken_by WHERE e.owner = ? AND e.state = ? AND e.sequence > ? "
        "ORDER BY e.sequence LIMIT ?"
    )  # a state at a time: its index has them in order
    rows = [row for one in (STATES if state is None else (state,)) for row in connection.execute(sql, (owner, one, sequence, most))]
    return [
        ExampleRecord(
            id=id,
            state=found,
            source=source,
            time=moment_if_any(time),
            received_at=moment(received_at),
            size=size,
            update=update,
            version=version,
        )
        for _, id, found, source, time, received_at, size, update, version in sorted(rows)[:most]
    ]


def content(connection: Connection, sequence: int) -> bytes:
    """The content of one. Raises ``LedgerMissing`` where there is none, or none any more."""
    found = connection.execute("SELECT body FROM contents WHERE sequence = ?", (sequence,)).fetchone()
    if found is None:
        raise LedgerMissing(f"example number {sequence}: expected one that has its content, got none")
    return bytes(found[0])
