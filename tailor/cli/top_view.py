"""What ``tailor top`` shows: a picture in text of a daemon at a moment."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from .asking import SHOWN, progress_of, sparkline
from .events import in_words
from .status import in_one_line
from .terminal import add_rows, table

if TYPE_CHECKING:
    from tailor.client import EventRecord, LaneRecord, Status, UpdateRecord

ROWS = 20
"""Updates that are shown."""
EVENTS = 8
_BAR = 10  # places of a lane's bar


@dataclass(frozen=True, slots=True)
class View:
    """A daemon at a moment. ``why``: by update, why it waits, or when it will be done. ``trouble``: why it is a moment that has passed."""

    status: Status
    updates: list[UpdateRecord]
    why: dict[str, str]
    events: deque[EventRecord]
    trouble: str = ""
    is_stale: bool = False

    def aged(self, is_stale: bool) -> View:
        """The same; where it is stale, nothing in it is taken as still true."""
        return replace(self, is_stale=is_stale)

    def without_daemon(self, trouble: str) -> View:
        """The same, of a daemon that does not answer any more."""
        return replace(self, trouble=trouble, is_stale=True)


def drawn(view: View, now: datetime | None = None) -> RenderableType:
    """The picture, as wide as the terminal."""
    told, now = view.status, now or datetime.now(UTC)
    counts = f"{told.models} models, {told.users} users, {told.waiting} examples wait; {told.models_in_memory} models in memory"
    parts: list[RenderableType] = [Text(in_one_line(told, now), style="bold"), Text(counts)]
    if view.trouble:
        parts.append(Text(f"{view.trouble}; trying again", style="bold red"))
    parts += [Text(""), add_rows(table("", *[""] * 3), map(_lane, told.lanes))]
    if view.updates:
        rows = [
            (
                one.identifier[:SHOWN],
                f"{one.model}/{one.user}",
                one.state,
                progress_of(one),
                sparkline(one.losses),
                view.why.get(one.identifier, ""),
            )
            for one in view.updates
        ]
        parts += [Text(""), add_rows(table("", "update", "of", "state", "progress", "losses", "when, or why not"), rows)]
        if (more := sum(told.updates.values()) - len(view.updates)) > 0:
            parts.append(Text(f"and {more} more"))
    else:
        parts += [Text(""), Text("no update is under way")]
    if view.events:
        parts += [Text(""), *(Text(in_words(event, seconds_only=True), no_wrap=True, overflow="ellipsis") for event in view.events)]
    return Group(*parts)


def _lane(lane: LaneRecord) -> tuple[str, str, str]:
    filled = round(_BAR * min(1.0, lane.busy / max(lane.capacity, 1)))
    return lane.name, "█" * filled + "░" * (_BAR - filled), f"{lane.busy} of {lane.capacity} busy"
