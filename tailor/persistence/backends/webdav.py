"""A backend on a WebDAV server: Nextcloud, Apache, nginx, a NAS."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from urllib.parse import quote, unquote, urlsplit

from anyio.from_thread import check_cancelled
from anyio.to_thread import run_sync

from ..errors import BackendError, MissingError, StoreError
from .backend import Body, Chunk, Entry, Expected, check_expected, check_key, check_size
from .dav import Resource, make_folder, resources_below
from .http import HttpServer
from .source import Source
from .threaded import Entries, ThreadedBackend
from .turns import turn

TRIES = 8
LOOKS = 3
# A file of a key: how many were before it, and what tells it from others of that number.
VERSION = re.compile(r"~[0-9a-f]{8}-[0-9a-f]{16}")


class WebDAVBackend(ThreadedBackend):
    """Keeps everything below the folder ``url``, which is made where it is missing.

    ``user``, ``password``  for basic authentication. Over ``http:`` everybody on the way can read them.
    ``timeout``             seconds that the server may be silent.
    ``retries``             how often a request is repeated that failed by the server's fault or the network's.

    WebDAV promises little about a file that is replaced: some servers write in place, some remove the old one first, some have one ETag
    for all that is written within a second. So nothing is replaced here. A key is a folder; what is written becomes a file in it with a
    name of its own, by MOVE once it is whole; the newest counts, and its name is the tag. There are no conditional puts: two machines
    can be first at once, so ``conditional`` is false.

    A writer that is killed may leave ``~<16 hex digits>.part`` in the folder ``url``, which nothing reads. Raises ``StoreError`` for a URL
    that cannot be.
    """

    conditional = False

    def __init__(self, url: str, *, user: str | None = None, password: str | None = None, timeout: float = 60.0, retries: int = 3) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise StoreError("WebDAV: expected http://host/folder or https://host/folder, without user, query or fragment")
        self._base = "/" + "".join(f"{quote(unquote(segment), safe='~')}/" for segment in parts.path.split("/") if segment)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self.name = (self._origin + self._base).rstrip("/")
        self._torn: list[str] = []
        secure = parts.scheme == "https"
        self._server = HttpServer(
            self.name, parts.hostname, parts.port, secure=secure, user=user, password=password, timeout=timeout, retries=retries
        )

    async def aclose(self) -> None:
        """See ``Backend.aclose``."""
        if self._torn:
            await run_sync(self._discard, *self._torn)
            self._torn.clear()
        self._server.close()

    # From here on in a worker thread.

    def _read(self, key: str, sink: Callable[[Chunk], object], most: int | None) -> Entry:
        for _ in range(TRIES):
            entry = self._look(key)
            if entry is None:
                raise MissingError(f"{self.name}: expected {key}, got nothing of this name")
            check_size(key, entry.size, most)
            with self._server.ask("GET", self._path(entry), {200, 404}) as answer:
                if answer.status == 404:
                    continue  # replaced since
                got = 0
                for chunk in answer.chunks():
                    check_cancelled()
                    got += len(chunk)
                    if got > entry.size:
                        break
                    sink(chunk)
            if got != entry.size:
                raise BackendError(f"{self.name}: {key}: expected {entry.size} bytes, got {'more' if got > entry.size else got}")
            return entry
        raise BackendError(f"{self.name}: {key}: expected to read it before it is replaced, got {TRIES} times too late")

    def _write(self, key: str, body: Body, expected: str | Expected) -> str:
        stamp = secrets.token_hex(8)
        part = f"{self._base}~{stamp}.part"
        whole = False
        try:
            self._put(part, key, body)
            whole = True
            with turn(self.name, key):
                return self._publish(part, key, stamp, expected)
        except BaseException:  # cancelled, too
            if not whole:
                self._torn.append(part)  # the server may still be writing it
            self._discard(part)
            raise

    def _discard(self, *parts: str) -> None:
        with suppress(BackendError):  # what failed before is the one to tell
            for part in parts:
                self._server.ask("DELETE", part, range(200, 500), again=False).close()

    def _put(self, part: str, key: str, body: Body) -> None:
        headers = {"Content-Length": str(body.size), "Content-Type": "application/octet-stream"}
        source = Source(key, body)
        with self._server.ask("PUT", part, {200, 201, 204, 404, 409}, headers=headers, body=source) as answer:
            if answer.status in (200, 201, 204):
                return
        make_folder(self._server, self._base)
        self._server.ask("PUT", part, {200, 201, 204}, headers=headers, body=source).close()

    def _publish(self, part: str, key: str, stamp: str, expected: str | Expected) -> str:
        """Gives a file that is whole the name of the newest. The one before it stays until the next write: whoever lists the folder
        meanwhile, which takes its time, finds one of the two."""
        before = self._versions(key)
        newest = before[-1] if before else None
        check_expected(self.name, key, newest, expected)
        tag = f"~{int(newest.tag[1:9], 16) + 1 if newest else 0:08x}-{stamp}"
        headers = {"Destination": f"{self._origin}{self._base}{key}/{tag}", "Overwrite": "F"}
        with self._server.ask("MOVE", part, {201, 204, 404, 409}, headers=headers) as answer:
            moved = answer.status in (201, 204)
        if answer.status == 409:
            make_folder(self._server, f"{self._base}{key}/")
            self._server.ask("MOVE", part, {201, 204}, headers=headers).close()
        elif not moved and tag not in {entry.tag for entry in self._versions(key)}:  # it is there if only the first answer was lost
            raise BackendError(f"{self.name}: {key}: expected to find what was put, got nothing of its name")
        self._delete(before[:-1])
        return tag

    def _look(self, key: str) -> Entry | None:
        versions = self._versions(key)
        return versions[-1] if versions else None

    def _list(self, prefix: str) -> Entries:
        found = resources_below(self._server, self._base + prefix, deep=True)
        entries = self._walk(prefix) if found is None else _entries(prefix, found)
        newest = {entry.key: entry for entry in sorted(entries, key=lambda entry: entry.tag) if entry.key.startswith(prefix)}
        return [newest[key] for key in sorted(newest)]

    def _walk(self, prefix: str) -> Iterator[Entry]:
        check_cancelled()
        found = resources_below(self._server, self._base + prefix, deep=False) or []
        yield from _entries(prefix, found)
        for resource in found:
            if resource.folder and _is_key(prefix + resource.path):
                yield from self._walk(f"{prefix}{resource.path}/")

    def _remove(self, key: str) -> None:
        with turn(self.name, key):
            self._delete(self._versions(key))

    def _delete(self, entries: Iterable[Entry]) -> None:
        """Removes files, the oldest first. One that is locked, as it is being read, goes with the next write."""
        for entry in entries:
            self._server.ask("DELETE", self._path(entry), {200, 204, 404, 423}).close()

    def _versions(self, key: str) -> Entries:
        """What was written under a key and is still there, the newest last."""
        for _ in range(LOOKS):
            found = resources_below(self._server, f"{self._base}{key}/", deep=False)
            versions = [entry for entry in _entries(f"{key}/", found or ()) if entry.key == key]
            if versions or not found:
                break
        return sorted(versions, key=lambda entry: entry.tag)

    def _path(self, entry: Entry) -> str:
        return f"{self._base}{entry.key}/{entry.tag}"


def _entries(prefix: str, found: Iterable[Resource]) -> Iterator[Entry]:
    for resource in found:
        key, _, name = (prefix + resource.path).rpartition("/")
        if not resource.folder and VERSION.fullmatch(name) and _is_key(key):
            yield Entry(key, resource.size, resource.modified, name)


def _is_key(path: str) -> bool:
    """False for what somebody else keeps there."""
    try:
        check_key(path)
    except StoreError:
        return False
    return True
