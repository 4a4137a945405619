"""The item similarity recommender: from the items that somebody has, those that are most like them.

Source: ``ItemSimilarityRecommender.proto`` of the format, which has a table of items that are alike and the names of the
inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from tailor.kernels import Array, similarity

from ..description import describe
from ..errors import MLFeatureError, MLFormatError
from ..network import shared_team
from ..values import MLFeatureDescription, MLFeatureType
from .family import Column, Columns
from .transform import ARRAY, DICTIONARY, INT64, SEQUENCE, STRING, check_keys

Id: TypeAlias = str | int

MOST_ITEMS = 1 << 22
PIECE_SCORES = 1 << 20
"""How many scores one thread holds at a time; the answers do not depend on it."""


class RecommenderPredictor:
    """Recommends items, the best score first, of equal ones in the order of the model's items.

    All items are recommended that were not observed, or, where exclusions are given, that are not among those; of a
    restriction only its items; as many as are asked for. Items that the model does not know are passed over, and one that is
    listed twice was observed once. Raises ``MLFormatError`` where names, types, items and similarities do not go together.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message = spec.itemSimilarityRecommender
        self._ids = _ids(message, who)
        described = describe(spec)
        inputs = _Named(described.input_descriptions_by_name, self._ids.kind, f"{who}: input")
        outputs = _Named(described.output_descriptions_by_name, self._ids.kind, f"{who}: output")
        lone = next(iter(inputs.features)) if len(inputs.features) == 1 else ""
        self._who = who
        self._items = inputs.take("itemInputFeatureName", message.itemInputFeatureName or lone, DICTIONARY, SEQUENCE, ARRAY)
        if not self._items:
            raise MLFormatError(f"{who}: itemInputFeatureName: expected the name of an input, got none")
        self._number = inputs.take("numRecommendationsInputFeatureName", message.numRecommendationsInputFeatureName, INT64)
        self._restriction = inputs.take("itemRestrictionInputFeatureName", message.itemRestrictionInputFeatureName, SEQUENCE, ARRAY)
        self._exclusion = inputs.take("itemExclusionInputFeatureName", message.itemExclusionInputFeatureName, SEQUENCE, ARRAY)
        self._list = outputs.take("recommendedItemListOutputFeatureName", message.recommendedItemListOutputFeatureName, SEQUENCE)
        self._scores = outputs.take("recommendedItemScoreOutputFeatureName", message.recommendedItemScoreOutputFeatureName, DICTIONARY)
        unnamed = [name for name in outputs.features if name not in (self._list, self._scores)]
        if unnamed or not (self._list or self._scores):
            raise MLFormatError(f"{who}: expected outputs, each named in the model, got {', '.join(map(repr, unnamed)) or 'none'}")
        self._similarities = _similarities(message, len(self._ids), who)

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """The recommended items as sequences, and as dictionaries from item to score, both best first.

        Raises ``MLFeatureError`` for a score that is not finite, an item of an array that is not whole, and a negative number.
        """
        asked = [self._asked(columns, row) for row in range(count)]
        taken: list[tuple[list[Id], list[float]]] = []
        piece = max(1, PIECE_SCORES // len(self._ids))

        def recommend(number: int) -> list[tuple[list[Id], list[float]]]:
            return self._recommended(asked[number * piece : (number + 1) * piece], number * piece)

        shared_team().each(recommend, -(-count // piece), taken.extend)
        made: dict[str, Column] = {}
        if self._list:
            made[self._list] = [ids for ids, _ in taken]
        if self._scores:
            made[self._scores] = [dict(zip(ids, scores, strict=True)) for ids, scores in taken]
        return made

    def _recommended(self, asked: Sequence[_Asked], first: int) -> list[tuple[list[Id], list[float]]]:
        rows = np.repeat(np.arange(len(asked)), [len(one.observed) for one in asked])
        items = np.array(list(chain.from_iterable(one.observed for one in asked)), np.intp)
        given = np.array(list(chain.from_iterable(one.observed.values() for one in asked)), np.float64)
        scored = similarity.scores(self._similarities, rows, items, given, len(asked))
        answers = []
        for row, one in enumerate(asked):
            if not np.isfinite(scored[row]).all():
                raise self._misfit(self._items, "scores whose sums are finite", "others", first + row)
            allowed = np.zeros(len(self._ids), bool)
            allowed[slice(None) if one.restriction is None else one.restriction] = True
            allowed[one.excluded] = False
            best = similarity.best(scored[row], allowed, len(self._ids) if one.most is None else one.most)
            answers.append(([self._ids.known[place] for place in best.tolist()], scored[row, best].tolist()))
        return answers

    def _asked(self, columns: Columns, row: int) -> _Asked:
        if self._items not in columns:
            raise self._misfit(self._items, "a value", f"none (given: {', '.join(columns) or 'nothing'})", row)
        value = columns[self._items][row]
        scored = value.items() if isinstance(value, Mapping) else ((item, 1.0) for item in self._listed(self._items, value, row))
        observed = {place: score for item, score in scored if (place := self._ids.place(item)) is not None}
        for place, score in observed.items():
            if not np.isfinite(score):
                raise self._misfit(self._items, "finite scores", f"{score} of {self._ids.known[place]!r}", row)
        excluded = self._places(self._exclusion, columns, row)
        most = int(columns[self._number][row]) if self._number and self._number in columns else None
        if most is not None and most < 0:
            raise self._misfit(self._number, "how many items are asked for", most, row)
        restriction = self._places(self._restriction, columns, row)
        return _Asked(observed, list(observed) if excluded is None else excluded, restriction, most)

    def _places(self, name: str, columns: Columns, row: int) -> list[int] | None:
        """The known items of an optional input; ``None`` where it is not given."""
        if not name or name not in columns:
            return None
        places = (self._ids.place(item) for item in self._listed(name, columns[name][row], row))
        return [place for place in places if place is not None]

    def _listed(self, name: str, value: Any, row: int) -> Iterable[Id]:
        if not isinstance(value, np.ndarray):
            return value if isinstance(value, Sequence) else ()
        numbers = value.ravel()
        if numbers.dtype.kind == "f" and not (np.isfinite(numbers) & (numbers == np.rint(numbers))).all():
            raise self._misfit(name, "whole numbers, which items are", "others", row)
        return map(int, numbers.tolist())

    def _misfit(self, name: str, expected: str, got: object, row: int) -> MLFeatureError:
        return MLFeatureError(f"{self._who}: input {name!r}: expected {expected}, got {got}").of_example(row)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one example asks: scores by observed item, which are excluded, which are allowed (``None``: all), how many (or all)."""

    observed: Mapping[int, float]
    excluded: Sequence[int]
    restriction: Sequence[int] | None
    most: int | None


@dataclass(frozen=True, slots=True)
class _Ids:
    """The items in their order, and the place of each; a model without ids numbers its items."""

    known: Sequence[Id]
    places: Mapping[Id, int] | None
    kind: MLFeatureType

    def __len__(self) -> int:
        return len(self.known)

    def place(self, item: Id) -> int | None:
        """Where ``item`` is; ``None`` where the model does not know it."""
        if self.places is not None:
            return self.places.get(item)
        return item if isinstance(item, int) and 0 <= item < len(self.known) else None


def _ids(message: Any, who: str) -> _Ids:
    highest = max((item for entry in message.itemItemSimilarities for item in _mentioned(entry)), default=-1)
    strings, numbers = list(message.itemStringIds.vector), list(message.itemInt64Ids.vector)
    if strings and numbers:
        raise MLFormatError(f"{who}: expected itemStringIds or itemInt64Ids, got both")
    if not strings and not numbers:
        if not 0 <= highest < MOST_ITEMS:
            got = "none" if highest < 0 else f"{highest}"
            raise MLFormatError(f"{who}: itemItemSimilarities: expected items from 0 to {MOST_ITEMS - 1} at most, got {got}")
        return _Ids(range(highest + 1), None, INT64)
    field = "itemStringIds" if strings else "itemInt64Ids"
    known: list[Id] = [*strings, *numbers]
    if highest >= len(known):
        raise MLFormatError(f"{who}: {field}: expected an id for each item up to number {highest}, got {len(known)}")
    places = {item: place for place, item in enumerate(known)}
    if len(places) < len(known):
        twice = next(item for place, item in enumerate(known) if places[item] != place)
        raise MLFormatError(f"{who}: {field}: expected each id once, got {twice!r} twice")
    return _Ids(known, places, STRING if strings else INT64)


def _mentioned(entry: Any) -> Iterable[int]:
    return chain((entry.itemId,), (similar.itemId for similar in entry.similarItemList))


def _similarities(message: Any, count: int, who: str) -> similarity.Similarities:
    entries = message.itemItemSimilarities
    observed = np.repeat([entry.itemId for entry in entries], [len(entry.similarItemList) for entry in entries]).astype(np.intp)
    similar: Array = np.array([one.itemId for entry in entries for one in entry.similarItemList], np.intp)
    values = np.array([one.similarityScore for entry in entries for one in entry.similarItemList], np.float64)
    shifts = np.zeros(count)
    for entry in entries:
        if entry.itemScoreAdjustment:
            shifts[entry.itemId] = entry.itemScoreAdjustment
    try:
        return similarity.prepare(observed, similar, values, shifts)
    except ValueError as error:
        raise MLFormatError(f"{who}: itemItemSimilarities: {error}") from error


@dataclass(frozen=True, slots=True)
class _Named:
    """Features that the message names."""

    features: Mapping[str, MLFeatureDescription]
    kind: MLFeatureType
    where: str

    def take(self, field: str, name: str, *types: MLFeatureType) -> str:
        """``name``, which ``field`` holds, once it is known that there is such a feature, and that it can hold the model's items."""
        if not name:
            return ""
        if name not in self.features:
            raise MLFormatError(f"{self.where} {name!r}: expected one of the description, for {field}, got only {', '.join(self.features)}")
        feature = self.features[name]
        if feature.type not in types:
            expected = " or ".join(kind.name.lower() for kind in types)
            raise MLFormatError(f"{self.where} {name!r}: expected a feature of type {expected}, got {feature.phrase}")
        if feature.type is ARRAY and self.kind is STRING:
            raise MLFormatError(f"{self.where} {name!r}: expected a feature that holds strings, as the ids are, got {feature.phrase}")
        if feature.type in (DICTIONARY, SEQUENCE):
            check_keys(feature, self.kind, self.where)
        return name
