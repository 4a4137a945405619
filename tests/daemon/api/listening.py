"""A daemon whose API listens: in a thread of its own, for clients that know nothing of event loops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from anyio.from_thread import start_blocking_portal

from tailor.daemon.api import Application, Service
from tailor.daemon.configuration import Settings
from tailor.daemon.service.listening import listening, places_of
from tailor.daemon.service.server import serve

from .asked import TOKENS, opened


@contextmanager
def running(folder: Path, given: Settings | None = None) -> Iterator[str]:
    """Gives the address of its port. It ends in order at the end of the block."""
    stop = anyio.Event()

    async def run(*, task_status: anyio.abc.TaskStatus[str]) -> None:
        nonlocal stop
        stop = anyio.Event()
        async with opened(folder / "state", given) as daemon:
            with listening(folder / "daemon.sock", 0) as sockets:
                daemon.listening = places_of(sockets)
                app = Application(Service(daemon, tokens=TOKENS))

                def started() -> None:
                    task_status.started(places_of(sockets)[1])

                await serve(app, sockets, daemon.settings.http, stop=stop, seconds=5, started=started)

    with start_blocking_portal("asyncio") as portal:
        future, address = portal.start_task(run)
        yield address
        portal.call(stop.set)
        future.result(20)
