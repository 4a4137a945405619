"""A server that does what none should, in threads of this process."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Misbehaving:
    """Answers every request in one way.

    ``failing``: 500. ``silent``: not at all. ``cut``: a tenth of what it announces. ``elsewhere``: 302, to another path of its own.
    ``nonsense``: 207 and what is no XML.
    """

    def __init__(self, manner: str) -> None:
        self.asked: list[str] = []
        ended = self._ended = threading.Event()
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                asked.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.close_connection = True
                if manner == "silent":
                    ended.wait()
                    return
                status = {"failing": 500, "cut": 207 if self.command == "PROPFIND" else 200, "elsewhere": 302, "nonsense": 207}[manner]
                self.send_response(status)
                self.send_header("ETag", '"a"')
                self.send_header("Last-Modified", "Sun, 22 Nov 2026 00:00:00 GMT")
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "1000" if manner == "cut" else "100")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(b"x" * 100)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_PROPFIND = do_MKCOL = do_MOVE = answer

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()  # waits for the threads of requests
