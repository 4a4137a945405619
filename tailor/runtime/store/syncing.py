"""Two stores that learn what the other has; what was learned apart is merged, and what was forgotten in one is forgotten in both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tailor.persistence import Name, SyncDirection, SyncedName, SyncProgressed, SyncReport, sync

from ..errors import MLModelError, MLStoreConflictError, MLStoreError
from ..update import MLUpdateGuard
from .forgetting import FORGOTTEN
from .merge_versions import keep_beside
from .policies import MLMergePolicy, check_policy
from .versions import MLVersion

if TYPE_CHECKING:
    from .model_store import MLModelStore

ROUNDS = 5
"""How often it is merged again where somebody else pushes meanwhile."""

MLSyncDirection: TypeAlias = Literal["push", "pull", "both"]
MLSyncOutcome: TypeAlias = Literal["equal", "pushed", "pulled", "merged", "branches", "left", "diverged", "busy", "refused"]
MLSyncProgress: TypeAlias = Callable[[SyncProgressed], object]
"""Is told of each object that was moved and each name that is done: whose, how many of how many, objects and bytes so far."""


@dataclass(frozen=True, slots=True)
class MLSynced:
    """What a sync did for one model, user and branch; of a tag, ``branch`` is the tag.

    ``outcome``  ``"pushed"``, ``"pulled"``: the other side, or this one, has the version now. ``"merged"``: of both. ``"branches"``: what
                 the other side has is kept here on branches of its own. ``"left"``: the side that is behind is not to be moved.
                 ``"diverged"``: each has versions that the other lacks, and they were not merged. ``"busy"``: somebody else moves it all
                 the time. ``"refused"``: something is damaged or missing. ``"equal"``: somebody else has done it meanwhile.
    ``here``, ``there``  the last versions in the end, ``None`` where there is none; in a dry run, as they are.
    ``objects``, ``bytes``  how much was moved.
    ``reason``   why it was refused or not merged; empty otherwise.
    """

    model: str
    user: str
    branch: str
    outcome: MLSyncOutcome
    here: str | None
    there: str | None
    objects: int
    bytes: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MLSyncReport:
    """What a sync did, or in a dry run would do.

    ``equal``      how many models, users and branches were equal from the start.
    ``names``      what became of the others, ``tags`` of the tags that were not equal, where these were looked at.
    ``forgotten``  identifiers of versions, on either side, that lost examples which the other side had forgotten.
    """

    here: str
    there: str
    direction: str
    dry_run: bool
    equal: int
    names: tuple[MLSynced, ...]
    tags: tuple[MLSynced, ...] = ()
    forgotten: tuple[str, ...] = ()

    @property
    def objects(self) -> int:
        """How many objects were moved."""
        return sum(row.objects for row in (*self.names, *self.tags))

    @property
    def bytes(self) -> int:
        """Bytes of what was moved."""
        return sum(row.bytes for row in (*self.names, *self.tags))

    @property
    def unsettled(self) -> tuple[MLSynced, ...]:
        """What somebody has to look after."""
        return tuple(row for row in (*self.names, *self.tags) if row.outcome in ("diverged", "busy", "refused"))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, by the names of the fields."""
        return {**asdict(self), "objects": self.objects, "bytes": self.bytes}


async def sync_models(
    store: MLModelStore,
    other: MLModelStore,
    direction: str,
    models: Iterable[str] | None,
    users: Iterable[str] | None,
    merge: MLMergePolicy | None,
    guard: MLUpdateGuard | None,
    most_at_once: int,
    dry_run: bool,
    progress: MLSyncProgress | None,
) -> MLSyncReport:
    """See ``MLModelStore.sync``."""
    try:
        way = SyncDirection(direction)
    except ValueError:
        raise MLStoreError(f"sync: direction: expected 'push', 'pull' or 'both', got {direction!r:.100}") from None
    if merge is not None:
        check_policy(merge)
    wanted = [None if names is None else set(names) for names in (models, users)]

    def chosen(name: Name) -> bool:
        return all(names is None or one in names for names, one in zip(wanted, (name.model, name.user), strict=True))

    work = _Syncing(store, other, way, merge if not dry_run and way is not SyncDirection.PUSH else None, guard, most_at_once, progress)
    first = await sync(
        store.store, other.store, way, names=None if wanted == [None, None] else chosen, most_at_once=most_at_once, dry_run=dry_run,
        progress=progress,
    )  # fmt: skip
    rows = {row.name: await work.settled(row) for row in first.names}
    tags = tuple(_told(row) for row in first.tags)
    forgotten = [] if dry_run else await work.forget_again([*rows.values(), *work.beside, *tags])
    return MLSyncReport(store.name, other.name, way.value, dry_run, first.equal, (*rows.values(), *work.beside), tags, tuple(forgotten))


