"""Telling systemd, or whoever started the daemon, how it is: the protocol of ``sd_notify(3)``, which is one datagram a message."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Tells the socket in ``NOTIFY_SOCKET``; without one, nobody. It never waits, and whoever does not listen is no failure.

    ``watchdog_seconds``: how often it must be told that all is well, at least; ``None``: not at all.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = ("\0" + name[1:]) if name.startswith("@") else name
        self.watchdog_seconds = _watchdog(environment) if name else None

    def ready(self, status: str) -> None:
        """It can be asked now, or again."""
        self._tell(READY=1, STATUS=status)

    def status(self, text: str) -> None:
        """What it is doing, in words."""
        self._tell(STATUS=text)

    def alive(self) -> None:
        """All is well."""
        self._tell(WATCHDOG=1)

    def reloading(self) -> None:
        """It reads its settings again; ``ready`` says when that is over."""
        self._tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)

    def stopping(self, seconds: float) -> None:
        """It ends, which takes so many seconds at most."""
        self._tell(STOPPING=1, STATUS="stopping", EXTEND_TIMEOUT_USEC=int(seconds * 1e6))

    def _tell(self, **values: object) -> None:
        if not self._address:
            return
        message = "\n".join(f"{name}={value}" for name, value in values.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), self._address)
            except OSError:
                return  # nobody listens any more, or too slowly: the daemon's work does not depend on that


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """What systemd asks for, if it asks this process."""
    microseconds, asked = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(os.getpid()))
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) and asked == str(os.getpid()) else None
