"""A path of the table as an ASGI application: it checks a request, asks the daemon, and writes the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .bodies import accepted, decoder_of, encoded, is_bytes, name_of, query_reader_of, read_body
from .failures import Failure, Refusal, failure_of
from .guard import check_token
from .routes import EVENT_STREAM, NAMES, Asked, Route
from .service import Service
from .streams import EventStream, since

ACCESS = "Tailor-Access"
"""The header that says what a request's token allows, ``full`` or ``read``: a page then offers no more than that."""
ROUTE = "tailor.route"
"""The key of a scope under which the path of its row stands."""
_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Endpoint:
    """Everything that one path answers: ``rows`` differ in their methods only."""

    def __init__(self, service: Service, rows: Sequence[Route]) -> None:
        self._service = service
        self._rows = {row.method: row for row in rows}
        self._queries = {row.method: query_reader_of(row.query) for row in rows}
        self._decoders = {row.method: decoder_of(row.body, row.raw) for row in rows if row.body is not None}
        self._path = rows[0].path
        self._allow = ", ".join(sorted([*self._rows, *(["HEAD"] if "GET" in self._rows else [])]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        scope[ROUTE] = self._path
        headers = Headers(scope=scope)
        try:
            answer = await self._answer(scope, receive, headers)
        except Exception as error:  # whatever it is, a client gets an answer, and the log what is not the client's fault
            answer = await refusal(failure_of(error, f"{scope['method']} {scope['path']}"), headers)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, headers: Headers) -> ASGIApp:
        allowed: dict[str, str] = {}
        row = self._rows.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if row is None or not row.open:
            allowed[ACCESS] = check_token(scope, headers, self._service.tokens)
        if row is None:
            raise Refusal(405, f"expected {self._allow}, got {scope['method']}", headers={"Allow": self._allow})
        names = {name: name_of(value, NAMES[name], name) for name, value in scope["path_params"].items()}
        query = self._queries[row.method](QueryParams(scope["query_string"]))
        if row.media == EVENT_STREAM:
            query = since(headers, query)
        body = await self._body(row, receive, headers, query) if row.body is not None else None
        answer = await row.call(Asked(self._service, query, body, **names))
        match row.media:
            case None:
                return await written(answer, row.status, headers, allowed)
            case "text/event-stream":
                return EventStream(answer, self._service.measured)
            case media:
                return Response(answer, row.status, _ALWAYS, media)

    async def _body(self, row: Route, receive: Receive, headers: Headers, query: Any) -> Any:
        is_raw, settings = row.raw is not None and is_bytes(headers), self._service.settings
        most = settings.limits.model_bytes if is_raw else settings.http.body_bytes
        return self._decoders[row.method](await read_body(receive, headers, most), headers.get("content-type"), query)


async def written(answer: Any, status: int, headers: Headers, more: dict[str, str] | None = None) -> Response:
    """An answer as a client wants it."""
    if answer is None:
        return Response(status_code=status)
    media = accepted(headers)
    return Response(await encoded(answer, media), status, {**_ALWAYS, **(more or {})}, media)


async def refusal(failure: Failure, headers: Headers) -> Response:
    """An answer that is none."""
    return await written(failure.record, failure.status, headers, failure.headers)
