"""Events as they come, and what is counted meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tailor.daemon.api import Application, Service, streams
from tailor.daemon.daemon import Daemon

from .asked import EXAMPLES, UNIX, ask, opened, settings

pytestmark = pytest.mark.anyio
LONG = 30.0
USER = "/v1/models/points/users/ann"


class Listener:
    """One who follows. ``parts``: what was sent, as it comes; nothing is taken until somebody reads it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.leave = anyio.Event()
        self.is_through = anyio.Event()
        self._sent, self.parts = anyio.create_memory_object_stream[bytes](0)

    async def follow(self, app: Any, query: str, last: str | None) -> None:
        async def receive() -> dict[str, Any]:
            await self.leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            elif message["body"]:
                await self._sent.send(message["body"])

        headers = [] if last is None else [(b"last-event-id", last.encode())]
        scope = {"type": "http", "method": "GET", "path": "/v1/events", "query_string": query.encode(), "headers": headers, "server": UNIX}
        await app(scope, receive, send)
        self._sent.close()
        self.is_through.set()

    async def event(self) -> dict[str, str]:
        """The next event, by its fields; comments are left out."""
        while True:
            part = (await self.parts.receive()).decode()
            assert part.endswith("\n\n")
            if not part.startswith(":"):
                return dict(line.split(": ", 1) for line in part.splitlines() if line)

    async def until(self, kind: str) -> dict[str, str]:
        while (event := await self.event())["event"] != kind:
            pass
        return event


@asynccontextmanager
async def listening(app: Any, query: str = "", last: str | None = None) -> AsyncIterator[Listener]:
    with anyio.fail_after(LONG):
        async with anyio.create_task_group() as group:
            listener = Listener()
            group.start_soon(listener.follow, app, query, last)
            assert (await listener.parts.receive()).startswith(b":")  # from here on it listens
            yield listener
            listener.leave.set()
            listener.parts.close()
            await listener.is_through.wait()


@asynccontextmanager
async def served(folder: Path, **tables: Any) -> AsyncIterator[tuple[Daemon, Application]]:
    async with opened(folder, settings(**tables)) as daemon:
        service = Service(daemon)
        async with service.counting():
            yield daemon, Application(service)


async def test_events_come_as_they_happen(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, app), listening(app) as listener:
        await ask(app, "PUT", USER)
        event = await listener.event()
        assert event["event"] == "user_added"
        told = json.loads(event["data"])
        assert (told["model"], told["user"], str(told["sequence"])) == ("points", "ann", event["id"])
        kept = (await ask(app, "GET", f"/v1/log?after={told['sequence'] - 1}")).json
        assert kept == [told]
    assert (listener.status, listener.headers["content-type"], listener.headers["cache-control"]) == (200, "text/event-stream", "no-store")


@pytest.mark.parametrize(("query", "last"), [("after=0", None), ("after=99", "0"), ("", "0")])
async def test_who_comes_back_is_told_what_came_meanwhile(query: str, last: str | None, tmp_path: Path) -> None:
    async with served(tmp_path) as (_, app):
        await ask(app, "PUT", USER)
        kept = (await ask(app, "GET", "/v1/log")).json
        async with listening(app, query, last) as listener:
            assert [json.loads((await listener.event())["data"]) for _ in kept] == kept


async def test_a_silent_stream_shows_that_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)
    async with served(tmp_path) as (_, app), listening(app) as listener:
        assert [await listener.parts.receive() for _ in range(3)] == [b": still here\n\n"] * 3


async def test_who_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, app), listening(app) as slow, listening(app) as quick:
        for number in range(30):
            await ask(app, "PUT", f"{USER}{number}")
            assert json.loads((await quick.until("user_added"))["data"])["user"] == f"ann{number}"
        assert [json.loads((await slow.until("user_added"))["data"])["user"] for _ in range(30)] == [f"ann{number}" for number in range(30)]


