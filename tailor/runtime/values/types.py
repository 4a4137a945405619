"""The kinds of feature, of array element and of image colour that a model can declare; numbers are Core ML's own."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class MLFeatureType(IntEnum):
    """What kind of value a feature holds."""

    INVALID = 0
    INT64 = 1
    DOUBLE = 2
    STRING = 3
    IMAGE = 4
    MULTI_ARRAY = 5
    DICTIONARY = 6
    SEQUENCE = 7
    STATE = 8


class MLMultiArrayDataType(IntEnum):
    """The element type of a multi-array."""

    DOUBLE = 65600
    FLOAT32 = 65568
    FLOAT16 = 65552
    INT32 = 131104
    INT8 = 131080

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The NumPy dtype of such elements."""
        return _DTYPES[self]

    @classmethod
    def of(cls, dtype: np.dtype[np.generic]) -> MLMultiArrayDataType | None:
        """The element type with exactly this dtype (in either byte order), or ``None``."""
        return next((data_type for data_type, known in _DTYPES.items() if known == dtype.newbyteorder("=")), None)


_DTYPES: dict[MLMultiArrayDataType, np.dtype[np.generic]] = {
    MLMultiArrayDataType.DOUBLE: np.dtype(np.float64),
    MLMultiArrayDataType.FLOAT32: np.dtype(np.float32),
    MLMultiArrayDataType.FLOAT16: np.dtype(np.float16),
    MLMultiArrayDataType.INT32: np.dtype(np.int32),
    MLMultiArrayDataType.INT8: np.dtype(np.int8),
}


class MLColorSpace(IntEnum):
    """The pixels that an image feature holds; the format's ``ImageFeatureType.ColorSpace``."""

    GRAYSCALE = 10
    RGB = 20
    BGR = 30
    GRAYSCALE_FLOAT16 = 40

    @property
    def is_gray(self) -> bool:
        """Whether a pixel is one number."""
        return self in (MLColorSpace.GRAYSCALE, MLColorSpace.GRAYSCALE_FLOAT16)

    @property
    def phrase(self) -> str:
        """How error messages call it."""
        return {10: "grayscale", 20: "RGB", 30: "BGR", 40: "grayscale float16"}[self.value]
