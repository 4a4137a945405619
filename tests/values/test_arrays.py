"""What multi-array features take, as what, and what they refuse."""

from __future__ import annotations

import array as standard
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tailor.runtime.errors import MLFeatureError
from tailor.runtime.values import MLFeatureDescription, MLFeatureValue, MLMultiArray, SizeRange, accept

from .described import STATE, array

SIX = np.arange(6.0)


class DLPackOnly:
    """A tensor of a library that NumPy only knows by DLPack."""

    def __dlpack__(self, **how: Any) -> Any:
        return SIX.reshape(2, 3).__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


class OutOfReach:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError("the tensor is on another device")


@pytest.mark.parametrize(
    "value",
    [
        SIX.reshape(2, 3),
        SIX.reshape(2, 3).astype(np.float16),
        SIX.reshape(2, 3).astype(">f4"),
        np.asfortranarray(SIX.reshape(2, 3)),
        SIX.reshape(2, 3).astype(np.uint8),
        [[0, 1, 2], [3.0, 4, 5]],
        ((0, 1, 2), (3, 4, 5)),
        [np.arange(3), np.arange(3, 6)],
        MLMultiArray(SIX.reshape(2, 3)),
        MLFeatureValue(SIX.reshape(2, 3)),
        memoryview(SIX).cast("B").cast("d", (2, 3)),
        DLPackOnly(),
    ],
)
def test_whatever_holds_the_numbers_becomes_the_declared_array(value: object) -> None:
    accepted = accept(array(2, 3), value)
    assert accepted.dtype == np.float32
    assert accepted.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_torch_tensors_are_taken_gradients_and_all() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    accepted = accept(array(2), torch.tensor([1.0, 2.0], requires_grad=True))
    assert accepted.tolist() == [1.0, 2.0]


def test_an_array_that_fits_is_not_copied() -> None:
    value = np.ones((2, 3), dtype=np.float32)
    assert np.shares_memory(accept(array(2, 3), value), value)


@pytest.mark.parametrize(
    ("declared", "given_shape", "read_as"),
    [
        (array(3), (3,), (3,)),
        (array(3), (1, 3), (3,)),
        (array(3), (1, 1, 3, 1, 1), (3,)),
        (array(1), (), (1,)),
        (array(1, 4), (4,), (1, 4)),
        (array(1, 2, 4), (2, 4), (1, 2, 4)),
        (array(1, 2, 4), (1, 1, 1, 2, 4), (1, 2, 4)),
        (array(1, 1, 1), (1,), (1, 1, 1)),
        (array(2, 3, enumerated_shapes=((2, 3), (5,))), (5,), (5,)),
        (array(2, 3, enumerated_shapes=((2, 3), (5,))), (1, 2, 3), (2, 3)),
        (array(1, 3, size_ranges=(SizeRange(1, 2), SizeRange(3))), (2, 70), (2, 70)),
        (array(1, 3, size_ranges=(SizeRange(1, 2), SizeRange(3))), (70,), (1, 70)),
        (array(), (7, 8), (7, 8)),
    ],
)
def test_shapes_that_are_allowed_or_differ_by_ones_in_front(
    declared: MLFeatureDescription, given_shape: tuple[int, ...], read_as: tuple[int, ...]
) -> None:
    assert accept(declared, np.zeros(given_shape)).shape == read_as


@pytest.mark.parametrize(
    ("declared", "given_shape", "told"),
    [
        (array(3), (4,), r"float32 multi-array of shape \[3\], got a float64 array of shape \[4\]"),
        (array(3), (3, 1), r"shape \[3\], got .*\[3, 1\]"),
        (array(3), (2, 3), r"got .*\[2, 3\]"),
        (array(6), (2, 3), r"got .*\[2, 3\]"),
        (array(1, 28, 28), (28, 28, 1), r"shape \[1, 28, 28\], got .*\[28, 28, 1\]"),
        (array(2, 3, enumerated_shapes=((2, 3), (5,))), (3,), r"shape \[2, 3\] or \[5\], got .*\[3\]"),
        (array(1, 3, size_ranges=(SizeRange(1, 2), SizeRange(3))), (3, 3), r"shape \[1\.\.2, 3\.\.\], got .*\[3, 3\]"),
    ],
)
def test_other_shapes_are_refused(declared: MLFeatureDescription, given_shape: tuple[int, ...], told: str) -> None:
    with pytest.raises(MLFeatureError, match=f"^input 'x': expected an? .*{told}"):
        accept(declared, np.zeros(given_shape))


