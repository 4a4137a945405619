"""Two devices or more that personalised one base apart: one model of what all of them learned.

What comes of a merge is a function of the versions that are merged, so that devices that merge the same ones apart get equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tailor.persistence import Plain, Version

from ..errors import MLFormatError, MLStoreError
from ..format import read_contents, write_contents
from ..model import MLModel
from ..models import last_classifier
from ..update import MLUpdateGuard, MLUpdateVerdict
from .example_set import REMOVED, ExampleSet, Removed, Rows, joined
from .judgement import judged
from .policies import MLMergePolicy, Weights, averaged, check_policy, computed, shares

MERGE, GUARD, EXAMPLES, REBASE = "merge", "guard", "examples", "rebase"
"""Keys in the metadata of snapshots and versions."""

SHORT = 12
"""Digits of an identifier, in an error."""


@dataclass(frozen=True)
class MergeSide:
    """One of the versions that are merged.

    ``examples``: how many examples its network has learned from since the common ancestor, an epoch's each time; ``None`` where that
    is not known. ``removed``: which examples its past has lost.
    """

    version: str
    created_at: datetime
    model: MLModel
    examples: int | None = None
    removed: Removed = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """What came of a merge: the model, what a snapshot's metadata says of it, and the guard's verdict where there was one."""

    model: MLModel
    metadata: Mapping[str, Plain]
    verdict: MLUpdateVerdict | None = None

    @property
    def accepted(self) -> bool:
        """Whether the guard, if there was one, took it."""
        return self.verdict is None or self.verdict.accepted


def merged(
    base: MLModel | None,
    sides: Sequence[MergeSide],
    *,
    policy: MLMergePolicy = "average",
    ancestor: tuple[str, MLModel | None] | None = None,
    guard: MLUpdateGuard | None = None,
) -> Merged:
    """One model of what the models of ``sides`` learned, each of them from ``base``, if there is one. The order of sides does not matter.

    Examples of nearest neighbours are joined: all that any side knows, but those that any removed. Networks are merged as ``policy``
    says, except ``"branches"``, which merges none. ``ancestor``: the identifier of the common ancestor, and its model where the policy is a
    function. ``guard``: what the result is judged by, on a reference set.

    Raises ``MLStoreError`` where the models differ in more than weights, or examples and labels, where their weights cannot be merged so,
    and where the guard cannot judge.
    """
    check_policy(policy)
    ordered = sorted(sides, key=lambda side: side.version)
    versions = [side.version for side in ordered]
    who = f"merge of {' and '.join(version[:SHORT] for version in versions) or 'nothing'}"
    if len(versions) < 2 or len(set(versions)) < len(versions):
        raise MLStoreError(f"{who}: expected two versions or more, each once")
    told: dict[str, Plain] = {"parents": versions}
    if ancestor is not None:
        told["ancestor"] = ancestor[0]
    removed: Removed = {}
    if last_classifier(ordered[0].model._outline) is not None:
        told["policy"] = "union"
        model, removed = _examples_joined(base, ordered, who)
    else:
        told["policy"] = policy if isinstance(policy, str) else "function"
        model = _weights_merged(ordered, policy, ancestor, told, who)
    metadata: dict[str, Plain] = {MERGE: told}
    if removed:
        metadata[REMOVED] = dict(removed)
    verdict = None if guard is None else judged(guard, [side.model for side in ordered], model, who)
    if verdict is not None:
        metadata[GUARD] = verdict.as_dict()
    return Merged(model, metadata, verdict)


def examples_since(histories: Sequence[Sequence[tuple[str, Version]]]) -> list[int | None]:
    """How many examples each version has learned from since what is common to all ``histories``; each begins with the version itself.

    ``None`` where one of the versions in between does not tell. Merges, and moves to another base, learn nothing themselves.
    """
    common = set.intersection(*({digest for digest, _ in history} for history in histories))
    return [_sum([version for digest, version in history if digest not in common]) for history in histories]


def common_ancestor(histories: Sequence[Sequence[tuple[str, Version]]]) -> str | None:
    """The newest version that all histories share and no other shared one comes of; of several the same one everywhere."""
    versions = [dict(history) for history in histories]
    shared = {digest: version for digest, version in versions[0].items() if all(digest in other for other in versions)}
    older = {parent for version in shared.values() for parent in version.parents}
    newest = [(version.metadata.created_at, digest) for digest, version in shared.items() if digest not in older]
    return max(newest)[1] if newest else None


def _sum(versions: Sequence[Version]) -> int | None:
    total = 0
    for version in versions:
        extra = version.metadata.extra
        count = extra.get(EXAMPLES, 0 if MERGE in extra or REBASE in extra else None)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            return None
        total += count
    return total


def _examples_joined(base: MLModel | None, sides: Sequence[MergeSide], who: str) -> tuple[MLModel, Removed]:
    """The first side's model with the examples that all know together."""
    models = {"the base": base} if base is not None else {}
    _check_settings({**models, **{side.version[:SHORT]: side.model for side in sides}}, who)
    sets = [ExampleSet(Rows.of(side.model), side.removed) for side in sides]
    result = joined(sets, Rows.of(base) if base is not None else sets[0].rows.taken([]))
    made = {side.version: result.rows.written(side.model) for side in sides}
    _check_same(made, who)
    return made[sides[0].version], result.removed


