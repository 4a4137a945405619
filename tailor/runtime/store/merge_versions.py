"""Versions of one name that came about apart become one again: who came from whom decides whether there is anything to merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from anyio.to_thread import run_sync

from tailor.persistence import KeptHead, Metadata, Name, Plain, RecordError, Store, Version

from ..errors import MLStoreError
from ..model import MLModel
from ..models import last_classifier
from ..snapshots import RESULT, take_snapshot
from ..update import MLUpdateGuard, MLUpdateVerdict
from .addressing import SHOWN
from .bases import Bases
from .committing import UNKNOWN
from .example_set import REMOVED, removed_of
from .merging import Merged, MergeSide, common_ancestor, examples_since, merged
from .policies import MLMergePolicy, check_policy
from .versions import MLVersion

Outcome: TypeAlias = Literal["merged", "forwarded", "nothing", "branches"]
LONGEST_BRANCH = 60
"""Bytes of a device's name that a key can hold whatever they are."""

History: TypeAlias = Sequence[tuple[str, Version]]


@dataclass(frozen=True, slots=True)
class MLMergeReport:
    """What came of a merge.

    ``outcome``   ``"merged"``; ``"forwarded"``: the branch was behind and is now where the other was; ``"nothing"``: it had all of the
                  others already; ``"branches"``: each is kept on a branch of its own, as the policy says, or since the guard refused.
    ``version``   the branch's last version now.
    ``branches``  the identifiers of the versions that were put on branches, by branch.
    ``verdict``   what the guard decided, where there was one.
    """

    outcome: Outcome
    version: MLVersion
    branches: Mapping[str, str] = field(default_factory=dict)
    verdict: MLUpdateVerdict | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, by the names of the fields."""
        verdict = None if self.verdict is None else self.verdict.as_dict()
        return {"outcome": self.outcome, "version": self.version.as_dict(), "branches": dict(self.branches), "verdict": verdict}


async def merge_versions(
    store: Store,
    bases: Bases,
    head: KeptHead,
    others: Sequence[str],
    *,
    policy: MLMergePolicy = "average",
    guard: MLUpdateGuard | None = None,
    dry_run: bool = False,
) -> MLMergeReport:
    """Makes one of the version that ``head`` names and the ``others``, and moves the head there if it is where it was.

    ``dry_run``: works out what would come of it, and writes nothing. Raises ``MLStoreError`` where they cannot be merged, and
    ``ConflictError`` where the head has moved.
    """
    check_policy(policy)
    histories = {digest: await store.history(digest) for digest in dict.fromkeys((head.version, *others))}
    newest = _newest(histories)
    if newest == [head.version]:
        return MLMergeReport("nothing", MLVersion.of(head.name, *histories[head.version][0]))
    if len(newest) == 1:
        if not dry_run:
            await store.move(head.name, newest[0], head)
        return MLMergeReport("forwarded", MLVersion.of(head.name, *histories[newest[0]][0]))
    pasts = {digest: histories[digest] for digest in newest}
    merge = await _merge(store, bases, pasts, policy, guard)
    if merge is None or not merge.accepted:
        apart = [pasts[digest][0] for digest in newest if digest != head.version]
        branches = await keep_beside(store, head, apart, dry_run=dry_run)
        return MLMergeReport("branches", MLVersion.of(head.name, *histories[head.version][0]), branches, merge.verdict if merge else None)
    version = await _kept(store, bases, head, [pasts[digest][0] for digest in newest], merge, dry_run)
    return MLMergeReport("merged", version, verdict=merge.verdict)


def _newest(histories: Mapping[str, History]) -> list[str]:
    """Those versions that none of the others comes from, in the order of their hashes."""
    older = {digest for newest, history in histories.items() for digest, _ in history if digest != newest}
    return sorted(digest for digest in histories if digest not in older)


async def _merge(
    store: Store, bases: Bases, pasts: Mapping[str, History], policy: MLMergePolicy, guard: MLUpdateGuard | None
) -> Merged | None:
    """One model of the first versions of ``pasts``; ``None`` where the policy is to keep each."""
    versions = [past[0][1] for past in pasts.values()]
    if len({version.base for version in versions}) > 1:
        told = " and ".join(f"{digest[:SHOWN]} of {(past[0][1].base or 'none')[:SHOWN]}" for digest, past in pasts.items())
        raise MLStoreError(f"{store.backend.name}: merge: expected versions of one base, got {told}; rebase those of the old one first")
    base = None if versions[0].base is None else await bases.base(versions[0])
    sides: list[MergeSide] = []
    for (digest, past), examples in zip(pasts.items(), examples_since(list(pasts.values())), strict=True):
        snapshot = await bases.snapshot(digest, past[0][1])
        model = await bases.model(past[0][1], snapshot)
        if policy == "branches" and last_classifier(model._outline) is None:
            return None
        removed = removed_of(snapshot.metadata.extra, f"{store.backend.name}: version {digest[:SHOWN]}")
        sides.append(MergeSide(digest, past[0][1].metadata.created_at, model, examples, removed))
    ancestor = await _ancestor(
        store, bases, list(pasts.values()), base, callable(policy) and last_classifier(sides[0].model._outline) is None
    )
    return await run_sync(partial(merged, base, sides, policy=policy, ancestor=ancestor, guard=guard))


async def _ancestor(
    store: Store, bases: Bases, pasts: Sequence[History], base: MLModel | None, needed: bool
) -> tuple[str, MLModel | None] | None:
    """The newest version that all come from, and its model where it is needed; the base where they share no version."""
    digest = common_ancestor(pasts)
    if digest is None:
        shared = pasts[0][0][1].base
        return None if shared is None else (shared, base)
    if not needed:
        return digest, None
    version = await store.version(digest)
    return digest, await bases.model(version, await bases.snapshot(digest, version))


async def _kept(
    store: Store, bases: Bases, head: KeptHead, parents: Sequence[tuple[str, Version]], merge: Merged, dry_run: bool
) -> MLVersion:
    """Makes what came of a merge the next version. Nothing in it is of this device or this moment."""
    latest = max(parents, key=lambda parent: (parent[1].metadata.created_at, parent[0]))[1]
    base = None if latest.base is None else await bases.base(latest)
    snapshot = await run_sync(take_snapshot, merge.model, base)
    extra: dict[str, Plain] = {**merge.metadata, RESULT: snapshot.metadata.extra[RESULT]}
    metadata = Metadata(latest.metadata.created_at, latest.metadata.model, parameters=latest.metadata.parameters, extra=extra)
    told = replace(metadata, extra={key: value for key, value in extra.items() if key != REMOVED})
    version = Version(told, UNKNOWN, tuple(digest for digest, _ in parents), latest.base)
    if dry_run:
        return MLVersion.of(head.name, "", version)
    identifier, _ = await store.commit(head.name, version, replace(snapshot, metadata=metadata), head)
    return MLVersion.of(head.name, identifier, version)


async def keep_beside(store: Store, head: KeptHead, versions: Sequence[tuple[str, Version]], *, dry_run: bool = False) -> dict[str, str]:
    """Puts each version on a branch besides that of ``head``: the one that it is on already, one that is called as its device, or as it
    is itself. Tells which it put where."""
    known = {found.name.branch: found for found in await store.branches(head.name)}
    made: dict[str, str] = {}
    for digest, version in versions:
        if any(found.version == digest and found.name != head.name for found in known.values()):
            continue
        past = {one for one, _ in await store.history(digest)}
        device = version.metadata.extra.get("device")
        for branch in (device, digest[:SHOWN]):
            name = _branch(head.name, branch)
            if name is None or name.branch == head.name.branch or name.branch in made:
                continue
            before = known.get(name.branch)
            if before is None or before.version in past:
                if not dry_run:
                    await store.move(name, digest, before)
                made[name.branch] = digest
                break
    return made


def _branch(name: Name, branch: object) -> Name | None:
    """Another branch of the same model and user; ``None`` for what no branch can be called: a device may be."""
    if not isinstance(branch, str) or len(branch.encode("utf-8", "replace")) > LONGEST_BRANCH:
        return None
    try:
        return replace(name, branch=branch)
    except RecordError:
        return None
