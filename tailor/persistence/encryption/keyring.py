"""The keyring: what contents and names are encrypted with, locked away behind each of the keys that open a store.

``ENCRYPTION.md`` has it byte by byte.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

from ..errors import EncryptionError, WrongKeyError
from .keys import MOST_WORK, Passphrase, ScryptCost, SecretKey, StoreKey, check_store_key
from .primitives import TAG_BYTES, Cipher, NotAuthentic, Siv, hkdf

MAGIC = b"\x89tailkey"
VERSION = 1
START = len(MAGIC) + 2
SALT_BYTES = 32
MASTER_BYTES = 32
SLOT_HEAD = 4 + SALT_BYTES
SLOT_BYTES = SLOT_HEAD + MASTER_BYTES + TAG_BYTES
NAME_KEY_BYTES = 64
ID_BYTES = 8
DATA_KEY_BYTES = 32
ENTRY_BYTES = ID_BYTES + 1 + DATA_KEY_BYTES
SUM_BYTES = 32
MOST_SLOTS = 16
MOST_DATA_KEYS = 1024
MOST_BYTES = START + MOST_SLOTS * SLOT_BYTES + TAG_BYTES + NAME_KEY_BYTES + MOST_DATA_KEYS * ENTRY_BYTES + SUM_BYTES
PURPOSE = b"tailor keyring 1"


class KeyKind(Enum):
    """What a slot is opened with, by the number that the keyring holds."""

    PASSPHRASE = 1
    KEY_FILE = 2


@dataclass(frozen=True, slots=True, repr=False)
class KeySlot:
    """The master key, wrapped for one key. ``head`` is what is stored before the wrapped key: kind, cost, salt."""

    head: bytes
    wrapped: bytes

    @property
    def id(self) -> str:
        """Eight hex digits, to name it by."""
        return self.head[4:8].hex()

    @property
    def kind(self) -> KeyKind:
        """What it is opened with."""
        return KeyKind(self.head[0])

    @property
    def cost(self) -> ScryptCost | None:
        """What a guess costs; ``None`` for a key file, which nobody guesses."""
        return ScryptCost(*self.head[1:4]) if self.kind is KeyKind.PASSPHRASE else None

    @classmethod
    def wrapping(cls, master: bytes, key: StoreKey, cost: ScryptCost) -> Self:
        """A slot for ``key``, with a salt of its own."""
        check_store_key(key)
        kind, costs = (KeyKind.PASSPHRASE, (cost.log2_n, cost.r, cost.p)) if isinstance(key, Passphrase) else (KeyKind.KEY_FILE, (0, 0, 0))
        head = bytes((kind.value, *costs)) + secrets.token_bytes(SALT_BYTES)
        return cls(head, Siv(_wrapping_key(head, key)).encrypt(master, head))

    def unwrap(self, key: StoreKey) -> bytes | None:
        """The master key; ``None`` where this slot is for another key."""
        if (self.kind is KeyKind.PASSPHRASE) is not isinstance(key, Passphrase):
            return None
        try:
            return Siv(_wrapping_key(self.head, key)).decrypt(self.wrapped, self.head)
        except NotAuthentic:
            return None

    def __repr__(self) -> str:
        return f"<KeySlot {self.id}: {self.kind.name.lower().replace('_', ' ')}>"


def _wrapping_key(head: bytes, key: StoreKey) -> bytes:
    return key.wrapping_key(head[4:]) if isinstance(key, SecretKey) else key.wrapping_key(head[4:], ScryptCost(*head[1:4]))


@dataclass(frozen=True, slots=True)
class DataKey:
    """What contents are encrypted with."""

    id: bytes
    cipher: Cipher
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, cipher: Cipher) -> Self:
        """A random one."""
        return cls(secrets.token_bytes(ID_BYTES), Cipher(cipher), secrets.token_bytes(DATA_KEY_BYTES))


@dataclass(frozen=True, slots=True)
class Keyring:
    """What is locked away. The last of the data keys is the one for what is written from now on; names have one key for ever."""

    master: bytes = field(repr=False)
    name_key: bytes = field(repr=False)
    data_keys: tuple[DataKey, ...]

    @classmethod
    def new(cls, cipher: Cipher) -> Self:
        """Random keys."""
        return cls(secrets.token_bytes(MASTER_BYTES), secrets.token_bytes(NAME_KEY_BYTES), (DataKey.new(cipher),))

    def renewed(self, cipher: Cipher | None) -> Self:
        """With another master key, and one data key more; its cipher is the last one's unless it is given."""
        if len(self.data_keys) == MOST_DATA_KEYS:
            raise EncryptionError(f"keyring: expected at most {MOST_DATA_KEYS} data keys, got one more")
        fresh = DataKey.new(cipher or self.data_keys[-1].cipher)
        return replace(self, master=secrets.token_bytes(MASTER_BYTES), data_keys=(*self.data_keys, fresh))


