"""The page's files as an ASGI application. They are read once, when it is made: nothing of a request ever touches the disk."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailor.client import ErrorDetail, ErrorRecord

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Only these files run and are asked for anything; no markup can be made from text (trusted types), nobody frames the page.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class _File(NamedTuple):
    body: bytes
    type: str
    tag: str


class PageFiles:
    """Answers ``GET`` and ``HEAD``: ``/`` is the page, its parts go by their names; 404 for all else, 405 for other methods.

    A browser may keep a file, and asks each time whether it is still good (``ETag``).
    """

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        for entry in files(__package__).joinpath("page").iterdir():
            suffix = entry.name[entry.name.rfind(".") :]
            if suffix in _TYPES:
                body = entry.read_bytes()
                self._files[f"/{entry.name}"] = _File(body, _TYPES[suffix], f'"{sha256(body).hexdigest()[:32]}"')
        self._files["/"] = self._files.pop("/index.html")

    @property
    def paths(self) -> list[str]:
        """Every path that is answered."""
        return sorted(self._files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        await self._answer(path, scope)(scope, receive, send)

    def _answer(self, path: str, scope: Scope) -> Response:
        if (file := self._files.get(path)) is None:
            return _refusal(404, "NotFound", "expected the path of the page, or of the API below /v1, got another")
        if scope["method"] not in ("GET", "HEAD"):
            return _refusal(405, "MethodNotAllowed", f"expected GET or HEAD, got {scope['method']}", {"Allow": "GET, HEAD"})
        headers = {**_ALWAYS, "ETag": file.tag}
        known = b",".join(value for name, value in scope["headers"] if name == b"if-none-match").decode("latin-1")
        if known.strip() == "*" or file.tag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        if scope["method"] == "HEAD":
            return Response(headers={**headers, "Content-Length": str(len(file.body)), "Content-Type": file.type})
        return Response(file.body, headers={**headers, "Content-Type": file.type})


def _refusal(status: int, kind: str, message: str, more: dict[str, str] | None = None) -> Response:
    body = msgspec.json.encode(ErrorRecord(error=ErrorDetail(kind=kind, message=message)))
    return Response(body, status, headers={**_ALWAYS, **(more or {}), "Content-Type": "application/json"})
