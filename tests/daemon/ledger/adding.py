"""A program that is killed: it adds examples to a ledger and says so once they are kept. A line of input begins a run, in its own process.

``add TAG PATH``: three batches at a time, and updates; on and on. ``limit TAG PATH``: until a file may not grow, and once more when it may.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import anyio

from tailor.daemon.ledger import Ledger, LedgerError, open_ledger

from .made import MODEL, START, clock, plan, row

BATCH = 20


def say(*words: object) -> None:
    """In one write, so that it is said whole or not at all."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def add(ledger: Ledger, user: str, batch: str, body: bytes | None = None) -> None:
    await ledger.add_examples("model", user, [row(f"{batch}-{index}", body) for index in range(BATCH)], START)
    say("added", user, batch)


async def adding(path: Path, tag: str) -> None:
    async def add_on(user: str) -> None:
        for number in range(10_000):
            await add(ledger, user, f"{tag}.{number}")

    async def learn_on() -> None:
        for number in range(10_000):
            identifier = f"{tag}.{number}"
            if await ledger.plan_update(plan(identifier, "ann", most=50)):
                await ledger.end_update(identifier, "completed", version=identifier, ended_at=START)
                say("learned", identifier)

    async with open_ledger(path, now=clock) as ledger, anyio.create_task_group() as tasks:
        await ledger.put_model(MODEL)
        await ledger.add_user("model", "ann", START)
        for left in await ledger.open_updates():
            await ledger.end_update(left.identifier, "failed", error="killed", ended_at=START)
        for user in ("ann", "bob", "cy"):
            tasks.start_soon(add_on, user)
        tasks.start_soon(learn_on)


async def limited(path: Path, tag: str) -> None:
    async with open_ledger(path, now=clock) as ledger:
        await ledger.put_model(MODEL)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
        for number in range(1000):
            try:
                await add(ledger, "dan", f"{tag}.{number}", b"x" * 1000)
            except LedgerError as error:
                say("failed", error.kind)
                break
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await add(ledger, "dan", f"{tag}.last")
    say("closed", "well")


if __name__ == "__main__":
    for line in sys.stdin:
        word, tag, path = line.rstrip("\n").split(" ", 2)
        process = os.fork()  # nothing runs here that a copy could miss: no loop, no thread
        if process == 0:
            anyio.run(adding if word == "add" else limited, Path(path), tag)
            os._exit(0)
        say("process", process)
        os.waitpid(process, 0)
        say("ended", tag)
