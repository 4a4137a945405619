"""The backend that a path or a URL names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..errors import StoreError
from .backend import Backend
from .bucket import Kind
from .cloud import CloudBackend
from .directory import DirectoryBackend
from .memory import MemoryBackend
from .sqlite import SQLiteBackend
from .webdav import WebDAVBackend

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # one letter is a drive
SQLITE_ENDINGS = {".db", ".sqlite", ".sqlite3"}
KNOWN = "memory:, file:, sqlite:, s3:, gs:, az:, http:, https:, webdav+http:, webdav+https:"

Setting = str | float | bool


def open_backend(place: str | os.PathLike[str], **settings: Setting) -> Backend:
    """The backend at ``place``; nothing is asked of it yet.

    A path is a folder, or an SQLite file where it ends in ``.sqlite``, ``.sqlite3`` or ``.db`` or is a file; ``file:///path`` and
    ``sqlite:///path`` say which. ``memory:`` is a new one in memory. ``s3://bucket/prefix``, ``gs://bucket/prefix`` and
    ``az://container/prefix`` are object stores (``pip install 'tailor[cloud]'``), ``https://host/folder`` is WebDAV.

    ``settings`` may as well follow a ``?`` in the URL, where no password or key belongs: ``endpoint`` and ``conditional`` of object
    stores, ``region`` of S3, ``account`` of Azure, ``timeout`` (seconds) and ``retries`` of all servers.

    Credentials come from the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS,
    AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY and their kin; for WebDAV WEBDAV_USER and WEBDAV_PASSWORD, or
    ``https://user:password@host/folder``.

    Raises ``StoreError`` for a place or setting that cannot be, ``ModuleNotFoundError`` where an extra is missing.
    """
    name = os.fspath(place)
    found = SCHEME.match(name) if isinstance(place, str) else None
    if found is None:
        _only(settings, "a path")
        return SQLiteBackend(name) if _is_sqlite(name) else DirectoryBackend(name)
    scheme = found[1].lower()
    if scheme not in OPENERS:
        raise StoreError(f"store: expected a path or one of {KNOWN}, got {scheme}: (a path of this name is ./{scheme}:...)")
    try:
        parts = urlsplit(name)
        _ = parts.port
    except ValueError:
        raise StoreError(f"{scheme}: expected a URL, got one whose host or port cannot be") from None
    if parts.fragment:
        raise StoreError(f"{scheme}: expected a URL without '#' (%23 stands for it)")
    return OPENERS[scheme](parts, {**dict(parse_qsl(parts.query, keep_blank_values=True)), **settings})


def _memory(parts: SplitResult, settings: Mapping[str, Setting]) -> Backend:
    _only(settings, "memory:")
    if parts.netloc or parts.path:
        raise StoreError("memory: expected nothing behind it")
    return MemoryBackend()


def _file(parts: SplitResult, settings: Mapping[str, Setting]) -> Backend:
    return DirectoryBackend(_path(parts, settings))


def _sqlite(parts: SplitResult, settings: Mapping[str, Setting]) -> Backend:
    return SQLiteBackend(_path(parts, settings))


def _path(parts: SplitResult, settings: Mapping[str, Setting]) -> str:
    _only(settings, f"{parts.scheme}:")
    if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
        raise StoreError(f"{parts.scheme}: expected {parts.scheme}:///path, with three slashes")
    path = unquote(parts.path)
    return path[1:] if os.name == "nt" and re.match(r"/[A-Za-z]:", path) else path


def _cloud(parts: SplitResult, settings: Mapping[str, Setting]) -> Backend:
    kind = cast(Kind, parts.scheme)
    own = {"s3": {"region"}, "az": {"account"}}.get(kind, set())
    _only(settings, f"{kind}:", "endpoint", "conditional", "timeout", "retries", *own)
    bucket, prefix = parts.netloc, unquote(parts.path).strip("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,221}", bucket):
        raise StoreError(f"{kind}: expected {kind}://bucket/prefix, with no user or password: credentials come from the environment")
    if prefix and not all(segment.isprintable() and segment not in ("", ".", "..") for segment in prefix.split("/")):
        raise StoreError(f"{kind}://{bucket}: expected a prefix of names between single slashes")
    endpoint, region, account = (None if settings.get(key) is None else str(settings[key]) for key in ("endpoint", "region", "account"))
    if endpoint is not None and not re.fullmatch(r"https?://[^\s@?#]+", endpoint):
        raise StoreError(f"{kind}://{bucket}: endpoint: expected http://host or https://host, with no user or password")
    conditional = str(settings.get("conditional", True)).lower()
    if conditional not in ("true", "false"):
        raise StoreError(f"{kind}://{bucket}: conditional: expected true or false, got {conditional!r:.40}")
    return CloudBackend(
        kind,
        bucket,
        prefix,
        endpoint=endpoint,
        region=region,
        account=account,
        conditional=conditional == "true",
        timeout=_timeout(settings),
        retries=_retries(settings),
    )


def _webdav(parts: SplitResult, settings: Mapping[str, Setting]) -> Backend:
    scheme = parts.scheme.removeprefix("webdav+")
    _only(settings, f"{scheme}:", "timeout", "retries")
    user, password = parts.username, parts.password
    if user is None:
        user, password = os.environ.get("WEBDAV_USER"), os.environ.get("WEBDAV_PASSWORD")
    else:
        user, password = unquote(user), unquote(password or "")
    url = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return WebDAVBackend(url, user=user, password=password, timeout=_timeout(settings), retries=_retries(settings))


OPENERS: Mapping[str, Callable[[SplitResult, Mapping[str, Setting]], Backend]] = {
    "memory": _memory,
    "file": _file,
    "sqlite": _sqlite,
    **dict.fromkeys(("s3", "gs", "az"), _cloud),
    **dict.fromkeys(("http", "https", "webdav+http", "webdav+https"), _webdav),
}


def _only(settings: Mapping[str, Setting], what: str, *known: str) -> None:
    for name in settings:
        if name not in known:
            wanted = f"one of {', '.join(sorted(known))}" if known else "none"
            raise StoreError(f"{what} setting: expected {wanted}, got {name!r:.40} (credentials come from the environment)")


def _timeout(settings: Mapping[str, Setting]) -> float:
    return _number(settings, "timeout", 60.0, 0.01, 3600.0)


def _retries(settings: Mapping[str, Setting]) -> int:
    return int(_number(settings, "retries", 3, 0, 100))


def _number(settings: Mapping[str, Setting], name: str, default: float, least: float, most: float) -> float:
    value = settings.get(name, default)
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        raise StoreError(f"{name}: expected a number from {least:g} to {most:g}, got {value!r:.40}")
    return number


def _is_sqlite(path: str) -> bool:
    """Every file is, or is refused as none; by its ending where there is nothing yet.

    Its bytes are not looked at: closing the file would take the locks from under connections that this process has to it.
    """
    return os.path.isfile(path) or (Path(path).suffix.lower() in SQLITE_ENDINGS and not os.path.isdir(path))
