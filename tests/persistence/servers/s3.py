"""moto's S3, one put at a time: ``python -m tests.persistence.servers.s3 PORT LOG [ignoring]``.

There are a bucket "bucket", and "many" with ``MANY`` heads and what is none. ``ignoring``: as servers do that know no conditional puts,
and say nothing.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

MANY = 1_100


def main(port: int, log: str, *kinds: str) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = create_backend_app("s3")
    backend = s3_backends["123456789012"]["aws"]
    for bucket in "bucket", "many":
        backend.create_bucket(bucket, "us-east-1")
    for name in ("NOT A HEAD", *(f"a/{number}/main" for number in range(MANY))):
        backend.put_object("many", f"heads/{name}", b"x")
    puts = threading.Lock()  # between moto's look at the condition and its put there is room for others

    def logged(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n")
        if "ignoring" in kinds:
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if environ["REQUEST_METHOD"] != "PUT":
            return app(environ, start_response)
        with puts:
            return app(environ, start_response)

    server = make_server("127.0.0.1", port, logged, threaded=True, request_handler=MotoRequestHandler)
    print(f"127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
