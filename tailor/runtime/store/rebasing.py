"""A new version of the base ships: what somebody's model learned on the old one, moved onto it as far as it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from tailor.kernels import Array
from tailor.persistence import Plain

from ..errors import MLFormatError, MLParameterError, MLStoreError
from ..format import front_bytes, read_contents, read_frames, write_contents
from ..model import MLModel
from ..models import last_classifier
from ..parameters import MLParameterKey, parameter_description
from .example_set import Removed, Rows, arranged
from .policies import same_bits

RebaseWeights: TypeAlias = Literal["difference", "replace"]

NO_LAYER = "the new base has no such layer"
OTHER_LAYER = "the layer of this name has other sizes, settings or class labels in the new base"
STRUCTURE = "the model itself"
EXAMPLES = "examples"


@dataclass(frozen=True, slots=True)
class MLRebaseReport:
    """What of a personalised model was ``moved`` to a new base, and how; what was ``left`` behind, and why.

    Both by name: of weights (``dense.weights``), of parameters (``parameter learningRate``), ``examples``, and ``the model itself``, which
    is what differed from the old base besides. ``str()`` is for people.
    """

    moved: Mapping[str, str]
    left: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether nothing was left behind."""
        return not self.left

    def as_dict(self) -> dict[str, Any]:
        """Plain data: ``moved``, ``left`` and ``complete``."""
        return {"moved": dict(self.moved), "left": dict(self.left), "complete": self.complete}

    def __str__(self) -> str:
        told = [*(f"moved {name}: {how}" for name, how in self.moved.items()), *(f"left {name}: {why}" for name, why in self.left.items())]
        return "\n".join(told) or "there was nothing to move"


@dataclass(frozen=True)
class Rebased:
    """The model on its new base, what came of it, the parameters that the new base allows, and what is removed of its examples."""

    model: MLModel
    report: MLRebaseReport
    parameters: Mapping[str, Plain]
    removed: Removed


def rebased(
    personal: MLModel,
    old: MLModel,
    new: MLModel,
    *,
    weights: RebaseWeights = "difference",
    trust_features: bool = False,
    parameters: Mapping[str, Plain] | None = None,
    removed: Removed | None = None,
    who: str | None = None,
) -> Rebased:
    """``new`` with what ``personal`` learned on ``old``.

    Weights move to the layer of their name, if it is the same but for its numbers: as the ``"difference"`` that was learned, added to
    the new base's, or to ``"replace"`` the new base's. Examples that were added or removed move where they have as many numbers and
    labels of the same type, and all models in front of the classifier are equal, for others would make other numbers of them;
    ``trust_features`` says that they make the same. ``parameters``: those that were used, by their printed keys. ``removed``: the
    examples that the model's past has lost; ``who``: what errors call the model.

    Raises ``MLStoreError`` where there is something to move, and nothing of it can be.
    """
    if weights not in get_args(RebaseWeights):
        raise MLStoreError(f"rebase: weights: expected {' or '.join(map(repr, get_args(RebaseWeights)))}, got {weights!r:.100}")
    moved: dict[str, str] = {}
    left: dict[str, str] = {}
    if not _only_contents_differ(personal, old):
        left[STRUCTURE] = "it differs from the old base in more than weights, examples and labels; repair or convert the new base likewise"
    made = _weights_moved(personal, old, new, weights, moved, left)
    made, gone = _examples_moved(personal, old, made, trust_features, removed or {}, moved, left)
    kept: dict[str, Plain] = {}
    for name, value in (parameters or {}).items():
        try:
            key = MLParameterKey.parse(name)
            kept[name] = parameter_description(new._outline, key).check(value)
        except MLParameterError as error:
            left[f"parameter {name}"] = str(error).removeprefix(f"parameter {name}: ")
    report = MLRebaseReport(moved, left)
    if left and not moved:
        raise MLStoreError(
            f"rebase of {who or personal.name} onto {new.name}: expected something that can be moved, got nothing:\n{report}"
        )
    return Rebased(made, report, kept, gone)


def _only_contents_differ(personal: MLModel, old: MLModel) -> bool:
    contents = read_contents(personal.spec)
    try:
        return old._changed(lambda spec: write_contents(spec, contents)).content_hash == personal.content_hash
    except MLFormatError:
        return False


