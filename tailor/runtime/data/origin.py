"""Where an example came from, as rows of data say it: columns ``id``, ``source`` and ``time``, any of which may be absent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ..errors import MLFeatureError
from ..values import MLExampleOrigin

ORIGIN_COLUMNS = ("id", "source", "time")


def origin_of(row: Mapping[str, object], source: str, where: str) -> MLExampleOrigin:
    """The origin that a row tells: ``id`` and ``source`` as text or a whole number, ``time`` in ISO 8601; empty ones are absent.

    ``source`` stands for one that is absent. Raises ``MLFeatureError``, which ``where`` begins, for what cannot be one.
    """
    told: dict[str, str] = {}
    for name in ORIGIN_COLUMNS:
        value = row.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise MLFeatureError(f"{where}, {name!r}: expected text, got {value!r}")
        told[name] = str(value)
    try:
        time = datetime.fromisoformat(told["time"]) if "time" in told else None
    except ValueError:
        raise MLFeatureError(f"{where}, 'time': expected a time in ISO 8601, got {told['time']!r}") from None
    try:
        return MLExampleOrigin(told.get("id"), told.get("source", source), time)
    except MLFeatureError as error:
        raise MLFeatureError(f"{where}: {error}") from None


def as_text(name: str) -> str:
    """The name of a file as text that any file can hold."""
    return name.encode("utf-8", "backslashreplace").decode()
