"""``tailor status``: how the daemon is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .asking import DaemonPlace, Json, ask, local, plain_record
from .terminal import add_rows, file_size, print_json, results, table

if TYPE_CHECKING:
    from tailor.client import Status


def status(daemon: DaemonPlace = None, as_json: Json = False) -> None:
    """Show how the daemon is, and what it has to do.

    What it keeps, what runs, where it listens, and how syncs went. The exit
    code is 1 where no daemon answers.

    \b
    Example: tailor status
    """
    told = ask(daemon, lambda client: client.status())
    if as_json:
        print_json(plain_record(told))
        return
    rows = [
        ("daemon", in_one_line(told, datetime.now(UTC))),
        ("listens at", ", ".join(told.listening)),
        ("settings", told.settings or "the defaults"),
        ("store", told.store),
        ("models", f"{told.models}; {told.models_in_memory} in memory, users' own among them"),
        ("users", told.users),
        ("waiting", f"{told.waiting} examples"),
        ("updates", ", ".join(f"{count} {state}" for state, count in told.updates.items() if count) or "none under way"),
        *(("lane", f"{lane.name}: {lane.busy} of {lane.capacity} busy") for lane in told.lanes),
        *(("sync", f"{one.place}: {'' if one.ok else 'failed: '}{one.text} ({local(one.at)})") for one in told.syncs),
    ]
    results().print(add_rows(table("", "", ""), rows))


def in_one_line(told: Status, now: datetime) -> str:
    """Version, process, since when, memory."""
    for_ = duration((now - told.started_at).total_seconds())
    return f"tailor {told.version}, process {told.pid}, {told.state} for {for_}, {file_size(told.memory)} of memory"


def duration(seconds: float) -> str:
    """So many seconds for people: ``2 h 3 min``."""
    whole = max(0, round(seconds))
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count or first == len(parts) - 1)
