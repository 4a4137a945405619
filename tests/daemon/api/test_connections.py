"""Clients that are slow, rude or many, at real sockets. On asyncio only, which is what uvicorn runs on."""

from __future__ import annotations

import json
import re
import resource
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.to_thread import run_sync

from tailor.daemon.configuration.settings import Http
from tailor.daemon.service import server
from tailor.daemon.service.listening import listening
from tailor.daemon.service.server import serve

pytestmark = pytest.mark.anyio
LONG = 30.0
"""Seconds in which what is waited for comes, on the slowest machine."""
SOON = 0.3
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = 2 << 20


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Echo:
    """An application that tells the length of a body; ``/large`` has a large answer, ``/wait`` waits for ``release``.

    ``ended``: paths of requests that it is through with.
    """

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.waits, self.release = anyio.Event(), anyio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._answer(scope["path"], receive, send)
        finally:
            self.ended.append(scope["path"])

    async def _answer(self, path: str, receive: Any, send: Any) -> None:
        if path == "/wait":
            self.waits.set()
            await self.release.wait()
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size, more = size + len(message["body"]), message["more_body"]
        body = bytes(LARGE) if path == "/large" else b"%d" % size
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body, "more_body": False})


Connect = Callable[[bytes], Awaitable[SocketStream]]


@asynccontextmanager
async def serving(folder: Path, app: Any, *, seconds: float = LONG, **http: Any) -> AsyncIterator[Connect]:
    """Gives what connects to it and sends some bytes. The server has to end by itself after the block."""
    path, stop = folder / "socket", anyio.Event()

    async def run(*, task_status: TaskStatus[None]) -> None:
        with listening(path, None) as sockets:
            await serve(app, sockets, Http(**http), stop=stop, seconds=seconds, started=task_status.started)

    connected: list[SocketStream] = []

    async def connect(data: bytes) -> SocketStream:
        connected.append(await anyio.connect_unix(path))
        with suppress(anyio.BrokenResourceError):  # refused before it has sent all
            await connected[-1].send(data)
        return connected[-1]

    try:
        with anyio.fail_after(LONG):
            async with anyio.create_task_group() as group:
                await group.start(run)
                yield connect
                stop.set()
    finally:
        for stream in connected:
            await anyio.aclose_forcefully(stream)


async def all_of(stream: SocketStream) -> bytes:
    """What comes until the other side ends it."""
    received = bytearray()
    with suppress(anyio.BrokenResourceError):  # ended in the midst of it
        async for data in stream:
            received += data
    return bytes(received)


async def answer_of(stream: SocketStream) -> bytes:
    """One answer."""
    received = b""
    while not (match := re.search(rb"content-length: (\d+)\r\n(?:.*\r\n)*?\r\n", received)):
        received += await stream.receive()
    while len(received) < match.end() + int(match[1]):
        received += await stream.receive()
    return received


def refusal(received: bytes) -> tuple[int, str]:
    """Status and kind of the last answer, after which the connection has to end."""
    head, _, body = received.rpartition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head.rpartition(b"HTTP/1.1 ")[2][:3]), json.loads(body)["error"]["kind"]


