"""Stores that are kept encrypted, by a backend around a backend: what stands on it knows nothing of it. ``ENCRYPTION.md`` is the format.

A place is made with ``create_encrypted`` and opened with ``open_encrypted``, by a ``Passphrase`` or the ``SecretKey`` of a key file;
``is_encrypted`` tells which places are. ``add_key``, ``remove_key``, ``list_keys`` and ``rotate_keys`` say who can open it.
"""

from .access import add_key, create_encrypted, is_encrypted, list_keys, open_encrypted, remove_key, rotate_keys
from .encrypted import EncryptedBackend
from .keyring import KeyKind, KeySlot
from .keys import Passphrase, ScryptCost, SecretKey, StoreKey, read_key_file, write_key_file
from .primitives import Cipher

__all__ = [
    "Cipher",
    "EncryptedBackend",
    "KeyKind",
    "KeySlot",
    "Passphrase",
    "ScryptCost",
    "SecretKey",
    "StoreKey",
    "add_key",
    "create_encrypted",
    "is_encrypted",
    "list_keys",
    "open_encrypted",
    "read_key_file",
    "remove_key",
    "rotate_keys",
    "write_key_file",
]
