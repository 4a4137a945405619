"""A server that answers as a test says, well or badly: HTTP/1.1 on a Unix socket, its answers written out byte by byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import h11
import msgpack
from anyio.abc import ByteStream


@dataclass
class Heard:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def told(self) -> Any:
        return msgpack.unpackb(self.body, timestamp=3)


Answer: TypeAlias = bytes | Callable[[Heard, ByteStream], Awaitable[None]]
"""Bytes to be sent, or who answers; the connection is closed behind it."""


@dataclass
class Peer:
    """``heard``: the requests, in the order they came. ``answers``: one for each; the last is for all further ones."""

    place: Path
    answers: list[Answer]
    heard: list[Heard] = field(default_factory=list)

    async def take(self, stream: ByteStream) -> None:
        async with stream:
            request = await _read(stream)
            if request is None:
                return
            self.heard.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                await stream.send(answer)
            else:
                await answer(request, stream)


async def _read(stream: ByteStream) -> Heard | None:
    parser = h11.Connection(h11.SERVER)
    request: Heard | None = None
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            try:
                parser.receive_data(await stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return None
        elif isinstance(event, h11.Request):
            headers = {name.decode().lower(): value.decode() for name, value in event.headers}
            request = Heard(event.method.decode(), event.target.decode(), headers)
        elif isinstance(event, h11.Data) and request is not None:
            request.body += bytes(event.data)
        else:
            return request


@asynccontextmanager
async def peer(place: Path, *answers: Answer) -> AsyncIterator[Peer]:
    """A peer that listens at ``place``."""
    made = Peer(place, list(answers))
    async with await anyio.create_unix_listener(place) as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, made.take)
        yield made
        group.cancel_scope.cancel()


def http(body: bytes, media: str = "application/msgpack", status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer; ``length``: what it says of itself."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode() + body


def packed(told: Any, status: str = "200 OK") -> bytes:
    """An answer in msgpack."""
    return http(msgpack.packb(told), status=status)


def refused(status: str, kind: str, message: str, field: str | None = None) -> bytes:
    """An answer that is none."""
    return packed({"error": {"kind": kind, "message": message, "field": field}}, status)


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def event(sequence: int, **fields: Any) -> bytes:
    """An event on its wire."""
    import json

    told = {"sequence": sequence, "time": "2026-01-02T03:04:05Z", "kind": "told", "text": f"number {sequence}", **fields}
    return f"id: {sequence}\nevent: {told['kind']}\ndata: {json.dumps(told)}\n\n".encode()
