"""``MLStoreKeys``: making a store encrypted, and who can open it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from anyio import CancelScope

from tailor.persistence import (
    Backend,
    KeySlot,
    Store,
    StoreKey,
    add_key,
    create_encrypted,
    list_keys,
    open_backend,
    remove_key,
    rotate_keys,
)

from ..errors import MLStoreError
from .failures import at_the_door


class MLStoreKeys:
    """The keys that open an encrypted store, in a place that ``MLModelStore`` takes: passphrases, and secrets in key files.

    A key is a ``Passphrase`` or a ``SecretKey``. To change keys writes one small record: nothing that is kept is written again. Raises
    ``MLStoreError``, also for a wrong key, and ``MLStoreConflictError`` where somebody else changed the keys meanwhile.
    """

    def __init__(self, place: str | os.PathLike[str] | Backend) -> None:
        self._place = place

    async def create(self, key: StoreKey) -> None:
        """Makes a new encrypted store, which ``key`` opens. Raises ``MLStoreError`` where there is a store already."""
        async with self._backend() as backend:
            if await Store(backend).head_tags():
                expected = "expected a place without a store, got one that is not encrypted; make a new one, and export and import"
                raise MLStoreError(f"{backend.name}: {expected}")
            await create_encrypted(backend, key)

    async def list(self) -> tuple[KeySlot, ...]:
        """The keys there are, each with its ``id`` and ``kind``, the oldest first; it takes none to ask."""
        async with self._backend() as backend:
            return await list_keys(backend)

    async def add(self, key: StoreKey, new: StoreKey) -> str:
        """Lets ``new`` open the store too; ``key`` is one that does. Returns the new one's id."""
        async with self._backend() as backend:
            return await add_key(backend, key, new)

    async def remove(self, key: StoreKey, id: str) -> None:
        """Lets the key with this id open the store no longer; ``key`` is one that does. One key is always left.

        Who has the key and an old copy of the store's keyring can still read: see ``rotate``.
        """
        async with self._backend() as backend:
            await remove_key(backend, key, id)

    async def rotate(self, key: StoreKey, keys: Sequence[StoreKey] = ()) -> None:
        """From now on ``keys``, by default ``key`` alone, open the store, and what is written is encrypted anew.

        What was written before is still open to whoever had a key and kept a copy of the keyring.
        """
        async with self._backend() as backend:
            await rotate_keys(backend, key, keys)

    @asynccontextmanager
    async def _backend(self) -> AsyncIterator[Backend]:
        with at_the_door():
            backend = open_backend(self._place) if isinstance(self._place, str | os.PathLike) else self._place
            try:
                yield backend
            finally:
                if backend is not self._place:
                    with CancelScope(shield=True):
                        await backend.aclose()
