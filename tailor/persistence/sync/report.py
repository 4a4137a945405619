"""What a sync may do, and what it tells of what it did."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property

from ..errors import StoreError
from ..records import Name


class SyncDirection(Enum):
    """Which side's heads may move."""

    PUSH = "push"
    """The other side's."""
    PULL = "pull"
    """This side's."""
    BOTH = "both"


class SyncOutcome(Enum):
    """What became of a name."""

    EQUAL = "equal"
    """Both sides have the same version."""
    PUSHED = "pushed"
    """The other side has this side's version now; in a dry run it would have."""
    PULLED = "pulled"
    """This side has the other side's version now; in a dry run it would have."""
    LEFT = "left"
    """The side that is behind is one that ``direction`` does not move."""
    DIVERGED = "diverged"
    """Each has versions that the other lacks: both heads stay, and whoever knows how merges. Unless only pushing, all of both is here.
    Of a tag: it names another version there; both stay."""
    BUSY = "busy"
    """Somebody moved one of the heads again and again; what was moved is kept, and another sync goes on from there."""
    REFUSED = "refused"
    """Something that would have to be moved is damaged, missing, or not what it should be: ``error`` says what and where."""


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """The most that is taken from the other side in one sync; more raises ``StoreError``.

    ``heads``     that it lists, and tags likewise.
    ``versions``  that are read from it.
    ``bytes``     of versions and snapshots that are read from it.

    Raises ``ValueError`` where a bound is not a positive integer.
    """

    heads: int = 1_000_000
    versions: int = 1_000_000
    bytes: int = 2**40

    def __post_init__(self) -> None:
        for field in fields(self):
            bound = getattr(self, field.name)
            if not isinstance(bound, int) or isinstance(bound, bool) or bound < 1:
                raise ValueError(f"limit {field.name}: expected a positive integer, got {bound!r}")

    def check(self, what: str, where: str, count: int) -> None:
        """Raises ``StoreError`` for more than there may be of ``what``."""
        if count > getattr(self, what):
            raise StoreError(f"{where}: expected at most {getattr(self, what)} {what} in one sync, got {count} or more")


SYNC_LIMITS = SyncLimits()


@dataclass(frozen=True, slots=True)
class SyncProgressed:
    """Something was moved, or a name is done.

    ``name``     whose.
    ``done``     how many names are done, of ``total`` that were not equal from the start.
    ``objects``  how many objects were moved so far, of all names, and their ``bytes``.
    """

    name: Name
    done: int
    total: int
    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SyncedName:
    """What became of one name: which versions the two heads name now, ``None`` where there is no head.

    ``ancestors``  where the two have diverged: the newest versions that both come from.
    ``objects``    how many were moved, or would be in a dry run, and their ``bytes``.
    ``error``      why it was refused.
    """

    name: Name
    outcome: SyncOutcome
    here: str | None
    there: str | None
    ancestors: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0
    error: Exception | None = None


@dataclass(frozen=True)
class SyncReport:
    """What a sync did, or in a dry run would do: ``names`` has those whose heads were not ``equal`` from the start, in order.

    ``tags`` has likewise the tags that were not equal, where they went along; the tag is in the branch's place of the name.
    """

    here: str
    there: str
    direction: SyncDirection
    dry_run: bool
    equal: int
    names: tuple[SyncedName, ...]
    tags: tuple[SyncedName, ...] = ()

    def of(self, *outcomes: SyncOutcome) -> tuple[SyncedName, ...]:
        """The names that one of these became of."""
        return tuple(row for row in self.names if row.outcome in outcomes)

    @property
    def diverged(self) -> tuple[SyncedName, ...]:
        """The names to merge."""
        return self.of(SyncOutcome.DIVERGED)

    @property
    def failed(self) -> tuple[SyncedName, ...]:
        """The names and tags that another sync, or somebody, has to look after."""
        return tuple(row for row in (*self.names, *self.tags) if row.outcome in (SyncOutcome.REFUSED, SyncOutcome.BUSY))

    @cached_property
    def objects(self) -> int:
        """How many objects were moved."""
        return sum(row.objects for row in (*self.names, *self.tags))

    @cached_property
    def bytes(self) -> int:
        """Bytes of what was moved."""
        return sum(row.bytes for row in (*self.names, *self.tags))
