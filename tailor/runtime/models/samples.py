"""The samples of a nearest neighbour classifier: read from its message once, and shared by all models that grow from it.

What an update adds is a value, ``Taught``, which goes two ways: into a copy of the message, when somebody asks for that, and
behind the samples that are ready for searching, which are never touched. So models that grow from one another hold what
they have in common once, and an addition costs what it adds.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from tailor.kernels import Array, neighbors

from ..errors import MLFormatError
from ..format import OriginRow, append_samples, pipeline_of, read_origins, read_samples, write_origins
from ..values import MLExampleOrigin
from .labels import Label
from .neighbors_interface import LABEL_FIELDS

DEFAULT_LEAF = 30
"""Samples in a leaf of a kd-tree, where the model gives no number that can be."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples: vectors float32 ``[n, dimensions]``, and for each a label and its origin."""

    vectors: Array
    labels: tuple[Label, ...]
    origins: tuple[OriginRow, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, later: Batch) -> Batch:
        return Batch(np.concatenate((self.vectors, later.vectors)), self.labels + later.labels, self.origins + later.origins)


@dataclass(frozen=True, slots=True)
class Taught:
    """What updates add to a nearest neighbour classifier ``who``, whose labels are of ``label_type``.

    Called with a message, that of such a classifier or of a pipeline that ends in one, appends it there.
    """

    label_type: type
    who: str
    batches: tuple[Batch, ...] = ()

    def plus(self, *batches: Batch) -> Taught:
        """These examples and more."""
        joined = self.batches
        for batch in batches:
            joined = appended(joined, batch)
        return Taught(self.label_type, self.who, joined)

    def __call__(self, spec: Any) -> None:
        if not self.batches:
            return
        classifier = last_classifier(spec)
        origins = read_origins(classifier, self.who)
        model = classifier.kNearestNeighborsClassifier
        for batch in self.batches:
            append_samples(model.nearestNeighborsIndex, batch.vectors, self.who)
            getattr(model, LABEL_FIELDS[self.label_type]).vector.extend(batch.labels)
            origins.extend(batch.origins)
        write_origins(classifier, origins, self.who)


def last_classifier(spec: Any) -> Any:
    """The nearest neighbour classifier that ``spec`` is, or ends in; ``None`` where it does not."""
    pipeline = pipeline_of(spec)
    while pipeline is not None and pipeline.models:
        spec = pipeline.models[-1]
        pipeline = pipeline_of(spec)
    return spec if spec.WhichOneof("Type") == "kNearestNeighborsClassifier" else None


def origin_row(origin: MLExampleOrigin | None, vector: Array, label: Label) -> OriginRow:
    """What is kept of where an example came from. One without an id gets one of its content: equal examples have equal ones."""
    name = source = time = None
    if origin is not None:
        name, source, time = origin.id, origin.source, origin.time
    if name is None:
        content = f"{type(label).__name__} {label}\0".encode() + np.asarray(vector, "<f4").tobytes()
        name = hashlib.blake2b(content, digest_size=8).hexdigest()
    return name, source or "", "" if time is None else time.isoformat()


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples ready for searching, and the labels known: their numbers, in the order in which they were first seen."""

    index: neighbors.Index
    numbers: dict[Label, int]

    def extended(self, batch: Batch) -> Samples:
        """These and more; raises ``ValueError`` for vectors that do not fit."""
        numbers = self.numbers
        if any(label not in numbers for label in batch.labels):
            numbers = dict(numbers)
            for label in batch.labels:
                numbers.setdefault(label, len(numbers))
        return Samples(self.index.extended(batch.vectors, np.array([numbers[label] for label in batch.labels], np.intp)), numbers)


class SampleSource:
    """The samples of a model, made ready when they are first needed, once, whichever thread and whichever model needs them."""

    def __init__(self, root: StoredSamples, samples: Samples | None = None) -> None:
        self._root = root
        self._samples = samples
        self._pending: tuple[Batch, ...] = ()  # what is not among the samples yet
        self._origins: tuple[tuple[OriginRow, ...], ...] = ()
        self._reading = threading.Lock()

    def extended(self, taught: Taught) -> SampleSource:
        """A source of these samples and of those ``taught``; this one stays as it is.

        Raises ``MLFormatError`` where it could not be written, for the metadata cannot be read.
        """
        with self._reading:
            samples, pending = self._samples, self._pending
        _ = self._root.origins  # what cannot be read here could not be written on later
        origins = self._origins
        for batch in taught.batches:
            samples = None if samples is None else samples.extended(batch)
            pending = pending if samples is not None else appended(pending, batch)
            origins = appended(origins, batch.origins)
        source = SampleSource(self._root, samples)
        source._pending, source._origins = pending, origins
        return source

    @property
    def samples(self) -> Samples:
        """The samples; raises ``MLFormatError`` where the message contradicts itself."""
        with self._reading:
            if self._samples is None:
                samples = self._root.samples
                for batch in self._pending:
                    samples = samples.extended(batch)
                self._samples, self._pending = samples, ()
            return self._samples

    @property
    def origins(self) -> list[OriginRow]:
        """A row for each sample; raises ``MLFormatError`` where the metadata cannot be read."""
        return [*self._root.origins, *(row for rows in self._origins for row in rows)]


class StoredSamples:
    """What the message of a nearest neighbour classifier holds, read when it is first needed; several threads may need it at once."""

    def __init__(self, spec: Any, label_type: type, who: str) -> None:
        self._spec = spec
        self._label_type = label_type
        self._who = who
        self._reading = threading.Lock()

    @property
    def samples(self) -> Samples:
        """Its samples, ready; raises ``MLFormatError`` where samples, labels and dimensions do not go together."""
        with self._reading:
            return self._samples

    @cached_property
    def _samples(self) -> Samples:
        model = self._spec.kNearestNeighborsClassifier
        rows = read_samples(model.nearestNeighborsIndex, self._who)
        field = LABEL_FIELDS[self._label_type]
        labels = list(getattr(model, field).vector)
        if len(labels) != len(rows):
            raise MLFormatError(f"{self._who}: {field}: expected a label for each of {len(rows)} samples, got {len(labels)}")
        numbers: dict[Label, int] = {}
        places = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.intp)
        try:
            return Samples(neighbors.prepare(rows, places, _leaf_size(model.nearestNeighborsIndex)), numbers)
        except ValueError as error:
            raise MLFormatError(f"{self._who}: floatSamples: {error}") from error

    @cached_property
    def origins(self) -> list[OriginRow]:
        """A row for each of its samples; raises ``MLFormatError`` where the metadata cannot be read."""
        return read_origins(self._spec, self._who)


class _Joinable(Protocol):
    def __len__(self) -> int: ...

    def __add__(self, later: Self, /) -> Self: ...


Joinable = TypeVar("Joinable", bound=_Joinable)


def appended(parts: tuple[Joinable, ...], new: Joinable) -> tuple[Joinable, ...]:
    """``parts`` and ``new`` behind them, joined so that each is larger than the next: few parts, and little copied over many calls."""
    if not len(new):
        return parts
    kept = list(parts)
    while kept and len(kept[-1]) <= len(new):
        new = kept.pop() + new
    return (*kept, new)


def _leaf_size(index: Any) -> int:
    """Samples in a leaf, where the model declares a kd-tree; else 0."""
    if index.WhichOneof("IndexType") != "singleKdTreeIndex":
        return 0
    leaf: int = index.singleKdTreeIndex.leafSize
    return leaf if leaf > 0 else DEFAULT_LEAF
