"""The store that the daemon keeps versions in: found, and made where there is none."""

from __future__ import annotations

import logging
import os
import platform
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from tailor import MLModelStore, MLStoreKeys, Passphrase, read_key_file, write_key_file

from ..configuration import Settings, is_url

log = logging.getLogger(__name__)


async def store_of(settings: Settings, place: str, *, create: bool = True) -> MLModelStore:
    """The store at ``place``, not open yet.

    Its key is that in ``key_file`` or ``TAILOR_KEY_FILE``, or the passphrase in ``TAILOR_PASSPHRASE``. Where nothing is at a path and there
    is a key, an encrypted store is made; the key file too, where there is none; unless not ``create``: then it is an empty one. Without a
    key it is a plain one, made with its first version. Raises ``MLStoreError``, and ``OSError`` where a key file cannot be read or made.
    """
    file = settings.key_file or os.environ.get("TAILOR_KEY_FILE")
    key = Path(file) if file else None
    passphrase = os.environ.get("TAILOR_PASSPHRASE") if key is None else None
    if (key is not None or passphrase) and not is_url(place) and not await anyio.Path(place).exists():
        if not create:
            return MLModelStore(place)
        await _make(place, key, passphrase)
    opener = key if key is not None else Passphrase(passphrase) if passphrase else None
    return MLModelStore(place, device=settings.device or platform.node(), key=opener)


async def _make(place: str, key: Path | None, passphrase: str | None) -> None:
    if key is None:
        assert passphrase is not None
        await MLStoreKeys(place).create(Passphrase(passphrase))
    else:
        made = not await anyio.Path(key).exists()
        await MLStoreKeys(place).create(await run_sync(write_key_file if made else read_key_file, key))
        if made:
            log.warning("%s: a new key; who loses it loses what the store keeps", key)
    log.info("%s: a new store, encrypted", place)
