"""The background requests that are kept, in memory as in their store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import anyio

from ..requests import BGTaskRequest, KeptRequest
from .request_store import RequestStore, RequestStoreError


class Keeping:
    """Requests by identifier, in the order of their submission. Each change is made in the store first, one at a time and whole.

    What an application asks for is refused where the store fails. What has happened to a launch cannot be refused: ``failed`` is
    called then with the identifier and the error.
    """

    def __init__(self, store: RequestStore, failed: Callable[[str, RequestStoreError], None]) -> None:
        self._store = store
        self._failed = failed
        self._kept: dict[str, KeptRequest] = {}
        self._next = 1
        self._changing = anyio.Lock()
        self.owed: set[str] = set()
        """Identifiers of requests that have ended, and that the store could not be told of."""

    def __iter__(self) -> Iterator[KeptRequest]:
        return iter(list(self._kept.values()))

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._kept

    def get(self, identifier: str) -> KeptRequest | None:
        """The request of an identifier."""
        return self._kept.get(identifier)

    def holds(self, kept: KeptRequest) -> bool:
        """Whether that very request is kept, and none in its place."""
        return self._kept.get(kept.request.identifier) is kept

    async def load(self) -> None:
        """Takes up what the store keeps, less what ended in an earlier use."""
        for identifier in list(self.owed):
            await self._store.remove(identifier)
            self.owed.discard(identifier)
        self._kept = {kept.request.identifier: kept for kept in await self._store.load()}
        self._next = 1 + max((kept.number for kept in self._kept.values()), default=0)

    async def add(self, request: BGTaskRequest, check: Callable[[], None]) -> None:
        """Keeps a request, in place of the one of the same identifier, unless ``check`` raises."""
        async with self._changing:
            check()
            kept = KeptRequest(request, self._next)
            await _whole(self._store.save(kept))
            self._next += 1
            self.owed.discard(request.identifier)
            self._kept.pop(request.identifier, None)
            self._kept[request.identifier] = kept

    async def remove(self, identifier: str) -> bool:
        """Keeps a request no longer; whether it was kept."""
        async with self._changing:
            if identifier not in self._kept:
                return False
            await _whole(self._store.remove(identifier))
            del self._kept[identifier]
            return True

    async def clear(self) -> list[str]:
        """Keeps none; gives the identifiers of those that were."""
        async with self._changing:
            await _whole(self._store.clear())
            self.owed.clear()
            removed = list(self._kept)
            self._kept.clear()
            return removed

    async def mark(self, kept: KeptRequest) -> KeptRequest | None:
        """Notes that a launch begins, so that this can be seen after the process has died; ``None`` where it cannot be noted."""
        async with self._changing:
            identifier, marked = kept.request.identifier, replace(kept, launches=kept.launches + 1)
            if not self.holds(kept) or not await self._tried(identifier, self._store.save(marked)):
                return None
            self._kept[identifier] = marked
            return marked

    async def put_back(self, kept: KeptRequest) -> KeptRequest:
        """Lets a request wait again whose launch was interrupted, unless another one is in its place."""
        async with self._changing:
            if self.holds(kept):
                identifier = kept.request.identifier
                kept = self._kept[identifier] = replace(kept, launches=0)
                await self._tried(identifier, self._store.save(kept))
            return kept

    async def end(self, kept: KeptRequest) -> None:
        """Keeps a request no longer whose launch has ended, unless another one is in its place."""
        async with self._changing:
            if self.holds(kept):
                identifier = kept.request.identifier
                del self._kept[identifier]
                if not await self._tried(identifier, self._store.remove(identifier)):
                    self.owed.add(identifier)

    async def settle_up(self, identifier: str) -> None:
        """Tells the store again of a request that has ended, where that is still owed."""
        async with self._changing:
            if identifier in self.owed and await self._tried(identifier, self._store.remove(identifier)):
                self.owed.discard(identifier)

    async def _tried(self, identifier: str, change: Awaitable[None]) -> bool:
        """Whether the store could be changed; if not, that is told."""
        try:
            await _whole(change)
        except RequestStoreError as error:
            self._failed(identifier, error)
            return False
        return True


async def _whole(change: Awaitable[None]) -> None:
    """Makes a change that is not cancelled halfway: store and memory would not agree."""
    with anyio.CancelScope(shield=True):
        await change
