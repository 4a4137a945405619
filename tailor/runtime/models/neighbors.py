"""The nearest neighbour classifier: labels a vector as its nearest samples vote, and learns by keeping examples.

Source: ``NearestNeighbors.proto`` of the format. Linear and kd-tree index give the same answers by definition; where a
tree is declared, one is used if it pays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self, cast, runtime_checkable

import numpy as np

from tailor.kernels import SGD, Adam, Array, neighbors
from tailor.persistence import Content

from ..errors import MLCheckpointError, MLFormatError, MLParameterError
from ..format import OriginRow, origin_rows, origin_texts
from ..network import shared_team
from .family import Column, Columns, Predictor
from .labels import Label
from .neighbors_interface import LABEL_WORDS, Interface
from .samples import Batch, Samples, SampleSource, StoredSamples, Taught, origin_row

PIECE = 64
"""Queries that one thread takes at a time; the answers do not depend on it."""

ORIGINS = "com.tailor.origins"
"""The column, beside the training inputs, that says where each example came from; it may be absent."""


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A sample that voted: its place in the model, label, squared Euclidean distance, share of the votes, and origin."""

    index: int
    label: Label
    distance: float
    weight: float
    origin: OriginRow


@runtime_checkable
class NeighborsAsked(Predictor, Protocol):
    """A predictor that asks nearest neighbours in the end: of a nearest neighbour classifier, or of a pipeline that ends in one."""

    def taught(self, examples: Taught) -> Self:
        """A predictor that knows ``examples`` too; it shares with this one what both have, and this one stays as it is."""
        ...

    def knowing(self, other: Self) -> None:
        """Takes over the samples of ``other``, which has the same message, and may have been taught more."""
        ...

    def explain(self, columns: Columns, count: int) -> list[list[Neighbor]]:
        """For each example the samples that vote, nearest first; none where there are no samples."""
        ...


