"""Events as they come, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import Any, Protocol

import anyio
import msgspec
from msgspec.structs import replace
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from tailor.client import EventRecord

from .failures import Refusal
from .metrics import Metrics

HEARTBEAT = 15.0
"""Seconds between two comments that keep a silent stream open, and tell of a reader that is gone."""
_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
_encode = msgspec.json.Encoder().encode


class Followed(AsyncIterable[EventRecord], Protocol):
    """Events as they come, until there is no more of them, or ``aclose``."""

    async def aclose(self) -> object: ...


class EventStream:
    """An answer of ``events``, for as long as they come and somebody listens.

    Whoever reads slowly keeps nobody waiting: the next event is only taken once the last is sent, and who makes them bounds how many wait.
    """

    def __init__(self, events: Followed, measured: Metrics) -> None:
        self._events = events
        self._measured = measured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them."""
        turn = anyio.Lock()  # a message is whole before the next begins

        async def say(data: bytes) -> None:
            async with turn:
                await send({"type": "http.response.body", "body": data, "more_body": True})

        async def beat() -> None:
            while True:
                await anyio.sleep(HEARTBEAT)
                await say(b": still here\n\n")

        async def leave() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        self._measured.listeners += 1
        try:
            async with aclosing(self._events), anyio.create_task_group() as group:
                if scope["method"] != "HEAD":
                    group.start_soon(leave)
                    group.start_soon(beat)
                    await say(b": here\n\n")  # so that whoever asked sees at once that it listens
                    async for event in self._events:
                        if event.kind == "missed":
                            self._measured.missed += event.detail.get("count", 0)
                        await say(written(event))
                group.cancel_scope.cancel()
        finally:
            self._measured.listeners -= 1
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def since(headers: Headers, asked: Any) -> Any:
    """The query with ``Last-Event-ID`` for ``after``, which a browser sends when it connects again.

    Raises ``Refusal`` for one that is no number.
    """
    told = headers.get("last-event-id")
    if told is None:
        return asked
    if not told.isascii() or not told.isdecimal() or len(told) > 16:
        raise Refusal(400, f"expected Last-Event-ID to be the number of an event, got {told[:40]!r}", field="Last-Event-ID")
    return replace(asked, after=int(told))


def written(event: EventRecord) -> bytes:
    """An event on its wire: three fields and an empty line. JSON and kinds have no line breaks."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.sequence, event.kind.encode(), _encode(event))
