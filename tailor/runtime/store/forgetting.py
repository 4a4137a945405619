"""Examples that are taken out again: of the model, of every version of its past, and of every store that holds some of it.

A version that says what is to be forgotten, by digests of the examples, is the order; it goes wherever the model's past goes. Each
snapshot in which such an example is found is replaced by one without it, which is a function of the two alone, so that stores agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync

from tailor.persistence import KeptHead, Name, Plain, Snapshot, Version, changes_between, remove_snapshot, replace_snapshot, tags_of

from ..errors import MLStoreError, MLStoreMissingError
from ..format import origin_rows, read_contents
from ..model import MLModel
from ..models import last_classifier
from ..neighbors import Label
from ..snapshots import EXAMPLES, RESULT, take_snapshot
from .committing import Place, keep
from .example_set import REMOVED, Rows, removed_of
from .versions import MLVersion

if TYPE_CHECKING:
    from .model_store import MLModelStore

FORGOTTEN = "forgotten"
"""The key in a version's metadata: digests of examples, of which no snapshot is to have any."""

MOST_FORGOTTEN = 20_000
"""Examples that one version can tell of."""


@dataclass(frozen=True, slots=True)
class MLForgetReport:
    """What was forgotten in one store, and what could not be.

    ``examples``   how many different ones were found anywhere.
    ``heads``      the new last version of each branch.
    ``rewritten``  identifiers of the versions whose snapshots were replaced by ones without the examples.
    ``dropped``    of those whose snapshots are gone altogether, for nothing that can predict would have been left of them.
    ``base``       how many of the examples are in the base, which stays as it was shipped: no version shows them.
    ``trained``    weights that differ from the base's: whatever they have learned of an example cannot be taken out of them. To be sure
                   roll back to a version before it, or train the base again without it.
    """

    place: str
    model: str
    user: str
    examples: int = 0
    heads: tuple[MLVersion, ...] = ()
    rewritten: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    base: int = 0
    trained: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data, by the names of the fields."""
        told = {name: getattr(self, name) for name in ("place", "model", "user", "examples", "base")}
        listed = {name: list(getattr(self, name)) for name in ("rewritten", "dropped", "trained")}
        return {**told, **listed, "heads": [version.as_dict() for version in self.heads]}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which examples are to go: those of any of these ids, labels, sources, or digests."""

    ids: frozenset[str] = frozenset()
    labels: frozenset[Label] = frozenset()
    sources: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()

    def places(self, rows: Rows) -> list[int]:
        """Where they are among ``rows``."""
        if not (self.ids or self.sources):
            told: Sequence[Any] = [None] * len(rows.labels)
        else:
            told = origin_rows(rows.origins, "origins")
        found = zip(rows.labels, told, rows.digests if self.digests else rows.labels, strict=True)
        return [
            place
            for place, (label, origin, digest) in enumerate(found)
            if label in self.labels
            or digest in self.digests
            or (origin is not None and (origin[0] in self.ids or (origin[1] and origin[1] in self.sources)))
        ]

    def __bool__(self) -> bool:
        return bool(self.ids or self.labels or self.sources or self.digests)


@dataclass
class _Found:
    """One snapshot that has some of the wanted examples: who has it, which they are, and whether there can be a model without them.

    The models themselves are read again when they are replaced: a long past of them is more than there is memory.
    """

    version: Version
    versions: list[str]
    going: Counter[str]
    answers: bool


@dataclass
class _Past:
    """What was found in the past of one model and user."""

    found: dict[str, _Found] = field(default_factory=dict)
    ordered: set[str] = field(default_factory=set)
    base: Counter[str] = field(default_factory=Counter)


