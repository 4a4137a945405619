"""Forgetting examples: all but their ids."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from ..errors import LedgerBusy
from .intake import chunks, values
from .users import count, owner_of


def forget(connection: Connection, model: str, user: str, ids: Sequence[str], labels: Sequence[str | int], sources: Sequence[str]) -> int:
    """How many were forgotten: those of a user with one of the ids, labels or sources. Raises ``LedgerMissing``, ``LedgerBusy``."""
    owner = owner_of(connection, model, user)
    learning_again = False
    if owner.open_update is not None:
        ((learning_again,),) = connection.execute("SELECT learned_too FROM updates WHERE number = ?", (owner.open_update,)).fetchall()
    found: dict[int, tuple[str, str, int, int]] = {}
    for column, wanted in (("id", ids), ("label", labels), ("source", sources)):
        before = (
            "SELECT e.sequence, e.id, e.state, e.size, c.sequence IS NOT NULL "
            "FROM examples e LEFT JOIN contents c ON c.sequence = e.sequence "
            f"WHERE e.owner = ? AND e.state <> 'forgotten' AND e.{column} IN ("
        )
        for some in chunks(wanted):
            found |= {row[0]: row[1:] for row in connection.execute(values(before, "?", len(some), ")"), (owner.number, *some))}
    counts = {"waiting": 0, "learned": 0, "set_aside": 0}
    held = freed = 0
    for id, state, size, is_held in found.values():
        if state == "taken" or (learning_again and is_held and state == "learned"):
            raise LedgerBusy(
                f"example {id!r}: expected one that no update has taken, got one that an open update learns from; cancel it first"
            )
        counts[state] -= 1
        held -= is_held
        freed -= size
    for some in chunks(list(found)):
        connection.execute(values("DELETE FROM contents WHERE sequence IN (", "?", len(some), ")"), some)
        before = (
            "UPDATE examples SET state = 'forgotten', digest = NULL, label = NULL, source = NULL, time = NULL, size = 0, taken_by = NULL, "
            "version = NULL WHERE sequence IN ("
        )
        connection.execute(values(before, "?", len(some), ")"), some)
    count(
        connection, owner.number, waiting=counts["waiting"], learned=counts["learned"], set_aside=counts["set_aside"], held=held, size=freed
    )
    return len(found)
