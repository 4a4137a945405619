"""What comes from callers, checked against a model's description.

Canonical values, the only ones that travel inside: int64 ``int``; double ``float``; string ``str``; multi-array an
array of the declared element type and an allowed shape; image uint8 ``[H, W]`` or ``[H, W, 3]`` in RGB order (float16
``[H, W]`` for ``GRAYSCALE_FLOAT16``) of an allowed size; dictionary ``dict``; sequence ``list``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import MLFeatureError
from .arrays import accept_array, as_array, cast, fit_shape
from .constraints import MLDictionaryConstraint, MLFeatureDescription, MLImageConstraint, MLMultiArrayConstraint, MLSequenceConstraint
from .feature import MLFeatureValue
from .framing import WHOLE
from .images import accept_image, accept_image_arrays
from .multi_array import MLMultiArray
from .scalars import accept_dictionary, accept_double, accept_int64, accept_sequence, accept_string
from .types import MLFeatureType
from .wording import wording

Column: TypeAlias = NDArray[Any] | Sequence[Any]


def accept(description: MLFeatureDescription, value: object, who: str = "input", *, finite: bool = True) -> Any:
    """``value`` as the canonical value of the described feature. Arrays that are canonical already are not copied.

    ``who`` says what the feature is to its model, and where it came from: ``"input"``, ``"example 3: training input"``.
    ``finite`` false lets NaN and infinity into multi-arrays, doubles and dictionaries, for models to which they mean something.

    Raises ``MLFeatureError``: ``input 'drawing': expected an image 28x28 grayscale, got ...``.
    """
    where = f"{who} {description.name!r}"
    framing = WHOLE
    if isinstance(value, MLFeatureValue):
        if value.is_undefined:
            raise MLFeatureError(f"{where}: expected {description.phrase}, got an undefined value")
        framing = value.framing
        if value.type is MLFeatureType.IMAGE and description.type is not MLFeatureType.IMAGE:
            raise MLFeatureError(f"{where}: expected {description.phrase}, got an image")
        value = value.value
    if isinstance(value, MLMultiArray):
        value = value.numpy()
    match description.constraint:
        case MLMultiArrayConstraint() as constraint if description.type is MLFeatureType.MULTI_ARRAY:
            return accept_array(constraint, value, where, finite=finite)
        case MLImageConstraint() as constraint:
            return accept_image(constraint, value, where, framing)
        case MLDictionaryConstraint() as constraint:
            return accept_dictionary(constraint, value, where, finite=finite)
        case MLSequenceConstraint() as constraint:
            return accept_sequence(constraint, value, where)
    if description.type is MLFeatureType.INT64:
        return accept_int64(value, where)
    if description.type is MLFeatureType.DOUBLE:
        return accept_double(value, where, finite=finite)
    if description.type is MLFeatureType.STRING:
        return accept_string(value, where)
    raise MLFeatureError(f"{where}: {description.phrase} cannot be given as a value, got {wording(value)}")


def accept_column(
    description: MLFeatureDescription,
    values: Sequence[Any] | NDArray[Any],
    who: str = "input",
    numbers: Sequence[int] | None = None,
    *,
    finite: bool = True,
) -> Column:
    """One feature of many examples as a column of canonical values: an array with the examples in front, else a list.

    Numbers become int64 or float64 ``[N]``; multi-arrays and images of one shape are stacked (always copied); everything
    else is a list. ``numbers`` are what the errors call the examples, ``example 3: input 'image': ...``; ``None`` says that
    there is but one, which needs no number.

    Raises ``MLFeatureError`` as ``accept`` does, for the first example that does not fit.
    """
    if len(values) == 0:
        return _stacked(description, [])
    quick = _quick_column(description, values, finite)
    if quick is not None:
        return quick
    accepted = []
    for place, value in enumerate(values):
        told = who if numbers is None else f"example {numbers[place]}: {who}"
        accepted.append(accept(description, value, told, finite=finite))
    return _stacked(description, accepted)


def default_value(description: MLFeatureDescription) -> NDArray[Any] | None:
    """The canonical value that stands for an optional feature that is absent, where the model declares one."""
    constraint = description.constraint
    if not isinstance(constraint, MLMultiArrayConstraint) or constraint.default_value is None:
        return None
    return np.full(constraint.shape, constraint.default_value, dtype=constraint.data_type.dtype)


def _quick_column(description: MLFeatureDescription, values: Sequence[Any] | NDArray[Any], finite: bool) -> Column | None:
    """The column where all values are arrays of one shape and dtype, checked as one; ``None`` where they are not, or do not fit.

    Who does not fit is then found one by one.
    """
    constraint = description.constraint
    if not isinstance(constraint, (MLMultiArrayConstraint, MLImageConstraint)) or description.type is MLFeatureType.STATE:
        return None
    if isinstance(values, np.ndarray):
        stacked = np.array(values)
    else:
        first = values[0]
        if not isinstance(first, np.ndarray):
            return None
        if not all(isinstance(value, np.ndarray) and value.shape == first.shape and value.dtype == first.dtype for value in values):
            return None
        stacked = np.stack(values) if len(values) > 1 else np.array(first[None])  # half as long
    try:
        as_array(stacked, "", "")
        if isinstance(constraint, MLImageConstraint):
            return accept_image_arrays(constraint, stacked, "")
        shape = fit_shape(constraint, stacked.shape[1:])
        return None if shape is None else cast(stacked, constraint.data_type, "", finite=finite).reshape(len(values), *shape)
    except MLFeatureError:
        return None


def _stacked(description: MLFeatureDescription, accepted: list[Any]) -> Column:
    """Canonical values as a column."""
    if description.type is MLFeatureType.INT64:
        return np.array(accepted, dtype=np.int64)
    if description.type is MLFeatureType.DOUBLE:
        return np.array(accepted, dtype=np.float64)
    if accepted and isinstance(accepted[0], np.ndarray) and all(value.shape == accepted[0].shape for value in accepted):
        return np.stack(accepted)
    return accepted
