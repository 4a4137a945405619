"""What 10,000 users of one base cost a store in bytes, and what listing their heads, verifying and pruning cost in time.

Each user has one version, a delta of a new head (2,570 float32). Bytes are sizes of files (and blocks on the disk) without the base's;
of a database the file's growth. Listing, verifying and pruning take turns with reading the same files with ``cat``, so that whatever
else the machine does falls on all; medians are told. What was written lately is in the system's cache: that is the hardest to keep
pace with. Prints a Markdown table.

    python benchmarks/store.py [--users 10000] [--turns 5] [--large 0] [--folder /somewhere]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import numpy as np

from tailor.persistence import (
    DeltaSnapshot,
    DirectoryBackend,
    FullSnapshot,
    Metadata,
    Name,
    Policy,
    SetValue,
    SQLiteBackend,
    Store,
    Version,
    prune_store,
    snapshot_bytes,
    verify_store,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BASE = FullSnapshot(Metadata(datetime(2000, 1, 1, tzinfo=UTC)), bytes(2**20))
PARAMETERS = {"learning_rate": 0.01, "epochs": 3, "mini_batch_size": 32}
AT_ONCE = 8


def snapshot(number: int) -> DeltaSnapshot:
    weights = np.random.default_rng(number).normal(size=(10, 256)).astype(np.float32)
    metadata = Metadata(NOW, "Classifier", "tailor", PARAMETERS, {"loss": 0.5 / (number + 1)})
    return DeltaSnapshot(metadata, "0" * 64, {"dense.weights": SetValue(weights), "dense.bias": SetValue(weights[:, 0])})


async def fill(store: Store, users: int, large: int) -> None:
    """A version each, eight users at a time; and ``large`` MiB in one full snapshot."""
    numbers = iter(range(users))

    async def work() -> None:
        for number in numbers:
            delta = snapshot(number)
            await store.commit(Name("Classifier", f"user-{number:06}"), Version(delta.metadata, "0" * 64), delta, None, BASE)

    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(work)
    if large:
        whole = FullSnapshot(Metadata(NOW), np.random.default_rng(0).bytes(large * 2**20))
        await store.commit(Name("Large"), Version(whole.metadata, "0" * 64), whole, None)


def read_with_cat(place: Path) -> None:
    """Every byte of every file below, by another program."""
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["find", str(place), "-type", "f", "-exec", "cat", "{}", "+"], stdout=nowhere, check=True)


async def measure(name: str, opened: Callable[[], Store], place: Path, users: int, turns: int, large: int) -> None:
    async with opened() as store:
        await store.put(BASE)
    before = files(place)
    begin = time.perf_counter()
    async with opened() as store:
        await fill(store, users, large)
    filled = time.perf_counter() - begin
    size, blocks = (after - first for after, first in zip(files(place), before, strict=True))
    delta = statistics.mean(len(snapshot_bytes(snapshot(number))) for number in range(min(users, 100)))
    beside = (size - large * 2**20) / users - delta
    async with opened() as store:
        works: dict[str, Callable[[], Awaitable[object]]] = {
            "heads": store.heads,
            "verify": lambda: verify_store(store),
            "prune": lambda: prune_store(store, Policy(last=1), NOW, grace=timedelta(0)),
            "cat": lambda: anyio.to_thread.run_sync(read_with_cat, place),
        }
        seconds: dict[str, list[float]] = {work: [] for work in works}
        for _ in range(turns):
            for work, run in works.items():
                begin = time.perf_counter()
                await run()
                seconds[work].append(time.perf_counter() - begin)
        assert (await verify_store(store)).whole
        assert len(await store.heads()) == users + bool(large)
    took = "".join(f" {statistics.median(seconds[work]):.2f} |" for work in works)
    print(f"| {name} | {users / filled:.0f} | {delta:.0f} | {beside:.0f} | {blocks / users / 1024:.1f} |{took}", flush=True)


def files(place: Path) -> tuple[int, int]:
    """Bytes and blocks' bytes of all files below."""
    found = [path.stat() for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()]
    return sum(status.st_size for status in found), sum(getattr(status, "st_blocks", 0) * 512 for status in found)


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--users", type=int, default=10_000)
    arguments.add_argument("--turns", type=int, default=5)
    arguments.add_argument("--large", type=int, default=0, help="MiB of one more snapshot, which is full")
    arguments.add_argument("--folder", default=None, help="where the stores are made")
    chosen = arguments.parse_args()
    print("| store | commits/s | delta, bytes | beside it, bytes a user | KiB a user on disk | heads, s | verify, s | prune, s | cat, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        places = {"directory": Path(folder) / "store", "SQLite": Path(folder) / "database"}
        for name, place in places.items():
            place.mkdir()

            def opened(name: str = name, place: Path = place) -> Store:
                return Store(DirectoryBackend(place) if name == "directory" else SQLiteBackend(place / "store.db"))

            await measure(name, opened, place, chosen.users, chosen.turns, chosen.large)


if __name__ == "__main__":
    anyio.run(main)
