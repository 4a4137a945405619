"""When an update of a user's model is due: decided from what waits, the settings and the time, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ..configuration import Updates
from ..ledger import KeptUser


@dataclass(frozen=True, slots=True)
class Due:
    """An update is to be made now, by the rule ``reason``; ``text`` says so in words."""

    reason: Literal["examples", "interval"]
    text: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """None is. ``kind`` and ``text``: what is missing; ``look_at``: when time alone will make one due, ``None``: never."""

    kind: Literal["nothing waits", "under way", "rules", "command"]
    text: str
    look_at: datetime | None = None


def decide(user: KeptUser, settings: Updates, now: datetime) -> Due | NotYet:
    """Whether an update of what waits of ``user`` is due at ``now``."""
    if user.update is not None:
        return NotYet("under way", f"update {user.update} is under way, and whoever comes now waits for the next one")
    if not user.waiting:
        return NotYet("nothing waits", "no example waits for an update")
    wait = counted(user.waiting)
    if settings.examples and user.waiting >= settings.examples:
        return Due("examples", f"{wait}, and {settings.examples} make an update")
    missing = [f"{settings.examples - user.waiting} more"] if settings.examples else []
    look_at = None
    if settings.interval:
        first = min(user.first_waiting_at or now, now)  # a clock that was set back makes nobody wait longer
        look_at = first + timedelta(seconds=settings.interval)
        if look_at <= now:
            return Due(
                "interval", f"{wait}, the first for {spoken((now - first).total_seconds())}: {spoken(settings.interval)} make an update"
            )
        missing.append(f"another {spoken((look_at - now).total_seconds())}")
    if not missing:
        return NotYet("command", f"{wait}; by the settings only a command makes an update")
    return NotYet("rules", f"{wait}; {' or '.join(missing)} would make an update", look_at)


def counted(examples: int) -> str:
    """So many examples that wait, in words."""
    return "1 example waits" if examples == 1 else f"{examples:,} examples wait"


def spoken(seconds: float) -> str:
    """A time in words: the two largest of its units."""
    left = max(1, round(seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
