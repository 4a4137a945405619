"""The examples of a nearest neighbour classifier as a set that grows and shrinks on several devices, and is joined without a common past.

An example is known by its content: label, sample, and origin. Of each it is told how often it was ever there, and how often it was
removed; both numbers only ever grow, and of two devices' the larger counts. So joining is commutative, associative and idempotent.
What was removed is kept in the metadata of snapshots under ``removed`` (``FORMAT.md`` section 3), for the examples themselves are gone.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from tailor.kernels import Array
from tailor.persistence import encode

from ..errors import MLStoreError
from ..format import origin_rows, read_contents, write_contents
from ..model import MLModel
from ..models import last_classifier

REMOVED = "removed"
"""The key in a snapshot's metadata."""

DIGEST = re.compile(r"[0-9a-f]{32}")

Removed: TypeAlias = Mapping[str, int]
"""How often examples were removed, by their digests."""


@dataclass(frozen=True)
class Rows:
    """Examples in their order: samples float32 ``[n, dimensions]``, and for each a label and the text of its origin (``""``: none)."""

    samples: Array
    labels: tuple[str | int, ...]
    origins: tuple[str, ...]

    @classmethod
    def of(cls, model: MLModel) -> Rows:
        """Those of the nearest neighbour classifier that ``model`` is or ends in. Raises ``MLFormatError`` where they cannot be read."""
        contents: Mapping[str, Any] = read_contents(last_classifier(model.spec))
        samples, labels = contents["samples"], tuple(contents["labels"])
        if len(labels) != len(samples):
            raise MLStoreError(f"{model.name}: expected a label for each of {len(samples)} samples, got {len(labels)}")
        return cls(samples, labels, tuple(contents["origins"]))

    def written(self, model: MLModel) -> MLModel:
        """``model`` with these examples instead of its own."""
        contents: dict[str, Any] = {"samples": self.samples, "labels": list(self.labels), "origins": list(self.origins)}
        return model._changed(lambda spec: write_contents(last_classifier(spec), contents))

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """By which each is known: 32 hex digits, the first half of a SHA-256; equal ones for equal content."""
        samples = np.ascontiguousarray(self.samples, "<f4")
        told = zip(self.labels, self.origins, samples, strict=True)
        return tuple(hashlib.sha256(encode([label, origin]) + sample.tobytes()).hexdigest()[:32] for label, origin, sample in told)

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each is there."""
        return Counter(self.digests)

    def taken(self, places: Sequence[int]) -> Rows:
        """Those at ``places``, in that order."""
        return Rows(
            self.samples[list(places)], tuple(self.labels[place] for place in places), tuple(self.origins[place] for place in places)
        )

    def __add__(self, later: Rows) -> Rows:
        return Rows(np.concatenate((self.samples, later.samples)), self.labels + later.labels, self.origins + later.origins)


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """Examples that are there, and how often others were removed: one device's side of a join."""

    rows: Rows
    removed: Removed

    @property
    def ever(self) -> dict[str, int]:
        """How often each example was ever there."""
        return {
            digest: self.rows.counts[digest] + self.removed.get(digest, 0) for digest in dict.fromkeys((*self.rows.digests, *self.removed))
        }


def removed_of(extra: Mapping[str, Any], who: str) -> dict[str, int]:
    """What a snapshot's metadata says was removed. Raises ``MLStoreError`` where it is not what it should be."""
    removed = extra.get(REMOVED, {})
    if not isinstance(removed, Mapping):
        raise MLStoreError(f"{who}: metadata.{REMOVED}: expected a map, got {type(removed).__name__}")
    for digest, count in removed.items():
        if not DIGEST.fullmatch(digest) or type(count) is not int or count < 1:
            raise MLStoreError(f"{who}: metadata.{REMOVED}: expected 32 hex digits and how often, got {digest!r:.60}: {count!r:.60}")
    return dict(removed)


def removed_since(before: MLModel | None, after: MLModel, known: Removed) -> dict[str, int]:
    """What is removed of the examples by the time of ``after``: what was ``known`` at ``before``, and what ``after`` lacks of those there.

    An example that was removed and is there again counts as there: it is one more than was removed. Only ``known`` where either
    does not end in nearest neighbours.
    """
    removed = dict(known)
    if before is None or last_classifier(before._outline) is None or last_classifier(after._outline) is None:
        return removed
    for digest, count in (Rows.of(before).counts - Rows.of(after).counts).items():
        removed[digest] = removed.get(digest, 0) + count
    return removed


def joined(sides: Sequence[ExampleSet], base: Rows) -> ExampleSet:
    """What all ``sides`` know, less what any of them removed; the order of the sides does not matter.

    First the base's examples that are left, in its order; then the others by time, id and digest.
    """
    ever: dict[str, int] = {}
    removed: dict[str, int] = {}
    for side in sides:
        for total, counts in ((ever, side.ever), (removed, side.removed)):
            for digest, count in counts.items():
                total[digest] = max(total.get(digest, 0), count)
    left = {digest: count - removed.get(digest, 0) for digest, count in ever.items()}
    return ExampleSet(arranged([side.rows for side in sides], left, base), removed)


def arranged(known: Sequence[Rows], counts: Mapping[str, int], base: Rows) -> Rows:
    """The examples of ``known`` and ``base``, each as often as ``counts`` says, in the order that ``joined`` describes."""
    left = {digest: count for digest, count in counts.items() if count > 0}
    every, digests = base, list(base.digests)
    places: list[int] = []
    for place, digest in enumerate(digests):
        if left.get(digest, 0):
            places.append(place)
            left[digest] -= 1
    for rows in known:
        every = every + rows
        digests += rows.digests
    first = {digest: place for place, digest in reversed(list(enumerate(digests)))}
    others = [digest for digest, count in left.items() if count]
    origins = dict(zip(others, origin_rows([every.origins[first[digest]] for digest in others], "examples"), strict=True))

    def order(digest: str) -> tuple[str, str, str]:
        name, _, time = origins[digest] or ("", "", "")
        return time, name, digest

    for digest in sorted(others, key=order):
        places += [first[digest]] * left[digest]
    return every.taken(places)
