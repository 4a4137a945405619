"""Verifying: every kind of damage is told, with its key; nothing is missed, and nothing is told that is none."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest

from tailor.persistence import (
    BackendError,
    Body,
    Chunk,
    DeltaSnapshot,
    Entry,
    FullSnapshot,
    Head,
    MemoryBackend,
    Metadata,
    RecordError,
    SetValue,
    Store,
    Version,
    prune_store,
    tag_version,
    verify_store,
)
from tailor.persistence.backends import read_whole
from tailor.persistence.records import RecordCheck, check_record, seal_record
from tailor.persistence.store import head_key, object_key, pruned_key, tag_key

from .stores import ANN, BASE, BEGIN, BOB, DAY, MODEL, Clock, add, check_whole, days, delta, version

pytestmark = pytest.mark.anyio


async def example(backend: MemoryBackend) -> Store:
    store = Store(backend)
    for number, name in enumerate((ANN, ANN, BOB)):
        await add(store, name, number)
    head = await store.head(ANN)
    assert head is not None
    await tag_version(store, ANN, "v1", head.version)
    return store


async def test_a_whole_store_has_no_problems() -> None:
    store = await example(MemoryBackend())
    left = await store.put(delta(99))
    entries = await store.backend.list("objects/")
    told: list[tuple[int, int]] = []
    report = await verify_store(store, progress=lambda done, total: told.append((done, total)))
    size = sum(entry.size for entry in entries)
    assert (report.objects, report.bytes, report.heads, report.tags) == (8, size, 2, 1)
    assert (report.whole, report.problems, report.unreferenced) == (True, (), (left,))
    assert told[-1] == (size, size)
    empty = await verify_store(Store(MemoryBackend()))
    assert (empty.objects, empty.whole) == (0, True)


Harm = Callable[[Store], Awaitable[tuple[str, str]]]


async def flipped(store: Store) -> tuple[str, str]:
    key = object_key((await store.versions([await newest(store)]))[0][0].snapshot)
    data = bytearray((await read_whole(store.backend, key, most=2**20))[0])
    data[-50] ^= 1
    await store.backend.write(key, Body.of(bytes(data)))
    return key, "SHA-256: expected"


async def cut(store: Store) -> tuple[str, str]:
    key = object_key(await newest(store))
    data, _ = await read_whole(store.backend, key, most=2**20)
    await store.backend.write(key, Body.of(data[:-1]))
    return key, "truncated"


async def moved(store: Store) -> tuple[str, str]:
    data, _ = await read_whole(store.backend, object_key(await newest(store)), most=2**20)
    await store.backend.write(object_key("0" * 64), Body.of(data))
    return object_key("0" * 64), "an object under its hash"


async def other_kind(store: Store) -> tuple[str, str]:
    data, _ = await read_whole(store.backend, head_key(ANN), most=2**20)
    key = object_key(data[-32:].hex())
    await store.backend.write(key, Body.of(data))
    return key, "expected a snapshot or a version, got 'head'"


async def no_record(store: Store) -> tuple[str, str]:
    await store.backend.write("objects/stray", Body.of(b"hello"))
    return "objects/stray", "magic: expected a tailor record"


async def lost_parent(store: Store) -> tuple[str, str]:
    parent = (await store.version(await newest(store))).parents[0]
    await store.backend.remove(object_key(parent))
    return object_key(parent), f"expected a version, to which version {await newest(store)} refers, got nothing of this name"


async def lost_snapshot(store: Store) -> tuple[str, str]:
    snapshot = (await store.version(await newest(store))).snapshot
    await store.backend.remove(object_key(snapshot))
    return object_key(snapshot), "expected a snapshot, to which version"


async def lost_base(store: Store) -> tuple[str, str]:
    base = (await store.version(await newest(store))).base or ""
    await store.backend.remove(object_key(base))
    return object_key(base), "expected a base, to which version"


async def bad_head(store: Store) -> tuple[str, str]:
    await store.backend.write(head_key(BOB), Body.of(b"?"))
    return head_key(BOB), "magic"


async def strange_head(store: Store) -> tuple[str, str]:
    await store.backend.write("heads/stray", Body.of(b"?"))
    return "heads/stray", "expected heads/MODEL/USER/BRANCH"


async def bad_tag(store: Store) -> tuple[str, str]:
    data, _ = await read_whole(store.backend, head_key(ANN), most=2**20)
    await store.backend.write(tag_key(ANN, "v1"), Body.of(data))
    return tag_key(ANN, "v1"), "name: expected m/ann/v1, got m/ann/main"


async def huge_head(store: Store) -> tuple[str, str]:
    await store.backend.write(head_key(BOB), Body.of(bytes(2**20 + 1)))
    return head_key(BOB), "expected at most 1048576 bytes"


async def lost_head_version(store: Store) -> tuple[str, str]:
    await store.backend.write(head_key(BOB), Body.of(_head("1" * 64)))
    return object_key("1" * 64), "expected a version, to which the head or tag m/bob/main refers, got nothing"


async def head_of_a_snapshot(store: Store) -> tuple[str, str]:
    snapshot = (await store.version(await newest(store))).snapshot
    await store.backend.write(head_key(BOB), Body.of(_head(snapshot)))
    return object_key(snapshot), "expected a version, to which the head or tag m/bob/main refers, got 'delta'"


async def delta_without_a_base(store: Store) -> tuple[str, str]:
    digest = await store.put(Version(Metadata(BEGIN), await store.put(delta(5))))
    await store.move(BOB, digest, await store.head(BOB))
    return object_key(digest), "expected the hash of a base"


async def strange_mark(store: Store) -> tuple[str, str]:
    await store.backend.write("pruned/1", Body.of(b""))
    return "pruned/1", "expected a mark under a version's hash"


async def bad_replacement(store: Store) -> tuple[str, str]:
    await store.backend.write("replaced/" + "1" * 64, Body.of(b"?"))
    return "replaced/" + "1" * 64, "magic"


def _head(digest: str) -> bytes:
    return b"".join(seal_record(Head(BOB, digest)).chunks())


async def newest(store: Store) -> str:
    head = await store.head(ANN)
    assert head is not None
    return head.version


HARMS: list[Harm] = [
    flipped, cut, moved, other_kind, no_record, lost_parent, lost_snapshot, lost_base, bad_head, strange_head, bad_tag, huge_head,
    lost_head_version, head_of_a_snapshot, delta_without_a_base, strange_mark, bad_replacement,
]  # fmt: skip


@pytest.mark.parametrize("harm", HARMS, ids=[harm.__name__ for harm in HARMS])
async def test_each_kind_of_damage_is_told_and_where(harm: Harm) -> None:
    store = await example(MemoryBackend())
    key, what = await harm(store)
    report = await verify_store(store)
    assert not report.whole
    assert any(problem.key == key and what in problem.what for problem in report.problems), report.problems
    assert all(str(problem) == f"{problem.key}: {problem.what}" for problem in report.problems)


async def test_one_damage_hides_no_other() -> None:
    store = await example(MemoryBackend())
    await add(store, BOB, 7)
    expected = {(await harm(store))[0] for harm in (no_record, strange_mark, bad_tag, moved, lost_parent, lost_base)}
    assert {problem.key for problem in (await verify_store(store)).problems} == expected


async def test_a_pruned_snapshot_is_no_problem_while_it_is_marked() -> None:
    clock = Clock()
    store = Store(MemoryBackend(clock=clock))
    versions = await days(store, clock, ANN, 2)
    snapshot = (await store.version(versions[0])).snapshot
    await store.backend.remove(object_key(snapshot))
    assert [problem.key for problem in (await verify_store(store)).problems] == [object_key(snapshot)]
    await store.backend.write(pruned_key(versions[0]), Body.of(b""))
    await check_whole(store)
    clock.now += 9 * DAY
    await prune_store(store, None, clock.now)
    await check_whole(store)


async def test_a_delta_against_another_model_than_its_versions_base_is_told_to_whoever_knows_models() -> None:
    store = await example(MemoryBackend())
    asked: list[bytes] = []

    def right(base: FullSnapshot) -> str:
        asked.append(bytes(base.whole))
        return MODEL

    assert (await verify_store(store, base_hash=right)).whole
    assert asked == [BASE.whole], "once, however many versions there are"
    report = await verify_store(store, base_hash=lambda base: "4" * 64)
    assert len(report.problems) == 3
    assert all(f"whose model's hash is {'4' * 64}, got one against {MODEL}" in problem.what for problem in report.problems)


class Ill(MemoryBackend):
    """Fails to read some things: a disk with bad places, or one that is gone."""

    bad: tuple[str, ...] = ()

    async def read(self, key: str, sink: Callable[[Chunk], object], *, most: int | None = None) -> Entry:
        if key.startswith(self.bad):
            raise BackendError(f"{self.name}: {key}: cannot be read")
        return await super().read(key, sink, most=most)

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        if any(key.startswith(self.bad) for key in keys):
            raise BackendError(f"{self.name}: cannot be read")
        return await super().read_many(keys, most=most)


async def test_what_cannot_be_read_is_a_problem_and_a_backend_that_is_gone_an_error() -> None:
    backend = Ill()
    store = await example(backend)
    for number in range(20):
        await add(store, BOB, 50 + number)
    bad = object_key((await store.version(await newest(store))).snapshot)
    backend.bad = (bad,)
    report = await verify_store(store)
    assert {problem.key for problem in report.problems} == {bad}
    assert any("cannot be read" in problem.what for problem in report.problems)
    backend.bad = ("objects/",)
    with pytest.raises(BackendError, match="cannot be read"):
        await verify_store(store)


def large(compressible: bool) -> DeltaSnapshot:
    generator = np.random.default_rng(1)
    pattern = np.arange(400_000, dtype=np.float32) if compressible else generator.normal(size=400_000).astype(np.float32)
    return DeltaSnapshot(Metadata(BEGIN, "m"), MODEL, {"w": SetValue(pattern)})


@pytest.mark.parametrize(
    "record", [BASE, delta(1), version(), large(True), large(False)], ids=["full", "delta", "version", "large", "noise"]
)
@pytest.mark.parametrize("compress", [False, True])
def test_checking_in_pieces_says_what_checking_the_whole_says(record: FullSnapshot | DeltaSnapshot | Version, compress: bool) -> None:
    sealed = seal_record(record, compress=compress)
    data = b"".join(sealed.chunks())
    whole = check_record(data)
    assert whole.hash == sealed.hash == hashlib.sha256(b"".join(seal_record(record).chunks())[20:-32]).hexdigest()
    assert (whole.version is not None) == isinstance(record, Version)
    assert whole.model == (MODEL if isinstance(record, DeltaSnapshot) else None)
    for step in (1, 7, 100) if len(data) < 10_000 else (65_536, 1_000_003):
        check = RecordCheck(len(data))
        for start in range(0, len(data), step):
            check.update(data[start : start + step])
        assert check.finish() == whole if not isinstance(record, Version) else check.finish().hash == whole.hash


@pytest.mark.parametrize("compress", [False, True])
def test_any_byte_that_is_changed_lost_or_added_is_found(compress: bool) -> None:
    sealed = seal_record(FullSnapshot(Metadata(BEGIN), b"abc" * 2000), compress=compress)
    data = b"".join(sealed.chunks())
    step = 1 if compress else 41
    for place in range(0, len(data), step):
        spoiled = data[:place] + bytes((data[place] ^ 0x41,)) + data[place + 1 :]
        with pytest.raises(RecordError):
            check_record(spoiled)
        with pytest.raises(RecordError):
            check_record(data[:place])
    for more in (data + b"\0", data[:-64] + b"\0" + data[-64:]):
        with pytest.raises(RecordError):
            check_record(more)
