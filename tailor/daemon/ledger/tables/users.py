"""Users of models, and the counts that are kept of each and of all."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Connection
from typing import NamedTuple

from ...configuration import Limits
from ..errors import LedgerBusy, LedgerFull, LedgerMissing
from ..rows import KeptUser, Totals
from ..times import micros, moment, moment_if_any
from .models import one as one_model

SELECT = (
    "SELECT u.model, u.name, u.waiting, u.taken, u.learned, u.set_aside, u.held, u.size, u.first_waiting_at, u.added_at, p.identifier "
    "FROM users u LEFT JOIN updates p ON p.number = u.open_update "
)


class Owner(NamedTuple):
    """A user's row, as changes need it."""

    number: int
    waiting: int
    taken: int
    learned: int
    set_aside: int
    held: int
    size: int
    open_update: int | None


def _row(
    model: str,
    name: str,
    waiting: int,
    taken: int,
    learned: int,
    set_aside: int,
    held: int,
    size: int,
    first: int | None,
    added: int,
    update: str | None,
) -> KeptUser:
    return KeptUser(model, name, waiting, taken, learned, set_aside, held, size, moment_if_any(first), moment(added), update)


def page(connection: Connection, model: str, after: str, most: int) -> list[KeptUser]:
    """Those of a model, by name, behind ``after``."""
    return [
        _row(*row) for row in connection.execute(SELECT + "WHERE u.model = ? AND u.name > ? ORDER BY u.name LIMIT ?", (model, after, most))
    ]


def one(connection: Connection, model: str, user: str) -> KeptUser | None:
    """The user of that name."""
    found = connection.execute(SELECT + "WHERE u.model = ? AND u.name = ?", (model, user)).fetchone()
    return None if found is None else _row(*found)


def waiting(connection: Connection) -> list[KeptUser]:
    """Those with examples that wait and no open update, who waits longest first."""
    return [
        _row(*row)
        for row in connection.execute(SELECT + "WHERE u.waiting > 0 AND u.open_update IS NULL ORDER BY u.first_waiting_at, u.number")
    ]


def totals(connection: Connection) -> Totals:
    """Of all together."""
    sql = "SELECT (SELECT count(*) FROM models), users, waiting, size FROM totals"
    return Totals(*connection.execute(sql).fetchone())


def owner_if_any(connection: Connection, model: str, user: str) -> Owner | None:
    """The row of a user."""
    sql = "SELECT number, waiting, taken, learned, set_aside, held, size, open_update FROM users WHERE model = ? AND name = ?"
    found = connection.execute(sql, (model, user)).fetchone()
    return None if found is None else Owner(*found)


def owner_of(connection: Connection, model: str, user: str) -> Owner:
    """The row of a user. Raises ``LedgerMissing``."""
    found = owner_if_any(connection, model, user)
    if found is None:
        raise LedgerMissing(f"model {model!r} has no user {user!r}")
    return found


def add(connection: Connection, model: str, user: str, at: datetime, limits: Limits) -> bool:
    """Whether the user is new. Raises ``LedgerMissing`` for a model that is not there, ``LedgerFull``."""
    if owner_if_any(connection, model, user) is not None:
        return False
    if one_model(connection, model) is None:
        raise LedgerMissing(f"there is no model {model!r}")
    ((count,),) = connection.execute("SELECT users FROM totals").fetchall()
    if count >= limits.users:
        raise LedgerFull("users", limits.users, count + 1)
    ((count,),) = connection.execute("SELECT count(*) FROM users WHERE name = ?", (user,)).fetchall()
    if count >= limits.models_per_user:
        raise LedgerFull("models_per_user", limits.models_per_user, count + 1)
    connection.execute("INSERT INTO users (model, name, added_at) VALUES (?, ?, ?)", (model, user, micros(at)))
    connection.execute("UPDATE models SET users = users + 1 WHERE name = ?", (model,))
    connection.execute("UPDATE totals SET users = users + 1")
    return True


def count(
    connection: Connection,
    owner: int,
    *,
    waiting: int = 0,
    taken: int = 0,
    learned: int = 0,
    set_aside: int = 0,
    held: int = 0,
    size: int = 0,
) -> None:
    """Adds to the counts of a user, and to those of all, once the examples' rows say so."""
    connection.execute(
        "UPDATE users SET waiting = waiting + ?, taken = taken + ?, learned = learned + ?, set_aside = set_aside + ?, held = held + ?, "
        "size = size + ?, first_waiting_at = (SELECT received_at FROM examples WHERE owner = users.number AND state = 'waiting' "
        "ORDER BY sequence LIMIT 1) WHERE number = ?",
        (waiting, taken, learned, set_aside, held, size, owner),
    )
    connection.execute("UPDATE totals SET waiting = waiting + ?, size = size + ?", (waiting, size))


def remove(connection: Connection, model: str, user: str) -> bool:
    """Whether the user was there; goes with examples and updates. Raises ``LedgerBusy`` for one whose update is open."""
    owner = owner_if_any(connection, model, user)
    if owner is None:
        return False
    if owner.open_update is not None:
        raise LedgerBusy(f"user {user!r} of model {model!r}: expected one without an open update, got one with it; cancel it first")
    for sql in (
        "DELETE FROM contents WHERE sequence IN (SELECT sequence FROM examples WHERE owner = ?)",
        "DELETE FROM examples WHERE owner = ?",
        "DELETE FROM updates WHERE owner = ?",
        "DELETE FROM users WHERE number = ?",
    ):
        connection.execute(sql, (owner.number,))
    connection.execute("UPDATE models SET users = users - 1 WHERE name = ?", (model,))
    connection.execute("UPDATE totals SET users = users - 1, waiting = waiting - ?, size = size - ?", (owner.waiting, owner.size))
    return True
