"""What can become of one value of a base (``FORMAT.md`` section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..errors import RecordError, brief
from .tensor import NAMES, Array, stored_dtype

Content: TypeAlias = "Array | Sequence[str] | Sequence[int]"

WIDE = "f4"


@dataclass(frozen=True, slots=True, eq=False)
class SetValue:
    """The value replaces the base's. A tensor (not copied: leave it alone), or strings, or integers.

    ``wide``: ``"f4"`` where the tensor is an f2 that stands for the f4 of the same numbers; otherwise ``None``. Raises ``RecordError``
    for anything else.
    """

    value: Content
    wide: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", content(self.value, "value"))
        _check_wide(self.value, self.wide)

    def __repr__(self) -> str:
        return f"SetValue({brief(self.value)}{_as(self.wide)})"


@dataclass(frozen=True, slots=True, eq=False)
class AppendRows:
    """The value's rows come behind the base's, of which there are exactly ``count``.

    A row is what the first axis counts, or an item of a list; ``wide`` as ``SetValue`` has it. Raises ``RecordError`` for a tensor of
    rank 0.
    """

    value: Content
    count: int
    wide: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", content(self.value, "value"))
        _check_rows(self.value, self.count)
        _check_wide(self.value, self.wide)

    def __repr__(self) -> str:
        return f"AppendRows({brief(self.value)}, count={self.count}{_as(self.wide)})"


@dataclass(frozen=True, slots=True, eq=False)
class EditRows:
    """Of the base's rows, of which there are exactly ``count``, those in ``removed`` go; the value's rows come behind what is left.

    ``removed``: their places in the base, from 0, ascending, at least one; kept as a u4 tensor. Otherwise as ``AppendRows``.
    """

    value: Content
    count: int
    removed: Array | Sequence[int]
    wide: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", content(self.value, "value"))
        _check_rows(self.value, self.count)
        _check_wide(self.value, self.wide)
        places = np.asarray(self.removed)
        if places.ndim != 1 or not len(places) or places.dtype.kind not in "iu":
            raise RecordError("removed", "the places of one row at least", brief(self.removed))
        if not bool(places[0] >= 0) or not bool(places[-1] < min(self.count, 2**32)) or not bool((places[1:] > places[:-1]).all()):
            raise RecordError("removed", f"ascending places from 0 to {self.count - 1}", f"{len(places)} that are not")
        object.__setattr__(self, "removed", places.astype("<u4", copy=False))

    def __repr__(self) -> str:
        return f"EditRows({brief(self.value)}, count={self.count}, removed={brief(self.removed)}{_as(self.wide)})"


Change: TypeAlias = SetValue | AppendRows | EditRows


def content(value: object, where: str) -> Array | tuple[str, ...] | tuple[int, ...]:
    """A change's value as it is kept: a tensor as it is, a list as a tuple of ``str`` or of ``int``."""
    if isinstance(value, np.ndarray):
        if stored_dtype(value) is None:
            raise RecordError(where, f"a tensor of dtype {NAMES}, or a list of strings or integers", brief(value))
        return value
    if not isinstance(value, list | tuple):
        raise RecordError(where, "a tensor or a list", brief(value))
    if all(isinstance(item, str) for item in value):
        return tuple(value)
    if all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in value):
        numbers = tuple(int(item) for item in value)
        if min(numbers) >= -(2**63) and max(numbers) < 2**63:
            return numbers
        raise RecordError(where, "integers from -2^63 to 2^63 - 1", f"a list from {brief(min(numbers))} to {brief(max(numbers))}")
    odd = next((item for item in value if not isinstance(item, type(value[0]))), value[0])
    raise RecordError(where, "a list of strings or of integers only", f"one with {brief(odd)}")


def _check_rows(value: Content, count: object) -> None:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        raise RecordError("value", "a tensor of rank 1 at least", brief(value))
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 2**63:
        raise RecordError("count", "an integer from 0 to 2^63 - 1", brief(count))


def _check_wide(value: Content, wide: object) -> None:
    if wide is None:
        return
    if wide != WIDE:
        raise RecordError("as", f"{WIDE!r}, or no such key", brief(wide))
    if not isinstance(value, np.ndarray) or value.dtype.newbyteorder("<") != np.dtype("<f2"):
        raise RecordError("value", f"an f2 tensor that stands for {WIDE}", brief(value))


def _as(wide: str | None) -> str:
    return "" if wide is None else f", wide={wide!r}"
