"""A model becomes the next version of its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from anyio.to_thread import run_sync

from tailor.persistence import DeltaSnapshot, FullSnapshot, KeptHead, Name, Plain, Snapshot, Store, Version

from ..errors import MLStoreConflictError, MLStoreError
from ..model import MLModel
from ..models import last_classifier
from ..snapshots import EXAMPLES, GUARD, RESULT, TRAINING, restore_snapshot, take_snapshot
from ..update import MLUpdateContext
from .addressing import SHOWN
from .bases import Bases
from .example_set import REMOVED, Removed, removed_of, removed_since
from .versions import MLVersion

UNKNOWN = "0" * 64
"""In place of a hash that ``Store.commit`` fills in."""

OWN = frozenset({"device", "message", RESULT, GUARD, TRAINING, EXAMPLES, REMOVED, "forgotten", "merge", "rebase", "rollback"})
"""Names in the metadata of a version that tailor gives a meaning to."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version goes: the head that it replaces, if any, and the version that it comes of, if any, with its identifier."""

    name: Name
    before: KeptHead | None
    parent: str | None
    older: Version | None


def as_kept(model: MLModel | MLUpdateContext | Snapshot, base: MLModel | None, half: bool) -> tuple[MLModel, Snapshot]:
    """The model as it will be restored, and its snapshot; with what an update or another snapshot tells of it."""
    if isinstance(model, FullSnapshot | DeltaSnapshot):
        given = restore_snapshot(model, base)
        taken = take_snapshot(given, base, half=half)
        extra = {**model.metadata.extra, RESULT: taken.metadata.extra[RESULT]}
        snapshot: Snapshot = replace(taken, metadata=replace(model.metadata, extra=extra))
    else:
        given = model.model if isinstance(model, MLUpdateContext) else model
        snapshot = take_snapshot(model, base, half=half)
    return (restore_snapshot(snapshot, base) if half else given), snapshot


def check_extra(who: str, extra: Mapping[str, Plain] | None) -> None:
    """Raises ``MLStoreError`` for names in the metadata of a version that mean something already."""
    if taken := sorted(OWN.intersection(extra or {})):
        raise MLStoreError(f"{who}: extra: expected names that tailor has no use for, got {', '.join(map(repr, taken))}")


async def find_place(store: Store, name: Name, onto: MLVersion | None, first: bool = False) -> Place:
    """Behind the head of ``name``, which must be ``onto`` where that is given; or behind ``onto``, as the beginning of a branch.

    Raises ``MLStoreConflictError`` where ``onto`` is not the last version any more, or there is one and this is to be the ``first``,
    ``MLStoreError`` for another model's or user's.
    """
    head = await store.head(name)
    parent = head.version if head is not None else None
    if first and parent is not None:
        raise MLStoreConflictError(f"{store.backend.name}: {name}: expected no version yet, got {parent[:SHOWN]}, committed meanwhile")
    if onto is not None:
        if (onto.model, onto.user) != (name.model, name.user):
            other = Name(onto.model, onto.user, onto.branch)
            raise MLStoreError(f"{store.backend.name}: {name}: onto: expected a version of the same model and user, got one of {other}")
        if parent not in (None, onto.identifier):
            raise MLStoreConflictError(
                f"{store.backend.name}: {name}: expected {onto.identifier[:SHOWN]} to be the last version still, got {parent[:SHOWN]}, "
                "committed meanwhile; commit to a branch of its own, and merge that"
            )
        parent = onto.identifier
    return Place(name, head, parent, None if parent is None else await store.version(parent))


async def keep(
    store: Store,
    bases: Bases,
    place: Place,
    model: MLModel,
    snapshot: Snapshot,
    base: MLModel | None,
    told: Mapping[str, Plain],
    removed: Removed | None = None,
) -> MLVersion:
    """Makes ``snapshot``, which is of ``model``, the next version; what is ``told`` goes into the metadata of both.

    ``removed``: the examples that it has lost by now; without it, those that its past has lost, and those of its parent that it lacks.
    """
    metadata = replace(snapshot.metadata, extra={**snapshot.metadata.extra, **told})
    if removed is None:
        removed = await _removed(bases, place, model, base)
    kept = replace(snapshot, metadata=replace(metadata, extra={**metadata.extra, REMOVED: removed}) if removed else metadata)
    # Of what is not the head any more the base may be pruned.
    digest, record = (None, None) if base is None else await bases.record(base, place.older if place.before is not None else None)
    version = Version(metadata, UNKNOWN, () if place.parent is None else (place.parent,), digest)
    identifier, _ = await store.commit(place.name, version, kept, place.before, record)
    return MLVersion.of(place.name, identifier, version)


async def unchanged(bases: Bases, place: Place, model: MLModel, base: MLModel | None) -> bool:
    """Whether the last version is this very model already, kept against the same base."""
    if place.before is None or place.older is None:
        return False
    if place.older.metadata.extra.get(RESULT) != await run_sync(lambda: model.content_hash):
        return False
    return place.older.base == (None if base is None else (await bases.record(base, place.older))[0])


async def _removed(bases: Bases, place: Place, model: MLModel, base: MLModel | None) -> dict[str, int]:
    """Which of its examples a nearest neighbour classifier has lost by now, so that no merge brings them back."""
    if last_classifier(model._outline) is None:
        return {}
    if place.parent is None or place.older is None:
        return await run_sync(removed_since, base, model, {})
    snapshot = await bases.snapshot(place.parent, place.older)
    before = await bases.model(place.older, snapshot)
    known = removed_of(snapshot.metadata.extra, f"version {place.parent[:SHOWN]}")
    return await run_sync(removed_since, before, model, known)
