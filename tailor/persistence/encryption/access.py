"""Who can open an encrypted store: making one, opening it, adding and removing keys, and new keys for what comes.

All of this is one small object, the keyring, written by compare-and-set: whatever stops a change, the old keyring is there or the new
one, and no other object is written again. Where a backend is not conditional, keys should be changed from one place at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anyio.to_thread import run_sync

from ..backends import Backend, Body, Expected, read_whole
from ..errors import ConflictError, EncryptionError, MissingError
from .encrypted import EncryptedBackend
from .keyring import MOST_BYTES, Keyring, KeySlot, open_keyring, parse_slots, seal_keyring
from .keys import ScryptCost, StoreKey
from .primitives import Cipher

KEYRING = "encryption/keyring"
"""The inner backend's key for it; names of an encrypted store are longer, so none is like it."""

COST = ScryptCost()


async def is_encrypted(inner: Backend) -> bool:
    """Whether there is a keyring in ``inner``."""
    return await inner.look(KEYRING) is not None


async def create_encrypted(
    inner: Backend, key: StoreKey, *, cipher: Cipher = Cipher.AES_256_GCM, cost: ScryptCost = COST
) -> EncryptedBackend:
    """A new encrypted store in ``inner``, which ``key`` opens. What is there in plain already stays there, in plain.

    ``cost``: of a guess, where the key is a passphrase. Raises ``ConflictError`` where there is a keyring already, ``EncryptionError``
    and ``BackendError``.
    """
    keyring = Keyring.new(cipher)
    data = await run_sync(lambda: seal_keyring(keyring, [KeySlot.wrapping(keyring.master, key, cost)]))
    try:
        await _write(inner, data, Expected.NOTHING)
    except ConflictError as error:
        raise ConflictError(f"{inner.name}: expected a place without an encrypted store, got one that has a keyring") from error
    return EncryptedBackend(inner, keyring)


async def open_encrypted(inner: Backend, key: StoreKey) -> EncryptedBackend:
    """The encrypted store in ``inner``.

    With a passphrase it takes time and memory: at most 512 MiB, and 16 times the default's work. Raises ``WrongKeyError``,
    ``MissingError`` where nothing is encrypted, ``EncryptionError`` for a keyring that is damaged or was changed; ``BackendError``.
    """
    keyring, _, _ = await _open(inner, key)
    return EncryptedBackend(inner, keyring)


async def list_keys(inner: Backend) -> tuple[KeySlot, ...]:
    """The keys that open the store, as ids and kinds, oldest first; nobody has vouched for them until one of them opens it.

    Raises as ``open_encrypted`` does, but needs no key.
    """
    data, _ = await _read(inner)
    return parse_slots(data, _where(inner))


async def add_key(inner: Backend, key: StoreKey, new: StoreKey, *, cost: ScryptCost = COST) -> str:
    """Lets ``new`` open the store too; ``key`` is one that does. Returns the new one's id.

    Raises as ``open_encrypted`` does; ``ConflictError`` where somebody else changed the keyring meanwhile.
    """

    def change(keyring: Keyring, slots: tuple[KeySlot, ...]) -> tuple[Keyring, Sequence[KeySlot]]:
        return keyring, (*slots, KeySlot.wrapping(keyring.master, new, cost))

    _, slots = await _change(inner, key, change)
    return slots[-1].id


async def remove_key(inner: Backend, key: StoreKey, id: str) -> None:
    """Takes a key, by its id, from those that open the store; ``key`` is one that does, and may be the same one.

    Whoever has that key and a copy of the keyring as it was can still open the store: ``rotate_keys`` is for those. Raises as
    ``add_key`` does, ``EncryptionError`` for an id that is not there, and for the last one.
    """

    def change(keyring: Keyring, slots: tuple[KeySlot, ...]) -> tuple[Keyring, Sequence[KeySlot]]:
        left = [slot for slot in slots if slot.id != id]
        if len(left) == len(slots) or not left:
            ids = ", ".join(slot.id for slot in slots)
            raise EncryptionError(f"{_where(inner)}: expected the id of one of several keys ({ids}), got {id!r:.40}")
        return keyring, left

    await _change(inner, key, change)


async def rotate_keys(
    inner: Backend, key: StoreKey, keys: Sequence[StoreKey] = (), *, cipher: Cipher | None = None, cost: ScryptCost = COST
) -> EncryptedBackend:
    """From now on ``keys``, by default ``key`` alone, and no others open the store, and what is written has a new data key.

    Nothing is written again but the keyring. So what was written before is still open to whoever had a key and kept the keyring or
    the data keys; and names, whose key stays, are still readable to them. Against one of them who can also write in ``inner``,
    ``keys`` should be new: a key that opened the store before opens the keyring from before, too. Stores that are open elsewhere keep
    writing with the data key that they know, and cannot read what has the new one, until they are opened again. Raises as ``add_key``
    does.
    """

    def change(keyring: Keyring, slots: tuple[KeySlot, ...]) -> tuple[Keyring, Sequence[KeySlot]]:
        fresh = keyring.renewed(cipher)
        return fresh, [KeySlot.wrapping(fresh.master, each, cost) for each in keys or (key,)]

    keyring, _ = await _change(inner, key, change)
    return EncryptedBackend(inner, keyring)


Change = Callable[[Keyring, tuple[KeySlot, ...]], tuple[Keyring, Sequence[KeySlot]]]


async def _change(inner: Backend, key: StoreKey, change: Change) -> tuple[Keyring, Sequence[KeySlot]]:
    keyring, slots, tag = await _open(inner, key)

    def changed() -> tuple[Keyring, Sequence[KeySlot], bytes]:
        fresh, kept = change(keyring, slots)
        return fresh, kept, seal_keyring(fresh, kept)

    fresh, kept, data = await run_sync(changed)
    try:
        await _write(inner, data, tag)
    except ConflictError as error:
        raise ConflictError(f"{_where(inner)}: expected the keyring as it was read, got another: somebody changed it meanwhile") from error
    return fresh, kept


async def _open(inner: Backend, key: StoreKey) -> tuple[Keyring, tuple[KeySlot, ...], str]:
    data, tag = await _read(inner)
    keyring, slots = await run_sync(open_keyring, data, key, _where(inner))
    return keyring, slots, tag


async def _read(inner: Backend) -> tuple[bytes, str]:
    try:
        data, entry = await read_whole(inner, KEYRING, most=MOST_BYTES)
    except MissingError as error:
        raise MissingError(f"{inner.name}: expected an encrypted store, got no keyring ({KEYRING})") from error
    return data, entry.tag


async def _write(inner: Backend, data: bytes, expected: str | Expected) -> None:
    try:
        await inner.write(KEYRING, Body.of(data), expected=expected)
    except ConflictError:
        if (await _read(inner))[0] != data:  # it is ours where a backend repeats a write whose answer was lost
            raise
    if not inner.conditional and (await _read(inner))[0] != data:  # better than writing with keys that nobody else will ever have
        raise ConflictError(f"{_where(inner)}: expected the keyring that was just written, got another")


def _where(inner: Backend) -> str:
    return f"{inner.name}: {KEYRING}"
