"""Who may ask. The Unix socket's own permissions say so; by TCP it takes a token, and no web page of somebody else's may try."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

from .failures import Refusal
from .tokens import Access, Tokens

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def check_origin(scope: Scope, headers: Headers) -> None:
    """Refuses what a browser sends for somebody else's page.

    ``Host`` has to be this machine's own name, since a foreign name may be made to lead here (DNS rebinding); ``Origin``, where it is
    there, has to be the daemon's own. There is no CORS.
    """
    port = _port(scope)
    if port is None:
        return
    host = headers.get("host", "").lower()
    if host not in {f"{name}:{port}" for name in _LOOPBACK} and not (port == 80 and host in _LOOPBACK):
        raise Refusal(403, f"expected the host 127.0.0.1:{port} or localhost:{port}, got {host!r}", field="Host")
    if (origin := headers.get("origin")) is not None and origin.lower() != f"http://{host}":
        raise Refusal(403, f"expected the origin http://{host} or none, got {origin!r}", field="Origin")


def check_token(scope: Scope, headers: Headers, tokens: Tokens | None) -> Access:
    """What may be asked. Refuses what comes by TCP without a token, or with one that does not allow the method."""
    if _port(scope) is None:
        return "full"
    scheme, _, given = headers.get("authorization", "").partition(" ")
    access = tokens.access_of(given.strip()) if tokens is not None and scheme.lower() == "bearer" else None
    if access is None:
        told = f"expected Authorization: Bearer and one of the daemon's tokens, got {'another' if given else 'none'}"
        raise Refusal(401, told, headers={"WWW-Authenticate": "Bearer"})
    if access == "read" and scope["method"] not in ("GET", "HEAD"):
        raise Refusal(403, f"expected the full token for {scope['method']}, got the one for reading")
    return access


def _port(scope: Scope) -> int | None:
    """The port that was asked; ``None``: the Unix socket. Without a word of the server's about it, it was TCP."""
    server = scope.get("server") or ("", 0)
    port: int | None = server[1]
    return port
