"""A daemon again, from a backup of one: on this machine or another, where it goes on as if it had been killed at that moment."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from anyio.to_thread import run_sync

from tailor import MLConflictError, MLModelError, MLModelStore
from tailor.persistence import Name, Store

from ..configuration import private_folder
from ..histories import SHOWN
from ..ledger import open_ledger
from .backup import LEDGER, SETTINGS, STORE, store_errors
from .bundle import Bundle
from .lock import LOCK, locked

KNOWN = re.compile(
    rf"{re.escape(LEDGER)}|{re.escape(STORE)}|{re.escape(SETTINGS)}|bases/[0-9a-f]{{64}}\.mlmodel|checkpoints/[0-9a-f]{{32}}"
)

MOST_TOLD = 3
"""Later versions that an error names."""


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was restored, and of when it is. ``settings``: where the settings of that daemon are now, ``settings_before`` where they were.

    ``store``: where versions are now; ``store_elsewhere``: where they are all the time, since they were not in the backup.
    """

    made_at: str
    heads: int
    settings: str | None
    settings_before: str | None
    store: str | None
    store_elsewhere: str | None


async def restore_daemon(backup: Path, state: Path, store: MLModelStore, *, move_back: bool = False) -> RestoreReport:
    """Writes what ``back_up`` wrote to the folder ``state``, and versions to ``store``, which is open.

    Every byte is checked first. Raises ``MLConflictError`` for a state folder that is in use or not empty, and for a store that has
    something else, or of somebody a later version than the backup, unless that is to ``move_back``; ``MLModelError``'s family for a file
    that is damaged, or another one; ``OSError``. Nothing is in ``state`` then, and no head of the store was moved back.
    """
    await run_sync(private_folder, state)
    with locked(state), Bundle(backup) as bundle:
        _check(bundle, backup, state)
        with TemporaryDirectory(prefix=".tailor-", dir=state) as temporary:
            folder = Path(temporary)
            await run_sync(_extract, bundle, folder)
            async with open_ledger(folder / LEDGER, now=lambda: datetime.now(UTC)):
                pass  # it is one, and no later one than this tailor's
            told = bundle.told
            if STORE in bundle.told.files:
                await _restore_store(store, folder / STORE, told.heads, move_back)
                await run_sync((folder / STORE).unlink)
            await run_sync(_move, folder, state)
    return RestoreReport(
        told.made_at,
        len(told.heads),
        str(state / SETTINGS) if SETTINGS in bundle.told.files else None,
        told.settings,
        store.name if STORE in bundle.told.files else None,
        told.store if told.heads and STORE not in bundle.told.files else None,
    )


def _check(bundle: Bundle, backup: Path, state: Path) -> None:
    """Raises unless the files are those of a daemon, and there is room for them."""
    if LEDGER not in bundle.told.files or not all(KNOWN.fullmatch(name) for name in bundle.told.files):
        raise MLModelError(f"{backup}: expected the files of a daemon, got others")
    if left := sorted(set(os.listdir(state)) - {LOCK}):
        raise MLConflictError(f"{state}: expected an empty folder, got one with {left[0]}; restore to another one (--state)")


def _extract(bundle: Bundle, folder: Path) -> None:
    for name in bundle.told.files:
        path = folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        bundle.extract(name, path)


async def _restore_store(store: MLModelStore, archive: Path, heads: Sequence[tuple[str, str, str, str]], move_back: bool) -> None:
    """The versions; each head where it was at the moment of the ledger's copy."""
    expected = f"{store.name}: expected an empty store (--store says another one)"
    with store_errors():
        wanted = {Name(model, user, branch): version for model, user, branch, version in heads}
        there = await store.store.heads()
        if others := [head.name for head in there if head.name not in wanted]:
            raise MLConflictError(f"{expected}, got one with {others[0]}")
        ahead = [] if move_back else [head for head in there if await _is_ahead(store.store, head.version, wanted[head.name])]
        if ahead:
            told = ", ".join(f"{head.name} at {head.version[:SHOWN]}, later than {wanted[head.name][:SHOWN]}" for head in ahead[:MOST_TOLD])
            told += f" and {len(ahead) - MOST_TOLD} more" if len(ahead) > MOST_TOLD else ""
            raise MLConflictError(
                f"{store.name}: expected nothing that is later than the backup, got {told}; --move-back goes back to those"
            )
        if diverged := [row for row in await store.import_from(archive) if row.outcome == "diverged"]:
            raise MLConflictError(f"{expected}, got one with other versions of {diverged[0].model}/{diverged[0].user}")
        for head in await store.store.heads():
            if head.name not in wanted:
                raise MLModelError(f"{archive.name}: expected the heads that the backup tells of, got {head.name}, too")
            if head.version != wanted[head.name]:
                await store.store.move(head.name, wanted[head.name], head)


async def _is_ahead(store: Store, version: str, wanted: str) -> bool:
    """Whether a version comes of the one that is wanted."""
    return version != wanted and wanted in dict(await store.history(version))


def _move(folder: Path, state: Path) -> None:
    """Gives everything its place; the ledger last, without which there is no daemon."""
    for name in sorted(os.listdir(folder), key=lambda name: name == LEDGER):
        os.rename(folder / name, state / name)
    descriptor = os.open(state, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
