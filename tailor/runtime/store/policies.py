"""How the weights of networks that were trained apart become one network's: by which policy, and what it makes of the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from tailor.kernels import Array

from ..errors import MLModelError, MLStoreError

Weights: TypeAlias = Mapping[str, Array]
"""Flat arrays of the type in which they are stored, by entry name (``dense.weights``)."""

MLMergeFunction: TypeAlias = Callable[[Weights, Sequence[Weights], Sequence[int | None]], Mapping[str, Any]]
"""Makes weights of those of the common ancestor, those of the sides, and how many examples each side has learned from since (``None``
where that is not known). Sides come in the order of their identifiers. What it does not return stays as it is in the ancestor."""

PolicyName: TypeAlias = Literal["average", "latest", "branches"]

MLMergePolicy: TypeAlias = PolicyName | MLMergeFunction
"""How networks that were trained apart are merged: ``"average"`` of their changes by examples learned from, the ``"latest"``, both kept as
``"branches"``, or as a function says. Examples of nearest neighbours are joined whatever the policy is."""


def check_policy(policy: object) -> None:
    """Raises ``MLStoreError`` for anything but a policy."""
    names = get_args(PolicyName)
    if not callable(policy) and policy not in names:
        raise MLStoreError(f"merge: policy: expected {', '.join(map(repr, names))} or a function, got {policy!r:.100}")


def shares(examples: Sequence[int | None]) -> list[float]:
    """How much each side counts in an average, 1 in all: as many examples as it has learned from; all the same where that is not known
    of every side, or none has learned from any."""
    known = [count for count in examples if count is not None]
    total = sum(known)
    if len(known) < len(examples) or not total:
        return [1 / len(examples)] * len(examples)
    return [count / total for count in known]


def averaged(sides: Sequence[Weights], examples: Sequence[int | None], who: str) -> dict[str, Array]:
    """The ancestor's weights and the sides' changes to them, as ``shares`` says; only what is not equal on all sides.

    Since shares are 1 in all, that is the average of the sides' weights, whatever the ancestor's were. It is taken in float64 and
    rounded once, to the type that is stored. Raises ``MLStoreError`` for quantised weights that differ, and for numbers that are
    not finite.
    """
    parts = shares(examples)
    made: dict[str, Array] = {}
    for name in sides[0]:
        arrays = [side[name] for side in sides]
        if all(same_bits(array, arrays[0]) for array in arrays):
            continue
        if len({(array.dtype, array.shape) for array in arrays}) > 1:
            raise MLStoreError(f"{who}: {name}: expected arrays of one size and type, got {' and '.join(map(_told, arrays))}")
        if arrays[0].dtype.kind != "f":
            raise MLStoreError(
                f"{who}: {name}: expected floating-point weights to average, got quantised ones; choose the policy 'latest' or 'branches'"
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise MLStoreError(f"{who}: {name}: expected finite weights to average, got some that are not")
        mean = sum((part * array.astype(np.float64) for part, array in zip(parts, arrays, strict=True)), np.float64(0))
        made[name] = mean.astype(arrays[0].dtype)  # never beyond the largest of them
    return made


def computed(
    function: MLMergeFunction, ancestor: Weights, sides: Sequence[Weights], examples: Sequence[int | None], who: str
) -> dict[str, Array]:
    """What a user's function makes of weights, checked. Raises ``MLStoreError`` where it fails, or returns what does not fit."""
    try:
        returned = function(dict(ancestor), [dict(side) for side in sides], list(examples))
    except MLModelError:
        raise
    except Exception as error:  # somebody else's function: what it raises is told as ours
        raise MLStoreError(f"{who}: the merge function failed: {type(error).__name__}: {error}") from error
    if not isinstance(returned, Mapping):
        raise MLStoreError(f"{who}: expected a mapping of weights from the merge function, got {type(returned).__name__}")
    made: dict[str, Array] = {}
    for name, value in returned.items():
        if name not in ancestor:
            raise MLStoreError(f"{who}: expected the merge function to return weights of the model, got {name!r:.100}")
        made[name] = _fitting(value, ancestor[name], f"{who}: {name}, from the merge function")
    return made


def _fitting(value: Any, like: Array, who: str) -> Array:
    """``value`` as a flat array like another: finite numbers that are rounded to its type; the same bytes of quantised ones."""
    expected = f"{who}: expected {like.size} {'finite numbers that fit' if like.dtype.kind == 'f' else 'numbers of'} {like.dtype}"
    try:
        wide = np.asarray(value, np.float64 if like.dtype.kind == "f" else None).reshape(-1)
    except (TypeError, ValueError) as error:
        raise MLStoreError(f"{expected}, got {error}") from None
    with np.errstate(over="ignore"):
        made = wide.astype(like.dtype)
    finite = bool(np.isfinite(made).all())
    if wide.shape != like.shape or not finite or (like.dtype.kind != "f" and wide.dtype != like.dtype):
        raise MLStoreError(f"{expected}, got {_told(np.asarray(value))}{'' if finite else ', not all finite'}")
    return made


def _told(array: Array) -> str:
    return f"{array.size} of {array.dtype}"


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays have the same bits."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    bits = f"u{one.dtype.itemsize}"
    return bool(np.array_equal(one.view(bits), other.view(bits)))