def seal_keyring(keyring: Keyring, slots: Iterable[KeySlot]) -> bytes:
    """The bytes to keep. Raises ``EncryptionError`` for more slots, or more work for whoever opens them all, than a reader takes."""
    kept = tuple(slots)
    _check_slots(kept, "keyring")
    head = MAGIC + bytes((VERSION, len(kept))) + b"".join(slot.head + slot.wrapped for slot in kept)
    inside = keyring.name_key + b"".join(key.id + bytes((key.cipher.value,)) + key.secret for key in keyring.data_keys)
    data = head + _inside(keyring.master).encrypt(inside, head)
    return data + hashlib.sha256(data).digest()


def parse_slots(data: bytes, where: str) -> tuple[KeySlot, ...]:
    """The slots of a keyring that is undamaged as far as can be told without a key. Raises ``EncryptionError``."""
    if not data.startswith(MAGIC):
        raise EncryptionError(f"{where}: expected a keyring, got {data[:16].hex(' ') or 'nothing'}")
    if len(data) < START or data[len(MAGIC)] != VERSION:
        raise EncryptionError(f"{where}: expected a keyring of version {VERSION}, got {data[len(MAGIC) : START].hex(' ') or 'no more'}")
    if hashlib.sha256(data[:-SUM_BYTES]).digest() != data[-SUM_BYTES:]:
        raise EncryptionError(f"{where}: expected the bytes that its checksum was made of, got others: it is damaged")
    count, end = data[START - 1], START + SLOT_BYTES * data[START - 1]
    keys, rest = divmod(len(data) - end - TAG_BYTES - NAME_KEY_BYTES - SUM_BYTES, ENTRY_BYTES)
    if not 1 <= keys <= MOST_DATA_KEYS or rest:
        raise EncryptionError(f"{where}: expected {count} slots and 1 to {MOST_DATA_KEYS} data keys, got {len(data)} bytes in all")
    starts = range(START, end, SLOT_BYTES)
    slots = tuple(KeySlot(data[at : at + SLOT_HEAD], data[at + SLOT_HEAD : at + SLOT_BYTES]) for at in starts)
    _check_slots(slots, where)
    return slots


def open_keyring(data: bytes, key: StoreKey, where: str) -> tuple[Keyring, tuple[KeySlot, ...]]:
    """What ``key`` unlocks, and all slots. For a passphrase it takes time and memory, which are bounded.

    Raises ``WrongKeyError``; ``EncryptionError`` for what is no keyring, damaged, or was changed by somebody without a key.
    """
    check_store_key(key)
    slots = parse_slots(data, where)
    end = START + SLOT_BYTES * len(slots)
    master = next((found for slot in slots if (found := slot.unwrap(key)) is not None), None)
    if master is None:
        raise WrongKeyError(f"{where}: expected a key of this store, got a {_kind_of(key)} that does not open it")
    try:
        inside = _inside(master).decrypt(data[end:-SUM_BYTES], data[:end])
    except NotAuthentic:
        raise EncryptionError(f"{where}: expected what was locked with this key, got something that was changed since") from None
    rows = [inside[at : at + ENTRY_BYTES] for at in range(NAME_KEY_BYTES, len(inside), ENTRY_BYTES)]
    try:
        keys = tuple(DataKey(row[:ID_BYTES], Cipher(row[ID_BYTES]), row[ID_BYTES + 1 :]) for row in rows)
    except ValueError as error:
        raise EncryptionError(f"{where}: expected ciphers that this version knows, got another ({error})") from None
    return Keyring(master, inside[:NAME_KEY_BYTES], keys), slots


def _inside(master: bytes) -> Siv:
    return Siv(hkdf(master, b"", PURPOSE, 64))


def _kind_of(key: StoreKey) -> str:
    return "passphrase" if isinstance(key, Passphrase) else "key file"


def _check_slots(slots: tuple[KeySlot, ...], where: str) -> None:
    """Nobody can make us try more, or dearer, passphrases than ``MOST_WORK`` allows."""
    if not 1 <= len(slots) <= MOST_SLOTS:
        raise EncryptionError(f"{where}: expected 1 to {MOST_SLOTS} slots, got {len(slots)}")
    work = 0
    for number, slot in enumerate(slots):
        try:
            cost = slot.cost
        except ValueError:
            raise EncryptionError(f"{where}: slot {number}: expected kind 1 or 2, got {slot.head[0]}") from None
        except EncryptionError as error:
            raise EncryptionError(f"{where}: slot {number}: {error}") from None
        if cost is None and any(slot.head[1:4]):
            raise EncryptionError(f"{where}: slot {number}: expected no cost for a key file, got {slot.head[1:4].hex(' ')}")
        work += 0 if cost is None else cost.work
    if work > MOST_WORK:
        raise EncryptionError(f"{where}: expected passphrases that cost {MOST_WORK} blocks together at most, got {work}")
