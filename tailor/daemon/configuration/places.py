"""Where things are when nobody says where: by the XDG specification, and first of all where systemd says."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tailor import MLModelError, MLModelStore
from tailor.client import default_socket, default_state

from .settings import Settings

NAME = "tailor.toml"
SYSTEM = Path("/etc/tailor") / NAME
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # one letter is a drive


@dataclass(frozen=True, slots=True)
class Places:
    """Where a daemon keeps what it must not forget, where versions of models are, and where it listens."""

    state: Path
    store: str
    socket: Path

    @classmethod
    def of(cls, settings: Settings, *, state: Path | None = None, socket: Path | None = None) -> Self:
        """By what is asked for, else by the settings, else by the environment: ``STATE_DIRECTORY`` and ``RUNTIME_DIRECTORY`` that systemd
        sets, ``TAILOR_STORE``, and the XDG variables."""
        told = _told_by_systemd("STATE_DIRECTORY")
        folder = state or _path(settings.state) or told or default_state()
        own_store = None if told is None else str(told / "store")
        store = settings.store or os.environ.get("TAILOR_STORE") or own_store or MLModelStore.default_place()
        runtime = _told_by_systemd("RUNTIME_DIRECTORY")
        own_socket = None if runtime is None else runtime / "daemon.sock"
        return cls(folder.absolute(), store, (socket or _path(settings.http.socket) or own_socket or default_socket(folder)).absolute())


def find_settings() -> Path | None:
    """The file of settings where nobody names one, if there is one.

    ``tailor.toml`` in the folder that systemd gives in ``CONFIGURATION_DIRECTORY``, or in ``tailor`` in ``$XDG_CONFIG_HOME``
    (``~/.config``); for root, then ``/etc/tailor/tailor.toml``.
    """
    told = _told_by_systemd("CONFIGURATION_DIRECTORY")
    if told is not None:
        candidates = [told / NAME]
    else:
        home = os.environ.get("XDG_CONFIG_HOME", "")
        base = Path(home) if os.path.isabs(home) else Path.home() / ".config"
        candidates = [base / "tailor" / NAME, *([SYSTEM] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]
    return next((path for path in candidates if path.is_file()), None)


def private_folder(path: Path) -> Path:
    """Makes the folder, and those that it is in, for its owner only. Raises ``MLModelError`` where others could write to it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise MLModelError(f"{path}: expected a folder, or to be able to make one, got {error.strerror}") from error
    if os.name != "nt" and stat.S_IMODE(found.st_mode) & 0o022:
        raise MLModelError(
            f"{path}: expected a folder that only its owner can write to (chmod go-w), got mode {stat.S_IMODE(found.st_mode):o}"
        )
    return path


def is_url(place: str | None) -> bool:
    """Whether a store's place is a URL, and no path."""
    return place is not None and URL.match(place) is not None


def _told_by_systemd(variable: str) -> Path | None:
    """The first of the folders in a variable that systemd sets."""
    first = os.environ.get(variable, "").partition(":")[0]
    return Path(first) if os.path.isabs(first) else None


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
