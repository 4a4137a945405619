"""What a client makes of a server that breaks off, talks nonsense, or says nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from tailor import MLModelError
from tailor.client import Client, MLDaemonError, MLNoDaemonError, ModelRecord, connection
from tailor.client.connection import Connection
from tests.client.peer import Heard, http, packed, peer, refused

pytestmark = pytest.mark.anyio

SYNC = {"place": "s3://bucket", "at": "2026-01-02T03:04:05Z", "ok": True, "text": "level"}
UPDATE = {
    "identifier": "0" * 32, "model": "m", "user": "u", "state": "waiting", "reason": "command", "examples": 1, "onto": None,
    "version": None, "epoch": None, "losses": [], "parameters": {}, "verdict": None, "error": None, "made_at": "2026-01-02T03:04:05Z",
    "begun_at": None, "ended_at": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time belongs to the test."""
    monkeypatch.setattr(connection, "_PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "daemon.sock"


class Kept:
    """A place for examples that answers only when it is told to, and counts an id once, as daemons do."""

    def __init__(self, answers: list[bool]) -> None:
        self.answers = answers
        self.ids: list[str] = []

    async def __call__(self, request: Heard, stream: ByteStream) -> None:
        new = [example["id"] for example in request.told["examples"] if example["id"] not in self.ids]
        self.ids += new
        if self.answers.pop(0):
            count = len(request.told["examples"])
            await stream.send(packed({"accepted": len(new), "duplicates": count - len(new), "waiting": len(self.ids)}))


async def test_examples_whose_answer_is_lost_are_sent_again_and_counted_once(place: Path) -> None:
    kept = Kept([False, False, True, False, True])
    async with peer(place, kept) as server, Client(place) as client:
        added = await client.add_examples("m", "u", [{"x": float(number)} for number in range(1500)])
    assert len(kept.ids) == len(set(kept.ids)) == added.waiting == 1500
    assert (added.accepted + added.duplicates, added.duplicates) == (1500, 1500)  # each part was kept by a request that was not answered
    bodies = [request.body for request in server.heard]
    assert bodies[0] == bodies[1] == bodies[2] != bodies[3] == bodies[4]


async def test_a_batch_of_ones_own_gives_the_same_ids_each_time(place: Path) -> None:
    kept = Kept([True, True])
    async with peer(place, kept), Client(place) as client:
        for _ in range(2):
            added = await client.add_examples("m", "u", [{"x": 1.0}, {"x": 2.0}], batch="monday")
    assert (kept.ids, added.accepted, added.duplicates) == (["monday-0", "monday-1"], 0, 2)


async def test_what_would_be_done_twice_is_not_sent_twice(place: Path) -> None:
    async def nothing(_request: Heard, _stream: ByteStream) -> None:
        """The connection ends."""

    async with peer(place, nothing) as server, Client(place) as client:
        with pytest.raises(MLDaemonError, match="whether it was done is not known") as raised:
            await client.update("m", "u")
        assert (raised.value.kind, raised.value.status, len(server.heard)) == ("connection", None, 1)
        with pytest.raises(MLDaemonError, match="broke before the answer was complete") as raised:
            await client.syncs()
        assert "not known" not in str(raised.value) and len(server.heard) == 1 + 4


@pytest.mark.parametrize(
    "broken",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Ty", http(b"\x91\x84", length=100), refused("503 Busy", "ServiceUnavailable", "stopping")],
    ids=["nothing", "half a head", "half a body", "not now"],
)
async def test_looking_is_tried_again_until_it_succeeds(place: Path, broken: bytes) -> None:
    async with peer(place, broken, broken, packed([SYNC])) as server, Client(place) as client:
        assert [record.place for record in await client.syncs()] == ["s3://bucket"]
        assert len(server.heard) == 3


NONSENSE: list[tuple[str, bytes, str]] = [
    ("no HTTP", b"220 smtp.example.org ESMTP\r\n", "the connection broke"),
    ("a page", http(b"<html>", "text/html"), "expected an answer in msgpack, got text/html"),
    ("no type", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "got one of no type"),
    ("another record", packed([{"place": 3}]), "expected list.*SyncRecord.*, got an answer that is none"),
    ("no list", packed(7), "Expected `array`, got `int`"),
    ("half of msgpack", http(b"\xdd\xff\xff\xff\xff"), "got an answer that is none"),
    ("very deep", http(b"\x91" * 100_000), "got an answer that is none"),
    ("text that is none", http(b"\x91\x81\xa5place\xa1\xff"), "got an answer that is none"),
    ("elsewhere", b"HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n", "got status 302 and no reason"),
    ("no reason", http(b"", status="500 No"), "got status 500 and no reason"),
    ("a reason of another kind", packed({"error": "bad"}, "500 No"), "got status 500 and no reason"),
    ("a reason in JSON", http(b'{"error": {"kind": "Oh", "message": "so it is"}}', "application/json", "500 No"), "^so it is$"),
]


@pytest.mark.parametrize(("answer", "told"), [row[1:] for row in NONSENSE], ids=[row[0] for row in NONSENSE])
async def test_nonsense_is_one_error(place: Path, answer: bytes, told: str) -> None:
    async with peer(place, answer), Client(place) as client:
        with pytest.raises(MLDaemonError, match=told):
            await client.syncs()


async def test_a_refusal_has_kind_status_and_field(place: Path) -> None:
    refusal = refused("404 Not Found", "MLNotFoundError", "model 'm': expected one, got none", "model")
    async with peer(place, refusal) as server, Client(place) as client:
        with pytest.raises(MLDaemonError, match="^model 'm': expected one, got none$") as raised:
            await client.model("m")
    error = raised.value
    assert isinstance(error, MLModelError) and (error.kind, error.status, error.field) == ("MLNotFoundError", 404, "model")
    assert [request.path for request in server.heard] == ["/v1/models/m"]


async def test_a_refusal_of_an_example_counts_as_the_caller_does(place: Path) -> None:
    refusal = refused("422 No", "MLFeatureError", "example 7: training input 'x': expected a double", "examples[7].features.x")
    async with peer(place, packed({"accepted": 1000, "duplicates": 0, "waiting": 1000}), refusal), Client(place) as client:
        with pytest.raises(MLDaemonError, match="^example 1007: training") as raised:
            await client.add_examples("m", "u", ({"x": 0.0} for _ in range(1100)))
    assert raised.value.field == "examples[1007].features.x"


async def silent(_request: Heard, _stream: ByteStream) -> None:
    await anyio.sleep_forever()


async def drip(_request: Heard, stream: ByteStream) -> None:
    """An answer without end, a byte at a time."""
    await stream.send(http(b"", length=10**9))
    with suppress(anyio.BrokenResourceError):  # the client has gone
        while True:
            await stream.send(b"\x00")
            await checkpoint()


@pytest.mark.parametrize("answer", [silent, drip])
async def test_a_server_that_does_not_come_to_an_end_is_left(place: Path, answer: Callable[..., Awaitable[None]]) -> None:
    async with peer(place, answer) as server, Client(place, timeout=0.05) as client:
        with pytest.raises(MLDaemonError, match=r"expected an answer within 0\.05 s, got none$") as raised:
            await client.status()
        assert (raised.value.kind, len(server.heard)) == ("timeout", 1)
        with pytest.raises(MLDaemonError, match="whether it was done is not known"):
            await client.update("m", "u")


@pytest.mark.parametrize("answer", [http(b"\x00" * 2000), http(b"\x00" * 2000, status="500 No")], ids=["a large answer", "a large refusal"])
async def test_a_huge_answer_is_not_read(place: Path, answer: bytes) -> None:
    async with peer(place, answer), Connection(place, None, 5.0, most_bytes=1000) as asking:
        with pytest.raises(MLDaemonError, match="at most 1000 bytes, got more"):
            await asking.ask(list[ModelRecord], "GET", "/v1/models")


async def test_where_nobody_is_the_error_says_what_to_do(place: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no socket")
    for at in (place, tmp_path / "file", "http://127.0.0.1:9"):
        async with Client(at) as client:
            with pytest.raises(MLNoDaemonError, match=f"no daemon answers at {at}.*'tailor daemon' starts one") as raised:
                await client.update("m", "u")
    assert (raised.value.kind, raised.value.status) == ("connection", None)


async def test_a_daemon_that_comes_up_is_found(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PAUSES", repeat(0.0))
    async with Client(place) as client, anyio.create_task_group() as group:
        answers: list[Any] = []

        async def begin() -> None:
            answers.append(await client.update("m", "u"))  # nothing was sent, so that it does no harm

        group.start_soon(begin)
        for _ in range(10):
            await checkpoint()
        assert not answers
        async with peer(place, packed(UPDATE, "202 Accepted")) as server:
            while not answers:
                await checkpoint()
    assert (answers[0].state, len(server.heard)) == ("waiting", 1)


async def test_tokens_go_with_tcp_only_and_cannot_smuggle(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TAILOR_DAEMON_TOKEN", "from-the-environment")
    async with peer(place, packed([])) as server, Client(place, token="secret") as client:
        await client.syncs()
    assert "authorization" not in server.heard[0].headers
    heard: list[bytes] = []

    async def take(stream: ByteStream) -> None:
        async with stream:
            heard.append(await stream.receive())
            await stream.send(packed([]))

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, take)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        for token in ("secret", None):
            async with Client(f"http://127.0.0.1:{port}", token) as client:
                await client.syncs()
        monkeypatch.delenv("TAILOR_DAEMON_TOKEN")
        (tmp_path / "tailor").mkdir()
        (tmp_path / "tailor" / "token").write_text("from-the-file\n")
        async with Client(f"http://127.0.0.1:{port}") as client:
            await client.syncs()
        group.cancel_scope.cancel()
    told = [next(line for line in request.split(b"\r\n") if line.startswith(b"Authorization")) for request in heard]
    assert told == [b"Authorization: Bearer secret", b"Authorization: Bearer from-the-environment", b"Authorization: Bearer from-the-file"]
    with pytest.raises(MLModelError, match="expected printable ASCII"):
        Client("http://127.0.0.1:9", "a\r\nX-Admin: yes")


@pytest.mark.parametrize(("name", "sent"), [("../../status", "%2E%2E%2F..%2Fstatus"), ("a b?c#d", "a%20b%3Fc%23d"), ("é", "%C3%A9")])
async def test_names_are_one_part_of_a_path(place: Path, name: str, sent: str) -> None:
    async with peer(place, refused("404 No", "MLNotFoundError", "no")) as server, Client(place) as client:
        with pytest.raises(MLDaemonError):
            await client.model(name)
        for nothing in ("", ".", ".."):
            with pytest.raises(MLDaemonError, match="expected a name"):
                await client.user("m", nothing)
    assert [request.path.replace("..%2F..", "%2E%2E%2F..") for request in server.heard] == [f"/v1/models/{sent}"]


@pytest.mark.parametrize("digits", ["abc", "ABCDEF", "xyzxyz", "a" * 33, "../../x"])
async def test_an_identifier_is_six_digits_or_more(place: Path, digits: str) -> None:
    async with peer(place, packed([])) as server, Client(place) as client:
        with pytest.raises(MLDaemonError, match="expected six or more digits"):
            await client.find_update(digits)
        assert server.heard == []


async def test_the_beginning_of_an_identifier_finds_it_over_pages(place: Path) -> None:
    first = [{**UPDATE, "identifier": f"{number:032x}"} for number in range(1000)]
    last = [{**UPDATE, "identifier": "abcdef" + end * 26} for end in "01"]
    async with peer(place, packed(first), packed(last)) as server, Client(place) as client:
        assert await client.find_update("abcdef0") == "abcdef" + "0" * 26
        assert f"after={999:032x}" in server.heard[1].path
        with pytest.raises(MLDaemonError, match="begins with abcdef, got abcdef0"):
            await client.find_update("abcdef")
        with pytest.raises(MLDaemonError, match="begins with bbbbbb, got none"):
            await client.find_update("bbbbbb")
