"""Where results are written: asked before the work, so that an hour of it is not lost to a wrong path."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def check_writable(path: Path) -> None:
    """Raises ``OSError`` naming ``path`` where a file could not be written there."""
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"the folder {str(folder)!r} does not exist", str(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected the name of a file, got that of a folder", str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "expected the name of a file, got that of a device or pipe", str(path))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, f"the folder {str(folder)!r} is not writable", str(path))
