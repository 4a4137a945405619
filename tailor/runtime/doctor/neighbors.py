"""Core ML's rules for nearest neighbour classifiers that are updated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..format import read_floats
from .ranges import check_parameter
from .report import MLFinding

_WHERE = "kNearestNeighborsClassifier"


def check_neighbors(spec: Any) -> Iterator[MLFinding]:
    """Findings about a model that is a nearest neighbour classifier."""
    message = spec.kNearestNeighborsClassifier
    index = message.nearestNeighborsIndex
    yield from check_parameter("numberOfNeighbors", message.numberOfNeighbors, _WHERE)
    if message.WhichOneof("WeightingScheme") is None:
        yield MLFinding("neighbors-weighting", _WHERE, "uniform or inverse distance weighting", "none")
    yield from _check_labels(message)
    if index.WhichOneof("IndexType") is None:
        yield MLFinding("neighbors-index", f"{_WHERE}.nearestNeighborsIndex", "a linear index or a kd-tree", "none")
    elif index.HasField("singleKdTreeIndex") and index.singleKdTreeIndex.leafSize <= 0:
        got = index.singleKdTreeIndex.leafSize
        yield MLFinding("neighbors-index", f"{_WHERE}.nearestNeighborsIndex.singleKdTreeIndex.leafSize", "a positive number", str(got))
    if index.WhichOneof("DistanceFunction") is None:
        yield MLFinding("neighbors-distance", f"{_WHERE}.nearestNeighborsIndex", "squared Euclidean distance", "none")


def _check_labels(message: Any) -> Iterator[MLFinding]:
    labels, default = message.WhichOneof("ClassLabels"), message.WhichOneof("DefaultClassLabel")
    count = len(getattr(message, labels).vector) if labels else 0
    if labels and default and ("int64" in labels) != ("Int64" in default):
        yield MLFinding("neighbors-labels", _WHERE, "class labels and a default label of one type", f"{labels} and {default}")
    if default is None and not count:
        yield MLFinding("neighbors-labels", f"{_WHERE}.DefaultClassLabel", "a default label where there are no samples", "none")
    samples = len(message.nearestNeighborsIndex.floatSamples)
    if samples != count:
        yield MLFinding("neighbors-labels", f"{_WHERE}.{labels or 'ClassLabels'}", f"one for each of {samples} samples", str(count))
    dimensions = message.nearestNeighborsIndex.numberOfDimensions
    wrong = [size for sample in message.nearestNeighborsIndex.floatSamples if (size := len(read_floats(sample, "vector"))) != dimensions]
    if wrong:
        where = f"{_WHERE}.nearestNeighborsIndex.floatSamples"
        yield MLFinding("neighbors-samples", where, f"{dimensions} numbers each (numberOfDimensions)", str(wrong[0]))
