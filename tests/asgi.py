"""A client of an ASGI application in this process, on any event loop: it can read a response as it comes, and go away when it likes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio

Message: TypeAlias = MutableMapping[str, Any]
Application: TypeAlias = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


@dataclass
class Response:
    """``status`` is 0 until the response begins. ``chunks``: of its body, as they come; at ``leave`` the client goes away."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    leave: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self._sent, self.chunks = anyio.create_memory_object_stream[bytes](0)

    async def body(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks])

    async def json(self) -> Any:
        return json.loads(await self.body())

    async def take(self, message: Message) -> None:
        """What the application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["body"]:
            with suppress(anyio.BrokenResourceError):  # the client has gone: a server lets that pass
                await self._sent.send(message["body"])

    def end(self) -> None:
        self._sent.close()


@asynccontextmanager
async def request(app: Application, method: str, path: str, body: bytes = b"") -> AsyncIterator[Response]:
    """A request under way; at the end of the block the client has gone, and the application is through with it."""
    response = Response()
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await response.leave.wait()
        return {"type": "http.disconnect"}

    scope: Message = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [], "client": None, "server": None,
    }  # fmt: skip

    async def run() -> None:
        try:
            await app(scope, receive, response.take)
        finally:
            response.end()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        try:
            yield response
        finally:
            response.leave.set()
            response.chunks.close()


async def answer(app: Application, method: str, path: str, given: Any = None) -> tuple[int, Any]:
    """Status and body, both JSON, of a request."""
    async with request(app, method, path, given if isinstance(given, bytes) else json.dumps(given).encode()) as response:
        told = await response.json()
        return response.status, told
