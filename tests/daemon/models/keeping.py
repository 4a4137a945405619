"""A registry and users' models over a real ledger and a store in memory, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio

from tailor import MLModel, MLModelStore
from tailor.daemon.configuration import Limits
from tailor.daemon.ledger import Ledger, open_ledger
from tailor.daemon.models import Memory, ModelRegistry, Models, UserModels
from tailor.persistence import MemoryBackend
from tests.store.models import network

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)


@dataclass
class Keeping:
    """All of it; ``events``: kind and text of what was told."""

    ledger: Ledger
    store: MLModelStore
    memory: Models
    registry: ModelRegistry
    users: UserModels
    events: list[tuple[str, str]] = field(default_factory=list)


@asynccontextmanager
async def keeping(folder: Path, limits: Limits | None = None) -> AsyncIterator[Keeping]:
    """In ``folder``, where a second one goes on with what the first left."""
    limits = limits or Limits()
    events: list[tuple[str, str]] = []

    async def tell(kind: str, text: str, *, model: str | None = None) -> None:
        events.append((kind, text))

    await anyio.Path(folder).mkdir(exist_ok=True)
    async with open_ledger(folder / "ledger.sqlite", now=lambda: AT) as ledger, MLModelStore(MemoryBackend()) as store:
        memory: Models = Memory(limits.models_in_memory, limits.bytes_in_memory)
        registry = ModelRegistry(folder / "bases", ledger, memory, limits, tell)
        await registry.start()
        yield Keeping(ledger, store, memory, registry, UserModels(store, ledger, registry, memory), events)


def line(slope: float, name: str = "line") -> MLModel:
    """y = slope * x."""
    return network(slope, name=name)
