"""The guard of an update: what decides whether the updated model is taken, and what it decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from ..errors import MLUpdateError
from ..options import is_number
from ..values import MLBatchProvider

Metric: TypeAlias = Literal["accuracy", "loss"]

# Differences that rounding makes are none: 0.9 and 0.8 are 0.1 apart.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class MLUpdateGuard:
    """Says when the model that an update made is accepted: not worse than the one before on examples that it did not learn from.

    ``hold_out``: the share of the training data, above 0 and below 1, that is judged by instead of learned from; ``None``: none
    of it. Where the target is a label or class, that share of each label: at least one example, never all, and a label with
    a single example is learned from. Which examples depends on the data's labels and ``seed`` (a whole number) alone.

    ``reference``: further examples, of the model's training inputs, for what must not be forgotten. A hold-out, a
    reference set, or both must be given.

    ``metric``: what decides on each set. ``"accuracy"``: the share of right answers, 0 to 1. ``"loss"``: the mean over the
    examples of the model's own loss, which for a regressor is the mean squared error. ``None``: accuracy where the target is
    a label or class, else loss. What else can be told of the model is in the verdict, but decides nothing.

    ``margin``: by how much the updated model may be worse, 0 or more: an accuracy may fall by ``margin``, a loss may rise by
    ``margin`` times what it was.

    ``diverged_above``: the task fails once the mean loss of an epoch is above this many times that of the first epoch, or
    1e-6 where that was less (a number above 1; ``None``: never). A model that learns without a loss does not diverge.

    Raises ``MLUpdateError`` naming the field that cannot be.
    """

    hold_out: float | None = 0.2
    reference: MLBatchProvider | None = None
    metric: Metric | None = None
    margin: float = 0.0
    seed: int = 0
    diverged_above: float | None = 10.0

    def __post_init__(self) -> None:
        if self.hold_out is not None:
            _check(is_number(self.hold_out) and 0 < self.hold_out < 1, "hold_out", "a number above 0 and below 1, or None", self.hold_out)
        if self.hold_out is None and self.reference is None:
            raise MLUpdateError("guard: expected hold_out, a reference set, or both, to judge by, got neither")
        _check(self.metric in (None, *get_args(Metric)), "metric", "'accuracy', 'loss' or None", self.metric)
        _check(is_number(self.margin) and self.margin >= 0, "margin", "a number of at least 0", self.margin)
        whole = isinstance(self.seed, int) and not isinstance(self.seed, bool) and -(2**63) <= self.seed < 2**63
        _check(whole, "seed", "a whole number of 64 bits", self.seed)
        if self.diverged_above is not None:
            valid = is_number(self.diverged_above) and self.diverged_above > 1
            _check(valid, "diverged_above", "a number above 1, or None", self.diverged_above)


@dataclass(frozen=True, slots=True)
class MLGuardScores:
    """What the base model (``before``) and the updated one (``after``) score on one set of ``count`` examples.

    By ``"accuracy"`` (share of right answers) and ``"loss"`` (mean over the examples), as far as the model has them.
    """

    count: int
    before: Mapping[str, float]
    after: Mapping[str, float]

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


@dataclass(frozen=True, slots=True)
class MLUpdateVerdict:
    """What the guard of an update decided, and by which numbers.

    ``accepted`` and, in words, the ``reason``. ``sets``: what was scored, by ``"hold_out"`` and ``"reference"``. ``metric``,
    ``margin`` and ``seed``: those that were in force. ``trained``: how many examples were learned from.
    """

    accepted: bool
    reason: str
    sets: Mapping[str, MLGuardScores]
    metric: Metric
    margin: float
    seed: int
    trained: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "sets", MappingProxyType(dict(self.sets)))

    def as_dict(self) -> dict[str, Any]:
        """The verdict in plain values: what a snapshot keeps of it under ``guard``."""
        sets = {
            name: {"count": scores.count, "before": dict(scores.before), "after": dict(scores.after)} for name, scores in self.sets.items()
        }
        return {
            "accepted": self.accepted,
            "reason": self.reason,
            "sets": sets,
            "metric": self.metric,
            "margin": self.margin,
            "seed": self.seed,
            "trained": self.trained,
        }


def decide(sets: Mapping[str, MLGuardScores], metric: Metric, margin: float, seed: int, trained: int) -> MLUpdateVerdict:
    """The verdict on what was scored: accepted where on no set the metric is worse by more than the margin."""
    told: dict[bool, list[str]] = {False: [], True: []}
    for name, scores in sets.items():
        before, after = scores.before[metric], scores.after[metric]
        allowed = margin + ROUNDING if metric == "accuracy" else (margin + ROUNDING) * before
        worse = (before - after if metric == "accuracy" else after - before) > allowed
        counted = f"{scores.count} example{'s' if scores.count > 1 else ''}"
        told[worse].append(f"{metric} on {name} ({counted}) went from {before:.6g} to {after:.6g}")
    accepted = not told[True]
    by = "" if margin == 0 else f" by more than {margin:g}" if metric == "accuracy" else f" by more than {100 * margin:g} %"
    reason = f"{'; '.join(told[not accepted])}: {'not ' if accepted else ''}worse{by}"
    return MLUpdateVerdict(accepted, reason, sets, metric, float(margin), seed, trained)


def _check(valid: bool, field: str, expected: str, got: object) -> None:
    if not valid:
        raise MLUpdateError(f"guard: {field}: expected {expected}, got {got!r}")
