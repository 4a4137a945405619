"""What goes into the ledger and comes out of it. Times have a zone; what comes out is in UTC, exact to a microsecond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from tailor.client import UpdateState

FinalState: TypeAlias = Literal["completed", "refused", "failed", "cancelled"]
FINAL: tuple[FinalState, ...] = ("completed", "refused", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A registered model. ``base``: the SHA-256 of its file's content, ``size`` its bytes.

    ``users``: how many it has; of no meaning in one that is to be put.
    """

    name: str
    base: str
    kind: str
    size: int
    registered_at: datetime
    users: int = 0


@dataclass(frozen=True, slots=True)
class KeptUser:
    """A user of a model, and how many examples are in which state.

    ``held``            how many still have their content, in ``size`` bytes: waiting, taken, set aside, and learned ones that were kept.
    ``first_waiting_at``  when the oldest that waits was received.
    ``update``          the one that is open, if one is.
    """

    model: str
    user: str
    waiting: int
    taken: int
    learned: int
    set_aside: int
    held: int
    size: int
    first_waiting_at: datetime | None
    added_at: datetime
    update: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Of everything together. ``users``: a user of two models counts twice. ``waiting`` examples; ``size``: bytes of all content."""

    models: int
    users: int
    waiting: int
    size: int


@dataclass(frozen=True, slots=True)
class NewRow:
    """An example to be kept. ``digest`` tells whether two of the same ``id`` are the same; ``body`` is its content, not empty."""

    id: str
    digest: bytes
    body: bytes
    label: str | int | None = None
    source: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """An example of an update. ``sequence`` is its number in the order of arrival, over all users: what ``content`` asks for."""

    sequence: int
    id: str
    source: str | None
    time: datetime | None


@dataclass(frozen=True, slots=True)
class NewPlan:
    """An update to be made: it takes the ``most`` oldest examples that wait.

    ``again``        all that were set aside wait again first.
    ``learned_too``  learned examples that still have their content are trained on too, whatever ``most`` is; they stay learned.
    ``parameters``   by name: numbers, texts, booleans and lists of them.
    """

    identifier: str
    model: str
    user: str
    reason: Literal["examples", "interval", "command"]
    most: int
    onto: str | None
    base: str
    parameters: Mapping[str, Any]
    made_at: datetime
    again: bool = False
    learned_too: bool = False


@dataclass(frozen=True, slots=True)
class KeptUpdate:
    """An update. ``examples``: how many it trains on, learned ones among them. ``attempts``: how often it was begun."""

    identifier: str
    model: str
    user: str
    state: UpdateState
    reason: Literal["examples", "interval", "command"]
    most: int
    again: bool
    learned_too: bool
    examples: int
    onto: str | None
    base: str
    parameters: dict[str, Any]
    attempts: int
    epoch: int | None
    losses: tuple[float, ...]
    version: str | None
    verdict: dict[str, Any] | None
    error: str | None
    made_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state not in FINAL
