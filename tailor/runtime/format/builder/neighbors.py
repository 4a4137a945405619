"""Nearest neighbour classifiers from scratch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ...errors import MLFormatError
from ..features import array_feature, dictionary_feature, label_feature, label_type
from ..samples import append_samples
from ..schema.model_pb2 import Model
from .training import write_choice

NEIGHBORS_VERSION = 4
"""The first specification version with nearest neighbour classifiers."""


class KNearestNeighborsClassifierBuilder:
    """Builds an updatable nearest neighbour classifier, at first without samples, into ``spec``, a ``Model``.

    One input, an array ``[number_of_dimensions]`` of ``input_type`` (``float32`` or ``double``); outputs are the label
    ``output_name`` and the dictionary ``output_name + "Probs"``. Labels are strings or whole numbers, as
    ``default_class_label`` is, which answers while there are no samples. ``weighting_scheme``: ``uniform`` or
    ``inverse_distance``. ``index_type``: ``linear`` or ``kd_tree`` with ``leaf_size``. The number of neighbours may be
    changed from 1 to 1000.

    Raises ``MLFormatError`` where an argument is not what such a model can have.
    """

    def __init__(
        self, input_name: str, output_name: str, number_of_dimensions: int, default_class_label: str | int, number_of_neighbors: int = 5,
        weighting_scheme: str = "uniform", index_type: str = "linear", leaf_size: int = 30, input_type: str = "float32",
    ) -> None:  # fmt: skip
        if number_of_dimensions < 1:
            raise MLFormatError(f"classifier {output_name!r}: expected a positive number of dimensions, got {number_of_dimensions}")
        self._label_type = label_type(default_class_label, f"classifier {output_name!r}")
        self.spec = Model(specificationVersion=NEIGHBORS_VERSION, isUpdatable=True)
        self._message = self.spec.kNearestNeighborsClassifier
        self._index = self._message.nearestNeighborsIndex
        self._index.numberOfDimensions = number_of_dimensions
        self._index.squaredEuclideanDistance.SetInParent()
        if isinstance(default_class_label, int):
            self._message.int64ClassLabels.SetInParent()
            self._message.defaultInt64Label = default_class_label
        else:
            self._message.stringClassLabels.SetInParent()
            self._message.defaultStringLabel = default_class_label

        description = self.spec.description
        sample, label = array_feature(input_name, (number_of_dimensions,), input_type), label_feature(output_name, default_class_label)
        probabilities = dictionary_feature(f"{output_name}Probs", self._label_type)
        description.input.append(sample)
        description.output.extend((label, probabilities))
        description.trainingInput.extend((sample, label))
        description.predictedFeatureName, description.predictedProbabilitiesName = label.name, probabilities.name

        self.set_number_of_neighbors_with_bounds(number_of_neighbors, allowed_range=(1, 1000))
        self.weighting_scheme = weighting_scheme
        self.set_index_type(index_type, leaf_size)

    def set_number_of_neighbors_with_bounds(
        self, number_of_neighbors: int, allowed_range: tuple[int, int] | None = None, allowed_set: Collection[int] | None = None
    ) -> None:
        """Sets how many neighbours vote, and either the range (both ends included) or the set it may be changed within."""
        parameter = self._message.numberOfNeighbors
        if (allowed_range is None) == (allowed_set is None):
            raise MLFormatError("number of neighbors: expected either an allowed range or an allowed set, got both or none")
        if allowed_set is not None:
            write_choice(parameter, number_of_neighbors, sorted(allowed_set), "number of neighbors")
        elif allowed_range is not None:
            low, high = allowed_range
            if not 1 <= low <= number_of_neighbors <= high:
                raise MLFormatError(f"number of neighbors: expected one within a positive range {low} to {high}, got {number_of_neighbors}")
            parameter.defaultValue = number_of_neighbors
            parameter.range.minValue, parameter.range.maxValue = low, high

    @property
    def number_of_neighbors(self) -> int:
        """How many neighbours vote."""
        return self._message.numberOfNeighbors.defaultValue

    def number_of_neighbors_allowed_range(self) -> tuple[int, int] | None:
        """The range that the number of neighbours may be changed within, both ends included."""
        parameter = self._message.numberOfNeighbors
        return (parameter.range.minValue, parameter.range.maxValue) if parameter.HasField("range") else None

    def number_of_neighbors_allowed_set(self) -> set[int] | None:
        """The set that the number of neighbours may be changed within."""
        parameter = self._message.numberOfNeighbors
        return set(parameter.set.values) if parameter.HasField("set") else None

    @property
    def number_of_dimensions(self) -> int:
        """The size of a sample."""
        return self._index.numberOfDimensions

    @property
    def weighting_scheme(self) -> str:
        """How neighbours vote: ``uniform``, or by the inverse of their distance (``inverse_distance``)."""
        return "uniform" if self._message.HasField("uniformWeighting") else "inverse_distance"

    @weighting_scheme.setter
    def weighting_scheme(self, weighting_scheme: str) -> None:
        if weighting_scheme not in ("uniform", "inverse_distance"):
            raise MLFormatError(f"weighting scheme: expected uniform or inverse_distance, got {weighting_scheme!r}")
        message = self._message
        (message.uniformWeighting if weighting_scheme == "uniform" else message.inverseDistanceWeighting).SetInParent()

    @property
    def index_type(self) -> str:
        """How neighbours are found: ``linear`` or ``kd_tree``."""
        return "linear" if self._index.HasField("linearIndex") else "kd_tree"

    @property
    def leaf_size(self) -> int:
        """The samples in a leaf of the kd-tree; 0 for a linear index."""
        return self._index.singleKdTreeIndex.leafSize if self.index_type == "kd_tree" else 0

    @property
    def is_updatable(self) -> bool:
        """Whether samples can be added by an update."""
        return self.spec.isUpdatable

    @is_updatable.setter
    def is_updatable(self, is_updatable: bool) -> None:
        self.spec.isUpdatable = is_updatable

    @property
    def description(self) -> str:
        """What the author says of the model."""
        return self.spec.description.metadata.shortDescription

    @description.setter
    def description(self, description: str) -> None:
        self.spec.description.metadata.shortDescription = description

    @property
    def author(self) -> str:
        """Who made the model."""
        return self.spec.description.metadata.author

    @author.setter
    def author(self, author: str) -> None:
        self.spec.description.metadata.author = author

    @property
    def license(self) -> str:
        """The model's licence."""
        return self.spec.description.metadata.license

    @license.setter
    def license(self, license: str) -> None:
        self.spec.description.metadata.license = license

    def set_index_type(self, index_type: str, leaf_size: int = 30) -> None:
        """Sets how neighbours are found: ``linear``, or by a ``kd_tree`` with ``leaf_size`` samples a leaf. Answers are the same."""
        if index_type not in ("linear", "kd_tree"):
            raise MLFormatError(f"index type: expected linear or kd_tree, got {index_type!r}")
        if leaf_size < 1:
            raise MLFormatError(f"leaf size: expected a positive number, got {leaf_size}")
        if index_type == "linear":
            self._index.linearIndex.SetInParent()
        else:
            self._index.singleKdTreeIndex.leafSize = leaf_size

    def add_samples(self, data_points: ArrayLike, labels: Sequence[str] | Sequence[int]) -> None:
        """Appends samples ``[count, number_of_dimensions]`` with a label each."""
        points = np.asarray(data_points, np.float32)
        expected = (len(labels), self._index.numberOfDimensions)
        if points.shape != expected or not labels:
            raise MLFormatError(f"samples: expected shape {list(expected)} for {len(labels)} labels, got {list(points.shape)}")
        if label_type(labels, "samples") is not self._label_type:
            raise MLFormatError(f"samples: expected labels of type {self._label_type.__name__}, got {type(labels[0]).__name__}")
        append_samples(self._index, points, "samples")
        if self._label_type is int:
            self._message.int64ClassLabels.vector.extend(int(label) for label in labels)
        else:
            self._message.stringClassLabels.vector.extend(str(label) for label in labels)
