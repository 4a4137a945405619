"""HTTP by uvicorn, on an event loop that is there already: no signals of its own, and an end in a stated time."""

from __future__ import annotations

import logging
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from ..configuration.settings import Http
from .connections import BoundedConnection

IDLE_SECONDS = 75
"""A connection is kept so long between two requests."""
_SPARE = 512
"""File descriptors for everything that is no connection."""
log = logging.getLogger(__name__)


async def serve(
    application: ASGIApp,
    sockets: list[socket.socket],
    http: Http,
    *,
    stop: anyio.Event,
    seconds: float = 10.0,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Answers at ``sockets``, which listen, until ``stop`` is set or the caller's scope is cancelled. It runs on asyncio, as uvicorn does.

    ``started`` is called once it does. At the end no new request is taken; those that were have ``seconds`` to be answered, and whoever is
    still there is let go. Streams have to be ended by who makes them.
    """

    class Connection(BoundedConnection):
        seconds = http.request_seconds
        most = http.connections

    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
    )
    _allow_descriptors(http.connections + _SPARE)
    server = _Server(config, seconds, started)

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(end)
            await server.serve(sockets=sockets)
            group.cancel_scope.cancel()
    finally:
        if server.started and not server.has_ended:  # cancelled
            with anyio.CancelScope(shield=True):
                await server.shutdown(sockets)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, seconds: float, started: Callable[[], None]) -> None:
        super().__init__(config)
        self.has_ended = False
        self._seconds = seconds
        self._tell = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever runs the loop sees to signals."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        with anyio.move_on_after(self._seconds):
            await super().shutdown(sockets)
        if self.server_state.connections:
            log.warning("%d connections did not end within %g seconds", len(self.server_state.connections), self._seconds)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self._cancel_tasks()
        self.has_ended = True

    async def _cancel_tasks(self) -> None:
        """Those that still answer. What they have shielded may go on for a second."""
        left: set[object] = set(self.server_state.tasks)
        ended = anyio.Event()

        def gone(task: object) -> None:
            left.discard(task)
            if not left:
                ended.set()

        for task in list(self.server_state.tasks):
            task.add_done_callback(gone)
            task.cancel()
        if left:
            with anyio.move_on_after(1):
                await ended.wait()


def _allow_descriptors(wanted: int) -> None:
    """Raises the limit of open files, of which each connection is one, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == unlimited else min(wanted, hard), hard))
