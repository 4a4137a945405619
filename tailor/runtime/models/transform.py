"""What the types that turn features into features have in common: inputs that are read, outputs that are made as declared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from tailor.kernels import Array

from ..description import describe
from ..errors import MLFeatureError, MLFormatError, numbered
from ..values import (
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLFeatureType,
    MLImageConstraint,
    MLMultiArrayConstraint,
    MLSequenceConstraint,
)
from .family import Column, Columns

ARRAY, DICTIONARY, SEQUENCE = MLFeatureType.MULTI_ARRAY, MLFeatureType.DICTIONARY, MLFeatureType.SEQUENCE
DOUBLE, INT64, STRING = MLFeatureType.DOUBLE, MLFeatureType.INT64, MLFeatureType.STRING


@dataclass(frozen=True, slots=True)
class Given:
    """An input of a model."""

    who: str
    feature: MLFeatureDescription

    @property
    def where(self) -> str:
        """How errors about it begin."""
        return f"{self.who}: input {self.feature.name!r}"

    def column(self, columns: Columns) -> Column:
        """Its column. Raises ``MLFeatureError`` where there is none."""
        if self.feature.name not in columns:
            raise MLFeatureError(f"{self.where}: expected a value, got none (given: {', '.join(columns) or 'nothing'})")
        return columns[self.feature.name]


@dataclass(frozen=True, slots=True)
class Made:
    """An output of a model."""

    who: str
    feature: MLFeatureDescription

    def write(self, numbers: Array) -> Array:
        """``numbers`` ``[count, ...]`` as they are declared: in element type, and in shape where that holds as many.

        Raises ``MLFeatureError`` where integers are declared and a number is none, or none that fits.
        """
        constraint = self.feature.constraint
        if not isinstance(constraint, MLMultiArrayConstraint):
            return self._cast(numbers.reshape(len(numbers)), np.dtype(np.int64 if self.feature.type is INT64 else np.float64))
        shape = numbers.shape[1:]
        if not constraint.allows(shape) and prod(constraint.shape) == prod(shape):
            shape = constraint.shape
        return self._cast(numbers, constraint.data_type.dtype).reshape(len(numbers), *shape)

    def _cast(self, numbers: Array, dtype: np.dtype[Any]) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            made = numbers.astype(dtype, copy=False)
        # some processors make the largest integer of 2**63, which is a float again that equals it
        wrong = (made != numbers) | (numbers >= 2.0**63) if dtype.kind == "i" else np.zeros((), bool)
        if wrong.any():
            place = tuple(int(axis) for axis in np.argwhere(wrong)[0])
            where = f" at {list(place[1:])}" if place[1:] else ""
            raise MLFeatureError(
                f"{self.who}: output {self.feature.name!r}: expected a number that {dtype} can hold, got {numbers[place]}{where}"
            ).of_example(place[0])
        return made

    def check_size(self, expected: int, what: str) -> None:
        """Raises ``MLFormatError`` where it is declared as an array of other than ``expected`` numbers, which ``what`` asks for."""
        if fixed_size(self.feature) not in (None, expected):
            raise MLFormatError(
                f"{self.who}: output {self.feature.name!r}: expected {expected} numbers, as {what} has it, got {self.feature.phrase}"
            )


def inputs_of(spec: Any, who: str, types: Collection[MLFeatureType]) -> dict[str, Given]:
    """The inputs by name. Raises ``MLFormatError`` where one is of none of ``types``."""
    described = describe(spec).input_descriptions_by_name
    return {name: Given(who, _typed(feature, f"{who}: input", types)) for name, feature in described.items()}


def outputs_of(spec: Any, who: str) -> dict[str, Made]:
    """The outputs by name."""
    return {name: Made(who, feature) for name, feature in describe(spec).output_descriptions_by_name.items()}


def one_input(spec: Any, who: str, types: Collection[MLFeatureType]) -> Given:
    """The one input. Raises ``MLFormatError`` unless there is one, of one of ``types``."""
    return Given(who, _typed(_only(describe(spec).input_descriptions_by_name, f"{who}: expected one input"), f"{who}: input", types))


def one_output(spec: Any, who: str, types: Collection[MLFeatureType]) -> Made:
    """The one output. Raises ``MLFormatError`` unless there is one, of one of ``types``."""
    return Made(who, _typed(_only(describe(spec).output_descriptions_by_name, f"{who}: expected one output"), f"{who}: output", types))


def each(column: Column, compute: Callable[[Array], Array]) -> Column:
    """``compute`` of all examples at once, ``[count, ...]``; of one after another where arrays of several shapes are listed."""
    if isinstance(column, np.ndarray):
        return compute(column)
    answers = []
    for row, value in enumerate(column):
        with numbered([row]):
            answers.append(compute(np.asarray(value)[None])[0])
    return answers


def fixed_size(feature: MLFeatureDescription) -> int | None:
    """How many numbers it holds where it is an array of one shape, and one for a number; ``None`` where that is not declared."""
    match feature.constraint:
        case MLMultiArrayConstraint(shape=(_, *_) as shape, enumerated_shapes=(), size_ranges=()):
            return prod(shape)
    return 1 if feature.type in (DOUBLE, INT64) else None


def check_keys(feature: MLFeatureDescription, kind: MLFeatureType, where: str) -> None:
    """Raises ``MLFormatError`` where a dictionary or sequence is not one of ``kind``, or another feature is not of that type."""
    match feature.constraint:
        case MLDictionaryConstraint(key_type=declared) | MLSequenceConstraint(value_type=declared):
            pass
        case _:
            declared = feature.type
    if declared is not kind:
        raise MLFormatError(f"{where} {feature.name!r}: expected {kind.name.lower()}s, as the model knows, got {feature.phrase}")


def check_same_type(given: Given, made: Made) -> None:
    """Raises ``MLFormatError`` unless a value of the input can be one of the output, apart from the precision of its numbers."""
    if not _same(given.feature, made.feature):
        raise MLFormatError(
            f"{made.who}: output {made.feature.name!r}: expected the type of input {given.feature.name!r}, {given.feature.phrase}, "
            f"got {made.feature.phrase}"
        )


def places_of(keys: Iterable[str | int], where: str) -> dict[str | int, int]:
    """The place of each key. Raises ``MLFormatError``, beginning with ``where``, where one comes twice."""
    places: dict[str | int, int] = {}
    for place, key in enumerate(keys):
        if places.setdefault(key, place) != place:
            raise MLFormatError(f"{where}: expected each once, got {key!r} at {places[key]} and at {place}")
    return places


def put_at_keys(numbers: Array, found: Column, where: str) -> None:
    """Puts the values of dictionaries, one a row of ``numbers`` ``[count, size]``, at the places that are their keys.

    Raises ``MLFeatureError``, beginning with ``where``, for a key that is no place.
    """
    lengths = [len(row) for row in found]
    rows = np.repeat(np.arange(len(numbers)), lengths)
    keys = np.fromiter(chain.from_iterable(found), np.int64, len(rows))
    beyond = (keys < 0) | (keys >= numbers.shape[1])
    if beyond.any():
        first = int(np.argmax(beyond))
        raise MLFeatureError(f"{where}: expected keys from 0 to {numbers.shape[1] - 1}, got {keys[first]}").of_example(int(rows[first]))
    numbers[rows, keys] = np.fromiter(chain.from_iterable(row.values() for row in found), np.float64, len(rows))


def _same(one: MLFeatureDescription, other: MLFeatureDescription) -> bool:
    match one.constraint, other.constraint:
        case MLMultiArrayConstraint(shape=shape), MLMultiArrayConstraint() as wanted:
            return not shape or wanted.allows(shape)
        case MLDictionaryConstraint(key_type=kind), MLDictionaryConstraint(key_type=wanted_kind):
            return kind is wanted_kind
        case MLSequenceConstraint(value_type=kind), MLSequenceConstraint(value_type=wanted_kind):
            return kind is wanted_kind
        case MLImageConstraint(color_space=space), MLImageConstraint(color_space=wanted_space):
            return space is wanted_space
    return one.type is other.type


def _only(features: Mapping[str, MLFeatureDescription], expected: str) -> MLFeatureDescription:
    if len(features) != 1:
        raise MLFormatError(f"{expected}, got {', '.join(map(repr, features)) or 'none'}")
    return next(iter(features.values()))


def _typed(feature: MLFeatureDescription, where: str, types: Collection[MLFeatureType]) -> MLFeatureDescription:
    if feature.type not in types:
        expected = " or ".join(kind.name.lower() for kind in types)
        raise MLFormatError(f"{where} {feature.name!r}: expected a feature of type {expected}, got {feature.phrase}")
    return feature
