"""Who comes from whom: the versions of two stores as one graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from graphlib import TopologicalSorter

from ..errors import MissingError, StoreError
from ..records import Version
from ..store import Store, common_ancestors
from ..store.store import LARGEST_HISTORY


class Ancestry:
    """The versions of ``here``, and those that only ``there`` has; each is read once.

    A version that is here has all of its past here: so what is asked of ``there`` is what is missing. ``taken`` is told how many bytes
    each of them has, and may raise. Raises ``MissingError`` for a version that neither has, ``RecordError`` for one that is damaged,
    ``StoreError`` for a past that is too long to be in memory.
    """

    def __init__(self, here: Store, there: Store, taken: Callable[[int], object]) -> None:
        self._here = here
        self._there = there
        self._taken = taken
        self._bytes = 0
        self._versions: dict[str, Version] = {}
        self._only_there: set[str] = set()

    async def version(self, digest: str) -> Version:
        """The version with this hash."""
        if digest not in self._versions:
            try:
                [(version, size)] = await self._here.versions([digest])
            except MissingError:
                [(version, size)] = await self._there.versions([digest])
                self._taken(size)
                self._only_there.add(digest)
            self._bytes += size
            if self._bytes > LARGEST_HISTORY:
                expected = f"a past of at most {LARGEST_HISTORY} bytes of versions"
                raise StoreError(f"{self._there.backend.name}: version {digest}: expected {expected}, got more")
            self._versions[digest] = version
        return self._versions[digest]

    async def ahead(self, here: str, there: str) -> str | None:
        """Which of two different versions comes from the other; ``None`` where neither does.

        Goes back from both at the same pace, so that two versions that are close cost little however long their past is.
        """
        walks = [(_Walk(self, here), there), (_Walk(self, there), here)]
        while walks:
            for walk, wanted in list(walks):
                digest = await walk.step()
                if digest == wanted:
                    return walk.newest
                if digest is None:
                    walks.remove((walk, wanted))
        return None

    async def missing_here(self, newest: str) -> list[tuple[str, Version]]:
        """What only ``there`` has of a version and its past, parents first."""

        async def is_here(digest: str) -> bool:
            await self.version(digest)
            return digest not in self._only_there

        return self._parents_first(await self._past(newest, is_here))

    async def missing_there(self, newest: str, known: str | None) -> list[tuple[str, Version]]:
        """What ``there`` lacks of a version and its past, parents first; ``known`` is a version that it has.

        Without one it is asked for each, newest first, until it has one.
        """

        async def is_there(digest: str) -> bool:
            return digest == known if known is not None else await self._there.has(digest)

        found = await self._past(newest, is_there)
        if known is not None and any(not self._versions[digest].parents for digest in found):
            past = set(await self._past(known))  # some line leads past the known version, as one of a merge's does
            found = [digest for digest in found if digest not in past]
        return self._parents_first(found)

    async def common(self, first: str, second: str) -> tuple[str, ...]:
        """The newest versions that two both come from, in the order of their hashes."""
        pasts = [[(digest, self._versions[digest]) for digest in await self._past(newest)] for newest in (first, second)]
        return tuple(sorted(common_ancestors(*pasts)))

    async def _past(self, newest: str, stop: Callable[[str], Awaitable[bool]] | None = None) -> list[str]:
        """A version and all that it came from, each once, nearest first; not those that are to ``stop`` at, nor what is behind them."""
        walk = _Walk(self, newest, stop)
        found = []
        while (digest := await walk.step()) is not None:
            found.append(digest)
        return found

    def _parents_first(self, digests: Iterable[str]) -> list[tuple[str, Version]]:
        wanted = dict.fromkeys(digests)
        graph = {digest: [parent for parent in self._versions[digest].parents if parent in wanted] for digest in wanted}
        return [(digest, self._versions[digest]) for digest in TopologicalSorter(graph).static_order()]


class _Walk:
    """Goes back from a version, breadth first."""

    def __init__(self, ancestry: Ancestry, newest: str, stop: Callable[[str], Awaitable[bool]] | None = None) -> None:
        self.newest = newest
        self._ancestry = ancestry
        self._stop = stop
        self._seen = {newest}
        self._waiting = deque([newest])

    async def step(self) -> str | None:
        """The next one; ``None`` at the end."""
        while self._waiting:
            digest = self._waiting.popleft()
            if self._stop is None or not await self._stop(digest):
                parents = (await self._ancestry.version(digest)).parents
                self._waiting.extend(parent for parent in parents if parent not in self._seen)
                self._seen.update(parents)
                return digest
        return None
