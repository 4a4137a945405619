"""The files of registered models, called by what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import partial
from pathlib import Path

from anyio import to_thread

from tailor import MLFormatError, MLModel, MLNotFoundError
from tailor.persistence import write_atomically

SUFFIX = ".mlmodel"


class BaseFiles:
    """Model files in ``folder``, which is made where there is none. Each is compared with its name whenever it is read.

    Everything happens in worker threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Where the file with this content is, or would be."""
        return self._folder / f"{digest}{SUFFIX}"

    async def keep(self, digest: str, data: bytes) -> None:
        """Makes ``data``, whose SHA-256 is ``digest``, a file; it is on the disk then. Raises ``OSError``."""
        await to_thread.run_sync(partial(self._write, digest, data))

    async def read(self, digest: str, name: str) -> MLModel:
        """The model of a file. Raises ``MLNotFoundError`` where the file is missing, and ``MLFormatError`` where it is damaged."""
        return await to_thread.run_sync(partial(self._read, digest, name))

    async def sweep(self, needed: Collection[str]) -> None:
        """Removes all that are not ``needed``, and what a killed writer has left. Nobody may be writing."""
        await to_thread.run_sync(partial(self._sweep, frozenset(needed)))

    def _write(self, digest: str, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self.path(digest), data, mode=0o600)

    def _read(self, digest: str, name: str) -> MLModel:
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise MLNotFoundError(f"model {name!r}: expected its file {path}, got {error.strerror}; register the model again") from error
        got = hashlib.sha256(data).hexdigest()
        if got != digest:
            told = f"expected its file {path} as it was registered, got {len(data)} bytes with the SHA-256 {got[:12]}..."
            raise MLFormatError(f"model {name!r}: {told}; register the model again")
        return MLModel(data)

    def _sweep(self, needed: frozenset[str]) -> None:
        for path in self._folder.glob("*"):
            if path.is_file() and not (path.suffix == SUFFIX and path.stem in needed):
                path.unlink(missing_ok=True)
