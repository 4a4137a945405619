"""What other settings change, and when."""

from __future__ import annotations

from msgspec.structs import fields, replace

from .configuration import Settings

NEXT_START = ("state", "store", "key_file", "device", "workers", "processes", "http")
"""Settings that hold from one start to the next."""


def changes(before: Settings, after: Settings) -> tuple[list[str], list[str]]:
    """The names of the settings that are others at once, and of those that are from the next start on."""
    changed = [field.name for field in fields(Settings) if getattr(before, field.name) != getattr(after, field.name)]
    later = [name for name in changed if name in NEXT_START]
    if before.limits.waiting_predictions != after.limits.waiting_predictions:
        later.append("limits.waiting_predictions")
    now = [name for name in changed if name not in NEXT_START]
    if before.http.body_bytes != after.http.body_bytes:
        now.append("http.body_bytes")
        if replace(before.http, body_bytes=after.http.body_bytes) == after.http:
            later.remove("http")
    return now, later
