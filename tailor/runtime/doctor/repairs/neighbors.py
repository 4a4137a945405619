"""Nearest neighbour classifiers made updatable: what they train with, how many neighbours are allowed, how they are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..ranges import widened


def complete_neighbors(spec: Any) -> Iterator[str]:
    """Completes the message of a classifier; the names of the fields that were changed."""
    message, description = spec.kNearestNeighborsClassifier, spec.description
    index = message.nearestNeighborsIndex
    if widened("numberOfNeighbors", message.numberOfNeighbors):
        yield "numberOfNeighbors"
    if message.WhichOneof("WeightingScheme") is None:
        message.uniformWeighting.SetInParent()
        yield "uniformWeighting"
    if index.WhichOneof("IndexType") is None:
        index.linearIndex.SetInParent()
        yield "linearIndex"
    if index.WhichOneof("DistanceFunction") is None:
        index.squaredEuclideanDistance.SetInParent()
        yield "squaredEuclideanDistance"
    labels = [feature for feature in description.output if feature.name == description.predictedFeatureName]
    if len(description.trainingInput) < 2 and labels:
        del description.trainingInput[:]
        description.trainingInput.extend([*description.input, *labels])
        yield "trainingInput"
