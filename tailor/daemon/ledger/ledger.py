"""The ledger as one object: everything that must happen whole is one call of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from anyio import CancelScope, to_thread
from msgspec import UNSET, UnsetType

from tailor.client import Added, EventRecord, ExampleRecord, ExampleState, SyncRecord, UpdateState

from ..configuration import Limits
from . import tables
from .opening import copy_file, open_file, open_reader
from .reading import Readers
from .rows import FinalState, KeptModel, KeptUpdate, KeptUser, NewPlan, NewRow, Totals, TrainingRow
from .writing import Writer

READERS = 4
NO_LIMITS = Limits()  # the settings' own
Erased = TypeVar("Erased", bound=int)


class Ledger:
    """What the daemon must not forget, in one SQLite file: ``async with open_ledger(path, now=now) as ledger``.

    A change has happened, and is on the disk, when its call returns; one whose caller is cancelled has happened whole or not at all.
    Changes that wait at the same time share one transaction, and do not undo one another. Reads wait for no change.

    Everything raises ``LedgerError`` where the file cannot be read or written (``kind`` ``"disk full"`` among others), and
    ``LedgerMissing`` for a model, user, update or example that is asked for by name and is not there: nothing of the change is there then.
    ``after`` is where a page begins: behind that name or identifier; ``most`` is its length.
    """

    def __init__(self, writer: Writer, readers: Readers, now: Callable[[], datetime], last_event: int) -> None:
        self.now = now
        self.last_event = last_event
        """The sequence of the last event that was kept, 0 before the first."""
        self._writer = writer
        self._readers = readers

    # Models

    async def models(self) -> list[KeptModel]:
        """All of them, by name."""
        return await self._readers.read(tables.models.every)

    async def model(self, name: str) -> KeptModel | None:
        """The model of that name."""
        return await self._readers.read(partial(tables.models.one, name=name))

    async def put_model(self, model: KeptModel, limits: Limits = NO_LIMITS, *, without_users: bool = False) -> None:
        """A new one, or one in the place of another, whose users and examples stay.

        Raises ``LedgerFull`` for ``models``; with ``without_users`` ``LedgerBusy`` where that other one has users.
        """
        await self._writer.change(partial(tables.models.put, model=model, limits=limits, without_users=without_users))

    async def remove_model(self, name: str) -> bool:
        """Whether it was there. Raises ``LedgerBusy`` for one that has users."""
        return await self._writer.change(partial(tables.models.remove, name=name))

    # Users

    async def add_user(self, model: str, user: str, at: datetime, limits: Limits = NO_LIMITS) -> bool:
        """Whether the user is new. Raises ``LedgerFull`` for ``users`` and ``models_per_user``."""
        return await self._writer.change(partial(tables.users.add, model=model, user=user, at=at, limits=limits))

    async def users(self, model: str, after: str = "", most: int = 100) -> list[KeptUser]:
        """Those of a model, by name."""
        return await self._readers.read(partial(tables.users.page, model=model, after=after, most=most))

    async def user(self, model: str, user: str) -> KeptUser | None:
        """The user of that name."""
        return await self._readers.read(partial(tables.users.one, model=model, user=user))

    async def remove_user(self, model: str, user: str) -> bool:
        """Whether the user was there; goes with examples and updates. Raises ``LedgerBusy`` for one whose update is open."""
        return await self._erase(partial(tables.users.remove, model=model, user=user))

    async def totals(self) -> Totals:
        """Of everything together."""
        return await self._readers.read(tables.users.totals)

    # Examples

    async def add_examples(
        self,
        model: str,
        user: str,
        rows: Sequence[NewRow],
        received_at: datetime,
        limits: Limits = NO_LIMITS,
        *,
        base: str | None = None,
    ) -> Added:
        """Keeps all that are new, or nothing; adds the user where new.

        The same id with the same digest, or learned or forgotten before, is a duplicate, and changes nothing. Raises ``LedgerConflict``
        for an id that is kept with another digest, and ``LedgerFull`` for ``examples_per_user``, ``bytes_per_user`` and ``bytes`` (of
        what still has its content) and as ``add_user`` does. ``base``: of the model that the rows are of; ``LedgerMoved`` where it is
        not the registered one any more.
        """
        add = partial(tables.intake.add_all, model=model, user=user, rows=rows, received_at=received_at, limits=limits, base=base)
        return await self._writer.change(add)

    async def examples(
        self, model: str, user: str, state: ExampleState | None = None, after: str = "", most: int = 100
    ) -> list[ExampleRecord]:
        """Those of a user, in the order of arrival. ``size``: bytes of content, 0 where it is gone."""
        return await self._readers.read(partial(tables.examples.page, model=model, user=user, state=state, after=after, most=most))

    async def forget_examples(
        self, model: str, user: str, ids: Sequence[str] = (), labels: Sequence[str | int] = (), sources: Sequence[str] = ()
    ) -> int:
        """How many were forgotten: content and all else is erased, their ids stay. Those that are not there count for nothing.

        Raises ``LedgerBusy``, with nothing forgotten, where an open update learns from one of them.
        """
        return await self._erase(partial(tables.forgetting.forget, model=model, user=user, ids=ids, labels=labels, sources=sources))

    async def waiting(self) -> list[KeptUser]:
        """Users with examples that wait and no open update, who waits longest first."""
        return await self._readers.read(tables.users.waiting)

    # Updates

    async def plan_update(self, plan: NewPlan) -> KeptUpdate | None:
        """The update, which has taken its examples; ``None`` where none wait, or one of this user's model is open.

        Raises ``LedgerMoved`` where its ``base`` is not the registered model any more.
        """
        return await self._writer.change(partial(tables.updates.plan, new=plan))

    async def update(self, identifier: str) -> KeptUpdate | None:
        """The update of that identifier."""
        return await self._readers.read(partial(tables.updates.one, identifier=identifier))

    async def updates(
        self, model: str | None = None, user: str | None = None, states: Sequence[UpdateState] = (), after: str = "", most: int = 100
    ) -> list[KeptUpdate]:
        """The newest first. No ``states``: all."""
        return await self._readers.read(partial(tables.updates.page, model=model, user=user, states=states, after=after, most=most))

    async def open_updates(self) -> list[KeptUpdate]:
        """Those that have not ended, the oldest first."""
        return await self._readers.read(tables.updates.every_open)

    async def change_update(
        self,
        identifier: str,
        *,
        state: UpdateState | UnsetType = UNSET,
        parameters: Mapping[str, Any] | UnsetType = UNSET,
        attempts: int | UnsetType = UNSET,
        epoch: int | None | UnsetType = UNSET,
        losses: Sequence[float] | UnsetType = UNSET,
        begun_at: datetime | None | UnsetType = UNSET,
        error: str | None | UnsetType = UNSET,
        check: Callable[[KeptUpdate], object] | None = None,
    ) -> KeptUpdate:
        """The update with what is given; one that has ended stays as it is, and is returned so.

        ``check`` is called, in a thread, with the update as it is then: what it raises is raised, and nothing is changed.
        """
        given: dict[str, object] = {"state": state, "parameters": parameters, "attempts": attempts, "epoch": epoch, "losses": losses}
        given |= {"begun_at": begun_at, "error": error}
        fields = {name: value for name, value in given.items() if value is not UNSET}
        return await self._writer.change(partial(tables.updates.change, identifier=identifier, fields=fields, check=check))

    async def end_update(
        self,
        identifier: str,
        state: FinalState,
        *,
        ended_at: datetime,
        version: str | None = None,
        verdict: Mapping[str, Any] | None = None,
        error: str | None = None,
        keep_content: bool = False,
        most: int = NO_LIMITS.updates,
    ) -> KeptUpdate:
        """The update, ended; one that has ended stays as it is, and is returned so.

        ``"completed"``: what it took is learned by ``version``, and loses its content unless that is kept. Else it is set aside.
        Of the user's updates all but the last ``most`` are dropped, the oldest first, but not those whose examples are set aside.
        """
        end = partial(tables.updates.end, ended_at=ended_at, version=version, verdict=verdict, error=error, keep_content=keep_content)
        return await self._writer.change(partial(end, identifier=identifier, state=state, most=most))

    async def training_rows(self, identifier: str) -> list[TrainingRow]:
        """What an open update learns from, in the order of arrival."""
        return await self._readers.read(partial(tables.updates.training_rows, identifier=identifier))

    def content(self, sequence: int) -> bytes:
        """The content of the example of that number. Synchronous, for any thread."""
        return self._readers.read_here(partial(tables.examples.content, sequence=sequence))

    # Events and syncs

    async def add_event(
        self,
        kind: str,
        text: str,
        *,
        model: str | None = None,
        user: str | None = None,
        update: str | None = None,
        detail: Mapping[str, Any] | None = None,
        most: int = NO_LIMITS.events,
    ) -> EventRecord:
        """The event with its number and the time; of those before, all but ``most`` are dropped."""
        add = partial(tables.events.add, time=self.now(), kind=kind, text=text, detail=detail or {}, most=most)
        event = await self._writer.change(partial(add, model=model, user=user, update=update))
        self.last_event = max(self.last_event, event.sequence)
        return event

    async def events(
        self, after: int | None = None, before: int | None = None, most: int = 100, update: str | None = None
    ) -> list[EventRecord]:
        """In order: the first behind the number ``after``; without it the last, of those before the number ``before``."""
        found = await self._readers.read(partial(tables.events.page, after=after, before=before, most=most, update=update))
        if found:  # before whoever kept it was answered, perhaps
            self.last_event = max(self.last_event, found[-1].sequence)
        return found

    async def keep_sync(self, sync: SyncRecord) -> None:
        """Keeps it in the place of the one before with the same place."""
        await self._writer.change(partial(tables.syncs.keep, sync=sync))

    async def syncs(self) -> list[SyncRecord]:
        """The last one with each place, the newest first."""
        return await self._readers.read(tables.syncs.every)

    async def backup_to(self, path: Path) -> None:
        """A copy of this moment, complete in one file, while changes go on. Raises ``LedgerError`` where something is at ``path``."""
        await self._readers.lend(partial(copy_file, path=path))

    async def _erase(self, change: Callable[[Connection], Erased]) -> Erased:
        """A change that erases, and then no file has what was erased, even where the caller is cancelled meanwhile."""
        with CancelScope(shield=True):
            erased = await self._writer.change(change)
            if erased:
                await self._writer.tidy()
        return erased


@asynccontextmanager
async def open_ledger(path: Path, *, now: Callable[[], datetime]) -> AsyncIterator[Ledger]:
    """The ledger at ``path``: made where there is none, its tables brought up to this version where they are of an earlier one.

    ``now`` gives the times of events. Raises ``LedgerError`` for a file that is not ours, or of a later version, and leaves it alone.
    """
    connection = await to_thread.run_sync(open_file, path)
    writer = Writer(str(path), connection)
    try:
        await writer.tidy()  # one who was killed may have erased something, and no more
        readers = Readers(str(path), await to_thread.run_sync(lambda: [open_reader(path) for _ in range(READERS)]))
        try:
            yield Ledger(writer, readers, now, await readers.read(tables.events.last))
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(readers.close)
    finally:
        await writer.close()
