"""A daemon that only tells: what the API answers with while the page is looked at. What the records say is made up."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from msgspec.structs import replace

from tailor import MLConflictError, MLNotFoundError
from tailor.client import (
    EventRecord,
    Forecast,
    LaneRecord,
    ModelRecord,
    NewUpdate,
    Reason,
    Status,
    SyncRecord,
    UpdateRecord,
    UserRecord,
    VersionRecord,
    Why,
)
from tailor.daemon.configuration import Settings

NOW = datetime.now(UTC).replace(microsecond=0)
OPEN = ("waiting", "running", "paused", "committing")
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def ago(**parts: float) -> datetime:
    """A moment before the tests began."""
    return NOW - timedelta(**parts)


def identifier(number: int) -> str:
    """Of an update or a version."""
    return f"{number * 2654435761 % 2**32:08x}{number:024x}"


def update_record(number: int, **fields: Any) -> UpdateRecord:
    """An update that waits, but for what is given."""
    plain: dict[str, Any] = {
        "identifier": identifier(number),
        "model": "Stickers",
        "user": "ana",
        "state": "waiting",
        "reason": "examples",
        "examples": 12,
        "onto": None,
        "version": None,
        "epoch": None,
        "losses": [],
        "parameters": {"learningRate": 0.01},
        "verdict": None,
        "error": None,
        "made_at": ago(minutes=5),
        "begun_at": None,
        "ended_at": None,
    }
    return UpdateRecord(**{**plain, **fields})


def verdict(before: float, after: float) -> dict[str, Any]:
    """What a guard says, as ``MLUpdateVerdict.as_dict`` has it."""
    accepted = after >= before
    words = f"accuracy on the hold-out {before:.2f} before, {after:.2f} after"
    sets = {"hold_out": {"count": 20, "before": {"accuracy": before}, "after": {"accuracy": after}}}
    return {"accepted": accepted, "reason": words, "sets": sets, "metric": "accuracy", "margin": 0.0, "seed": 0, "trained": 80}


def version_record(number: int, **fields: Any) -> VersionRecord:
    """A version of a user's model."""
    plain: dict[str, Any] = {
        "identifier": f"{number:064x}"[::-1],
        "created_at": ago(days=9 - number),
        "parents": [],
        "device": "kiosk-1",
        "message": "",
        "update": identifier(number),
        "metrics": {},
        "verdict": verdict(0.5 + number / 20, 0.55 + number / 20),
        "pruned": False,
    }
    return VersionRecord(**{**plain, **fields})


