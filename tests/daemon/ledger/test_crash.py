"""Whoever is killed, and when: what was acknowledged is there, once; of what was not, each batch is there whole or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import anyio
import pytest

from tailor.daemon.ledger import Ledger, open_ledger

from .made import clock, states

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork and SIGKILL")

BATCH = 20
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def running() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.daemon.ledger.adding"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0


def begin(running: subprocess.Popen[str], run: str, path: Path) -> int:
    assert running.stdin is not None and running.stdout is not None
    print(f"{run} {path}", file=running.stdin, flush=True)
    word, process = running.stdout.readline().split()
    assert word == "process"
    return int(process)


def said(running: subprocess.Popen[str], last: str) -> Iterator[tuple[str, ...]]:
    assert running.stdout is not None
    for line in running.stdout:
        if line.split() == ["ended", last]:
            return
        yield tuple(line.split())


async def whole(ledger: Ledger, user: str) -> list[str]:
    """The batches of a user in the order of arrival, each of them whole, and counted."""
    found = await states(ledger, user)
    batches = list(dict.fromkeys(id.rpartition("-")[0] for id in found))
    assert found.keys() == {f"{batch}-{index}" for batch in batches for index in range(BATCH)}
    kept = await ledger.user("model", user)
    assert kept is not None
    counts = Counter(found.values())
    assert (kept.waiting, kept.taken, kept.learned, kept.set_aside) == tuple(
        counts[state] for state in ("waiting", "taken", "learned", "set_aside")
    )
    return batches


def test_what_was_acknowledged_is_there_once_after_every_kill(running: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    random = Random(5)
    told: list[tuple[str, ...]] = []
    for number in range(5):
        process = begin(running, f"add run{number}", path)
        wanted = random.randrange(1, 40)
        for line in said(running, f"run{number}"):
            told.append(line)
            wanted -= 1
            if wanted == 0:
                os.kill(process, signal.SIGKILL)

    async def check() -> None:
        async with open_ledger(path, now=clock) as ledger:
            for user in ("ann", "bob", "cy"):
                batches = await whole(ledger, user)
                acknowledged = {batch for word, name, *batch_ in told if (word, name) == ("added", user) for batch in batch_}
                assert acknowledged <= set(batches)
                assert len(batches) <= len(acknowledged) + 5, "one batch at a time was under way when it was killed"
            ended = {update.identifier for update in await ledger.updates(states=["completed"], most=10_000)}
            assert {name for word, name, *_ in told if word == "learned"} <= ended
            for update in ended:
                assert sum(example.version == update for example in await ledger.examples("model", "ann", most=10_000)) in range(1, 51)

    anyio.run(check)
    with closing(sqlite3.connect(path)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert opened.execute("PRAGMA foreign_key_check").fetchall() == []
        held = "SELECT sequence, size FROM examples WHERE state IN ('waiting', 'taken', 'set_aside') ORDER BY sequence"
        assert opened.execute("SELECT sequence, length(body) FROM contents ORDER BY sequence").fetchall() == opened.execute(held).fetchall()
    assert len({line for line in told if line[0] == "added"}) > 20


def test_a_file_that_may_grow_no_more_loses_nothing(running: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    begin(running, "limit run", path)
    told = list(said(running, "run"))
    added = [line[2] for line in told if line[0] == "added"]
    assert told[-3:] == [("failed", "failed"), ("added", "dan", "run.last"), ("closed", "well")]

    async def check() -> None:
        async with open_ledger(path, now=clock) as ledger:
            assert await whole(ledger, "dan") == added

    anyio.run(check)
