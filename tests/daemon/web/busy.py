"""Made-up days of a daemon, for the page to show."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tailor.client import LaneRecord, SyncRecord, UpdateRecord

from .told import HOSTILE, ToldDaemon, ago, identifier, update_record, verdict, version_record

LOSSES = [0.92, 0.61, 0.44, 0.36]
ENDED = 40
"""Updates that have ended, one every 31 minutes; between the first and the last 20 of them the daemon was off for three hours."""


def busy() -> ToldDaemon:
    """Updates in every state, a user with versions, 10,000 users of another model, a broken sync."""
    daemon = ToldDaemon()
    daemon.add_model("Stickers", ["ana", "ben", "cleo"])
    daemon.add_model("Keyboard", [f"user-{number:05}" for number in range(10_000)], kind="nearest neighbours", size=92_000)
    daemon.add_model("Fixed", [], is_updatable=False, kind="tree ensemble", training_inputs={}, parameters={})
    daemon.waiting = {"ana": 4, "user-00017": 9}
    daemon.lanes = [LaneRecord(name="workers", capacity=1, busy=1), LaneRecord(name="processes", capacity=2, busy=1)]
    daemon.syncs = [
        SyncRecord(place="s3://backups/kiosk", at=ago(minutes=40), ok=True, text="12 objects sent, 0 received"),
        SyncRecord(place="/mnt/usb", at=ago(hours=3), ok=False, text=f"/mnt/usb: expected a folder, got nothing {HOSTILE}"),
    ]
    daemon.versions = [version_record(number) for number in range(8, 0, -1)]
    daemon.updates_told = [*_open(daemon.versions[0].identifier), *(_ended(number) for number in range(ENDED))]
    happened = [event for update in daemon.updates_told for event in _events(update)]
    happened += [
        (_of_time(21, 15), "daemon_stopping", "what is at work is suspended, each with a checkpoint", {}),
        (_of_time(19, 31), "daemon_started", "tailor 0.1.0 is ready", {}),
        (ago(minutes=3), "sync_failed", f"/mnt/usb: expected a folder, got nothing {HOSTILE}", {}),
    ]
    for time, kind, text, of in sorted(happened, key=lambda event: event[0]):
        daemon.keep(kind, text, time, **of)
    return daemon


def _open(head: str) -> list[UpdateRecord]:
    waiting = [
        update_record(100 + number, model="Keyboard", user=f"user-{number:05}", made_at=ago(minutes=1, seconds=number))
        for number in range(30)
    ]
    whose: dict[str, Any] = {"model": "Keyboard", "user": "user-00400"}
    paused = {"state": "paused", "reason": "interval", "begun_at": ago(minutes=9), "made_at": ago(minutes=12), "epoch": 1}
    committing = {"state": "committing", "begun_at": ago(minutes=7), "made_at": ago(minutes=8), "epoch": 9}
    return [
        *waiting,
        update_record(90, state="running", begun_at=ago(minutes=4), epoch=3, losses=LOSSES, onto=head),
        update_record(88, **{**whose, "user": "user-00401"}, **committing, losses=[2.0 / (n + 1) for n in range(10)]),
        update_record(89, **whose, **paused, losses=[0.5, 0.4]),
    ]


def _ended(number: int) -> UpdateRecord:
    state = ("completed", "completed", "refused", "completed", "failed", "completed", "cancelled")[number % 7]
    return update_record(
        80 - number,
        user="ana" if number % 3 == 0 else "ben",
        state=state,
        made_at=_of_time(number, 30),
        begun_at=None if state == "cancelled" else _of_time(number, 24),
        ended_at=_of_time(number, 17),
        epoch=None if state == "cancelled" else 9,
        losses=[] if state == "cancelled" else [1 / (n + 1) + number / 100 for n in range(10)],
        verdict=verdict(0.8, 0.7 if state == "refused" else 0.85) if state in ("completed", "refused") else None,
        error=f"loss: expected a finite number, got nan {HOSTILE}" if state == "failed" else None,
    )


def _of_time(number: int, minutes: float) -> datetime:
    return ago(minutes=minutes + 31 * number + (180 if number >= ENDED // 2 else 0))


def _events(update: UpdateRecord) -> list[tuple[datetime, str, str, dict[str, Any]]]:
    of = {"model": update.model, "user": update.user, "update": update.identifier}
    whose = f"{update.model}/{update.user}"
    found = [(update.made_at, "update_planned", f"{whose}: an update of 12 examples is planned, as enough wait", of)]
    if update.begun_at:
        found.append((update.begun_at, "update_begun", "it begins", of))
    if update.state == "paused" and update.begun_at:
        found.append((update.begun_at + timedelta(minutes=2), "update_paused", "somebody paused it", of))
    if update.ended_at:
        text = f"{update.state}: {update.error or 'version 3fa94c'}"
        found.append((update.ended_at, "update_ended", text, {**of, "detail": {"state": update.state}}))
    if update.identifier == identifier(75) and update.begun_at:
        found.append((update.begun_at + timedelta(minutes=2), "update_paused", "its budget is used up, and others go first", of))
        found.append((update.begun_at + timedelta(minutes=5), "update_resumed", "it goes on", of))
    return found


def empty() -> ToldDaemon:
    """A daemon that has just begun."""
    return ToldDaemon()
