"""Nearest neighbours: what an update kept, and the votes, worked out a second time from all distances in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from ..format import read_contents
from ..model import MLModel
from ..parameters import MLParameterKey as Key
from ..parameters import parameter_descriptions
from .subject import Subject, part_that_learns
from .verdict import Check

KEPT, VOTES = "examples kept", "votes"

QUERIES = 100
"""Taught examples that are asked for, at most; and as many points between two of them."""


def check_kept(subject: Subject, trained: MLModel) -> Check:
    """The trained model holds what it held, then every example once, bit for bit, in their order."""
    vectors, labels = _taught(subject)
    (before, known), (after, told) = (_held(subject.learner), _held(part_that_learns(trained)))
    good = np.concatenate([before.reshape(-1, vectors.shape[1]), vectors]).tobytes() == after.tobytes() and known + labels == told
    words = f"{len(known)} before, {len(labels)} taught, {len(told)} after" + ("" if good else ", not those given in their order")
    return Check.judged(KEPT, good, words, before=len(known), taught=len(labels), after=len(told))


def check_votes(subject: Subject, trained: MLModel) -> Check:
    """Labels and shares for taught examples, asked through the whole model, and for points between them are those of all distances."""
    k = _neighbors(trained)
    learned = part_that_learns(trained).with_parameters({Key.NUMBER_OF_NEIGHBORS: k})
    samples, labels = _held(learned)
    numbers = subject.some(QUERIES)
    vectors = _vectors(subject, numbers)
    between = ((vectors + np.roll(vectors, 1, axis=0)) / 2).astype(np.float32)
    (entry,) = learned.description.input_descriptions_by_name.values()
    shape = getattr(entry.constraint, "shape", ()) or (-1,)
    answers = trained.predict(subject.rows(numbers)) + learned.predict([{entry.name: row.reshape(shape)} for row in between])
    inverse = learned.spec.kNearestNeighborsClassifier.WhichOneof("WeightingScheme") == "inverseDistanceWeighting"
    label_name, shares_name = learned.description.predicted_feature_name, learned.description.predicted_probabilities_name
    wrong, worst, found = 0, 0.0, ""
    for row, answer in zip([*vectors, *between], answers, strict=True):
        label, shares = brute_force(samples, labels, row, k, inverse)
        told = answer.get(shares_name, shares)
        worst = max(worst, max((abs(told.get(name, 0.0) - share) for name, share in shares.items()), default=0.0))
        if answer.get(label_name, label) != label:
            wrong += 1
            found = found or f"; first: {answer[label_name]!r} instead of {label!r}"
    return Check.judged(
        VOTES,
        not wrong and worst <= 1e-9,
        f"{len(answers) - wrong} of {len(answers)} labels as all distances in float64 say, shares apart by at most {worst:.1e}{found}",
        queries=len(answers),
        wrong=wrong,
        worst=worst,
        neighbors=k,
    )


def brute_force(samples: Array, labels: list[Any], query: Array, k: int, inverse: bool) -> tuple[Any, dict[Any, float]]:
    """The label and the shares of the votes: nearest first, ties to the nearest and then to the one added first."""
    squared = ((samples.astype(np.float64) - query.astype(np.float64)) ** 2).sum(axis=1)
    nearest = np.argsort(squared, kind="stable")[:k].tolist()
    exact = [place for place in nearest if squared[place] == 0]
    voting = exact if inverse and exact else nearest
    sums: dict[Any, float] = {}
    for place in voting:  # so that labels come in the order of their nearest example
        sums[labels[place]] = sums.get(labels[place], 0.0) + (1 / squared[place] if inverse and not exact else 1.0)
    most = max(sums.values())
    winner = next(label for label, votes in sums.items() if votes >= most * (1 - 1e-12))
    return winner, {label: votes / sum(sums.values()) for label, votes in sums.items()}


def _neighbors(trained: MLModel) -> int:
    """How many neighbours vote in the part that learns, which comes last: as configured, or its default."""
    *_, key = [key for key in parameter_descriptions(trained.spec) if key.name == Key.NUMBER_OF_NEIGHBORS.name]
    k: Any = trained.parameter(key)
    return int(k)


def _held(learner: MLModel) -> tuple[Array, list[Any]]:
    contents = read_contents(learner.spec)
    return np.asarray(contents["samples"]), list(contents["labels"])


def _vectors(subject: Subject, numbers: list[int]) -> Array:
    (name,) = subject.learner.description.input_descriptions_by_name
    column = subject.columns(numbers)[name]
    return np.stack([np.asarray(value, np.float32).ravel() for value in column])


def _taught(subject: Subject) -> tuple[Array, list[Any]]:
    """All examples as the part that learns is given them."""
    (name,) = subject.learner.description.input_descriptions_by_name
    columns = subject.columns(range(subject.examples.count))
    (taught,) = [other for other in columns if other != name]
    labels = [value.item() if isinstance(value, np.generic) else value for value in columns[taught]]
    return _vectors(subject, list(range(subject.examples.count))), labels
