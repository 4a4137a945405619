"""Where a daemon is found: on a Unix socket, or on a port of this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
"""Bytes of a Unix socket's path: ``sun_path`` without its last zero."""


def default_state() -> Path:
    """The daemon's state folder where nobody says which: ``tailor`` in ``$XDG_STATE_HOME``, or in ``~/.local/state``."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # as the XDG specification has it
        state = str(Path.home() / ".local" / "state")
    return Path(state) / "tailor"


def default_socket(state: Path | None = None) -> Path:
    """The socket that a daemon listens on by default: ``$XDG_RUNTIME_DIR/tailor/daemon.sock``, or ``daemon.sock`` in its state folder."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    folder = Path(runtime) / "tailor" if os.path.isabs(runtime) else state or default_state()
    return folder / "daemon.sock"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon listens: ``socket``, or else ``port`` at ``host``, which is this machine."""

    socket: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0

    @property
    def url(self) -> str:
        """What requests begin with."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return "http://localhost" if self.socket is not None else f"http://{host}:{self.port}"

    def __str__(self) -> str:
        return self.url if self.socket is None else str(self.socket)


def as_place(place: str | os.PathLike[str] | None = None) -> Place:
    """The place that is meant: a path of a socket, or ``http://127.0.0.1:PORT``.

    ``None``: that of the environment variable ``TAILOR_DAEMON``, otherwise ``default_socket``. Raises ``ValueError`` for what is no place,
    for a path that no socket can have, and for another machine, since what is sent is not encrypted.
    """
    told = os.fspath(place) if place is not None else os.environ.get("TAILOR_DAEMON", "")
    if "://" not in told:
        path = Path(told).expanduser() if told else default_socket()
        if (size := len(os.fsencode(path))) > LONGEST_SOCKET:
            raise ValueError(f"expected the path of a Unix socket, of at most {LONGEST_SOCKET} bytes, got one of {size}: {path}")
        return Place(socket=path)
    expected = f"expected the path of a socket or http://127.0.0.1:PORT, got {told!r}"
    try:
        parts = urlsplit(told)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme != "http" or not parts.hostname or not port or extra:
        raise ValueError(expected)
    if not _is_this_machine(parts.hostname):
        raise ValueError(
            f"{expected}: a daemon is asked on its own machine only, for what is sent is not encrypted (ssh -L can forward a port)"
        )
    return Place(host=parts.hostname, port=port)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
