"""One value, written as JSON or as text, as what the described feature takes."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MLFeatureError
from ..values import MLFeatureDescription, MLFeatureType, MLMultiArrayConstraint
from .npy import read_array


def from_json(description: MLFeatureDescription, value: object, folder: Path, where: str, within: Path | None = None) -> object:
    """A value read from JSON: an image as a path from ``folder`` or nested lists; a multi-array as a number, lists, or a path of ``.npy``.

    ``within``: paths have to lead below it. Raises ``MLFeatureError``, which ``where`` begins, for lists that are no array and for paths
    without a file.
    """
    return _given(description, value, folder, f"{where}, {description.name!r}", within)


def _given(description: MLFeatureDescription, value: object, folder: Path, named: str, within: Path | None = None) -> object:
    """``from_json`` for a feature that ``named`` names already."""
    is_path = description.type is MLFeatureType.IMAGE or (description.type is MLFeatureType.MULTI_ARRAY and str(value).endswith(".npy"))
    if within is not None and is_path and isinstance(value, str) and not is_within(folder / value, within):
        raise _unfit(description, named, f"the path {value!r:.200}, which leads out of {within}")
    if description.type is MLFeatureType.IMAGE and isinstance(value, str):
        return _existing(folder / value, description, named)
    if description.type is MLFeatureType.MULTI_ARRAY and isinstance(value, str) and value.endswith(".npy"):
        return read_npy(folder / value, description, named)
    if description.type in (MLFeatureType.MULTI_ARRAY, MLFeatureType.IMAGE) and isinstance(value, (list, int, float)):
        return shaped(description, _numbers(value, description, named))
    if description.type is MLFeatureType.DICTIONARY and isinstance(value, dict):
        return _keyed(description, value, named)
    return value


def is_within(path: Path, folder: Path) -> bool:
    """Whether a path, with all its links followed, leads below a folder."""
    return "\0" not in str(path) and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def from_text(description: MLFeatureDescription, text: str, where: str) -> object:
    """A value typed at the command line: a number, text, the path of an image or ``.npy``, else JSON.

    Raises ``MLFeatureError``, which ``where`` begins.
    """
    if description.type is MLFeatureType.STRING:
        return text
    if description.type is MLFeatureType.INT64:
        return whole_number(text, description, where)
    if description.type is MLFeatureType.DOUBLE:
        return number(text, description, where)
    if description.type is MLFeatureType.IMAGE or (description.type is MLFeatureType.MULTI_ARRAY and text.endswith(".npy")):
        return _given(description, text, Path(), where)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        files = " or the path of an .npy file" if description.type is MLFeatureType.MULTI_ARRAY else ""
        raise _unfit(description, where, f"{text!r}, which is not JSON{files}") from None
    return _given(description, value, Path(), where)


def number(text: str, description: MLFeatureDescription, where: str) -> float:
    """A number from text; raises ``MLFeatureError``, which ``where`` begins."""
    try:
        return float(text)
    except ValueError:
        raise _unfit(description, where, repr(text)) from None


def whole_number(text: str, description: MLFeatureDescription, where: str) -> int:
    """A whole number of 64 bits from text, ``3`` or ``3.0``; raises ``MLFeatureError``, which ``where`` begins."""
    try:
        value: float = int(text)
    except ValueError:
        value = number(text, description, where)
    if not math.isfinite(value) or value != int(value) or not -(2**63) <= value < 2**63:
        raise _unfit(description, where, repr(text))
    return int(value)


def shaped(description: MLFeatureDescription, array: NDArray[Any]) -> NDArray[Any]:
    """A flat array in the declared shape, where it holds as many numbers; any other array as it is."""
    constraint = description.constraint
    if isinstance(constraint, MLMultiArrayConstraint) and array.ndim == 1 and array.size == math.prod(constraint.shape):
        return array.reshape(constraint.shape)
    return array


def read_npy(path: Path, description: MLFeatureDescription, where: str) -> NDArray[Any]:
    """The array in an ``.npy`` file; nothing is unpickled. Raises ``MLFeatureError``, which ``where`` begins."""
    try:
        with _existing(path, description, where).open("rb") as stream:
            return read_array(stream, os.fstat(stream.fileno()).st_size)
    except (ValueError, EOFError) as error:
        raise _unfit(description, where, f"{str(path)!r}, which holds no array of numbers ({error})") from None


def _existing(path: Path, description: MLFeatureDescription, where: str) -> Path:
    if not path.is_file():
        raise _unfit(description, where, f"the path {str(path)!r}, where there is no file")
    return path


def _numbers(value: object, description: MLFeatureDescription, where: str) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        raise _unfit(description, where, "lists of different lengths") from None
    if array.dtype.kind not in "iuf":
        raise _unfit(description, where, f"a list that does not hold numbers only: {str(value)[:60]}")
    return array


def _keyed(description: MLFeatureDescription, value: dict[str, Any], where: str) -> dict[Any, Any]:
    """A dictionary whose keys are integers where the feature's are: JSON has only text there."""
    if getattr(description.constraint, "key_type", None) is not MLFeatureType.INT64:
        return value
    return {whole_number(key, description, f"{where}, key {key!r}"): item for key, item in value.items()}


def _unfit(description: MLFeatureDescription, where: str, got: str) -> MLFeatureError:
    return MLFeatureError(f"{where}: expected {description.phrase}, got {got}")
