"""Numbers of several inputs as one matrix: literals, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor.kernels import Array
from tailor.runtime.errors import MLFeatureError, MLFormatError
from tailor.runtime.format import array_feature, dictionary_feature, double_feature, int64_feature, string_feature
from tailor.runtime.models.inputs import NumberInputs
from tests.models.hand_made import model

MIXED = [double_feature("d"), array_feature("a", (2, 2), "float32"), int64_feature("i")]
OPTIONAL = [double_feature("d", optional=True), array_feature("a", (2,), optional=True)]
D, A, WHOLE = np.array([0.5, 1.5]), np.arange(8, dtype=np.float32).reshape(2, 2, 2), np.array([10, -20])
HOLED = A.copy()
HOLED[0, 1, 0] = np.inf
KEYS = [dictionary_feature("k", int)]


def matrix(features: list[Any], columns: dict[str, Any], width: int, count: int = 2, missing: bool = False) -> Array:
    return NumberInputs.of(model(features, []), "m").matrix(columns, count, width, missing=missing)


FITTING = {
    "in the order of the description": (MIXED, {"i": WHOLE, "a": A, "d": D}, [[0.5, 0, 1, 2, 3, 10], [1.5, 4, 5, 6, 7, -20]]),
    "lists": (MIXED, {"i": [10, -20], "a": list(A), "d": [0.5, 1.5]}, [[0.5, 0, 1, 2, 3, 10], [1.5, 4, 5, 6, 7, -20]]),
    "one array": ([array_feature("a", (4,))], {"a": A}, [[0, 1, 2, 3], [4, 5, 6, 7]]),
    "a dictionary": ([dictionary_feature("k", int)], {"k": [{2: 0.5, 0: 1.0}, {}]}, [[1, 0, 0.5], [0, 0, 0]]),
}


@pytest.mark.parametrize(("features", "columns", "expected"), FITTING.values(), ids=FITTING.keys())
def test_numbers_in_rows(features: list[Any], columns: dict[str, Any], expected: list[list[float]]) -> None:
    made = matrix(features, columns, len(expected[0]))
    assert made.dtype == np.float64
    assert made.flags.c_contiguous
    assert made.tolist() == expected


def test_what_is_missing_is_nan_where_that_is_allowed() -> None:
    nan = np.nan
    np.testing.assert_array_equal(matrix(OPTIONAL, {"a": A[:, 0]}, 3, missing=True), [[nan, 0, 1], [nan, 4, 5]])
    columns = {"d": [None, np.inf], "a": [None, np.array([nan, 1])]}
    np.testing.assert_array_equal(matrix(OPTIONAL, columns, 3, missing=True), [[nan, nan, nan], [np.inf, nan, 1]])


def test_widths() -> None:
    assert NumberInputs.of(model(MIXED, []), "m").width == 6
    assert NumberInputs.of(model([*MIXED, dictionary_feature("k", int)], []), "m").width is None
    assert matrix(MIXED, {"i": WHOLE[:0], "a": A[:0], "d": D[:0]}, 6, 0).shape == (0, 6)


REFUSED = {
    "no value": (MIXED, {"d": D, "a": A}, 6, None, "m: input 'i': expected a value, got none (given: d, a)"),
    "an optional one": (OPTIONAL, {"d": D}, 3, None, "m: input 'a': expected a value, got none (given: d)"),
    "NaN": (MIXED, {"i": WHOLE, "a": A, "d": [0, np.nan]}, 6, 1, "m: input 'd': expected finite numbers, got nan"),
    "infinity": (MIXED, {"i": WHOLE, "a": HOLED, "d": D}, 6, 0, "m: input 'a': expected finite numbers, got inf at [2]"),
    "NaN of a key": (KEYS, {"k": [{}, {1: np.nan}]}, 2, 1, "m: input 'k': expected finite numbers, got nan at [1]"),
    "a key beyond": (KEYS, {"k": [{0: 1.0}, {2: 1.0}]}, 2, 1, "m: input 'k': expected keys from 0 to 1, got 2"),
    "too many": ([array_feature("a")], {"a": A}, 3, None, "m: expected 3 numbers in the inputs, got 4"),
    "shapes": ([array_feature("a")], {"a": [D, D, D[:1]]}, 2, 2, "m: input 'a': expected 2 numbers, as the first example has, got 1"),
}


@pytest.mark.parametrize(("features", "columns", "width", "example", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_values_that_are_refused(features: list[Any], columns: dict[str, Any], width: int, example: int | None, message: str) -> None:
    count = max((len(column) for column in columns.values()), default=0)
    with pytest.raises(MLFeatureError) as caught:
        matrix(features, columns, width, count)
    assert str(caught.value) == (message if example is None else f"example {example}: {message}")


def test_inputs_that_are_refused() -> None:
    for features, message in (
        ([], "m: expected inputs that hold numbers, got none"),
        ([string_feature("s")], "m: input 's': expected a feature of type double or int64 or multi_array or dictionary, got a string"),
        ([dictionary_feature("k")], "m: input 'k': expected int64s, as the model knows, got a dictionary from strings to numbers"),
    ):
        with pytest.raises(MLFormatError, match=f"^{message}$"):
            NumberInputs.of(model(features, []), "m")
    with pytest.raises(MLFormatError, match="^m: inputs: expected 5 numbers in all, as a row of weights has them, got 6$"):
        NumberInputs.of(model(MIXED, []), "m").check_width(5, "a row of weights")
