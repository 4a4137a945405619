"""Asking a daemon from Python: ``async with Client() as client``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import anyio
from anyio import to_thread

from .batches import Given, Part, example_parts, input_parts, is_little
from .connection import Connection
from .errors import MLDaemonError
from .events import Events
from .places import Place
from .records import (
    Added,
    EventRecord,
    ExampleRecord,
    ExampleState,
    Forecast,
    Forgotten,
    Health,
    ModelRecord,
    NewForgetting,
    NewParameters,
    NewRollback,
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
from .values import from_wire

FINAL: tuple[UpdateState, ...] = ("completed", "refused", "failed", "cancelled")
"""States of an update that has ended."""
_ASK_AGAIN = 30.0  # seconds without an event after which ``wait`` looks for itself
_LONG = 3600.0  # seconds for what moves whole models
_DIGITS = 32  # of an update's identifier
_MOST_PAGES, _PAGE = 10, 1000
_NUMBERED = re.compile(r"^(example |examples\[|inputs\[)(\d+)(\b)")


class Client:
    """A daemon, as who asks it sees it; used with ``async with``, on asyncio and on trio. It may be used by many tasks at once.

    ``place``   the path of a socket, or ``http://127.0.0.1:PORT``; ``None``: that of ``TAILOR_DAEMON``, else where one listens by default.
    ``token``   for TCP; ``None``: that of ``TAILOR_DAEMON_TOKEN``, otherwise of the file ``token`` in the daemon's state folder.
    ``timeout`` seconds for a request and its answer.

    What does no harm when it is done twice (looking, adding examples, which have names) is tried again where the connection breaks, three
    times. Every method raises ``MLDaemonError``, ``MLNoDaemonError`` where nobody answers.
    """

    def __init__(self, place: str | os.PathLike[str] | None = None, token: str | None = None, *, timeout: float = 60.0) -> None:
        self._connection = Connection(place, token, timeout)
        self._ask = self._connection.ask

    @property
    def place(self) -> Place:
        """Where the daemon is looked for."""
        return self._connection.place

    def __repr__(self) -> str:
        return f"<Client of {self.place}>"

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._connection.__aexit__(kind, error, trace)

    # Models

    async def register(self, model: str | os.PathLike[str] | bytes, name: str | None = None, *, replace: bool = False) -> ModelRecord:
        """Registers a model by its file, or the file's bytes. ``name``: what it is called; without one, as the file is.

        ``replace``: another model of this name may be there. Raises ``OSError`` where the file cannot be read.
        """
        if not isinstance(model, bytes):
            path = Path(model)
            name = path.stem if name is None else name
            model = await to_thread.run_sync(path.read_bytes)
        if not name:
            raise ValueError("name: expected one for a model that is given as bytes")
        return await self._ask(ModelRecord, "PUT", _model(name), query={"replace": replace}, raw=model, within=_LONG)

    async def models(self) -> list[ModelRecord]:
        """Every registered model."""
        return await self._ask(list[ModelRecord], "GET", "/v1/models")

    async def model(self, name: str) -> ModelRecord:
        """One of them."""
        return await self._ask(ModelRecord, "GET", _model(name))

    async def remove_model(self, name: str) -> None:
        """Removes a model that has no users."""
        await self._ask(type(None), "DELETE", _model(name))

    # Users

    async def add_user(self, model: str, user: str) -> UserRecord:
        """Adds a user; one that is there stays as it is. Adding examples does so too."""
        return await self._ask(UserRecord, "PUT", _user(model, user), again=True)

    async def users(self, model: str, *, after: str = "", most: int = 100) -> list[UserRecord]:
        """``most`` of a model's users (1000 at most), by name, behind ``after``."""
        return await self._ask(list[UserRecord], "GET", f"{_model(model)}/users", query={"after": after, "most": most})

    async def user(self, model: str, user: str) -> UserRecord:
        """A user: how many examples are where, and what comes next."""
        return await self._ask(UserRecord, "GET", _user(model, user))

    async def remove_user(self, model: str, user: str) -> None:
        """Removes a user and the examples; versions in the store stay."""
        await self._ask(type(None), "DELETE", _user(model, user))

    # Examples and predictions

    async def add_examples(self, model: str, user: str, examples: Iterable[Given], batch: str | None = None) -> Added:
        """Keeps examples: they are on disk when this returns. Features are numbers, text, arrays, Pillow images, paths of images (read
        here), lists and dictionaries.

        An example without an id is called ``batch-number``, counted from 0; the same id again is not counted again. ``batch``: one is made
        up, so that a request that has to be made twice adds nothing twice; with one of your own the whole call can be made again. Long
        lists go in several requests, read as they are sent, in another thread: each is kept whole or not at all, those in front stay.

        Raises ``MLFeatureError`` for what cannot be sent.
        """
        parts, little = example_parts(examples, batch if batch is not None else uuid4().hex), is_little(examples)
        added = Added(accepted=0, duplicates=0, waiting=0)
        while (part := await _next(parts, little)) is not None:
            first, raws = part
            try:
                got = await self._ask(Added, "POST", f"{_user(model, user)}/examples", body={"examples": raws}, again=True)
            except MLDaemonError as error:
                raise _about(error, first) from None
            added = Added(accepted=added.accepted + got.accepted, duplicates=added.duplicates + got.duplicates, waiting=got.waiting)
        if not added.accepted and not added.duplicates:
            raise ValueError("examples: expected at least one, got none")
        return added

    async def examples(
        self, model: str, user: str, *, state: ExampleState | None = None, after: str = "", most: int = 100
    ) -> list[ExampleRecord]:
        """``most`` of a user's examples (1000 at most), in the order they came, behind the one called ``after``."""
        return await self._ask(
            list[ExampleRecord], "GET", f"{_user(model, user)}/examples", query={"state": state, "after": after, "most": most}
        )

    async def predict(self, model: str, user: str | None, inputs: Iterable[Mapping[str, object]]) -> Predictions:
        """What the user's own model answers to each of ``inputs``; without a user, the model as it was registered.

        Inputs are given as features of ``add_examples`` are; outputs are numbers, texts, arrays, images and dictionaries.
        """
        path = _model(model) if user is None else _user(model, user)
        parts, little = input_parts(inputs), is_little(inputs)
        outputs: list[dict[str, Any]] = []
        version: str | None = None
        while (part := await _next(parts, little)) is not None:
            first, raws = part
            try:
                got = await self._ask(Predictions, "POST", f"{path}/predictions", body={"inputs": raws}, again=True)
                outputs += [from_wire(output, f"answer {first + number}") for number, output in enumerate(got.outputs)]
            except MLDaemonError as error:
                raise _about(error, first) from None
            except ValueError as error:
                raise MLDaemonError(str(error), status=200) from None
            version = got.version
        return Predictions(outputs=outputs, version=version)

    # Updates

    async def update(self, model: str, user: str, parameters: Mapping[str, Any] | None = None, *, again: bool = False) -> UpdateRecord:
        """Begins an update of what waits; ``again``: of what was set aside, too. ``wait`` waits for it."""
        asked = NewUpdate(parameters=dict(parameters or {}), again=again)
        return await self._ask(UpdateRecord, "POST", f"{_user(model, user)}/updates", body=asked)

    async def updates(
        self, model: str | None = None, user: str | None = None, *, states: Sequence[UpdateState] = (), after: str = "", most: int = 100
    ) -> list[UpdateRecord]:
        """``most`` updates (1000 at most), the newest first: a user's, or of everybody; behind the one whose identifier is ``after``."""
        if (model is None) is not (user is None):
            raise ValueError("updates: expected a model and a user, or neither")
        path = "/v1/updates" if model is None or user is None else f"{_user(model, user)}/updates"
        return await self._ask(list[UpdateRecord], "GET", path, query={"state": list(states), "after": after, "most": most})

    async def find_update(self, digits: str) -> str:
        """The identifier of the update whose identifier begins with ``digits``, six or more of them."""
        if not re.fullmatch(r"[0-9a-f]{6,32}", digits):
            raise MLDaemonError(f"update: expected six or more digits (0-9, a-f) of an identifier, got {digits!r}", kind="MLNotFoundError")
        if len(digits) == _DIGITS:
            return digits
        found: list[str] = []
        after = ""
        for _ in range(_MOST_PAGES):
            page = await self.updates(after=after, most=_PAGE)
            found += [one.identifier for one in page if one.identifier.startswith(digits)]
            if len(page) < _PAGE:
                break
            after = page[-1].identifier
        if len(found) != 1:
            got = "none" if not found else " and ".join(found[:3])
            raise MLDaemonError(f"update: expected one that begins with {digits}, got {got}", kind="MLNotFoundError")
        return found[0]

    async def update_record(self, update: str) -> UpdateRecord:
        """An update."""
        return await self._ask(UpdateRecord, "GET", _update(update))

    async def pause(self, update: str) -> UpdateRecord:
        """Pauses an update, with a checkpoint."""
        return await self._ask(UpdateRecord, "POST", f"{_update(update)}/pause")

    async def resume(self, update: str) -> UpdateRecord:
        """Resumes an update."""
        return await self._ask(UpdateRecord, "POST", f"{_update(update)}/resume")

    async def cancel(self, update: str) -> UpdateRecord:
        """Cancels an update; the model stays as it was."""
        return await self._ask(UpdateRecord, "POST", f"{_update(update)}/cancel")

    async def set_parameters(self, update: str, parameters: Mapping[str, Any]) -> UpdateRecord:
        """Changes parameters of an update that is under way."""
        return await self._ask(UpdateRecord, "POST", f"{_update(update)}/parameters", body=NewParameters(parameters=dict(parameters)))

    async def why(self, update: str) -> Why:
        """Why an update is where it is."""
        return await self._ask(Why, "GET", f"{_update(update)}/why")

    async def why_user(self, model: str, user: str) -> Why:
        """Why a user's examples are where they are."""
        return await self._ask(Why, "GET", f"{_user(model, user)}/why")

    async def forecast(self, update: str) -> Forecast:
        """When an update will begin and end."""
        return await self._ask(Forecast, "GET", f"{_update(update)}/forecast")

    async def wait(self, update: str | UpdateRecord, *, progress: Callable[[EventRecord], None] | None = None) -> UpdateRecord:
        """The update once it has ended, however it did. ``progress`` is called with each event of it. Connections may break meanwhile."""
        identifier = update if isinstance(update, str) else update.identifier
        last = -1
        async with self.events() as events:
            while (record := await self.update_record(identifier)).state not in FINAL:
                with anyio.move_on_after(_ASK_AGAIN):
                    async for event in events:
                        if event.update != identifier:
                            continue
                        if progress is not None:
                            progress(event)
                        if event.sequence > last:  # progress has the sequence of what happened before
                            last = event.sequence
                            break
        return record

    # History

    async def history(self, model: str, user: str, *, most: int = 100) -> list[VersionRecord]:
        """The last versions of a user's model (1000 at most), the newest first."""
        return await self._ask(list[VersionRecord], "GET", f"{_user(model, user)}/history", query={"most": most})

    async def rollback(self, model: str, user: str, to: str) -> VersionRecord:
        """Makes an older version the last one again. ``to``: an identifier, six or more of its digits, a tag, or ``HEAD~1``."""
        return await self._ask(VersionRecord, "POST", f"{_user(model, user)}/rollback", body=NewRollback(to=to), within=_LONG)

    async def forget(
        self, model: str, user: str, *, ids: Sequence[str] = (), labels: Sequence[str | int] = (), sources: Sequence[str] = ()
    ) -> Forgotten:
        """Forgets examples by id, label or source: those that wait, and in every version."""
        what = NewForgetting(ids=list(ids), labels=list(labels), sources=list(sources))
        return await self._ask(Forgotten, "POST", f"{_user(model, user)}/forget", body=what, within=_LONG)

    # The daemon

    async def health(self) -> Health:
        """That it is there; needs no token."""
        return await self._ask(Health, "GET", "/v1/health")

    async def status(self) -> Status:
        """The daemon at this moment."""
        return await self._ask(Status, "GET", "/v1/status")

    async def metrics(self) -> str:
        """What was counted and measured, in Prometheus' form."""
        return await self._ask(str, "GET", "/v1/metrics")

    async def openapi(self) -> dict[str, Any]:
        """The API, as an OpenAPI document."""
        return await self._ask(dict[str, Any], "GET", "/v1/openapi.json")

    async def sync(self) -> list[SyncRecord]:
        """Syncs the store with each place, now."""
        return await self._ask(list[SyncRecord], "POST", "/v1/sync", within=_LONG)

    async def syncs(self) -> list[SyncRecord]:
        """The last sync with each place."""
        return await self._ask(list[SyncRecord], "GET", "/v1/syncs")

    async def reload(self) -> Status:
        """Has the daemon read its settings again."""
        return await self._ask(Status, "POST", "/v1/reload")

    async def log(
        self, *, after: int | None = None, before: int | None = None, most: int = 100, update: str | None = None
    ) -> list[EventRecord]:
        """``most`` events that are kept (1000 at most), the oldest first, of one update where it is given.

        They are the first behind ``after``; without it the last, of those before ``before``.
        """
        query = {"after": after, "before": before, "most": most, "update": update}
        return await self._ask(list[EventRecord], "GET", "/v1/log", query=query)

    def events(self, after: int | None = None, *, patience: float = 30.0) -> Events:
        """What happens, as it happens: ``async for event in client.events()``. ``after``: first what is kept behind that event.

        A connection that breaks is made again, for at most ``patience`` seconds.
        """
        return Events(self._connection, after, patience=patience)


