"""What every backend does whose work is done in worker threads: it checks the key, and lets a thread do the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

from anyio.to_thread import run_sync

from .backend import Body, Chunk, Entry, Expected, check_key, check_prefix
from .together import read_together

Entries: TypeAlias = list[Entry]  # in the class below a method has the name of the type


class ThreadedBackend(ABC):
    """The async methods of ``Backend``, over those that a place has of its own, which run in threads and are given keys that can be."""

    name: str

    async def read(self, key: str, sink: Callable[[Chunk], object], *, most: int | None = None) -> Entry:
        """See ``Backend.read``."""
        check_key(key)
        return await run_sync(self._read, key, sink, most)

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        """See ``Backend.read_many``: sixteen at a time."""
        return await read_together(self._read, keys, most)

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        """See ``Backend.write``."""
        check_key(key)
        return await run_sync(self._write, key, body, expected)

    async def look(self, key: str) -> Entry | None:
        """See ``Backend.look``."""
        check_key(key)
        return await run_sync(self._look, key)

    async def list(self, prefix: str) -> Entries:
        """See ``Backend.list``."""
        check_prefix(prefix)
        return await run_sync(self._list, prefix)

    async def remove(self, key: str) -> None:
        """See ``Backend.remove``."""
        check_key(key)
        await run_sync(self._remove, key)

    @abstractmethod
    def _read(self, key: str, sink: Callable[[Chunk], object], most: int | None) -> Entry: ...

    @abstractmethod
    def _write(self, key: str, body: Body, expected: str | Expected) -> str: ...

    @abstractmethod
    def _look(self, key: str) -> Entry | None: ...

    @abstractmethod
    def _list(self, prefix: str) -> Entries: ...

    @abstractmethod
    def _remove(self, key: str) -> None: ...

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
