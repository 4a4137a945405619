"""Non-maximum suppression as a model: of boxes that overlap, the most confident one stays.

Source: ``NonMaximumSuppression.proto`` of the format. A box's class is the one that it is most confident of, and that
confidence its score. A box goes where its score is below the threshold, or where it overlaps a better one that stays by
*more* than the other threshold: with 1.0 none goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array, check_elements, kept_boxes

from ..description import describe
from ..errors import MLFeatureError, MLFormatError
from ..values import MLFeatureDescription, MLMultiArrayConstraint, SizeRange
from .family import Column, Columns
from .transform import ARRAY, DOUBLE, Given, Made

_SIDES = 4
"""x and y of the centre, width, height."""


class SuppressionPredictor:
    """Keeps the best boxes, best first; as many rows as the outputs declare, with zeros after the last box.

    Raises ``MLFormatError`` where names, shapes, thresholds and class labels do not go together.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        model, described = spec.nonMaximumSuppression, describe(spec)
        inputs, outputs = described.input_descriptions_by_name, described.output_descriptions_by_name
        self._confidence = Given(who, _feature(inputs, model, "confidenceInputFeatureName", who))
        self._coordinates = Given(who, _feature(inputs, model, "coordinatesInputFeatureName", who))
        self._scores = Made(who, _feature(outputs, model, "confidenceOutputFeatureName", who))
        self._boxes = Made(who, _feature(outputs, model, "coordinatesOutputFeatureName", who))
        self._overlap = _Threshold(inputs, model, "iouThreshold", 1.0, who)
        self._least = _Threshold(inputs, model, "confidenceThreshold", np.inf, who)
        labels = model.WhichOneof("ClassLabels")
        self._rows, self._classes = _declared(self._scores, self._boxes, len(getattr(model, labels).vector) if labels else 0)
        self._per_class = bool(model.pickTop.perClass)

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """Confidences ``[rows, C]`` and coordinates ``[rows, 4]`` of each example."""
        confidences, coordinates = self._confidence.column(columns), self._coordinates.column(columns)
        overlaps, least = self._overlap.column(columns, count), self._least.column(columns, count)
        chosen = []
        for row in range(count):
            scores, boxes = self._checked(confidences[row], coordinates[row], row)
            chosen.append(self._chosen(scores, boxes, overlaps[row], least[row]))
        outputs = enumerate((self._scores, self._boxes))
        return {output.feature.name: [output.write(arrays[place][None])[0] for arrays in chosen] for place, output in outputs}

    def _chosen(self, scores: Array, boxes: Array, overlap: float, least: float) -> tuple[Array, Array]:
        most = len(boxes) if self._rows.upper is None else self._rows.upper
        kept = kept_boxes(boxes, scores, overlap, least, most, self._per_class)
        filler = max(self._rows.lower - len(kept), 0)

        def padded(array: Array) -> Array:
            return np.concatenate([array[kept], np.zeros((filler, array.shape[1]))])

        return padded(scores), padded(boxes)

    def _checked(self, scores: Any, boxes: Any, row: int) -> tuple[Array, Array]:
        """Confidences ``[N, C]`` and coordinates ``[N, 4]`` of one example as float64."""
        scores, boxes = np.asarray(scores, np.float64), np.asarray(boxes, np.float64)
        if scores.ndim != 2 or scores.shape[1] != (self._classes or scores.shape[1] or 1):
            expected = f"[boxes, {self._classes or 'classes'}]"
            raise MLFeatureError(f"{self._confidence.where}: expected shape {expected}, got {list(scores.shape)}").of_example(row)
        if boxes.shape != (len(scores), _SIDES):
            expected = f"[{len(scores)}, {_SIDES}], a row for each of {self._confidence.feature.name!r}"
            raise MLFeatureError(f"{self._coordinates.where}: expected shape {expected}, got {list(boxes.shape)}").of_example(row)
        for given, array in ((self._confidence, scores), (self._coordinates, boxes)):
            if not np.isfinite(array).all():
                place = tuple(int(axis) for axis in np.argwhere(~np.isfinite(array))[0])
                raise MLFeatureError(f"{given.where}: expected finite numbers, got {array[place]} at {list(place)}").of_example(row)
        return scores, boxes