async def forget(store: MLModelStore, name: str, user: str, wanted: Wanted, *, past: bool, message: str) -> MLForgetReport:
    """Takes the wanted examples out of every branch; of its past too where ``past``, otherwise of the last versions only.

    Raises, before anything is changed, ``MLStoreMissingError`` where there is no such model, or it ends in nearest neighbours and no
    version has such an example, and ``MLStoreError`` where a last version would have no answer left; ``ConflictError`` where a branch moves
    meanwhile, and doing it again goes on from there.
    """
    branches = await store.store.branches(Name(name, user))
    who = f"{store.name}: {name}/{user}"
    if not branches:
        raise MLStoreMissingError(f"{store.name}: expected a model that is kept here, got {name}/{user}, of which there is nothing")
    models = {head.version: await _model(store, head.version) for head in branches}
    trained = await _trained(store, models)
    if not any(last_classifier(model._outline) is not None for model in models.values()):
        return MLForgetReport(store.name, name, user, trained=trained)
    seen = await _searched(store, Name(name, user), None if past else list(models), wanted)
    if not seen.found:
        raise MLStoreMissingError(f"{who}: expected ids, labels or sources of examples that a version has, got none that any has")
    for head in branches:
        found = seen.found.get((await store.store.version(head.version)).snapshot)
        if found is not None and not found.answers:
            raise MLStoreError(f"{head.name}: expected an example to stay, for the model has no default label to answer with")
    going = sorted({digest for found in seen.found.values() for digest in found.going})
    if len(going) > MOST_FORGOTTEN:
        raise MLStoreError(f"{who}: expected at most {MOST_FORGOTTEN} examples to forget at once, got {len(going)}")
    heads = []
    for head in branches:
        model = models[head.version]
        found = seen.found.get((await store.store.version(head.version)).snapshot)
        if found is not None:
            model = (await run_sync(_without, model, wanted))[1] or model
        heads.append(await _ordered(store, head, model, going if past else (), message))
    rewritten, dropped = await _replaced(store, seen) if past else ([], [])
    in_base = sum((seen.base & Counter(going)).values())
    return MLForgetReport(store.name, name, user, len(going), tuple(heads), tuple(rewritten), tuple(dropped), in_base, trained)


async def forget_again(store: MLModelStore, name: Name) -> tuple[list[str], list[str]]:
    """Forgets what versions of ``name`` order to be forgotten wherever it has come back, as from another device's past.

    Returns the identifiers of versions whose snapshots were replaced, and of those whose snapshots are gone.
    """
    seen = await _searched(store, name, None, None)
    return await _replaced(store, seen)


async def _searched(store: MLModelStore, name: Name, only: Sequence[str] | None, wanted: Wanted | None) -> _Past:
    """The snapshots that have wanted examples, of all of the past or of ``only`` some; ``None``: what was ordered to be forgotten."""
    past = _Past()
    versions: dict[str, Version] = {}
    if only is not None:
        versions = dict(zip(only, (version for version, _ in await store.store.versions(only)), strict=True))
    else:
        for start in await _starts(store, name):
            versions |= dict(await store.store.history(start))
    for version in versions.values():
        past.ordered |= _orders(version)
    if wanted is None:
        wanted = Wanted(digests=frozenset(past.ordered))
    if not wanted:
        return past
    pruned = await store.store.pruned()
    checked: set[str] = set()
    for digest, version in versions.items():
        if digest in pruned and not await store.store.has(await store.store.resolved(version.snapshot)):
            continue
        if version.snapshot in checked:
            if version.snapshot in past.found:
                past.found[version.snapshot].versions.append(digest)
            continue
        checked.add(version.snapshot)
        snapshot = await store._bases.snapshot(digest, version)
        model = await store._bases.model(version, snapshot)
        if version.base is not None:
            past.base |= await run_sync(_counted, await store._bases.base(version))
        going, left = await run_sync(_without, model, wanted)
        if going:
            past.found[version.snapshot] = _Found(version, [digest], going, left is not None)
    return past


async def _starts(store: MLModelStore, name: Name) -> list[str]:
    pointers = [*await store.store.branches(name), *await tags_of(store.store, name)]
    return list(dict.fromkeys(pointer.version for pointer in pointers))


def _orders(version: Version) -> set[str]:
    told = version.metadata.extra.get(FORGOTTEN, [])
    return {digest for digest in told if isinstance(digest, str)} if isinstance(told, list) else set()


