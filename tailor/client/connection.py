"""Requests to a daemon and its answers: msgpack over HTTP/1.1, bounded in size and time, tried again where that does no harm."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import anyio

from tailor import MLModelError

from .errors import MLDaemonError, MLNoDaemonError
from .extra import httpcore, msgspec
from .places import as_place, default_state
from .records import ErrorRecord

T = TypeVar("T")

MSGPACK = "application/msgpack"
MOST_BYTES = 256 << 20
"""Of an answer."""
_PAUSES = (0.1, 0.3, 0.9)
"""Seconds before a request is made again."""
_AGAIN_LATER = 503
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError)


class Connection:
    """What a client speaks through: an ``async with`` around requests.

    ``timeout``  seconds that a request may take, with its answer, each time that it is made.
    ``token``    for TCP; ``None``: that of the environment variable ``TAILOR_DAEMON_TOKEN``, otherwise of the file ``token`` in the state
                 folder, where there is one.
    """

    def __init__(self, place: str | os.PathLike[str] | None, token: str | None, timeout: float, most_bytes: int = MOST_BYTES) -> None:
        try:
            self.place = as_place(place)
        except ValueError as error:
            raise MLModelError(f"daemon: {error}") from None
        self.timeout = timeout
        self._most_bytes = most_bytes
        self._headers = {"Host": self.place.url.removeprefix("http://"), "Accept": MSGPACK, "User-Agent": "tailor"}
        if self.place.socket is None:
            self._headers |= _authorization(token)
        socket = str(self.place.socket) if self.place.socket is not None else None
        # Daemons end connections that rest for 75 s: one that is about to be ended is not used again.
        self._pool = httpcore.AsyncConnectionPool(uds=socket, max_connections=100, keepalive_expiry=30.0)

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._pool.__aexit__(kind, error, trace)

    async def ask(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        raw: bytes | None = None,
        again: bool | None = None,
        within: float | None = None,
    ) -> T:
        """The answer to a request, as ``kind``. ``body``: what is sent as msgpack; ``raw``: bytes that are sent as they are.

        ``again``: it does no harm to make the request twice; so it is with ``GET``. ``within``: seconds, in place of the client's.

        Raises ``MLDaemonError``, and ``MLNoDaemonError`` where nobody answers.
        """
        headers = dict(self._headers)
        content = raw
        if raw is not None:
            headers["Content-Type"] = "application/octet-stream"
        elif body is not None:
            headers["Content-Type"] = MSGPACK
            content = msgspec.msgpack.encode(body)
        if method != "GET":
            headers["Content-Length"] = str(len(content or b""))
        request = (method, self.url(path, query), headers, content)
        harmless = method == "GET" if again is None else again
        pauses = iter(_PAUSES)
        while True:
            pause = next(pauses, None)
            try:
                with anyio.fail_after(within or self.timeout):
                    status, media, data = await self._answer(*request)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:  # nothing was sent
                if pause is None:
                    raise self.nobody(error) from None
            except _BROKEN as error:
                if pause is None or not harmless:
                    raise self._broken(error, harmless) from None
            except (TimeoutError, httpcore.TimeoutException):
                raise self._late(within or self.timeout, harmless) from None
            else:
                if status != _AGAIN_LATER or pause is None or not harmless:
                    return self._understood(kind, status, media, data)
            await anyio.sleep(pause)

    async def stream(self, path: str, query: Mapping[str, Any], headers: Mapping[str, str], quiet: float) -> httpcore.Response:
        """An answer that goes on; to be closed. ``quiet``: seconds in which something has to come.

        Raises ``MLDaemonError``, and what httpcore raises.
        """
        timeout = {"connect": self.timeout, "write": self.timeout, "pool": self.timeout, "read": quiet}
        headers = {**self._headers, **headers}
        request = httpcore.Request("GET", self.url(path, query), headers=_pairs(headers), extensions={"timeout": timeout})
        response = await self._pool.handle_async_request(request)
        media = _media(response)
        if response.status == 200 and media == headers["Accept"]:
            return response
        try:
            with anyio.fail_after(self.timeout):
                data = await self._body(response)
        finally:
            await response.aclose()
        self._check(response.status, media, data)
        raise MLDaemonError(f"{self.place}: expected {headers['Accept']}, got {media or 'an answer of no type'}", status=response.status)

    async def _answer(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> tuple[int, str, bytes]:
        """Status, media type and body."""
        request = httpcore.Request(method, url, headers=_pairs(headers), content=content)
        response = await self._pool.handle_async_request(request)
        try:
            return response.status, _media(response), await self._body(response)
        finally:
            await response.aclose()

    async def _body(self, response: httpcore.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        coming = aiter(response.aiter_stream())
        async for part in coming:
            size += len(part)
            if size > self._most_bytes:
                await left(response, coming)
                told = f"{self.place}: expected an answer of at most {self._most_bytes} bytes, got more"
                raise MLDaemonError(told, status=response.status)
            parts.append(part)
        return b"".join(parts)

    def _understood(self, kind: type[T], status: int, media: str, data: bytes) -> T:
        self._check(status, media, data)
        if status == 204:
            data, media = b"\xc0", MSGPACK  # null
        if kind is str and media == "text/plain":
            return msgspec.convert(data.decode("utf-8", "replace"), kind)
        if media != MSGPACK:
            raise MLDaemonError(
                f"{self.place}: expected an answer in msgpack, got {media or 'one of no type'}: is it a daemon?", status=status
            )
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            told = f"{self.place}: expected {_named(kind)}, got an answer that is none ({error}): is the daemon of another version?"
            raise MLDaemonError(told, status=status) from None

    def _check(self, status: int, media: str, data: bytes) -> None:
        """Raises the error that an answer tells of."""
        if 200 <= status < 300:
            return
        try:
            decode = msgspec.msgpack.decode if media == MSGPACK else msgspec.json.decode
            told = decode(data, type=ErrorRecord).error
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise MLDaemonError(f"{self.place}: expected an answer, got status {status} and no reason", status=status) from None
        raise MLDaemonError(told.message, kind=told.kind, status=status, field=told.field)

    def url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """The address of ``path``, with what is said behind the question mark; what is ``None`` is not."""
        told = urlencode({name: _word(value) for name, value in (query or {}).items() if value is not None}, doseq=True)
        return f"{self.place.url}{path}" + (f"?{told}" if told else "")

    def nobody(self, error: Exception) -> MLNoDaemonError:
        """That nobody answers, and what to do."""
        at = self.place.socket
        if at is not None and at.exists() and not os.access(at, os.R_OK | os.W_OK):
            return MLNoDaemonError(f"{at}: expected a daemon of this user, got a socket that only another user may use")
        why = f" ({error})" if at is None and str(error) else ""
        start = "'tailor daemon' starts one; --daemon or TAILOR_DAEMON say where else one listens"
        return MLNoDaemonError(f"no daemon answers at {self.place}{why}; {start}")

    def _broken(self, error: Exception, harmless: bool) -> MLDaemonError:
        unknown = "" if harmless else "; whether it was done is not known"
        return MLDaemonError(f"{self.place}: the connection broke before the answer was complete ({error}){unknown}", kind="connection")

    def _late(self, seconds: float, harmless: bool) -> MLDaemonError:
        unknown = "" if harmless else "; whether it was done is not known"
        return MLDaemonError(f"{self.place}: expected an answer within {seconds:g} s, got none{unknown}", kind="timeout")


async def left(response: httpcore.Response, coming: AsyncIterator[bytes]) -> None:
    """Closes the connection of an answer that is not read to its end.

    What reads from it is run to its end afterwards, which is near: httpcore leaves generators behind otherwise, of which trio complains.
    """
    await response.aclose()
    with suppress(*_BROKEN, httpcore.TimeoutException):
        async for _ in coming:
            pass


def _authorization(token: str | None) -> dict[str, str]:
    told = token or os.environ.get("TAILOR_DAEMON_TOKEN", "")
    if not told:
        try:
            told = (default_state() / "token").read_text(encoding="ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return {}
    if not (told.isascii() and told.isprintable()):
        raise MLModelError("token of a daemon: expected printable ASCII, got other characters")
    return {"Authorization": f"Bearer {told}"}


def _pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("ascii")) for name, value in headers.items()]


def _media(response: httpcore.Response) -> str:
    told: bytes = next((value for name, value in response.headers if name.lower() == b"content-type"), b"")
    return told.decode("ascii", "replace").partition(";")[0].strip().lower()


def _named(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind)) if not getattr(kind, "__args__", ()) else str(kind)


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
