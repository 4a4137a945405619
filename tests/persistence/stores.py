"""Small stores to try things on, with a clock that the test turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from tailor.persistence import (
    Backend,
    DeltaSnapshot,
    FullSnapshot,
    KeptHead,
    MemoryBackend,
    Metadata,
    Name,
    SetValue,
    Store,
    VerifyReport,
    Version,
    verify_store,
)

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BASE = FullSnapshot(Metadata(datetime(2000, 1, 1, tzinfo=UTC)), b"a model" * 100)
MODEL = "3" * 64
"""What the base's model hashes to, as far as the store knows."""

ANN, BOB = Name("m", "ann"), Name("m", "bob")


class Clock:
    """The backend's time."""

    def __init__(self, now: datetime = BEGIN) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now.timestamp()


def delta(number: int, made: datetime = BEGIN) -> DeltaSnapshot:
    return DeltaSnapshot(Metadata(made, "m"), MODEL, {"w": SetValue(np.full(4, number, np.float32))})


def version(made: datetime = BEGIN, *parents: str, message: str = "") -> Version:
    return Version(Metadata(made, "m", extra={"message": message} if message else {}), "0" * 64, parents)


async def add(store: Store, name: Name, number: int, made: datetime = BEGIN, before: KeptHead | None = None) -> KeptHead:
    """One more version of a name."""
    before = before or await store.head(name)
    parents = () if before is None else (before.version,)
    return (await store.commit(name, version(made, *parents), delta(number, made), before, BASE))[1]


async def days(store: Store, clock: Clock, name: Name, count: int) -> list[str]:
    """A version a day; their hashes, the oldest first. The clock is a day further in the end."""
    found = []
    for number in range(count):
        found.append((await add(store, name, number, clock.now)).version)
        clock.now += DAY
    return found


def copied(backend: MemoryBackend) -> MemoryBackend:
    """The same in another place, as old as it is there: what writing all of it once more would make, in no time."""
    copy = MemoryBackend()
    copy._kept |= backend._kept
    copy._writes = backend._writes
    copy._clock = backend._clock
    return copy


async def keys(backend: Backend) -> set[str]:
    return {entry.key for prefix in ("objects/", "heads/", "tags/", "pruned/") for entry in await backend.list(prefix)}


async def check_whole(store: Store) -> VerifyReport:
    report = await verify_store(store)
    assert report.problems == ()
    return report
