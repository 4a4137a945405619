"""A store in one file: what goes out comes in elsewhere, nobody's head is lost, and a hostile file is refused before it is used."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import struct
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tailor.persistence import (
    BackendError,
    Body,
    ConflictError,
    DeltaSnapshot,
    FullSnapshot,
    Head,
    KeptHead,
    MemoryBackend,
    Metadata,
    MissingError,
    Name,
    Policy,
    RecordError,
    RecordVersionError,
    Store,
    Version,
    export_archive,
    import_archive,
    prune_store,
    replace_snapshot,
    tag_version,
    tags_of,
)
from tailor.persistence.records import seal_record
from tailor.persistence.store import exporting, head_key, object_key, pruned_key, tag_key
from tailor.persistence.store.archive import ArchiveContents, read_archive

from .stores import ANN, BASE, BEGIN, BOB, DAY, Clock, add, check_whole, copied, days, delta, keys, version

pytestmark = pytest.mark.anyio


async def example() -> Store:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    anns = await days(store, clock, ANN, 4)
    await days(store, clock, BOB, 2)
    head = await store.head(BOB)
    await store.commit(BOB, version(clock.now, head.version), FullSnapshot(Metadata(BEGIN), bytes(100_000)), head)
    await tag_version(store, ANN, "second", anns[1])
    clock.now += 9 * DAY
    await prune_store(store, Policy(last=2), clock.now)
    await replace_snapshot(store, (await store.version(anns[3])).snapshot, delta(99))
    return store


def parts_by_the_format(data: bytes) -> list[tuple[str, bytes]]:
    """An archive read by what FORMAT.md says, and nothing else."""
    assert data[:13] == b"\x89tlrarch\r\n\x1a\n\x01"
    at, found = 13, []
    while length := struct.unpack_from("<H", data, at)[0]:
        key = data[at + 2 : at + 2 + length].decode("ascii")
        (size,) = struct.unpack_from("<Q", data, at + 2 + length)
        at += 10 + length
        found.append((key, data[at : at + size]))
        at += size
    assert struct.unpack_from("<Q", data, at + 2)[0] == len(found)
    assert data[at + 10 :] == hashlib.sha256(data[: at + 10]).digest()
    return found


def archive(parts: list[tuple[str, bytes]]) -> bytes:
    """An archive written by what FORMAT.md says."""
    data = b"\x89tlrarch\r\n\x1a\n\x01"
    for key, content in parts:
        data += struct.pack("<H", len(key)) + key.encode() + struct.pack("<Q", len(content)) + content
    data += struct.pack("<HQ", 0, len(parts))
    return data + hashlib.sha256(data).digest()


async def test_what_goes_out_comes_in_elsewhere(tmp_path: Path) -> None:
    store, path = await example(), tmp_path / "all"
    told: list[tuple[int, int]] = []
    out = await export_archive(store, path, progress=lambda done, total: told.append((done, total)))
    data = path.read_bytes()
    parts = parts_by_the_format(data)
    assert (out.heads, out.tags, out.bytes) == (2, 1, len(data))
    assert out.objects == sum(key.startswith("objects/") for key, _ in parts)
    assert told[-1] == (7, 7)
    assert path.stat().st_mode & 0o077 == 0
    assert dict(parts).keys() == await keys(store.backend) | {entry.key for entry in await store.backend.list("replaced/")}
    there = Store(MemoryBackend())
    told.clear()
    report = await import_archive(there, path, progress=lambda done, total: told.append((done, total)))
    assert (report.objects, len(report.created), len(report.tags)) == (out.objects, 2, 1)
    assert told[-1][1] == 2 * len(data) >= told[-1][0]
    assert await keys(there.backend) == await keys(store.backend)
    assert [(head.name, head.version) for head in await there.heads()] == [(head.name, head.version) for head in await store.heads()]
    assert [(tag.name, tag.version) for tag in await tags_of(there)] == [(tag.name, tag.version) for tag in await tags_of(store)]
    assert (await check_whole(there)).unreferenced == ()
    await export_archive(there, path)
    assert path.read_bytes() == data, "equal content gives equal bytes"
    again = await import_archive(there, path)
    assert (again.objects, len(again.unchanged), again.tags, again.other_tags) == (0, 2, (), ())
    assert os.listdir(tmp_path) == ["all"]


async def test_only_some_names(tmp_path: Path) -> None:
    store, path = await example(), tmp_path / "bob"
    assert (await export_archive(store, path, [BOB])).tags == 0
    there = Store(MemoryBackend())
    await import_archive(there, path)
    assert [head.name for head in await there.heads()] == [BOB]
    assert len(await there.backend.list("objects/")) == 6
    with pytest.raises(MissingError, match="expected the head of m/eve/main"):
        await export_archive(store, tmp_path / "eve", [BOB, Name("m", "eve")])
    with pytest.raises(BackendError, match="nowhere"):
        await export_archive(store, tmp_path / "nowhere" / "all")
    with pytest.raises(BackendError, match="eve"):
        await import_archive(store, tmp_path / "eve")


async def test_what_is_damaged_here_does_not_go_out(tmp_path: Path) -> None:
    store = await example()
    path = tmp_path / "all"
    path.write_bytes(b"what was there")
    for place in (
        object_key((await store.version((await store.heads())[1].version)).snapshot),
        object_key((await store.heads())[0].version),
    ):
        there = copied(store.backend)
        whole = (await there.read_many([place], most=2**20))[place][0]
        await there.write(place, Body.of(whole[:-1] + b"?"))
        with pytest.raises(RecordError, match=place):
            await export_archive(Store(there), path)
        assert path.read_bytes() == b"what was there"
        assert os.listdir(tmp_path) == ["all"]


async def test_cancelled_it_leaves_no_debris_and_a_whole_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, there = await example(), Store(MemoryBackend())
    monkeypatch.setattr(exporting, "BATCH", 2)
    with anyio.CancelScope() as scope:
        await export_archive(store, tmp_path / "all", progress=lambda *_: scope.cancel())
    assert scope.cancelled_caught
    assert os.listdir(tmp_path) == []
    await export_archive(store, tmp_path / "all")
    for stop in range(1, 30):
        told = itertools.count(1)
        with anyio.CancelScope() as scope:
            await import_archive(there, tmp_path / "all", progress=lambda *_, told=told, stop=stop: next(told) == stop and scope.cancel())
        await check_whole(there)
        if not scope.cancelled_caught:
            break
        assert await there.heads() == []
    assert [head.version for head in await there.heads()] == [head.version for head in await store.heads()]


async def test_heads_move_forward_only(tmp_path: Path) -> None:
    ours = await example()
    path, older = tmp_path / "all", tmp_path / "older"
    await export_archive(ours, older)
    theirs = Store(copied(ours.backend))
    await add(ours, ANN, 50, BEGIN + 90 * DAY)
    bobs = await add(ours, BOB, 51, BEGIN + 90 * DAY)
    mine = await add(theirs, ANN, 60, BEGIN + 91 * DAY)
    eve = await add(ours, Name("m", "eve"), 1)
    await tag_version(ours, ANN, "new", eve.version)
    await tag_version(theirs, ANN, "new", mine.version)
    await export_archive(ours, path)
    report = await import_archive(theirs, path)
    assert [head.name.user for head in report.created] == ["eve"]
    assert report.moved == (Head(BOB, bobs.version),)
    assert [head.name for head in report.diverged] == [ANN]
    assert [tag.name.branch for tag in report.other_tags] == ["new"]
    assert await theirs.head(ANN) == mine
    assert len(await theirs.history(report.diverged[0].version)) == 5, "whoever knows how can merge"
    report = await import_archive(theirs, older)
    assert (len(report.unchanged), report.created, report.moved, len(report.diverged)) == (2, (), (), 0)
    await check_whole(theirs)


async def test_what_was_replaced_for_good_does_not_come_back(tmp_path: Path) -> None:
    store = await example()
    await export_archive(store, tmp_path / "all")
    first = (await store.version((await store.heads())[0].version)).snapshot
    old = await store.resolved(first)
    new = await replace_snapshot(store, old, delta(77))
    await import_archive(store, tmp_path / "all")
    assert not await store.has(old)
    assert await store.resolved(first) == new
    await check_whole(store)


async def test_what_was_pruned_here_does_not_come_back(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    versions = await days(store, clock, ANN, 3)
    await export_archive(store, tmp_path / "all")
    clock.now += 9 * DAY
    await prune_store(store, Policy(last=1), clock.now)
    there = await keys(store.backend)
    assert pruned_key(versions[0]) in there
    await import_archive(store, tmp_path / "all")
    assert await keys(store.backend) == there
    await check_whole(store)


async def test_a_head_that_moves_in_the_same_moment_is_a_conflict(tmp_path: Path) -> None:
    store = await example()
    there = Store(copied(store.backend))
    await add(store, ANN, 50)
    await export_archive(store, tmp_path / "all", [ANN])
    heads = there.heads

    async def late(names: list[Name]) -> list[KeptHead]:
        found = await heads(names)
        await add(there, ANN, 51)
        return found

    there.heads = late
    with pytest.raises(ConflictError):
        await import_archive(there, tmp_path / "all")
    there.heads = heads
    assert len((await import_archive(there, tmp_path / "all")).diverged) == 1
    await check_whole(there)


def sealed(record: DeltaSnapshot | FullSnapshot | Version | Head) -> tuple[str, bytes]:
    done = seal_record(record)
    return object_key(done.hash), b"".join(done.chunks())


BASE_PART, DELTA_PART = sealed(BASE), sealed(delta(1))
BASE_HASH, DELTA_HASH = BASE_PART[0][-64:], DELTA_PART[0][-64:]
VERSION_PART = sealed(Version(Metadata(BEGIN), DELTA_HASH, (), BASE_HASH))
VERSION_HASH = VERSION_PART[0][-64:]
HEAD_PART = (head_key(ANN), sealed(Head(ANN, VERSION_HASH))[1])
GOOD = [BASE_PART, DELTA_PART, VERSION_PART, HEAD_PART]


def spoiled(part: tuple[str, bytes]) -> tuple[str, bytes]:
    return part[0], part[1][:-40] + b"?" + part[1][-39:]


HOSTILE: list[tuple[str, list[tuple[str, bytes]], str]] = [
    ("version first", [VERSION_PART, *GOOD], "snapshot: expected a snapshot that is in the archive before it"),
    ("no snapshot", [BASE_PART, VERSION_PART], "snapshot: expected"),
    ("no base", [DELTA_PART, VERSION_PART], "base: expected a full snapshot"),
    ("a base that is a delta", [DELTA_PART, sealed(Version(Metadata(BEGIN), DELTA_HASH, (), DELTA_HASH))], "base: expected"),
    ("a delta without a base", [DELTA_PART, sealed(Version(Metadata(BEGIN), DELTA_HASH))], "base: expected"),
    ("no parent", [BASE_PART, sealed(Version(Metadata(BEGIN), BASE_HASH, ("1" * 64,)))], r"parents\[0\]: expected a version"),
    ("a parent that is a snapshot", [BASE_PART, sealed(Version(Metadata(BEGIN), BASE_HASH, (BASE_HASH,)))], r"parents\[0\]"),
    ("no version", [HEAD_PART], "version: expected a version that is in the archive before it"),
    ("another's head", [*GOOD[:3], (head_key(BOB), HEAD_PART[1])], "record: expected the head of m/bob/main"),
    ("a tag that is a branch", [*GOOD[:3], (tag_key(ANN, "x"), HEAD_PART[1])], "record: expected the head of m/ann/x"),
    ("a head in the middle", [*GOOD, sealed(delta(2))], "heads and tags last"),
    ("twice", [BASE_PART, BASE_PART], "keys that differ"),
    ("another's key", [(DELTA_PART[0], BASE_PART[1])], "hash: expected"),
    ("a damaged object", [spoiled(BASE_PART)], "SHA-256"),
    ("a head as an object", [sealed(Head(ANN, VERSION_HASH))], "kind: expected a snapshot or a version"),
    ("a path", [("../../etc/passwd", b"")], "key: expected objects/"),
    ("a path in heads", [("heads/../../x", b"")], "the key of a head or a tag"),
    ("a strange object", [("objects/00/" + "1" * 64, b"")], "key: expected objects/, two digits"),
    ("a mark with content", [(pruned_key("1" * 64), b"1")], "size: expected at most 0 bytes"),
    ("a strange mark", [("pruned/1", b"")], "a mark under a hash"),
    ("a replacement that is none", [("replaced/" + "1" * 64, HEAD_PART[1])], "what a snapshot was replaced by"),
    ("a huge head", [*GOOD[:3], (head_key(ANN), bytes(2**20 + 1))], "size: expected at most 1048576 bytes"),
    ("a key that is no text", [("objects/\xff", b"")], "key"),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "expected"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
async def test_a_hostile_archive_is_refused_and_nothing_written(parts: list[tuple[str, bytes]], expected: str, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive(parts))
    store = Store(MemoryBackend())
    with pytest.raises(RecordError, match=expected) as raised:
        await import_archive(store, path)
    assert raised.value.source == str(path)
    assert await keys(store.backend) == set()


LENGTHS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda data: b"", "magic .*truncated"),
    ("something else", lambda data: b"PK" + data[2:], "magic: expected a tailor archive"),
    ("a later layout", lambda data: data[:12] + b"\2" + data[13:], "layout: expected version 1, got version 2"),
    ("a long key", lambda data: data[:13] + b"\xff\xff" + data[15:], "at most 900 bytes, got 65535"),
    ("2^63 bytes", lambda data: data[: 15 + len(BASE_PART[0])] + struct.pack("<Q", 2**63), f"expected {2**63} bytes more"),
    ("cut", lambda data: data[:-1], "truncated"),
    ("cut in an object", lambda data: data[:200], "truncated"),
    ("longer", lambda data: data + b"\0", "too long"),
    ("count", lambda data: data[:-40] + b"\7" + data[-39:], "count: expected 4 entries"),
    ("SHA-256", lambda data: data[:-1] + bytes((data[-1] ^ 1,)), "SHA-256: .*damaged"),
]


@pytest.mark.parametrize(("spoil", "expected"), [row[1:] for row in LENGTHS], ids=[row[0] for row in LENGTHS])
async def test_a_damaged_archive_is_refused_with_what_and_where(spoil: Callable[[bytes], bytes], expected: str, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(spoil(archive(GOOD)))
    store = Store(MemoryBackend())
    with pytest.raises(RecordError, match=expected) as raised:
        await import_archive(store, path)
    assert isinstance(raised.value, RecordVersionError) == ("layout" in expected)
    assert await keys(store.backend) == set()


async def test_an_archive_that_was_written_by_the_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive(GOOD))
    store = Store(MemoryBackend())
    report = await import_archive(store, path)
    assert report.created == (Head(ANN, VERSION_HASH),)
    await check_whole(store)


def test_any_byte_that_is_changed_is_refused_or_means_something_whoever_made_it() -> None:
    data = archive(GOOD)
    outcomes = set()
    for place in range(len(data) - 32):
        spoiled = data[:place] + bytes((data[place] ^ 0x15,)) + data[place + 1 :]
        with pytest.raises(RecordError):
            read(spoiled)
        spoiled = spoiled[:-32] + hashlib.sha256(spoiled[:-32]).digest()  # by somebody who knows how
        try:
            outcomes.add(len(read(spoiled).entries))
        except RecordError:
            outcomes.add(0)
    assert outcomes == {0}, "objects and heads have hashes of their own, and keys that say them"


def read(data: bytes) -> ArchiveContents:
    return read_archive(io.BytesIO(data), "a", len(data), progress=lambda done: None)