class _Syncing:
    def __init__(
        self,
        store: MLModelStore,
        other: MLModelStore,
        direction: SyncDirection,
        merge: MLMergePolicy | None,
        guard: MLUpdateGuard | None,
        most_at_once: int,
        progress: MLSyncProgress | None,
    ) -> None:
        self._store = store
        self._other = other
        self._direction = direction
        self._merge = merge
        self._guard = guard
        self._most_at_once = most_at_once
        self._progress = progress
        self.beside: list[MLSynced] = []

    async def settled(self, row: SyncedName) -> MLSynced:
        """What becomes of a name whose two sides have diverged: they are merged here, and that is pushed."""
        told = _told(row)
        if told.outcome != "diverged" or self._merge is None:
            return told
        name = row.name
        for _ in range(ROUNDS):
            try:
                there = str(told.there)  # which no branch or tag here leads to
                other = MLVersion.of(name, there, await self._store.store.version(there))
                report = await self._store.merge(name.model, name.user, other, branch=name.branch, policy=self._merge, guard=self._guard)
            except MLStoreConflictError:
                pass  # somebody has committed here: what is here now is looked at again
            except MLModelError as error:
                return replace(told, reason=str(error))
            else:
                told = replace(told, here=report.version.identifier)
                if report.outcome == "branches":
                    branches = [*report.branches, *await self._beside(name, report.version.identifier)]
                    pushed = await self._again([replace(name, branch=branch) for branch in branches])
                    self.beside += [_told(one) for one in pushed.names]
                    return replace(told, outcome="branches")
                if self._direction is SyncDirection.PULL:
                    return replace(told, outcome="merged")
            again = await self._again([name])
            objects, size = told.objects + again.objects, told.bytes + again.bytes
            last = _told(again.names[0]) if again.names else replace(told, outcome="pushed", there=told.here)
            told = replace(last, objects=objects, bytes=size)
            if last.outcome in ("pushed", "pulled", "equal"):
                return replace(told, outcome="merged")
            if last.outcome != "diverged":
                return told
        return replace(told, outcome="busy")

    async def _beside(self, name: Name, digest: str) -> dict[str, str]:
        """A branch for this side's own version too, for the other side's head stays what it is."""
        head = await self._store.store.head(name)
        if self._direction is SyncDirection.PULL or head is None or head.version != digest:
            return {}
        return await keep_beside(self._store.store, head, [(digest, await self._store.store.version(digest))])

    async def _again(self, names: list[Name]) -> SyncReport:
        return await sync(
            self._store.store, self._other.store, self._direction, names=names, most_at_once=self._most_at_once, progress=self._progress
        )

    async def forget_again(self, rows: Iterable[MLSynced]) -> list[str]:
        """Takes out on both sides what either has forgotten; identifiers of the versions that lost something."""
        found: list[str] = []
        moved = {(row.model, row.user) for row in rows if row.outcome in ("pushed", "pulled", "merged", "branches") or row.objects}
        for model, user in sorted(moved):
            if not await self._has_orders(Name(model, user)):
                continue
            if self._direction is not SyncDirection.PUSH:
                found += await self._store.forget_again(model, user)
            if self._direction is not SyncDirection.PULL:
                found += await self._other.forget_again(model, user)
        return list(dict.fromkeys(found))

    async def _has_orders(self, name: Name) -> bool:
        """Whether any branch tells of something to forget: it holds for all of them."""
        for head in await self._store.store.branches(name):
            if any(FORGOTTEN in version.metadata.extra for _, version in await self._store.store.history(head.version)):
                return True
        return False


def _told(row: SyncedName) -> MLSynced:
    reason = "" if row.error is None else str(row.error)
    outcome: Any = row.outcome.value
    return MLSynced(*_called(row.name), outcome, row.here, row.there, row.objects, row.bytes, reason)


def _called(name: Name) -> tuple[str, str, str]:
    return name.model, name.user, name.branch
