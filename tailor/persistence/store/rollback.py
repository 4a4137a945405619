"""Going back to an older version: as a new one, so that nothing of the past is lost."""

from __future__ import annotations

from dataclasses import replace

from ..errors import MissingError
from ..records import Metadata, Name, Version
from .pointers import KeptHead
from .refresh import refresh
from .store import Store


async def rollback(store: Store, name: Name, version: str, metadata: Metadata, before: KeptHead | None = None) -> tuple[str, KeptHead]:
    """Makes a new version with an older one's snapshot and base the head; the head before it is its parent.

    ``before``: the head that is gone back from, as it was found; read here otherwise. Returns the new version's hash and the head.
    Raises ``MissingError`` where there is no head, or where the older version's snapshot was pruned; ``ConflictError``.
    """
    before = before or await store.head(name)
    if before is None:
        raise MissingError(f"{store.backend.name}: expected the head of {name}, got nothing of this name")
    older = await store.version(version)
    older = replace(older, snapshot=await store.resolved(older.snapshot))
    await refresh(store, version, older)
    digest = await store.put(Version(metadata, older.snapshot, (before.version,), older.base))
    return digest, await store.move(name, digest, before)
