"""The API as an ASGI application, and the page beside it. It runs on any server and event loop."""

from __future__ import annotations

import time

from starlette.datastructures import Headers
from starlette.routing import Route as Path
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..daemon import VERSION
from ..web import PageFiles
from .bodies import CLOSING
from .endpoints import ROUTE, Endpoint, refusal
from .failures import Refusal, failure_of
from .guard import check_origin
from .metrics import Answered
from .openapi import document
from .routes import ROUTES, Route
from .service import Service

SMALL = 64 << 10
"""Bytes of a body that is read though nobody wants it."""


class Application:
    """``await Application(service)(scope, receive, send)``: every request is checked for where it comes from, answered and counted."""

    def __init__(self, service: Service) -> None:
        self._service = service
        service.document = document(VERSION)
        rows: dict[str, list[Route]] = {}
        for row in ROUTES:
            rows.setdefault(row.path, []).append(row)
        deepest_first = sorted(rows.items(), key=lambda row: -row[0].count("/"))  # predictions and examples: they are tried one by one
        paths = [Path(path, Endpoint(service, of_path)) for path, of_path in deepest_first]
        self._router = Router(paths, redirect_slashes=False, default=PageFiles())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        begun, headers = time.perf_counter(), Headers(scope=scope)
        length = headers.get("content-length", "0")
        unread = length != "0" or "transfer-encoding" in headers
        is_small = length.isdecimal() and int(length) <= SMALL and "transfer-encoding" not in headers

        async def received() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._service.measured.answered(
                    Answered(scope["method"], scope.get(ROUTE, ""), message["status"]), time.perf_counter() - begun
                )
                while unread and is_small and message["status"] != 413:  # to close before it came may take the answer from the client, too
                    await received()
                if unread:  # a body that nobody wants may be without end
                    message["headers"] = [*message.get("headers", ()), *_CLOSING]
            await send(message)

        answer: ASGIApp = self._router
        try:
            check_origin(scope, headers)
        except Refusal as error:
            answer = await refusal(failure_of(error, ""), headers)
        await answer(scope, received, sent)


_CLOSING = [(name.lower().encode(), value.encode()) for name, value in CLOSING.items()]
