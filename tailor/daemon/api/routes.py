"""What can be asked, as one table. The application, its checks, the OpenAPI document and the documentation's table come from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import replace

from tailor import MLFeatureError, MLModelError
from tailor.client import (
    Added,
    EventRecord,
    ExampleRecord,
    ExampleState,
    Forecast,
    Forgotten,
    Health,
    ModelRecord,
    Name,
    NewExamples,
    NewForgetting,
    NewModel,
    NewParameters,
    NewPredictions,
    NewRollback,
    NewUpdate,
    Predictions,
    Request,
    Status,
    SyncRecord,
    UpdateRecord,
    UpdateState,
    UserRecord,
    VersionRecord,
    Why,
)

from ..daemon import Daemon
from .prometheus import CONTENT_TYPE as PROMETHEUS
from .service import Service

EVENT_STREAM = "text/event-stream"

Most: TypeAlias = Annotated[int, Meta(ge=1, le=1000, description="At most so many.")]
Sequence: TypeAlias = Annotated[int, Meta(ge=0, le=2**53, description="Of an event.")]
Identifier: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="Of an update.")]
After: TypeAlias = Annotated[str, Meta(max_length=200, description="What comes behind this one, the last of the page before.")]


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand behind the question mark."""


class Page(Query, frozen=True):
    """A part of a list."""

    after: After = ""
    most: Most = 100


class ExamplePage(Page, frozen=True):
    """A part of the examples, of one state where it is given."""

    state: ExampleState | None = None


class UpdatePage(Page, frozen=True):
    """A part of the updates, of the states that are given, or of all."""

    state: list[UpdateState] = []


class HistoryPage(Query, frozen=True):
    """The last versions."""

    most: Most = 100


class LogPage(Query, frozen=True):
    """Events that are kept, between two of them, and of one update where it is given. Without ``after`` the last."""

    after: Sequence | None = None
    before: Sequence | None = None
    most: Most = 100
    update: Identifier | None = None


class Following(Query, frozen=True):
    """``after``: first what is kept behind this event. ``Last-Event-ID`` says the same and goes first."""

    after: Sequence | None = None


class Replacing(Query, frozen=True):
    """``replace``: another model of this name may be there."""

    replace: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was checked: names of the path, the ``query`` and the ``body`` as its route says."""

    service: Service
    query: Any
    body: Any
    model: str = ""
    user: str = ""
    update: str = ""

    @property
    def daemon(self) -> Daemon:
        """Who is asked."""
        return self.service.daemon


@dataclass(frozen=True, slots=True)
class Route:
    """A row. ``name``: of the operation. ``does``: in a sentence.

    ``answer``  the record, or list of them, that ``call`` gives; ``None``: nothing (204).
    ``media``   of an answer that is neither JSON nor msgpack.
    ``body``    the record that is asked for; ``raw`` makes it from bytes of ``application/octet-stream`` and the query.
    ``open``    needs no token.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    name: str
    does: str
    answer: Any
    call: Callable[[Asked], Awaitable[Any]]
    body: type[Request] | None = None
    query: type[Query] = Query
    status: int = 200
    media: str | None = None
    raw: Callable[[bytes, Any], Request] | None = None
    open: bool = False


def _file(data: bytes, query: Replacing) -> NewModel:
    return NewModel(data=data, replace=query.replace)


async def _predict(asked: Asked) -> Predictions:
    predictions = await asked.daemon.predict(asked.model, asked.user or None, asked.body.inputs)
    asked.service.measured.predictions += len(predictions.outputs)
    return predictions


async def _add_examples(asked: Asked) -> Added:
    measured = asked.service.measured
    try:
        added = await asked.daemon.add_examples(asked.model, asked.user, asked.body)
    except MLModelError:
        measured.refused(len(asked.body.examples))
        raise
    measured.added(added)
    return added


async def _register(asked: Asked) -> ModelRecord:
    return await asked.daemon.register(asked.model, replace(asked.body, replace=asked.body.replace or asked.query.replace))


async def _forget(asked: Asked) -> Forgotten:
    if bad := [label for label in asked.body.labels if isinstance(label, int) and not -(2**63) <= label < 2**63]:
        raise MLFeatureError(f"labels: expected texts and integers of 64 bits, got {bad[0]}")
    return await asked.daemon.forget(asked.model, asked.user, asked.body)


async def _reload(asked: Asked) -> Status:
    await asked.service.reload()
    return await asked.daemon.status()


async def _following(asked: Asked) -> Any:
    return asked.daemon.events(after=asked.query.after)


async def _document(asked: Asked) -> dict[str, Any]:
    return asked.service.document


MODEL = "/v1/models/{model}"
USER = MODEL + "/users/{user}"
UPDATE = "/v1/updates/{update}"

