"""What the API is made over: a daemon, who may ask it, and what was measured."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from anyio import create_task_group

from tailor import MLModelError, MLNotFoundError
from tailor.client import Health, SyncRecord

from ..configuration import Settings
from ..daemon import Daemon
from .metrics import Metrics
from .prometheus import exposition
from .tokens import Tokens

LOG = logging.getLogger(__name__)


class Service:
    """What routes ask.

    ``tokens``  that TCP asks for; ``None``: no request that comes by TCP is answered.
    ``read``    reads the settings anew and has the daemon work by them. ``None``: they cannot be read again.
    """

    def __init__(self, daemon: Daemon, *, tokens: Tokens | None = None, read: Callable[[], Awaitable[Settings]] | None = None) -> None:
        self.daemon = daemon
        self.tokens = tokens
        self.measured = Metrics()
        self.document: dict[str, Any] = {}
        self._read = read

    @property
    def settings(self) -> Settings:
        """Those that hold now."""
        return self.daemon.settings

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """Counts what happens meanwhile, for whoever serves it to enter."""
        async with create_task_group() as group:
            group.start_soon(self._count)
            yield
            group.cancel_scope.cancel()

    async def health(self) -> Health:
        """It is there: its loop turns, and its ledger answers."""
        status = await self.daemon.status()
        return Health(state=status.state, version=status.version)

    async def syncs(self) -> list[SyncRecord]:
        """The last sync with each place."""
        return (await self.daemon.status()).syncs

    async def metrics(self) -> str:
        """What Prometheus reads."""
        return exposition(await self.daemon.status(), self.measured)

    async def reload(self) -> None:
        """Reads the settings again, where they came from a place that can be read again."""
        if self._read is not None:
            await self._read()

    async def _count(self) -> None:
        try:
            async for event in self.daemon.events():
                self.measured.happened(event)
                if event.kind == "update_ended" and event.update is not None:
                    with suppress(MLNotFoundError):  # it has made room for newer ones by now, or its user is gone
                        self.measured.ended(await self.daemon.update_record(event.update))
        except MLModelError as error:  # the ledger cannot be read: others will say so, more urgently
            LOG.warning("events are no longer counted: %s", error)
