"""For tests of what runs on accelerators: a device that is none.

Its arrays take part in NumPy's dispatch protocols as those of CuPy do, and refuse what those refuse: conversion to NumPy's own
arrays unless it is asked for by name, arithmetic together with them, ``where`` in element-wise functions, types that are no
numbers, and every function that CuPy does not have. What goes there and back is counted. The device can run out of memory, and
vanish in the middle of anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import numpy as np

from tailor.kernels import Array

from .device import on_device

_FUNCTIONS = """
    all amax amin any arange argmax argmin argsort around array array_split asarray ascontiguousarray broadcast_arrays broadcast_to clip
    concatenate copy copyto count_nonzero cumprod cumsum diagonal einsum empty empty_like expand_dims eye flip full full_like hstack
    max mean min moveaxis nonzero ones ones_like outer pad prod ravel repeat reshape roll round searchsorted sort split squeeze stack
    std sum swapaxes take take_along_axis tensordot tile trace transpose tril triu var vstack where zeros zeros_like
    lib.stride_tricks.as_strided lib.stride_tricks.sliding_window_view
"""
_ELEMENTWISE = """
    absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or bitwise_xor ceil copysign cos cosh divide
    equal exp exp2 expm1 fabs floor floor_divide fmax fmin fmod greater greater_equal hypot invert isfinite isinf isnan less less_equal
    log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul maximum minimum multiply negative nextafter
    not_equal power reciprocal remainder rint sign signbit sin sinh sqrt square subtract tan tanh trunc
    erf erfc expit log_expit logit
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Functions of NumPy, besides the element-wise ones, that CuPy has under the same name; others are refused."""

ELEMENTWISE = frozenset(_ELEMENTWISE.split())
"""Element-wise functions that CuPy has: NumPy's, and of SciPy's those that networks use."""

_SCALARS = (bool, int, float, np.bool_, np.number)


class FakeDeviceError(RuntimeError):
    """The device is gone, as a driver would say it."""


class FakeOutOfMemoryError(MemoryError):
    """The device has too little memory left."""


class FakeDevice:
    """A device that computes here.

    ``memory``   bytes that all arrays there may have together; what is beyond raises ``FakeOutOfMemoryError``.
    ``vanish``   after so many operations the device is gone: from then on each raises ``FakeDeviceError``. ``None``: never.
    ``used``     bytes of the arrays there now; ``operations``: how many there were; ``put_count`` and ``get_count``: how many arrays went
                 there, and how many came back, single numbers that were asked for (``float(x)``, ``if x``) among them.
    """

    def __init__(self, name: str = "gpu0", memory: int = 1 << 30, vanish: int | None = None) -> None:
        self.name = name
        self.model = "fake"
        self.memory = memory
        self.vanish = vanish
        self.used = 0
        self.operations = 0
        self.put_count = 0
        self.get_count = 0

    def __repr__(self) -> str:
        return f"<FakeDevice {self.name}: {self.used} of {self.memory} bytes used after {self.operations} operations>"

    @property
    def transfers(self) -> int:
        """How many arrays went there or came back."""
        return self.put_count + self.get_count

    def at_work(self) -> AbstractContextManager[None]:
        """See ``Device``."""
        return on_device(self)

    def put(self, array: Array) -> Any:
        """See ``Device``."""
        self.put_count += 1
        return self._made(np.array(array, order="C"))

    def get(self, array: Any) -> Array:
        """See ``Device``."""
        if not isinstance(array, FakeArray):
            raise TypeError(f"expected an array of {self.name}, got {type(array).__name__}")
        return array.get()

    def full(self, error: BaseException) -> bool:
        """See ``Device``."""
        return isinstance(error, FakeOutOfMemoryError)

    def gone(self, error: BaseException) -> bool:
        """See ``Device``."""
        return isinstance(error, FakeDeviceError)

    def _operate(self) -> None:
        """Counts an operation, which may be the last."""
        self.operations += 1
        if self.vanish is not None and self.operations > self.vanish:
            raise FakeDeviceError(f"{self.name}: the device is gone")

    def _made(self, data: Any) -> Any:
        """What an operation has made, as arrays of this device."""
        if isinstance(data, tuple | list):
            return type(data)(self._made(part) for part in data)
        self._operate()
        data = np.asarray(data)
        if data.dtype.kind not in "biufc":
            raise ValueError(f"Unsupported dtype {data.dtype}")
        return FakeArray(self, data, _Room(self, data.nbytes))

    def _view(self, data: Array, room: _Room) -> FakeArray:
        return FakeArray(self, np.asarray(data), room)


class _Room:
    """Memory of an array and all views of it, given back with the last of them."""

    def __init__(self, device: FakeDevice, size: int) -> None:
        self.device, self.size = device, 0
        if device.used + size > device.memory:
            raise FakeOutOfMemoryError(f"{device.name}: out of memory allocating {size} bytes (allocated so far: {device.used} bytes)")
        self.size = size
        device.used += size

    def __del__(self) -> None:
        self.device.used -= self.size


def _delegated(name: str) -> Callable[..., Any]:
    def method(self: FakeArray, *args: Any, **kwargs: Any) -> Any:
        return self._run(getattr(np.ndarray, name), (self, *args), kwargs)

    return method


class FakeArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a ``FakeDevice``. Made by ``FakeDevice.put`` and by functions of NumPy on others."""

    __slots__ = ("__weakref__", "_data", "_room", "device")

    def __init__(self, device: FakeDevice, data: Array, room: _Room) -> None:
        self.device, self._data, self._room = device, data, room

    # -- what it is

    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    nbytes = property(lambda self: self._data.nbytes)
    itemsize = property(lambda self: self._data.itemsize)
    strides = property(lambda self: self._data.strides)
    T = property(lambda self: self.transpose())

    @property
    def flags(self) -> SimpleNamespace:
        """The three that CuPy has."""
        own = self._data.flags
        return SimpleNamespace(c_contiguous=own.c_contiguous, f_contiguous=own.f_contiguous, owndata=own.owndata)

    def __repr__(self) -> str:
        return f"<FakeArray {self.dtype} {list(self.shape)} on {self.device.name}>"

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    # -- the way back, which has to be asked for

    def get(self) -> Array:
        """A copy here."""
        self.device._operate()
        self.device.get_count += 1
        return np.array(self._data)

    def item(self) -> Any:
        """The only number."""
        return self.get().item()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.")

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __index__(self) -> int:
        return self.get().__index__()

    def __float__(self) -> float:
        return float(self.get())

    # -- computing

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc.__name__ not in ELEMENTWISE or method not in ("__call__", "outer", "at", "reduce", "accumulate", "reduceat"):
            return NotImplemented
        strange = kwargs.keys() - {"out", "dtype", "casting", "axis", "keepdims", "axes"}
        if strange:
            raise TypeError(f"Wrong arguments {strange}")
        for given in (*inputs, *kwargs.get("out", ())):
            if not isinstance(given, (FakeArray, np.ndarray, *_SCALARS)):
                return NotImplemented
        return self._run(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = f"{func.__module__}.{func.__name__}".removeprefix("numpy.")
        if name not in FUNCTIONS or not all(issubclass(one, FakeArray | np.ndarray) for one in types):
            return NotImplemented
        if "device" in kwargs:  # NumPy 2 passes it on from full, ones and eye
            raise TypeError(f"{name}() got an unexpected keyword argument 'device'")
        if name.endswith("_like") and not kwargs.get("shape", True):  # CuPy takes () for no shape
            kwargs = {key: value for key, value in kwargs.items() if key != "shape"}
        return self._run(func, args, kwargs)

    def _run(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``func`` of the numbers, and its answers as arrays of this device; those that lie in an argument's memory as views of it."""
        taken: list[FakeArray] = []
        made = func(*(self._bare(one, taken) for one in args), **{key: self._bare(one, taken) for key, one in kwargs.items()})
        if made is None:
            self.device._operate()
        return self._dressed(made, taken)

    def _bare(self, given: Any, taken: list[FakeArray]) -> Any:
        """An argument as NumPy takes it."""
        if isinstance(given, FakeArray):
            if given.device is not self.device:
                raise ValueError(f"expected arrays of {self.device.name}, got one of {given.device.name}")
            taken.append(given)
            return given._data
        if isinstance(given, np.ndarray):
            raise TypeError(f"Unsupported type {type(given)}")
        if isinstance(given, tuple | list):
            return type(given)(self._bare(part, taken) for part in given)
        return given

    def _dressed(self, made: Any, taken: list[FakeArray]) -> Any:
        if isinstance(made, tuple | list):
            return type(made)(self._dressed(part, taken) for part in made)
        if made is None:
            return None
        data = np.asarray(made)
        for one in taken:
            if data.size and np.may_share_memory(data, one._data):
                self.device._operate()
                return one if data is one._data else self.device._view(data, one._room)
        return self.device._made(data)

    def _index(self, at: Any) -> Any:
        """An index as NumPy takes it; one that is an array here goes there first."""
        parts = at if isinstance(at, tuple) else (at,)
        bare = []
        for part in parts:
            if isinstance(part, FakeArray):
                bare.append(part._data)
            else:
                self.device.put_count += isinstance(part, np.ndarray | list)
                bare.append(part)
        return tuple(bare) if isinstance(at, tuple) else bare[0]

    def __getitem__(self, at: Any) -> Any:
        return self._dressed(self._data[self._index(at)], [self])

    def __setitem__(self, at: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError(f"Unsupported type {type(value)}")
        self.device._operate()
        self._data[self._index(at)] = value._data if isinstance(value, FakeArray) else value

    all = _delegated("all")
    any = _delegated("any")
    argmax = _delegated("argmax")
    argmin = _delegated("argmin")
    argsort = _delegated("argsort")
    astype = _delegated("astype")
    clip = _delegated("clip")
    copy = _delegated("copy")
    cumprod = _delegated("cumprod")
    cumsum = _delegated("cumsum")
    dot = _delegated("dot")
    fill = _delegated("fill")
    max = _delegated("max")
    mean = _delegated("mean")
    min = _delegated("min")
    prod = _delegated("prod")
    ravel = _delegated("ravel")
    repeat = _delegated("repeat")
    reshape = _delegated("reshape")
    round = _delegated("round")
    squeeze = _delegated("squeeze")
    std = _delegated("std")
    sum = _delegated("sum")
    swapaxes = _delegated("swapaxes")
    take = _delegated("take")
    transpose = _delegated("transpose")
    var = _delegated("var")
    view = _delegated("view")
