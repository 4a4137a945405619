"""Snapshots that were taken away for good, and what stands in for them: how something is forgotten in the past too.

A version names its snapshot by hash, so that neither it nor what came of it need change: a mark under the old snapshot's hash names the
new one. The old one is removed last; from then on whoever asks for it is given the new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from ..backends import Body, read_whole
from ..errors import MissingError, RecordError
from ..records import VERSION_BYTES, Replacement, Snapshot, parse_record, seal_record
from .names import REPLACED, object_key, pruned_key, replaced_key

if TYPE_CHECKING:
    from .store import Store

MOST_STEPS = 1000
"""How often one snapshot may have been replaced."""


async def replace_snapshot(store: Store, old: str, by: Snapshot) -> str:
    """Puts ``by`` in the place of the snapshot ``old``, which is removed; returns the new one's hash.

    Interrupted, ``old`` may still be there besides its mark; done again, it is gone.
    """
    new = await store.put(by)
    if new != old:
        await keep_replacement(store, old, new)
    return new


async def keep_replacement(store: Store, old: str, new: str) -> None:
    """Marks the snapshot ``old`` as replaced by ``new``, which is here, and removes it."""
    data = await run_sync(lambda: b"".join(seal_record(Replacement(new)).chunks()))
    await store.backend.write(replaced_key(old), Body.of(data))
    await store.backend.remove(object_key(old))


async def remove_snapshot(store: Store, versions: Iterable[str], snapshot: str) -> None:
    """Removes the snapshot of these versions, each of which is marked as one whose snapshot is not kept."""
    for version in versions:
        await store.backend.write(pruned_key(version), Body.of(b""))
    await store.backend.remove(object_key(snapshot))


async def replacements(store: Store) -> dict[str, str]:
    """Every snapshot that was replaced, and what it was replaced by (which may have been replaced in turn)."""
    entries = await store.backend.list(REPLACED)
    found = await store.backend.read_many([entry.key for entry in entries], most=VERSION_BYTES)
    return {key.removeprefix(REPLACED): _read(store, key, data) for key, (data, _) in found.items()}


async def replacement(store: Store, digest: str) -> str | None:
    """What the snapshot with this hash was replaced by, and that in turn; ``None`` where it never was.

    Raises ``RecordError`` for marks that lead in a circle.
    """
    last: str | None = None
    seen = {digest}
    while True:
        key = replaced_key(last or digest)
        try:
            data, _ = await read_whole(store.backend, key, most=VERSION_BYTES)
        except MissingError:
            return last
        last = _read(store, key, data)
        if last in seen or len(seen) > MOST_STEPS:
            raise RecordError("snapshot", "one that was not replaced by what it replaced", last, f"{store.backend.name}: {key}")
        seen.add(last)


def _read(store: Store, key: str, data: bytes) -> str:
    where = f"{store.backend.name}: {key}"
    try:
        record, _ = parse_record(data, store.limits)
    except RecordError as error:
        raise error.of(where) from None
    if not isinstance(record, Replacement):
        raise RecordError("kind", "'replacement'", "another", where)
    return record.snapshot