class _Threshold:
    """A threshold of the model, from 0 to ``most``, and the input that overrides it where it is given."""

    def __init__(self, inputs: Mapping[str, MLFeatureDescription], model: Any, field: str, most: float, who: str) -> None:
        self._value, self._most = float(getattr(model, field)), most
        if not 0 <= self._value <= most:
            raise MLFormatError(f"{who}: {field}: expected {self._range}, got {self._value}")
        name = getattr(model, f"{field}InputFeatureName")
        self._given = Given(who, inputs[name]) if name in inputs else None
        if self._given is not None and self._given.feature.type is not DOUBLE:
            raise MLFormatError(f"{self._given.where}: expected a double, which overrides {field}, got {self._given.feature.phrase}")

    def column(self, columns: Columns, count: int) -> list[float]:
        """The threshold of each example. Raises ``MLFeatureError`` where one is given that cannot be."""
        if self._given is None or (self._given.feature.name not in columns and self._given.feature.optional):
            return [self._value] * count
        values = [float(value) for value in self._given.column(columns)]
        for row, value in enumerate(values):
            if not 0 <= value <= self._most:
                raise MLFeatureError(f"{self._given.where}: expected {self._range}, got {value}").of_example(row)
        return values

    @property
    def _range(self) -> str:
        return "a number of 0 or more" if np.isinf(self._most) else f"a number from 0 to {self._most:g}"


def _feature(features: Mapping[str, MLFeatureDescription], model: Any, field: str, who: str) -> MLFeatureDescription:
    """The array feature that ``field`` names. Raises ``MLFormatError`` where there is none."""
    name = getattr(model, field)
    if name not in features:
        raise MLFormatError(f"{who}: {field}: expected one of {', '.join(map(repr, features)) or 'none'}, got {name!r}")
    if features[name].type is not ARRAY:
        raise MLFormatError(f"{who}: {field}: expected {name!r} to be a multi-array, got {features[name].phrase}")
    return features[name]


def _declared(scores: Made, boxes: Made, classes: int) -> tuple[SizeRange, int]:
    """How many rows the outputs may have, and how many classes there are, ``classes`` by the labels; 0 where nobody says.

    Raises ``MLFormatError`` where labels and outputs disagree, or sizes cannot be.
    """
    rows: list[SizeRange] = []
    for output, width in ((scores, classes), (boxes, _SIDES)):
        axes = _axes(output)
        if axes and (len(axes) != 2 or (width and width not in axes[1])):
            expected = f"two axes, the second of size {width or 'of the classes'}"
            raise MLFormatError(f"{output.who}: output {output.feature.name!r}: expected {expected}, got {output.feature.phrase}")
        rows += axes[:1]
        if axes and not width and axes[1].lower == axes[1].upper:
            classes = axes[1].lower
    if len(set(rows)) > 1:
        raise MLFormatError(f"{scores.who}: expected outputs of as many rows, got {scores.feature.phrase} and {boxes.feature.phrase}")
    try:
        check_elements((rows[0].lower if rows else 0, max(classes, _SIDES)))
    except ValueError as error:
        raise MLFormatError(f"{scores.who}: outputs: {error}") from error
    return rows[0] if rows else SizeRange(0), classes


def _axes(output: Made) -> tuple[SizeRange, ...]:
    """The sizes that each axis of an output may have; nothing where it declares none."""
    constraint = output.feature.constraint
    assert isinstance(constraint, MLMultiArrayConstraint)
    if constraint.enumerated_shapes:
        raise MLFormatError(f"{output.who}: output {output.feature.name!r}: expected a shape or a range, got {output.feature.phrase}")
    return constraint.size_ranges or tuple(SizeRange(size, size) for size in constraint.shape)
