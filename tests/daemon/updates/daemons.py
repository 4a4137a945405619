"""Daemons for tests, and places that fail or die when they are told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLModelStore, MLParameterKey, MLUpdateTask
from tailor.client import EventRecord, NewExample, NewExamples, NewModel, UpdateRecord
from tailor.daemon.configuration import Settings, Updates
from tailor.daemon.daemon import Daemon
from tailor.daemon.ledger import Ledger, open_ledger
from tailor.persistence import Backend, BackendError, MemoryBackend
from tailor.persistence.testing import Killed
from tests.store.models import network

BASE = network(0.5, -0.5)
EPOCHS = 2
PATIENCE = 120.0
"""Seconds after which a daemon has hung: a bound for a broken one, no expectation."""
LEARN = Updates(examples=4, parameters={"epochs": EPOCHS, "learningRate": 0.0625}, checkpoint_seconds=0.001)
CHANGES = ("put_model", "add_user", "add_examples", "plan_update", "change_update", "end_update", "add_event")


def rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Examples of ``network(_, _)``."""
    draw = np.random.default_rng(seed)
    return [{"x": draw.normal(size=2).round(3).tolist(), "y_true": [round(float(draw.normal()), 3)]} for _ in range(count)]


def examples(features: Sequence[dict[str, Any]], first: int = 0) -> NewExamples:
    """The same with ids, as they come over the wire."""
    return NewExamples(examples=[NewExample(features=one, id=f"e{number}") for number, one in enumerate(features, first)])


async def learned(model: MLModel, features: Sequence[dict[str, Any]], **parameters: Any) -> MLModel:
    """What comes of an update that nothing disturbs, and that no daemon makes."""
    given = {MLParameterKey.parse(name): value for name, value in {**LEARN.parameters, **parameters}.items()}
    return (await MLUpdateTask(model, MLArrayBatchProvider(list(features)), MLModelConfiguration(parameters=given))).model


@asynccontextmanager
async def opened(
    folder: Path,
    backend: Backend,
    updates: Updates = LEARN,
    *,
    model: MLModel = BASE,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    **settings: Any,
) -> AsyncIterator[Daemon]:
    """A daemon with one model, ``m``, and a store of which nobody else knows."""
    async with MLModelStore(backend) as store, Daemon(Settings(updates=updates, **settings), folder / "state", store, now=now) as daemon:
        await daemon.register("m", NewModel(data=model.to_bytes()))
        yield daemon


async def until(daemon: Daemon, kind: str, *, after: int = 0, **detail: Any) -> EventRecord:
    """The first event of this kind."""
    with anyio.fail_after(PATIENCE):
        async for event in daemon.events(after=after):
            if event.kind == kind and all(event.detail.get(name) == value for name, value in detail.items()):
                return event
    raise AssertionError(f"no event {kind} until the daemon stopped")


async def ended(daemon: Daemon, identifier: str) -> UpdateRecord:
    """An update, once it has ended."""
    followed = daemon.events()
    with anyio.fail_after(PATIENCE):
        while (record := await daemon.update_record(identifier)).ended_at is None:
            await anext(followed)
    return record


async def taught(daemon: Daemon, examples: int, user: str = "ann") -> None:
    """Waits until a user's model has learned so many."""
    followed = daemon.events()
    with anyio.fail_after(PATIENCE):
        while (await daemon.user("m", user)).learned < examples:
            await anext(followed)


class Flaky(MemoryBackend):
    """A store that cannot be written while it is ``broken``."""

    broken = False

    async def write(self, *args: Any, **more: Any) -> str:
        if self.broken:
            raise BackendError("flaky: expected room on the disk, got none")
        return await super().write(*args, **more)


class Mortal:
    """A ledger whose process dies at the ``point``-th of these points: before each change, and where content is read."""

    def __init__(self, ledger: Ledger, point: int) -> None:
        self._ledger = ledger
        self._left = point
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._ledger, name)
        if name == "content":
            self._pass()
        if name not in CHANGES:
            return asked

        async def change(*args: Any, **more: Any) -> Any:
            self._pass()
            return await asked(*args, **more)

        return change

    def _pass(self) -> None:
        self._left -= 1
        self.is_dead = self.is_dead or self._left == 0
        if self.is_dead:
            raise Killed("the process is gone")


def dying(monkeypatch: pytest.MonkeyPatch, point: int) -> list[Mortal]:
    """Lets the next daemon have a ``Mortal`` ledger, which is in the list once it is open."""
    made: list[Mortal] = []

    @asynccontextmanager
    async def open_mortal(path: Path, **more: Any) -> AsyncIterator[Any]:
        async with open_ledger(path, **more) as ledger:
            made.append(Mortal(ledger, point))
            yield made[-1]

    monkeypatch.setattr("tailor.daemon.daemon.open_ledger", open_mortal)
    return made
