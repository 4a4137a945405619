"""What people ask of updates: one now, to pause, resume and cancel one, other parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from anyio import CancelScope

from tailor import MLConflictError, MLNotFoundError, MLTaskStateError

from ..ledger import KeptUpdate, LedgerError
from ..turns import Turns
from .engine import Engine
from .parameters import check_in_progress, checked_parameters, in_progress
from .running import Running, Wanted


class Commands:
    """Commands to an engine. Each raises ``MLNotFoundError`` for what is not there, and ``LedgerError`` where nothing can be kept now."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parts = engine.parts
        self._turns = Turns()

    async def update(self, model: str, user: str, parameters: Mapping[str, Any], *, again: bool) -> KeptUpdate:
        """Plans an update of what waits, before all others; ``again``: of what was set aside too.

        Raises ``MLConflictError`` where one is open already or nothing waits, ``MLParameterError`` and ``MLUpdateError`` where it can not.
        """
        known = await self._parts.ledger.user(model, user)
        if known is None:
            raise MLNotFoundError(f"{model}: expected one of its users, got {user!r:.100}")
        update = await self._engine.planning.plan(known, "command", parameters=parameters, again=again)
        if update is not None:
            self._engine.enqueue(update, first=True)
            return update
        known = await self._parts.ledger.user(model, user) or known
        if known.update is not None:
            raise MLConflictError(f"{model}/{user}: expected no update under way, got update {known.update}")
        aside = f"; {known.set_aside} are set aside, and are taken again where that is asked for" if known.set_aside else ""
        raise MLConflictError(f"{model}/{user}: expected examples that wait for an update, got none{aside}")

    async def pause(self, identifier: str) -> KeptUpdate:
        """Returns when it is suspended, with a checkpoint where it had begun; it may have ended before. Raises ``MLTaskStateError``."""
        async with self._turn(identifier):
            update = await self._open(identifier, "paused")
            if update.state == "paused":
                return update
            running = self._ask(identifier, "pause")
            try:
                with CancelScope(shield=True):
                    await self._parts.ledger.change_update(identifier, state="paused")
            except LedgerError:  # then it goes on, after others
                if running is not None and running.wanted == "pause":
                    running.wanted = "leave"
                self._engine.enqueue(update)
                raise
            self._engine.queue.pop(identifier, None)
            self._engine.held.pop(identifier, None)
            if running is not None:
                await running.over.wait()
            else:
                await self._tell("update_paused", "somebody paused it before it ran", update)
            return await self.known(identifier)

    async def resume(self, identifier: str) -> KeptUpdate:
        """Lets an update go on; one that waits for a place that failed is tried again at once. Raises ``MLTaskStateError``."""
        async with self._turn(identifier):
            update = await self.known(identifier)
            if not update.is_open:
                raise self._too_late(update, "resumed")
            running = self._engine.alive.get(identifier)
            if running is not None and running.wanted == "pause":  # whoever paused it has gone meanwhile
                await running.over.wait()
                running, update = None, await self.known(identifier)
            if running is None:
                with CancelScope(shield=True):  # what the ledger has is known here too
                    if update.state == "paused":
                        update = await self._parts.ledger.change_update(identifier, state="waiting")
                    if update.is_open:
                        self._engine.enqueue(update)
            return await self.known(identifier)

    async def cancel(self, identifier: str) -> KeptUpdate:
        """Returns when it has ended: its examples are set aside, unless it was quicker. Raises ``MLTaskStateError``."""
        async with self._turn(identifier):
            update = await self._open(identifier, "cancelled")
            running = self._ask(identifier, "cancel")
            if running is not None:
                await running.over.wait()
                update = await self.known(identifier)
            if update.is_open and update.state != "committing":
                await self._engine.end(update, "cancelled", "its examples are set aside")
            return await self.known(identifier)

    async def set_parameters(self, identifier: str, given: Mapping[str, Any]) -> KeptUpdate:
        """Other parameters, from the next mini-batch on; of an update that has not begun any, of one that has its learning rate.

        Raises ``MLParameterError``, and ``MLTaskStateError`` where it has learned already.
        """
        async with self._turn(identifier):
            update = await self._open(identifier, purpose := "given other parameters")
            checked = checked_parameters(await self._parts.registry.base(update.model, update.base), given)

            def check(now: KeptUpdate) -> None:  # it may have begun, learned or ended meanwhile
                self._check_open(now, purpose)
                running = self._engine.alive.get(identifier)
                if running is not None and running.task is not None and running.task.state.is_final:
                    raise self._too_late(now, purpose)
                if now.begun_at is not None:
                    check_in_progress(checked)

            with CancelScope(shield=True):  # what the ledger has is known here too
                update = await self._parts.ledger.change_update(identifier, parameters={**update.parameters, **given}, check=check)
            running = self._engine.alive.get(identifier)
            if running is not None:
                running.change(in_progress(checked))
            return update

    async def known(self, identifier: str) -> KeptUpdate:
        """The update of this identifier."""
        update = await self._parts.ledger.update(identifier)
        if update is None:
            raise MLNotFoundError(f"expected the identifier of an update, got {identifier!r:.100}")
        return update

    @asynccontextmanager
    async def _turn(self, identifier: str) -> AsyncIterator[None]:
        """One command to an update at a time, which does not begin meanwhile."""
        async with self._turns.of("", identifier):
            self._engine.left_alone.add(identifier)
            try:
                yield
            finally:
                self._engine.left_alone.remove(identifier)
                self._engine.wake()

    async def _open(self, identifier: str, purpose: str) -> KeptUpdate:
        update = await self.known(identifier)
        self._check_open(update, purpose)
        return update

    def _check_open(self, update: KeptUpdate, purpose: str) -> None:
        if not update.is_open or update.state == "committing":
            raise self._too_late(update, purpose)

    def _too_late(self, update: KeptUpdate, purpose: str) -> MLTaskStateError:
        now = "is being committed" if update.is_open else f"has ended: {update.state}"
        return MLTaskStateError(f"update {update.identifier}: expected one that is under way, to be {purpose}, got one that {now}")

    def _ask(self, identifier: str, wanted: Wanted) -> Running | None:
        running = self._engine.alive.get(identifier)
        if running is not None:
            running.want(wanted)
        return running

    async def _tell(self, kind: str, text: str, update: KeptUpdate) -> None:
        await self._parts.events.tell(kind, text, model=update.model, user=update.user, update=update.identifier)
