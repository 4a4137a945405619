"""MLMultiArray: Core ML's name for an array, over a NumPy array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import as_array, cast
from .types import MLMultiArrayDataType


class MLMultiArray:
    """A thin view over a NumPy array of one of Core ML's element types.

    ``source`` is an array, a number, a nested list, or anything that offers ``__array__`` or ``__dlpack__``. It is viewed,
    not copied, where its elements are of ``data_type`` already; without ``data_type`` floats keep their precision and
    integers and booleans become ``INT32``. Indexing is NumPy's.

    Raises ``MLFeatureError`` where ``source`` holds no numbers, or integers that ``data_type`` cannot hold.
    """

    __slots__ = ("_array", "_data_type")

    # Compared by value and able to change: not for sets or keys.
    __hash__ = None  # type: ignore[assignment]

    _array: NDArray[Any]
    _data_type: MLMultiArrayDataType

    def __init__(self, source: object, data_type: MLMultiArrayDataType | None = None) -> None:
        if isinstance(source, MLMultiArray):
            source = source._array
        array = as_array(source, "MLMultiArray", "numbers")
        wanted = MLMultiArrayDataType(data_type) if data_type is not None else MLMultiArrayDataType.of(array.dtype)
        if wanted is None:
            wanted = MLMultiArrayDataType.DOUBLE if array.dtype.kind == "f" else MLMultiArrayDataType.INT32
        self._data_type = wanted
        self._array = cast(array, wanted, "MLMultiArray", finite=False)

    @classmethod
    def from_shape(cls, shape: tuple[int, ...] | list[int], data_type: MLMultiArrayDataType) -> MLMultiArray:
        """An array of zeros. Raises ``ValueError`` for a negative size."""
        return cls(np.zeros(tuple(shape), dtype=MLMultiArrayDataType(data_type).dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self._array.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """How many elements (not bytes, as Core ML counts) lie between neighbours on each axis."""
        return tuple(stride // self._array.itemsize for stride in self._array.strides)

    @property
    def data_type(self) -> MLMultiArrayDataType:
        """The element type."""
        return self._data_type

    @property
    def count(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    def numpy(self) -> NDArray[Any]:
        """The array itself, not a copy."""
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy:
            return np.array(self._array, dtype=dtype)
        if copy is False and dtype is not None and np.dtype(dtype) != self._array.dtype:
            raise ValueError(f"MLMultiArray: a view as {np.dtype(dtype)} of {self._array.dtype} elements needs a copy")
        return np.asarray(self._array, dtype=dtype)

    def __getitem__(self, index: Any) -> Any:
        return self._array[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._array[index] = value

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._array)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MLMultiArray):
            return NotImplemented
        return self.data_type is other.data_type and np.array_equal(self._array, other._array)

    def __repr__(self) -> str:
        return f"<MLMultiArray {self.data_type.name} {list(self.shape)}>"
