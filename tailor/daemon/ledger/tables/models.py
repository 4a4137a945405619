"""Registered models."""

from __future__ import annotations

from sqlite3 import Connection

from ...configuration import Limits
from ..errors import LedgerBusy, LedgerFull, LedgerMoved
from ..rows import KeptModel
from ..times import micros, moment

COLUMNS = "name, base, kind, size, registered_at, users"


def _row(name: str, base: str, kind: str, size: int, registered_at: int, users: int) -> KeptModel:
    return KeptModel(name, base, kind, size, moment(registered_at), users)


def every(connection: Connection) -> list[KeptModel]:
    """All of them, by name."""
    return [_row(*row) for row in connection.execute(f"SELECT {COLUMNS} FROM models ORDER BY name")]


def one(connection: Connection, name: str) -> KeptModel | None:
    """The model of that name."""
    found = connection.execute(f"SELECT {COLUMNS} FROM models WHERE name = ?", (name,)).fetchone()
    return None if found is None else _row(*found)


def put(connection: Connection, model: KeptModel, limits: Limits, without_users: bool) -> None:
    """A new one, or one in the place of another, whose users stay. Raises ``LedgerFull``, ``LedgerBusy``."""
    before = one(connection, model.name)
    ((count,),) = connection.execute("SELECT count(*) FROM models").fetchall()
    if count >= limits.models and before is None:
        raise LedgerFull("models", limits.models, count + 1)
    if without_users:
        _check_free(before)
    connection.execute(
        "INSERT INTO models (name, base, kind, size, registered_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
        "SET base = excluded.base, kind = excluded.kind, size = excluded.size, registered_at = excluded.registered_at",
        (model.name, model.base, model.kind, model.size, micros(model.registered_at)),
    )


def check_base(connection: Connection, name: str, base: str) -> None:
    """Raises ``LedgerMoved`` where the model of this name is another one than ``base``."""
    found = one(connection, name)
    if found is not None and found.base != base:
        raise LedgerMoved(name)


def remove(connection: Connection, name: str) -> bool:
    """Whether it was there. Raises ``LedgerBusy`` for one that has users."""
    _check_free(one(connection, name))
    return connection.execute("DELETE FROM models WHERE name = ?", (name,)).rowcount > 0


def _check_free(model: KeptModel | None) -> None:
    if model is not None and model.users:
        raise LedgerBusy(f"model {model.name!r}: expected one without users, got one with {model.users}")