@pytest.mark.parametrize(
    ("data_type", "value", "told"),
    [
        ("FLOAT32", [0.0, np.nan], r"finite.*got nan at index \[1\]"),
        ("DOUBLE", [[0.0, 1.0], [-np.inf, np.nan]], r"finite.*got -inf at index \[1, 0\]"),
        ("FLOAT32", [0.0, 1e300], r"fit float32, got 1e\+300 at index \[1\]"),
        ("FLOAT16", [70000], r"fit float16, got 70000 at index \[0\]"),
        ("INT32", [1.0, 2.5], r"integers in -2147483648\.\.2147483647, got 2\.5 at index \[1\]"),
        ("INT32", [np.nan], r"integers.*got nan"),
        ("INT32", [2.0**31], r"integers.*got 2147483648\.0"),
        ("INT32", np.array([2.0**31], dtype=np.float32), r"integers.*got 2147483648\.0"),
        ("INT32", np.array([np.inf], dtype=np.float16), "integers.*got inf"),
        ("INT32", [0, 2**31], r"integers.*got 2147483648 at index \[1\]"),
        ("INT32", np.array([2**63], dtype=np.uint64), "integers.*got 9223372036854775808"),
        ("INT8", [128], r"integers in -128\.\.127, got 128"),
        ("INT8", np.array([200], dtype=np.uint8), "integers.*got 200"),
    ],
)
def test_numbers_that_the_declared_type_cannot_hold(data_type: str, value: Any, told: str) -> None:
    with pytest.raises(MLFeatureError, match=f"^training input 'x': expected .*{told}"):
        accept(array(*np.shape(value), data_type=data_type), value, "training input")


def test_models_to_which_nan_means_something_can_have_it() -> None:
    assert np.isnan(accept(array(1, data_type="DOUBLE"), [np.nan], finite=False)).all()
    with pytest.raises(MLFeatureError, match="got nan"):
        accept(array(1, data_type="INT32"), [np.nan], finite=False)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, r"got nothing \(None\)"),
        ("3", "got a str '3'"),
        (b"3", "got a bytes"),
        (True, "got a bool True"),
        ({"a": 1}, "got a dict of 1"),
        ({1, 2}, "got a set of 2"),
        (object(), "got an object with elements of type object"),
        (["1", "2"], "got a list of 2 with elements of type <U1"),
        ([1j], "complex128"),
        (np.array(["a"], dtype=object), "object"),
        ([[1, 2], [3]], "got a list of 2, which is no array"),
        (Image.new("L", (1, 1)), "got an image 1x1 of mode L"),
        (OutOfReach(), "OutOfReach, which is no array: the tensor is on another device"),
        (MLFeatureValue.image(np.zeros((1, 1), dtype=np.uint8)), "got an image"),
    ],
)
def test_what_holds_no_numbers_is_refused(value: object, told: str) -> None:
    with pytest.raises(MLFeatureError, match=rf"^input 'x': expected a float32 multi-array of shape \[1\].*{told}"):
        accept(array(1), value)


def test_a_state_is_not_given_as_a_value() -> None:
    with pytest.raises(MLFeatureError, match="input 'cache': a state cannot be given"):
        accept(STATE, np.zeros(2))


@given(arrays.arrays(np.float64, 5, elements=st.one_of(st.integers(-(2**33), 2**33).map(float), st.floats(width=64))))
def test_integers_are_held_exactly_or_refused(values: Any) -> None:
    fits = all(np.isfinite(value) and float(value).is_integer() and -(2**31) <= value < 2**31 for value in values)
    if fits:
        assert accept(array(5, data_type="INT32"), values).tolist() == [int(value) for value in values]
    else:
        with pytest.raises(MLFeatureError, match="integers"):
            accept(array(5, data_type="INT32"), values)


def test_standard_arrays_are_arrays_too() -> None:
    assert accept(array(3, data_type="INT32"), standard.array("q", [1, 2, 3])).tolist() == [1, 2, 3]
