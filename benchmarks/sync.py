"""Syncs of many users of one base: a first push, one version more, and nothing to do, in requests and in seconds.

The other side counts what it is asked for as a server would: a listing is one request for each thousand things, reading many things one
for each, anything else one. Answers take no time, so that seconds are what tailor itself takes; a server adds its own, many at a time.
Prints a Markdown table.

    python benchmarks/sync.py [--users 1000] [--heads 10000]
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

import anyio
import numpy as np

from tailor.persistence import DeltaSnapshot, FullSnapshot, MemoryBackend, Metadata, Name, SetValue, Store, SyncReport, Version, sync
from tailor.persistence.testing import FaultyBackend

NOW = Metadata(datetime(2026, 1, 1, tzinfo=UTC))
PAGE = 1000


def whose(number: int) -> Name:
    return Name("Classifier", f"user-{number:06}")


async def commit(store: Store, number: int) -> None:
    """One version more of a user's model: a delta of a small head."""
    name, before = whose(number), await store.head(whose(number))
    weights = np.full(2570, number, np.float32) if before is None else np.full(2570, -number - 1, np.float32)
    version = Version(NOW, "0" * 64, (before.version,) if before else ())
    await store.commit(name, version, DeltaSnapshot(NOW, "0" * 64, {"w": SetValue(weights)}), before, FullSnapshot(NOW, bytes(2**20)))


def requests(there: FaultyBackend, heads: int) -> int:
    """What was asked for since the last time."""
    pages = {"heads/": -(-heads // PAGE)}
    told = [{"list": pages.get(row.keys[0], 1), "read_many": len(row.keys)}.get(row.method, 1) for row in there.log]
    there.log.clear()
    return sum(told)


async def timed(here: Store, there: FaultyBackend, heads: int, what: str) -> SyncReport:
    began = time.perf_counter()
    report = await sync(here, Store(there))
    print(f"| {what} | {requests(there, heads)} | {time.perf_counter() - began:.2f} | {report.objects} |", flush=True)
    return report


async def measure(users: int, heads: int) -> None:
    print("| two-way sync | requests | seconds | objects |\n|---|---|---|---|")
    here, there = Store(MemoryBackend("memory:here")), FaultyBackend(MemoryBackend("memory:there"))
    for number in range(users):
        await commit(here, number)
    await timed(here, there, users, f"first push of {users} users")
    await timed(here, there, users, f"nothing to do, {users} heads")
    await commit(here, 0)
    await timed(here, there, users, f"one version more, {users} heads")
    first = await here.head(whose(0))
    assert first is not None
    for number in range(users, heads):  # more heads of what is there already
        await here.move(whose(number), first.version, None)
        await Store(there).move(whose(number), first.version, None)
    there.log.clear()
    await sync(here, Store(there))
    there.log.clear()
    report = await timed(here, there, heads, f"nothing to do, {heads} heads")
    assert report.equal == heads and not report.names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=1000, help="whose first version is pushed")
    parser.add_argument("--heads", type=int, default=10_000, help="of which none has moved; at least as many as users")
    given = parser.parse_args()
    anyio.run(measure, given.users, max(given.users, given.heads))


if __name__ == "__main__":
    main()
