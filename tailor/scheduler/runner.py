"""Who carries out work that was submitted, a turn at a time."""

from __future__ import annotations

from typing import Any

import anyio

from .ticket import Ticket


class Runner:
    """Has one job at a time, and waits for the next: a new task of the event loop for each would cost more than a short piece of work."""

    __slots__ = ("_news", "_ticket")

    def __init__(self) -> None:
        self._ticket: Ticket[Any] | None = None
        self._news: anyio.Event | None = None

    def give(self, ticket: Ticket[Any]) -> None:
        """Gives it a job that has a turn; it has none now."""
        self._ticket = ticket
        if self._news is not None:
            self._news.set()

    async def next(self) -> Ticket[Any]:
        """The next job, at once where there is one already."""
        if self._ticket is None:
            self._news = anyio.Event()
            try:
                await self._news.wait()
            except BaseException:
                if self._ticket is None:  # else the job must not be lost: whoever carries it out will hear of the cancellation too
                    raise
            self._news = None
        ticket, self._ticket = self._ticket, None
        assert ticket is not None, "only a job wakes it"
        return ticket
