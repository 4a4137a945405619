"""Numbers, strings, dictionaries and sequences."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from typing import Any

import numpy as np
import pytest

from tailor.runtime.errors import MLFeatureError
from tailor.runtime.values import MLFeatureDescription, MLFeatureValue, MLMultiArray, accept

from .described import DOUBLE, INT64, STRING, dictionary, sequence

ACCEPTED: list[tuple[MLFeatureDescription, Any, Any]] = [
    (INT64, 3, 3),
    (INT64, -(2**63), -(2**63)),
    (INT64, np.uint8(3), 3),
    (INT64, 3.0, 3),
    (INT64, np.array([3]), 3),
    (INT64, np.array(3), 3),
    (INT64, MLFeatureValue(3), 3),
    (DOUBLE, 3, 3.0),
    (DOUBLE, 2.5, 2.5),
    (DOUBLE, np.float32(2.5), 2.5),
    (DOUBLE, np.int16(3), 3.0),
    (DOUBLE, np.array(2.5), 2.5),
    (DOUBLE, np.array([2.5]), 2.5),
    (DOUBLE, MLFeatureValue(3), 3.0),
    (DOUBLE, MLMultiArray([2.5]), 2.5),
    (DOUBLE, MLFeatureValue(np.array([2.5])), 2.5),
    (STRING, "cat", "cat"),
    (STRING, np.str_("cat"), "cat"),
    (STRING, "", ""),
    (STRING, MLFeatureValue("cat"), "cat"),
    (dictionary("STRING"), {"b": 1, "a": 2.5}, {"b": 1.0, "a": 2.5}),
    (dictionary("STRING"), Counter("aab"), {"a": 2.0, "b": 1.0}),
    (dictionary("INT64"), OrderedDict([(np.int64(1), np.float32(0.5))]), {1: 0.5}),
    (dictionary("INT64"), {}, {}),
    (sequence("STRING"), ["a", "b"], ["a", "b"]),
    (sequence("STRING"), np.array(["a"]), ["a"]),
    (sequence("INT64", 1, 2), (1, np.int32(2)), [1, 2]),
]


@pytest.mark.parametrize(("described", "value", "canonical"), ACCEPTED)
def test_accepted(described: MLFeatureDescription, value: Any, canonical: Any) -> None:
    accepted = accept(described, value)
    assert accepted == canonical
    assert type(accepted) is type(canonical)
    if isinstance(canonical, dict):
        assert [type(part) for item in accepted.items() for part in item] == [type(part) for item in canonical.items() for part in item]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_doubles_are_finite_but_for_models_to_which_others_mean_something(number: float) -> None:
    words = dictionary("STRING")
    np.testing.assert_equal(accept(DOUBLE, number, finite=False), number)
    np.testing.assert_equal(accept(words, {"a": number}, finite=False), {"a": number})
    with pytest.raises(MLFeatureError, match=f"^input 'd': expected a finite double, got {number}"):
        accept(DOUBLE, number)
    with pytest.raises(MLFeatureError, match=f"^input 'words': value of 'a': expected a finite double, got {number}"):
        accept(words, {"a": number})


@pytest.mark.parametrize(
    ("described", "value", "told"),
    [
        (INT64, True, "expected an int64, got a bool True"),
        (INT64, np.True_, "expected an int64, got a bool"),
        (INT64, 2.5, "expected an int64, got a float 2.5"),
        (INT64, math.nan, "got a float nan"),
        (INT64, math.inf, "got a float inf"),
        (INT64, "3", "got a str '3'"),
        (INT64, 2**63, "got an int 9223372036854775808"),
        (INT64, None, r"got nothing \(None\)"),
        (INT64, np.array([1, 2]), r"got an int64 array of shape \[2\]"),
        (INT64, MLFeatureValue("3"), "got a str '3'"),
        (DOUBLE, False, "expected a double, got a bool False"),
        (DOUBLE, "1.0", "expected a double, got a str"),
        (DOUBLE, 10**400, "got an int 10+"),
        (DOUBLE, [1.0], "got a list of 1"),
        (DOUBLE, 1j, "got a complex"),
        (STRING, 3, "expected a string, got an int 3"),
        (STRING, b"cat", "expected a string, got a bytes"),
        (STRING, None, "got nothing"),
        (STRING, MLFeatureValue.image("cat.png"), "expected a string, got an image"),
        (dictionary("STRING"), ["a"], "expected a dictionary from strings to numbers, got a list of 1"),
        (dictionary("STRING"), {1: 1.0}, "key: expected a string, got an int 1"),
        (dictionary("INT64"), {"a": 1.0}, "key: expected an int64, got a str 'a'"),
        (dictionary("STRING"), {"a": "b"}, "value of 'a': expected a double, got a str 'b'"),
        (sequence("STRING"), "abc", "expected a sequence of strings, got a str 'abc'"),
        (sequence("STRING"), ["a", 1], "item 1: expected a string, got an int 1"),
        (sequence("INT64", 2, 3), [1], r"expected a sequence of length 2\.\.3 of integers, got 1 of them"),
        (sequence("INT64", 2), [1], r"of length 2\.\. of integers"),
    ],
)
def test_refused(described: MLFeatureDescription, value: Any, told: str) -> None:
    with pytest.raises(MLFeatureError, match=f"^input '{described.name}': .*{told}"):
        accept(described, value)


def test_long_text_is_cut_in_errors() -> None:
    with pytest.raises(MLFeatureError) as caught:
        accept(INT64, "x" * 10_000)
    assert len(str(caught.value)) < 150
