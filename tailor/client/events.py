"""What happens at a daemon, as it happens: server-sent events, taken up again where the connection breaks.

The form: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import anyio
import httpcore
import msgspec

from .connection import Connection, left
from .errors import MLDaemonError
from .records import EventRecord

QUIET = 60.0
"""Seconds after which a connection without a sign of life (the daemon sends one every 15 s) is given up."""
MOST_BYTES = 1 << 20
"""Of one event."""
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 5.0
_AT_FIRST = 1.5  # seconds of patience with a daemon that was never there
_STOPPING = 503
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class Events:
    """``async for event in events``: events with a ``sequence`` above ``after``, or from now on, without end.

    Within ``async with`` it is connected from the beginning, so that nothing is missed that happens in the block, and the connection is
    given back at its end. A connection that breaks is made again, and goes on behind the last event. ``patience``: seconds in which that
    has to succeed; then ``MLNoDaemonError`` is raised. Raises ``MLDaemonError`` where the daemon refuses, and for what is no event.
    """

    def __init__(self, connection: Connection, after: int | None = None, *, patience: float = 30.0, quiet: float = QUIET) -> None:
        self._connection = connection
        self._after = after
        self._patience = patience
        self._quiet = quiet
        self._reached = False
        self._response: httpcore.Response | None = None
        self._parts: AsyncIterator[bytes] | None = None
        self._lines = Lines()
        self.breaks = 0
        """How often the connection was made again."""

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventRecord:
        while True:
            if (told := self._lines.next()) is not None:
                event = _event(told)
                self._after = event.sequence
                return event
            try:
                if self._parts is None:
                    await self._connect()
                else:
                    self._lines.feed(await anext(self._parts))
            except (*_BROKEN, StopAsyncIteration):
                await self.aclose()
                await self._reconnect()
            except BaseException:  # the connection is in the middle of something; the next call makes another one
                with anyio.CancelScope(shield=True):
                    await self.aclose()
                raise

    async def aclose(self) -> None:
        """Gives the connection back. To go on afterwards makes another."""
        response, parts, self._response, self._parts = self._response, self._parts, None, None
        self._lines = Lines()
        if response is not None and parts is not None:
            await left(response, parts)

    async def _connect(self) -> None:
        """Connects, waiting for a daemon that is not there yet."""
        try:
            await self._open()
        except _BROKEN:
            await self._reconnect()

    async def _reconnect(self) -> None:
        self.breaks += 1
        pause = _FIRST_PAUSE
        last: Exception = TimeoutError()
        with anyio.move_on_after(self._patience if self._reached else min(self._patience, _AT_FIRST)):
            while True:
                await anyio.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE)
                try:
                    return await self._open()
                except _BROKEN as error:
                    last = error
                except MLDaemonError as error:
                    if error.status != _STOPPING:
                        raise
                    last = error
        raise self._connection.nobody(last)

    async def _open(self) -> None:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(self._after)} if self._after is not None else {})
        self._response = await self._connection.stream("/v1/events", {}, headers, self._quiet)
        self._parts = aiter(self._response.aiter_stream())
        self._reached = True


class Lines:
    """Takes pieces of a stream, and gives the data of each event in it. Raises ``MLDaemonError`` for one that is too long."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._ready: list[bytes] = []

    def feed(self, part: bytes) -> None:
        """The next bytes."""
        *lines, rest = (self._rest + part).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            self._take(line)
        self._rest = rest
        if len(rest) + self._size > MOST_BYTES:
            raise MLDaemonError(f"events: expected at most {MOST_BYTES} bytes each, got more")

    def next(self) -> bytes | None:
        """The data of the next event that is complete."""
        return self._ready.pop(0) if self._ready else None

    def _take(self, line: bytes) -> None:
        if not line:
            if self._data:
                self._ready.append(b"\n".join(self._data))
            self._data, self._size = [], 0
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._size += len(line)


def _event(data: bytes) -> EventRecord:
    try:
        return msgspec.json.decode(data, type=EventRecord)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MLDaemonError(f"events: expected an event, got {data[:60]!r} ({error}): is the daemon of another version?") from None
