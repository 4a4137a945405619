"""Tokens that requests by TCP bring: whoever can read their files may ask. One is for all, one for looking only."""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from tailor import MLModelError

Access: TypeAlias = Literal["full", "read"]
"""What may be asked: everything, or only to look."""
FULL, READ = "token", "token-read"
_LEAST = 32
"""Characters: 192 bits, as ``token_urlsafe(24)`` has them."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """``full`` allows everything, ``read`` only GET."""

    full: str = field(repr=False)
    read: str = field(repr=False)

    def access_of(self, given: str) -> Access | None:
        """What ``given`` allows; ``None``: it is no token. It takes as long for a token that is nearly right."""
        offered = given.encode()
        full, read = (secrets.compare_digest(offered, token.encode()) for token in (self.full, self.read))
        return "full" if full else "read" if read else None


def open_tokens(folder: Path) -> Tokens:
    """The tokens kept in ``folder``, made where they are missing: ``token`` and ``token-read``, for their owner only.

    Raises ``MLModelError`` for a file that others can read, or that holds no token.
    """
    return Tokens(*(_kept(folder / name) for name in (FULL, READ)))


def _kept(path: Path) -> str:
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            return _made(path)
    except OSError as error:
        raise MLModelError(f"{path}: expected a file with a token, or room for one: {error.strerror}") from error


def _made(path: Path) -> str:
    token = secrets.token_urlsafe(24)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")  # so that a file by this name is always whole
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(file, "w", encoding="ascii") as opened:
        opened.write(token + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    os.replace(partial, path)
    return token


def _read(path: Path) -> str:
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(file, "rb") as opened:
        mode = os.fstat(opened.fileno()).st_mode
        token = opened.read(4096).strip()
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise MLModelError(
            f"{path}: expected a file that only its owner can read (0600), got {stat.S_IMODE(mode):04o}: remove it for a new one"
        )
    if len(token) < _LEAST or not token.isascii():
        raise MLModelError(f"{path}: expected a token of {_LEAST} characters or more, got {len(token)}: remove it for a new one")
    return token.decode()
