"""What changed between two sets of named values, and how a delta is put back onto its base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from ..errors import RecordError, brief, path_of
from .change import WIDE, AppendRows, Change, Content, EditRows, SetValue, content
from .snapshot import DeltaSnapshot
from .tensor import Array, same_bits, stored

ROWS_AT_A_TIME = 4096
EDIT_BYTES = 64  # what editing rows takes besides them: for less than this it does not pay


def changes_between(base: Mapping[str, Content], now: Mapping[str, Content]) -> dict[str, Change]:
    """The changes that turn ``base`` into ``now``; a value with equal bits is none.

    A value that begins with all the base's rows, in the same dtype and row shape, becomes ``AppendRows``; one that begins with some of
    them in their order, ``EditRows``, where that is smaller; any other that differs, ``SetValue``. Arrays of ``now`` are kept by
    reference. Takes time in proportion to the bytes of both.

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
                restored[name] = _widened(change)
            case AppendRows() | EditRows():
                restored[name] = _extended(content(base[name], where), change, where)
    return restored


def narrowed(delta: DeltaSnapshot) -> tuple[DeltaSnapshot, dict[str, float]]:
    """The delta with its f4 tensors kept as f2, in half the bytes, and by name the largest absolute difference that makes.

    What is restored from it is rounded, so whatever its metadata says of the result (a hash) is no longer so. Raises ``RecordError`` for
    a number that f2 cannot hold: beyond 65,504.
    """
    changes: dict[str, Change] = {}
    rounded: dict[str, float] = {}
    for name, change in delta.values.items():
        value = change.value
        changes[name] = change
        if isinstance(value, np.ndarray) and value.dtype.newbyteorder("<") == np.dtype("<f4"):
            half, rounded[name] = _halved(value, path_of(["values", name]))
            changes[name] = replace(change, value=half, wide=WIDE)
    return DeltaSnapshot(delta.metadata, delta.base, changes), rounded


def _change(base: Content, now: Content) -> Change | None:
    if isinstance(base, np.ndarray) and isinstance(now, np.ndarray):
        if same_bits(base, now):
            return None
        if base.ndim and now.ndim and base.shape[1:] == now.shape[1:] and base.dtype.newbyteorder("<") == now.dtype.newbyteorder("<"):
            if len(now) > len(base) and same_bits(base, now[: len(base)]):
                return AppendRows(now[len(base) :], len(base))
            return _edited(base, now, now.nbytes // len(now) if len(now) else 0) or SetValue(now)
    elif isinstance(base, tuple) and isinstance(now, tuple):
        if base == now:
            return None
        if len(now) > len(base) and base == now[: len(base)]:
            return AppendRows(now[len(base) :], len(base))
        size = sum(len(item) if isinstance(item, str) else 4 for item in now) + len(now)
        return _edited(base, now, size // len(now) if now else 0) or SetValue(now)
    return SetValue(now)


def _edited(base: Array | tuple[object, ...], now: Content, row_bytes: int) -> EditRows | None:
    """``now`` as the base without some rows, and others behind them; ``None`` where that would not be smaller than ``now``."""
    if (len(now) * row_bytes) <= EDIT_BYTES:
        return None
    rows = _rows(now)
    wanted, kept, removed = next(rows, None), 0, []
    # A row goes as soon as it is not the one that is wanted next: no other way keeps more rows at the beginning.
    for place, row in enumerate(_rows(base)):
        if row == wanted:
            wanted, kept = next(rows, None), kept + 1
        else:
            removed.append(place)
    if not removed or kept * row_bytes <= EDIT_BYTES + 4 * len(removed):
        return None
    return EditRows(now[kept:], len(base), removed)


def _rows(value: Content | tuple[object, ...]) -> Iterator[object]:
    """The rows of a tensor as bytes, a few thousand at a time; the items of a list."""
    if not isinstance(value, np.ndarray):
        yield from value
        return
    for start in range(0, len(value), ROWS_AT_A_TIME):
        block = stored(value[start : start + ROWS_AT_A_TIME])
        data, size = block.tobytes(), block.nbytes // len(block)
        yield from (data[at : at + size] for at in range(0, len(data), size))


def _halved(value: Array, where: str) -> tuple[Array, float]:
    with np.errstate(over="ignore", under="ignore"):
        half = value.astype("<f2")
    if bool((np.isinf(half) & np.isfinite(value)).any()):
        raise RecordError(where, "numbers up to 65504, which f2 can hold", f"{float(np.abs(value[np.isfinite(value)]).max())!r}")
    with np.errstate(invalid="ignore"):  # an infinity less itself
        away = np.abs(half.astype("<f4") - value)
    return half, float(np.nanmax(away, initial=0.0))


def _widened(change: Change) -> Content:
    value = change.value
    return value.astype("<f4") if change.wide is not None and isinstance(value, np.ndarray) else value


def _extended(base: Content, change: AppendRows | EditRows, where: str) -> Content:
    """The base's rows that stay, with the change's behind them."""
    rows = _widened(change)
    gone = change.removed if isinstance(change, EditRows) else ()
    if isinstance(base, np.ndarray) and isinstance(rows, np.ndarray):
        if base.ndim == 0 or base.shape[1:] != rows.shape[1:] or base.dtype.newbyteorder("<") != rows.dtype.newbyteorder("<"):
            raise RecordError(where, f"{_rows_of(base)}, as in the base", _rows_of(rows))
        _check_count(len(base), change.count, where)
        left = np.delete(base, gone, axis=0) if len(gone) else base
        extended: Array = np.concatenate((left, rows))
        return extended
    if isinstance(base, tuple) and isinstance(rows, tuple):
        if base and rows and type(base[0]) is not type(rows[0]):
            raise RecordError(where, f"a list of {type(base[0]).__name__}, as in the base", f"one of {type(rows[0]).__name__}")
        _check_count(len(base), change.count, where)
        out = {int(place) for place in gone}
        return content(tuple(item for place, item in enumerate(base) if place not in out) + rows, where)
    raise RecordError(where, f"{brief(base)}, as in the base", brief(rows))


def _rows_of(array: Array) -> str:
    return f"{array.dtype.name} rows of shape {array.shape[1:]}" if array.ndim else f"{array.dtype.name} of rank 0"


def _check_count(found: int, count: int, where: str) -> None:
    if found != count:
        raise RecordError(f"{where}.count", f"{count} rows in the base", str(found))
