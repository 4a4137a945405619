"""Batches as columns, and what goes back to the caller."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tailor.runtime.errors import MLFeatureError, MLFormatError
from tailor.runtime.values import (
    MLArrayBatchProvider,
    MLFeatureDescription,
    MLFeatureValue,
    SizeRange,
    accept,
    accept_column,
    default_value,
    deliver,
)

from .described import DOUBLE, INT64, STRING, array, dictionary, image, sequence

LEVELS = np.random.default_rng(2).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
NUMBERS = np.random.default_rng(2).normal(size=(5, 1, 2, 3))


@pytest.mark.parametrize(
    ("described", "values"),
    [
        (array(2, 3), NUMBERS),
        (array(2, 3), list(NUMBERS)),
        (array(2, 3), [row.tolist() for row in NUMBERS]),
        (array(2, 3), [NUMBERS[0], NUMBERS[1].astype(np.float32), NUMBERS[2].tolist(), MLFeatureValue(NUMBERS[3]), NUMBERS[4][0]]),
        (array(1, data_type="INT32"), [3, 4.0, np.int8(5)]),
        (image(6, 4), LEVELS),
        (image(6, 4, "RGB"), list(LEVELS)),
        (image(3, 3, "RGB"), list(LEVELS)),
        (image(3, 3, "GRAYSCALE_FLOAT16"), LEVELS[..., 0] / 255),
        (image(6, 4), [Image.fromarray(LEVELS[0]), LEVELS[1], LEVELS[2][:2], LEVELS[3].astype(float), LEVELS[4][..., :1]]),
        (INT64, [1, np.int64(2), 3.0]),
        (INT64, np.arange(4)),
        (DOUBLE, [1, 2.5, np.float32(3)]),
        (STRING, ["cat", np.str_("dog")]),
        (STRING, np.array(["cat", "dog"])),
        (dictionary("STRING"), [{"a": 1}, {}]),
        (sequence("INT64"), [[1], [2, 3]]),
    ],
)
def test_a_column_holds_what_accept_makes_of_each(described: MLFeatureDescription, values: Any) -> None:
    column = accept_column(described, values)
    one_by_one = [accept(described, value) for value in values]
    assert len(column) == len(one_by_one)
    assert all(np.array_equal(got, expected) for got, expected in zip(column, one_by_one, strict=True))
    if isinstance(one_by_one[0], np.ndarray):
        assert isinstance(column, np.ndarray)
        assert column.dtype == one_by_one[0].dtype
        assert not any(np.shares_memory(column, value) for value in values if isinstance(value, np.ndarray))


@pytest.mark.parametrize(("described", "dtype"), [(INT64, np.int64), (DOUBLE, np.float64)])
def test_numbers_are_columns_of_one_axis(described: MLFeatureDescription, dtype: Any) -> None:
    column = accept_column(described, [1, 2])
    assert isinstance(column, np.ndarray)
    assert (column.dtype, column.tolist()) == (dtype, [1, 2])
    assert len(accept_column(described, [])) == 0


def test_arrays_of_different_shapes_stay_a_list() -> None:
    flexible = array(1, size_ranges=(SizeRange(1),))
    column = accept_column(flexible, [np.zeros(2), np.zeros(3)])
    assert isinstance(column, list)
    assert [value.shape for value in column] == [(2,), (3,)]


BAD_PIXEL = LEVELS[..., 0].astype(float)
BAD_PIXEL[3, 1, 2] = np.nan


@pytest.mark.parametrize(
    ("described", "values", "told"),
    [
        (array(2), np.array([[0, 1], [2, 3], [4, np.nan]]), r"example 12: input 'x': expected finite.*got nan at index \[1\]"),
        (array(2), [np.zeros(2), np.zeros(2), np.zeros(3)], r"example 12: input 'x': expected .* of shape \[2\], got .*\[3\]"),
        (array(2), np.zeros((3, 5)), r"example 10: input 'x': expected .* of shape \[2\], got .*\[5\]"),
        (array(2, data_type="INT32"), [[0, 1], [0, 1.5], [0, 1]], "example 11: input 'x': expected integers.*got 1.5"),
        (image(6, 4), BAD_PIXEL, r"example 13: input 'drawing': expected pixels in the range 0\.\.255, got nan at index \[1, 2\]"),
        (image(6, 4), ["nowhere.png"], "example 10: input 'drawing': expected an image 6x4 grayscale, got the path 'nowhere.png'"),
        (INT64, [1, "2"], "example 11: input 'n': expected an int64, got a str '2'"),
        (STRING, ["a", None], "example 11: input 's': expected a string, got nothing"),
        (dictionary("INT64"), [{1: 2}, {"1": 2}], "example 11: input 'words': key: expected an int64"),
    ],
)
def test_errors_name_the_first_example_that_does_not_fit(described: MLFeatureDescription, values: Any, told: str) -> None:
    with pytest.raises(MLFeatureError, match=f"^{told}"):
        accept_column(described, values, "input", range(10, 20))


def test_a_single_example_has_no_number() -> None:
    with pytest.raises(MLFeatureError, match=r"^input 'x': "):
        accept_column(array(2), [np.zeros(3)], "input", None)


def test_nan_passes_where_it_is_asked_for() -> None:
    column = accept_column(array(1), [np.array([np.nan])], finite=False)
    assert np.isnan(np.asarray(column)).all()


@given(st.integers(0, 4), st.sampled_from([np.uint8, np.int64, np.float32, np.float64]), st.booleans())
def test_columns_of_a_provider_read_as_its_rows(count: int, dtype: Any, lists: bool) -> None:
    pixels = (np.arange(count * 24) % 256).astype(dtype).reshape(count, 4, 6)
    provider = MLArrayBatchProvider({"drawing": list(pixels) if lists else pixels})
    column = accept_column(image(6, 4), [provider.features_at(index)["drawing"] for index in range(count)])
    assert [value.tolist() for value in column] == pixels.tolist()


def test_the_default_of_an_optional_array() -> None:
    declared = array(2, 2, data_type="INT32", default_value=7)
    filled = default_value(declared)
    assert filled is not None
    assert (filled.dtype, filled.tolist()) == (np.int32, [[7, 7], [7, 7]])
    assert default_value(array(2)) is None
    assert default_value(DOUBLE) is None


@pytest.mark.parametrize(
    ("described", "value", "answer"),
    [
        (INT64, np.int64(3), 3),
        (INT64, np.array([3.0]), 3),
        (DOUBLE, np.float32(2.5), 2.5),
        (DOUBLE, np.array([[2.5]]), 2.5),
        (STRING, np.str_("cat"), "cat"),
        (dictionary("STRING"), {np.str_("a"): np.float32(0.5)}, {"a": 0.5}),
        (dictionary("INT64"), {np.int64(1): np.float64(0.5)}, {1: 0.5}),
        (sequence("INT64"), np.array([1, 2]), [1, 2]),
        (sequence("STRING"), ["a"], ["a"]),
    ],
)
def test_plain_values_are_delivered_in_pythons_types(described: MLFeatureDescription, value: Any, answer: Any) -> None:
    delivered = deliver(described, value)
    assert delivered == answer
    assert type(delivered) is type(answer)
    if isinstance(answer, dict):
        assert [type(key) for key in delivered] == [type(key) for key in answer]
        assert all(type(number) is float for number in delivered.values())


@pytest.mark.parametrize(
    ("data_type", "value", "dtype", "numbers"),
    [
        ("DOUBLE", np.array([0.5], dtype=np.float32), np.float64, [0.5]),
        ("FLOAT32", np.array([0.5, np.nan]), np.float32, [0.5, np.nan]),
        ("FLOAT16", np.array([0.1, 1e6]), np.float32, [float(np.float16(0.1)), np.inf]),
        ("INT32", np.array([2.0, -1.0], dtype=np.float32), np.int32, [2, -1]),
        ("FLOAT32", np.array(0.5), np.float32, [0.5]),
        ("FLOAT32", 0.5, np.float32, [0.5]),
    ],
)
def test_arrays_are_delivered_as_declared(data_type: str, value: Any, dtype: Any, numbers: list[float]) -> None:
    delivered = deliver(array(data_type=data_type), value)
    assert delivered.dtype == dtype
    assert np.array_equal(delivered, numbers, equal_nan=True)


@pytest.mark.parametrize(
    ("colors", "pixels", "mode"),
    [
        ("GRAYSCALE", LEVELS[0, ..., 0], "L"),
        ("RGB", LEVELS[0], "RGBA"),
        ("BGR", LEVELS[0], "RGBA"),
        ("GRAYSCALE_FLOAT16", LEVELS[0, ..., 0].astype(np.float16) / 256, "F"),
    ],
)
def test_images_are_delivered_as_pillow_images(colors: str, pixels: Any, mode: str) -> None:
    delivered = deliver(image(6, 4, colors), pixels)
    assert (delivered.mode, delivered.size) == (mode, (6, 4))
    shown = np.asarray(delivered)
    if mode == "RGBA":
        assert (shown[..., 3] == 255).all()
        shown = shown[..., :3]
    assert np.array_equal(shown, pixels)


@pytest.mark.parametrize(
    ("described", "value", "got"),
    [
        (INT64, {"a": 0.5}, "an int64, as the model declares, got a dict of 1"),
        (INT64, "cat", "an int64, as the model declares, got a str 'cat'"),
        (INT64, np.nan, "an int64, as the model declares, got a float nan"),
        (DOUBLE, np.zeros(2), r"a double, as the model declares, got a float64 array of shape \[2\]"),
        (STRING, 3, "a string, as the model declares, got an int 3"),
        (dictionary("STRING"), {3: 0.5}, "a dictionary from strings to numbers, as the model declares, got a dict of 1"),
        (dictionary("INT64"), {"a": 0.5}, "a dictionary from integers to numbers, as the model declares, got a dict of 1"),
        (dictionary("STRING"), {"a": "b"}, "a dictionary from strings to numbers"),
        (dictionary("STRING"), ["a"], "a dictionary from strings to numbers, as the model declares, got a list of 1"),
        (sequence("STRING"), "cat", "a sequence of strings, as the model declares, got a str 'cat'"),
        (sequence("INT64"), ["cat"], "a sequence of integers, as the model declares, got a list of 1"),
        (array(2), "cat", "a float32 multi-array of shape .*, got a str 'cat'"),
        (array(2), {"a": 1.0}, "a float32 multi-array of shape .*, got a dict of 1"),
        (image(6, 4), LEVELS[0], r"an image 6x4 grayscale, as the model declares, got a uint8 array of shape \[4, 6, 3\]"),
        (image(6, 4, "RGB"), LEVELS[0, ..., 0], "an image 6x4 RGB, as the model declares"),
    ],
)
def test_what_is_not_of_the_declared_type_is_not_delivered(described: MLFeatureDescription, value: Any, got: str) -> None:
    with pytest.raises(MLFormatError, match=rf"^output '{described.name}': expected {got}"):
        deliver(described, value)
