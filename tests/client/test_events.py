"""Events as they come, over connections that break, and waiting for an update by them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from hypothesis import given, settings
from hypothesis import strategies as st

from tailor.client import Client, EventRecord, MLDaemonError, MLNoDaemonError, events
from tailor.client.connection import Connection
from tailor.client.events import Events, Lines
from tests.client.peer import EVENTS, Answer, Heard, event, packed, peer, refused
from tests.client.test_faults import UPDATE

pytestmark = pytest.mark.anyio
STOPPING = refused("503 No", "ServiceUnavailable", "stopping")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time belongs to the test."""
    monkeypatch.setattr(events, "_FIRST_PAUSE", 0.0)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "daemon.sock"


def open_ended(*parts: bytes) -> Answer:
    """A stream that stays open behind ``parts``."""

    async def answer(_request: Heard, stream: ByteStream) -> None:
        await stream.send(EVENTS + b"".join(parts))
        await anyio.sleep_forever()

    return answer


async def first(count: int, events: Events) -> list[int]:
    found: list[int] = []
    async for one in events:
        found.append(one.sequence)
        if len(found) == count:
            break
    return found


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["data: ", "data:"]), st.lists(st.text("abc :", max_size=5), min_size=1, max_size=3)), max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.integers(0, 200)),
)
def test_however_a_stream_is_cut_it_has_the_same_events(told: list[tuple[str, list[str]]], end: str, cuts: list[int]) -> None:
    blocks = [f": here{end}id: 7{end}" + "".join(f"{name}{line}{end}" for line in lines) + f"event: x{end}{end}" for name, lines in told]
    data = "".join(blocks).encode()
    lines = Lines()
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for begin, stop in pairwise(places):
        lines.feed(data[begin:stop])
    found = []
    while (one := lines.next()) is not None:
        found.append(one)
    expected = ["\n".join(line.removeprefix(" ") if name == "data:" else line for line in lines) for name, lines in told]
    assert found == [text.encode() for text in expected]


async def test_a_stream_that_breaks_goes_on_behind_the_last_event(place: Path) -> None:
    answers: list[Answer] = [
        EVENTS + b": here\n\n" + event(4) + event(5),
        EVENTS + event(6) + b"data: {half",
        STOPPING,
        open_ended(event(7)),
    ]
    async with peer(place, *answers) as server, Client(place) as client, client.events(3) as coming:
        assert await first(4, coming) == [4, 5, 6, 7]
        assert coming.breaks == 2
    assert [request.headers.get("last-event-id") for request in server.heard] == ["3", "5", "6", "6"]
    assert {request.headers["accept"] for request in server.heard} == {"text/event-stream"}


async def test_from_now_on_nothing_is_asked_of_before(place: Path) -> None:
    async with peer(place, open_ended(event(9))) as server, Client(place) as client, client.events() as coming:
        assert await first(1, coming) == [9]
    assert "last-event-id" not in server.heard[0].headers


async def test_one_who_stops_listening_in_the_middle_can_go_on(place: Path) -> None:
    async with peer(place, open_ended(event(1)), open_ended(event(2))) as server, Client(place) as client, client.events(0) as coming:
        assert await first(1, coming) == [1]
        with anyio.move_on_after(0.02):
            await anext(coming)
        assert await first(1, coming) == [2]
    assert [request.headers["last-event-id"] for request in server.heard] == ["0", "1"]


async def test_a_silent_stream_is_given_up(place: Path) -> None:
    async with peer(place, open_ended(), open_ended(event(1))), Connection(place, None, 5.0) as asking:
        coming = Events(asking, quiet=0.02)
        assert (await first(1, coming), coming.breaks) == ([1], 1)
        await coming.aclose()


REFUSALS: list[tuple[str, bytes, str]] = [
    ("no token", refused("401 No", "Unauthorized", "expected a token"), "^expected a token$"),
    ("a page", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "expected text/event-stream, got text/html"),
    ("no event", EVENTS + b"data: 3\n\n", "expected an event, got b'3'"),
    ("an event without end", EVENTS + b"data: " + b"x" * (1 << 20) + b"\n" * 1 + b"data: y", "expected at most 1048576 bytes each"),
]


@pytest.mark.parametrize(("answer", "told"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
async def test_what_is_no_stream_of_events_is_an_error(place: Path, answer: bytes, told: str) -> None:
    async with peer(place, answer), Client(place) as client:
        with pytest.raises(MLDaemonError, match=told):
            async with client.events() as coming:
                await anext(coming)


async def test_a_daemon_that_does_not_come_back_is_told_of(place: Path) -> None:
    async with Client(place) as client:
        async with peer(place, EVENTS + event(1)):
            coming = client.events(patience=0.05)
            assert (await anext(coming)).sequence == 1
        await anyio.Path(place).unlink()
        with pytest.raises(MLNoDaemonError, match="no daemon answers at"):
            await anext(coming)


class Told:
    """A daemon of one update: its states, one for each time that it is asked for; and events, which break off in between."""

    def __init__(self, states: list[str], streams: list[list[bytes]]) -> None:
        self.states = states
        self.streams = streams

    async def __call__(self, request: Heard, stream: ByteStream) -> None:
        if request.path.startswith("/v1/updates/"):
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            await stream.send(packed({**UPDATE, "state": state}))
            return
        await stream.send(EVENTS + b"".join(self.streams.pop(0) if self.streams else []))
        if not self.streams:
            await anyio.sleep_forever()


async def test_waiting_ends_with_the_update_though_connections_break(place: Path) -> None:
    mine = UPDATE["identifier"]
    begun, progress = event(5, update=mine), event(5, update=mine, kind="update_progress", detail={"loss": 0.5})
    other, ended = event(6, update="f" * 32), event(7, update=mine)
    told = Told(["waiting", "running", "completed"], [[begun, progress], [], [other, progress, ended]])
    heard: list[EventRecord] = []
    async with peer(place, told) as server, Client(place) as client:
        record = await client.wait(str(mine), progress=heard.append)
    assert record.state == "completed"
    assert [one.kind for one in heard] == ["told", "update_progress", "update_progress", "told"]
    assert server.heard[0].path == "/v1/events"  # listens before it looks, so that nothing is missed in between


async def test_waiting_looks_for_itself_where_no_event_comes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tailor.client import client as module

    monkeypatch.setattr(module, "_ASK_AGAIN", 0.01)
    async with peer(place, Told(["running", "running", "failed"], [])), Client(place) as client:
        assert (await client.wait(str(UPDATE["identifier"]))).state == "failed"
