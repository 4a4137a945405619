"""Requests to an HTTP server from worker threads: over connections that are kept, repeated where that is safe, in bounded time."""

from __future__ import annotations

import ssl
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, responses
from types import TracebackType
from typing import Self

from ..errors import BackendError
from .source import Source

KEPT = 16
CHUNK = 1 << 20
FIRST_PAUSE = 0.1
BUSY = {429, 500, 502, 503, 504}


class HttpServer:
    """The server at ``host``. Everything here blocks.

    ``name``     what errors call it.
    ``timeout``  seconds that it may be silent.
    ``retries``  how often a request is repeated that could not be sent, or was answered with 429 or 5xx.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int | None,
        *,
        secure: bool,
        user: str | None,
        password: str | None,
        timeout: float,
        retries: int,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.name = name
        self._address = host, port
        self._context = ssl.create_default_context() if secure else None
        self._headers = {"User-Agent": "tailor", "Accept-Encoding": "identity"}
        if user is not None:
            self._headers["Authorization"] = "Basic " + b64encode(f"{user}:{password or ''}".encode()).decode("ascii")
        self._timeout = timeout
        self._retries = retries
        self._pause = pause
        self._idle: deque[HTTPConnection] = deque(maxlen=KEPT)
        self._closed = False

    def ask(
        self,
        method: str,
        path: str,
        fine: Collection[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Source | None = None,
        again: bool = True,
    ) -> Answer:
        """The answer, where its status is among ``fine``. Not ``again``: the request is sent once.

        Raises ``BackendError`` for any other status, and where there is no answer. What ``body`` raises comes through.
        """
        if self._closed:
            raise BackendError(f"{self.name}: {method} {path}: it is closed")
        sent = {**self._headers, **(headers or {})}
        left = self._retries if again else 0
        pause = FIRST_PAUSE
        while True:
            connection, fresh = self._connection(again)
            try:
                answer = Answer(self, f"{method} {path}", connection, _exchange(connection, method, path, sent, body))
            except BaseException as error:  # what the body raises, too: a request that was cut off spoils its connection
                connection.close()
                if (isinstance(body, Source) and body.failure is not None) or not isinstance(error, OSError | HTTPException):
                    raise
                if not fresh:
                    continue  # it was closed since its last use
                if not left:
                    raise BackendError(f"{self.name}: {method} {path}: expected an answer, got: {_said(error)}") from error
            else:
                if answer.status in fine:
                    return answer
                answer.close()
                if answer.status not in BUSY or not left:
                    raise BackendError(f"{self.name}: {method} {path}: expected {_wanted(fine)}, got {_status(answer.status)}")
            left -= 1
            self._pause(pause)
            pause *= 2

    def keep(self, connection: HTTPConnection) -> None:
        """Takes back a connection whose answer was read to the end."""
        if self._closed or len(self._idle) == KEPT:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Closes what is not in use; what is will be closed after it."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _connection(self, again: bool) -> tuple[HTTPConnection, bool]:
        """A connection and whether it is new, as it must be where a request cannot be sent again because the server had closed it."""
        if again:
            try:
                return self._idle.pop(), False
            except IndexError:
                pass
        host, port = self._address
        if self._context is None:
            return HTTPConnection(host, port, timeout=self._timeout), True
        return HTTPSConnection(host, port, timeout=self._timeout, context=self._context), True


class Answer:
    """A status, headers and chunks of one answer; a context, at whose end the connection is kept or closed."""

    def __init__(self, server: HttpServer, what: str, connection: HTTPConnection, response: HTTPResponse) -> None:
        self.status = response.status
        self._server = server
        self._what = what
        self._connection = connection
        self._response = response

    def chunks(self) -> Iterator[bytes]:
        """The body. Raises ``BackendError`` where it breaks off."""
        while True:
            try:
                chunk = self._response.read1(CHUNK)
                left = self._response.length if not chunk else None
            except (OSError, HTTPException) as error:
                raise BackendError(f"{self._server.name}: {self._what}: expected the rest of the answer, got: {_said(error)}") from error
            if left:
                raise BackendError(f"{self._server.name}: {self._what}: expected {left} bytes more, got the end")
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        """Keeps the connection where the answer is at its end, or nearly."""
        try:
            whole = self._response.isclosed() or len(self._response.read(CHUNK)) < CHUNK
        except (OSError, HTTPException):  # it is not needed any more
            whole = False
        if whole and not self._response.will_close:
            self._server.keep(self._connection)
        else:
            self._response.close()
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _exchange(connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes | Source | None) -> HTTPResponse:
    try:
        connection.request(method, path, body=body, headers=headers)
    except (BrokenPipeError, ConnectionResetError):
        if isinstance(body, Source) and body.failure is not None:
            raise
        # A server that does not want the body may answer before it has it all; where it did not, this raises once more.
        response = connection.getresponse()
        response.will_close = True
        return response
    return connection.getresponse()


def _wanted(fine: Collection[int]) -> str:
    return " or ".join(_status(status) for status in sorted(fine))


def _status(status: int) -> str:
    return f"{status} {responses.get(status, '')}".rstrip()


def _said(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
