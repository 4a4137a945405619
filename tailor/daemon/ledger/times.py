"""Times as the ledger keeps them: whole microseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@overload
def micros(time: datetime) -> int: ...
@overload
def micros(time: datetime | None) -> int | None: ...
def micros(time: datetime | None) -> int | None:
    """A time as a number. Raises ``ValueError`` for one without a zone."""
    if time is None:
        return None
    if time.utcoffset() is None:
        raise ValueError(f"expected a time with a zone, got {time.isoformat()}")
    return (time - EPOCH) // MICROSECOND


def moment(number: int) -> datetime:
    """The time of a number."""
    return EPOCH + timedelta(microseconds=number)


def moment_if_any(number: int | None) -> datetime | None:
    """The time of a number, where there is one."""
    return None if number is None else moment(number)
