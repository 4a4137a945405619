"""What is raised where a record cannot be read, written, or does not belong to what it is put onto."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np


class RecordError(ValueError):
    """A record breaks the format, is damaged, or does not fit; nothing was changed.

    ``where`` is the field's path inside the record (``values.w.count``), ``expected`` and ``got`` are plain English,
    ``source`` names the file where there is one.
    """

    def __init__(self, where: str, expected: str, got: str, source: str | None = None) -> None:
        super().__init__(where, expected, got, source)
        self.where = where
        self.expected = expected
        self.got = got
        self.source = source

    def __str__(self) -> str:
        prefix = "" if self.source is None else f"{self.source}: "
        return f"{prefix}{self.where}: expected {self.expected}, got {self.got}"

    def within(self, where: str) -> Self:
        """The same error, seen from the field that holds the one it names."""
        dot = "" if self.where.startswith("[") else "."
        return type(self)(f"{where}{dot}{self.where}", self.expected, self.got, self.source)

    def of(self, source: str) -> Self:
        """The same error, naming the file."""
        return type(self)(self.where, self.expected, self.got, source)


class RecordVersionError(RecordError):
    """A record of a layout or format that this version does not know: most likely a later tailor wrote it."""


def brief(value: object) -> str:
    """``value`` in an error message: bounded however large the value is."""
    match value:
        case np.ndarray():
            return f"a {value.dtype} tensor of shape {value.shape}"
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case str():
            return repr(value) if len(value) <= 80 else f"{value[:80]!r}... ({len(value)} characters)"
        case int() if value.bit_length() > 64:
            return f"an integer of {value.bit_length()} bits"
        case None | bool() | int() | float():
            return repr(value)
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return f"a map of {len(value)}"
        case _:
            return f"an object of type {type(value).__name__}"


def path_of(parts: Sequence[str | int]) -> str:
    """``["values", "a b", 3]`` -> ``values['a b'][3]``; the empty path is the record itself."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() and len(part) <= 80:
            text += f".{part}" if text else part
        else:
            text += f"[{brief(part)}]"
    return text or "the record"


class StoreError(Exception):
    """A store, or what it is kept in, could not do what was asked; nothing that was there before is lost."""


class BackendError(StoreError):
    """A backend failed: a disk that is full, a server that does not answer, a permission that lacks; ``__cause__`` has more."""


class TooLargeError(BackendError):
    """What is there has more bytes than it should."""


class MissingError(StoreError):
    """There is nothing of this name."""


class ConflictError(StoreError):
    """Somebody else was first: what is there is not what was expected, and was left as it is."""


class EncryptionError(StoreError):
    """What is there was not encrypted with these keys, or not as what it is given for, or was changed since."""


class WrongKeyError(EncryptionError):
    """The passphrase or the key file does not open this store."""


class ForgedError(EncryptionError, RecordError):
    """The contents of one key are not what was encrypted under it: damaged, or put there by somebody else. ``where`` is the key."""
