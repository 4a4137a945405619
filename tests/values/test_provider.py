"""Feature providers and batch providers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from tailor.runtime.errors import MLFeatureError
from tailor.runtime.values import (
    MLArrayBatchProvider,
    MLBatchProvider,
    MLDictionaryFeatureProvider,
    MLFeatureProvider,
    MLFeatureValue,
    as_mapping,
)


class Sensor:
    """A provider of one's own, which reads a feature only when it is asked for."""

    def __init__(self) -> None:
        self.read: list[str] = []

    @property
    def feature_names(self) -> Iterable[str]:
        return ["light", "sound"]

    def feature_value_for(self, name: str) -> object:
        self.read.append(name)
        return MLFeatureValue(1.5)


class Stream:
    """A lazy batch."""

    augments = True

    @property
    def count(self) -> int:
        return 2

    def features_at(self, index: int) -> Mapping[str, object]:
        return {"n": index}


def test_any_provider_reads_as_a_mapping_lazily() -> None:
    sensor = Sensor()
    mapping = as_mapping(sensor)
    assert list(mapping) == ["light", "sound"]
    assert "light" in mapping
    assert "smell" not in mapping
    assert len(mapping) == 2
    assert sensor.read == []
    assert mapping["sound"] == MLFeatureValue(1.5)
    assert sensor.read == ["sound"]
    with pytest.raises(KeyError):
        mapping["smell"]


def test_a_mapping_is_a_provider_as_it_is() -> None:
    features = {"a": 1}
    assert as_mapping(features) is features


@pytest.mark.parametrize("value", [None, 3, "cat", [1], [("a", 1)]])
def test_nothing_else_is(value: object) -> None:
    with pytest.raises(MLFeatureError, match=r"expected features as a mapping .* or as a provider, got"):
        as_mapping(value)


def test_a_dictionary_provider_is_both() -> None:
    source = {"n": 3, "label": MLFeatureValue("cat")}
    provider = MLDictionaryFeatureProvider(source)
    source["n"] = 4
    assert isinstance(provider, MLFeatureProvider)
    assert provider.feature_names == {"n", "label"}
    assert provider.feature_value_for("n") == MLFeatureValue.int64(3)
    assert provider.feature_value_for("label") == MLFeatureValue("cat")
    assert provider.feature_value_for("other") is None
    assert dict(as_mapping(provider)) == {"n": 3, "label": MLFeatureValue("cat")}
    assert repr(provider) == "<MLDictionaryFeatureProvider n: an int 3, label: a MLFeatureValue>"


@pytest.mark.parametrize(("features", "told"), [([1], "got a list of 1"), ({1: 2}, "feature names as strings, got an int 1")])
def test_a_dictionary_provider_needs_names(features: Any, told: str) -> None:
    with pytest.raises(MLFeatureError, match=f"MLDictionaryFeatureProvider: .*{told}"):
        MLDictionaryFeatureProvider(features)


ROWS = [{"x": [0, 1], "label": "a"}, {"x": [2, 3], "label": "b"}, {"x": [4, 5], "label": "c"}]


@pytest.mark.parametrize(
    "examples",
    [
        ROWS,
        tuple(ROWS),
        (dict(row) for row in ROWS),
        [MLDictionaryFeatureProvider(row) for row in ROWS],
        {"x": np.arange(6).reshape(3, 2), "label": ["a", "b", "c"]},
        {"x": [[0, 1], [2, 3], [4, 5]], "label": np.array(["a", "b", "c"])},
    ],
)
def test_rows_and_columns_give_the_same_examples(examples: Any) -> None:
    provider = MLArrayBatchProvider(examples)
    assert isinstance(provider, MLBatchProvider)
    assert (provider.count, len(provider), provider.augments) == (3, 3, False)
    assert provider.feature_names == ("x", "label")
    assert [(list(row["x"]), row["label"]) for row in provider] == [(row["x"], row["label"]) for row in ROWS]
    assert provider[-1]["label"] == "c"
    assert [row["label"] for row in provider[1:]] == ["b", "c"]
    assert repr(provider) == "<MLArrayBatchProvider 3 examples of x, label>"
    for index in (3, -4):
        with pytest.raises(IndexError, match=r"0\.\.2"):
            provider[index]


def test_columns_are_not_copied() -> None:
    column = np.zeros((3, 2))
    assert np.shares_memory(MLArrayBatchProvider({"x": column}).features_at(1)["x"], column)


def test_no_examples() -> None:
    assert MLArrayBatchProvider([]).count == 0
    assert MLArrayBatchProvider({}).count == 0
    assert repr(MLArrayBatchProvider([])) == "<MLArrayBatchProvider 0 examples of nothing>"


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        ({"x": np.zeros((3, 2)), "label": ["a"]}, "equally many examples, got 'x' 3, 'label' 1"),
        ({"x": 3}, "column 'x': expected a list, .* got an int 3"),
        ({"x": np.float32(3)}, "column 'x'"),
        ({"x": np.array(3)}, r"column 'x': .*shape \[\]"),
        ({"label": "cat"}, "column 'label': .*got a str 'cat'"),
        ({"words": {"a": 1}}, "column 'words': .*got a dict"),
        ({3: [1]}, "feature names as strings, got an int 3"),
        ([{"x": 1}, 5], "example 1: expected features as a mapping"),
        ("cat", "expected a list of examples or a mapping of columns, got a str"),
        (None, "got nothing"),
    ],
)
def test_what_makes_no_batch(examples: Any, told: str) -> None:
    with pytest.raises(MLFeatureError, match=f"^MLArrayBatchProvider: .*{told}"):
        MLArrayBatchProvider(examples)


def test_lazy_batches_need_only_count_and_features() -> None:
    assert isinstance(Stream(), MLBatchProvider)
    assert not isinstance(Sensor(), MLBatchProvider)
