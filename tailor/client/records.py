"""What is told over the wire, both ways: the daemon answers with these, and the client gives them to its callers.

Each is JSON or msgpack by its field names; times are ISO 8601 with a zone. A request with a field that is not known is refused;
an answer may get more fields in later versions. Everything has bounds, so that nothing large is made of something small.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

Name: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,59}$",
        description="A name: letters, digits, and . _ @ + - behind the first; at most 60, as in the store.",
    ),
]
Time: TypeAlias = Annotated[datetime, Meta(tz=True)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
UpdateState: TypeAlias = Literal["waiting", "running", "paused", "committing", "completed", "refused", "failed", "cancelled"]
"""Of an update: the last four are final. ``refused``: its guard kept the model as it was."""
ExampleState: TypeAlias = Literal["waiting", "taken", "learned", "set_aside", "forgotten"]
"""Of an example: it waits for an update; one has taken it; a version has learned it; the update that took it failed, was cancelled or was
refused; it was forgotten, and only its id is left, so that it is not learned again by mistake."""


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client sends."""


class Record(Struct, frozen=True, kw_only=True):
    """What the daemon tells."""


# Examples and predictions


class NewExample(Request, frozen=True):
    """An example: the model's training inputs by name.

    A number or text is itself; a dictionary an object; a sequence or a multi-array a list (of lists), or ``{"shape", "dtype", "data"}``
    with the bytes in C order, little-endian; an image the bytes of a PNG or JPEG file. Bytes are base64 in JSON.
    ``id``: what it is called, once for a model and user: the same again is not counted twice. Without one it gets ``batch``-number.
    """

    features: dict[str, Any]
    id: Text | None = None
    source: Text | None = None
    time: Time | None = None


class NewExamples(Request, frozen=True):
    """Examples that are kept all, or none of them. ``batch``: a name for them, so that sending them again adds nothing."""

    examples: Annotated[list[NewExample], Meta(min_length=1, max_length=10_000)]
    batch: Text | None = None


class Added(Record, frozen=True):
    """They are on disk: ``accepted`` now, ``duplicates`` before. ``waiting``: how many now wait for an update of this user's model."""

    accepted: int
    duplicates: int
    waiting: int


class ExampleRecord(Record, frozen=True):
    """An example as it is kept. ``update`` took it, ``version`` learned it."""

    id: str
    state: ExampleState
    source: str | None
    time: Time | None
    received_at: Time
    size: int
    update: str | None
    version: str | None


class NewPredictions(Request, frozen=True):
    """Inputs by name, as ``NewExample`` has them, for each answer that is wanted."""

    inputs: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=1000)]


class Predictions(Record, frozen=True):
    """The outputs by name, in the order of the inputs; ``version`` of the user's model gave them; ``None``: the model as registered."""

    outputs: list[dict[str, Any]]
    version: str | None


# Models and users


class NewModel(Request, frozen=True):
    """A model to be registered: the bytes of its file. ``replace``: another model of this name may be there; users keep what they have."""

    data: bytes
    replace: bool = False


class FeatureRecord(Record, frozen=True):
    """A feature of a model, for programs; types are called as ``MLFeatureType`` and ``MLMultiArrayDataType`` do, in small letters.

    Of a multi-array: its ``shape`` and ``data_type``; of a dictionary: the type of its ``keys``.
    """

    type: str
    optional: bool = False
    shape: list[int] | None = None
    data_type: str | None = None
    keys: str | None = None


class ModelRecord(Record, frozen=True):
    """A registered model. ``base``: the SHA-256 of its content; features and parameters in words, by name.

    ``features``: inputs and training inputs by name, for programs that read files for it.
    """

    name: str
    base: str
    kind: str
    size: int
    is_updatable: bool
    inputs: dict[str, str]
    outputs: dict[str, str]
    training_inputs: dict[str, str]
    parameters: dict[str, Any]
    users: int
    registered_at: Time
    features: dict[str, FeatureRecord] = {}


class UserRecord(Record, frozen=True):
    """A user of a model: how many examples are where, the last ``version``, and in words what comes ``next``.

    ``trouble``: why the last version cannot be told, where the store cannot read it; ``version`` is ``None`` then, too.
    """

    model: str
    user: str
    waiting: int
    taken: int
    learned: int
    set_aside: int
    size: int
    version: str | None
    update: str | None
    next: str
    added_at: Time
    trouble: str | None = None


