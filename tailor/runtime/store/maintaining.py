"""Going back, checking, thinning out, and moving what a store keeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from tailor.persistence import (
    Backend,
    DirectoryBackend,
    ExportReport,
    Head,
    KeptHead,
    Name,
    Plain,
    Policy,
    SQLiteBackend,
    Store,
    VerifyReport,
    Version,
    export_archive,
    import_archive,
    prune_store,
    rollback,
    tags_of,
    verify_store,
)

from ..errors import MLStoreError
from ..models import last_classifier
from ..snapshots import EXAMPLES
from .addressing import SHOWN
from .bases import Bases, base_hash
from .committing import Place, keep
from .versions import MLVersion

ROLLBACK = "rollback"
"""The key in a version's metadata that names the version gone back to."""

AT_ONCE = 256

AT_WORK = timedelta(hours=2)
"""A writer that has not ended after so long has been killed."""

Outcome: TypeAlias = Literal["created", "moved", "unchanged", "diverged"]

StoreProgress: TypeAlias = Callable[[int, int], object]
"""Is told how much is done, of how much."""


@dataclass(frozen=True, slots=True)
class MLPruneReport:
    """What was removed, or in a dry run would be.

    ``kept``     how many versions can still be restored.
    ``pruned``   those that cannot any more; they stay in the log.
    ``objects``  how many were removed, and their ``bytes``; ``young``, how many were left only because they were written so lately.
    """

    kept: int
    pruned: tuple[MLVersion, ...]
    objects: int
    bytes: int
    young: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data, by the names of the fields."""
        counts = {name: getattr(self, name) for name in ("kept", "objects", "bytes", "young")}
        return {**counts, "pruned": [version.as_dict() for version in self.pruned]}


@dataclass(frozen=True, slots=True)
class MLImported:
    """What became of one name that an archive holds.

    ``outcome``  ``"created"``: it is new here. ``"moved"``: the archive had a later version. ``"unchanged"``: it had not. ``"diverged"``:
                 each had versions that the other lacks; the archive's are the branch ``beside`` now, to be merged.
    """

    model: str
    user: str
    branch: str
    version: str
    outcome: Outcome
    beside: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, by the names of the fields."""
        return asdict(self)


async def rolled_back(
    store: Store, bases: Bases, name: Name, head: KeptHead, digest: str, older: Version, now: datetime, told: Mapping[str, str]
) -> MLVersion:
    """Makes a version like ``older`` the head; what is ``told`` of it is in its metadata. It has learned from no more examples.

    Examples of nearest neighbours that are gone by that count as removed, so that no merge brings them back.
    """
    extra: dict[str, Plain] = {key: value for key, value in older.metadata.extra.items() if key not in ("device", "message")}
    extra |= {key: text for key, text in told.items() if text} | {EXAMPLES: 0, ROLLBACK: digest}
    metadata = replace(older.metadata, created_at=now, extra=extra)
    snapshot = await bases.snapshot(digest, older)
    model = await bases.model(older, snapshot)
    if last_classifier(model._outline) is not None:
        place = Place(name, head, head.version, await store.version(head.version))
        base = None if older.base is None else await bases.base(older)
        return await keep(store, bases, place, model, replace(snapshot, metadata=metadata), base, {})
    identifier, _ = await rollback(store, name, digest, metadata, head)
    return MLVersion.of(name, identifier, replace(older, metadata=metadata, parents=(head.version,)))


async def verified(store: Store, progress: StoreProgress | None) -> VerifyReport:
    """Whether everything is there and undamaged, and every delta is one of the base that its version names."""
    return await verify_store(store, base_hash=base_hash, progress=progress)


async def pruned(
    store: Store, keep: Mapping[str, Any], now: datetime | None, grace: timedelta, dry_run: bool, progress: StoreProgress | None
) -> MLPruneReport:
    """Removes what ``keep`` (the fields of a ``Policy``) does not ask for; without any, only what nothing refers to."""
    try:
        policy = Policy(**keep) if any(value is not None for value in keep.values()) else None
        report = await prune_store(store, policy, now or datetime.now().astimezone(), grace=grace, dry_run=dry_run, progress=progress)
    except ValueError as error:
        raise MLStoreError(f"prune: {error}") from error
    named = await _named(store, set(report.pruned))
    return MLPruneReport(len(report.kept), tuple(named), len(report.removed), report.bytes, len(report.young))


async def swept(place: Backend, grace: timedelta) -> None:
    """Removes what writers that were killed have left half written, where the place is one in which that is seen."""
    if isinstance(place, DirectoryBackend | SQLiteBackend):
        await place.sweep(max(grace, AT_WORK).total_seconds())


async def exported(
    store: Store, path: str | os.PathLike[str], whose: Iterable[tuple[str, str | None]] | None, progress: StoreProgress | None
) -> ExportReport:
    """Writes all branches of these models and users (``None``: all users), or everything, to one file."""
    if whose is None:
        return await export_archive(store, path, progress=progress)
    kept, names = list(await store.head_tags()), set[Name]()
    for model, user in whose:
        found = {name for name in kept if name.model == model and user in (None, name.user)}
        if not found:
            called = model if user is None else f"{model}/{user}"
            raise MLStoreError(f"{store.backend.name}: expected a model that is kept here, got {called}, of which there is nothing")
        names |= found
    return await export_archive(store, path, names, progress=progress)


async def imported(store: Store, path: str | os.PathLike[str], progress: StoreProgress | None) -> list[MLImported]:
    """Takes over what a file holds; what has diverged becomes a branch of its own."""
    report = await import_archive(store, path, progress=progress)
    outcomes: tuple[tuple[Outcome, tuple[Head, ...]], ...] = (
        ("created", report.created),
        ("moved", report.moved),
        ("unchanged", report.unchanged),
    )
    rows = [_imported(head, outcome) for outcome, heads in outcomes for head in heads]
    for head in report.diverged:
        name = replace(head.name, branch=f"imported-{head.version[:SHOWN]}")
        if await store.head(name) is None:
            await store.move(name, head.version, None)
        rows.append(_imported(head, "diverged", name.branch))
    return sorted(rows, key=lambda row: (row.model, row.user, row.branch))


def _imported(head: Head, outcome: Outcome, beside: str = "") -> MLImported:
    return MLImported(head.name.model, head.name.user, head.name.branch, head.version, outcome, beside)


async def _named(store: Store, wanted: set[str]) -> list[MLVersion]:
    """The versions that are wanted, each as one of the name that it is nearest to."""
    names = {pointer.version: pointer.name for pointer in (*await tags_of(store), *await store.heads())} if wanted else {}
    waiting, found = list(names), list[MLVersion]()
    while waiting and len(found) < len(wanted):
        batch, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        for digest, (version, _) in zip(batch, await store.versions(batch), strict=True):
            if digest in wanted:
                found.append(MLVersion.of(names[digest], digest, version))
            waiting += [parent for parent in version.parents if parent not in names]
            names.update((parent, names[digest]) for parent in version.parents if parent not in names)
    return sorted(found, key=lambda version: (version.model, version.user, version.branch, -version.created_at.timestamp()))
