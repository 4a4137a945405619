"""Which versions a store keeps whole: a pure choice among dates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

# What two versions of the same hour, day, week, month or year have in common.
PERIODS = {"hourly": "%Y-%m-%dT%H", "daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m", "yearly": "%Y"}

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)  # of which every time zone has a date


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which versions of a name keep their snapshots: whatever one of these keeps.

    ``last``    so many, the newest.
    ``hourly``, ``daily``, ``weekly``, ``monthly``, ``yearly``
                the newest of each of so many hours (days, weeks from Monday, months, years), the last ones in which there is a version.
    ``within``  all that are younger.

    Raises ``ValueError`` where nothing is said at all, or something that is not positive.
    """

    last: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    within: timedelta | None = None

    def __post_init__(self) -> None:
        said = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}
        if not said:
            raise ValueError("policy: expected something to keep, got nothing")
        for name, value in said.items():
            if name == "within":
                fits, expected = isinstance(value, timedelta) and value > timedelta(0), "a timedelta above 0"
            else:
                fits, expected = isinstance(value, int) and not isinstance(value, bool) and value > 0, "an integer above 0"
            if not fits:
                raise ValueError(f"policy: {name}: expected {expected}, got {value!r}")


def kept(versions: Sequence[tuple[str, datetime]], policy: Policy, now: datetime) -> set[str]:
    """Which of these versions a policy keeps. They come with the time they were made at, none before one that came of it.

    Hours, days and so on are those of ``now``'s time zone; what claims to be younger than ``now`` counts as made now. Raises
    ``ValueError`` for a ``now`` without a zone.
    """
    if now.utcoffset() is None:
        raise ValueError(f"now: expected a datetime with a time zone, got {now!r}")
    # Stable: of those that were made at one moment, what came of another stays in front of it.
    clamped = ((digest, max(min(made, now), EARLIEST).astimezone(now.tzinfo)) for digest, made in versions)
    dated = sorted(clamped, key=lambda pair: pair[1], reverse=True)
    found = {digest for digest, _ in dated[: policy.last or 0]}
    if policy.within is not None:
        found |= {digest for digest, made in dated if now - made < policy.within}
    for name, form in PERIODS.items():
        left, before = getattr(policy, name) or 0, ""
        for digest, made in dated:
            if left and (period := made.strftime(form)) != before:
                found.add(digest)
                before, left = period, left - 1
    return found
