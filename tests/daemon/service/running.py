"""A daemon in a process of its own, and whoever systemd would be."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0
"""Seconds until a process that says nothing is taken for one that hangs."""
OWN = (
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "LISTEN_FDS",
    "LISTEN_PID",
    "TAILOR_STORE",
    "TAILOR_PASSPHRASE",
    "TAILOR_KEY_FILE",
)

HANDED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.argv[2], sys.argv[2:], {**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
"""


class Heard:
    """What came to a socket of datagrams, a dictionary each."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(str(path))

    def next(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def until(self, name: str) -> list[dict[str, str]]:
        """All up to one that has ``name``, which comes last."""
        found = [self.next()]
        while name not in found[-1]:
            found.append(self.next())
        return found


class Process:
    """``tailor daemon``, whose log is read as it comes. ``given``: what systemd listens at for it. ``before``: Python that is run first."""

    def __init__(
        self, arguments: list[object], folder: Path, given: socket.socket | None = None, before: str = "", **environment: str
    ) -> None:
        known = {name: value for name, value in os.environ.items() if name not in OWN and not name.startswith("XDG_")}
        command = [
            sys.executable,
            "-c",
            f"{before}\nfrom tailor.cli.app import main\nraise SystemExit(main())",
            "daemon",
            *map(str, arguments),
        ]
        if given is not None:
            command = [sys.executable, "-c", HANDED, str(given.fileno()), *command]
        self.process = subprocess.Popen(
            command,
            pass_fds=[] if given is None else [given.fileno()],
            cwd=folder,
            env={**known, "PYTHONPATH": str(ROOT), "HOME": str(folder), **environment},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._rest = b""

    def line(self) -> str:
        """The next one on stderr; empty where there are no more."""
        assert self.process.stderr is not None
        while b"\n" not in self._rest:
            assert select.select([self.process.stderr], [], [], PATIENCE)[0], "it says nothing"
            if not (part := os.read(self.process.stderr.fileno(), 1 << 16)):
                break
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def until(self, text: str) -> list[str]:
        """The lines up to one with this text in it."""
        lines = [self.line()]
        while text not in lines[-1]:
            assert lines[-1], f"no {text!r} in {lines}"
            lines.append(self.line())
        return lines

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(PATIENCE)


@contextmanager
def daemon(
    arguments: list[object], folder: Path, given: socket.socket | None = None, before: str = "", **environment: str
) -> Iterator[Process]:
    """It is killed at the end, where it is there still."""
    made = Process(arguments, folder, given, before, **environment)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        assert made.process.stderr is not None
        made.process.stderr.close()