def _counted(model: MLModel) -> Counter[str]:
    return Counter() if last_classifier(model._outline) is None else Rows.of(model).counts


def _without(model: MLModel, wanted: Wanted) -> tuple[Counter[str], MLModel | None]:
    """The wanted examples of a model, by their digests, and the model without them; ``None`` where it could not answer any more."""
    if last_classifier(model._outline) is None:
        return Counter(), model
    rows = Rows.of(model)
    going = set(wanted.places(rows))
    if not going:
        return Counter(), model
    staying = [place for place in range(len(rows.labels)) if place not in going]
    answers = staying or last_classifier(model.spec).kNearestNeighborsClassifier.WhichOneof("DefaultClassLabel") is not None
    return Counter(rows.digests[place] for place in going), rows.taken(staying).written(model) if answers else None


async def _replaced(store: MLModelStore, past: _Past) -> tuple[list[str], list[str]]:
    rewritten: list[str] = []
    dropped: list[str] = []
    for digest, found in past.found.items():
        there = await store.store.resolved(digest)  # what stands in for it since something else was forgotten
        if not found.answers:
            await remove_snapshot(store.store, found.versions, there)
            dropped += found.versions
        else:
            snapshot = await store._bases.snapshot(found.versions[0], found.version)
            model = await store._bases.model(found.version, snapshot)
            base = await store._bases.base(found.version) if found.version.base is not None else None
            new = await run_sync(_rewritten, snapshot, model, base, Wanted(digests=frozenset(found.going)))
            await replace_snapshot(store.store, there, new)
            rewritten += found.versions
    return rewritten, dropped


def _rewritten(snapshot: Snapshot, model: MLModel, base: MLModel | None, wanted: Wanted) -> Snapshot:
    """The snapshot of what is left of its model: a function of it and of what goes, so that it is the same in every store."""
    going, left = _without(model, wanted)
    if not going or left is None:  # somebody else has been at it meanwhile
        return snapshot
    metadata = snapshot.metadata
    removed = Counter(removed_of(metadata.extra, "snapshot")) + going
    extra: dict[str, Plain] = {**metadata.extra, RESULT: left.content_hash, REMOVED: dict(removed)}
    return replace(take_snapshot(left, base), metadata=replace(metadata, extra=extra))


async def _ordered(store: MLModelStore, head: KeptHead, model: MLModel, going: Sequence[str], message: str) -> MLVersion:
    """A new version without the examples behind ``head``, if that is still the last one, which says that they are to be forgotten."""
    older = await store.store.version(head.version)
    place = Place(head.name, head, head.version, older)
    base = await store._bases.base(older) if older.base is not None else None
    snapshot = await run_sync(take_snapshot, model, base)
    told: Mapping[str, Plain] = {"device": store.device, "message": message, FORGOTTEN: list(going)}
    told = {key: value for key, value in told.items() if value} | {EXAMPLES: 0}
    return await keep(store.store, store._bases, place, model, snapshot, base, told)


async def _model(store: MLModelStore, digest: str) -> MLModel:
    version = await store.store.version(digest)
    return await store._bases.model(version, await store._bases.snapshot(digest, version))


async def _trained(store: MLModelStore, heads: Mapping[str, MLModel]) -> tuple[str, ...]:
    """The names of weights in which a last version differs from its base; of a model without a base, all there are."""
    names: set[str] = set()
    for digest, model in heads.items():
        version = await store.store.version(digest)
        base = await store._bases.base(version) if version.base is not None else None
        names |= await run_sync(_differing, base, model)
    return tuple(sorted(names))


def _differing(base: MLModel | None, model: MLModel) -> set[str]:
    if base is None:
        return {name for name in read_contents(model.spec) if not _of_examples(name)}
    return {name for name in changes_between(read_contents(base.spec), read_contents(model.spec)) if not _of_examples(name)}


def _of_examples(name: str) -> bool:
    return name.rpartition(".")[2] in ("samples", "labels", "origins")
