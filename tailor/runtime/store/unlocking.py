"""A place that may be encrypted: nobody reads it without its key, and nobody writes beside it in plain by mistake."""

from __future__ import annotations

import os

from anyio.to_thread import run_sync

from tailor.persistence import Backend, StoreKey, is_encrypted, open_encrypted, read_key_file

from ..errors import MLStoreError


async def unlocked(backend: Backend, key: StoreKey | os.PathLike[str] | None) -> Backend:
    """What to read and write ``backend`` by: itself, or, decrypted by ``key`` or the one in that file, what is encrypted in it.

    Raises ``MLStoreError`` for an encrypted one without a key, ``MissingError`` for a key that nothing is encrypted by, ``WrongKeyError``,
    ``OSError``.
    """
    if key is not None:
        return await open_encrypted(backend, await run_sync(read_key_file, key) if isinstance(key, os.PathLike) else key)
    if await is_encrypted(backend):
        raise MLStoreError(f"{backend.name}: expected the key of this store, which is encrypted, got none")
    return backend
