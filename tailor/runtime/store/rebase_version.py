"""The last version of a name, moved to a new base, as its next version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from anyio.to_thread import run_sync

from tailor.persistence import KeptHead, Plain, Store

from ..errors import MLStoreError
from ..model import MLModel
from ..snapshots import take_snapshot
from .addressing import SHOWN
from .bases import Bases
from .committing import Place, keep
from .example_set import removed_of
from .merging import REBASE
from .rebasing import MLRebaseReport, RebaseWeights, rebased
from .versions import MLVersion


async def rebase_version(
    store: Store,
    bases: Bases,
    head: KeptHead,
    new: MLModel,
    old: MLModel | None,
    *,
    weights: RebaseWeights = "difference",
    trust_features: bool = False,
    told: Mapping[str, Plain],
    dry_run: bool = False,
) -> tuple[MLVersion, MLRebaseReport]:
    """What the version that ``head`` names learned, on the base ``new``, as its next version; and what could be moved.

    ``old``: the base it was made of, where it was kept without one. A version that is of ``new`` already stays as it is, and in a dry run
    every one does. Raises ``MLStoreError`` where nothing can be moved, ``ConflictError`` where the head has moved meanwhile.
    """
    version = await store.version(head.version)
    if version.base is not None:
        old = await bases.base(version)
    if old is None:
        where = f"{store.backend.name}: {head.name}"
        raise MLStoreError(f"{where}: expected the base that {head.version[:SHOWN]} was made of, for it was kept without one, got none")
    place = Place(head.name, head, head.version, version)
    present = MLVersion.of(head.name, head.version, version)
    snapshot = await bases.snapshot(head.version, version)
    model = await bases.model(version, snapshot)
    removed = removed_of(snapshot.metadata.extra, f"{store.backend.name}: version {head.version[:SHOWN]}")
    if await run_sync(lambda: old.content_hash == new.content_hash):
        return present, MLRebaseReport({}, {})
    work = partial(rebased, model, old, new, weights=weights, trust_features=trust_features, parameters=version.metadata.parameters)
    result = await run_sync(partial(work, removed=removed, who=str(head.name)))
    if dry_run:
        return present, result.report
    made = await run_sync(take_snapshot, result.model, new)
    made = replace(made, metadata=replace(made.metadata, model=version.metadata.model, parameters=result.parameters))
    of = {"from": await run_sync(lambda: old.content_hash), "weights": weights, **result.report.as_dict()}
    return await keep(store, bases, place, result.model, made, new, {**told, REBASE: of}, result.removed), result.report
