"""Which files of a watched folder are looked at, and how they stand. Whoever writes there is not trusted."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tailor.runtime.data import READERS, is_image, is_within

MOST_FILES = 100_000
"""Of a folder, that are looked at."""

MOST_BYTES = 256 << 20
"""Of a file with many examples."""

DEEPEST = 8
"""Folders within the folder."""

PASSING = re.compile(r"\..*|~.*|.*~|#.*#|.*\.(tmp|temp|part|partial|crdownload|download|swp)", re.IGNORECASE | re.DOTALL)
"""Names of files that are hidden or on their way to another name."""


class Stamp(NamedTuple):
    """What changes when a file does. Times in nanoseconds."""

    size: int
    modified: int
    changed: int
    inode: int
    device: int

    @classmethod
    def of(cls, told: os.stat_result) -> Stamp:
        return cls(told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino, told.st_dev)


@dataclass(frozen=True, slots=True)
class Found:
    """A file: its path within the folder, with ``/``; ``age``: seconds since it last changed; ``trouble``: why it is not to be read."""

    name: str
    stamp: Stamp
    age: float
    trouble: str | None = None

    @property
    def is_data(self) -> bool:
        """Whether it has many examples, and is not an image."""
        return Path(self.name).suffix.lower() in READERS


def identity(folder: Path) -> tuple[int, int]:
    """Which folder it is, whatever it is called. Raises ``OSError`` where there is none."""
    told = os.stat(folder)
    if not stat.S_ISDIR(told.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    return told.st_dev, told.st_ino


def listed(folder: Path, image_bytes: int, below: str = "") -> Iterator[Found]:
    """All files in ``folder``, or in its sub-folder ``below``, that are to be looked at. Raises ``OSError`` where it cannot be read."""
    with os.scandir(folder / below) as entries:
        names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if not PASSING.fullmatch(entry.name))
    for name, is_folder in names:
        path = f"{below}/{name}" if below else name
        if not is_folder:
            if (found := looked_at(folder, path, image_bytes)) is not None:
                yield found
        elif path.count("/") < DEEPEST:
            try:
                yield from listed(folder, image_bytes, path)
            except OSError:  # it has gone, or is not for us: what is in it is not ours to tell of
                continue


def looked_at(folder: Path, name: str, image_bytes: int) -> Found | None:
    """How the file ``name`` stands; ``None`` where there is none, or none to look at."""
    if any(map(PASSING.fullmatch, name.split("/"))):
        return None
    path = folder / name
    try:
        if any((folder / parent).is_symlink() for parent in PurePosixPath(name).parents[:-1]):  # changes behind a link are told of too
            return None
        told = os.lstat(path)
        trouble = None
        if stat.S_ISLNK(told.st_mode):
            if not is_within(path, folder):
                trouble = "a link that leads out of the folder"
            else:
                told = os.stat(path)
        if stat.S_ISDIR(told.st_mode):
            return None if trouble is None else Found(name, Stamp.of(told), _age(told), trouble)
    except OSError:
        return None
    if trouble is None:
        trouble = _trouble(name, told, image_bytes)
    return Found(name, Stamp.of(told), _age(told), trouble)


def read_bytes(path: Path, most: int) -> bytes:
    """All of a file that is one, and not too large. Raises ``OSError``."""
    # Not to wait where a pipe was put in its place meanwhile.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        told = os.fstat(file.fileno())
        if not stat.S_ISREG(told.st_mode) or told.st_size > most:
            raise OSError(f"expected a file of at most {most} bytes, got one of {told.st_size}, or none at all")
        return file.read(most)


def _trouble(name: str, told: os.stat_result, image_bytes: int) -> str | None:
    if not stat.S_ISREG(told.st_mode):
        return "a pipe, socket or device"
    most = MOST_BYTES if Path(name).suffix.lower() in READERS else image_bytes
    if most == image_bytes and not is_image(Path(name)):
        return f"a file of no known kind: expected an image, or a name ending in {', '.join(READERS)}"
    return f"{told.st_size} bytes: expected at most {most}" if told.st_size > most else None


def _age(told: os.stat_result) -> float:
    return (time.time_ns() - max(told.st_mtime_ns, told.st_ctime_ns)) / 1e9