def _weights_moved(
    personal: MLModel, old: MLModel, new: MLModel, how: RebaseWeights, moved: dict[str, str], left: dict[str, str]
) -> MLModel:
    """The new base with the weights that were learned."""
    frames, new_frames = read_frames(personal.spec), read_frames(new.spec)
    learned, before, now = (_arrays(model, names) for model, names in ((personal, frames), (old, frames), (new, new_frames)))
    made: dict[str, Array] = {}
    for name, array in learned.items():
        if name in before and same_bits(array, before[name]):
            continue
        if name not in now:
            left[name] = NO_LAYER
        elif frames[name] != new_frames[name] or array.shape != now[name].shape:
            left[name] = OTHER_LAYER
        elif array.dtype != now[name].dtype:
            left[name] = f"it is stored as {array.dtype}, and as {now[name].dtype} in the new base"
        elif how == "replace" or (name in before and same_bits(before[name], now[name])):
            made[name], moved[name] = array, "as it was"
        elif name not in before or before[name].shape != array.shape:
            left[name] = "the old base has none to tell the difference from"
        elif array.dtype.kind != "f":
            left[name] = "the difference of quantised weights cannot be told"
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                wide = now[name].astype(np.float64) + (array.astype(np.float64) - before[name].astype(np.float64))
                made[name] = wide.astype(array.dtype)
            if np.isfinite(made[name]).all():
                moved[name] = "the difference, added"
            else:
                del made[name]
                left[name] = f"with the difference added it has numbers that are not finite, or too large for {array.dtype}"
    return new._changed(lambda spec: write_contents(spec, made)) if made else new


def _arrays(model: MLModel, names: Mapping[str, bytes]) -> dict[str, Array]:
    contents = read_contents(model.spec)
    return {name: np.asarray(contents[name]) for name in names if name in contents}


def _examples_moved(
    personal: MLModel, old: MLModel, new: MLModel, trusted: bool, known: Removed, moved: dict[str, str], left: dict[str, str]
) -> tuple[MLModel, Removed]:
    """The new base with the examples that were added and without those that were removed."""
    if any(last_classifier(model._outline) is None for model in (personal, old)):
        return new, known
    rows, before = Rows.of(personal), Rows.of(old)
    removed = {**known, **{digest: max(known.get(digest, 0), count) for digest, count in (before.counts - rows.counts).items()}}
    added = {digest: count - max(0, before.counts[digest] - removed.get(digest, 0)) for digest, count in rows.counts.items()}
    added = {digest: count for digest, count in added.items() if count > 0}
    if not added and not removed:
        return new, removed
    why = _unfit(personal, new, trusted)
    if why:
        left[EXAMPLES] = f"{_told(sum(added.values()), sum(removed.values()))}: {why}"
        return new, removed
    its = Rows.of(new)
    counts: dict[str, int] = {}
    for digest in dict.fromkeys((*its.digests, *added)):
        gone = removed.get(digest, 0)
        counts[digest] = max(its.counts[digest], rows.counts[digest] + gone if digest in added else 0) - gone
    taken = sum(min(count, removed.get(digest, 0)) for digest, count in its.counts.items())
    moved[EXAMPLES] = _told(sum(added.values()), taken)
    return arranged([rows], counts, its).written(new), removed


def _unfit(personal: MLModel, new: MLModel, trusted: bool) -> str:
    """Why examples of one model do not belong into another; ``""`` where they do."""
    other = last_classifier(new.spec)
    if other is None:
        return "the new base does not end in nearest neighbours"
    one, its = last_classifier(personal.spec).kNearestNeighborsClassifier, other.kNearestNeighborsClassifier
    sizes = one.nearestNeighborsIndex.numberOfDimensions, its.nearestNeighborsIndex.numberOfDimensions
    if sizes[0] != sizes[1]:
        return f"they have {sizes[0]} numbers each, and {sizes[1]} in the new base"
    kinds = one.WhichOneof("ClassLabels"), its.WhichOneof("ClassLabels")
    if kinds[0] != kinds[1] and None not in kinds:
        return f"their labels are {kinds[0]}, and {kinds[1]} in the new base"
    if not trusted and front_bytes(personal.spec) != front_bytes(new.spec):
        return "the models in front of the classifier are others in the new base, and would make other numbers of them"
    return ""


def _told(added: int, removed: int) -> str:
    return f"{added} added" + (f", {removed} removed" if removed else "")