# Updates


class NewUpdate(Request, frozen=True):
    """An update now, of what waits. ``again``: of what was set aside, too. Parameters by name, as ``MLParameterKey`` prints."""

    parameters: dict[str, Any] = {}
    again: bool = False


class NewParameters(Request, frozen=True):
    """Parameters of an update that is under way."""

    parameters: dict[str, Any]


class UpdateRecord(Record, frozen=True):
    """An update. ``reason``: the rule that made it. ``onto``: the version it began with, ``version`` what came of it.

    ``losses``: the mean of each epoch. ``verdict``: what the guard decided.
    """

    identifier: str
    model: str
    user: str
    state: UpdateState
    reason: Literal["examples", "interval", "command"]
    examples: int
    onto: str | None
    version: str | None
    epoch: int | None
    losses: list[float]
    parameters: dict[str, Any]
    verdict: dict[str, Any] | None
    error: str | None
    made_at: Time
    begun_at: Time | None
    ended_at: Time | None


class Reason(Record, frozen=True):
    """One thing that keeps an update, or a user's examples, where they are."""

    kind: str
    text: str


class Why(Record, frozen=True):
    """Why something is as it is: what counts first in front."""

    subject: str
    text: str
    reasons: list[Reason]


class Forecast(Record, frozen=True):
    """When an update will begin and end, in seconds from now: (likely, soonest, latest); ``None``: unknown, and ``unknown`` says why."""

    text: str
    begin: tuple[float, float, float] | None
    end: tuple[float, float, float] | None
    unknown: list[str]


# History


class VersionRecord(Record, frozen=True):
    """A version of a user's model, as the store tells of it."""

    identifier: str
    created_at: Time
    parents: list[str]
    device: str
    message: str
    update: str | None
    metrics: dict[str, Any]
    verdict: dict[str, Any] | None
    pruned: bool


class NewRollback(Request, frozen=True):
    """``to``: a version's identifier, six or more of its digits, a tag, or ``HEAD~1``."""

    to: Text


class NewForgetting(Request, frozen=True):
    """What is to be forgotten: examples by id, label or source, at least one of them."""

    ids: list[Text] = []
    labels: list[str | int] = []
    sources: list[Text] = []


class Forgotten(Record, frozen=True):
    """``examples`` that the daemon held, and versions that the store has ``replaced``; ``remains``: what cannot be unlearned, in words."""

    examples: int
    replaced: int
    remains: list[str]


# The daemon


class Health(Record, frozen=True):
    """It is there, and answers."""

    state: Literal["running", "stopping"]
    version: str


class SyncRecord(Record, frozen=True):
    """A sync with one place: when, and what came of it."""

    place: str
    at: Time
    ok: bool
    text: str


class LaneRecord(Record, frozen=True):
    """A lane of the scheduler."""

    name: str
    capacity: int
    busy: int


class Status(Record, frozen=True):
    """The daemon at this moment. ``updates``: how many, by state, of those that have not ended. Memory in bytes.

    ``folder``: where it keeps its state.
    """

    version: str
    pid: int
    started_at: Time
    state: Literal["running", "stopping"]
    settings: str | None
    store: str
    listening: list[str]
    models: int
    users: int
    waiting: int
    updates: dict[str, int]
    lanes: list[LaneRecord]
    models_in_memory: int
    memory: int
    syncs: list[SyncRecord]
    folder: str = ""


class EventRecord(Record, frozen=True):
    """Something that happened. ``sequence`` only grows, over restarts too; those not kept (progress) have that of the one before."""

    sequence: int
    time: Time
    kind: str
    text: str
    model: str | None = None
    user: str | None = None
    update: str | None = None
    detail: dict[str, Any] = {}


class ErrorDetail(Record, frozen=True):
    """What went wrong. ``kind``: the class of the error; ``field``: what in the request, where one is to blame."""

    kind: str
    message: str
    field: str | None = None


class ErrorRecord(Record, frozen=True):
    """An answer that is none."""

    error: ErrorDetail
