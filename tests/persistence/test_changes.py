"""A delta holds what changed and nothing else, and fits only the base that it was made from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tailor.persistence import (
    AppendRows,
    Change,
    DeltaSnapshot,
    Metadata,
    RecordError,
    SetValue,
    apply_changes,
    changes_between,
    parse_snapshot,
    snapshot_bytes,
)

BASE, OTHER = "a" * 64, "b" * 64
ABOUT = Metadata(datetime(2026, 1, 1, tzinfo=UTC))

tensors = hnp.arrays(st.sampled_from(["f2", "f4", "i8", "?"]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
contents = tensors | st.lists(st.sampled_from("ab"), max_size=3) | st.lists(st.integers(0, 1), max_size=3)


@st.composite
def updates(draw: st.DrawFn) -> tuple[Any, Any]:
    """A value and what became of it: the same, grown by rows, or another."""
    base: Any = draw(contents)
    match draw(st.sampled_from(["same", "grown", "other"])):
        case "same":
            return base, base.copy()
        case "grown" if isinstance(base, list):
            return base, base + [type(item)(item) for item in base]
        case "grown" if base.ndim:
            return base, np.concatenate((base, draw(hnp.arrays(base.dtype, (draw(st.integers(0, 2)), *base.shape[1:])))))
        case _:
            return base, draw(contents)


def bits(value: Any) -> object:
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else list(value)


def delta(changes: dict[str, Change]) -> DeltaSnapshot:
    return DeltaSnapshot(ABOUT, BASE, changes)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text("abc", min_size=1), updates(), max_size=4))
def test_changes_put_onto_the_base_give_what_was_there(pairs: dict[str, tuple[Any, Any]]) -> None:
    base, now = {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}
    read = parse_snapshot(snapshot_bytes(delta(changes_between(base, now))))
    assert isinstance(read, DeltaSnapshot)
    restored = base | apply_changes(read, BASE, base)
    assert {name: bits(value) for name, value in restored.items()} == {name: bits(value) for name, value in now.items()}
    assert read.values.keys() == {name for name in base if bits(base[name]) != bits(now[name])}, "what is equal is no change"


ROWS = np.arange(6, dtype="f4").reshape(3, 2)
NAN = np.array([np.nan, 0.0], "f4")


@pytest.mark.parametrize(
    ("base", "now", "change"),
    [
        (ROWS, ROWS.astype(">f4"), None),
        (NAN, NAN.copy(), None),
        (NAN, -NAN, SetValue(-NAN)),
        (ROWS[:1], ROWS, AppendRows(ROWS[1:], 1)),
        (ROWS[:0], ROWS, AppendRows(ROWS, 0)),
        (ROWS, ROWS[:2], SetValue(ROWS[:2])),
        (ROWS[:1], ROWS[::-1], SetValue(ROWS[::-1])),
        (ROWS[:1], ROWS.astype("f8"), SetValue(ROWS.astype("f8"))),
        (np.ones((), "f4"), ROWS, SetValue(ROWS)),
        (["a"], ["a", "b"], AppendRows(["b"], 1)),
        ([], ["a"], AppendRows(["a"], 0)),
        (["b"], ["a", "b"], SetValue(["a", "b"])),
        ([1], ["a"], SetValue(["a"])),
        ([1, 2], np.array([1, 2]), SetValue(np.array([1, 2]))),
    ],
)
def test_rows_behind_those_of_the_base_are_appended_and_all_else_is_set(base: Any, now: Any, change: Change | None) -> None:
    got = changes_between({"x": base}, {"x": now}).get("x")
    assert type(got) is type(change)
    if got is not None and change is not None:
        assert bits(got.value) == bits(change.value)
        assert getattr(got, "count", None) == getattr(change, "count", None)


@pytest.mark.parametrize(("base", "now"), [({"x": [1]}, {}), ({}, {"x": [1]})])
def test_a_delta_neither_adds_nor_removes_names(base: Any, now: Any) -> None:
    with pytest.raises(RecordError, match=r"x: expected (a value|none), as in the base, got (none|a value)"):
        changes_between(base, now)


@pytest.mark.parametrize(
    ("changes", "base", "message"),
    [
        ({"y": SetValue([1])}, {"x": [1]}, "values.y: expected a value that the base has, got one that it does not have"),
        ({"x": AppendRows(ROWS, 2)}, {"x": ROWS}, "values.x.count: expected 2 rows in the base, got 3"),
        ({"x": AppendRows(["a"], 2)}, {"x": ["a"]}, "values.x.count: expected 2 rows in the base, got 1"),
        (
            {"x": AppendRows(ROWS, 3)},
            {"x": ROWS[:, :1]},
            "values.x: expected float32 rows of shape (1,), as in the base, got float32 rows of shape (2,)",
        ),
        ({"x": AppendRows(ROWS, 3)}, {"x": ROWS.astype("f8")}, "values.x: expected float64 rows of shape (2,), as in the base"),
        ({"x": AppendRows(ROWS, 3)}, {"x": np.ones((), "f4")}, "values.x: expected float32 of rank 0, as in the base"),
        (
            {"x": AppendRows(ROWS, 3)},
            {"x": ["a"] * 3},
            "values.x: expected a list of 3, as in the base, got a float32 tensor of shape (3, 2)",
        ),
        ({"x": AppendRows([1], 1)}, {"x": ["a"]}, "values.x: expected a list of str, as in the base, got one of int"),
    ],
)
def test_a_change_that_does_not_fit_the_base_is_refused(changes: dict[str, Change], base: Any, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        apply_changes(delta(changes), BASE, base)
    assert str(caught.value).startswith(message)


def test_another_base_is_refused() -> None:
    with pytest.raises(RecordError, match=f"base: expected the base model with hash {BASE}, got one with hash {OTHER}"):
        apply_changes(delta({}), OTHER, {})


def test_restoring_changes_neither_the_base_nor_the_delta() -> None:
    base = ROWS.copy()
    restored = apply_changes(delta({"x": AppendRows(ROWS, 3)}), BASE, {"x": base})["x"]
    assert isinstance(restored, np.ndarray)
    restored[:] = 0
    assert bits(base) == bits(ROWS)
