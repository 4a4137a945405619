"""Backends keep what ``Backend`` promises, and the check of that finds out who does not."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

import pytest
from anyio.to_thread import run_sync

from tailor.persistence import Backend, BackendError, Body, DirectoryBackend, Entry, Expected, MemoryBackend, SQLiteBackend, StoreError
from tailor.persistence.backends import check_expected, exact_chunks
from tailor.persistence.testing import Fault, FaultyBackend, Killed, Operation, check_backend

pytestmark = pytest.mark.anyio

Make = Callable[[], AbstractAsyncContextManager[Backend]]


def shared(backend: Backend) -> Make:
    """One backend as the same place in two handles."""

    @asynccontextmanager
    async def handle() -> AsyncIterator[Backend]:
        yield backend

    return handle


BACKENDS: dict[str, Callable[[Path], Make]] = {
    "memory": lambda path: shared(MemoryBackend()),
    "directory": lambda path: lambda: aclosing(DirectoryBackend(path / "new" / "store")),
    "sqlite": lambda path: lambda: aclosing(SQLiteBackend(path / "store.db")),
    "no faults": lambda path: shared(FaultyBackend(MemoryBackend())),
}


@pytest.mark.parametrize("kind", BACKENDS)
async def test_a_backend_keeps_its_promises_and_leaves_no_key(kind: str, tmp_path: Path) -> None:
    make = BACKENDS[kind](tmp_path)
    await check_backend(make)
    async with make() as backend:
        assert await backend.list("conformance/") == []


@pytest.mark.parametrize("path", ["", "a\0b"])
@pytest.mark.parametrize("kind", [DirectoryBackend, SQLiteBackend])
def test_a_path_that_cannot_be_is_refused(kind: type[DirectoryBackend] | type[SQLiteBackend], path: str) -> None:
    with pytest.raises(StoreError, match="path: expected one"):
        kind(path)


class Hasty(MemoryBackend):
    """Asks what is there before it has the body, not after."""

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        check_expected(self.name, key, await self.look(key), expected)
        return await super().write(key, body)


class Careless(MemoryBackend):
    """Never asks what is there."""

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        return await super().write(key, body)


class Partial(MemoryBackend):
    """Keeps what it got of a body that breaks off."""

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        got: list[bytes] = []
        try:
            await run_sync(lambda: got.extend(bytes(chunk) for chunk in body.chunks()))
        except Exception:
            await super().write(key, Body.of(b"".join(got)))
            raise
        return await super().write(key, body, expected=expected)


class Inline(MemoryBackend):
    """Takes the chunks in the event loop."""

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        return await super().write(key, Body.of(b"".join(exact_chunks(key, body))), expected=expected)


class Sized(MemoryBackend):
    """Takes the size for the tag."""

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        await super().write(key, body, expected=expected)
        data, entry = self._kept[key]
        self._kept[key] = data, Entry(key, entry.size, entry.modified, str(entry.size))
        return str(entry.size)


class Unsorted(MemoryBackend):
    async def list(self, prefix: str) -> list[Entry]:
        return (await super().list(prefix))[::-1]


class Spilling(MemoryBackend):
    """Lists what only begins alike."""

    async def list(self, prefix: str) -> list[Entry]:
        return [entry for key, (_, entry) in sorted(self._kept.items()) if key.startswith(prefix[:-1])]


class Insisting(MemoryBackend):
    """Expects all keys to be there."""

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        found = await super().read_many(keys, most=most)
        if len(found) < len(set(keys)):
            raise BackendError("some are missing")
        return found


class Forgetful(MemoryBackend):
    async def remove(self, key: str) -> None:
        del self._kept[key]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # which loop it is makes no difference to these
@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (Hasty, "exactly one happens"),
        (Careless, "with a tag, where nothing is"),
        (Partial, "gives what was written last"),
        (Inline, "takes the chunks in a worker thread"),
        (Sized, "another content has another tag"),
        (Unsorted, "all keys below it in order"),
        (Spilling, "all keys below it in order"),
        (Insisting, "some are missing"),
        (Forgetful, "nothing_is_there_at_first"),
    ],
)
async def test_the_check_finds_a_promise_that_is_broken(broken: type[MemoryBackend], promise: str) -> None:
    with pytest.raises((AssertionError, BackendError, KeyError), match=promise) as caught:
        await check_backend(shared(broken()))
    assert any("while it was checked that" in note for note in caught.value.__notes__)


async def test_the_check_refuses_a_place_that_is_in_use() -> None:
    backend = MemoryBackend()
    await backend.write("mine/a", Body.of(b"kept"))
    with pytest.raises(AssertionError, match="nothing is below mine/"):
        await check_backend(shared(backend), prefix="mine/")
    assert await backend.look("mine/a") is not None


async def work(backend: Backend) -> None:
    """Four operations, the second write on the condition that nobody else has written."""
    await backend.write("a", Body.of(b"1234"))
    entry = await backend.look("a")
    assert entry is not None
    await backend.write("a", Body(6, lambda: (b"5", b"6789", b"0")), expected=entry.tag)
    await backend.remove("b")


@pytest.mark.parametrize(
    ("fault", "raised", "left"),
    [
        (Fault.ERROR, BackendError, [None, b"1234", b"1234", b"567890"]),
        (Fault.LOST, BackendError, [b"1234", b"1234", b"567890", b"567890"]),
        (Fault.TEAR, BackendError, [None, b"1234", b"1234", b"567890"]),
        (Fault.KILL, Killed, [None, b"1234", b"1234", b"567890"]),
    ],
)
async def test_a_fault_comes_at_its_operation(fault: Fault, raised: type[BaseException], left: list[bytes | None]) -> None:
    for number in itertools.count():
        inner = MemoryBackend()
        faulty = FaultyBackend(inner, {number: fault})
        try:
            await work(faulty)
        except raised:
            assert [operation.fault for operation in faulty.log] == [None] * number + [fault]
        found = await inner.read_many(["a"], most=9)
        if not faulty.failed:
            break
        assert (found["a"][0] if found else None) == left[number]
    assert [(operation.method, operation.keys) for operation in faulty.log] == [
        *(("write", ("a",)), ("look", ("a",)), ("write", ("a",)), ("remove", ("b",)))
    ]
    assert found["a"][0] == b"567890"


async def test_a_torn_read_has_given_a_part() -> None:
    inner = MemoryBackend()
    await inner.write("a", Body.of(b"123456"))
    given: list[bytes | memoryview] = []
    with pytest.raises(BackendError, match="torn"):
        await FaultyBackend(inner, {0: Fault.TEAR}).read("a", given.append)
    assert given == [b"123"]


async def test_after_a_kill_nothing_happens_any_more() -> None:
    inner = MemoryBackend()
    faulty = FaultyBackend(inner, {1: Fault.KILL})
    await faulty.write("a", Body.of(b"1"))
    for _ in range(2):
        with pytest.raises(Killed):
            await faulty.remove("a")
    await faulty.aclose()
    assert await inner.look("a") is not None
    assert faulty.log == [Operation("write", ("a",), None), *[Operation("remove", ("a",), Fault.KILL)] * 2]
