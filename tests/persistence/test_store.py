"""A store: records by their hash, versions, heads and tags that move by compare-and-set, going back."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import anyio
import pytest

from tailor.persistence import (
    Body,
    ConflictError,
    FullSnapshot,
    KeptHead,
    Limits,
    MemoryBackend,
    Metadata,
    MissingError,
    Name,
    RecordError,
    Store,
    StoreError,
    Version,
    common_ancestors,
    copy_object,
    remove_tag,
    rollback,
    snapshot_bytes,
    tag_version,
    tags_of,
)
from tailor.persistence.backends import read_whole
from tailor.persistence.store import head_key, name_of, object_key, pruned_key, quoted, tag_key, unquoted
from tailor.persistence.store import store as store_module
from tailor.persistence.store.history import Links, children_first

from .stores import ANN, BASE, BEGIN, BOB, DAY, Clock, add, check_whole, days, delta, version

pytestmark = pytest.mark.anyio


def test_a_key_stands_for_one_text_and_has_harmless_characters() -> None:
    texts = ["", "=", "a", "A", "a b", "../..", "con", "CON", "com1", "ä", "日本", "a=61", "x" * 200, "user@example.com"]
    found = [quoted(text) for text in texts]
    assert [unquoted(key) for key in found] == texts
    assert len(set(map(str.lower, found))) == len(texts)
    assert not set("".join(found)) - set("abcdefghijklmnopqrstuvwxyz0123456789_-=")
    assert not {"con", "com1"} & set(found)


@pytest.mark.parametrize("key", ["A", "a b", "=6", "=zz", "=61", "=ff", "", "con", "ä", "a=3d="])
def test_what_no_text_is_quoted_as_is_refused(key: str) -> None:
    with pytest.raises(StoreError, match="quoted name"):
        unquoted(key)


@pytest.mark.parametrize("key", ["heads/m/u", "heads/m/u/b/c", "objects/m/u/b", "heads/m/u/=", "heads/=/u/b", "m"])
def test_what_is_no_heads_key_is_refused(key: str) -> None:
    with pytest.raises(StoreError, match="key"):
        name_of(key)


def test_names_and_keys_belong_together() -> None:
    name = Name("Sticker Model", "", "two/three")
    assert name_of(head_key(name)) == name
    assert name_of(tag_key(name, "v 1")) == replace(name, branch="v 1")
    with pytest.raises(StoreError, match="shorter"):
        head_key(Name("日" * 60))


async def test_an_object_is_under_the_sha256_of_its_payload() -> None:
    store = Store(MemoryBackend())
    digest = await store.put(BASE)
    assert digest == hashlib.sha256(snapshot_bytes(BASE)[20:-32]).hexdigest()
    found = await store.snapshot(digest)
    assert isinstance(found, FullSnapshot)
    assert bytes(found.whole) == BASE.whole
    assert await store.has(digest)
    assert not await store.has("0" * 64)


async def test_compressed_or_not_an_object_has_one_hash() -> None:
    plain, small = Store(MemoryBackend()), Store(MemoryBackend(), compress=True)
    digest = await plain.put(BASE)
    assert await small.put(BASE) == digest
    sizes = [entry.size if (entry := await store.backend.look(object_key(digest))) else 0 for store in (plain, small)]
    assert 0 < sizes[1] < sizes[0]
    assert bytes((await small.get(digest)).whole) == BASE.whole


async def test_what_is_damaged_missing_or_something_else_is_told_with_its_key() -> None:
    backend = MemoryBackend()
    store = Store(backend)
    head = await add(store, ANN, 1)
    snapshot = (await store.version(head.version)).snapshot
    for wrong in (store.version(snapshot), store.snapshot(head.version), store.versions([snapshot])):
        with pytest.raises(RecordError, match=r"memory:: objects/.*: kind: expected"):
            await wrong
    for missing in (store.version("0" * 64), store.versions([head.version, "0" * 64]), store.history("0" * 64)):
        with pytest.raises(MissingError, match="objects/00/0000"):
            await missing
    data = snapshot_bytes(BASE)
    await backend.write(object_key("0" * 64), Body.of(data))
    with pytest.raises(RecordError, match=r"objects/00/0+: hash: expected 0+, got"):
        await store.get("0" * 64)
    await backend.write(object_key("0" * 64), Body.of(data[:99] + b"!" + data[100:]))
    with pytest.raises(RecordError, match=r"objects/00/0+: SHA-256: .*damaged"):
        await store.get("0" * 64)
    await backend.write(head_key(BOB), Body.of(data))
    for read in (store.head(BOB), store.heads()):
        with pytest.raises(RecordError, match=r"heads/m/bob/main: kind: expected 'head', got 'full'"):
            await read
    kept, _ = await read_whole(backend, head_key(ANN), most=1000)
    await backend.write(head_key(BOB), Body.of(kept))
    with pytest.raises(RecordError, match="name: expected m/bob/main, got m/ann/main"):
        await store.head(BOB)


async def test_a_version_that_could_not_be_read_again_is_not_written() -> None:
    store = Store(MemoryBackend())
    with pytest.raises(RecordError, match="a version of at most 1048576 bytes"):
        await store.put(version(message="x" * 2**20))
    assert await store.backend.list("objects/") == []


async def test_a_head_moves_only_for_whoever_has_seen_it_last() -> None:
    store = Store(MemoryBackend())
    first = await add(store, ANN, 1)
    second = await add(store, ANN, 2, before=first)
    for before in (first, None):
        with pytest.raises(ConflictError, match="m/ann/main: somebody else was first"):
            await store.move(ANN, first.version, before)
    with pytest.raises(StoreError, match="expected the head of m/bob/main, got m/ann/main"):
        await store.move(BOB, first.version, second)
    with pytest.raises(MissingError, match="expected a version that is here"):
        await store.move(ANN, "0" * 64, second)
    with pytest.raises(StoreError, match="expected the base of a delta, got none"):
        await store.commit(ANN, version(), delta(1), second)
    assert await store.head(ANN) == second
    assert await store.heads() == [second]
    assert await store.head_tags() == {ANN: second.tag}
    assert await store.heads([ANN, ANN, BOB]) == [second]
    assert await store.head(BOB) is None


async def test_a_base_is_written_again_only_where_it_is_old() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    await add(store, ANN, 1)
    base = object_key(hashlib.sha256(snapshot_bytes(BASE)[20:-32]).hexdigest())
    written = await store.backend.look(base)
    await add(store, BOB, 2)
    assert await store.backend.look(base) == written
    clock.now += DAY
    await add(store, BOB, 3)
    again = await store.backend.look(base)
    assert written is not None
    assert again is not None
    assert (again.modified, again.size) == (clock(), written.size)


async def test_a_history_has_each_version_once_and_none_before_one_that_came_of_it() -> None:
    store = Store(MemoryBackend())
    snapshot, base = await store.put(delta(1)), await store.put(BASE)

    async def put(day: int, *parents: str) -> str:
        return await store.put(Version(Metadata(BEGIN + day * DAY), snapshot, parents, base))

    root = await put(9)  # of a device whose clock is wrong
    left, right = await put(1, root), await put(2, root)
    left_2 = await put(3, left)
    both = await put(4, left_2, right)
    again = await put(5, both, right)
    found = [digest for digest, _ in await store.history(again)]
    assert found == [again, both, left_2, right, left, root]
    assert [digest for digest, _ in await store.history(again, most=3)] == [again, both, right]
    assert await store.history(again, most=0) == []
    other = await put(6, left_2)
    assert common_ancestors(await store.history(again), await store.history(other)) == [left_2]
    cross, crossed = await put(7, left, right), await put(8, left, right)
    assert common_ancestors(await store.history(cross), await store.history(crossed)) == [right, left]
    assert common_ancestors(await store.history(left), await store.history(await put(1))) == []


def test_a_long_line_is_put_in_order_without_recursion() -> None:
    line = {str(place): Links("s", None, (str(place + 1),), BEGIN) for place in range(5000)}
    assert children_first(dict(sorted(line.items()))) == [str(place) for place in range(5000)]


async def test_a_history_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(MemoryBackend())
    snapshot, parents = await store.put(BASE), tuple[str, ...]()
    for _ in range(20):
        parents = (await store.put(Version(Metadata(BEGIN), snapshot, parents)),)
    assert len(await store.history(*parents)) == 20
    for limit, expected in (("LONGEST_HISTORY", "at most 19 versions"), ("LARGEST_HISTORY", "19 bytes of them")):
        with monkeypatch.context() as patch, pytest.raises(StoreError, match=expected):
            patch.setattr(store_module, limit, 19)
            await store.history(*parents)


async def test_many_tasks_on_one_head_lose_nothing() -> None:
    store = Store(MemoryBackend())
    conflicts = 0

    async def work(number: int) -> None:
        nonlocal conflicts
        for turn in range(10):
            while True:
                try:
                    await add(store, ANN, 100 * number + turn)
                    break
                except ConflictError:
                    conflicts += 1

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(work, number)
    head = await store.head(ANN)
    assert head is not None
    past = await store.history(head.version)
    assert len(past) == 40
    snapshots = {version.snapshot for _, version in past}
    assert snapshots == {
        hashlib.sha256(snapshot_bytes(delta(100 * task + turn))[20:-32]).hexdigest() for task in range(4) for turn in range(10)
    }
    report = await check_whole(store)
    assert conflicts > 0
    assert len(report.unreferenced) <= conflicts


async def test_tags_name_versions_and_move_by_compare_and_set() -> None:
    store = Store(MemoryBackend())
    first, second = await add(store, ANN, 1), await add(store, ANN, 2)
    tag = await tag_version(store, ANN, "v 1", first.version)
    assert tag == KeptHead(Name("m", "ann", "v 1"), first.version, tag.tag)
    with pytest.raises(ConflictError, match="the tag m/ann/v 1: somebody else was first: there is one already"):
        await tag_version(store, ANN, "v 1", second.version)
    moved = await tag_version(store, ANN, "v 1", second.version, tag)
    with pytest.raises(ConflictError, match="moved or gone"):
        await tag_version(store, ANN, "v 1", first.version, tag)
    with pytest.raises(MissingError):
        await tag_version(store, ANN, "none", "0" * 64)
    with pytest.raises(RecordError, match="tag: expected a printable text"):
        await tag_version(store, ANN, "", first.version)
    other = await tag_version(store, BOB, "v 1", first.version)
    assert await tags_of(store, replace(ANN, branch="another")) == [moved]
    assert await tags_of(store) == [moved, other]
    await remove_tag(store, ANN, "v 1")
    await remove_tag(store, ANN, "v 1")
    assert await tags_of(store) == [other]
    assert [head.name for head in await store.heads()] == [ANN], "tags are no heads"


async def test_going_back_makes_a_new_version_of_an_old_snapshot() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    versions = await days(store, clock, ANN, 3)
    digest, head = await rollback(store, ANN, versions[0], Metadata(BEGIN + 5 * DAY))
    assert await store.head(ANN) == head
    made, old = await store.version(digest), await store.version(versions[0])
    assert (made.snapshot, made.base, made.parents) == (old.snapshot, old.base, (versions[2],))
    for needed in (made.snapshot, made.base):
        assert needed is not None
        entry = await store.backend.look(object_key(needed))
        assert entry is not None
        assert entry.modified == clock(), "written again, so that nobody takes it for a leftover"
    with pytest.raises(ConflictError):
        await rollback(store, ANN, versions[1], Metadata(BEGIN), KeptHead(ANN, versions[2], "?"))
    with pytest.raises(MissingError, match="expected the head of m/bob/main"):
        await rollback(store, BOB, versions[0], Metadata(BEGIN))
    await store.backend.remove(object_key((await store.version(versions[1])).snapshot))
    with pytest.raises(MissingError, match="nothing of this name"):
        await rollback(store, ANN, versions[1], Metadata(BEGIN))
    await store.backend.write(pruned_key(versions[1]), Body.of(b""))
    for again in (rollback(store, ANN, versions[1], Metadata(BEGIN)), tag_version(store, ANN, "x", versions[1])):
        with pytest.raises(MissingError, match="got one whose snapshot was pruned"):
            await again
    assert await store.head(ANN) == head


@pytest.mark.parametrize("size", [10, 9_000_000])
async def test_a_copied_object_is_the_same_and_a_damaged_one_is_not_copied(size: int) -> None:
    source, target = Store(MemoryBackend()), Store(MemoryBackend())
    record = FullSnapshot(Metadata(BEGIN), bytes(size))
    digest = await source.put(record)
    found = await copy_object(source.backend, target.backend, digest)
    assert (found.hash, found.kind) == (digest, "full")
    assert (await target.get(digest)).whole == record.whole
    data = bytearray(snapshot_bytes(record))
    data[100] ^= 1
    await source.backend.write(object_key(digest), Body.of(bytes(data)))
    for limits in (Limits(), Limits(total_bytes=10)):
        with pytest.raises(RecordError, match=f"memory:: objects/{digest[:2]}/{digest}"):
            await copy_object(source.backend, target.backend, digest, limits)
    await source.backend.write(object_key("0" * 64), Body.of(snapshot_bytes(record)))
    with pytest.raises(RecordError, match="hash: expected 0000"):
        await copy_object(source.backend, target.backend, "0" * 64)
    with pytest.raises(MissingError):
        await copy_object(source.backend, target.backend, "1" * 64)
    assert [entry.key for entry in await target.backend.list("objects/")] == [object_key(digest)]
