"""The model files that the settings name: read whole, and looked at again later."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from tailor import MLLimitError

Stamp: TypeAlias = tuple[int, int, int, int]
"""Device, inode, size and time of change: of another content at least one is another."""


class WatchedFiles:
    """Files by the name of the model that each is read for."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Path, Stamp | None]] = {}

    def read(self, name: str, path: Path, most: int) -> bytes:
        """The bytes of a file. Raises ``OSError``, and ``MLLimitError`` where it has more than ``most``."""
        with path.open("rb") as file:
            self._seen[name] = path, _stamp(os.fstat(file.fileno()))
            data = file.read(most + 1)
        if len(data) > most:
            raise MLLimitError(f"limits.model_bytes: expected at most {most} bytes, got more")
        return data

    def changed(self) -> list[tuple[str, Path, str]]:
        """Files that are ``"replaced"`` or ``"removed"`` since they were read, or since this was told of last: model, path and which."""
        found = []
        for name, (path, before) in list(self._seen.items()):
            try:
                now = _stamp(path.stat())
            except OSError:  # whatever keeps it from being looked at would keep it from being read
                now = None
            if now != before:
                self._seen[name] = path, now
                found.append((name, path, "removed" if now is None else "replaced"))
        return found

    def forget(self, name: str) -> None:
        """Looks at the file of this model no more."""
        self._seen.pop(name, None)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
