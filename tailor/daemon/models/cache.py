"""Users' models: from memory, from the store, or the registered one where they have taught theirs nothing."""

from __future__ import annotations

from functools import partial

from anyio import to_thread

from tailor import MLModel, MLModelStore, MLNotFoundError

from ..ledger import Ledger
from .loaded import Loaded, Models, loaded
from .memory import Weighed
from .registry import ModelRegistry


class UserModels:
    """``await models.of(model, user)``: the model that the user's predictions are made with, as it is now."""

    def __init__(self, store: MLModelStore, ledger: Ledger, registry: ModelRegistry, memory: Models) -> None:
        self._store = store
        self._ledger = ledger
        self._registry = registry
        self._memory = memory

    async def of(self, model: str, user: str | None) -> tuple[MLModel, str | None]:
        """The last version of a user's model, and its identifier; the model as it was registered, and ``None``, where there is none yet.

        Raises ``MLNotFoundError`` for a model or user that is not there, ``MLStoreError`` and ``MLFormatError`` where it cannot be read.
        """
        found = await self.loaded(model, user)
        return found.model, found.version

    async def loaded(self, model: str, user: str | None) -> Loaded:
        """``of``, and the inputs that it takes over the wire."""
        own = None if user is None else await self._memory.of((model, user, ""), partial(self._load, model, user))
        return await self._registry.loaded(model) if own is None else own

    def forget(self, model: str, user: str) -> None:
        """To be called when a user's last version has become another, or the user was removed. Who asks from now on gets what is there."""
        self._memory.forget((model, user, ""))

    def forget_all(self) -> None:
        """To be called when any user's last version may have become another, as in a sync."""
        self._memory.forget_all(lambda key: key[1] != "")

    async def _load(self, model: str, user: str) -> Weighed[Loaded | None]:
        self._registry.digest(model)  # whether it is there
        if await self._ledger.user(model, user) is None:
            raise MLNotFoundError(f"model {model!r}: expected one of its users, got {user!r:.100}")
        head = await self._store.last(model, user)
        if head is None:
            return Weighed(None, 0)
        found = await self._store.model(model, user, version=head)
        return await to_thread.run_sync(partial(loaded, found, model, head.identifier))
