"""Heads and tags: small records that name a version, and move by compare-and-set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anyio.to_thread import run_sync

from ..backends import Backend, Body, Entry, Expected, read_whole
from ..errors import ConflictError, MissingError, RecordError, StoreError
from ..records import LIMITS, VERSION_BYTES, Head, Limits, Name, kind_of, parse_record, plain_head, seal_record
from .names import name_of

BATCH = 1000
"""As many small things as are asked for at once."""


@dataclass(frozen=True, slots=True)
class KeptHead:
    """A head as it was found: ``tag`` is what moving it compares with."""

    name: Name
    version: str
    tag: str


async def read_pointer(backend: Backend, key: str, name: Name, limits: Limits = LIMITS) -> KeptHead | None:
    """What is under ``key``, which is to be of this name; ``None`` where there is nothing. Raises ``RecordError`` naming the key."""
    try:
        data, entry = await read_whole(backend, key, most=VERSION_BYTES)
    except MissingError:
        return None
    return parse_pointer(backend, name, data, entry, limits)


async def read_pointers(backend: Backend, keys: Iterable[str], limits: Limits = LIMITS) -> list[KeptHead]:
    """What is under these keys of heads or of tags, those left out that there are not, in order. Raises as ``read_pointer`` does."""
    wanted, found = sorted(set(keys)), list[KeptHead]()
    for begin in range(0, len(wanted), BATCH):
        read = await backend.read_many(wanted[begin : begin + BATCH], most=VERSION_BYTES)
        found += await run_sync(_parsed, backend, read, limits)
    return found


def _parsed(backend: Backend, read: Mapping[str, tuple[bytes, Entry]], limits: Limits) -> list[KeptHead]:
    return [parse_pointer(backend, name_of(key), data, entry, limits) for key, (data, entry) in sorted(read.items())]


async def write_pointer(backend: Backend, key: str, name: Name, version: str, before: KeptHead | None, what: str) -> KeptHead:
    """Makes ``version`` what is under ``key``, if ``before`` still is (``None``: if there is nothing). Raises ``ConflictError``."""
    if before is not None and before.name != name:
        raise StoreError(f"{backend.name}: expected {what} {name}, got {before.name}")
    data = await run_sync(lambda: b"".join(seal_record(Head(name, version)).chunks()))
    try:
        tag = await backend.write(key, Body.of(data), expected=Expected.NOTHING if before is None else before.tag)
    except ConflictError as error:
        found = "there is one already" if before is None else "it has moved or gone meanwhile"
        raise ConflictError(f"{backend.name}: {what} {name}: somebody else was first: {found}") from error
    return KeptHead(name, version, tag)


def parse_pointer(backend: Backend, name: Name, data: bytes, entry: Entry, limits: Limits) -> KeptHead:
    """What was read of a head or a tag. Raises ``RecordError`` naming the key where it is damaged, or is another's."""
    if (version := plain_head(name, data)) is not None:
        return KeptHead(name, version, entry.tag)
    where = f"{backend.name}: {entry.key}"
    try:
        head = parse_record(data, limits)[0]
    except RecordError as error:
        raise error.of(where) from None
    if not isinstance(head, Head):
        raise RecordError("kind", "'head'", repr(kind_of(head)), where)
    if head.name != name:
        raise RecordError("name", str(name), str(head.name), where)
    return KeptHead(name, head.version, entry.tag)
