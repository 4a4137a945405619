"""A daemon in a process of its own, which can be killed, and started again on what it has left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from tailor.client import Client, MLDaemonError

PATIENCE = 300.0
"""Seconds after which a daemon that gets nowhere has hung."""


class DaemonProcess:
    """``settings``: what else ``tailor.toml`` has, ``http`` within its table ``[http]``. All that it keeps is in ``folder``."""

    def __init__(self, folder: Path, settings: str = "", http: str = "") -> None:
        self.folder = folder
        self.socket = folder / "socket"
        self.store = folder / "store"
        self._process: subprocess.Popen[bytes] | None = None
        text = f'state = "state"\nstore = "store"\n{settings}\n[http]\nsocket = "socket"\n{http}\n'
        (folder / "tailor.toml").write_text(text, encoding="utf-8")

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None, "start comes first"
        return self._process.pid

    @property
    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text(encoding="utf-8")[-3000:]

    def start(self) -> None:
        """Begins; ``ready`` waits until it answers."""
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "tailor.cli", "daemon", "--config", str(self.folder / "tailor.toml"), "--log-format", "json"]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    async def ready(self) -> None:
        """Raises ``RuntimeError`` with what it said where it ended instead."""
        assert self._process is not None, "start comes first"
        with anyio.fail_after(PATIENCE):
            while True:
                if self._process.poll() is not None:
                    raise RuntimeError(f"the daemon ended with {self._process.returncode}: {self.said}")
                with suppress(MLDaemonError):
                    async with Client(self.socket) as client:
                        await client.status()
                        return
                await anyio.sleep(0.05)

    async def end(self, number: int) -> int:
        """Sends a signal, SIGKILL to its worker processes too, and waits for the end; its exit code."""
        assert self._process is not None, "start comes first"
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        return await anyio.to_thread.run_sync(self._process.wait, PATIENCE)

    async def stop(self) -> None:
        """Ends it with SIGTERM. Raises ``RuntimeError`` where it ends otherwise than well."""
        code = await self.end(signal.SIGTERM)
        if code != 0:
            raise RuntimeError(f"the daemon ended with {code} after SIGTERM: {self.said}")


@asynccontextmanager
async def running(daemon: DaemonProcess) -> AsyncIterator[None]:
    """Begins it, and ends it with SIGTERM, or SIGKILL where something failed."""
    daemon.start()
    try:
        await daemon.ready()
        yield
        await daemon.stop()
    finally:
        with anyio.CancelScope(shield=True):
            await daemon.end(signal.SIGKILL)
