"""Examples that come in: all of a batch, or none of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from sqlite3 import Connection
from typing import TypeVar

from tailor.client import Added

from ...configuration import Limits
from ..errors import LedgerConflict, LedgerFull
from ..rows import NewRow
from ..times import micros
from .models import check_base
from .users import Owner, add, count, owner_of

T = TypeVar("T")

# Rows a statement: few statements for many rows, because every statement that is run lets other threads of Python go first, and waits for
# them; few sizes, so that they stay compiled.
SIZES = (500, 50, 5, 1)


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """All items in order, in pieces of the sizes that statements have."""
    start = 0
    while start < len(items):
        size = next(size for size in SIZES if size <= len(items) - start)
        yield items[start : start + size]
        start += size


@cache
def values(before: str, row: str, rows: int, after: str = "") -> str:
    """A statement for so many rows."""
    return before + ",".join([row] * rows) + after


def add_all(
    connection: Connection, model: str, user: str, rows: Sequence[NewRow], received_at: datetime, limits: Limits, base: str | None
) -> Added:
    """Adds the rows that are new, and the user where new.

    Raises ``LedgerMissing``, ``LedgerMoved``, ``LedgerConflict``, ``LedgerFull``.
    """
    if base is not None:
        check_base(connection, model, base)
    add(connection, model, user, received_at, limits)
    owner = owner_of(connection, model, user)
    fresh = _sort_out(connection, owner.number, rows)
    size = sum(len(row.body) for row in fresh)
    ((total, sequence),) = connection.execute("SELECT size, sequence FROM totals").fetchall()
    if fresh:
        _check_room(owner, len(fresh), size, total, limits)
        _insert(connection, owner.number, fresh, sequence + 1, micros(received_at))
        connection.execute("UPDATE totals SET sequence = sequence + ?", (len(fresh),))
        count(connection, owner.number, waiting=len(fresh), held=len(fresh), size=size)
    return Added(accepted=len(fresh), duplicates=len(rows) - len(fresh), waiting=owner.waiting + len(fresh))


def _sort_out(connection: Connection, owner: int, rows: Sequence[NewRow]) -> list[NewRow]:
    """Those that are not there yet. Raises ``LedgerConflict`` for the first whose id has other content."""
    ids = [row.id for row in rows]
    kept: dict[str, bytes | None] = {}
    before = "SELECT id, CASE WHEN state IN ('learned', 'forgotten') THEN NULL ELSE digest END FROM examples WHERE owner = ? AND id IN ("
    for some in chunks(ids):
        kept.update(connection.execute(values(before, "?", len(some), ")"), (owner, *some)).fetchall())
    fresh = []
    for index, row in enumerate(rows):
        if row.id not in kept:
            kept[row.id] = row.digest
            fresh.append(row)
        elif kept[row.id] not in (None, row.digest):
            raise LedgerConflict(index, row.id)
    return fresh


def _check_room(owner: Owner, more: int, size: int, total: int, limits: Limits) -> None:
    for which, limit, wanted in (
        ("examples_per_user", limits.examples_per_user, owner.held + more),
        ("bytes_per_user", limits.bytes_per_user, owner.size + size),
        ("bytes", limits.bytes, total + size),
    ):
        if wanted > limit:
            raise LedgerFull(which, limit, wanted)


def _insert(connection: Connection, owner: int, rows: list[NewRow], first: int, received_at: int) -> None:
    for some in chunks(list(enumerate(rows, first))):
        described: list[object] = []
        contents: list[object] = []
        for sequence, row in some:
            described += (sequence, owner, row.id, row.digest, row.label, row.source, micros(row.time), received_at, len(row.body))
            contents += (sequence, row.body)
        before = "INSERT INTO examples (sequence, owner, id, digest, state, label, source, time, received_at, size) VALUES "
        connection.execute(values(before, "(?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?)", len(some)), described)
        connection.execute(values("INSERT INTO contents (sequence, body) VALUES ", "(?, ?)", len(some)), contents)
