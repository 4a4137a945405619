"""Examples of nearest neighbours as a set that grows and shrinks on several devices: the laws of joining, and cases worked by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tailor import MLArrayBatchProvider, MLModel, MLStoreError, MLUpdateTask
from tailor.building import KNearestNeighborsClassifierBuilder
from tailor.runtime.format import write_contents
from tailor.runtime.store.example_set import removed_of, removed_since
from tailor.runtime.store.merging import MergeSide, merged
from tests.places import shared_model

Row: TypeAlias = tuple[str, float, str]
"""Label, the one number of its sample, and the text of its origin."""

Side: TypeAlias = tuple[MLModel, Mapping[str, int]]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BASE_ROWS: list[Row] = [("old", 9.0, ""), ("old", 8.0, '["b8"]')]


SETTINGS: dict[str, Any] = {
    "input_name": "point",
    "output_name": "label",
    "number_of_dimensions": 1,
    "default_class_label": "nobody",
    "number_of_neighbors": 1,
}


def classifier(rows: Sequence[Row] = ()) -> MLModel:
    builder = KNearestNeighborsClassifierBuilder(**SETTINGS)
    labels, samples, origins = zip(*rows, strict=True) if rows else ((), (), ())
    contents: dict[str, Any] = {"samples": np.array(samples, np.float32).reshape(-1, 1), "labels": list(labels), "origins": list(origins)}
    model = MLModel.from_spec(builder.spec, "points")
    return model._changed(lambda spec: write_contents(spec, contents)) if rows else model


BASE = classifier(BASE_ROWS)


def rows_of(model: MLModel) -> list[tuple[str, str | None]]:
    return [(str(example.label), example.id) for example in model.examples]


def join(*sides: Side) -> Side:
    given = [MergeSide(f"{place:064x}", NOW, model, None, removed) for place, (model, removed) in enumerate(sides)]
    result = merged(BASE, given)
    return result.model, removed_of(result.metadata, "joined")


def state(side: Side) -> tuple[str, dict[str, int]]:
    return side[0].content_hash, dict(side[1])


def origin(name: str, time: str = "") -> str:
    return f'["{name}","phone","{time}"]' if time else f'["{name}"]'


def device(commits: Sequence[Sequence[Row]]) -> Side:
    """What a device has after it has committed these examples, one after the other, from the base on."""
    before, removed = BASE, dict[str, int]()
    for rows in commits:
        model = classifier(rows)
        removed = removed_since(before, model, removed)
        before = model
    return before, removed


ROWS = st.sampled_from([*BASE_ROWS, ("a", 1.0, ""), ("a", 1.0, origin("a")), ("b", 1.0, ""), ("a", 2.0, origin("a", "2026-01-02"))])
DEVICES = st.lists(st.lists(ROWS, max_size=5), max_size=3).map(device)


@given(DEVICES, DEVICES, DEVICES)
def test_joining_is_commutative_associative_and_idempotent(one: Side, two: Side, three: Side) -> None:
    both = join(one, two)
    assert state(both) == state(join(two, one))
    assert state(join(both, two)) == state(both) == state(join(both, both))
    assert state(join(both, three)) == state(join(one, join(two, three))) == state(join(one, two, three))


@settings(max_examples=40)
@given(st.data())
def test_examples_that_are_all_different_are_a_set_less_what_was_removed(data: st.DataObject) -> None:
    known = {row[2]: row for row in [("old", 8.0, origin("b8")), *(("new", float(n), origin(f"n{n}")) for n in range(5))]}
    base = classifier([known[origin("b8")]])
    sides: list[Side] = []
    expected: set[str] = set()
    gone: set[str] = set()
    for _ in range(2):
        added = data.draw(st.sets(st.sampled_from(list(known))))
        removed = data.draw(st.sets(st.sampled_from([origin("b8"), *added])))
        full = classifier([known[name] for name in {origin("b8"), *added}])
        left = classifier([known[name] for name in {origin("b8"), *added} - removed])
        sides.append((left, removed_since(full, left, removed_since(base, full, {}))))
        expected |= {origin("b8"), *added}
        gone |= removed
    assert sorted(origin(str(name)) for _, name in rows_of(join(*sides)[0])) == sorted(expected - gone)


A, B, C = ("a", 1.0, origin("a", "2026-01-03")), ("b", 2.0, origin("b", "2026-01-01")), ("c", 3.0, origin("c", "2026-01-02"))


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        pytest.param([[*BASE_ROWS, A]], [[*BASE_ROWS, B, C]], ["old", "old", "b", "c", "a"], id="the base's first, then by time"),
        pytest.param([[*BASE_ROWS, ("z", 0.0, "")]], [BASE_ROWS], ["old", "old", "z"], id="the base's first, though others have no time"),
        pytest.param([[B, *BASE_ROWS]], [BASE_ROWS], ["old", "old", "b"], id="whatever order they were in"),
        pytest.param([BASE_ROWS[1:]], [[*BASE_ROWS, A]], ["old", "a"], id="the base's are removed too"),
        pytest.param([[A, B], [B]], [[A, B]], ["b"], id="removed by one is removed"),
        pytest.param([[A], [], [A]], [[A]], ["a"], id="added again after it was removed: it is there"),
        pytest.param([[A], [], [A]], [[A], []], ["a"], id="added again by one, removed by the other, who has not seen that"),
        pytest.param([[A, A]], [[A, A, A]], ["a", "a", "a"], id="equal ones are counted"),
        pytest.param([[A, A], [A]], [[A, A, B]], ["b", "a"], id="one of two equal ones removed"),
        pytest.param([[A, B], []], [[A, B]], [], id="all removed"),
    ],
)
def test_what_comes_of_two(one: list[list[Row]], two: list[list[Row]], expected: list[str]) -> None:
    model, _ = join(device(one), device(two))
    assert [label for label, _ in rows_of(model)] == expected


def test_the_joined_model_answers_by_the_examples_of_both() -> None:
    model, _ = join(device([[*BASE_ROWS, A]]), device([[*BASE_ROWS, C]]))
    assert [model.predict({"point": [place]})["label"] for place in (1.1, 2.9, 8.8)] == ["a", "c", "old"]


def test_what_is_recorded_names_the_parents_in_order_and_what_was_removed() -> None:
    (kept, none), (less, removed) = device([[*BASE_ROWS, A, B]]), device([[*BASE_ROWS, A, B], [*BASE_ROWS, A]])
    result = merged(BASE, [MergeSide("f" * 64, NOW, kept, None, none), MergeSide("0" * 64, NOW, less, None, removed)])
    assert result.metadata["merge"] == {"parents": ["0" * 64, "f" * 64], "policy": "union"}
    assert result.metadata["removed"] == dict(removed)
    # Worked out from FORMAT.md: msgpack of the list of label and origin, then the sample.
    told = msgpack.packb([B[0], B[2]]) + np.float32(B[1]).tobytes()
    assert removed == {hashlib.sha256(told).hexdigest()[:32]: 1}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"number_of_neighbors": 2}, "number of neighbours: expected 1, as the base has, got 2 in 0000"),
        ({"weighting_scheme": "inverse_distance"}, "weighting: expected uniformWeighting"),
        ({"index_type": "kd_tree"}, "index: expected linearIndex"),
        ({"default_class_label": "someone"}, "default label: expected nobody, as the base has, got someone"),
        ({"default_class_label": 7}, "labels: expected stringClassLabels"),
        ({"number_of_dimensions": 2}, "dimensions: expected 1, as the base has, got 2"),
        ({"output_name": "kind"}, "differ in more"),
    ],
)
def test_classifiers_that_answer_otherwise_are_not_merged(settings: dict[str, Any], said: str) -> None:
    other = KNearestNeighborsClassifierBuilder(**{**SETTINGS, **settings})
    sides = [MergeSide("0" * 64, NOW, MLModel.from_spec(other.spec)), MergeSide("1" * 64, NOW, classifier([A]))]
    with pytest.raises(MLStoreError, match=said):
        merged(BASE, sides)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_merge_is_of_two_different_versions(count: int) -> None:
    with pytest.raises(MLStoreError, match="expected two versions or more, each once"):
        merged(BASE, [MergeSide("0" * 64, NOW, classifier([A]))] * count)


@pytest.mark.parametrize("removed", [["00" * 16], {"00" * 15: 1}, {"00" * 16: 0}, {"00" * 16: True}, {"00" * 16: 1.0}, {"G" * 32: 1}])
def test_what_was_removed_is_not_believed_unseen(removed: object) -> None:
    with pytest.raises(MLStoreError, match="metadata.removed: expected"):
        removed_of({"removed": removed}, "snapshot")


@pytest.mark.anyio
async def test_two_devices_that_taught_the_same_drawing_classifier() -> None:
    base = MLModel(shared_model("UpdatableDrawingClassifier.mlmodel"))
    drawings = {label: np.zeros((28, 28), np.uint8) for label in ("line", "box")}
    drawings["line"][:, 14] = 255
    drawings["box"][4:24, 4:24] = 255
    sides: list[MergeSide] = []
    for label, drawing in drawings.items():
        data = MLArrayBatchProvider([{"drawing": Image.fromarray(drawing), "label": label}])
        sides.append(MergeSide(f"{len(sides):064x}", NOW, (await MLUpdateTask(base, data)).model))
    both = merged(base, sides).model
    assert {label: both.predict({"drawing": Image.fromarray(drawing)})["label"] for label, drawing in drawings.items()} == {
        "line": "line",
        "box": "box",
    }
    assert both.to_bytes() == merged(base, sides[::-1]).model.to_bytes()