class NeighborsPredictor:
    """Predicts by the votes of the nearest samples.

    ``parameters`` may hold ``numberOfNeighbors``, instead of the model's default. The samples are read at the first
    prediction. An empty index answers with the model's default label and no probabilities.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        self._interface = Interface.of(spec, who)
        self._spec = spec
        self._who = who
        self._source = SampleSource(StoredSamples(spec, self._interface.label_type, who))
        k = parameters.get("numberOfNeighbors", spec.kNearestNeighborsClassifier.numberOfNeighbors.defaultValue)
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise MLParameterError(f"{who}: parameter numberOfNeighbors: expected a whole number of at least 1, got {k!r}")
        self._k = k

    def taught(self, examples: Taught) -> Self:
        """See ``NeighborsAsked``."""
        other = copy(self)
        other._source = self._source.extended(examples)
        return other

    def knowing(self, other: Self) -> None:
        """See ``NeighborsAsked``."""
        self._source = other._source

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The label, and the share of the votes of each label known; input ``[count, dimensions]`` or any shape of as many."""
        vectors = self._interface.vectors(columns, count)
        samples = self._source.samples
        if samples.numbers:
            answers, shares = self._vote(samples, vectors)
        else:
            answers, shares = [self._default] * count, [{} for _ in range(count)]
        description = self._spec.description
        column: Column = np.array(answers, np.int64) if self._interface.label_type is int else answers
        outputs: dict[str, Column] = {description.predictedFeatureName: column}
        if description.predictedProbabilitiesName:
            outputs[description.predictedProbabilitiesName] = shares
        return outputs

    def explain(self, columns: Columns, count: int) -> list[list[Neighbor]]:
        """See ``NeighborsAsked``. Weights of a label add up to its share."""
        vectors = self._interface.vectors(columns, count)
        samples = self._source.samples
        if not samples.numbers:
            return [[] for _ in range(count)]
        origins, labels = self._source.origins, list(samples.numbers)
        found, squared = neighbors.nearest(samples.index, vectors, self._k)
        weights = neighbors.weights(squared, self._weighting)
        shares = weights / weights.sum(axis=1, keepdims=True)
        numbers = samples.index.labels_of(found)
        return [
            [
                Neighbor(place, labels[number], distance, share, origins[place])
                for place, number, distance, share in zip(*(row.tolist() for row in rows), strict=True)
            ]
            for rows in zip(found, numbers, squared, shares, strict=True)
        ]

    def _vote(self, samples: Samples, vectors: Array) -> tuple[list[Label], list[dict[Label, float]]]:
        labels = list(samples.numbers)
        answers: list[Label] = []
        shares: list[dict[Label, float]] = []

        def search(piece: int) -> tuple[Array, Array]:
            found, squared = neighbors.nearest(samples.index, vectors[piece * PIECE : (piece + 1) * PIECE], self._k)
            return neighbors.votes(samples.index.labels_of(found), squared, self._weighting, len(labels))

        def take(voted: tuple[Array, Array]) -> None:
            sums, winners = voted
            answers.extend(labels[winner] for winner in winners)
            rows = (sums / sums.sum(axis=1, keepdims=True)).tolist()
            shares.extend(dict(zip(labels, row, strict=True)) for row in rows)

        shared_team().each(search, -(-len(vectors) // PIECE), take)
        return answers, shares

    @property
    def _weighting(self) -> neighbors.Weighting:
        scheme = self._spec.kNearestNeighborsClassifier.WhichOneof("WeightingScheme")
        return "inverse" if scheme == "inverseDistanceWeighting" else "uniform"

    @cached_property
    def _default(self) -> Label:
        model = self._spec.kNearestNeighborsClassifier
        declared = model.WhichOneof("DefaultClassLabel")
        if declared is None:
            raise MLFormatError(f"{self._who}: expected samples or a default label, got an empty index without one")
        label: Label = getattr(model, declared)
        return label


class NeighborsLearner:
    """Learns by keeping every example once; its writers append them to the model's own."""

    iterative = False
    frozen = False

    def __init__(self, spec: Any, who: str) -> None:
        self._interface = Interface.of(spec, who)
        self._kept = Taught(self._interface.label_type, who)
        self.label = self._interface.label_name

    def prepared(self, columns: Columns, count: int) -> Columns:
        """The columns as they are: nothing is computed of an example before it is kept."""
        return columns

    def step(self, columns: Columns, count: int, optimizer: SGD | Adam | None, waits: bool = False) -> None:
        """Keeps ``count`` examples, all or none.

        Raises ``MLFeatureError`` for a vector of other dimensions or that is not finite, and for a label of another
        type than the model's.
        """
        vectors = self._interface.vectors(columns, count).copy()
        labels = self._interface.labels(columns, count)
        origins = columns.get(ORIGINS, [None] * count)
        rows = [origin_row(*row) for row in zip(origins, vectors, labels, strict=True)]
        self._kept = self._kept.plus(Batch(vectors, tuple(labels), tuple(rows)))

    def state(self) -> dict[str, Content]:
        """The examples kept so far: ``vectors`` float32 ``[n, dimensions]``, ``labels``, and ``origins`` as snapshots hold them."""
        empty = Batch(np.empty((0, self._interface.dimensions), np.float32), (), ())
        kept = sum(self._kept.batches, empty)
        labels = cast(Content, kept.labels)  # all of the model's own type
        return {"vectors": kept.vectors, "labels": labels, "origins": origin_texts(kept.origins)}

    def restore(self, state: Mapping[str, Content]) -> None:
        """Keeps the examples of ``state``, and no others."""
        who, dimensions, kind = self._interface.who, self._interface.dimensions, self._interface.label_type
        vectors, labels, origins = np.array(state.get("vectors")), list(state.get("labels", ())), list(state.get("origins", ()))
        fits = vectors.dtype == np.float32 and vectors.shape == (len(labels), dimensions) and len(origins) == len(labels)
        if state.keys() != {"vectors", "labels", "origins"} or not fits or not all(type(label) is kind for label in labels):
            raise MLCheckpointError(
                f"{who}: expected vectors of {dimensions} float32 numbers, each with an origin and a label that is {LABEL_WORDS[kind]}, "
                f"got {', '.join(state) or 'nothing'}: {vectors.dtype} {list(vectors.shape)}, {len(labels)} labels, {len(origins)} origins"
            )
        try:
            rows = origin_rows(origins, f"{who}: origins")
        except MLFormatError as error:
            raise MLCheckpointError(str(error)) from error
        self._kept = Taught(kind, who).plus(Batch(vectors, tuple(labels), tuple(rows)))

    def writer(self) -> Callable[[Any], None]:
        """The examples kept so far, in their order: called with a message, they append themselves to it; what it holds stays as it is."""
        return self._kept

    def close(self) -> None:
        """Nothing is held but the examples."""
