"""``MLModelStore``: where personalised models are kept, with their past, for many users."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from anyio import CancelScope, Lock
from anyio.to_thread import run_sync

from tailor.persistence import (
    Backend,
    ExportReport,
    KeptHead,
    Name,
    Plain,
    Snapshot,
    Store,
    StoreKey,
    VerifyReport,
    Version,
    is_encrypted,
    open_backend,
    remove_tag,
    tag_version,
    tags_of,
)

from ..errors import MLStoreConflictError, MLStoreError
from ..model import MLModel
from ..neighbors import Label
from ..update import MLUpdateContext, MLUpdateGuard
from .addressing import HEAD, SHOWN, check_tag, find_head, find_version
from .bases import Bases
from .committing import as_kept, check_extra, find_place, keep, unchanged
from .comparing import MLModelDifference, compare_models
from .failures import at_the_door
from .forgetting import MLForgetReport, Wanted, forget, forget_again
from .maintaining import MLImported, MLPruneReport, StoreProgress, exported, imported, pruned, rolled_back, swept, verified
from .merge_versions import MLMergeReport, merge_versions
from .places import default_place
from .policies import MLMergePolicy
from .rebase_version import rebase_version
from .rebasing import MLRebaseReport, RebaseWeights
from .syncing import MLSyncDirection, MLSyncProgress, MLSyncReport, sync_models
from .unlocking import unlocked
from .versions import MLVersion


class MLModelStore:
    """Personalised models, each version of them, by model, user and branch, in a folder, a file or on a server.

    ``place``     a path, a URL that ``open_backend`` takes, or a backend.
    ``device``    what this device is called; told with every version that is made here.
    ``compress``  whether snapshots are compressed where that pays; versions are the same either way.
    ``key``       of an encrypted place, and of no other: a ``Passphrase``, a ``SecretKey``, or the ``Path`` of a key file.

    Use it with ``async with``. Everything raises ``MLStoreError`` where the place fails or something is missing or damaged, and its
    children ``MLStoreConflictError`` where somebody else was first and ``MLStoreMissingError`` where a name leads to nothing; nothing that
    was kept is lost by any.

    Where a ``version`` is asked for it is an ``MLVersion``, or text: ``HEAD``, the branch's last one; a tag; an identifier, or six or more
    of the hex digits that it begins with; and behind any of these ``~N``, so many steps back.
    """

    def __init__(
        self,
        place: str | os.PathLike[str] | Backend,
        *,
        device: str = "",
        compress: bool = False,
        key: StoreKey | os.PathLike[str] | None = None,
    ) -> None:
        with at_the_door():
            backend = open_backend(place) if isinstance(place, str | os.PathLike) else place
        self.store = Store(backend, compress=compress)
        self.device = device
        self._place = backend
        self._key = key
        self._bases = Bases(self.store)
        self._forgetting = Lock()  # two at once could each put a snapshot that has what the other took out in the same one's place

    async def __aenter__(self) -> Self:
        with at_the_door():
            try:
                self.store = Store(await unlocked(self.store.backend, self._key), compress=self.store.compress)
            except BaseException:
                with CancelScope(shield=True):
                    await self.store.aclose()
                raise
        self._bases = Bases(self.store)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with at_the_door():
            await self.store.aclose()

    @staticmethod
    def default_place() -> str:
        """The folder that the command line and the daemon use where nobody says which: ``tailor/store`` in that for a user's data."""
        return default_place()

    @property
    def name(self) -> str:
        """The place, without secrets."""
        return self.store.backend.name

    async def is_encrypted(self) -> bool:
        """Whether it takes a key to open the place. Asked of a store that is not open, which this closes."""
        with at_the_door():
            try:
                return await is_encrypted(self.store.backend)
            finally:
                with CancelScope(shield=True):
                    await self.store.aclose()

    # What is kept

    async def is_empty(self) -> bool:
        """Whether no model has a last version here, as in a store that nobody has written to."""
        with at_the_door():
            return not await self.store.head_tags()

    async def commit(
        self,
        model: MLModel | MLUpdateContext | Snapshot,
        base: MLModel | str | os.PathLike[str] | None = None,
        *,
        user: str = "",
        name: str | None = None,
        branch: str = "main",
        message: str = "",
        onto: MLVersion | None = None,
        first: bool = False,
        examples: int | None = None,
        half: bool = False,
        extra: Mapping[str, Plain] | None = None,
    ) -> MLVersion:
        """Keeps ``model`` (or an update's or a snapshot's, with its metrics, parameters and verdict) as the next version of its name.

        With ``base`` only what differs from it is kept for each version, and the base once for all users; without it, all of it.
        ``name`` is by default that of the base's file, or of the model's, without ``.mlmodel``. What equals the last version, and has no
        message and no ``extra``, is not kept again: that version is returned.

        ``onto``: the version that the model was made of. Where it is not the branch's last one any more, somebody else has committed
        meanwhile, and this raises ``MLStoreConflictError`` instead of putting aside what the other one learned; commit to a branch that
        there is not yet, which begins at ``onto`` then, and merge. Without it the model comes behind what is there, or with ``first``
        only where nothing is.
        ``examples``: how many it learned from, an epoch's each time; of an update it is known. ``half``: keeps float32 as float16, as
        ``take_snapshot`` does; what is restored is rounded. ``extra``: what else is to be told of it in its ``metadata``, as plain data
        under names that tailor has no use for (``MLStoreError`` otherwise).
        """
        with at_the_door():
            check_extra(self.name, extra)
            against = base if base is None or isinstance(base, MLModel) else await run_sync(MLModel, base)
            kept, snapshot = await run_sync(as_kept, model, against, half)
            called = Name(name if name is not None else _stem((against or kept).name), user, branch)
            place = await find_place(self.store, called, onto, first)
            if kept is model and not message and not extra and await unchanged(self._bases, place, kept, against):
                assert place.parent is not None and place.older is not None
                return MLVersion.of(called, place.parent, place.older)
            told: dict[str, Plain] = {"device": self.device, "message": message, "examples": examples}
            told = {**(extra or {}), **{key: value for key, value in told.items() if value}}
            return await keep(self.store, self._bases, place, kept, snapshot, against, told)

    async def model(self, name: str, user: str = "", *, branch: str = "main", version: str | MLVersion = HEAD) -> MLModel:
        """The model of a version, equal bit for bit to the one that was kept."""
        with at_the_door():
            digest, found = await self._found(Name(name, user, branch), version)
            return await self._bases.model(found, await self._bases.snapshot(digest, found))

    async def base(self, version: MLVersion) -> MLModel | None:
        """The model that a version was kept against; ``None`` where all of it was kept."""
        with at_the_door():
            found = await self.store.version(version.identifier)
            return None if found.base is None else await self._bases.base(found)

    async def head(self, name: str, user: str = "", *, branch: str = "main", version: str = HEAD) -> MLVersion:
        """What is told of the last version, or of another one."""
        with at_the_door():
            called = Name(name, user, branch)
            return MLVersion.of(called, *await find_version(self.store, called, version))

    async def last(self, name: str, user: str = "", *, branch: str = "main") -> MLVersion | None:
        """What is told of the last version; ``None`` where there is none, which is found without a look at other names."""
        with at_the_door():
            called = Name(name, user, branch)
            head = await self.store.head(called)
            return None if head is None else MLVersion.of(called, head.version, await self.store.version(head.version))

    async def last_identifiers(self, name: str, users: Iterable[str], *, branch: str = "main") -> dict[str, str]:
        """The identifier of each user's last version, by user, all read together; those left out that have none."""
        with at_the_door():
            heads = await self.store.heads([Name(name, user, branch) for user in users])
            return {head.name.user: head.version for head in heads}

    async def heads(self, name: str | None = None, user: str | None = None) -> list[MLVersion]:
        """The last version of each model, user and branch that is kept here, or of those of one model, or one user."""
        with at_the_door():
            names = [one for one in await self.store.head_tags() if name in (None, one.model) and user in (None, one.user)]
            heads = await self.store.heads(names)
            versions = await self.store.versions([head.version for head in heads])
            return [MLVersion.of(head.name, head.version, version) for head, (version, _) in zip(heads, versions, strict=True)]

    async def log(
        self, name: str, user: str = "", *, branch: str = "main", version: str | MLVersion = HEAD, most: int | None = None
    ) -> list[MLVersion]:
        """A version and all that it came from, the newest first, none before one that came of it; at most so many."""
        with at_the_door():
            called = Name(name, user, branch)
            digest, _ = await self._found(called, version)
            pruned = await self.store.pruned()
            past = await self.store.history(digest, most=most)
            return [MLVersion.of(called, one, found, pruned=one in pruned) for one, found in past]

    async def diff(
        self,
        name: str,
        user: str = "",
        before: str | MLVersion | MLModel | None = None,
        after: str | MLVersion = HEAD,
        *,
        branch: str = "main",
    ) -> MLModelDifference:
        """What differs between two versions of a model: from ``before``, or the base that ``after`` was made of, to ``after``."""
        with at_the_door():
            called = Name(name, user, branch)
            digest, version = await self._found(called, after)
            model = await self._bases.model(version, await self._bases.snapshot(digest, version))
            if isinstance(before, MLModel):
                return await run_sync(compare_models, before, model)
            if before is None:
                if version.base is None:
                    raise MLStoreError(f"{self.name}: {called}: expected what to compare {digest[:SHOWN]} with: it was kept without a base")
                return await run_sync(compare_models, await self._bases.base(version), model)
            digest, older = await self._found(called, before)
            earlier = await self._bases.model(older, await self._bases.snapshot(digest, older))
            return (await run_sync(compare_models, earlier, model)).told(older.metadata, version.metadata)

    # What becomes of it

    async def rollback(self, name: str, user: str = "", *, to: str | MLVersion, branch: str = "main", message: str = "") -> MLVersion:
        """Makes a version like the older one ``to`` the last one. Nothing is lost: those in between are its past."""
        with at_the_door():
            called = Name(name, user, branch)
            head = await self._head(called)
            digest, older = await self._found(called, to)
            told = {"device": self.device, "message": message}
            return await rolled_back(self.store, self._bases, called, head, digest, older, datetime.now(UTC), told)

    async def forget(
        self,
        name: str,
        user: str = "",
        *,
        ids: Iterable[str] = (),
        labels: Iterable[Label] = (),
        sources: Iterable[str] = (),
        past: bool = True,
        message: str = "",
    ) -> MLForgetReport:
        """Takes examples of nearest neighbours, by id, label or source, out of every branch, and out of every older version unless not
        ``past``. ``sync`` carries that to other stores, and forgets there too.

        Raises ``MLStoreError`` where nothing is asked for, no version has such an example, or a last version would have no answer left;
        nothing is changed then. ``MLStoreConflictError`` where somebody commits meanwhile: then do it again. Weights cannot forget: the
        report says which have learned.
        """
        wanted = Wanted(frozenset(ids), frozenset(labels), frozenset(sources))
        if not wanted:
            raise MLStoreError(f"{self.name}: expected ids, labels or sources of examples to forget, got none")
        with at_the_door():
            async with self._forgetting:
                return await forget(self, name, user, wanted, past=past, message=message)

    async def forget_again(self, name: str, user: str = "") -> tuple[str, ...]:
        """Forgets what was forgotten once, wherever it has come back to, as with another device's past; identifiers of those versions."""
        with at_the_door():
            async with self._forgetting:
                rewritten, dropped = await forget_again(self, Name(name, user))
            return (*rewritten, *dropped)

    async def merge(
        self,
        name: str,
        user: str = "",
        others: str | MLVersion | Sequence[str | MLVersion] = (),
        *,
        branch: str = "main",
        policy: MLMergePolicy = "average",
        guard: MLUpdateGuard | None = None,
        dry_run: bool = False,
    ) -> MLMergeReport:
        """Makes one of the last version of ``branch`` and of ``others``, branches or versions, and makes that the branch's last one.

        Examples of nearest neighbours are joined: all that any side knows, less what any has forgotten. Networks that were trained apart
        are merged as ``policy`` says; ``"branches"`` leaves the branch as it is and keeps the others on branches of their own. So does a
        ``guard`` (its reference set decides) that finds the merged model worse than the best side. What comes of it depends on the versions
        alone, but for the guard: merged on two devices apart, they are one version. ``dry_run``: nothing is written.

        Raises ``MLStoreError`` where they cannot be merged, ``MLStoreConflictError`` where the branch has moved meanwhile.
        """
        with at_the_door():
            called = Name(name, user, branch)
            head = await self._head(called)
            sides = [await self._side(called, one) for one in ([others] if isinstance(others, str | MLVersion) else others)]
            if not sides:
                raise MLStoreError(f"{self.name}: {called}: expected branches or versions to merge with, got none")
            return await merge_versions(self.store, self._bases, head, sides, policy=policy, guard=guard, dry_run=dry_run)

    async def rebase(
        self,
        name: str,
        user: str = "",
        *,
        onto: MLModel | str | os.PathLike[str],
        old_base: MLModel | str | os.PathLike[str] | None = None,
        branch: str = "main",
        weights: RebaseWeights = "difference",
        trust_features: bool = False,
        message: str = "",
        dry_run: bool = False,
    ) -> tuple[MLVersion, MLRebaseReport]:
        """Moves the last version to a new base, as the next version, as far as it fits; the report tells what was left behind, and why.

        ``weights``: what was learned is added to the new base's weights as a ``"difference"``, or is to ``"replace"`` them. Examples
        do not move behind another feature extractor unless ``trust_features`` says that it makes the same numbers of them.
        ``old_base``: needed where the version was kept without a base. ``dry_run``: nothing is written, and the version is the present one.

        Raises ``MLStoreError`` where nothing of it could be moved.
        """
        with at_the_door():
            head = await self._head(Name(name, user, branch))
            new, old = [one if one is None or isinstance(one, MLModel) else await run_sync(MLModel, one) for one in (onto, old_base)]
            assert new is not None
            told = {key: text for key, text in (("device", self.device), ("message", message)) if text}
            return await rebase_version(
                self.store, self._bases, head, new, old, weights=weights, trust_features=trust_features, told=told, dry_run=dry_run
            )

    async def tag(
        self, name: str, user: str, tag: str, version: str | MLVersion = HEAD, *, branch: str = "main", replace: bool = False
    ) -> None:
        """Gives a version a name of its own, which stays with it, and by which ``prune`` leaves it alone.

        Raises ``MLStoreConflictError`` where another version has that tag, unless it is to be replaced.
        """
        with at_the_door():
            check_tag(tag)
            called = Name(name, user, branch)
            digest, _ = await self._found(called, version)
            before = next((one for one in await tags_of(self.store, called) if one.name.branch == tag), None)
            if before is None or before.version != digest:
                if before is not None and not replace:
                    got = f"got {tag!r}, which version {before.version[:SHOWN]} has; replace it, or take it away first"
                    raise MLStoreConflictError(f"{self.name}: {called}: expected a new tag, {got}")
                await tag_version(self.store, called, tag, digest, before)

    async def untag(self, name: str, user: str, tag: str) -> None:
        """Takes a tag away. Raises ``MLStoreError`` where there is none of this name."""
        with at_the_door():
            called = Name(name, user)
            if tag not in [one.name.branch for one in await tags_of(self.store, called)]:
                raise MLStoreError(f"{self.name}: {called}: expected a tag, got {tag!r:.100}, which none of its versions has")
            await remove_tag(self.store, called, tag)

    async def tags(self, name: str, user: str = "") -> dict[str, str]:
        """The tags of a model and user, and the identifier of the version that each names."""
        with at_the_door():
            return {one.name.branch: one.version for one in await tags_of(self.store, Name(name, user))}

    async def verify(self, *, progress: StoreProgress | None = None) -> VerifyReport:
        """Reads every byte that is kept, and follows every reference; ``progress`` is told how many bytes are done, of how many.

        What is damaged or missing is in the report's ``problems``, each with its ``key`` and ``what`` is wrong; nothing is changed.
        """
        with at_the_door():
            return await verified(self.store, progress)

    async def prune(
        self,
        *,
        last: int | None = None,
        hourly: int | None = None,
        daily: int | None = None,
        weekly: int | None = None,
        monthly: int | None = None,
        yearly: int | None = None,
        within: timedelta | None = None,
        now: datetime | None = None,
        grace: timedelta = timedelta(days=1),
        dry_run: bool = False,
        progress: StoreProgress | None = None,
    ) -> MLPruneReport:
        """Removes the models of versions that nothing here asks for, of each branch by itself, and what nothing refers to.

        Kept are the ``last`` so many versions; the newest of each of so many hours, days, weeks, months and years, in the time zone of
        ``now``; and all ``within`` some time. Without any of these, all. The last version and those with a tag always stay. What is removed
        stays in the log. ``grace``: what was written later than so long ago stays, for somebody may be at work; less than two hours is
        for places that nobody writes to. ``progress`` is told how many objects are removed, of how many.
        """
        with at_the_door():
            dates = {"hourly": hourly, "daily": daily, "weekly": weekly, "monthly": monthly, "yearly": yearly}
            report = await pruned(self.store, {"last": last, **dates, "within": within}, now, grace, dry_run, progress)
            if not dry_run:
                await swept(self._place, grace)
            return report

    async def sync(
        self,
        other: MLModelStore,
        direction: MLSyncDirection = "both",
        *,
        models: Iterable[str] | None = None,
        users: Iterable[str] | None = None,
        merge: MLMergePolicy | None = "average",
        guard: MLUpdateGuard | None = None,
        most_at_once: int = 16,
        dry_run: bool = False,
        progress: MLSyncProgress | None = None,
    ) -> MLSyncReport:
        """Brings this store and an ``other`` one together: whatever either has of some ``models`` and ``users`` (``None``: all), and only
        what the other side lacks. ``"push"`` moves the other side's last versions only, ``"pull"`` this side's only.

        Where both have gone on, they are merged here as ``merge`` and ``guard`` say (see ``merge``), and that is pushed; ``None``
        leaves both as they are, with the other side's versions here unless only pushing. What either side has forgotten is forgotten
        on both, as far as they move. Nothing is ever removed otherwise: who lacks a model, a branch or a tag is given it.

        Cancelled or failed anywhere, both are whole, and doing it again goes on from there. What is damaged on one side is told in
        the report, is not passed on, and stops nothing else. ``dry_run`` moves nothing and tells what would be.

        Raises ``MLStoreError`` where either place fails.
        """
        with at_the_door():
            return await sync_models(self, other, direction, models, users, merge, guard, most_at_once, dry_run, progress)

    async def export_to(
        self,
        path: str | os.PathLike[str],
        whose: Iterable[tuple[str, str | None]] | None = None,
        *,
        progress: StoreProgress | None = None,
    ) -> ExportReport:
        """Writes all that is kept to one file, or all of some models and users (``None``: all users), with their past and their bases."""
        with at_the_door():
            return await exported(self.store, path, whose, progress)

    async def import_from(self, path: str | os.PathLike[str], *, progress: StoreProgress | None = None) -> list[MLImported]:
        """Takes over what ``export_to`` wrote, all of which is checked first; tells what became of each name.

        Where both sides have versions that the other lacks, the file's become a branch of their own, to be merged. What was forgotten,
        here or by the file, is forgotten again.
        """
        with at_the_door():
            rows = await imported(self.store, path, progress)
            for model, user in sorted({(row.model, row.user) for row in rows}):
                await self.forget_again(model, user)
            return rows

    async def _head(self, name: Name) -> KeptHead:
        return await find_head(self.store, name)

    async def _side(self, name: Name, other: str | MLVersion) -> str:
        """The identifier of the last version of a branch of this name, or of the version that is called so."""
        branch = None
        if isinstance(other, str):
            branch = next((head for head in await self.store.branches(name) if head.name.branch == other), None)
        return branch.version if branch is not None else (await self._found(name, other))[0]

    async def _found(self, name: Name, version: str | MLVersion) -> tuple[str, Version]:
        """The version that is called so, and its identifier first."""
        if not isinstance(version, MLVersion):
            return await find_version(self.store, name, version)
        if (version.model, version.user) != (name.model, name.user):
            other = Name(version.model, version.user, version.branch)
            raise MLStoreError(f"{self.name}: {name}: expected a version of the same model and user, got one of {other}")
        return version.identifier, await self.store.version(version.identifier)

    def __repr__(self) -> str:
        return f"<MLModelStore in {self.name}>"


def _stem(name: str) -> str:
    return name.removesuffix(".mlmodel").removesuffix(".mlpackage")
