"""A server on loopback, in a process of its own, that is gone when the test is."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

DEADLINE = 60.0


class Server:
    """Runs ``command``, in which ``{port}`` is a port: one that is free, chosen by the system, and the same again after ``restart``.

    The server says which on its standard output: the last number after a colon in the first line that has one. ``log`` has its requests.
    """

    def __init__(self, command: Sequence[str], log: Path | None = None, path: str = "") -> None:
        self._command = command
        self._path = path
        self.log = log
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    def requests(self) -> list[str]:
        """The method and path of every request so far."""
        assert self.log is not None
        return self.log.read_text("utf-8").splitlines() if self.log.exists() else []

    def start(self) -> None:
        """Returns once the server takes connections."""
        command = [part.format(port=self.port) for part in self._command]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.findall(r":([0-9]{2,5})\b", line):
                self.port = int(found[-1])
                break
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"{command[0]}: expected a server, got {''.join(said)[-2000:]}") from None
            else:
                return

    def kill(self) -> None:
        """Ends it with SIGKILL, wherever it is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def restart(self) -> None:
        """Starts it again on the same port, with what it has kept."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()
