"""Names that a server cannot read: equal ones become equal ones, so that they are found again, and lengths say little.

The first segment, the folder, is encrypted on its own, so that one listing of the inner backend finds all that is below it; all the
rest is encrypted in one, bound to its folder. ``ENCRYPTION.md`` has it byte by byte.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache

from ..backends import check_key
from ..backends.backend import LONGEST_KEY
from ..errors import EncryptionError, StoreError
from .primitives import NotAuthentic, Siv

# Six bits a character, in ASCII's order from 1 on; 0 is padding. So base64's digits do the packing.
TEXT = "-./0123456789=_abcdefghijklmnopqrstuvwxyz"
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
PACK = str.maketrans(TEXT, DIGITS[1 : len(TEXT) + 1])
UNPACK = str.maketrans(DIGITS[: len(TEXT) + 1], "\0" + TEXT)
DIGITS_32 = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")
BASE_32 = re.compile("(?:[a-z2-7]{8})+")

SEGMENT = 200

# Lengths of packed texts: the shortest, and the step to the next. All are multiples of 3, and 4 more than a multiple of 5.
FOLDER_STEPS = 9, 15
NAME_STEPS = 54, 60
FOLDER, NAME = b"folder", b"name"


class Names:
    """What is stored under which name. ``where`` names the store in errors."""

    def __init__(self, key: bytes, where: str) -> None:
        self._siv = Siv(key)
        self._where = where
        self._folder = lru_cache(64)(self._hide_folder)

    def hide(self, key: str) -> str:
        """The name for ``key``. Raises ``StoreError`` for one that cannot be, or is too long to be encrypted."""
        check_key(key)
        folder, slash, rest = key.partition("/")
        hidden = self.hide_folder(folder) + slash + self._hide(rest, folder) if slash else self._hide(key, "")
        return self._short_enough(hidden, key, LONGEST_KEY)

    def hide_folder(self, folder: str) -> str:
        """The name for a first segment. Raises ``StoreError`` for one of more than 132 characters."""
        return self._folder(folder)

    def show(self, hidden: str, folder: str) -> str:
        """The key that is stored under ``hidden``, in ``folder``. Raises ``EncryptionError`` for a name of some other make."""
        try:
            top, _, rest = hidden.partition("/")
            joined = rest.replace("/", "")
            if top != self._folder(folder) or rest != _cut(joined) or not BASE_32.fullmatch(joined):
                raise NotAuthentic
            data = int(joined.translate(DIGITS_32), 32).to_bytes(len(joined) * 5 // 8, "big")  # several times as fast as base64's
            return f"{folder}/{_unpack(self._siv.decrypt(data, NAME, folder.encode()))}"
        except (NotAuthentic, ValueError, OverflowError):
            raise EncryptionError(f"{self._where}: expected names of this store, got {hidden!r:.100}, which is not one") from None

    def _hide_folder(self, folder: str) -> str:
        return self._short_enough(_text(self._siv.encrypt(_pack(folder, *FOLDER_STEPS), FOLDER)), folder, SEGMENT)

    def _short_enough(self, hidden: str, key: str, most: int) -> str:
        if len(hidden) > most:
            what = f"{key!r:.60}..., which encrypted would have {len(hidden)} characters of {most} at most"
            raise StoreError(f"{self._where}: expected a shorter key, got {what}")
        return hidden

    def _hide(self, name: str, folder: str) -> str:
        about = (NAME, folder.encode()) if folder else (NAME,)
        return _cut(_text(self._siv.encrypt(_pack(name, *NAME_STEPS), *about)))


def _pack(text: str, least: int, step: int) -> bytes:
    length = least
    while length * 4 // 3 < len(text):
        length += step
    return base64.b64decode(text.translate(PACK).ljust(length * 4 // 3, DIGITS[0]))


def _unpack(data: bytes) -> str:
    return base64.b64encode(data).decode().translate(UNPACK).rstrip("\0")


def _text(data: bytes) -> str:
    return base64.b32encode(data).decode().lower()


def _cut(text: str) -> str:
    return "/".join(text[at : at + SEGMENT] for at in range(0, len(text), SEGMENT))
