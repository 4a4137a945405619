"""Stores with a past, and what must hold of every store at every moment, for tests of syncs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from tailor.persistence import Backend, DeltaSnapshot, FullSnapshot, Head, Metadata, Name, SetValue, Store, Version
from tailor.persistence.records import parse_record

BASE_MODEL = "0" * 64
METADATA = Metadata(datetime(2026, 1, 2, tzinfo=UTC))
NAME = Name("drawing", "ada")


def names(count: int) -> list[Name]:
    return [Name("drawing", f"user-{number:05}") for number in range(count)]


def base(text: str = "the model") -> FullSnapshot:
    return FullSnapshot(METADATA, text.encode())


def delta(number: float) -> DeltaSnapshot:
    return DeltaSnapshot(METADATA, BASE_MODEL, {"w": SetValue(np.array([number], np.float32))})


async def grown(store: Store, numbers: Iterable[float], name: Name = NAME) -> list[str]:
    """Commits a version for each number, one after the other; their hashes."""
    made = []
    for number in numbers:
        before = await store.head(name)
        parents = (before.version,) if before else ()
        digest, _ = await store.commit(name, Version(METADATA, "0" * 64, parents), delta(number), before, base())
        made.append(digest)
    return made


async def merged(store: Store, sides: Sequence[str], number: float, name: Name = NAME) -> str:
    """Commits a version that was made of others, which are there; it depends on nothing but them and the number."""
    first = await store.version(sides[0])
    version = Version(METADATA, "0" * 64, tuple(sorted(sides)), first.base)
    digest, _ = await store.commit(name, version, delta(number), await store.head(name))
    return digest


async def heads_of(store: Store) -> dict[Name, str]:
    return {head.name: head.version for head in await store.heads()}


async def objects_of(store: Store) -> set[str]:
    """The hashes of all objects that a store has."""
    return {entry.key[-64:] for entry in await store.backend.list("objects/")}


async def check_whole(backend: Backend) -> None:
    """Every object is undamaged and under its own hash, and whatever anything refers to is there, or marked as taken away."""
    found: dict[str, bytes] = {}
    for prefix in ("objects/", "heads/", "pruned/", "replaced/"):
        keys = [entry.key for entry in await backend.list(prefix)]
        found |= {key: data for key, (data, _) in (await backend.read_many(keys, most=2**30)).items()}
    for key, data in found.items():
        if not key.startswith(("objects/", "heads/")):
            continue
        record, digest = parse_record(data)
        needed: list[tuple[str, ...]] = []
        if isinstance(record, Head):
            needed = [(stored(record.version),)]
        else:
            assert key == stored(digest)
        if isinstance(record, Version):
            needed = [(stored(parent),) for parent in record.parents]
            needed += [(stored(record.snapshot), f"pruned/{digest}", f"replaced/{record.snapshot}")]
            needed += [(stored(record.base),)] if record.base is not None else []
        assert [any_of for any_of in needed if not set(any_of) & found.keys()] == [], key


def stored(digest: str) -> str:
    """The key of an object, as FORMAT.md has it."""
    return f"objects/{digest[:2]}/{digest}"
