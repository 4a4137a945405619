"""The models of a store's versions, and the bases they were personalised from: each of those is kept once, whoever made something of it,
and is neither hashed nor read more often than needed."""

from __future__ import annotations

from datetime import UTC, datetime

from anyio.to_thread import run_sync

from tailor.persistence import DeltaSnapshot, FullSnapshot, Metadata, MissingError, Snapshot, Store, Version, snapshot_hash

from ..errors import MLStoreError
from ..format import load_model, model_hash
from ..model import MLModel
from ..snapshots import restore_snapshot

BASE_METADATA = Metadata(datetime(2000, 1, 1, tzinfo=UTC))
"""Of every base, so that it is the same record wherever it is kept."""


class Bases:
    """Finds the bases of ``store``; remembers which record holds which, and holds the model that was needed last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[str, str] = {}  # the record's hash by that of the model's content
        self._last: tuple[str, MLModel] | None = None

    async def record(self, base: MLModel, parent: Version | None) -> tuple[str, FullSnapshot | None]:
        """The hash of the record that holds ``base``; and the record, unless ``parent``, whose own base is kept, has the same."""
        content = await run_sync(lambda: base.content_hash)
        record = None
        if content not in self._records or parent is None or parent.base != self._records[content]:
            record = await run_sync(lambda: FullSnapshot(BASE_METADATA, base.to_bytes()))
            self._records[content] = await run_sync(snapshot_hash, record)
        digest = self._records[content]
        self._last = digest, base
        return digest, None if parent is not None and parent.base == digest else record

    async def base(self, version: Version) -> MLModel:
        """The base of a version that has one. Raises ``MissingError``, ``RecordError``, ``MLStoreError`` where it is not one."""
        digest = version.base
        assert digest is not None, "Store.commit refuses a delta without"
        if self._last is not None and self._last[0] == digest:
            return self._last[1]
        record = await self._store.snapshot(digest)
        if isinstance(record, DeltaSnapshot):
            raise MLStoreError(f"{self._store.backend.name}: {digest[:12]}: expected a base, kept whole, got a delta")
        model = await run_sync(restore_snapshot, record)
        self._records[await run_sync(lambda: model.content_hash)] = digest
        self._last = digest, model
        return model

    async def snapshot(self, digest: str, version: Version) -> Snapshot:
        """What is kept of the version ``digest``. Raises ``MLStoreError`` where it was pruned; as ``Store.get`` does."""
        try:  # the mark alone tells nothing: it comes before the snapshot goes, which somebody may want again in that moment
            return await self._store.snapshot(version.snapshot)
        except MissingError as error:
            if not await self._store.was_pruned(digest):
                raise
            where = f"{self._store.backend.name}: {digest[:12]}"
            raise MLStoreError(f"{where}: expected a version whose snapshot is kept, got one whose snapshot was pruned") from error

    async def model(self, version: Version, snapshot: Snapshot) -> MLModel:
        """The model of a version with this snapshot."""
        base = None if isinstance(snapshot, FullSnapshot) else await self.base(version)
        return await run_sync(restore_snapshot, snapshot, base)


def base_hash(record: FullSnapshot) -> str:
    """The hash by which deltas call the base that a record holds. Raises ``MLFormatError`` where it holds no model."""
    return model_hash(load_model(bytes(record.whole)))
