"""Where the daemon listens: a Unix socket for its owner, and a port of this machine where one is asked for."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailor import MLConflictError, MLModelError
from tailor.client import LONGEST_SOCKET

from ..configuration.places import private_folder

BACKLOG = 512
"""Connections that wait to be taken, of which the system may keep fewer."""


@contextmanager
def listening(path: Path, port: int | None) -> Iterator[list[socket.socket]]:
    """Sockets that listen: at ``path``, and at ``port`` of 127.0.0.1 where there is one (0: a free one). The file goes at the end.

    A socket that nobody listens at is replaced; one that somebody does, or anything else at ``path``, is ``MLConflictError``. Raises
    ``MLModelError`` for a path that is too long, a folder that others could write to, and a port that is taken.
    """
    made = [_unix(path)]
    ours = os.stat(path).st_ino
    try:
        if port is not None:
            made.append(_tcp(port))
        yield made
    finally:
        for one in made:
            one.close()
        try:
            if path.lstat().st_ino == ours:
                path.unlink()
        except FileNotFoundError:
            pass  # somebody has removed it


def places_of(sockets: list[socket.socket]) -> list[str]:
    """Sockets as people write them."""
    names = (one.getsockname() for one in sockets)
    return [name if isinstance(name, str) else f"http://{name[0]}:{name[1]}" for name in names]


def _unix(path: Path) -> socket.socket:
    if (size := len(os.fsencode(path))) > LONGEST_SOCKET:
        raise MLModelError(
            f"{path}: expected a path of at most {LONGEST_SOCKET} bytes for a Unix socket, got {size}: name another by [http] socket"
        )
    private_folder(path.parent)
    _make_room(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o600)  # before anybody can connect, which takes listening
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise MLModelError(f"{path}: expected a place for a Unix socket: {error.strerror}") from error
    return made


def _make_room(path: Path) -> None:
    """Removes the socket that a daemon left behind which was killed."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        got = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a file"
        raise MLConflictError(f"{path}: expected a Unix socket or nothing, got {got}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise MLConflictError(f"{path}: expected a Unix socket that nobody listens at: {error.strerror or error}") from error
    raise MLConflictError(f"{path}: expected a Unix socket that nobody listens at, got one of another daemon")


def _tcp(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise MLConflictError(f"port {port}: expected a port of 127.0.0.1 that is free: {error.strerror}") from error
    return made
