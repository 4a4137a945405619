"""As much of Google Cloud Storage's XML interface as obstore asks for, in threads of this process: a fake, for want of a server.

"PUT", "GET", "HEAD", "DELETE" of objects with ``x-goog-if-generation-match``, and lists of version 2, as Google's reference has them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

DATE = "Sun, 22 Nov 2026 00:00:00 GMT"


class Google:
    """A bucket "bucket"."""

    def __init__(self) -> None:
        kept: dict[str, tuple[int, bytes]] = {}
        lock = threading.Lock()
        generations = itertools.count(1)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = urlsplit(self.path)
                bucket, _, name = unquote(url.path).lstrip("/").partition("/")
                wanted = self.headers.get("x-goog-if-generation-match")
                with lock:  # not while it writes: a client may stop reading
                    there = kept.get(name)
                    fits = wanted is None or int(wanted) == (there[0] if there else 0)
                    if self.command == "PUT" and fits and bucket == "bucket":
                        kept[name] = next(generations), body
                    elif self.command == "DELETE":
                        kept.pop(name, None)
                    after = kept.get(name)
                    list_ = listed(kept, parse_qs(url.query)["prefix"][0]) if not name else b""
                if bucket != "bucket":
                    self.say(404, b"<Error><Code>NoSuchBucket</Code></Error>")
                elif not name:
                    self.say(200, list_)
                elif not fits:
                    self.say(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                elif self.command == "PUT":
                    self.say(200, b"", after)
                elif there is None:
                    self.say(404, b"<Error><Code>NoSuchKey</Code></Error>")
                elif self.command == "DELETE":
                    self.say(204, b"")
                else:
                    self.say(200, there[1], there)

            def say(self, status: int, body: bytes, there: tuple[int, bytes] | None = None) -> None:
                self.send_response(status)
                if there:
                    self.send_header("ETag", etag(there[1]))
                    self.send_header("x-goog-generation", str(there[0]))
                    self.send_header("Last-Modified", DATE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True  # those of connections that a client keeps
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        # What GOOGLE_SERVICE_ACCOUNT_KEY has to be for requests without a token
        nobody = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        self.account = json.dumps({"gcs_base_url": self.url, "disable_oauth": True, **nobody})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def listed(kept: dict[str, tuple[int, bytes]], prefix: str) -> bytes:
    found = "".join(
        f"<Contents><Key>{name}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified>"
        f"<ETag>{etag(data)}</ETag><Size>{len(data)}</Size></Contents>"
        for name, (_, data) in sorted(kept.items())
        if name.startswith(prefix)
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()
