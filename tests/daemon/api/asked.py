"""A daemon in this process with a small classifier, and requests of its API without a server, on any event loop."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import msgspec

from tailor import MLModelStore
from tailor.client import NewModel
from tailor.daemon.api import Application, Service, Tokens
from tailor.daemon.configuration import Settings
from tailor.daemon.daemon import Daemon
from tailor.persistence import MemoryBackend
from tests.tasks.softmax_regression import classifier

TOKENS = Tokens("full-" + "f" * 32, "read-" + "r" * 32)
UNIX, TCP = ("/run/daemon.sock", None), ("127.0.0.1", 7411)
MODEL = classifier().to_bytes()
EXAMPLES = [{"features": {"x": [0.5, -1], "classLabel": "low"}}, {"features": {"x": [2, 1], "classLabel": "high"}}]
PORT = f"127.0.0.1:{TCP[1]}"


def settings(**tables: Any) -> Settings:
    """Settings by the names of a file; no update begins by itself."""
    return msgspec.convert({"updates": {"examples": 0}, **tables}, Settings)


@asynccontextmanager
async def opened(folder: Path, given: Settings | None = None) -> AsyncIterator[Daemon]:
    """A daemon whose model ``points`` is registered."""
    async with MLModelStore(MemoryBackend()) as store, Daemon(given or settings(), folder, store) as daemon:
        await daemon.register("points", NewModel(data=MODEL))
        yield daemon


@asynccontextmanager
async def served(folder: Path, given: Settings | None = None, **more: Any) -> AsyncIterator[Application]:
    """Its API."""
    async with opened(folder, given) as daemon:
        yield Application(Service(daemon, **{"tokens": TOKENS, **more}))


@dataclass
class Answer:
    """What came back. ``taken``: how many bytes of the body were asked for."""

    status: int
    headers: dict[str, str]
    body: bytes
    taken: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


async def ask(
    app: Application,
    method: str,
    address: str,
    given: Any = None,
    *,
    headers: dict[str, str] | None = None,
    parts: Sequence[bytes] = (),
    server: tuple[str, int | None] = UNIX,
) -> Answer:
    """A request with ``given`` as JSON, or as it is where it is bytes; its body comes in ``parts``, where there are some."""
    path, _, query = address.partition("?")
    body = given if isinstance(given, bytes) else b"" if given is None else json.dumps(given).encode()
    named = {"host": "localhost", "content-type": "application/json", **{name.lower(): value for name, value in (headers or {}).items()}}
    if body:
        named.setdefault("content-length", str(len(body)))
    coming = list(parts) if parts else [body]
    status, answered, received, taken = 0, {}, bytearray(), 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        if not coming:
            await anyio.sleep_forever()
        part = coming.pop(0)
        taken += len(part)
        return {"type": "http.request", "body": part, "more_body": bool(coming)}

    async def send(message: Any) -> None:
        nonlocal status, answered
        if message["type"] == "http.response.start":
            status, answered = message["status"], {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            received.extend(message["body"])

    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "client": None, "server": server,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()],
    }  # fmt: skip
    await app(scope, receive, send)
    return Answer(status, answered, bytes(received), taken)
