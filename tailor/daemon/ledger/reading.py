"""Reads: on connections of their own, each of one state of the file, whatever is written meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from .errors import LedgerError
from .opening import translated

T = TypeVar("T")


class Readers:
    """Connections that only read, one for each that reads at a time; the others wait for one. They are the readers' from now on."""

    def __init__(self, name: str, connections: list[sqlite3.Connection]) -> None:
        self._name = name
        self._count = len(connections)
        self._free: SimpleQueue[sqlite3.Connection | None] = SimpleQueue()
        for connection in connections:
            self._free.put(connection)
        self._threads = CapacityLimiter(len(connections))

    async def read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """What ``ask`` returns, called in a thread, inside a transaction. Raises ``LedgerError`` where the file cannot be read."""
        return await to_thread.run_sync(self.read_here, ask, limiter=self._threads)

    async def lend(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """What ``use`` returns, called in a thread, outside of any transaction."""

        def using() -> T:
            with self.borrowed() as connection:
                return use(connection)

        return await to_thread.run_sync(using, limiter=self._threads)

    def read_here(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """As ``read``, in this thread, whichever it is."""
        with self.borrowed() as connection, translated(self._name):
            connection.execute("BEGIN")
            try:
                return ask(connection)
            finally:
                if connection.in_transaction:  # an error of the disk has ended it
                    connection.execute("ROLLBACK")

    @contextmanager
    def borrowed(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else has meanwhile."""
        connection = self._free.get()
        try:
            if connection is None:
                raise LedgerError(f"{self._name}: the ledger was closed", "failed")
            yield connection
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Closes the connections, once those who have them are done. Later reads are refused."""
        for _ in range(self._count):
            if (connection := self._free.get()) is not None:
                connection.close()
        self._free.put(None)