def _weights_merged(
    sides: Sequence[MergeSide], policy: MLMergePolicy, ancestor: tuple[str, MLModel | None] | None, told: dict[str, Plain], who: str
) -> MLModel:
    """The model that the policy makes of the sides' networks; what it went by is ``told``."""
    if policy == "branches":
        raise MLStoreError(f"{who}: expected a policy that merges, got 'branches', which keeps each on its own")
    if policy == "latest":
        latest = max(sides, key=lambda side: (side.created_at, side.version))
        told["chosen"] = latest.version
        return latest.model
    weights = [_weights(side.model) for side in sides]
    alike = {side.version: _with(side.model, weights[0], who) for side in sides}
    _check_same(alike, who)
    counts = [side.examples for side in sides]
    told["examples"] = {side.version: side.examples for side in sides}
    if not callable(policy):
        told["weights"] = {side.version: share for side, share in zip(sides, shares(counts), strict=True)}
        return _with(sides[0].model, averaged(weights, counts, who), who)
    told["function"] = f"{getattr(policy, '__module__', '')}.{getattr(policy, '__qualname__', type(policy).__qualname__)}"
    version, before = ancestor or ("", None)
    if before is None:
        raise MLStoreError(f"{who}: expected the model of the common ancestor for the merge function, got none: it is not kept any more")
    _check_same({**alike, version: _with(before, weights[0], who)}, who)
    return _with(before, computed(policy, _weights(before), weights, counts, who), who)


def _weights(model: MLModel) -> dict[str, Any]:
    return dict(read_contents(model.spec))


def _with(model: MLModel, weights: Weights, who: str) -> MLModel:
    try:
        return model._changed(lambda spec: write_contents(spec, weights))
    except MLFormatError as error:
        raise MLStoreError(f"{who}: expected models of the same layers: {error}") from error


def _check_same(alike: Mapping[str, MLModel], who: str) -> None:
    """Raises ``MLStoreError`` unless models, by version, that were given the same contents are equal: then nothing else differed."""
    (first, model), *others = alike.items()
    for version, other in others:
        if other.content_hash != model.content_hash:
            raise MLStoreError(
                f"{who}: expected models that differ in weights, or in examples and labels, only; {first[:SHORT]} and {version[:SHORT]} "
                "differ in more"
            )


def _check_settings(models: Mapping[str, MLModel], who: str) -> None:
    """Raises ``MLStoreError`` unless all models, by what they are called, ask nearest neighbours, in the same way."""
    (first, expected), *others = ((name, _settings(model, f"{who}: {name}")) for name, model in models.items())
    for name, settings in others:
        for setting, value in settings.items():
            if value != expected[setting] and None not in (value, expected[setting]):
                raise MLStoreError(f"{who}: {setting}: expected {expected[setting]}, as {first} has, got {value} in {name}")


def _settings(model: MLModel, who: str) -> dict[str, object]:
    """What decides, besides examples and labels, how a nearest neighbour classifier answers; ``None`` where it does not say."""
    classifier = last_classifier(model.spec)
    if classifier is None:
        raise MLStoreError(f"{who}: expected a nearest neighbour classifier, or a pipeline that ends in one, got a {model.model_type}")
    message = classifier.kNearestNeighborsClassifier
    default = message.WhichOneof("DefaultClassLabel")
    return {
        "dimensions": message.nearestNeighborsIndex.numberOfDimensions,
        "number of neighbours": message.numberOfNeighbors.defaultValue,
        "weighting": message.WhichOneof("WeightingScheme"),
        "index": message.nearestNeighborsIndex.WhichOneof("IndexType"),
        "labels": message.WhichOneof("ClassLabels"),
        "default label": getattr(message, default) if default else None,
    }
