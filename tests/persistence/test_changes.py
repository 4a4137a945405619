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
    EditRows,
    Metadata,
    RecordError,
    SetValue,
    apply_changes,
    changes_between,
    narrowed,
    parse_snapshot,
    snapshot_bytes,
)

BASE, OTHER = "a" * 64, "b" * 64
ABOUT = Metadata(datetime(2026, 1, 1, tzinfo=UTC))

tensors = hnp.arrays(st.sampled_from(["f2", "f4", "i8", "?"]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
contents = tensors | st.lists(st.sampled_from("ab"), max_size=3) | st.lists(st.integers(0, 1), max_size=3)


@st.composite
def updates(draw: st.DrawFn) -> tuple[Any, Any]:
    """A value and what became of it: the same, grown by rows, edited in many of them, or another."""
    base: Any = draw(contents)
    match draw(st.sampled_from(["same", "grown", "edited", "other"])):
        case "edited":
            rows: Any = draw(hnp.arrays("f4", (draw(st.integers(1, 30)), 5), elements=st.integers(0, 3)) | st.lists(st.text(max_size=9)))
            left = [row for row in rows if draw(st.booleans())] + list(draw(st.sampled_from([[], rows[:2]])))
            return rows, np.array(left, "f4").reshape(-1, 5) if isinstance(rows, np.ndarray) else left
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


MANY = np.arange(4000, dtype="f4").reshape(1000, 4)
LABELS = [f"label {place % 500}" for place in range(1000)]  # every one twice


@pytest.mark.parametrize(
    ("base", "now", "removed", "value"),
    [
        (MANY, np.delete(MANY, [0, 500, 999], 0), [0, 500, 999], MANY[:0]),
        (MANY, np.concatenate([np.delete(MANY, 7, 0), -MANY[:2]]), [7], -MANY[:2]),
        (MANY, np.concatenate([MANY[:900], MANY[:3]]), range(900, 1000), MANY[:3]),
        (MANY[:, 0], MANY[1:, 0], [0], MANY[:0, 0]),
        (MANY.astype(">f4"), MANY[1:], [0], MANY[:0]),
        (LABELS, LABELS[:4] + LABELS[5:], [4], []),
        (LABELS, [*LABELS[1:], "new", "label 1"], [0], ["new", "label 1"]),
        (list(range(1000)), [*range(5), *range(6, 1000)], [5], []),
    ],
)
def test_rows_that_went_are_named_where_that_is_smaller(base: Any, now: Any, removed: Any, value: Any) -> None:
    change = changes_between({"x": base}, {"x": now})["x"]
    assert isinstance(change, EditRows) and change.count == len(base)
    assert list(change.removed) == list(removed) and bits(change.value) == bits(value)
    assert bits(apply_changes(delta({"x": change}), BASE, {"x": base})["x"]) == bits(now)


@pytest.mark.parametrize(
    ("base", "now"),
    [
        (MANY, MANY[::-1]),
        (MANY, MANY[:1]),  # 999 places are more than a row
        (MANY, np.delete(MANY, 0, 1)),
        (MANY, np.delete(MANY, 0, 0).astype("f8")),
        (MANY.astype("u1")[:, :1], MANY.astype("u1")[::2, :1]),  # a place takes more than the row
        (LABELS, LABELS[:1]),
    ],
)
def test_where_naming_them_is_not_smaller_the_value_is_set(base: Any, now: Any) -> None:
    assert isinstance(changes_between({"x": base}, {"x": now})["x"], SetValue)


def test_halved_values_come_back_as_float32_rounded_to_the_nearest() -> None:
    rng = np.random.default_rng(3)
    now = np.concatenate([rng.normal(size=(99, 4)).astype("f4"), [[np.nan, np.inf, -np.inf, 65519.0]], MANY[:1]]).astype("f4")
    changes = {
        "set": SetValue(now),
        "append": AppendRows(now, 1000),
        "rows": EditRows(now, 1000, [3]),
        "f8": SetValue(np.ones(3)),
        "y": SetValue(["a"]),
    }
    wide = delta(changes)
    half, rounded = narrowed(wide)
    base = {name: MANY if name in ("append", "rows") else np.zeros(1) for name in changes}
    read = parse_snapshot(snapshot_bytes(half))
    assert isinstance(read, DeltaSnapshot)
    restored, exact = apply_changes(read, BASE, base), apply_changes(wide, BASE, base)
    expected = now.astype("f2").astype("f4")
    for name in ("set", "append", "rows"):
        assert bits(restored[name][-len(now) :]) == bits(expected)
        assert rounded[name] == 15.0, "65519 is the number that is rounded most"
    assert {name: bits(restored[name]) for name in ("f8", "y")} == {name: bits(exact[name]) for name in ("f8", "y")}
    assert rounded.keys() == {"set", "append", "rows"} and narrowed(half)[1] == {}
    assert len(snapshot_bytes(half)) < 0.6 * len(snapshot_bytes(wide))


@pytest.mark.parametrize("number", [65520.0, -1e30])
def test_a_number_that_half_precision_cannot_hold_is_refused(number: float) -> None:
    with pytest.raises(RecordError, match=r"values.w: expected numbers up to 65504, which f2 can hold, got "):
        narrowed(delta({"w": SetValue(np.array([1, number, np.inf], "f4"))}))


@pytest.mark.parametrize("removed", [[], [0, 0], [1, 0], [-1], [3], [0.5], [[0]], np.zeros((), "u4")])
def test_places_of_rows_ascend_within_the_base(removed: Any) -> None:
    with pytest.raises(RecordError, match=r"removed: expected (ascending places from 0 to 2|the places of one row at least), got"):
        EditRows(ROWS, 3, removed)


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
        ({"x": EditRows(ROWS, 2, [0])}, {"x": ROWS}, "values.x.count: expected 2 rows in the base, got 3"),
        (
            {"x": EditRows(ROWS.astype("f2"), 3, [0], "f4")},
            {"x": ROWS.astype("f2")},
            "values.x: expected float16 rows of shape (2,), as in the base",
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
