"""A backup of all that a daemon keeps, taken while it works: one file, of one moment.

The moment is that of the ledger's copy. Versions that came after it were made of examples that the copy has as waiting; so it is noted for
each model and user which version was the last one then. What was committed before and is not yet in the ledger, the daemon finds itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from anyio.to_thread import run_sync

from tailor import MLModelError, MLModelStore, MLStoreError
from tailor.persistence import KeptHead, RecordError, Store, StoreError, Version, export_archive

from ..configuration import is_url
from ..ledger import KeptUpdate, Ledger, open_ledger
from ..ledger.opening import copy_file, open_reader
from ..ledger.tables import updates as updates_table
from .bundle import Manifest, write_bundle

LEDGER, STORE, SETTINGS = "ledger.sqlite", "store.tailor", "tailor.toml"
UPDATE = "update"
"""The key in a version's metadata: the update that made it."""
PAGE = 1000


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was written: bytes, models, open updates, and heads of the store; ``store``: its place, where it is not in the file."""

    size: int
    models: int
    updates: int
    heads: int
    store: str | None


async def back_up(output: Path, state: Path, store: MLModelStore, place: str, settings: Path | None) -> BackupReport:
    """Writes what the daemon has in ``state`` and in ``store``, which is at ``place`` and open, and its ``settings``, to ``output``.

    A store that is at a URL is not in the file. Tokens and keys are not, either; the file is not encrypted, whatever the store is. It is
    written whole or not at all, and only its owner can read it. Raises ``MLModelError``'s family, and ``OSError``.
    """
    live = state / LEDGER
    if not await anyio.Path(live).is_file():
        raise MLModelError(f"{state}: expected the state folder of a daemon, got one without {LEDGER}")
    with TemporaryDirectory(prefix=".tailor-", dir=output.parent) as folder:
        copy = Path(folder) / LEDGER
        await run_sync(_copy, live, copy)
        async with open_ledger(copy, now=lambda: datetime.now(UTC)) as ledger:
            kept, work = await ledger.models(), await ledger.open_updates()
            with store_errors():
                heads = await _heads(store.store, live, ledger)
        members = {LEDGER: copy}
        for base in sorted({model.base for model in kept} | {update.base for update in work}):
            members[f"bases/{base}.mlmodel"] = state / "bases" / f"{base}.mlmodel"
        if settings is not None:
            members[SETTINGS] = settings
        elsewhere = store.name if is_url(place) else None
        if elsewhere is None and heads:
            members[STORE] = Path(folder) / STORE
            with store_errors():
                await export_archive(store.store, members[STORE], [head.name for head, _ in heads])
        told = Manifest(
            made_at=datetime.now(UTC).isoformat(),
            settings=None if settings is None else str(settings),
            store=store.name,
            heads=[(head.name.model, head.name.user, head.name.branch, version) for head, version in heads],
        )
        size = await run_sync(partial(_write, output, members, state / "checkpoints", [update.identifier for update in work], told))
        return BackupReport(size, len(kept), len(work), len(heads), elsewhere)


@contextmanager
def store_errors() -> Iterator[None]:
    """What the room of persistence raises, as ours."""
    try:
        yield
    except (StoreError, RecordError) as error:
        raise MLStoreError(str(error)) from error


def _copy(live: Path, copy: Path) -> None:
    with closing(open_reader(live)) as connection:
        copy_file(connection, copy)


def _write(output: Path, members: dict[str, Path], checkpoints: Path, updates: list[str], told: Manifest) -> int:
    """The file. Checkpoints are taken as they are now, for they may be later than the ledger, and gone where an update has ended since."""
    with TemporaryDirectory(prefix=".tailor-", dir=output.parent) as folder:
        for identifier in updates:
            kept = Path(folder) / identifier
            try:
                kept.hardlink_to(checkpoints / identifier)
            except FileNotFoundError:
                continue
            except OSError:  # another file system
                kept.write_bytes((checkpoints / identifier).read_bytes())
            members[f"checkpoints/{identifier}"] = kept
        return write_bundle(output, members, told)


async def _heads(store: Store, live: Path, ledger: Ledger) -> list[tuple[KeptHead, str]]:
    """The heads of the store, and of each the version that was the last one when the ledger was copied; without those that came since."""
    heads = await store.heads()
    since = await _planned_since(live, ledger)
    moved = {(update.model, update.user) for update in since.values()}
    found = []
    for head in heads:
        version: str | None = head.version
        if (head.name.model, head.name.user) in moved:
            version = _last_before(head.version, await store.history(head.version), since)
        if version is not None:
            found.append((head, version))
    return found


async def _planned_since(live: Path, ledger: Ledger) -> dict[str, KeptUpdate]:
    """The updates that were planned after the ledger was copied, by identifier."""
    found: dict[str, KeptUpdate] = {}
    after = ""
    while page := await run_sync(_page, live, after):
        for update in page:
            if await ledger.update(update.identifier) is not None:
                return found
            found[update.identifier] = update
        after = page[-1].identifier
    return found


def _page(live: Path, after: str) -> list[KeptUpdate]:
    with closing(open_reader(live)) as connection:
        found: list[KeptUpdate] = updates_table.page(connection, None, None, (), after, PAGE)
        return found


def _last_before(head: str, history: Sequence[tuple[str, Version]], since: Mapping[str, KeptUpdate]) -> str | None:
    """The nearest version on the way back from ``head`` that none of the updates ``since`` has made, nor any before it."""
    past, later = dict(history), set[str]()
    for digest, version in reversed(history):  # none before one that it came of
        if version.metadata.extra.get(UPDATE) in since or later.intersection(version.parents):
            later.add(digest)
    found: str | None = head
    while found in later:
        found = next(iter(past[found].parents), None)
    return found
