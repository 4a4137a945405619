"""The engine of updates: one loop that plans those that are due, and lets a few at a time be alive, each in a task of its own.

All that has to be known after a kill is in the ledger, the store and the checkpoints: what is alive here can go at any moment, and is taken
up again from there. A pause, the end of a budget and the end of the process are the same to it: a checkpoint, and the task is given up.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup
from msgspec import UNSET

from tailor import MLModelError, MLTaskCancelledError, MLUpdateContext

from ..configuration import Conditions
from ..histories import SHOWN, VERDICT
from ..ledger import FinalState, KeptUpdate, LedgerError
from .committing import Committed, commit, made_by, taken_over
from .parameters import checked_parameters, in_progress
from .parts import Parts, place_failed
from .planning import FIRST_PAUSE, LONGEST_PAUSE, Planning
from .preparing import prepared
from .running import Running, Wanted

log = logging.getLogger("tailor.daemon")

SETTLE = 0.02
"""Seconds from the first news to a look."""
PATIENCE = 5
"""How often an update may be begun without getting as far as a checkpoint, before it is no longer taken up at once: it may be what ended
the process."""


@dataclass(frozen=True, slots=True)
class Held:
    """An update that waits until a place is tried again at ``until``, on the loop's clock, for the ``count``-th time; ``text`` says why."""

    until: float
    count: int
    text: str


