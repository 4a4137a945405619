"""Where updates keep how far they are: a file each, until the ledger says that the update has ended."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial
from pathlib import Path

from anyio import to_thread


class Checkpoints:
    """The files in ``folder``, by the identifier of the update."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, identifier: str) -> Path:
        """Where an update's checkpoint is, or will be."""
        return self._folder / identifier

    async def remove(self, identifier: str) -> None:
        """Removes a checkpoint, if there is one. Raises ``OSError``."""
        await to_thread.run_sync(partial(self.path(identifier).unlink, missing_ok=True))

    async def sweep(self, needed: Collection[str]) -> None:
        """Makes the folder where there is none, and removes whatever is not a checkpoint of those ``needed``: what a killed process left.

        Raises ``OSError``.
        """
        await to_thread.run_sync(self._sweep, frozenset(needed))

    def _sweep(self, needed: frozenset[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name not in needed and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)
