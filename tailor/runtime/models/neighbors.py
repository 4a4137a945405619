"""The nearest neighbour classifier: labels a vector as its nearest samples vote, and learns by keeping examples.

Source: ``NearestNeighbors.proto`` of the format. Linear and kd-tree index give the same answers by definition; both are
searched by brute force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from tailor.kernels import SGD, Adam, Array, neighbors

from ..errors import MLFeatureError, MLFormatError, MLParameterError
from ..format import read_floats, write_floats
from ..network import shared_team
from .family import Column, Columns

Label: TypeAlias = str | int

PIECE = 64
"""Queries that one thread takes at a time; the answers do not depend on it."""

_LABEL_FIELDS: dict[type, str] = {str: "stringClassLabels", int: "int64ClassLabels"}
_LABEL_WORDS: dict[type, str] = {str: "a string", int: "a whole number of 64 bits"}


@dataclass(frozen=True, slots=True)
class _Interface:
    """What the description and the message say of the vectors and labels that go in and out."""

    who: str
    vector_name: str
    label_name: str
    dimensions: int
    label_type: type

    @classmethod
    def of(cls, spec: Any, who: str) -> _Interface:
        """Reads the interface; raises ``MLFormatError`` for another number of inputs than one and for labels of two types."""
        inputs = [feature.name for feature in spec.description.input]
        if len(inputs) != 1:
            raise MLFormatError(f"{who}: expected one input of a nearest neighbour classifier, got {inputs}")
        model = spec.kNearestNeighborsClassifier
        declared = [field for field in (model.WhichOneof("ClassLabels"), model.WhichOneof("DefaultClassLabel")) if field]
        kinds = {int if "int64" in field.lower() else str for field in declared}
        if len(kinds) > 1:
            raise MLFormatError(f"{who}: expected labels and default label of one type, got {' and '.join(declared)}")
        taught = [feature.name for feature in spec.description.trainingInput if feature.name != inputs[0]]
        return cls(
            who,
            inputs[0],
            taught[0] if taught else spec.description.predictedFeatureName,
            model.nearestNeighborsIndex.numberOfDimensions,
            kinds.pop() if kinds else str,
        )

    def vectors(self, columns: Columns, count: int) -> Array:
        """The input column as finite float32 rows ``[count, dimensions]``, whatever the shape that holds the numbers."""
        column = self._column(columns, self.vector_name)
        for row, value in enumerate(column if not isinstance(column, np.ndarray) else column[:1]):
            if np.size(value) != self.dimensions:
                raise MLFeatureError(
                    f"{self.who}: input {self.vector_name!r}: expected {self.dimensions} numbers as the samples have, "
                    f"got shape {list(np.shape(value))}"
                ).of_example(row)
        with np.errstate(over="ignore"):
            if isinstance(column, np.ndarray):
                rows = column.astype(np.float32, copy=False).reshape(count, self.dimensions)
            else:
                rows = np.array([np.ravel(value) for value in column], np.float32).reshape(count, self.dimensions)
        if not np.isfinite(rows).all():
            row, place = np.argwhere(~np.isfinite(rows))[0]
            raise MLFeatureError(
                f"{self.who}: input {self.vector_name!r}: expected finite numbers, got {rows[row, place]} at [{place}]"
            ).of_example(int(row))
        return rows

    def labels(self, columns: Columns, count: int) -> list[Label]:
        """The label column, each label of the model's type."""
        labels = [self._label(value, row) for row, value in enumerate(self._column(columns, self.label_name))]
        if len(labels) != count:
            raise MLFeatureError(f"{self.who}: training input {self.label_name!r}: expected {count} labels, got {len(labels)}")
        return labels

    def _column(self, columns: Columns, name: str) -> Column:
        if name not in columns:
            raise MLFeatureError(f"{self.who}: input {name!r}: expected a value, got none (given: {', '.join(columns) or 'nothing'})")
        return columns[name]

    def _label(self, value: object, row: int) -> Label:
        plain = value.item() if isinstance(value, np.generic) else value
        if type(plain) is int and self.label_type is int and -(2**63) <= plain < 2**63:
            return plain
        if isinstance(plain, str) and self.label_type is str and _encodes(plain):
            return str(plain)
        raise MLFeatureError(
            f"{self.who}: training input {self.label_name!r}: expected {_LABEL_WORDS[self.label_type]}, got {value!r}"
        ).of_example(row)


def _encodes(text: str) -> bool:
    """Whether the format can hold ``text``: it keeps UTF-8, which has no lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


@dataclass(frozen=True, slots=True)
class _Known:
    """The samples, the labels in the order in which they were first seen, and each sample's number among those."""

    index: neighbors.Index
    labels: list[Label]
    numbers: Array


