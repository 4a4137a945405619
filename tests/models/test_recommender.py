"""The item similarity recommender: worked out by hand, and against a dense evaluation of its formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tailor import MLFeatureError, MLFormatError, MLModel
from tailor.runtime.format import Model, array_feature, dictionary_feature, double_feature, int64_feature, sequence_feature
from tailor.runtime.models import build_predictor

# item -> (its adjustment, what is similar to it); unlike a real table it is not symmetric, so that a wrong turn is noticed
TABLE: Mapping[int, tuple[float, Mapping[int, float]]] = {
    0: (0.0, {1: 0.5, 2: 0.25}),
    1: (1.0, {0: 0.5, 3: 1.0}),
    2: (0.0, {4: -0.5, 0: 0.125}),
    4: (0.0, {3: 0.25}),
}
NAMES = ["apple", "bread", "cheese", "dates", "eggs"]


def recommender(
    table: Mapping[int, tuple[float, Mapping[int, float]]] = TABLE,
    ids: Sequence[str] | Sequence[int] = (),
    *,
    scored: bool = True,
    arrays: bool = False,
) -> Model:
    """A recommender with all its inputs and outputs; ``scored``: items come with scores, ``arrays``: others come as arrays."""
    made = Model(specificationVersion=4)
    message = made.itemSimilarityRecommender
    for item, (shift, similar) in table.items():
        entry = message.itemItemSimilarities.add(itemId=item, itemScoreAdjustment=shift)
        for other, value in similar.items():
            entry.similarItemList.add(itemId=other, similarityScore=value)
    kind = str if ids and isinstance(ids[0], str) else int
    (message.itemStringIds if kind is str else message.itemInt64Ids).vector.extend(ids)
    message.itemInputFeatureName = "items"
    message.numRecommendationsInputFeatureName = "k"
    message.itemRestrictionInputFeatureName = "only"
    message.itemExclusionInputFeatureName = "without"
    message.recommendedItemListOutputFeatureName = "list"
    message.recommendedItemScoreOutputFeatureName = "scores"

    def several(name: str, optional: bool = True) -> Any:
        return array_feature(name, [2], "int32", optional=optional) if arrays else sequence_feature(name, kind, optional=optional)

    made.description.input.append(dictionary_feature("items", kind) if scored else several("items", False))
    made.description.input.extend([int64_feature("k", optional=True), several("only"), several("without")])
    made.description.output.extend([sequence_feature("list", kind), dictionary_feature("scores", kind)])
    return made


# what is asked -> the items and their scores, by hand: 0 gives 1: .5, 2: .25; 1 (less 1) gives 0: .5, 3: 1; 2 gives 4: -.5, 0: .125
ANSWERS: dict[str, tuple[dict[str, Any], dict[int, float]]] = {
    "one item": ({"items": {0: 2.0}}, {1: 1.0, 2: 0.5, 3: 0.0, 4: 0.0}),
    "the adjustment is of the item that was observed": ({"items": {1: 3.0}}, {3: 2.0, 0: 1.0, 2: 0.0, 4: 0.0}),
    "several items add up": ({"items": {1: 3.0, 2: 8.0}}, {0: 2.0 * 0.5 + 8 * 0.125, 3: 2.0, 4: -4.0}),
    "equal scores in the order of the items": ({"items": {0: 1.0, 2: 0.0}, "without": []}, {1: 0.5, 2: 0.25, 0: 0.0, 3: 0.0, 4: 0.0}),
    "as many as are asked for": ({"items": {0: 2.0}, "k": 2}, {1: 1.0, 2: 0.5}),
    "more than there are": ({"items": {0: 2.0}, "k": 99}, {1: 1.0, 2: 0.5, 3: 0.0, 4: 0.0}),
    "none": ({"items": {0: 2.0}, "k": 0}, {}),
    "only some": ({"items": {0: 2.0}, "only": [4, 1, 0, 77]}, {1: 1.0, 4: 0.0}),
    "only none": ({"items": {0: 2.0}, "only": []}, {}),
    "without some, but with what was observed": ({"items": {0: 2.0}, "without": [1, 3, -1]}, {2: 0.5, 0: 0.0, 4: 0.0}),
    "all of it": ({"items": {1: 3.0, 2: 8.0}, "k": 1, "only": [0, 3, 4], "without": [0, 3]}, {4: -4.0}),
    "items that are not known": ({"items": {0: 2.0, 5: 1.0, -1: 3.0, 2**62: 1.0}}, {1: 1.0, 2: 0.5, 3: 0.0, 4: 0.0}),
    "no items": ({"items": {}}, {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}),
}


@pytest.mark.parametrize(("asked", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("ids", [(), (70, 10, 50, 20, -40), NAMES], ids=["numbered", "int64", "strings"])
def test_it_recommends_what_is_similar(ids: Any, asked: dict[str, Any], expected: dict[int, float]) -> None:
    def named(item: int) -> Any:
        unknown = "elsewhere" + str(item) if isinstance(ids[0], str) else 1000 + item
        return ids[item] if 0 <= item < len(ids) else unknown

    names: Callable[[int], Any] = named if ids else int
    given: dict[str, Any] = {name: [names(item) for item in value] for name, value in asked.items() if name in ("only", "without")}
    given |= {"items": {names(item): score for item, score in asked["items"].items()}, **({"k": asked["k"]} if "k" in asked else {})}
    answer = MLModel.from_spec(recommender(ids=ids)).predict(given)
    assert answer["list"] == [names(item) for item in expected]
    assert list(answer["scores"].items()) == [(names(item), score) for item, score in expected.items()]


@pytest.mark.parametrize("arrays", [False, True], ids=["sequences", "arrays"])
def test_items_without_scores_count_one_each_and_once(arrays: bool) -> None:
    model = MLModel.from_spec(recommender(scored=False, arrays=arrays))
    given = np.array([0, 0], np.int32) if arrays else [0, 0]
    assert model.predict({"items": given}) == {"list": [1, 2, 3, 4], "scores": {1: 0.5, 2: 0.25, 3: 0.0, 4: 0.0}}
    only = np.array([4, 1], np.int32) if arrays else [4, 1]
    assert model.predict({"items": given, "only": only, "without": given})["list"] == [1, 4]


@pytest.mark.parametrize("lacking", ["list", "scores"])
def test_one_output_is_enough_and_the_input_need_not_be_named(lacking: str) -> None:
    spec = recommender()
    field = {"list": "recommendedItemListOutputFeatureName", "scores": "recommendedItemScoreOutputFeatureName"}[lacking]
    spec.itemSimilarityRecommender.ClearField(field)
    kept = [feature for feature in spec.description.output if feature.name != lacking]
    del spec.description.output[:]
    spec.description.output.extend(kept)
    del spec.description.input[1:]
    for name in ("itemInput", "numRecommendationsInput", "itemRestrictionInput", "itemExclusionInput"):
        spec.itemSimilarityRecommender.ClearField(f"{name}FeatureName")
    answer = MLModel.from_spec(spec).predict({"items": {0: 2.0}})
    assert answer == ({"scores": {1: 1.0, 2: 0.5, 3: 0.0, 4: 0.0}} if lacking == "list" else {"list": [1, 2, 3, 4]})


def dense(table: Mapping[int, tuple[float, Mapping[int, float]]], size: int, row: Mapping[str, Any]) -> list[tuple[int, float]]:
    """The formula, item by item."""
    similarity, shift = np.zeros((size, size)), np.zeros(size)
    for item, (adjustment, similar) in table.items():
        shift[item] = adjustment
        for other, value in similar.items():
            similarity[other, item] = value
    observed = row["items"]
    scores = [sum(similarity[k, i] * (score - shift[i]) for i, score in observed.items()) for k in range(size)]
    candidates = set(row.get("only", range(size))) - set(row.get("without", observed))
    ranked = sorted(candidates, key=lambda item: (-scores[item], item))
    return [(item, scores[item]) for item in ranked[: row.get("k", size)]]


def test_many_at_once_are_what_the_formula_says_and_what_each_is_alone() -> None:
    random, size = np.random.default_rng(11), 60

    def some(most: int) -> list[int]:
        return random.choice(size, random.integers(0, most), replace=False).tolist()

    # Sixteenths: their sums are exact, so that ties are ties in any order of adding.
    table = {item: (random.integers(-3, 4) / 16, {other: random.integers(-16, 17) / 16 for other in some(12)}) for item in range(size)}
    rows: list[dict[str, Any]] = []
    for number in range(80):
        row: dict[str, Any] = {"items": {item: float(random.integers(0, 6)) for item in some(20)}}
        row |= {"k": int(random.integers(0, 70))} if number % 2 else {}
        row |= {"only": some(50)} if number % 3 == 1 else {}
        row |= {"without": some(30)} if number % 5 == 2 else {}
        rows.append(row)
    model = MLModel.from_spec(recommender(table, list(range(size))))
    answers = model.predict(rows)
    for row, answer in zip(rows, answers, strict=True):
        expected = dense(table, size, row)
        assert answer["list"] == [item for item, _ in expected]
        assert list(answer["scores"].items()) == expected
        assert model.predict(row) == answer


def test_examples_in_several_pieces_are_what_each_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MLModel.from_spec(recommender())
    rows = [{"items": {number % 5: 0.1 * number, (number + 2) % 5: 0.3}} for number in range(23)]
    whole = model.predict(rows)
    monkeypatch.setattr("tailor.runtime.models.recommender.PIECE_SCORES", 10)
    assert model.predict(rows) == whole == [model.predict(row) for row in rows]


def changed(**fields: str) -> Callable[[Model], None]:
    def change(spec: Model) -> None:
        for name, value in fields.items():
            setattr(spec.itemSimilarityRecommender, name, value)

    return change


def similar(item: int, other: int, value: float = 1.0, shift: float = 0.0) -> Callable[[Model], None]:
    def change(spec: Model) -> None:
        entry = spec.itemSimilarityRecommender.itemItemSimilarities.add(itemId=item, itemScoreAdjustment=shift)
        entry.similarItemList.add(itemId=other, similarityScore=value)

    return change


def ids(field: str, *values: Any) -> Callable[[Model], None]:
    return lambda spec: getattr(spec.itemSimilarityRecommender, field).vector.extend(values)


def feature(part: str, place: int, made: Any) -> Callable[[Model], None]:
    return lambda spec: getattr(spec.description, part)[place].CopyFrom(made)


def both(spec: Model) -> None:
    ids("itemStringIds", *NAMES)(spec)
    ids("itemInt64Ids", 1)(spec)


def no_similarities(spec: Model) -> None:
    spec.itemSimilarityRecommender.ClearField("itemItemSimilarities")


REFUSED: dict[str, tuple[Callable[[Model], None], str]] = {
    "both kinds of ids": (both, "expected itemStringIds or itemInt64Ids, got both"),
    "too few ids": (ids("itemInt64Ids", 1, 2, 3, 4), "itemInt64Ids: expected an id for each item up to number 4, got 4"),
    "an id twice": (ids("itemInt64Ids", 1, 2, 3, 2, 5), "itemInt64Ids: expected each id once, got 2 twice"),
    "no items": (no_similarities, "itemItemSimilarities: expected items from 0 to 4194303 at most, got none"),
    "too many items": (similar(0, 2**63), "itemItemSimilarities: expected items from 0 to 4194303 at most, got 9223372036854775808"),
    "a similarity that is none": (similar(0, 1, float("nan")), "itemItemSimilarities: expected finite numbers, got others"),
    "an adjustment that is none": (similar(0, 1, 1.0, float("inf")), "itemItemSimilarities: expected finite numbers, got others"),
    "no input": (changed(itemInputFeatureName=""), "itemInputFeatureName: expected the name of an input, got none"),
    "an input that is not there": (changed(itemInputFeatureName="x"), "input 'x': expected one of the description, for itemInput"),
    "a number that is not there": (changed(numRecommendationsInputFeatureName="n"), "input 'n': expected one of the description"),
    "items of another type": (feature("input", 0, double_feature("items")), "input 'items': expected a feature of type dictionary or"),
    "items of other keys": (feature("input", 0, dictionary_feature("items")), "input 'items': expected int64s, as the model"),
    "a number of another type": (feature("input", 1, double_feature("k")), "input 'k': expected a feature of type int64, got a double"),
    "a restriction with scores": (feature("input", 2, dictionary_feature("only", int)), "input 'only': expected a feature of type"),
    "strings in arrays": (ids("itemStringIds", *NAMES), "input 'items': expected strings, as the model knows, got"),
    "no outputs": (
        changed(recommendedItemListOutputFeatureName="", recommendedItemScoreOutputFeatureName=""),
        "expected outputs, each named in the model, got 'list', 'scores'",
    ),
    "an output that is not there": (changed(recommendedItemListOutputFeatureName="x"), "output 'x': expected one of the description"),
    "a list of scores": (feature("output", 0, dictionary_feature("list", int)), "output 'list': expected a feature of type sequence"),
    "scores of other keys": (feature("output", 1, dictionary_feature("scores")), "output 'scores': expected int64s, as the model"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_messages_that_do_not_go_together_are_refused(change: Callable[[Model], None], told: str) -> None:
    spec = recommender()
    change(spec)
    with pytest.raises(MLFormatError, match=f"^shop: {told}"):
        build_predictor(spec, {}, "shop")


def test_strings_do_not_come_in_arrays() -> None:
    spec = recommender(ids=NAMES)
    spec.description.input[2].CopyFrom(array_feature("only", [1], "int32"))
    with pytest.raises(
        MLFormatError, match="input 'only': expected a feature that holds strings, as the ids are, got an int32 multi-array"
    ):
        build_predictor(spec, {}, "shop")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no items": ({}, "expected input 'items', got nothing"),
    "items of another type": ({"items": [0]}, "input 'items': expected a dictionary from integers to numbers, got"),
    "an item of another type": ({"items": {"bread": 1.0}}, "input 'items': key: expected an int64, got"),
    "a score that is none": ({"items": {0: "much"}}, "input 'items': value of 0: expected a double, got"),
    "a score that is not finite": ({"items": {0: float("nan")}}, "input 'items'"),
    "a negative number": ({"items": {0: 1.0}, "k": -1}, "input 'k': expected how many items are asked for, got -1"),
    "a number that is not whole": ({"items": {0: 1.0}, "k": 1.5}, "input 'k': expected an int64, got"),
    "a restriction of another type": ({"items": {0: 1.0}, "only": ["bread"]}, "input 'only': item 0: expected an int64, got"),
    "sums that are too large": ({"items": {0: 1e10, 4: 1.0}}, "input 'items': expected scores whose sums are finite, got others"),
}


@pytest.mark.parametrize(("given", "told"), BAD.values(), ids=BAD.keys())
def test_values_that_do_not_fit_are_refused(given: dict[str, Any], told: str) -> None:
    spec = recommender({0: (0.0, {1: 1e300}), 1: (0.0, {0: 1.0}), 4: (0.0, {1: 2.0})})
    with pytest.raises(MLFeatureError, match=told):
        MLModel.from_spec(spec).predict(given)


def test_numbers_of_other_models_are_checked_too() -> None:
    predictor = build_predictor(recommender(scored=False, arrays=True), {}, "shop")
    for wrong in (0.5, np.nan):
        with pytest.raises(MLFeatureError, match="^example 1: shop: input 'items': expected whole numbers, which items are, got others"):
            predictor.predict({"items": np.array([[0.0], [wrong]], np.float32)}, 2)
    scored = build_predictor(recommender(), {}, "shop")
    with pytest.raises(MLFeatureError, match="^example 1: shop: input 'items': expected finite scores, got inf of 2"):
        scored.predict({"items": [{0: 1.0}, {2: np.inf}]}, 2)