async def _next(parts: Iterator[Part], little: bool) -> Part | None:
    """The next part: made ready here, or in a thread, where images are encoded and files are read."""
    return next(parts, None) if little else await to_thread.run_sync(next, parts, None)


def _model(name: str) -> str:
    return f"/v1/models/{_part(name, 'model')}"


def _user(model: str, user: str) -> str:
    return f"{_model(model)}/users/{_part(user, 'user')}"


def _update(identifier: str) -> str:
    return f"/v1/updates/{_part(identifier, 'update')}"


def _part(text: str, what: str) -> str:
    """A part of a path. Raises ``MLDaemonError`` for what a path would take for something else."""
    if text in ("", ".", ".."):
        raise MLDaemonError(f"{what}: expected a name, got {text!r}", kind="MLNotFoundError", field=what)
    return quote(text, safe="")


def _about(error: MLDaemonError, first: int) -> MLDaemonError:
    """An error about a request that began with the one numbered ``first``, which counts as the caller does."""
    if not first:
        return error

    def counted(text: str) -> str:
        return _NUMBERED.sub(lambda found: f"{found[1]}{first + int(found[2])}{found[3]}", text)

    field = None if error.field is None else counted(error.field)
    return MLDaemonError(counted(str(error)), kind=error.kind, status=error.status, field=field)
