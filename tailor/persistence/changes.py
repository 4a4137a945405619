"""What changed between two sets of named values, and how a delta is put back onto its base."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .errors import RecordError, brief, path_of
from .snapshot import AppendRows, Change, Content, DeltaSnapshot, SetValue, content
from .tensor import Array, same_bits


def changes_between(base: Mapping[str, Content], now: Mapping[str, Content]) -> dict[str, Change]:
    """The changes that turn ``base`` into ``now``; a value with equal bits is none.

    A value that begins with all the base's rows, in the same dtype and row shape, becomes ``AppendRows``; any other
    that differs, ``SetValue``. Arrays of ``now`` are kept by reference.

    Raises ``RecordError`` unless both have the same names: a delta cannot add or remove any.
    """
    for name in sorted(base.keys() ^ now.keys()):
        had, has = ("a value", "none") if name in base else ("none", "a value")
        raise RecordError(path_of([name]), f"{had}, as in the base", has)
    changes: dict[str, Change] = {}
    for name, value in now.items():
        change = _change(content(base[name], path_of([name])), content(value, path_of([name])))
        if change is not None:
            changes[name] = change
    return changes


def apply_changes(delta: DeltaSnapshot, base_hash: str, base: Mapping[str, Content]) -> dict[str, Content]:
    """The new value of every name that ``delta`` changes; ``base_hash`` and ``base`` are of the model at hand.

    ``base`` must hold every name that the delta changes, and may hold more. A replaced tensor is the delta's own
    (read-only where it was read from a file), an extended one is new.

    Raises ``RecordError``, before anything is put anywhere, where the base is another or a change does not fit it.
    """
    if base_hash != delta.base:
        raise RecordError("base", f"the base model with hash {delta.base}", f"one with hash {base_hash}")
    restored: dict[str, Content] = {}
    for name, change in delta.values.items():
        where = path_of(["values", name])
        if name not in base:
            raise RecordError(where, "a value that the base has", "one that it does not have")
        match change:
            case SetValue():
                restored[name] = change.value
            case AppendRows():
                restored[name] = _extended(content(base[name], where), change, where)
    return restored


def _change(base: Content, now: Content) -> Change | None:
    if isinstance(base, np.ndarray) and isinstance(now, np.ndarray):
        if same_bits(base, now):
            return None
        if base.ndim and now.ndim and len(now) > len(base) and same_bits(base, now[: len(base)]):
            return AppendRows(now[len(base) :], len(base))
    elif isinstance(base, tuple) and isinstance(now, tuple):
        if base == now:
            return None
        if len(now) > len(base) and base == now[: len(base)]:
            return AppendRows(now[len(base) :], len(base))
    return SetValue(now)


def _extended(base: Content, change: AppendRows, where: str) -> Content:
    """The base's rows with the change's behind them."""
    rows = change.value
    if isinstance(base, np.ndarray) and isinstance(rows, np.ndarray):
        if base.ndim == 0 or base.shape[1:] != rows.shape[1:] or base.dtype.newbyteorder("<") != rows.dtype.newbyteorder("<"):
            raise RecordError(where, f"{_rows_of(base)}, as in the base", _rows_of(rows))
        _check_count(len(base), change.count, where)
        extended: Array = np.concatenate((base, rows))
        return extended
    if isinstance(base, tuple) and isinstance(rows, tuple):
        if base and rows and type(base[0]) is not type(rows[0]):
            raise RecordError(where, f"a list of {type(base[0]).__name__}, as in the base", f"one of {type(rows[0]).__name__}")
        _check_count(len(base), change.count, where)
        return content(base + rows, where)
    raise RecordError(where, f"{brief(base)}, as in the base", brief(rows))


def _rows_of(array: Array) -> str:
    return f"{array.dtype.name} rows of shape {array.shape[1:]}" if array.ndim else f"{array.dtype.name} of rank 0"


def _check_count(found: int, count: int, where: str) -> None:
    if found != count:
        raise RecordError(f"{where}.count", f"{count} rows in the base", str(found))