# fmt: off
ROUTES: tuple[Route, ...] = (
    # the daemon
    Route("GET", "/v1/health", "health", "Says that the daemon is there; needs no token.", Health, lambda a: a.service.health(), open=True),
    Route("GET", "/v1/status", "status", "The daemon at this moment.", Status, lambda a: a.daemon.status()),
    Route("GET", "/v1/metrics", "metrics", "What was counted, for Prometheus.", str, lambda a: a.service.metrics(), media=PROMETHEUS),
    Route("GET", "/metrics", "prometheus", "The same, where Prometheus looks.", str, lambda a: a.service.metrics(), media=PROMETHEUS),
    Route("GET", "/v1/openapi.json", "openapi", "This table, as an OpenAPI 3.1 document.", dict[str, Any], _document),
    Route("GET", "/v1/events", "events", "What happens, as server-sent events, for as long as one listens.",
          EventRecord, _following, query=Following, media=EVENT_STREAM),
    Route("GET", "/v1/log", "log", "Events that are kept, the oldest first.", list[EventRecord],
          lambda a: a.daemon.recent(after=a.query.after, before=a.query.before, most=a.query.most, update=a.query.update), query=LogPage),
    Route("GET", "/v1/syncs", "syncs", "The last sync with each place.", list[SyncRecord], lambda a: a.service.syncs()),
    Route("POST", "/v1/sync", "sync", "Syncs the store with each place, now.", list[SyncRecord], lambda a: a.daemon.sync()),
    Route("POST", "/v1/reload", "reload", "Reads the settings again.", Status, _reload),
    # models
    Route("GET", "/v1/models", "models", "Every registered model.", list[ModelRecord], lambda a: a.daemon.models()),
    Route("GET", MODEL, "model", "A model.", ModelRecord, lambda a: a.daemon.model(a.model)),
    Route("PUT", MODEL, "register", "Registers a model by its file.", ModelRecord, _register, NewModel, Replacing, raw=_file),
    Route("DELETE", MODEL, "remove_model", "Removes a model that has no users.", None,
          lambda a: a.daemon.remove_model(a.model), status=204),
    Route("POST", MODEL + "/predictions", "predict", "Answers of the model as it was registered.", Predictions, _predict, NewPredictions),
    # users
    Route("GET", MODEL + "/users", "users", "A model's users, by name.", list[UserRecord],
          lambda a: a.daemon.users(a.model, after=a.query.after, most=a.query.most), query=Page),
    Route("GET", USER, "user", "A user.", UserRecord, lambda a: a.daemon.user(a.model, a.user)),
    Route("PUT", USER, "add_user", "Adds a user; one that is there stays as it is.", UserRecord,
          lambda a: a.daemon.add_user(a.model, a.user)),
    Route("DELETE", USER, "remove_user", "Removes a user and the examples; versions in the store stay.", None,
          lambda a: a.daemon.remove_user(a.model, a.user), status=204),
    Route("POST", USER + "/predictions", "predict_for_user", "Answers of the user's own model.", Predictions, _predict, NewPredictions),
    Route("POST", USER + "/examples", "add_examples", "Keeps examples, all or none; they are on disk when this is answered. Adds the user.",
          Added, _add_examples, NewExamples),
    Route("GET", USER + "/examples", "examples", "Examples, in the order they came.", list[ExampleRecord],
          lambda a: a.daemon.examples(a.model, a.user, state=a.query.state, after=a.query.after, most=a.query.most), query=ExamplePage),
    Route("POST", USER + "/updates", "update", "Begins an update of what waits.", UpdateRecord,
          lambda a: a.daemon.update(a.model, a.user, a.body), NewUpdate, status=202),
    Route("GET", USER + "/updates", "user_updates", "A user's updates, the newest first.", list[UpdateRecord],
          lambda a: a.daemon.updates(model=a.model, user=a.user, states=a.query.state, after=a.query.after, most=a.query.most),
          query=UpdatePage),
    Route("GET", USER + "/why", "why_user", "Why a user's examples are where they are.", Why, lambda a: a.daemon.why_user(a.model, a.user)),
    Route("GET", USER + "/history", "history", "Versions of a user's model, the newest first.", list[VersionRecord],
          lambda a: a.daemon.history(a.model, a.user, most=a.query.most), query=HistoryPage),
    Route("POST", USER + "/rollback", "rollback", "Makes an older version the last one again.", VersionRecord,
          lambda a: a.daemon.rollback(a.model, a.user, a.body.to), NewRollback),
    Route("POST", USER + "/forget", "forget", "Forgets examples; versions that learned them are learned anew without them.", Forgotten,
          _forget, NewForgetting),
    # updates
    Route("GET", "/v1/updates", "updates", "Updates, the newest first.", list[UpdateRecord],
          lambda a: a.daemon.updates(states=a.query.state, after=a.query.after, most=a.query.most), query=UpdatePage),
    Route("GET", UPDATE, "update_record", "An update.", UpdateRecord, lambda a: a.daemon.update_record(a.update)),
    Route("POST", UPDATE + "/pause", "pause", "Pauses an update, with a checkpoint.", UpdateRecord, lambda a: a.daemon.pause(a.update)),
    Route("POST", UPDATE + "/resume", "resume", "Resumes an update.", UpdateRecord, lambda a: a.daemon.resume(a.update)),
    Route("POST", UPDATE + "/cancel", "cancel", "Cancels an update; the model stays as it was.", UpdateRecord,
          lambda a: a.daemon.cancel(a.update)),
    Route("POST", UPDATE + "/parameters", "set_parameters", "Changes parameters of an update that is under way.", UpdateRecord,
          lambda a: a.daemon.set_parameters(a.update, a.body.parameters), NewParameters),
    Route("GET", UPDATE + "/why", "why", "Why an update is where it is.", Why, lambda a: a.daemon.why(a.update)),
    Route("GET", UPDATE + "/forecast", "forecast", "When an update will begin and end.", Forecast, lambda a: a.daemon.forecast(a.update)),
)
# fmt: on

NAMES: dict[str, Any] = {"model": Name, "user": Name, "update": Identifier}
"""Types of what stands in paths."""
