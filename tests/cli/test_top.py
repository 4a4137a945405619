"""``tailor top``: what it shows of a daemon, and how often it asks."""

from __future__ import annotations

import io
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from tailor.cli.asking import sparkline
from tailor.cli.status import duration
from tailor.cli.top import look
from tailor.cli.top_view import View, drawn
from tailor.client import EventRecord, Forecast, LaneRecord, Status, UpdateRecord, Why

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def update(letter: str, state: Any, **fields: Any) -> UpdateRecord:
    plain: dict[str, Any] = {
        "identifier": letter * 32, "model": "Drawing", "user": "ana", "state": state, "reason": "examples", "examples": 12, "onto": None,
        "version": None, "epoch": None, "losses": [], "parameters": {}, "verdict": None, "error": None, "made_at": NOW, "begun_at": None,
        "ended_at": None,
    }  # fmt: skip
    return UpdateRecord(**{**plain, **fields})


def status(**counts: int) -> Status:
    return Status(
        version="1.2", pid=77, started_at=NOW - timedelta(hours=2, minutes=3, seconds=4), state="running", settings=None, store="/store",
        listening=["/run/d.sock"], models=2, users=30, waiting=400, updates=counts, lanes=[LaneRecord(name="cpu", capacity=4, busy=1)],
        models_in_memory=3, memory=120_000_000, syncs=[],
    )  # fmt: skip


def event(sequence: int, text: str, **fields: Any) -> EventRecord:
    return EventRecord(sequence=sequence, time=NOW, kind="told", text=text, **fields)


def text_of(view: View, width: int = 100) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), legacy_windows=False)
    console.print(drawn(view, NOW))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_the_picture_of_a_daemon() -> None:
    updates = [update("a", "running", epoch=2, losses=[8.0, 4.0, 1.0]), update("b", "waiting", user="[bold]bo")]
    why = {"a" * 32: "ends in 12 s", "b" * 32: "no external power"}
    events = deque([event(1, "ready"), event(2, "it begins", model="Drawing", user="ana", update="a" * 32)])
    lines = text_of(View(status(running=1, waiting=3), updates, why, events))
    assert lines[0] == "tailor 1.2, process 77, running for 2 h 3 min, 120 MB of memory"
    assert lines[1] == "2 models, 30 users, 400 examples wait; 3 models in memory"
    assert [line for line in lines if "busy" in line] == ["cpu  ██░░░░░░░░  1 of 4 busy"]
    rows = [line.split("  ") for line in lines if line.startswith(("a" * 12, "b" * 12))]
    assert [[cell for cell in row if cell] for row in rows] == [
        ["a" * 12, "Drawing/ana", " running", "epoch 3, loss 1", "█▄▁", " ends in 12 s"],
        ["b" * 12, "Drawing/[bold]bo", "waiting", " no external power"],
    ]
    assert "and 2 more" in lines
    assert [line[10:] for line in lines[-2:]] == ["ready", f"Drawing/ana: it begins  ({'a' * 12})"]


def test_the_picture_of_a_daemon_that_is_gone_or_idle() -> None:
    idle = View(status(), [], {}, deque())
    assert "no update is under way" in text_of(idle)
    assert "no daemon answers at /run/d.sock; trying again" in text_of(idle.without_daemon("no daemon answers at /run/d.sock"))
    assert max(map(len, text_of(idle, 40))) <= 40


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([3.0], "▁"),
        ([5.0, 5.0], "▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([float("nan"), 1.0, float("inf"), 2.0], "▁█"),
        ([float("nan")], ""),
        ([*range(31)], "▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"),
    ],
)
def test_losses_as_bars(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-1, "0 s"), (0.4, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_how_long(seconds: float, told: str) -> None:
    assert duration(seconds) == told


class Asked:
    """A client that counts what it is asked for."""

    def __init__(self, updates: list[UpdateRecord]) -> None:
        self._updates = updates
        self.calls: list[str] = []

    async def status(self) -> Status:
        self.calls.append("status")
        return status(running=len(self._updates))

    async def updates(self, *, states: Any, most: int) -> list[UpdateRecord]:
        self.calls.append("updates")
        return list(self._updates)

    async def why(self, identifier: str) -> Why:
        self.calls.append("why")
        return Why(subject=f"update {identifier[:12]}", text=f"update {identifier[:12]}: no external power", reasons=[])

    async def forecast(self, identifier: str) -> Forecast:
        self.calls.append("forecast")
        return Forecast(text=f"update {identifier[:12]}: ends in 12 s", begin=None, end=None, unknown=[])


@pytest.mark.anyio
async def test_what_has_not_changed_is_not_asked_for_again() -> None:
    client: Any = Asked([update("b", "waiting"), update("a", "running"), update("c", "paused")])
    first = await look(client, deque())
    assert [one.state for one in first.updates] == ["running", "waiting", "paused"]
    assert (first.why["a" * 32], first.why["b" * 32]) == ("ends in 12 s", "no external power")
    assert client.calls == ["status", "updates", "forecast", "why", "why"]
    client.calls.clear()
    again = await look(client, deque(), first)
    assert client.calls == ["status", "updates", "forecast"] and again.why == first.why
    client.calls.clear()
    await look(client, deque(), first.aged(True))
    assert client.calls == ["status", "updates", "forecast", "why", "why"]
    idle: Any = Asked([])
    await look(idle, deque())
    assert idle.calls == ["status"]
