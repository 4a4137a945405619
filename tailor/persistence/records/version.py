"""What a store keeps of a personalised model's past: versions, and the heads that name the last one (``FORMAT.md`` sections 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import RecordError, brief
from .snapshot import HASH, Metadata, check_metadata

MOST_PARENTS = 16


@dataclass(frozen=True, slots=True)
class Name:
    """Whose version of which model: what a head is called.

    ``model`` and ``user`` are whatever the application calls them, at most 60 characters; ``branch`` tells apart what is kept side by
    side. Raises ``RecordError`` for what is empty (``user`` may be), too long, or has control characters or surrogates, and for a
    ``model`` with a slash.
    """

    model: str
    user: str = ""
    branch: str = "main"

    def __post_init__(self) -> None:
        for field in ("model", "user", "branch"):
            check_label(getattr(self, field), f"name.{field}", empty=field == "user")
        if "/" in self.model:
            raise RecordError("name.model", "a text without '/', which is what parts it from the user", brief(self.model))

    def __str__(self) -> str:
        return "/".join((self.model, self.user, self.branch))


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One version of a personalised model.

    ``snapshot``  hash of the record that holds it (a delta or a full snapshot).
    ``base``      hash of the full snapshot that holds the base of a delta; ``None`` where the snapshot is full.
    ``parents``   hashes of the versions it was made of: none for the first, two or more for a merge.
    ``metadata``  describes it, as a snapshot's does.
    """

    metadata: Metadata
    snapshot: str
    parents: tuple[str, ...] = ()
    base: str | None = None

    def __post_init__(self) -> None:
        check_metadata(self.metadata)
        object.__setattr__(self, "parents", tuple(self.parents))
        named = [("snapshot", self.snapshot), *((f"parents[{place}]", parent) for place, parent in enumerate(self.parents))]
        for where, value in [*named, *([("base", self.base)] if self.base is not None else [])]:
            if not isinstance(value, str) or not HASH.fullmatch(value):
                raise RecordError(where, "a SHA-256 of 64 lower-case hex digits", brief(value))
        if len(self.parents) > MOST_PARENTS or len(set(self.parents)) != len(self.parents):
            raise RecordError("parents", f"at most {MOST_PARENTS}, none of them twice", brief(self.parents))


@dataclass(frozen=True, slots=True)
class Head:
    """Which version is the last one of a name."""

    name: Name
    version: str

    def __post_init__(self) -> None:
        if not isinstance(self.version, str) or not HASH.fullmatch(self.version):
            raise RecordError("version", "a SHA-256 of 64 lower-case hex digits", brief(self.version))


@dataclass(frozen=True, slots=True)
class Replacement:
    """Which snapshot stands in for one that was taken away for good."""

    snapshot: str

    def __post_init__(self) -> None:
        if not isinstance(self.snapshot, str) or not HASH.fullmatch(self.snapshot):
            raise RecordError("snapshot", "a SHA-256 of 64 lower-case hex digits", brief(self.snapshot))


LONGEST_LABEL = 60


def check_label(text: object, where: str, *, empty: bool = False) -> None:
    """Raises ``RecordError`` for what no model, user, branch or tag can be called."""
    fits = isinstance(text, str) and len(text) <= LONGEST_LABEL and text.isprintable() and (empty or bool(text))
    if not fits:
        raise RecordError(where, f"a printable text of {'at most' if empty else '1 to'} {LONGEST_LABEL} characters", brief(text))
