"""What a WebDAV server (RFC 4918) says of its folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from ..errors import BackendError
from .http import HttpServer

PROPERTIES = b"<resourcetype/><getcontentlength/><getlastmodified/>"
ASKED = b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>' + PROPERTIES + b"</prop></propfind>"
PROPERTY = "{DAV:}propstat/{DAV:}prop/{DAV:}"
LONGEST_RESOURCE = 1 << 20
# Apache refuses to list what is below a folder's folders, unless it is told to; others have never heard of it.
NO_DEEPER = {400, 403, 405, 501}


@dataclass(frozen=True, slots=True)
class Resource:
    """A file, or a folder. ``path`` is below the one that was asked for; ``modified`` in seconds since 1970."""

    path: str
    folder: bool
    size: int
    modified: float


def resources_below(server: HttpServer, path: str, *, deep: bool) -> list[Resource] | None:
    """What is in the folder ``path``, which ends in a slash; ``deep``: what is below it at any depth.

    ``None`` where the server does not tell that much. A folder that is missing has nothing in it.
    """
    headers = {"Depth": "infinity" if deep else "1", "Content-Type": "application/xml"}
    with server.ask("PROPFIND", path, {207, 404, *(NO_DEEPER if deep else ())}, headers=headers, body=ASKED) as answer:
        if answer.status == 404:
            return []
        if answer.status in NO_DEEPER:
            return None
        try:
            found = [resource for resource in _parsed(answer.chunks(), unquote(path)) if resource.path]
        except (ParseError, ValueError) as error:
            raise BackendError(f"{server.name}: PROPFIND {path}: expected what RFC 4918 says, got: {error}") from error
    if deep and any(resource.folder for resource in found) and not any("/" in resource.path for resource in found):
        return None  # Nextcloud lists one folder, whatever it is asked for
    return found


def make_folder(server: HttpServer, path: str) -> None:
    """Makes the folder ``path``, which ends in a slash, and those that it is in, where they are missing."""
    with server.ask("MKCOL", path, {201, 405, 404, 409}) as answer:  # 405: it is there
        if answer.status in (201, 405):
            return
    above = path[:-1].rpartition("/")[0] + "/"
    if above == "/":
        raise BackendError(f"{server.name}: MKCOL {path}: expected a new folder, got {answer.status}")
    make_folder(server, above)
    server.ask("MKCOL", path, {201, 405}).close()


def _parsed(chunks: Iterator[bytes], base: str) -> Iterator[Resource]:
    parser: Any = XMLPullParser(("start", "end"))  # expat keeps entities from growing without bounds, and asks for no other file
    root: Element | None = None
    unread = 0
    for chunk in chunks:
        parser.feed(chunk)
        unread += len(chunk)
        for event, element in parser.read_events():
            if root is None:
                root = element
            if event == "end" and element.tag == "{DAV:}response":
                unread = 0
                yield from _resource(element, base)
                root.clear()
        if unread > LONGEST_RESOURCE + len(chunk):
            raise ValueError(f"more than {LONGEST_RESOURCE} bytes about one file")
    parser.close()


def _resource(element: Element, base: str) -> Iterator[Resource]:
    """None for what is not below ``base``: the folder itself, or a place that nobody asked for."""
    path = unquote(urlsplit(element.findtext("{DAV:}href", "").strip()).path)
    if not path.startswith(base):
        return
    folder = element.find(f"{PROPERTY}resourcetype/{{DAV:}}collection") is not None
    name = path[len(base) :].rstrip("/")
    if folder:
        yield Resource(name, folder, 0, 0.0)
    else:
        modified = parsedate_to_datetime(element.findtext(f"{PROPERTY}getlastmodified", ""))
        yield Resource(name, folder, int(element.findtext(f"{PROPERTY}getcontentlength", "")), modified.timestamp())
