"""MLFeatureValue and MLMultiArray."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailor.runtime.errors import MLFeatureError
from tailor.runtime.values import MLFeatureType, MLFeatureValue, MLMultiArray, MLMultiArrayDataType

DOT = Image.new("L", (2, 1), 9)
KIND = MLFeatureType
ELEMENT = MLMultiArrayDataType


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (3, KIND.INT64),
        (np.int8(3), KIND.INT64),
        (2.5, KIND.DOUBLE),
        (np.float32(2.5), KIND.DOUBLE),
        ("cat", KIND.STRING),
        (DOT, KIND.IMAGE),
        (Path("cat.png"), KIND.IMAGE),
        (np.zeros((2, 2)), KIND.MULTI_ARRAY),
        ([1, 2.5], KIND.MULTI_ARRAY),
        (MLMultiArray([1]), KIND.MULTI_ARRAY),
        ({"a": 1}, KIND.DICTIONARY),
        (["a", "b"], KIND.SEQUENCE),
    ],
)
def test_the_type_is_inferred(value: Any, kind: MLFeatureType) -> None:
    feature = MLFeatureValue(value)
    assert feature.type is kind
    assert feature == MLFeatureValue(value)
    assert feature == MLFeatureValue(feature)
    assert kind.name in repr(feature)
    with pytest.raises(FrozenInstanceError):
        feature.value = 1  # type: ignore[misc]


def test_named_constructors_state_it_and_properties_read_it() -> None:
    assert MLFeatureValue.int64(3.0).int64_value == 3
    assert MLFeatureValue.double(3).double_value == 3.0
    assert MLFeatureValue.string("cat").string_value == "cat"
    assert MLFeatureValue.image("cat.png").image_value == "cat.png"
    assert MLFeatureValue.image([[1, 2]]).image_value.tolist() == [[1, 2]]
    assert MLFeatureValue.multi_array([1, 2]).multi_array_value == MLMultiArray([1, 2])
    assert MLFeatureValue.dictionary({"a": 1}).dictionary_value == {"a": 1}
    assert MLFeatureValue.sequence((1, 2)).sequence_value == [1, 2]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: MLFeatureValue(True), "got a bool True"),
        (lambda: MLFeatureValue(None), "got nothing"),
        (lambda: MLFeatureValue(b"cat"), "got a bytes"),
        (lambda: MLFeatureValue(object()), "got an object"),
        (lambda: MLFeatureValue(2**63), "expected an int64"),
        (lambda: MLFeatureValue.int64(2.5), "expected an int64, got a float 2.5"),
        (lambda: MLFeatureValue.double("1"), "expected a double, got a str"),
        (lambda: MLFeatureValue.string(1), "expected a string, got an int"),
        (lambda: MLFeatureValue.image(None), "expected numbers, got nothing"),
        (lambda: MLFeatureValue.multi_array("cat"), "expected numbers, got a str"),
        (lambda: MLFeatureValue.dictionary([1]), "expected a mapping, got a list"),
        (lambda: MLFeatureValue.sequence("cat"), "expected a sequence, got a str"),
        (lambda: MLFeatureValue.sequence(3), "expected a sequence, got an int"),
        (lambda: MLFeatureValue(3).double_value, "expected one of type DOUBLE, got INT64"),
        (lambda: MLMultiArray([2**40]), "MLMultiArray: expected integers.*got 1099511627776"),
        (lambda: MLMultiArray([1.5], ELEMENT.INT32), "MLMultiArray: expected integers.*got 1.5"),
    ],
)
def test_refusals(call: Any, told: str) -> None:
    with pytest.raises(MLFeatureError, match=told):
        call()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (MLFeatureValue(1), MLFeatureValue(1.0)),
        (MLFeatureValue(1), MLFeatureValue(2)),
        (MLFeatureValue(np.zeros(2)), MLFeatureValue(np.zeros(3))),
        (MLFeatureValue(np.zeros(2)), MLFeatureValue(np.zeros(2, dtype=np.float32))),
        (MLFeatureValue(DOT), MLFeatureValue(Image.new("L", (2, 1), 8))),
        (MLFeatureValue.image("a.png"), MLFeatureValue.image(np.zeros((2, 2)))),
        (MLFeatureValue({"a": 1}), MLFeatureValue({"a": 2})),
        (MLFeatureValue(1), 1),
    ],
)
def test_values_that_are_not_equal(one: object, other: object) -> None:
    assert one != other


@pytest.mark.parametrize(
    ("source", "asked", "element"),
    [
        (np.zeros(2), None, ELEMENT.DOUBLE),
        (np.zeros(2, dtype=np.float32), None, ELEMENT.FLOAT32),
        (np.zeros(2, dtype=np.float16), None, ELEMENT.FLOAT16),
        (np.zeros(2, dtype=np.int32), None, ELEMENT.INT32),
        (np.zeros(2, dtype=np.int8), None, ELEMENT.INT8),
        (np.zeros(2, dtype=np.uint8), None, ELEMENT.INT32),
        (np.zeros(2, dtype=bool), None, ELEMENT.INT32),
        ([1, 2], None, ELEMENT.INT32),
        ([1.0, np.nan], None, ELEMENT.DOUBLE),
        ([1, 2], ELEMENT.FLOAT32, ELEMENT.FLOAT32),
        ([1.0, 2.0], ELEMENT.INT8, ELEMENT.INT8),
        (MLMultiArray([1]), ELEMENT.DOUBLE, ELEMENT.DOUBLE),
    ],
)
def test_the_element_type_of_a_multi_array(source: Any, asked: Any, element: MLMultiArrayDataType) -> None:
    made = MLMultiArray(source, asked)
    assert made.data_type is element
    assert made.numpy().dtype == element.dtype


def test_a_multi_array_is_a_view() -> None:
    held = np.arange(6, dtype=np.float32).reshape(2, 3)
    made = MLMultiArray(held)
    made[1, 2] = 50
    assert held[1, 2] == 50
    assert made.numpy() is held
    assert np.asarray(made) is held
    assert np.array(made) is not held
    assert np.asarray(made, dtype=np.float64).dtype == np.float64
    assert (made.shape, made.strides, made.count, len(made)) == ((2, 3), (3, 1), 6, 2)
    assert MLMultiArray(held.T).strides == (1, 3)
    assert [row.tolist() for row in made] == [[0.0, 1.0, 2.0], [3.0, 4.0, 50.0]]
    assert repr(made) == "<MLMultiArray FLOAT32 [2, 3]>"
    with pytest.raises(ValueError, match="a view as int32 of float32 elements needs a copy"):
        made.__array__(np.int32, copy=False)


def test_a_multi_array_from_a_shape_is_zero() -> None:
    made = MLMultiArray.from_shape((2, 2), ELEMENT.INT32)
    assert made == MLMultiArray(np.zeros((2, 2), dtype=np.int32))
    assert made != MLMultiArray(np.zeros((2, 2), dtype=np.int8))


def test_the_numbers_are_core_mls() -> None:
    assert [int(element) for element in ELEMENT] == [65600, 65568, 65552, 131104, 131080]
    assert [int(kind) for kind in KIND] == list(range(9))
