"""Events: kept and followed, with no gap and none twice, whoever is slow; and never in the way of what they tell about."""

from __future__ import annotations

import ast
import gc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import anyio
import pytest

import tailor.daemon
import tailor.daemon.events as events_module
from tailor.client import EventRecord
from tailor.daemon.events import KINDS, Events, Followed
from tailor.daemon.ledger import Ledger, open_ledger

from .ledger.made import START, clock

pytestmark = pytest.mark.anyio

ROOM, PAGE = 20, 10


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "ROOM", ROOM)
    monkeypatch.setattr(events_module, "PAGE", PAGE)


@pytest.fixture
async def ledger(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Ledger]:
    async with open_ledger(tmp_path / "ledger.sqlite", now=clock) as opened:
        yield opened


async def take(followed: Followed, count: int) -> list[EventRecord]:
    return [await followed.__anext__() for _ in range(count)]


async def rest(followed: Followed) -> list[EventRecord]:
    """What is left, once nothing more comes."""
    followed.close()
    return [event async for event in followed]


async def test_an_event_is_kept_and_given_to_all_who_follow(ledger: Ledger) -> None:
    events = Events(ledger, 10)
    first, second = events.follow(), events.follow()
    told = await events.tell("user_added", "Ann is here", model="m", user="ann", update="u", examples=3, folder=Path("x"), when=START)
    assert told == EventRecord(
        sequence=1,
        time=START,
        kind="user_added",
        text="Ann is here",
        model="m",
        user="ann",
        update="u",
        detail={"examples": 3, "folder": "x", "when": str(START)},
    )
    seen = events.progress("update_progress", "on it", update="u", loss=0.5)
    assert (seen.sequence, seen.detail) == (1, {"loss": 0.5})
    assert await take(first, 2) == await take(second, 2) == [told, seen]
    assert await ledger.events() == [told]
    assert repr(events) == "<Events: 1 told, 2 following>"