async def test_streams_end_when_the_daemon_stops(tmp_path: Path) -> None:
    async with served(tmp_path) as (daemon, app), listening(app) as listener:
        daemon.stop()
        assert [part async for part in listener.parts if not part.startswith(b":")] == []
        await listener.is_through.wait()


async def test_only_the_head_is_told_where_only_that_is_asked_for(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, app):
        answer = await ask(app, "HEAD", "/v1/events")
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", "text/event-stream")


SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? ([-+]?(?:[\d.]+(?:e[-+]?\d+)?|Inf)|NaN)')


def samples(text: str) -> dict[tuple[str, str], float]:
    """Of the text format 0.0.4, by name and labels. Each family is told of in front of its samples, and comes once."""
    found: dict[tuple[str, str], float] = {}
    family = kind = ""
    families = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(families) == len(set(families)) > 15
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == family
            kind = line.split(" ")[3]
            assert kind in ("counter", "gauge", "histogram")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert name.startswith(family)
            assert name == family or kind == "histogram"
            assert (name, labels or "") not in found
            found[name, labels or ""] = float(value)
    return found


async def test_what_is_asked_and_happens_is_counted(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, app), listening(app) as listener:
        await ask(app, "POST", f"{USER}/examples", {"examples": EXAMPLES, "batch": "b"})
        await ask(app, "POST", f"{USER}/examples", {"examples": EXAMPLES, "batch": "b"})
        await ask(app, "POST", f"{USER}/examples", {"examples": [{"features": {}}]})
        await ask(app, "POST", f"{USER}/predictions", {"inputs": [{"x": [1, 2]}] * 3})
        await ask(app, "GET", "/v1/models/other")
        await ask(app, "GET", "/nothing")
        await ask(app, "POST", f"{USER}/updates")
        await listener.until("update_ended")
        told = await ask(app, "GET", "/metrics")
        while ("tailor_events_total", 'kind="update_ended"') not in (found := samples(told.body.decode())):
            told = await ask(app, "GET", "/metrics")
    assert told.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    expected = {
        ("tailor_models", ""): 1,
        ("tailor_users", ""): 1,
        ("tailor_examples_waiting", ""): 0,
        ("tailor_examples_total", 'result="accepted"'): 2,
        ("tailor_examples_total", 'result="duplicate"'): 2,
        ("tailor_examples_total", 'result="refused"'): 1,
        ("tailor_predictions_total", ""): 3,
        ("tailor_event_listeners", ""): 1,
        ("tailor_http_requests_total", 'method="GET",route="/v1/models/{model}",status="404"'): 1,
        ("tailor_http_requests_total", 'method="GET",route="",status="404"'): 1,
        ("tailor_http_requests_total", 'method="POST",route="/v1/models/{model}/users/{user}/examples",status="200"'): 2,
        ("tailor_http_requests_total", 'method="POST",route="/v1/models/{model}/users/{user}/examples",status="422"'): 1,
        ("tailor_http_request_duration_seconds_count", 'route="/v1/models/{model}/users/{user}/examples"'): 3,
        ("tailor_http_request_duration_seconds_bucket", 'route="/v1/models/{model}/users/{user}/examples",le="+Inf"'): 3,
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected
    buckets = [value for (name, labels), value in found.items() if name.endswith("_bucket") and 'route="/v1/models/{model}"' in labels]
    assert buckets == sorted(buckets)
    assert len(buckets) == 14


async def test_an_update_that_is_not_kept_any_more_ends_no_counting(tmp_path: Path) -> None:
    async with served(tmp_path) as (daemon, app):
        await daemon.tell("update_ended", "of a user who is gone by now", update="f" * 32)
        await daemon.tell("trouble", "comes behind it")
        with anyio.fail_after(LONG):
            while ("tailor_events_total", 'kind="trouble"') not in samples((await ask(app, "GET", "/metrics")).body.decode()):
                await checkpoint()
