"""HTTP connections that end: uvicorn's, which waits for ever for half a request and for whoever does not read, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tailor.client import ErrorDetail, ErrorRecord

from ..api.failures import KINDS

MOST_HEAD = 64 << 10
"""Bytes of a request beside its body: uvicorn with httptools has no bound of its own."""


class _Clock:
    """Calls ``then`` so many seconds after it was started last, unless it is stopped before."""

    def __init__(self, loop: Any, seconds: float, then: Callable[[], None]) -> None:
        self._loop, self._seconds, self._then = loop, seconds, then
        self._handle: Any = None

    @property
    def is_running(self) -> bool:
        return self._handle is not None

    def start(self) -> None:
        self.stop()
        self._handle = self._loop.call_later(self._seconds, self._ring)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._then()


class BoundedConnection(HttpToolsProtocol):
    """A connection whose client has ``seconds`` for a whole request, and as long to read what was written; one of ``most`` at once.

    A request that does not come to its end is answered 408, a head without end 431, one connection too many 503. Whoever does not read is
    let go without a word.
    """

    seconds = 30.0
    most = 2000
    _fields = 0  # bytes of the address and of fields that were read
    _overhead = 0  # bytes that came since the read in which the request began, less its body
    _has_begun = False

    def connection_made(self, transport: Any) -> None:
        """Somebody is there."""
        super().connection_made(transport)
        self._request_clock = _Clock(self.loop, self.seconds, self._late)
        self._reading_clock = _Clock(self.loop, self.seconds, transport.abort)
        transport.set_write_buffer_limits(high=0)  # so that pause_writing comes as soon as anything is not taken at once
        if len(self.connections) > self.most:
            self._refuse(503, f"expected {self.most} connections at most, got one more")
        else:
            self._request_clock.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        self._request_clock.stop()
        self._reading_clock.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        if self.transport.is_closing():
            return
        self._overhead += len(data)
        super().data_received(data)
        if max(self._fields, self._overhead) > MOST_HEAD:
            self._refuse(431, f"expected the head of a request of at most {MOST_HEAD} bytes, got more")
        elif not self._request_clock.is_running and (self.cycle is None or self.cycle.response_complete or self.cycle.more_body):
            # uvicorn has stopped its own clock of idle connections, for what need not become a request
            self._request_clock.start()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._fields, self._overhead, self._has_begun = 0, 0, True
        self._request_clock.start()

    def on_url(self, url: bytes) -> None:
        """Some bytes of its address."""
        self._fields += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head, or one behind a body of chunks."""
        self._fields += len(name) + len(value) + 4  # with what stands between and behind them
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Some bytes of its body, which chunks have sizes beside."""
        self._overhead -= 2 * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._has_begun = False
        self._request_clock.stop()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Something was written that the client has not read yet."""
        super().pause_writing()
        self._reading_clock.start()

    def resume_writing(self) -> None:
        """It has read everything."""
        self._reading_clock.stop()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused as everything else is."""
        self._refuse(400, msg)

    def _late(self) -> None:
        if not self._has_begun:
            self.transport.close()
        elif self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
        else:
            self._refuse(408, f"expected a whole request within {self.seconds:g} seconds, got a part of it")

    def _refuse(self, status: int, message: str) -> None:
        """Answers what is not for the application to see, and closes."""
        if self.transport.is_closing():
            return
        body = msgspec.json.encode(ErrorRecord(error=ErrorDetail(kind=KINDS[status], message=message)))
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
