"""An update that is alive: its task, how it goes, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import anyio

from tailor import Budget, MLMetricKey, MLParameterKey, MLTaskState, MLUpdateContext, MLUpdateTask

from ..ledger import KeptUpdate, LedgerError
from .parts import Parts
from .progress import Progress

Wanted: TypeAlias = Literal["run", "pause", "cancel", "leave"]

COUNTED = 1e15
"""Steps of a budget, more than there ever are: what is left of them tells whether one was taken."""
TOLD_SECONDS, KEPT_SECONDS = 0.25, 2.0
"""How often progress is told to those who listen, and kept in the ledger, at most."""


class Running:
    """What is going on with one update of a model. ``over`` is set when it is alive no more."""

    def __init__(self, parts: Parts, identifier: str, model: str) -> None:
        self.identifier = identifier
        self.model = model
        self.wanted: Wanted = "run"
        self.task: MLUpdateTask | None = None
        self.over = anyio.Event()
        self.progress = Progress()
        self._parts = parts
        self._whose: dict[str, str] = {}
        self._changed: dict[MLParameterKey, Any] = {}
        self._told = self._kept = anyio.current_time()

    def begin(self, update: KeptUpdate, task: MLUpdateTask) -> None:
        """Takes on the task of ``update``."""
        self.task = task
        self.progress = Progress(update.epoch, update.losses)
        self._whose = {"model": update.model, "user": update.user, "update": update.identifier}

    def want(self, wanted: Wanted) -> None:
        """Says what is to become of it; ``cancel`` is final."""
        if self.wanted == "cancel" or (self.wanted == "pause" and wanted == "leave"):
            return
        self.wanted = wanted
        if self.task is not None and wanted == "cancel":
            self.task.cancel()
        elif self.task is not None and self.task.state is MLTaskState.RUNNING and wanted != "run":
            self.task.suspend()

    def change(self, parameters: Mapping[MLParameterKey, Any]) -> None:
        """Other parameters from the next mini-batch on, or from when it begins."""
        self._changed.update(parameters)
        if self.wanted == "run" and self.task is not None and self.task.state is MLTaskState.RUNNING:
            self.task.resume(parameters)

    def close(self) -> None:
        """Gives back what the task holds, where something kept it from its end."""
        if self.task is not None and not self.task.state.is_final:
            self.task.cancel()

    async def learn(
        self, budget: float, parameters: Mapping[MLParameterKey, Any], others_wait: Callable[[], bool]
    ) -> MLUpdateContext | None:
        """Lets the task learn, and gives its final context; ``None`` where it was left: it has a checkpoint then, if it had begun, and the
        task is gone.

        ``budget``: seconds of work, then others go if they wait; 0: no end. A budget that no step fits in is doubled until one does.
        Raises what the task fails with.
        """
        assert self.task is not None, "begin comes first"
        task = self.task
        while self.wanted == "run":
            task.resume({**parameters, **self._changed}, budget=Budget(seconds=budget, steps=COUNTED) if budget else None)
            parameters = {}
            state = await task.paused()
            if state.is_final:
                return await task
            ticket = self._parts.runtime.scheduler.ticket(task.task_identifier)
            if ticket is None or ticket.left.steps == COUNTED:
                budget *= 2
            elif others_wait():
                break
        task.cancel()
        if self.wanted == "cancel":
            return await task
        return None

    async def epoch_ended(self, context: MLUpdateContext) -> None:
        """Handler of the task: tells of its progress, and keeps it, both from time to time."""
        epoch, loss = int(context.metrics[MLMetricKey.EPOCH_INDEX]), context.metrics.get(MLMetricKey.LOSS_VALUE)
        self.progress.add(epoch, loss)
        now = anyio.current_time()
        if now - self._told >= TOLD_SECONDS:
            self._told = now
            text = f"epoch {epoch + 1} is over" + ("" if loss is None else f", with a mean loss of {loss:.4g}")
            self._parts.events.progress("update_progress", text, **self._whose, epoch=epoch, loss=loss)
        if now - self._kept >= KEPT_SECONDS:
            self._kept = now
            try:
                await self._parts.ledger.change_update(self.identifier, epoch=epoch, losses=self.progress.losses)
            except LedgerError:  # the update goes on; what cannot do without the ledger tells of its trouble
                return
