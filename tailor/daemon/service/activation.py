"""Sockets that systemd listened at before the daemon was started: the protocol of ``sd_listen_fds(3)``."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

FIRST = 3
MOST = 16


def activated_sockets(environment: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """Those that were handed to this process; none where nobody has."""
    told = environment.get("LISTEN_FDS", "")
    if not told.isdigit() or environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    sockets = []
    for number in range(FIRST, FIRST + min(int(told), MOST)):
        os.set_inheritable(number, False)
        sockets.append(socket.socket(fileno=number))
    return sockets
