"""The last sync with each place."""

from __future__ import annotations

from sqlite3 import Connection

from tailor.client import SyncRecord

from ..times import micros, moment


def keep(connection: Connection, sync: SyncRecord) -> None:
    """In the place of the one before."""
    connection.execute("REPLACE INTO syncs (place, at, ok, text) VALUES (?, ?, ?, ?)", (sync.place, micros(sync.at), sync.ok, sync.text))


def every(connection: Connection) -> list[SyncRecord]:
    """The newest first."""
    rows = connection.execute("SELECT place, at, ok, text FROM syncs ORDER BY at DESC, place")
    return [SyncRecord(place=place, at=moment(at), ok=bool(ok), text=text) for place, at, ok, text in rows]
