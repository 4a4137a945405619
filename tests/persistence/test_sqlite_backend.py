"""An SQLite file as a backend: what it refuses and leaves alone, what it leaves on the disk."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from tailor.persistence import BackendError, Body, Expected, SQLiteBackend
from tailor.persistence.backends import read_whole
from tailor.persistence.backends.database import Database

pytestmark = pytest.mark.anyio


async def keep(path: Path, entries: dict[str, bytes]) -> None:
    async with aclosing(SQLiteBackend(path)) as backend:
        for key, data in entries.items():
            await backend.write(key, Body.of(data))


async def kept(path: Path) -> dict[str, bytes]:
    async with aclosing(SQLiteBackend(path)) as backend:
        found = await backend.read_many([entry.key for entry in await backend.list("a/")], most=1 << 30)
    return {key: data for key, (data, _) in found.items()}


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def test_one_private_file_is_all_that_is_left(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    previous = os.umask(0)
    try:
        async with aclosing(SQLiteBackend(path)) as backend:
            assert (await backend.list("a/"), await backend.sweep(0), os.listdir(tmp_path)) == ([], 0, []), "nothing is made before a write"
            await backend.remove("a/b")
            await backend.write("a/b", Body.of(b"1"))
            modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
    finally:
        os.umask(previous)
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600 if os.name != "nt" else 0o666)
    assert os.listdir(tmp_path) == ["store.db"]
    assert await kept(path) == {"a/b": b"1"}


def text(path: Path) -> None:
    path.write_bytes(b"my diary\n" * 300)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.mkdir()


def anothers(path: Path) -> None:
    sql(path, "PRAGMA application_id = 17", "CREATE TABLE diary (day TEXT)", "INSERT INTO diary VALUES ('monday')")


def anothers_with_a_wal(path: Path) -> None:
    anothers(path)
    sql(path, "PRAGMA journal_mode = WAL", "INSERT INTO diary VALUES ('tuesday')")


def later(path: Path) -> None:
    anyio.run(keep, path, {"a/b": b"1"})
    sql(path, "PRAGMA user_version = 2")


def with_a_trigger(path: Path) -> None:
    anyio.run(keep, path, {"a/b": b"1"})
    sql(path, "CREATE TRIGGER sqlitespy AFTER INSERT ON entries BEGIN DELETE FROM entries; END")


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (text, "got one that cannot be read: file is not a database"),
    "empty": (empty, "of another program"),
    "folder": (folder, "expected a file, got something else"),
    "another's": (anothers, r"of another program \(application_id 17\)"),
    "another's, with a WAL": (anothers_with_a_wal, r"of another program \(application_id 17\)"),
    "later": (later, "expected a store of layout 1, got 2: a later version"),
    "with a trigger": (with_a_trigger, "expected the tables of a store, got others"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(kind: str, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    path = tmp_path / "file"
    make(path)
    before = path.read_bytes() if path.is_file() else b""

    async def ask() -> None:
        for asked in (
            lambda backend: backend.write("a/b", Body.of(b"2")),
            lambda backend: backend.list("a/"),
            lambda backend: backend.remove("a/b"),
        ):
            async with aclosing(SQLiteBackend(path)) as backend:
                with pytest.raises(BackendError, match=f"^{path}: .*{message}"):
                    await asked(backend)

    anyio.run(ask)
    assert (path.read_bytes() if path.is_file() else b"") == before


async def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    async with aclosing(SQLiteBackend(tmp_path / "no" / "store.db")) as backend:
        assert await backend.list("a/") == []
        with pytest.raises(BackendError, match="expected the folder of this file to be there"):
            await backend.write("a", Body.of(b"1"))
    assert os.listdir(tmp_path) == []


async def test_what_was_removed_is_overwritten_and_its_space_given_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await keep(path, {"a/b": b"a secret " * 1_000_000, "a/c": b"another secret " * 9})
    assert b"a secret" in path.read_bytes() and path.stat().st_size > 9_000_000
    async with aclosing(SQLiteBackend(path)) as backend:
        await backend.remove("a/b")
        await backend.write("a/c", Body.of(b"nothing"))
    assert b"secret" not in path.read_bytes() and path.stat().st_size < 100_000
    assert await kept(path) == {"a/c": b"nothing"}


async def test_a_writer_who_waits_for_its_chunks_holds_nobody_up(tmp_path: Path) -> None:
    first, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield bytes(9 << 20)
        first.set()
        go_on.wait()
        yield bytes(1 << 20)

    async with aclosing(SQLiteBackend(tmp_path / "store.db")) as one, aclosing(SQLiteBackend(tmp_path / "store.db")) as other:
        async with anyio.create_task_group() as group:
            group.start_soon(one.write, "a/slow", Body(10 << 20, slow))
            while not first.is_set():
                await anyio.lowlevel.checkpoint()
            await other.write("a/b", Body.of(b"1"))
            assert [entry.key for entry in await one.list("a/")] == ["a/b"]
            assert await other.sweep(1000) == 0
            go_on.set()
        assert (await read_whole(other, "a/slow", most=10 << 20))[0] == bytes(10 << 20)
        assert await other.sweep(-1000) == 0


async def test_a_slow_reader_gets_all_of_the_old_bytes_while_they_are_replaced(tmp_path: Path) -> None:
    old, new = b"old!" * 2_500_000, b"new"
    async with aclosing(SQLiteBackend(tmp_path / "store.db")) as one, aclosing(SQLiteBackend(tmp_path / "store.db")) as other:
        tag = await one.write("a", Body.of(old))
        given: list[bytes] = []

        def slow(chunk: bytes | memoryview) -> None:
            if not given:
                anyio.from_thread.run(other.write, "a", Body.of(new))
            given.append(bytes(chunk))

        entry = await one.read("a", slow)
        assert (b"".join(given), entry.tag) == (old, tag)
        assert (await read_whole(one, "a", most=3))[0] == new


async def test_keys_that_end_in_digests_are_what_they_were_and_in_order(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 4
    names = (digest, "f" * 64, "f" + digest, digest[1:], digest + "-", f"x-{digest}", f"{digest}/{digest}", f"{digest}.d/b", "z")
    entries = {f"a/{name}": name.encode() for name in names} | {digest: b"alone"}
    await keep(tmp_path / "store.db", entries)
    async with aclosing(SQLiteBackend(tmp_path / "store.db")) as backend:
        below = sorted(key for key in entries if key.startswith("a/"))
        assert [entry.key for entry in await backend.list("a/")] == below
        assert [entry.key for entry in await backend.list(f"a/{digest}/")] == [f"a/{digest}/{digest}"]
        assert {key: data for key, (data, _) in (await backend.read_many(list(entries), most=1000)).items()} == entries
        await backend.remove(f"a/{digest}")
        assert await backend.look(f"a/{digest}") is None and await backend.look(f"a/f{digest}") is not None


async def test_a_writer_that_was_swept_fails_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    def slow() -> Iterator[bytes]:
        yield bytes(9 << 20)
        assert anyio.from_thread.run(other.sweep, -1000) == 1
        yield bytes(1 << 20)

    async with aclosing(SQLiteBackend(path)) as one, aclosing(SQLiteBackend(path)) as other:
        with pytest.raises(BackendError, match="a/b: expected what was written of it before, got nothing: it was swept"):
            await one.write("a/b", Body(10 << 20, slow))
        assert await one.list("a/") == []
    assert path.stat().st_size < 100_000


async def test_a_large_body_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(9 << 20)
        raise OSError("the source is gone")

    async with aclosing(SQLiteBackend(tmp_path / "store.db")) as backend:
        with pytest.raises(OSError, match="the source is gone"):
            await backend.write("a", Body(10 << 20, broken))
        assert await backend.sweep(-1000) == 0
    assert os.stat(tmp_path / "store.db").st_size < 100_000


async def test_an_error_that_comes_after_the_commit_takes_nothing_of_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, body = tmp_path / "store.db", b"body" * 2_500_000
    really, commits = Database.ask, 0

    def ask(self: Database, sql: str, *values: object) -> Any:
        nonlocal commits
        answer = really(self, sql, *values)
        commits += sql == "COMMIT"
        if sql == "COMMIT" and commits == 3:  # the last of three parts
            raise BackendError("the answer was lost")
        return answer

    monkeypatch.setattr(Database, "ask", ask)
    async with aclosing(SQLiteBackend(path)) as backend:
        with pytest.raises(BackendError, match="the answer was lost"):
            await backend.write("a/b", Body.of(body))
    assert await kept(path) == {"a/b": body}


async def test_a_sweep_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await keep(path, {"a/b": b"1"})
    sql(path, "INSERT INTO writing (begun) VALUES (5000)", "INSERT INTO parts SELECT body << 22, zeroblob(9000000) FROM writing")
    async with aclosing(SQLiteBackend(path, clock=lambda: 6000.0)) as backend:
        assert [await backend.sweep(older_than) for older_than in (1001, 999, 999)] == [0, 1, 0]
    assert path.stat().st_size < 100_000
    assert await kept(path) == {"a/b": b"1"}


SPOILED = {
    "a part is missing": "DELETE FROM parts",
    "a part is longer": "UPDATE parts SET data = zeroblob(9000000)",
    "a part is no bytes": "UPDATE parts SET data = 'abc'",
    "a size is none": "UPDATE entries SET size = 'many'",
    "a time is none": "UPDATE entries SET modified = 'noon'",
    "a size is negative": "UPDATE entries SET size = -3",
    "a number is beyond all": "UPDATE entries SET body = 1 << 41",
    "a number is none that there can be": "UPDATE entries SET body = 0",
    "a time is never": "UPDATE entries SET modified = 9e999",
}


@pytest.mark.parametrize("how", SPOILED)
async def test_rows_that_were_spoiled_are_said(how: str, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await keep(path, {"a/b": b"123"})
    sql(path, SPOILED[how])
    async with aclosing(SQLiteBackend(path)) as backend:
        with pytest.raises(BackendError, match="expected .*, got"):
            await backend.read("a/b", bytes)


@pytest.mark.parametrize("kept", ["612FFF0102", "612FFF" + "00" * 33, "612FC3", "612F62FF"])
async def test_a_key_that_was_spoiled_is_said_and_hides_nothing(kept: str, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await keep(path, {"a/b": b"123"})
    sql(path, f"UPDATE entries SET key = X'{kept}'")
    async with aclosing(SQLiteBackend(path)) as backend:
        with pytest.raises(BackendError, match="expected a key, a size, a time and a number, got"):
            await backend.list("a/")


LAST = (1 << 41) - 1
"""The last number of a body."""


@pytest.mark.parametrize("last", [LAST, LAST + 1])
async def test_numbers_that_are_used_up_are_said(last: int, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await keep(path, {"a/b": b"123"})
    sql(path, f"UPDATE sqlite_sequence SET seq = {last}")
    async with aclosing(SQLiteBackend(path)) as backend:
        with pytest.raises(BackendError, match=f"expected numbers of bodies from 1 to {LAST}, got {last + 1}"):
            await backend.write("a/c", Body.of(b"4"))
    assert await kept(path) == {"a/b": b"123"}


async def test_the_last_number_is_as_good_as_any(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await keep(path, {"a/b": b"123"})
    sql(path, f"UPDATE sqlite_sequence SET seq = {LAST - 1}")
    async with aclosing(SQLiteBackend(path)) as backend:
        await backend.write("a/c", Body.of(b"4"))
    assert await kept(path) == {"a/b": b"123", "a/c": b"4"}
    async with aclosing(SQLiteBackend(path)) as backend:
        await backend.remove("a/c")
    assert await kept(path) == {"a/b": b"123"}


async def test_a_sweep_of_a_number_that_cannot_be_is_said(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await keep(path, {"a/b": b"123"})
    sql(path, "INSERT INTO writing VALUES (1 << 62, 0)")
    async with aclosing(SQLiteBackend(path)) as backend:
        with pytest.raises(BackendError, match="expected numbers of bodies from 1"):
            await backend.sweep(0)
    assert await kept(path) == {"a/b": b"123"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # damage is the same on every loop
async def test_damage_anywhere_is_said_unless_it_is_in_the_bytes_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    entries = {f"a/{number:03}": b"%03d" % number * 100 for number in range(100)}
    await keep(path, entries)
    data, said, spoiled = path.read_bytes(), 0, 0
    for at in range(0, len(data), 1024):
        path.write_bytes(data[:at] + b"\xff" * 64 + data[at + 64 :])
        try:
            found = await kept(path)
        except BackendError:
            said += 1
        else:
            spoiled += {key: len(body) for key, body in found.items()} == dict.fromkeys(entries, 300) and found != entries
    assert said > 5 and spoiled > 5


async def test_nothing_can_be_asked_after_the_end(tmp_path: Path) -> None:
    backend = SQLiteBackend(tmp_path / "store.db")
    await backend.write("a", Body.of(b"1"), expected=Expected.NOTHING)
    for _ in range(2):
        await backend.aclose()
    with pytest.raises(BackendError, match="got one that was closed"):
        await backend.look("a")
    assert repr(backend) == f"<SQLiteBackend {tmp_path / 'store.db'}: closed>"


def test_the_file_says_whose_it_is(tmp_path: Path) -> None:
    anyio.run(keep, tmp_path / "store.db", {"a": b"1"})
    head = (tmp_path / "store.db").read_bytes()[:100]
    assert head[:16] == b"SQLite format 3\0" and head[68:72] == b"tail" and struct.unpack(">I", head[60:64]) == (1,)
