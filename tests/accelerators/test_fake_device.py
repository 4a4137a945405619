"""The fake device refuses what CuPy refuses, and offers nothing that CuPy has not."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, gammaln

from tailor.kernels import OPS
from tailor.runtime.accelerators.testing import ELEMENTWISE, FUNCTIONS, FakeArray, FakeDevice, FakeDeviceError, FakeOutOfMemoryError
from tests.accelerators.test_ops import cases, hold


def row(device: FakeDevice, count: int = 4) -> Any:
    return device.put(np.arange(count, dtype=np.float32))


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda x: np.asarray(x), TypeError),
        (lambda x: np.array(x), TypeError),
        (lambda x: np.ascontiguousarray(x), TypeError),
        (lambda x: x + np.ones(4, np.float32), TypeError),
        (lambda x: np.add(np.ones(4), x), TypeError),
        (lambda x: np.add(x, x, where=x > 0), TypeError),
        (lambda x: np.add(x, 1.0, out=np.empty(4)), TypeError),
        (lambda x: np.where(np.ones(4, bool), x, 0.0), TypeError),
        (lambda x: np.concatenate([x, np.ones(4)]), TypeError),
        (lambda x: x.__setitem__(slice(0, 2), np.ones(2)), TypeError),
        (lambda x: np.full(3, 1.0, like=x), TypeError),
        (lambda x: np.unwrap(x), TypeError),
        (lambda x: gammaln(x), TypeError),
        (lambda x: x.astype(object), ValueError),
        (lambda x: x + FakeDevice("gpu1").put(np.ones(4)), ValueError),
        (lambda x: x.flags.carray, AttributeError),
        (lambda x: len(x.sum()), TypeError),
    ],
)
def test_what_cupy_refuses_is_refused(refused: Callable[[Any], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        refused(row(FakeDevice()))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x[1:3], [1, 2]),
        (lambda x: 2 * x - np.float32(1), [-1, 1, 3, 5]),
        (lambda x: np.zeros((2,), x.dtype, like=x), [0, 0]),
        (lambda x: np.where(x > 1, x, 0.0), [0, 0, 2, 3]),
        (lambda x: np.stack(list(x)), [0, 1, 2, 3]),
        (lambda x: expit(x * 0), [0.5] * 4),
        (lambda x: x.sum(), 6),
        (lambda x: np.zeros_like(x, shape=()), [0] * 4),  # so does CuPy: no shape is the shape of the other
    ],
)
def test_what_is_computed_is_what_numpy_computes_and_stays_there(function: Callable[[Any], Any], expected: object) -> None:
    device = FakeDevice()
    x = row(device)
    found = function(x)
    assert isinstance(found, FakeArray) and (device.put_count, device.get_count) == (1, 0)
    np.testing.assert_allclose(found.get(), expected)


@pytest.mark.parametrize("asked", [float, int, bool, lambda x: x.get(), lambda x: x.item()])
def test_what_comes_back_is_counted(asked: Callable[[Any], object]) -> None:
    device = FakeDevice()
    assert asked(row(device, 2).sum()) == 1
    assert device.get_count == 1


def test_an_index_that_is_here_goes_there_first() -> None:
    device = FakeDevice()
    np.testing.assert_array_equal(row(device)[np.array([3, 0])].get(), [3, 0])
    assert device.put_count == 2


def test_views_share_memory_and_memory_is_given_back() -> None:
    device = FakeDevice(memory=100)
    x = row(device, 20)  # 80 bytes
    part = x[5:].reshape(3, 5)
    part += 1.0
    assert device.used == 80 and float(x[5]) == 6.0
    with pytest.raises(FakeOutOfMemoryError, match="gpu0: out of memory allocating 80 bytes"):
        _ = x * 2
    del x
    assert device.used == 80  # the view keeps it
    del part
    gc.collect()
    assert device.used == 0


def test_a_device_that_vanishes_is_gone_for_good() -> None:
    device = FakeDevice(vanish=2)
    x = row(device) + 1.0
    for function in (lambda: x + 1.0, lambda: x[0], x.get, lambda: row(device), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(FakeDeviceError, match="gpu0: the device is gone"):
            function()


def cupy() -> Any:
    if find_spec("cupy") is None:
        pytest.skip("compares with CuPy, which is not installed (it needs no device for this)")
    return import_module("cupy")


def test_cupy_has_every_function_and_method_that_the_fake_has() -> None:
    library, special = cupy(), import_module("cupyx.scipy.special")
    for name in FUNCTIONS:
        assert callable(reduce(getattr, name.split("."), library)), name
    for name in ELEMENTWISE:
        assert callable(getattr(library, name, None) or getattr(special, name)), name
    for name in vars(FakeArray):
        assert name.startswith("_") or name == "device" or hasattr(library.ndarray, name), name


def test_cupys_functions_take_what_the_ops_ask_of_the_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    library, refused, asked = cupy(), set(), FakeArray.__array_function__

    def compared(self: FakeArray, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        theirs = reduce(getattr, [*func.__module__.split(".")[1:], func.__name__], library)
        try:
            signature(theirs).bind(*args, **kwargs)
        except TypeError as error:
            refused.add(f"{func.__name__}: {error}")
        return asked(self, func, types, args, kwargs)

    monkeypatch.setattr(FakeArray, "__array_function__", compared)
    for case in cases(portable=True):
        hold(OPS[case.op], tuple(np.asarray(array, np.float32) for array in case.arrays), case.attributes)
    assert not refused