class Engine:
    """Updates of all users. ``most``: how many are alive at a time of those that run under the same conditions, so that what waits for
    power keeps nobody else waiting; the others wait in the ledger, which is the queue."""

    def __init__(self, parts: Parts, most: int) -> None:
        self.parts = parts
        self.planning = Planning(parts, self.wake)
        self.alive: dict[str, Running] = {}
        self.held: dict[str, Held] = {}
        self.queue: dict[str, str] = {}  # identifiers, and of which model
        self.left_alone: set[str] = set()  # those that a command is at work with: they do not begin meanwhile
        self._most = most
        self.over = anyio.Event()
        self._stopping = False
        self._news = anyio.Event()
        self._group: TaskGroup | None = None

    async def take_up(self) -> None:
        """Finds what an earlier process has left, before ``run``. Raises ``LedgerError`` and ``OSError``."""
        parts = self.parts
        left = await parts.ledger.open_updates()
        await parts.checkpoints.sweep([update.identifier for update in left])
        for update in sorted(left, key=lambda one: one.state != "committing"):  # what has been learned comes first
            if update.state == "running":
                await parts.ledger.change_update(update.identifier, state="waiting")
            if update.state == "paused":
                continue
            self.queue[update.identifier] = update.model
            if update.attempts >= PATIENCE and not parts.checkpoints.path(update.identifier).exists():
                seconds = min(LONGEST_PAUSE, 2.0 ** (update.attempts - PATIENCE))
                told = f"it was begun {update.attempts} times, and each time the daemon ended before it got anywhere"
                self.held[update.identifier] = Held(anyio.current_time() + seconds, 0, told)
                await parts.events.tell("trouble", told, model=update.model, user=update.user, update=update.identifier)

    async def run(self) -> None:
        """Goes on until ``stop``; then until nothing is alive any more."""
        try:
            async with anyio.create_task_group() as self._group:
                while not self._stopping:
                    self._news = anyio.Event()
                    await self.planning.plan_due(self.enqueue)
                    self._fill()
                    with anyio.CancelScope(deadline=self._next()):
                        await self._news.wait()
                        await anyio.sleep(SETTLE)  # more may have come: all of it is looked at once
        finally:
            self.over.set()

    def examples_added(self, model: str, user: str) -> None:
        """Says that there is more to learn from."""
        self.planning.changed(model, user)
        self.wake()

    def wake(self) -> None:
        """Lets the loop look again."""
        self._news.set()

    def stop(self) -> None:
        """Begins nothing more, and lets all that is alive leave: each with a checkpoint."""
        self._stopping = self.planning.is_stopped = True
        for running in self.alive.values():
            running.want("leave")
        self.wake()

    def enqueue(self, update: KeptUpdate, *, first: bool = False) -> None:
        """Lets an update be taken up when there is room, and at once where what it waited for is to be tried again."""
        self.held.pop(update.identifier, None)
        if first:
            self.queue = {update.identifier: update.model, **self.queue}
        self.queue[update.identifier] = update.model
        self._fill()
        self.wake()

    def _next(self) -> float:
        """When there is something to do though nothing has happened, on the loop's clock."""
        alive = self._alive_by_conditions()
        waits = (one for one, model in self.queue.items() if one in self.held and alive[self._conditions(model)] < self._most)
        return min((self.planning.next, *(self.held[one].until for one in waits if one not in self.left_alone)))

    def _fill(self) -> None:
        """Takes up as many as there is room for."""
        now = anyio.current_time()
        while not self._stopping and self._group is not None:
            alive = self._alive_by_conditions()
            able = (one for one, model in self.queue.items() if one not in self.alive and alive[self._conditions(model)] < self._most)
            free = (one for one in able if one not in self.left_alone and (one not in self.held or self.held[one].until <= now))
            identifier = next(free, None)
            if identifier is None:
                return
            self.alive[identifier] = running = Running(self.parts, identifier, self.queue.pop(identifier))
            self._group.start_soon(self._carry_out, running)

    def _alive_by_conditions(self) -> Counter[Conditions]:
        return Counter(self._conditions(running.model) for running in self.alive.values())

    def _others_wait(self, model: str) -> bool:
        """Whether another update could begin in the place of one of this model."""
        wanted = self._conditions(model)
        return any(one not in self.held and self._conditions(other) == wanted for one, other in self.queue.items())

    def _conditions(self, model: str) -> Conditions:
        return self.parts.rules(model).conditions

    async def _carry_out(self, running: Running) -> None:
        """What becomes of an update while it is alive; raises nothing but a cancellation."""
        whose = None
        try:
            update = await self.parts.ledger.update(running.identifier)
            if update is not None:
                whose = update.model, update.user
                await self._carried_on(running, update)
        except LedgerError as error:
            log.error("update %s: %s", running.identifier, error)
            self.held[running.identifier] = Held(anyio.current_time() + FIRST_PAUSE, 1, str(error))
            self.queue[running.identifier] = running.model
        finally:
            running.close()
            del self.alive[running.identifier]
            running.over.set()
            if whose is not None:
                self.planning.changed(*whose)
            self._fill()
            self.wake()

    async def _carried_on(self, running: Running, update: KeptUpdate) -> None:
        try:
            try:
                await self._course(running, update)
                if running.identifier not in self.queue:
                    self.held.pop(running.identifier, None)
            except Exception as error:  # whatever is wrong with one update ends no other
                await (self._hold if place_failed(error) else self._failed)(update, running, error)
        except (MLModelError, OSError) as error:
            await self._hold(update, running, error)

    async def _course(self, running: Running, update: KeptUpdate) -> None:
        """From wherever an update is to wherever it gets; raises what keeps it from that."""
        parts = self.parts
        if not update.is_open:
            await parts.checkpoints.remove(update.identifier)
            return
        if update.state == "paused":
            return
        if update.state == "committing":
            made = await made_by(parts.store, update)
            if made is not None:
                async with parts.turns.of(update.model, update.user):
                    committed = await taken_over(parts.store, update, made)
                await self._completed(update, committed, made.metadata.get(VERDICT))
                return
        context = await self._learned(running, update)
        if context is None:
            return
        verdict = None if context.verdict is None else context.verdict.as_dict()
        if context.verdict is not None and not context.verdict.accepted:
            await self.end(update, "refused", context.verdict.reason, verdict=verdict)
            return
        progress = running.progress
        update = await parts.ledger.change_update(update.identifier, state="committing", epoch=progress.epoch, losses=progress.losses)
        async with parts.turns.of(update.model, update.user):
            committed = await commit(parts.store, parts.registry, update, context)
        await self._completed(update, committed, verdict)

    async def _learned(self, running: Running, update: KeptUpdate) -> MLUpdateContext | None:
        """What the update has learned; ``None`` where it was left on the way."""
        parts, begun = self.parts, update.begun_at
        while True:
            task = await prepared(parts, update, running)
            running.begin(update, task)
            before, attempts = update.parameters, update.attempts + 1
            update = await parts.ledger.change_update(update.identifier, attempts=attempts, error=None, begun_at=begun or parts.now())
            if begun is not None or update.parameters == before:
                break
            task.cancel()  # somebody has set others meanwhile
        whose = {"model": update.model, "user": update.user, "update": update.identifier}
        runs = running.wanted == "run"
        if runs:
            await parts.ledger.change_update(update.identifier, state="running")
            await parts.events.tell(*("update_begun", "it begins") if begun is None else ("update_resumed", "it goes on"), **whose)
        changed = (
            {}
            if begun is None
            else in_progress(checked_parameters(await parts.registry.base(update.model, update.base), update.parameters))
        )
        rules = parts.rules(update.model)
        context = await running.learn(rules.budget, changed, lambda: self._others_wait(running.model))
        if context is None:
            progress = running.progress
            await parts.ledger.change_update(update.identifier, attempts=0, epoch=progress.epoch, losses=progress.losses)
            if running.wanted != "pause":
                await parts.ledger.change_update(update.identifier, state="waiting")
                self.queue[update.identifier] = update.model
            if runs:
                await parts.events.tell("update_paused", f"suspended: {LEFT[running.wanted]}", **whose)
        return context

    async def _completed(self, update: KeptUpdate, committed: Committed, verdict: Mapping[str, Any] | None) -> None:
        parts, version = self.parts, committed.version
        parts.moved(update.model, update.user)
        if committed.told:
            whose = {"model": update.model, "user": update.user, "update": update.identifier}
            await parts.events.tell("versions_merged" if version.branch == "main" else "trouble", committed.told, **whose)
        await self.end(update, "completed", f"version {version.identifier[:SHOWN]}", version=version.identifier, verdict=verdict)
        parts.kept(update.model, update.user)

    async def end(
        self,
        update: KeptUpdate,
        state: FinalState,
        text: str,
        *,
        version: str | None = None,
        verdict: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> None:
        """Ends an update for good, in the ledger first."""
        parts = self.parts
        await parts.ledger.end_update(
            update.identifier,
            state,
            ended_at=parts.now(),
            version=version,
            verdict=verdict,
            error=error,
            keep_content=parts.settings.examples.keep_learned,
            most=parts.settings.limits.updates,
        )
        self.queue.pop(update.identifier, None)
        self.held.pop(update.identifier, None)
        whose = {"model": update.model, "user": update.user, "update": update.identifier}
        await parts.events.tell("update_ended", f"{state}: {text}", **whose, state=state, version=version)
        await parts.checkpoints.remove(update.identifier)

    async def _failed(self, update: KeptUpdate, running: Running, error: Exception) -> None:
        """Ends an update that cannot be, or that was cancelled. What was cancelled from outside is taken up again."""
        if not isinstance(error, MLTaskCancelledError):
            if not isinstance(error, MLModelError):  # a fault of ours
                log.error("update %s failed", update.identifier, exc_info=error)
            told = str(error) if isinstance(error, MLModelError) else f"{type(error).__name__}: {error}"
            await self.end(update, "failed", told, error=told)
        elif running.wanted == "cancel":
            await self.end(update, "cancelled", "its examples are set aside")
        else:
            await self._hold(update, running, error)

    async def _hold(self, update: KeptUpdate, running: Running, error: Exception) -> None:
        """Lets an update wait until the place that failed is tried again. What it is in the ledger, it stays; unless it ran."""
        before = self.held.get(update.identifier)
        count = 1 if before is None else before.count + 1
        seconds = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (count - 1))
        self.held[update.identifier] = Held(anyio.current_time() + seconds, count, str(error))
        if running.wanted != "pause":
            self.queue[update.identifier] = update.model
        try:
            known = await self.parts.ledger.update(update.identifier) or update
            await self.parts.ledger.change_update(
                update.identifier, state="waiting" if known.state == "running" and running.wanted != "pause" else UNSET, error=str(error)
            )
        except LedgerError as failed:  # it is what failed
            log.error("update %s: %s", update.identifier, failed)
        if before is None or before.text != str(error):
            text = f"it cannot go on now, and is tried again: {error}"
            await self.parts.events.tell("trouble", text, model=update.model, user=update.user, update=update.identifier)


LEFT: dict[Wanted, str] = {
    "run": "its budget is used up, and others go first",
    "pause": "somebody paused it",
    "leave": "the daemon stops",
    "cancel": "somebody cancelled it",
}
