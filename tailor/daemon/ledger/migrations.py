"""The tables of the ledger, and how a file of an earlier version becomes one of this."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

Step = tuple[str, ...]

# Steps are for ever: what has been in a release is never changed, only followed by another. A file's version is how many it has seen.
#
# Times are microseconds since 1970, UTC. What waits for whom is counted in `users` and `totals` by the changes themselves, so that nobody
# counts rows. An example's content is apart from it, so that a change of state does not write it again.
STEPS: tuple[Step, ...] = (
    (
        "CREATE TABLE models (name TEXT NOT NULL PRIMARY KEY, base TEXT NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL, "
        "registered_at INTEGER NOT NULL, users INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
        "CREATE TABLE users (number INTEGER PRIMARY KEY, model TEXT NOT NULL REFERENCES models, name TEXT NOT NULL, "
        "added_at INTEGER NOT NULL, waiting INTEGER NOT NULL DEFAULT 0, taken INTEGER NOT NULL DEFAULT 0, "
        "learned INTEGER NOT NULL DEFAULT 0, set_aside INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0, "
        "size INTEGER NOT NULL DEFAULT 0, first_waiting_at INTEGER, open_update INTEGER, UNIQUE (model, name))",
        "CREATE INDEX users_by_name ON users (name)",
        "CREATE INDEX users_waiting ON users (first_waiting_at) WHERE waiting > 0 AND open_update IS NULL",
        "CREATE TABLE examples (sequence INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES users, id TEXT NOT NULL, digest BLOB, "
        "state TEXT NOT NULL, label, source TEXT, time INTEGER, received_at INTEGER NOT NULL, size INTEGER NOT NULL, taken_by INTEGER, "
        "version TEXT, UNIQUE (owner, id))",
        "CREATE INDEX examples_by_state ON examples (owner, state)",
        "CREATE TABLE contents (sequence INTEGER PRIMARY KEY REFERENCES examples, body BLOB NOT NULL)",
        "CREATE TABLE updates (number INTEGER PRIMARY KEY, identifier TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL REFERENCES users, "
        "state TEXT NOT NULL, reason TEXT NOT NULL, most INTEGER NOT NULL, again INTEGER NOT NULL, learned_too INTEGER NOT NULL, "
        "examples INTEGER NOT NULL, onto TEXT, base TEXT NOT NULL, parameters TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, "
        "epoch INTEGER, losses TEXT NOT NULL DEFAULT '[]', version TEXT, verdict TEXT, error TEXT, made_at INTEGER NOT NULL, "
        "begun_at INTEGER, ended_at INTEGER)",
        "CREATE INDEX updates_by_owner ON updates (owner)",
        "CREATE INDEX updates_open ON updates (number) WHERE ended_at IS NULL",
        "CREATE TABLE events (sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, model TEXT, "
        "user TEXT, update_ TEXT, detail TEXT NOT NULL)",
        "CREATE INDEX events_by_update ON events (update_) WHERE update_ IS NOT NULL",
        "CREATE TABLE syncs (place TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL, ok INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE totals (one INTEGER PRIMARY KEY CHECK (one = 1), users INTEGER NOT NULL, waiting INTEGER NOT NULL, "
        "size INTEGER NOT NULL, sequence INTEGER NOT NULL)",
        "INSERT INTO totals VALUES (1, 0, 0, 0, 0)",
    ),
    ("CREATE INDEX updates_by_state ON updates (state)",),
)


def version_of(connection: Connection) -> int:
    """How many steps a file has seen."""
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    return int(version)


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> None:
    """Takes the steps that the file has not seen, each whole or not at all. Raises ``sqlite3.Error``; the steps before stay."""
    for version in range(version_of(connection), len(steps)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in steps[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