class ToldDaemon:
    """What ``tailor.daemon.Daemon`` can be asked, as far as the page asks it. ``done``: what it was told to do."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.started = ago(hours=30)
        self.models_told: list[ModelRecord] = []
        self.names: dict[str, list[str]] = {}
        self.waiting: dict[str, int] = {}
        self.updates_told: list[UpdateRecord] = []
        self.versions: list[VersionRecord] = []
        self.log: list[EventRecord] = []
        self.lanes = [LaneRecord(name="workers", capacity=1, busy=0)]
        self.syncs: list[SyncRecord] = []
        self.why_texts = ["the machine is not on external power", "the lane has room for 1, and 1 is at work"]
        self.done: list[tuple[Any, ...]] = []
        self.failing: Exception | None = None
        self.followed: list[int | None] = []
        self.most_asked: list[int] = []
        self._numbers = itertools.count(1)
        self._heard = anyio.Condition()
        self._live: list[EventRecord] = []
        self.dropping = self.over = False

    def add_model(self, name: str, users: Sequence[str], **fields: Any) -> None:
        """Registers a model with users."""
        plain: dict[str, Any] = {
            "name": name,
            "base": "9f" * 32,
            "kind": "neural network classifier",
            "size": 5_234_000,
            "is_updatable": True,
            "inputs": {"drawing": "image, 28 x 28, grayscale"},
            "outputs": {"label": "string", "labelProbs": "dictionary"},
            "training_inputs": {"drawing": "image, 28 x 28, grayscale", "label": "string"},
            "parameters": {"epochs": "10: from 1 to 20", "learningRate": "0.01: a number from 0.0 to 1.0"},
            "users": len(users),
            "registered_at": ago(days=12),
        }
        self.models_told.append(ModelRecord(**{**plain, **fields}))
        self.names[name] = sorted(users)

    def keep(self, kind: str, text: str, at: datetime = NOW, **fields: Any) -> EventRecord:
        """An event of the past."""
        self.log.append(EventRecord(sequence=next(self._numbers), time=at, kind=kind, text=text, **fields))
        return self.log[-1]

    def update_at(self, number: int) -> UpdateRecord:
        """The update that was made by this number."""
        return next(update for update in self.updates_told if update.identifier == identifier(number))

    def change(self, number: int, **fields: Any) -> UpdateRecord:
        """Another state of an update."""
        place = self.updates_told.index(self.update_at(number))
        self.updates_told[place] = replace(self.updates_told[place], **fields)
        return self.updates_told[place]

    async def tell(self, kind: str, text: str, *, kept: bool = True, **fields: Any) -> None:
        """An event that happens now; those who follow hear it."""
        event = (
            self.keep(kind, text, datetime.now(UTC), **fields)
            if kept
            else EventRecord(sequence=len(self.log), time=NOW, kind=kind, text=text, **fields)
        )
        async with self._heard:
            self._live.append(event)
            self._heard.notify_all()

    async def drop(self, for_good: bool = False) -> None:
        """Ends every stream of events, and those to come where it is for good."""
        async with self._heard:
            self.dropping, self.over = True, for_good
            self._heard.notify_all()

    # What the API asks

    async def status(self) -> Status:
        self._fail()
        states = [update.state for update in self.updates_told if update.state in OPEN]
        return Status(
            version="0.1.0",
            pid=4242,
            started_at=self.started,
            state="running",
            settings=None,
            store="/var/lib/tailor/store",
            listening=["http://127.0.0.1:8765"],
            models=len(self.models_told),
            users=sum(map(len, self.names.values())),
            waiting=sum(self.waiting.values()),
            updates={state: states.count(state) for state in OPEN},
            lanes=self.lanes,
            models_in_memory=min(2, len(self.models_told)),
            memory=131_072_000,
            syncs=self.syncs,
        )

    async def models(self) -> list[ModelRecord]:
        self._fail()
        return self.models_told

    async def model(self, name: str) -> ModelRecord:
        self._fail()
        for model in self.models_told:
            if model.name == name:
                return model
        raise MLNotFoundError(f"models: expected the name of a registered model, got {name!r}")

    async def users(self, model: str, *, after: str = "", most: int = 100) -> list[UserRecord]:
        self._fail()
        self.most_asked.append(most)
        names = [name for name in self.names[model] if name > after][:most]
        return [await self.user(model, name) for name in names]

    async def user(self, model: str, user: str) -> UserRecord:
        self._fail()
        if user not in self.names.get(model, ()):
            raise MLNotFoundError(f"{model}: expected the name of a user, got {user!r}")
        waiting = self.waiting.get(user, 0)
        versions = self.versions if user == "ana" else []
        return UserRecord(
            model=model,
            user=user,
            waiting=waiting,
            taken=0,
            learned=48,
            set_aside=3 if user == "ana" else 0,
            size=94_000,
            version=versions[0].identifier if versions else None,
            update=None,
            next=f"an update once 10 examples wait: {waiting} do",
            added_at=ago(days=11),
            trouble=f"the last version cannot be told: {HOSTILE}" if user == "user-00001" else None,
        )

    async def update(self, model: str, user: str, asked: NewUpdate) -> UpdateRecord:
        self._fail()
        self.done.append(("update", model, user, asked.again))
        made = update_record(900, model=model, user=user, reason="command", made_at=NOW)
        self.updates_told.insert(0, made)
        return made

    async def updates(
        self, *, model: str | None = None, user: str | None = None, states: Sequence[str] = (), after: str = "", most: int = 100
    ) -> list[UpdateRecord]:
        self._fail()
        found = [
            one
            for one in self.updates_told
            if (model, user) in ((None, None), (one.model, one.user)) and (not states or one.state in states)
        ]
        behind = [one.identifier for one in found].index(after) + 1 if after else 0
        return found[behind : behind + most]

    async def update_record(self, identifier: str) -> UpdateRecord:
        self._fail()
        for update in self.updates_told:
            if update.identifier == identifier:
                return update
        raise MLNotFoundError(f"updates: expected the identifier of an update, got {identifier!r}")

    async def pause(self, identifier: str) -> UpdateRecord:
        return await self._move("pause", identifier, "paused")

    async def resume(self, identifier: str) -> UpdateRecord:
        return await self._move("resume", identifier, "running")

    async def cancel(self, identifier: str) -> UpdateRecord:
        return await self._move("cancel", identifier, "cancelled")

    async def why(self, identifier: str) -> Why:
        state = (await self.update_record(identifier)).state
        texts = self.why_texts if state == "waiting" else [f"it is {state}"]
        reasons = [Reason(kind="condition", text=text) for text in texts]
        return Why(subject=identifier, text=f"update {identifier[:12]}: {'; '.join(texts)}", reasons=reasons)

    async def why_user(self, model: str, user: str) -> Why:
        text = f"{self.waiting.get(user, 0)} examples wait, an update is made of 10"
        return Why(subject=user, text=f"{model}/{user}: {text}", reasons=[Reason(kind="examples", text=text)])

    async def forecast(self, identifier: str) -> Forecast:
        state = (await self.update_record(identifier)).state
        if state == "running":
            return Forecast(text="it ends in 2 min", begin=(0, 0, 0), end=(120, 60, 240), unknown=[])
        return Forecast(text="nobody can tell", begin=None, end=None, unknown=["when the machine gets power"])

    async def history(self, model: str, user: str, *, most: int = 100) -> list[VersionRecord]:
        self._fail()
        return self.versions[:most] if user == "ana" else []

    async def rollback(self, model: str, user: str, to: str) -> VersionRecord:
        self.done.append(("rollback", model, user, to))
        raise MLConflictError(f"{user}: expected no open update, got one {HOSTILE}")

    def events(self, *, after: int | None = None) -> AsyncIterator[EventRecord]:
        """From this call on nothing is missed."""
        self.followed.append(after)
        self.dropping = self.over
        return self._events([event for event in self.log if after is not None and event.sequence > after], len(self._live))

    async def _events(self, missed: Sequence[EventRecord], place: int) -> AsyncIterator[EventRecord]:
        for event in missed:
            yield event
        while not self.dropping:
            while place < len(self._live):
                place += 1
                yield self._live[place - 1]
            async with self._heard:
                if place == len(self._live) and not self.dropping:
                    await self._heard.wait()

    async def recent(
        self, *, after: int | None = None, before: int | None = None, most: int = 100, update: str | None = None
    ) -> list[EventRecord]:
        """In order: the first behind ``after``; without it the last, of those before ``before``."""
        self._fail()
        found = [event for event in self.log if event.sequence > (after or 0) and event.sequence < (before or 2**53)]
        of_update = [event for event in found if update in (None, event.update)]
        return of_update[-most:] if after is None else of_update[:most]

    async def _move(self, deed: str, identifier: str, state: Any) -> UpdateRecord:
        update = await self.update_record(identifier)
        self.done.append((deed, identifier))
        self.updates_told[self.updates_told.index(update)] = replace(update, state=state)
        return replace(update, state=state)

    def _fail(self) -> None:
        if self.failing is not None:
            raise self.failing