async def test_one_that_was_read_before_it_was_told_is_not_given_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    events, change = Events(ledger, 10), ledger._writer.change
    committed, go_on = anyio.Event(), anyio.Event()

    async def slow(do: Callable[[Connection], Any]) -> Any:
        answer = await change(do)
        committed.set()
        await go_on.wait()
        return answer

    monkeypatch.setattr(ledger._writer, "change", slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(events.tell, "trouble", "one")
        await committed.wait()
        (one,) = await ledger.events()
        follower = events.follow(after=one.sequence)
        go_on.set()
    two = await events.tell("trouble", "two")
    assert await rest(follower) == [two]


async def test_numbers_go_on_over_restarts_and_pruning(tmp_path: Path) -> None:
    for start in (0, 3, 6):
        async with open_ledger(tmp_path / "ledger.sqlite", now=clock) as ledger:
            events = Events(ledger, 1)
            assert [(await events.tell("trouble", "x")).sequence for _ in range(3)] == [start + 1, start + 2, start + 3]
            assert [event.sequence for event in await ledger.events()] == [start + 3]


@pytest.mark.parametrize("behind", [0, 1, PAGE - 1, PAGE, 2 * PAGE + 1])
async def test_who_comes_back_misses_nothing_and_sees_nothing_twice(ledger: Ledger, behind: int) -> None:
    """While earlier events are read, others happen."""
    events = Events(ledger, 10_000)
    for number in range(behind + 1):
        await ledger.add_event("trouble", f"{number + 1}")
    events = Events(ledger, 10_000)
    followed = events.follow(after=1)

    async def telling() -> None:
        for _ in range(20):
            await events.tell("trouble", "more")
            events.progress("update_progress", "lost where it is late")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(telling)
        kept: list[int] = []
        latest = 1
        while len(kept) < behind + 20:
            (event,) = await take(followed, 1)
            assert event.sequence >= latest
            latest = event.sequence
            kept += [event.sequence] if event.kind == "trouble" else []
    assert kept == list(range(2, behind + 22))


async def test_a_slow_one_loses_progress_first_and_then_reads_what_is_kept(ledger: Ledger) -> None:
    events = Events(ledger, 100_000)
    slow = events.follow()
    for _ in range(ROOM - 1):
        events.progress("update_progress", "x")
    kept = [await events.tell("trouble", "1"), await events.tell("trouble", "2")]  # the second finds no room
    events.progress("update_progress", "last")
    got = await rest(slow)
    assert [event.kind for event in got] == ["trouble", "trouble", "update_progress"]
    assert got[:2] == kept

    slow = events.follow()
    for number in range(ROOM + 5):  # past the room, with nothing but what is kept
        slow.offer(await ledger.add_event("trouble", f"{number}"), True)
    assert [event.text for event in await take(slow, ROOM + 5)] == [f"{number}" for number in range(ROOM + 5)]


@pytest.mark.parametrize(
    ("after", "expected"), [(4, [("missed", 7, {"count": 3}), 8, 9, 10]), (0, [8, 9, 10]), (7, [8, 9, 10]), (99, []), (-5, [8, 9, 10])]
)
async def test_what_is_kept_no_more_is_counted(ledger: Ledger, after: int, expected: list[object]) -> None:
    events = Events(ledger, 3)
    for _ in range(10):
        await events.tell("trouble", "x")
    followed = events.follow(after)
    expected = [*expected, 11]
    got: list[object] = []
    await events.tell("trouble", "one more") if after == 99 else None
    events.most = 100
    await events.tell("trouble", "one more") if after != 99 else None
    for event in await take(followed, len(expected)):
        got.append(event.sequence if event.kind == "trouble" else (event.kind, event.sequence, event.detail))
    assert got == expected


async def test_closing_ends_all_who_follow(ledger: Ledger) -> None:
    events = Events(ledger, 10)
    heard: list[str] = []

    async def listen() -> None:
        heard.extend([event.text async for event in events.follow()])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        await events.tell("daemon_stopping", "bye")
        events.close()
    assert heard == ["bye", "bye"]
    assert (await events.tell("trouble", "later")).sequence == 2
    assert [event async for event in events.follow(after=0)] == []


async def test_one_who_stops_listening_is_let_go(ledger: Ledger) -> None:
    events = Events(ledger, 10)
    followed = events.follow()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await followed.__anext__()
    await events.tell("trouble", "still heard")
    assert [event.text for event in await take(followed, 1)] == ["still heard"]
    await followed.aclose()
    assert [event async for event in followed] == []
    del followed
    gc.collect()
    assert repr(events) == "<Events: 1 told, 0 following>"


async def test_an_event_never_fails_what_it_tells_about(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    events = Events(ledger, 10)
    followed = events.follow()
    await events.tell("trouble", "one")
    connection = ledger._writer._connection
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    told = await events.tell("examples_refused", "x" * 100_000, model="m")
    assert told.sequence == 1
    assert "an event could not be kept (examples_refused" in caplog.text and "the disk is full" in caplog.text
    connection.execute("PRAGMA max_page_count = 1000000")
    assert (await events.tell("trouble", "two")).sequence == 2
    assert [event.text for event in await take(followed, 3)] == ["one", "x" * 100_000, "two"]


async def test_names_that_are_no_proper_text_are_told_as_far_as_they_go(ledger: Ledger) -> None:
    events = Events(ledger, 10)
    odd = b"caf\xe9.json".decode("utf-8", "surrogateescape")
    told = await events.tell("file_refused", f"{odd} is no JSON", file=odd, inner={1: {odd}, (2, 3): "gone"})
    assert (told.text, told.detail["file"]) == ("caf?.json is no JSON", "caf?.json")
    assert await ledger.events() == [told]


async def test_one_who_is_cancelled_still_tells(ledger: Ledger) -> None:
    events = Events(ledger, 10)
    followed = events.follow()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await events.tell("update_paused", "in time")
    assert [event.text for event in await take(followed, 1)] == ["in time"]


def test_every_event_that_the_daemon_tells_is_of_a_kind_that_is_written_down() -> None:
    told = []
    for path in Path(*tailor.daemon.__path__).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("events.tell", "events.progress")) and node.args:
                first = node.args[0]
                told += [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
    assert {kind.value for kind in told if isinstance(kind, ast.Constant)} <= set(KINDS)
    assert told
