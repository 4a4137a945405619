"""Numbers, strings, dictionaries and sequences: checked, and in Python's own types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import MLFeatureError
from .constraints import MLDictionaryConstraint, MLSequenceConstraint
from .types import MLFeatureType
from .wording import quoted, wording

_INT64 = range(-(2**63), 2**63)


def accept_int64(value: object, where: str) -> int:
    """An int64 from an integer of Python or NumPy, an array of one, or a float that is a whole number; no boolean."""
    number = _plain(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or number not in _INT64:
        raise MLFeatureError(f"{where}: expected an int64, got {wording(value)}")
    return number


def accept_double(value: object, where: str, *, finite: bool = True) -> float:
    """A double from a number of Python or NumPy, or an array of one; NaN and infinity where ``finite`` is false."""
    number = _plain(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise MLFeatureError(f"{where}: expected a double, got {wording(value)}")
    try:
        double = float(number)
    except OverflowError as error:
        raise MLFeatureError(f"{where}: expected a double, got {wording(value)}") from error
    if finite and not math.isfinite(double):
        raise MLFeatureError(f"{where}: expected a finite double, got {double}")
    return double


def accept_string(value: object, where: str) -> str:
    """A string; nothing else is turned into one."""
    if not isinstance(value, str):
        raise MLFeatureError(f"{where}: expected a string, got {wording(value)}")
    return str(value)


def accept_dictionary(constraint: MLDictionaryConstraint, value: object, where: str, *, finite: bool = True) -> dict[Any, float]:
    """A dictionary whose keys are all of the declared type, and its values doubles as ``accept_double`` takes; in the order given."""
    if not isinstance(value, Mapping):
        raise MLFeatureError(f"{where}: expected {constraint.phrase}, got {wording(value)}")
    accept_key = accept_int64 if constraint.key_type is MLFeatureType.INT64 else accept_string
    return {
        accept_key(key, f"{where}: key"): accept_double(number, f"{where}: value of {quoted(key)}", finite=finite)
        for key, number in value.items()
    }


def accept_sequence(constraint: MLSequenceConstraint, value: object, where: str) -> list[Any]:
    """A list of int64 or of strings, as long as is declared."""
    if isinstance(value, (str, bytes)) or not (isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim == 1)):
        raise MLFeatureError(f"{where}: expected {constraint.phrase}, got {wording(value)}")
    if len(value) not in constraint.count_range:
        raise MLFeatureError(f"{where}: expected {constraint.phrase}, got {len(value)} of them")
    accept_item = accept_int64 if constraint.value_type is MLFeatureType.INT64 else accept_string
    return [accept_item(item, f"{where}: item {index}") for index, item in enumerate(value)]


def _plain(value: object) -> object:
    """A NumPy scalar, or an array (of any library) of one number, as Python's number; anything else as it is."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if getattr(value, "shape", None) in ((), (1,)) and callable(item := getattr(value, "item", None)):
        number: object = item()
        return number
    return value