class NeighborsPredictor:
    """Predicts by the votes of the nearest samples.

    ``parameters`` may hold ``numberOfNeighbors``, instead of the model's default. The samples are read at the first
    prediction. An empty index answers with the model's default label and no probabilities.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        self._interface = _Interface.of(spec, who)
        self._spec = spec
        self._who = who
        k = parameters.get("numberOfNeighbors", spec.kNearestNeighborsClassifier.numberOfNeighbors.defaultValue)
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise MLParameterError(f"{who}: parameter numberOfNeighbors: expected a whole number of at least 1, got {k!r}")
        self._k = k

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The label, and the share of the votes of each label known; input ``[count, dimensions]`` or any shape of as many."""
        vectors = self._interface.vectors(columns, count)
        known = self._known  # two threads may both read it at first; they read the same
        if known.labels:
            answers, shares = self._vote(known, vectors)
        else:
            answers, shares = [self._default] * count, [{} for _ in range(count)]
        description = self._spec.description
        column: Column = np.array(answers, np.int64) if self._interface.label_type is int else answers
        outputs: dict[str, Column] = {description.predictedFeatureName: column}
        if description.predictedProbabilitiesName:
            outputs[description.predictedProbabilitiesName] = shares
        return outputs

    def _vote(self, known: _Known, vectors: Array) -> tuple[list[Label], list[dict[Label, float]]]:
        inverse = self._spec.kNearestNeighborsClassifier.WhichOneof("WeightingScheme") == "inverseDistanceWeighting"
        answers: list[Label] = []
        shares: list[dict[Label, float]] = []

        def search(piece: int) -> tuple[Array, Array]:
            found, squared = neighbors.nearest(known.index, vectors[piece * PIECE : (piece + 1) * PIECE], self._k)
            return neighbors.votes(known.numbers[found], squared, "inverse" if inverse else "uniform", len(known.labels))

        def take(voted: tuple[Array, Array]) -> None:
            sums, winners = voted
            answers.extend(known.labels[winner] for winner in winners)
            rows = (sums / sums.sum(axis=1, keepdims=True)).tolist()
            shares.extend(dict(zip(known.labels, row, strict=True)) for row in rows)

        shared_team().each(search, -(-len(vectors) // PIECE), take)
        return answers, shares

    @cached_property
    def _known(self) -> _Known:
        model = self._spec.kNearestNeighborsClassifier
        samples = _read_samples(model.nearestNeighborsIndex, self._who)
        field = _LABEL_FIELDS[self._interface.label_type]
        given = list(getattr(model, field).vector)
        if len(given) != len(samples):
            raise MLFormatError(f"{self._who}: {field}: expected a label for each of {len(samples)} samples, got {len(given)}")
        numbers: dict[Label, int] = {}
        places = np.array([numbers.setdefault(label, len(numbers)) for label in given], np.intp)
        try:
            index = neighbors.prepare(samples)
        except ValueError as error:
            raise MLFormatError(f"{self._who}: floatSamples: {error}") from error
        return _Known(index, list(numbers), places)

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

    def __init__(self, spec: Any, who: str) -> None:
        self._interface = _Interface.of(spec, who)
        self._kept: list[tuple[Array, list[Label]]] = []

    def step(self, columns: Columns, count: int, optimizer: SGD | Adam | None) -> None:
        """Keeps ``count`` examples, all or none.

        Raises ``MLFeatureError`` for a vector of other dimensions or that is not finite, and for a label of another
        type than the model's.
        """
        vectors = self._interface.vectors(columns, count).copy()
        self._kept.append((vectors, self._interface.labels(columns, count)))

    def writer(self) -> Callable[[Any], None]:
        """A function that appends the examples kept so far, in their order; what a message holds already stays as it is."""
        kept = list(self._kept)
        field = _LABEL_FIELDS[self._interface.label_type]

        def write(spec: Any) -> None:
            model = spec.kNearestNeighborsClassifier
            for vectors, labels in kept:
                for vector in vectors:
                    write_floats(model.nearestNeighborsIndex.floatSamples.add(), "vector", vector)
                getattr(model, field).vector.extend(labels)

        return write

    def close(self) -> None:
        """Nothing is held but the examples."""


def _read_samples(index: Any, who: str) -> Array:
    """The samples as float32 ``[n, dimensions]``; one join where every sample is one run of bytes, as writers make them."""
    dimensions = index.numberOfDimensions
    runs = [run for sample in index.floatSamples for run in sample.vector]
    if len(runs) == len(index.floatSamples) and all(len(run) == 4 * dimensions for run in runs):
        return np.frombuffer(b"".join(runs), "<f4").astype(np.float32, copy=False).reshape(len(runs), dimensions)
    rows = [read_floats(sample, "vector") for sample in index.floatSamples]
    for number, row in enumerate(rows):
        if len(row) != dimensions:
            raise MLFormatError(f"{who}: floatSamples[{number}]: expected {dimensions} numbers (numberOfDimensions), got {len(row)}")
    return np.stack(rows)
