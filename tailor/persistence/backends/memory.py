"""A backend in memory: for tests, and for what need not outlive its process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from anyio.to_thread import run_sync

from ..errors import MissingError
from .backend import Body, Chunk, Entry, Expected, check_expected, check_key, check_prefix, check_size, exact_chunks


class MemoryBackend:
    """Keeps everything in memory. ``clock`` tells the time of a write, in seconds since 1970."""

    conditional = True

    def __init__(self, name: str = "memory:", clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._clock = clock
        self._kept: dict[str, tuple[bytes, Entry]] = {}
        self._writes = 0

    async def read(self, key: str, sink: Callable[[Chunk], object], *, most: int | None = None) -> Entry:
        """See ``Backend.read``."""
        check_key(key)
        if key not in self._kept:
            raise MissingError(f"{self.name}: expected {key}, got nothing of this name")
        data, entry = self._kept[key]
        check_size(key, entry.size, most)
        await run_sync(sink, data)
        return entry

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, tuple[bytes, Entry]]:
        """See ``Backend.read_many``."""
        for key in keys:
            check_key(key)
        found = {key: self._kept[key] for key in keys if key in self._kept}
        for key, (_, entry) in found.items():
            check_size(key, entry.size, most)
        return found

    async def write(self, key: str, body: Body, *, expected: str | Expected = Expected.ANYTHING) -> str:
        """See ``Backend.write``."""
        check_key(key)
        data = await run_sync(lambda: b"".join(exact_chunks(key, body)))
        there = self._kept.get(key)  # from here to the end nobody else has a turn
        check_expected(self.name, key, there and there[1], expected)
        self._writes += 1
        entry = Entry(key, len(data), self._clock(), str(self._writes))
        self._kept[key] = data, entry
        return entry.tag

    async def look(self, key: str) -> Entry | None:
        """See ``Backend.look``."""
        check_key(key)
        return self._kept[key][1] if key in self._kept else None

    async def list(self, prefix: str) -> list[Entry]:
        """See ``Backend.list``."""
        check_prefix(prefix)
        return [entry for key, (_, entry) in sorted(self._kept.items()) if key.startswith(prefix)]

    async def remove(self, key: str) -> None:
        """See ``Backend.remove``."""
        check_key(key)
        self._kept.pop(key, None)

    async def aclose(self) -> None:
        """See ``Backend.aclose``."""

    def __repr__(self) -> str:
        return f"<MemoryBackend {self.name}: {len(self._kept)} keys>"
