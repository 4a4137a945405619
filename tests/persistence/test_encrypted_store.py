"""Stores in encrypted places: synced, verified and pruned as others are, and nothing on the disk is anybody else's to read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tailor.persistence import (
    Backend,
    Body,
    DirectoryBackend,
    MemoryBackend,
    SecretKey,
    SQLiteBackend,
    Store,
    add_key,
    create_encrypted,
    open_encrypted,
    rotate_keys,
    write_key_file,
)
from tailor.persistence.store import Policy, export_archive, prune_store, verify_store
from tailor.persistence.sync import SyncOutcome, sync

from .synced import NAME, check_whole, grown, heads_of, names, objects_of

pytestmark = pytest.mark.anyio

KEY = SecretKey(bytes(32))


async def test_a_plain_store_and_an_encrypted_one_are_brought_together(tmp_path: Path) -> None:
    here = Store(MemoryBackend("here"))
    there = Store(await create_encrypted(DirectoryBackend(tmp_path / "there"), KEY))
    for name in names(3):
        await grown(here, (1.0, 2.0), name)
    assert {row.outcome for row in (await sync(here, there)).names} == {SyncOutcome.PUSHED}
    there = Store(await rotate_keys(DirectoryBackend(tmp_path / "there"), KEY))
    await grown(there, (3.0,), NAME)
    await sync(here, there)
    assert await heads_of(here) == await heads_of(there) and await objects_of(here) == await objects_of(there)
    again = Store(await open_encrypted(DirectoryBackend(tmp_path / "there"), KEY))
    await check_whole(again.backend)
    report = await verify_store(again)
    assert report.whole and report.heads == 4
    await prune_store(again, policy=Policy(last=1), now=datetime(2100, 1, 1, tzinfo=UTC))
    assert (await verify_store(again)).whole and await heads_of(again) == await heads_of(here)


@pytest.mark.parametrize("what", ["heads/", "objects/"])
async def test_what_is_damaged_is_found_by_its_name_and_stops_nothing_else(what: str) -> None:
    inner = MemoryBackend()
    store, other = Store(await create_encrypted(inner, KEY)), Store(MemoryBackend("other"))
    for number, name in enumerate(names(3)):
        await grown(store, (float(number),), name)
    report = await verify_store(store)
    head = await store.head(names(3)[1])
    assert report.whole and head is not None
    damaged = f"objects/{head.version[:2]}/{head.version}" if what == "objects/" else f"heads/{NAME.model}/user-00001/main"
    hidden = store.backend._names.hide(damaged)  # type: ignore[attr-defined]
    kept = bytearray(inner._kept[hidden][0])
    kept[70] ^= 1
    await inner.write(hidden, Body.of(bytes(kept)))
    report = await verify_store(store)
    assert [problem.key for problem in report.problems if "segment 0 as it was encrypted" in problem.what] == [damaged]
    rows = (await sync(other, store)).names
    outcomes = [row.outcome for row in rows]
    assert outcomes == [SyncOutcome.PULLED, SyncOutcome.REFUSED, SyncOutcome.PULLED]
    assert damaged in str(rows[1].error) and len(await heads_of(other)) == 2


@pytest.fixture
def without_umask() -> Iterator[None]:
    old = os.umask(0)
    yield
    os.umask(old)


def permissions(top: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Of all files, and of all folders, below ``top``."""
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in top.rglob("*")}
    files, folders = (
        {path.relative_to(top).as_posix(): mode for path, mode in found.items() if path.is_dir() is is_dir} for is_dir in (False, True)
    )
    return files, folders


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits of this kind")
async def test_every_file_is_its_owners_only(tmp_path: Path, without_umask: None) -> None:
    key = write_key_file(tmp_path / "key")
    places: list[Backend] = [DirectoryBackend(tmp_path / "plain"), SQLiteBackend(tmp_path / "store.sqlite")]
    encrypted = DirectoryBackend(tmp_path / "encrypted")
    places.append(await create_encrypted(encrypted, key))
    await add_key(encrypted, key, KEY)
    for number, place in enumerate(places):
        store = Store(place)
        await grown(store, (1.0, 2.0))
        await export_archive(store, tmp_path / f"export-{number}")
    files, folders = permissions(tmp_path)
    for place in places:
        await place.aclose()
    assert len(files) > 20 and {"key", "store.sqlite", "export-2", "encrypted/encryption/keyring"} <= files.keys()
    assert set(files.values()) == {0o600} and set(folders.values()) == {0o700}
