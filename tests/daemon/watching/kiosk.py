"""A watched folder with everything behind it that keeps its examples: the ledger, what checks them, and a model of drawings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from tailor import MLModel, MLModelDescription, MLNotFoundError
from tailor.client import Added, ExampleRecord, NewExamples
from tailor.daemon.configuration import Limits, Watch
from tailor.daemon.examples import Intake, TrainingFeatures
from tailor.daemon.ledger import KeptModel, Ledger, open_ledger
from tailor.daemon.watching import Watching
from tests.cli.models import drawings, neighbors

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG = 20.0
"""Seconds in which what is waited for comes, on the slowest machine."""


@dataclass
class Kiosk:
    """``events``: what was told. ``trouble``: what keeping examples raises next. ``begun``: how often they were given to be kept."""

    ledger: Ledger
    watch: Watch
    model: MLModel
    limits: Limits = field(default_factory=Limits)
    events: list[dict[str, Any]] = field(default_factory=list)
    trouble: Exception | None = None
    registered: bool = True
    begun: int = 0

    def __post_init__(self) -> None:
        self._features, self._intake = TrainingFeatures(self.model), Intake()
        self._news = anyio.Event()

    def watching(self, **watches: Watch) -> Watching:
        return Watching(watches or {"desk": self.watch}, self.limits, description=self.describe, add=self.add, tell=self.tell)

    async def describe(self, model: str) -> MLModelDescription:
        if not self.registered:
            raise MLNotFoundError(f"expected a registered model, got {model!r}")
        return self.model.description

    async def add(self, model: str, user: str, new: NewExamples) -> Added:
        self.begun += 1
        self._changed()
        if self.trouble is not None:
            raise self.trouble
        rows = await self._intake.rows(new, self._features, self.limits)
        added = await self.ledger.add_examples(model, user, rows, NOW, self.limits)
        self._changed()
        return added

    async def tell(self, kind: str, text: str, **detail: Any) -> None:
        self.events.append({"kind": kind, "text": text, **detail})
        self._changed()

    def told(self, kind: str) -> list[str]:
        return [event["text"] for event in self.events if event["kind"] == kind]

    async def kept(self) -> list[ExampleRecord]:
        return await self.ledger.examples(self.watch.model, self.watch.user, most=100_000)

    async def waits_for(self, condition: Callable[[], bool]) -> None:
        """Until something was kept or told that makes it true."""
        with anyio.fail_after(LONG):
            while not condition():
                self._news = anyio.Event()
                await self._news.wait()

    async def waiting(self, count: int) -> None:
        """Until so many examples are kept."""
        with anyio.fail_after(LONG):
            while True:
                news = self._news = anyio.Event()  # before it asks: something may come meanwhile
                if len(await self.kept()) >= count:
                    return
                await news.wait()

    @asynccontextmanager
    async def open(self, **watches: Watch) -> AsyncIterator[Watching]:
        """The folder, followed until the end of the block."""
        watching = self.watching(**watches)
        async with anyio.create_task_group() as group:
            group.start_soon(watching.run)
            yield watching
            group.cancel_scope.cancel()

    def _changed(self) -> None:
        self._news.set()


@asynccontextmanager
async def kiosk(folder: Path, *, points: bool = False, **settings: Any) -> AsyncIterator[Kiosk]:
    """One whose watched folder is ``drop`` in ``folder``; its model takes drawings of 2x2, or ``points``."""
    (folder / "drop").mkdir(exist_ok=True)
    model = MLModel((neighbors if points else drawings)(folder / "Drawing.mlmodel"))
    watch = Watch(folder=str(folder / "drop"), model="Drawing", user="ada", **{"settle": 0.0, **settings})
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(open_ledger(folder / "ledger.sqlite", now=lambda: NOW))
        await ledger.put_model(KeptModel("Drawing", "0" * 64, "pipeline", 1, NOW))
        await ledger.add_user("Drawing", "ada", NOW)
        yield Kiosk(ledger, watch, model)
