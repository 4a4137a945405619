"""wsgidav on cheroot: ``python -m tests.persistence.servers.webdav PORT LOG FOLDER [shallow | flat]``.

``shallow``: refuses to list deeper than one folder, as Apache does. ``flat``: lists one folder whatever it is asked for, as Nextcloud does.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any

from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp

PASSWORD = "pa:ss/w0rd"


def main(port: int, log: str, folder: str, *kinds: str) -> None:
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": folder},
            "simple_dc": {"user_mapping": {"*": {"user": {"password": PASSWORD}}}},
            "logging": {"enable": False},
            "verbose": 0,
            "lock_storage": False,
            "property_manager": None,
        }
    )

    def logged(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n")
        if environ.get("HTTP_DEPTH") == "infinity" and environ["REQUEST_METHOD"] == "PROPFIND":
            if "shallow" in kinds:
                start_response("403 Forbidden", [("Content-Length", "0")])
                return []
            if "flat" in kinds:
                environ["HTTP_DEPTH"] = "1"
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    if not port:  # cheroot lets a port be used again at once only if it was asked for by its number
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    server = wsgi.Server(("127.0.0.1", port), logged, numthreads=4, request_queue_size=100)
    server.prepare()
    print(f"127.0.0.1:{server.bind_addr[1]}", flush=True)
    server.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
