"""MLFeatureValue: one value of one of Core ML's types."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..errors import MLFeatureError
from .framing import WHOLE, Framing, MLImageOption
from .multi_array import MLMultiArray
from .scalars import accept_double, accept_int64, accept_string
from .types import MLFeatureType
from .wording import wording


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
class MLFeatureValue:
    """A value and its type. ``MLFeatureValue(value)`` infers the type; the named constructors state it.

    Integers are ``INT64``, floats ``DOUBLE``, strings ``STRING``, Pillow images and ``Path`` objects ``IMAGE``, mappings
    ``DICTIONARY``, lists and tuples of strings ``SEQUENCE``; all else that holds numbers is a ``MULTI_ARRAY``.
    What a model takes is decided when it is given the value: an array will do for an image, an integer for a double.
    ``framing`` says what of an image is used, and how.

    Raises ``MLFeatureError`` for a boolean, ``None`` and whatever holds no value of these types.
    """

    type: MLFeatureType
    value: Any
    framing: Framing

    # Holds arrays, which can change.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: object) -> None:
        self._hold(*(value.type, value.value, value.framing) if isinstance(value, MLFeatureValue) else _inferred(value))

    def _hold(self, feature_type: MLFeatureType, value: object, framing: Framing = WHOLE) -> None:
        object.__setattr__(self, "type", feature_type)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "framing", framing)

    @classmethod
    def _of(cls, feature_type: MLFeatureType, value: object, framing: Framing = WHOLE) -> MLFeatureValue:
        made = cls.__new__(cls)
        made._hold(feature_type, value, framing)
        return made

    @classmethod
    def undefined(cls, feature_type: MLFeatureType) -> MLFeatureValue:
        """A value of this type that is not there: to a model it is as if the feature were absent."""
        return cls._of(MLFeatureType(feature_type), None)

    @classmethod
    def int64(cls, value: object) -> MLFeatureValue:
        """An int64."""
        return cls._of(MLFeatureType.INT64, accept_int64(value, "MLFeatureValue"))

    @classmethod
    def double(cls, value: object) -> MLFeatureValue:
        """A double."""
        return cls._of(MLFeatureType.DOUBLE, accept_double(value, "MLFeatureValue", finite=False))

    @classmethod
    def string(cls, value: object) -> MLFeatureValue:
        """A string."""
        return cls._of(MLFeatureType.STRING, accept_string(value, "MLFeatureValue"))

    @classmethod
    def image(cls, value: object, *, orientation: int | None = None, options: Mapping[MLImageOption, Any] | None = None) -> MLFeatureValue:
        """An image: a path, a Pillow image or an array of pixels. It is read when a model is given it.

        ``orientation`` (EXIF's 1 to 8, as ``CGImagePropertyOrientation``) is how the pixels are stored; without it, as the
        file says. ``options`` say which part is used, and how that is brought to the size that the model takes.
        Raises ``MLFeatureError`` for an orientation or option that there is not.
        """
        framing = Framing.of(orientation, options)
        if isinstance(value, (str, os.PathLike, Image.Image, np.ndarray)):
            return cls._of(MLFeatureType.IMAGE, value, framing)
        return cls._of(MLFeatureType.IMAGE, np.asarray(MLMultiArray(value)), framing)

    @classmethod
    def multi_array(cls, value: object) -> MLFeatureValue:
        """A multi-array: an ``MLMultiArray``, or what one can be made from."""
        return cls._of(MLFeatureType.MULTI_ARRAY, value if isinstance(value, MLMultiArray) else MLMultiArray(value))

    @classmethod
    def dictionary(cls, value: object) -> MLFeatureValue:
        """A dictionary from integers or strings to numbers (copied)."""
        if not isinstance(value, Mapping):
            raise MLFeatureError(f"MLFeatureValue: expected a mapping, got {wording(value)}")
        return cls._of(MLFeatureType.DICTIONARY, dict(value))

    @classmethod
    def sequence(cls, value: object) -> MLFeatureValue:
        """A sequence of integers or strings (copied)."""
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise MLFeatureError(f"MLFeatureValue: expected a sequence, got {wording(value)}")
        return cls._of(MLFeatureType.SEQUENCE, list(value))

    @property
    def is_undefined(self) -> bool:
        """Whether there is no value, only a type."""
        return self.value is None

    @property
    def int64_value(self) -> int:
        """The int64; raises ``MLFeatureError`` where this is of another type, as each of these does."""
        return int(self._only(MLFeatureType.INT64))

    @property
    def double_value(self) -> float:
        """The double."""
        return float(self._only(MLFeatureType.DOUBLE))

    @property
    def string_value(self) -> str:
        """The string."""
        return str(self._only(MLFeatureType.STRING))

    @property
    def image_value(self) -> Any:
        """The image, as it was given: a path, a Pillow image or an array."""
        return self._only(MLFeatureType.IMAGE)

    @property
    def multi_array_value(self) -> MLMultiArray:
        """The multi-array."""
        held: MLMultiArray = self._only(MLFeatureType.MULTI_ARRAY)
        return held

    @property
    def dictionary_value(self) -> dict[Any, Any]:
        """The dictionary."""
        held: dict[Any, Any] = self._only(MLFeatureType.DICTIONARY)
        return held

    @property
    def sequence_value(self) -> list[Any]:
        """The sequence."""
        held: list[Any] = self._only(MLFeatureType.SEQUENCE)
        return held

    def _only(self, wanted: MLFeatureType) -> Any:
        if self.type is not wanted:
            raise MLFeatureError(f"MLFeatureValue: expected one of type {wanted.name}, got {self.type.name}")
        if self.is_undefined:
            raise MLFeatureError(f"MLFeatureValue: expected a value of type {wanted.name}, got an undefined one")
        return self.value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MLFeatureValue):
            return NotImplemented
        if (self.type, self.framing) != (other.type, other.framing):
            return False
        mine, theirs = self.value, other.value
        if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
            return type(mine) is type(theirs) and np.array_equal(mine, theirs)
        return bool(mine == theirs)

    def __repr__(self) -> str:
        held = "undefined" if self.is_undefined else repr(self.value) if isinstance(self.value, MLMultiArray) else wording(self.value)
        return f"<MLFeatureValue {self.type.name}: {held}>"


def _inferred(value: object) -> tuple[MLFeatureType, object]:
    """The type that a value has by itself, and the value as it is held."""
    kind = MLFeatureType
    if value is None or isinstance(value, (bool, np.bool_, bytes, bytearray)):
        raise MLFeatureError(f"MLFeatureValue: expected a number, text, image, array, dictionary or sequence, got {wording(value)}")
    if isinstance(value, (int, np.integer)):
        return kind.INT64, accept_int64(value, "MLFeatureValue")
    if isinstance(value, (float, np.floating)):
        return kind.DOUBLE, accept_double(value, "MLFeatureValue", finite=False)
    if isinstance(value, str):
        return kind.STRING, str(value)
    if isinstance(value, (Image.Image, os.PathLike)):
        return kind.IMAGE, value
    if isinstance(value, Mapping):
        return kind.DICTIONARY, dict(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return kind.SEQUENCE, list(value)
    return kind.MULTI_ARRAY, value if isinstance(value, MLMultiArray) else MLMultiArray(value)
