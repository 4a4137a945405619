"""The daemon as one object: what the API, watched folders and tests ask of it. It joins the parts, and does nothing itself."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import psutil
from anyio import to_thread

from tailor import MLModelDescription, MLModelError, MLModelStore, MLNotFoundError, Runtime
from tailor.client import (
    Added,
    EventRecord,
    ExampleRecord,
    ExampleState,
    Forecast,
    Forgotten,
    LaneRecord,
    ModelRecord,
    NewExamples,
    NewForgetting,
    NewModel,
    NewUpdate,
    Predictions,
    Status,
    SyncRecord,
    UpdateRecord,
    UpdateState,
    UserRecord,
    VersionRecord,
    Why,
)
from tailor.runtime.producer import producer

from .changes import changes
from .configuration import Settings
from .events import Events
from .examples import Intake
from .histories import Histories
from .ledger import KeptUpdate, KeptUser, open_ledger
from .models import Memory, ModelRegistry, Models, Predicting, UserModels, batching
from .syncing import Syncing
from .turns import Turns
from .updates import Checkpoints, Commands, Engine, Parts, as_record, as_user_record, forecast, why, why_user
from .watching import Watching

VERSION = producer().removeprefix("tailor ")
LOOK_SECONDS = 600.0
"""How often it is looked whether the files of registered models are still what they were."""


class Daemon:
    """Models that learn from what comes in: ``async with Daemon(settings, state, store) as daemon``.

    ``state``    the folder of all that must not be forgotten, but for versions of models, which are in ``store``, which is open.
    ``runtime``  one that is open, in place of one of its own. ``now``: the time, with a zone.

    It takes up what an earlier one left, however that ended. To leave the block suspends what is at work, each with a checkpoint. Methods
    raise ``MLModelError``'s family: ``MLNotFoundError`` for what is not there, ``MLConflictError`` for what is there already or in the way,
    ``MLLimitError`` for what would be too much, ``MLFeatureError`` and others for what cannot be.

    ``listening`` and ``settings_file`` are for whoever serves it to set: ``status`` tells them.
    """

    def __init__(
        self,
        settings: Settings,
        state: Path,
        store: MLModelStore,
        *,
        runtime: Runtime | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.listening: list[str] = []
        self.settings_file: str | None = None
        self._state = state
        self._store = store
        self._given = runtime
        self._now = now
        self._started_at = now()
        self._stopping = False
        self._stack: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def _open(self, stack: AsyncExitStack) -> None:
        settings, limits, store = self.settings, self.settings.limits, self._store
        await to_thread.run_sync(partial(os.makedirs, self._state, mode=0o700, exist_ok=True))
        self._ledger = await stack.enter_async_context(open_ledger(self._state / "ledger.sqlite", now=self._now))
        made = Runtime(workers=settings.workers, processes=settings.processes, batching=batching(limits))
        self._runtime = self._given if self._given is not None else await stack.enter_async_context(made)
        self._events = Events(self._ledger, limits.events)
        self._memory: Models = Memory(limits.models_in_memory, limits.bytes_in_memory)
        self._registry = ModelRegistry(self._state / "bases", self._ledger, self._memory, limits, self._events.tell)
        self._models = UserModels(store, self._ledger, self._registry, self._memory)
        self._predicting = Predicting(self._runtime, self._models, limits)
        self._intake = Intake()
        turns = Turns()
        self._histories = Histories(self._ledger, store, turns, moved=self._models.forget, tell=self._events.tell)
        self._syncing = Syncing(
            self._ledger,
            store,
            settings.sync,
            moved=self._models.forget,
            all_moved=self._models.forget_all,
            tell=self._events.tell,
            now=self._now,
            device=settings.device,
        )
        self._watching = Watching(settings.watch, limits, description=self._description, add=self.add_examples, tell=self._events.tell)
        self._parts = Parts(
            ledger=self._ledger,
            registry=self._registry,
            store=store,
            runtime=self._runtime,
            events=self._events,
            turns=turns,
            checkpoints=Checkpoints(self._state / "checkpoints"),
            settings=settings,
            now=self._now,
            moved=self._models.forget,
            kept=lambda model, user: self._syncing.updated(),
        )
        self._engine = Engine(self._parts, most=settings.workers + settings.processes)
        self._commands = Commands(self._engine)
        await self._registry.start({update.base for update in await self._ledger.open_updates()})
        await self._register_files()
        await self._engine.take_up()
        await self._events.tell("daemon_started", f"tailor {VERSION} is ready", version=VERSION)
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        for work in (self._engine.run, self._syncing.run, self._watching.run, self._look_again):
            self._group.start_soon(work)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        assert self._stack is not None
        async with self._stack:
            try:
                with anyio.move_on_after(self.settings.stop_seconds, shield=True):
                    await self._events.tell("daemon_stopping", "what is at work is suspended, each with a checkpoint")
                    self.stop()
                    await self._engine.over.wait()
            finally:
                self._group.cancel_scope.cancel()
                if isinstance(error, Exception):  # the block's own leaves as it came, in no group
                    await self._group.__aexit__(None, None, None)
                else:
                    await self._group.__aexit__(kind, error, traceback)

    # Models

    async def register(self, name: str, model: NewModel) -> ModelRecord:
        """Registers the model of a file's bytes; with ``replace`` in place of another. The same again changes nothing."""
        return await self._registry.register(name, model.data, replace=model.replace)

    async def models(self) -> list[ModelRecord]:
        """All models, by name."""
        return await self._registry.records()

    async def model(self, name: str) -> ModelRecord:
        """One model."""
        return await self._registry.record(name)

    async def remove_model(self, name: str) -> None:
        """Takes a model away; ``MLConflictError`` while it has users."""
        await self._registry.remove(name)
        await self._events.tell("model_removed", f"model {name} is gone", model=name)

    # Users

    async def add_user(self, model: str, user: str) -> UserRecord:
        """Adds a user; one that is there stays as it is."""
        self._registry.digest(model)
        if await self._ledger.add_user(model, user, self._now(), self.settings.limits):
            self._models.forget(model, user)
            await self._events.tell("user_added", f"{model} has the user {user}", model=model, user=user)
        return await self.user(model, user)

    async def users(self, model: str, *, after: str = "", most: int = 100) -> list[UserRecord]:
        """A model's users by name, those behind ``after``."""
        self._registry.digest(model)
        return await self._user_records(model, await self._ledger.users(model, after, most))

    async def user(self, model: str, user: str) -> UserRecord:
        """One user."""
        (record,) = await self._user_records(model, [await self._user(model, user)])
        return record

    async def remove_user(self, model: str, user: str) -> None:
        """Takes a user away, with all examples; versions in the store stay. ``MLConflictError`` while an update is open."""
        if not await self._ledger.remove_user(model, user):
            raise self._no_user(model, user)
        self._models.forget(model, user)
        await self._events.tell("user_removed", f"{model} has no user {user} any more", model=model, user=user)

    # Examples and predictions

    async def add_examples(self, model: str, user: str, examples: NewExamples) -> Added:
        """Keeps examples, all or none: they are on the disk when this returns. Adds the user where new."""
        limits = self.settings.limits

        async def add(base: str) -> Added:
            rows = await self._intake.rows(examples, await self._registry.training_features(model, base), limits)
            try:
                return await self._ledger.add_examples(model, user, rows, self._now(), limits, base=base)
            finally:  # one who is cancelled may have added them
                self._engine.examples_added(model, user)

        added = await self._registry.for_base(model, add)
        if added.accepted:
            text = f"{model}/{user}: {added.accepted} examples came, {added.waiting} wait"
            self._events.progress("examples_added", text, model=model, user=user, accepted=added.accepted, waiting=added.waiting)
        return added

    async def examples(
        self, model: str, user: str, *, state: ExampleState | None = None, after: str = "", most: int = 100
    ) -> list[ExampleRecord]:
        """A user's examples in the order in which they came, those behind the one called ``after``."""
        await self._user(model, user)
        return await self._ledger.examples(model, user, state, after, most)

    async def predict(self, model: str, user: str | None, inputs: Sequence[dict[str, Any]]) -> Predictions:
        """What a user's model answers, or the registered one; arrays and images as they are."""
        return await self._predicting.predict(model, user, inputs)

    # Updates

    async def update(self, model: str, user: str, asked: NewUpdate) -> UpdateRecord:
        """An update of what waits, now: before all others."""
        self._registry.digest(model)
        return as_record(await self._commands.update(model, user, asked.parameters, again=asked.again))

    async def updates(
        self, *, model: str | None = None, user: str | None = None, states: Sequence[UpdateState] = (), after: str = "", most: int = 100
    ) -> list[UpdateRecord]:
        """The newest first, those older than ``after``."""
        if model is not None:
            self._registry.digest(model)
        if model is not None and user is not None:
            await self._user(model, user)
        return [as_record(update) for update in await self._ledger.updates(model, user, states, after, most)]

    async def update_record(self, identifier: str) -> UpdateRecord:
        """One update."""
        return as_record(await self._known(identifier))

    async def pause(self, identifier: str) -> UpdateRecord:
        """Suspends an update with a checkpoint, until it is resumed, over restarts too."""
        return as_record(await self._commands.pause(identifier))

    async def resume(self, identifier: str) -> UpdateRecord:
        """Lets an update go on; one that waits for a place that failed, at once."""
        return as_record(await self._commands.resume(identifier))

    async def cancel(self, identifier: str) -> UpdateRecord:
        """Ends an update; its examples are set aside."""
        return as_record(await self._commands.cancel(identifier))

    async def set_parameters(self, identifier: str, parameters: dict[str, Any]) -> UpdateRecord:
        """Other parameters from the next mini-batch on."""
        return as_record(await self._commands.set_parameters(identifier, parameters))

    async def why(self, identifier: str) -> Why:
        """Why an update is where it is."""
        return why(self._engine, await self._known(identifier))

    async def why_user(self, model: str, user: str) -> Why:
        """Why a user's examples are where they are."""
        known = await self._user(model, user)
        update = None if known.update is None else await self._ledger.update(known.update)
        return why_user(self._engine, known, update, await self._refused(model) or self._engine.planning.failed(model, user))

    async def forecast(self, identifier: str) -> Forecast:
        """When an update will begin and end."""
        return forecast(self._engine, await self._known(identifier))

    # History

    async def history(self, model: str, user: str, *, most: int = 100) -> list[VersionRecord]:
        """The versions of a user's model, the newest first."""
        await self._user(model, user)
        return await self._histories.history(model, user, most=most)

    async def rollback(self, model: str, user: str, to: str) -> VersionRecord:
        """Makes a version like an older one the last one."""
        await self._user(model, user)
        return await self._histories.rollback(model, user, to)

    async def forget(self, model: str, user: str, what: NewForgetting) -> Forgotten:
        """Forgets examples, here and in every version."""
        await self._user(model, user)
        return await self._histories.forget(model, user, what)

    async def sync(self) -> list[SyncRecord]:
        """A sync with every place of the settings, now."""
        return await self._syncing.sync()

    # The daemon

    async def status(self) -> Status:
        """The daemon at this moment."""
        totals, lanes = await self._ledger.totals(), self._runtime.scheduler.lanes
        return Status(
            version=VERSION,
            pid=os.getpid(),
            started_at=self._started_at,
            state="stopping" if self._stopping else "running",
            settings=self.settings_file,
            store=self._store.name,
            listening=list(self.listening),
            models=totals.models,
            users=totals.users,
            waiting=totals.waiting,
            updates=dict(Counter(update.state for update in await self._ledger.open_updates())),
            lanes=[LaneRecord(name=name, capacity=lane.capacity, busy=lane.busy) for name, lane in lanes.items()],
            models_in_memory=len(self._memory),
            memory=psutil.Process().memory_info().rss,
            syncs=await self._ledger.syncs(),
            folder=str(self._state),
        )

    async def tell(self, kind: str, text: str, **detail: Any) -> EventRecord:
        """Makes an event of something that happened around the daemon; its kinds are those of ``tailor.daemon.events``."""
        return await self._events.tell(kind, text, **detail)

    def events(self, *, after: int | None = None) -> AsyncIterator[EventRecord]:
        """What happens from now on; with ``after``, first what is kept of what came behind that sequence."""
        return self._events.follow(after)

    async def recent(
        self, *, after: int | None = None, before: int | None = None, most: int = 100, update: str | None = None
    ) -> list[EventRecord]:
        """Events that are kept, in order: the first behind ``after``; without it the last, of those before ``before``."""
        return await self._ledger.events(after, before, most, update)

    async def reload(self, settings: Settings) -> None:
        """Other settings, for what is planned from now on. Which of them hold from the next start only is told by the event."""
        changed, later = changes(self.settings, settings)
        self.settings = self._parts.settings = settings
        limits = settings.limits
        self._registry.limits = self._predicting.limits = limits
        self._memory.limit(limits.models_in_memory, limits.bytes_in_memory)
        self._events.most = limits.events
        self._syncing.reload(settings.sync)
        self._watching.reload(settings.watch, limits)
        await self._register_files()
        self._engine.planning.all_changed()
        self._engine.wake()
        text = f"changed: {', '.join(changed) or 'nothing'}" + (f"; from the next start on only: {', '.join(later)}" if later else "")
        await self._events.tell("settings_reloaded", text, changed=changed, next_start=later)

    async def settings_refused(self, error: MLModelError) -> None:
        """Tells that settings could not be read again; those in force stay."""
        await self._events.tell("settings_refused", str(error))

    def stop(self) -> None:
        """Begins nothing more, and ends streams of events. What is alive is suspended; the block is left by who entered it."""
        self._stopping = True
        self._engine.stop()
        self._events.close()

    async def _register_files(self) -> None:
        for name, model in self.settings.models.items():
            await self._registry.register_file(name, Path(model.path))

    async def _look_again(self) -> None:
        while True:
            await anyio.sleep(LOOK_SECONDS)
            await self._registry.look_again()

    async def _description(self, model: str) -> MLModelDescription:
        return (await self._registry.base(model)).description

    async def _user(self, model: str, user: str) -> KeptUser:
        known = await self._ledger.user(model, user)
        if known is None:
            raise self._no_user(model, user)
        return known

    def _no_user(self, model: str, user: str) -> MLNotFoundError:
        self._registry.digest(model)
        return MLNotFoundError(f"model {model!r}: expected one of its users, got {user!r:.100}")

    async def _known(self, identifier: str) -> KeptUpdate:
        return await self._commands.known(identifier)

    async def _refused(self, model: str) -> str:
        """What keeps a model from learning by the settings, in words."""
        try:
            await self._engine.planning.check(model, self._parts.rules(model).parameters)
        except MLModelError as error:
            return str(error)
        return ""

    async def _user_records(self, model: str, users: Sequence[KeptUser]) -> list[UserRecord]:
        """Users of one model. One whose last version the store cannot read says so."""
        last = await self._histories.last(model, [known.user for known in users])
        return [as_user_record(self._engine, known, last[known.user]) for known in users]