TIMEOUT, HEAD = (408, "RequestTimeout"), (431, "RequestHeaderFieldsTooLarge")
RUDE: dict[str, tuple[bytes, tuple[int, str]]] = {
    "no HTTP": (b"hello\r\n\r\n", (400, "BadRequest")),
    "two lengths": (b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", (400, "BadRequest")),
    "half a line": (b"GET / HT", TIMEOUT),
    "half a head": (b"GET / HTTP/1.1\r\nhost: x\r\n", TIMEOUT),
    "half a body": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345", TIMEOUT),
    "half a chunk": (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123", TIMEOUT),
    "half a request behind a whole one": (GET + b"GET /", TIMEOUT),
    "an endless address": (b"GET /" + b"x" * (1 << 18), HEAD),
    "endless headers": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (1 << 15), HEAD),
    "an endless header": (b"GET / HTTP/1.1\r\na: " + b"b" * (1 << 20), HEAD),
    "endless trailers": (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * (1 << 15), HEAD),
}


@pytest.mark.parametrize("rude", RUDE)
async def test_a_request_without_end_is_refused(rude: str, tmp_path: Path) -> None:
    sent, expected = RUDE[rude]
    async with serving(tmp_path, Echo(), request_seconds=SOON) as connect:
        assert refusal(await all_of(await connect(sent))) == expected
        assert (await answer_of(await connect(GET))).endswith(b"0")


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "an empty line"])
@pytest.mark.parametrize("first", [True, False], ids=["at first", "behind a request"])
async def test_who_asks_for_nothing_is_let_go(first: bool, sent: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", SOON)
    async with serving(tmp_path, Echo(), request_seconds=SOON) as connect:
        stream = await connect(b"" if first else GET)
        if not first:
            await answer_of(stream)
        await stream.send(sent)
        assert await all_of(stream) == b""


def gone(*clients: socket.socket) -> None:
    """Returns once the other side has let go of all of them; nothing is read."""
    poll, left = select.poll(), {client.fileno() for client in clients}
    for number in left:
        poll.register(number, 0)  # hanging up is always told
    while left:
        ended = [number for number, _ in poll.poll(LONG * 1000)]
        assert ended, f"{len(left)} are still connected"
        for number in ended:
            poll.unregister(number)
        left.difference_update(ended)


async def test_who_does_not_read_is_let_go(tmp_path: Path) -> None:
    async with serving(tmp_path, Echo(), request_seconds=SOON) as connect:
        stream = await connect(GET.replace(b"/", b"/large", 1))
        await run_sync(gone, stream.extra(SocketAttribute.raw_socket))
        assert len(await all_of(stream)) < LARGE


async def test_who_reads_has_all_of_a_large_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, Echo(), request_seconds=LONG) as connect:
        received = await all_of(await connect(b"GET /large HTTP/1.1\r\nconnection: close\r\n\r\n"))
        assert len(received.partition(b"\r\n\r\n")[2]) == LARGE


async def test_a_thousand_slow_clients_keep_nobody_waiting(tmp_path: Path) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 3000:
        pytest.skip("opens 2,000 files, and the system allows fewer")
    kinds = [b"GET / HTTP/1.1\r\nhost", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n1", GET.replace(b"/", b"/large", 1)]
    async with serving(tmp_path, Echo(), request_seconds=1.0) as connect:
        slow = [await connect(kinds[number % 3]) for number in range(999)]
        for _ in range(20):
            assert (await answer_of(await connect(GET))).endswith(b"0")
        await run_sync(gone, *(stream.extra(SocketAttribute.raw_socket) for stream in slow))
        assert (await answer_of(await connect(GET))).endswith(b"0")


async def test_one_connection_too_many_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, Echo(), connections=2) as connect:
        first, second = await connect(GET), await connect(GET)
        await answer_of(first)
        await answer_of(second)
        assert refusal(await all_of(await connect(b""))) == (503, "ServiceUnavailable")
        await first.aclose()
        await second.send(GET)
        await answer_of(second)  # by now the server knows that the first has gone
        assert (await answer_of(await connect(GET))).endswith(b"0")


async def test_at_the_end_requests_are_answered_and_idle_connections_closed(tmp_path: Path) -> None:
    app, answers = Echo(), []

    async def follow(idle: SocketStream, waiting: SocketStream) -> None:
        answers.append(await all_of(idle))  # which the end closes
        app.release.set()
        answers.append(await all_of(waiting))

    async with anyio.create_task_group() as group, serving(tmp_path, app) as connect:
        idle = await connect(GET)
        await answer_of(idle)
        group.start_soon(follow, idle, await connect(GET.replace(b"/", b"/wait", 1)))
        await app.waits.wait()
    assert answers[0] == b""
    assert answers[1].endswith(b"0")


async def test_it_ends_in_time_whoever_is_still_there(tmp_path: Path) -> None:
    app, answers = Echo(), []

    async def follow(stream: SocketStream) -> None:
        answers.append(await all_of(stream))

    async with anyio.create_task_group() as group, serving(tmp_path, app, seconds=0.05) as connect:
        group.start_soon(follow, await connect(GET.replace(b"/", b"/wait", 1)))
        await app.waits.wait()
    assert app.ended == ["/wait"]
    assert answers == [b""]


async def test_to_cancel_it_leaves_nothing(tmp_path: Path) -> None:
    app = Echo()
    async with anyio.create_task_group() as group:

        async def run(*, task_status: TaskStatus[None]) -> None:
            with listening(tmp_path / "socket", None) as sockets:
                await serve(app, sockets, Http(), stop=anyio.Event(), seconds=0.05, started=task_status.started)

        await group.start(run)
        stream = await anyio.connect_unix(tmp_path / "socket")
        await stream.send(GET.replace(b"/", b"/wait", 1))
        await app.waits.wait()
        group.cancel_scope.cancel()
    assert app.ended == ["/wait"]
    assert not await anyio.Path(tmp_path / "socket").exists()
    await stream.aclose()
