"""``tailor daemon`` as a process of its own, in a folder: what the examples of daemons share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import CancelScope
from anyio.abc import Process

from tailor.client import Client, MLNoDaemonError, UserRecord

TAILOR = [sys.executable, "-m", "tailor.cli"]
"""The command ``tailor``, of this Python."""
LONG = 60.0
"""Seconds in which a daemon answers, or has learned a few examples, on a slow machine that has never run one."""


@dataclass(frozen=True)
class Running:
    """A daemon that answers, and who asks it."""

    client: Client
    process: Process


@asynccontextmanager
async def daemon_in(folder: Path, settings: str) -> AsyncIterator[Running]:
    """A daemon that keeps all it has in ``folder``; at the end of the block it is told to keep what it is at, and to end.

    ``settings``: of its file, ``tailor.toml``, but for the places. Its log is ``daemon.log``.
    """
    config, socket = write_settings(folder, settings), folder / "daemon.sock"
    command = [*TAILOR, "daemon", "--config", str(config), "--socket", str(socket)]
    with (folder / "daemon.log").open("ab") as log:
        process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            async with Client(socket) as client:
                with anyio.fail_after(LONG):
                    while not await answers(client):
                        if process.returncode is not None:
                            raise RuntimeError(f"the daemon ended with {process.returncode}; see {folder / 'daemon.log'}")
                        await anyio.sleep(0.1)
                yield Running(client, process)
        finally:
            with CancelScope(shield=True):
                if process.returncode is None:
                    process.terminate()
                await process.wait()


async def answers(client: Client) -> bool:
    """Whether the daemon has begun to listen."""
    try:
        await client.health()
    except MLNoDaemonError:
        return False
    return True


async def until(client: Client, model: str, user: str, holds: Callable[[UserRecord], bool]) -> UserRecord:
    """Waits until something holds of a user; looks whenever something happens."""
    with anyio.fail_after(LONG):
        async for _ in client.events(after=0):
            record = await client.user(model, user)
            if holds(record):
                return record
    raise RuntimeError("the daemon has ended")


async def learned(client: Client, model: str, user: str, count: int) -> UserRecord:
    """Waits until a user's model has learned so many examples."""
    return await until(client, model, user, lambda record: record.learned >= count and record.update is None)


def write_settings(folder: Path, settings: str) -> Path:
    """The file of settings of a daemon that keeps all it has in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "tailor.toml"
    config.write_text(f'state = "state"\nstore = "store"\n{settings}\n', encoding="utf-8")
    return config


def quoted(text: object) -> str:
    """Text as TOML has it."""
    return json.dumps(str(text), ensure_ascii=False)


def show_checks(checks: dict[str, bool]) -> bool:
    """Prints what was checked; whether all of it holds."""
    print("Checks")
    for what, passed in checks.items():
        print(f"  {'yes' if passed else 'NO '}  {what}")
    return all(checks.values())
