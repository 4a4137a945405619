"""The ledger's file: whose it is, which version, who may read it, and its copies."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from tailor.daemon.ledger import Ledger, LedgerError, open_ledger
from tailor.daemon.ledger.migrations import STEPS, migrate
from tailor.daemon.ledger.opening import APPLICATION, open_file
from tailor.daemon.ledger.tables import forgetting

from .made import MODEL, START, at, clock, plan, row, rows, states

pytestmark = pytest.mark.anyio

# What version 1 wrote, word for word. Files of it are out there: a change is a step more in STEPS, and a text more here.
GOLDEN_1 = """
CREATE INDEX events_by_update ON events (update_) WHERE update_ IS NOT NULL;
CREATE INDEX examples_by_state ON examples (owner, state);
CREATE INDEX updates_by_owner ON updates (owner);
CREATE INDEX updates_open ON updates (number) WHERE ended_at IS NULL;
CREATE INDEX users_by_name ON users (name);
CREATE INDEX users_waiting ON users (first_waiting_at) WHERE waiting > 0 AND open_update IS NULL;
CREATE TABLE contents (sequence INTEGER PRIMARY KEY REFERENCES examples, body BLOB NOT NULL);
CREATE TABLE events (sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, model TEXT, user TEXT, \
update_ TEXT, detail TEXT NOT NULL);
CREATE TABLE examples (sequence INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES users, id TEXT NOT NULL, digest BLOB, \
state TEXT NOT NULL, label, source TEXT, time INTEGER, received_at INTEGER NOT NULL, size INTEGER NOT NULL, taken_by INTEGER, \
version TEXT, UNIQUE (owner, id));
CREATE TABLE models (name TEXT NOT NULL PRIMARY KEY, base TEXT NOT NULL, kind TEXT NOT NULL, size INTEGER NOT NULL, \
registered_at INTEGER NOT NULL, users INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE syncs (place TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL, ok INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE totals (one INTEGER PRIMARY KEY CHECK (one = 1), users INTEGER NOT NULL, waiting INTEGER NOT NULL, size INTEGER NOT NULL, \
sequence INTEGER NOT NULL);
CREATE TABLE updates (number INTEGER PRIMARY KEY, identifier TEXT NOT NULL UNIQUE, owner INTEGER NOT NULL REFERENCES users, \
state TEXT NOT NULL, reason TEXT NOT NULL, most INTEGER NOT NULL, again INTEGER NOT NULL, learned_too INTEGER NOT NULL, \
examples INTEGER NOT NULL, onto TEXT, base TEXT NOT NULL, parameters TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, epoch INTEGER, \
losses TEXT NOT NULL DEFAULT '[]', version TEXT, verdict TEXT, error TEXT, made_at INTEGER NOT NULL, begun_at INTEGER, ended_at INTEGER);
CREATE TABLE users (number INTEGER PRIMARY KEY, model TEXT NOT NULL REFERENCES models, name TEXT NOT NULL, added_at INTEGER NOT NULL, \
waiting INTEGER NOT NULL DEFAULT 0, taken INTEGER NOT NULL DEFAULT 0, learned INTEGER NOT NULL DEFAULT 0, \
set_aside INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0, first_waiting_at INTEGER, \
open_update INTEGER, UNIQUE (model, name));
"""
TOTALS_1 = (1, 0, 0, 0, 0)
MORE_2 = "CREATE INDEX updates_by_state ON updates (state);"


def schema(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'")
    return sorted(f"{sql};" for (sql,) in found)


def test_each_step_makes_what_its_version_was() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, STEPS[:1])
        assert schema(connection) == GOLDEN_1.strip().splitlines()
        assert connection.execute("SELECT * FROM totals").fetchall() == [TOTALS_1]
        assert connection.execute("PRAGMA user_version").fetchall() == [(1,)]
        migrate(connection)
        assert schema(connection) == sorted([*GOLDEN_1.strip().splitlines(), MORE_2])
        assert connection.execute("PRAGMA user_version").fetchall() == [(2,)]


async def test_a_file_of_version_1_is_read_and_becomes_one_of_today(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript("".join(sorted(GOLDEN_1.strip().splitlines(), reverse=True)))  # tables before their indices
        old.execute("INSERT INTO totals VALUES (1, 1, 1, 4, 7)")
        old.execute(f"INSERT INTO models VALUES ('model', '{MODEL.base}', 'kind', 3, 0, 1)")
        old.execute("INSERT INTO users VALUES (5, 'model', 'user', 0, 1, 0, 0, 0, 1, 4, 1000000, NULL)")
        old.execute("INSERT INTO examples VALUES (7, 5, 'old', X'00', 'waiting', 'cat', 'x', NULL, 1000000, 4, NULL, NULL)")
        old.execute("INSERT INTO contents VALUES (7, X'01020304')")
        old.execute(f"PRAGMA application_id = {0x746C6772}")
        old.execute("PRAGMA user_version = 1")
        old.commit()
    async with open_ledger(path, now=clock) as ledger:
        await ledger.add_examples("model", "user", rows("new"), START)
        assert await states(ledger) == {"old": "waiting", "new": "waiting"}
        await ledger.plan_update(plan("one"))
        assert [(one.sequence, ledger.content(one.sequence)) for one in await ledger.training_rows("one")] == [
            (7, b"\1\2\3\4"),
            (8, b"new"),
        ]
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("PRAGMA user_version").fetchall() == [(len(STEPS),)]


def test_a_step_is_taken_whole_or_not_at_all() -> None:
    more = ("CREATE TABLE more (a)", "INSERT INTO more VALUES (1)")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, STEPS[:1])
        with pytest.raises(sqlite3.OperationalError, match="no such table: none"):
            migrate(connection, (STEPS[0], more, ("CREATE TABLE half (a)", "INSERT INTO none VALUES (1)")))
        assert connection.execute("PRAGMA user_version").fetchall() == [(2,)]
        assert schema(connection) == sorted([*GOLDEN_1.strip().splitlines(), "CREATE TABLE more (a);"])
        migrate(connection, (STEPS[0], more, ("INSERT INTO more VALUES (2)",)))
        assert connection.execute("SELECT a FROM more").fetchall() == [(1,), (2,)]


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")


def newer(path: Path) -> None:
    open_file(path).close()
    with closing(sqlite3.connect(path)) as later:
        later.execute(f"PRAGMA user_version = {len(STEPS) + 1}")


REFUSED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "SQLite file": (foreign_database, "foreign", r"got an SQLite file of another program \(application_id 0\)"),
    "text file": (lambda path: path.write_text("dear diary, " * 100), "foreign", "got one that is no SQLite file"),
    "empty file": (lambda path: path.touch(), "foreign", r"another program \(application_id 0\)"),
    "folder": (lambda path: path.mkdir(), "foreign", "got something else of this name"),
    "later version": (newer, "newer", f"expected a ledger of version {len(STEPS)} or before, got {len(STEPS) + 1}: a later version"),
    "broken link": (lambda path: path.symlink_to("nowhere"), "failed", "No such file"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_file_that_is_not_ours_is_refused_by_name_and_left_alone(tmp_path: Path, what: str) -> None:
    path = tmp_path / "ledger.sqlite"
    make, kind, message = REFUSED[what]
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LedgerError, match=f"ledger.sqlite: .*{message}") as refused:
        async with open_ledger(path, now=clock):
            pass
    assert refused.value.kind == kind
    assert (path.read_bytes() if path.is_file() else None) == before
    assert {name.removesuffix("-wal").removesuffix("-shm") for name in os.listdir(tmp_path)} == {"ledger.sqlite"}


async def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"none.ledger.sqlite: No such file or directory"):
        async with open_ledger(tmp_path / "none" / "ledger.sqlite", now=clock):
            pass


async def test_a_file_that_is_damaged_is_said(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    async with open_ledger(path, now=clock) as ledger:
        await ledger.put_model(MODEL)
    with path.open("r+b") as file:
        file.seek(100)  # where the first page's tree begins, behind the file's header
        file.write(b"\xff" * 3000)
    with pytest.raises(LedgerError, match="ledger.sqlite: database disk image is malformed") as damaged:
        async with open_ledger(path, now=clock) as ledger:
            await ledger.models()
    assert damaged.value.kind == "failed"


async def test_only_its_owner_may_read_it_and_commits_wait_for_the_disk(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.add_examples("model", "user", rows("a"), START)
    names = os.listdir(tmp_path)
    assert sorted(names) == ["ledger.sqlite", "ledger.sqlite-shm", "ledger.sqlite-wal"]
    if os.name == "posix":
        assert {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in names} == {0o600}
    settings = ("journal_mode", "synchronous", "fullfsync", "checkpoint_fullfsync", "foreign_keys", "secure_delete", "application_id")
    connection = ledger._writer._connection
    found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings}
    assert found == dict(zip(settings, ("wal", 2, 1, 1, 1, 1, APPLICATION), strict=True))  # 2: FULL


async def test_what_is_forgotten_is_in_no_file(ledger: Ledger, tmp_path: Path) -> None:
    secret = b"correct horse battery staple"
    await ledger.add_examples("model", "user", [row("a", secret, source="the diary"), row("b", secret * 1000)], START)
    assert any(secret in (tmp_path / name).read_bytes() for name in os.listdir(tmp_path))
    assert await ledger.forget_examples("model", "user", ids=["a", "b"]) == 2
    left = b"".join((tmp_path / name).read_bytes() for name in os.listdir(tmp_path))
    assert secret not in left and b"the diary" not in left


def in_files(folder: Path, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("erase", ["forget_examples", "remove_user"])
async def test_one_who_is_cancelled_while_forgetting_leaves_nothing_behind(ledger: Ledger, tmp_path: Path, erase: str) -> None:
    await ledger.add_examples("model", "user", [row("a", b"a secret")], START)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await getattr(ledger, erase)("model", "user", *([["a"]] if erase == "forget_examples" else []))
    assert (await ledger.totals()).waiting == 0
    assert not in_files(tmp_path, b"a secret")


async def test_what_one_who_was_killed_had_erased_is_in_no_file_from_the_start(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.add_examples("model", "user", [row("a", b"a secret")], START)
    await ledger._writer.change(lambda connection: forgetting.forget(connection, "model", "user", ["a"], [], []))
    left = tmp_path / "left"
    left.mkdir()
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        shutil.copy(tmp_path / name, left)
    assert in_files(left, b"a secret")
    async with open_ledger(left / "ledger.sqlite", now=clock) as opened:
        assert await states(opened) == {"a": "forgotten"}
        assert not in_files(left, b"a secret")


async def test_a_log_without_its_file_is_not_taken_for_that_of_a_new_one(tmp_path: Path) -> None:
    log = tmp_path / "ledger.sqlite-wal"
    log.write_bytes(b"what was acknowledged")
    with pytest.raises(LedgerError, match=r"ledger.sqlite: expected the file that .*ledger.sqlite-wal belongs to, got none: put it back"):
        async with open_ledger(tmp_path / "ledger.sqlite", now=clock):
            pass
    assert os.listdir(tmp_path) == [log.name] and log.read_bytes() == b"what was acknowledged"


async def test_one_who_reads_does_not_keep_others_from_forgetting(ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await ledger.add_examples("model", "user", rows("a"), START)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN")
        assert other.execute("SELECT body FROM contents").fetchall() == [(b"a",)]
        assert await ledger.forget_examples("model", "user", ids=["a"]) == 1
        assert other.execute("SELECT body FROM contents").fetchall() == [(b"a",)]
    assert "what was erased stays beside the file for a while: somebody reads" in caplog.text
    assert ledger._writer._connection.execute("PRAGMA busy_timeout").fetchall() == [(5000,)]


async def test_a_copy_made_while_changes_go_on_is_of_one_moment(ledger: Ledger, tmp_path: Path) -> None:
    copies = [tmp_path / f"copy{number}.sqlite" for number in range(3)]

    async def add() -> None:
        for number in range(40):
            await ledger.add_examples("model", f"user{number % 3}", [row(f"{number}-{index}") for index in range(20)], at(number))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(add)
        for copy in copies:
            await ledger.backup_to(copy)
    with pytest.raises(LedgerError, match="copy0.sqlite: expected a name that is free"):
        await ledger.backup_to(copies[0])
    assert sorted(os.listdir(tmp_path)) == [*(copy.name for copy in copies), "ledger.sqlite", "ledger.sqlite-shm", "ledger.sqlite-wal"]
    for copy in copies:
        with closing(sqlite3.connect(copy)) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            ((examples,),) = opened.execute("SELECT count(*) FROM examples").fetchall()
        assert examples % 20 == 0
        async with open_ledger(copy, now=clock) as again:
            assert (await again.totals()).waiting == examples
            await again.add_examples("model", "user0", rows("more"), START)
