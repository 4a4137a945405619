"""Heads, of which a store reads thousands at a time, told by comparing instead of reading."""

from __future__ import annotations

import hashlib

import msgpack

from .envelope import HEAD_BYTES, MAGIC, PLAIN, TAIL_BYTES
from .snapshot import HASH
from .version import Name

VERSION = 64


def plain_head(name: Name, data: bytes) -> str | None:
    """The version in the file of an undamaged head of this name, written as heads are; ``None`` where one has to look closer.

    All but the version and the hash is known before: to compare takes a tenth of the time that reading takes.
    """
    fields = {"branch": name.branch, "format": 3, "kind": "head", "model": name.model, "user": name.user, "version": "0" * VERSION}
    expected = msgpack.packb(fields)
    begin = MAGIC + bytes((PLAIN,)) + len(expected).to_bytes(8, "little") + expected[:-VERSION]
    if len(data) != HEAD_BYTES + len(expected) + TAIL_BYTES or not data.startswith(begin):
        return None
    payload = data[HEAD_BYTES:-TAIL_BYTES]
    version = payload[-VERSION:].decode("ascii", "replace")
    return version if HASH.fullmatch(version) and hashlib.sha256(payload).digest() == data[-TAIL_BYTES:] else None
