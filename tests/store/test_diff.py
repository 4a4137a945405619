"""What differs between models, by numbers worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tailor import MLModel, MLModelDifference, MLModelStore, MLStoreError, compare_models
from tailor.persistence import MemoryBackend
from tailor.runtime.format import origin_rows, write_contents
from tests.store.models import neighbors, network

pytestmark = pytest.mark.anyio


def rows(found: MLModelDifference) -> dict[str, tuple[object, ...]]:
    return {row.name: (row.changed, row.norm, row.relative, row.largest) for row in found.weights}


def test_how_far_weights_moved() -> None:
    # from [3, 4] by [0, -12] to [3, -8]: as far as 12 of 5; and a bias from 0 by 2
    found = compare_models(network(3.0, 4.0), network(3.0, -8.0, bias=2.0))
    assert rows(found) == {"dense.weights": (1, 12.0, 12 / 5, 12.0), "dense.bias": (1, 2.0, None, 2.0)}
    assert (found.unchanged, found.otherwise, found.same, found.examples) == (0, False, False, ())


def test_a_large_layer_is_compared_in_parts() -> None:
    before = np.linspace(-1, 1, 300_000, dtype=np.float32)
    after = before.copy()
    after[[0, 299_999]] += np.float32(0.5)
    (row,) = compare_models(network(*before.tolist()), network(*after.tolist())).weights
    step = after.astype(np.float64) - before
    assert (row.before, row.after, row.changed, row.largest) == (300_000, 300_000, 2, np.abs(step).max())
    assert row.norm == pytest.approx(np.linalg.norm(step), rel=1e-12)
    assert row.relative == pytest.approx(np.linalg.norm(step) / np.linalg.norm(before.astype(np.float64)), rel=1e-12)


def test_equal_models_do_not_differ() -> None:
    for model, count in ((network(1.0), 2), (neighbors("ab"), 0)):
        found = compare_models(model, model)
        assert (found.same, found.unchanged, rows(found)) == (True, count, {})


def test_numbers_that_are_not_finite_are_told_as_such() -> None:
    found = compare_models(network(1.0, 1.0), network(float("inf"), 1.0))
    assert rows(found)["dense.weights"] == (1, math.inf, math.inf, math.inf)
    (row,) = compare_models(network(float("inf"), 1.0), network(float("inf"), 2.0)).weights
    assert row.changed == 1
    assert row.norm is not None
    assert math.isnan(row.norm)


def test_other_sizes_and_other_layers_are_more_than_weights() -> None:
    found = compare_models(network(1.0, 2.0), network(1.0, 2.0, 3.0))
    assert [(row.name, row.before, row.after, row.changed, row.norm) for row in found.weights] == [("dense.weights", 2, 3, 3, None)]
    assert found.otherwise
    found = compare_models(network(1.0), neighbors("a"))
    assert {(row.name, row.before, row.after) for row in found.weights} == {("dense.weights", 1, None), ("dense.bias", 1, None)}
    assert [(row.label, row.added, row.removed) for row in found.examples] == [("a", 1, 0)]
    assert found.otherwise


def test_examples_that_came_and_went_by_label_and_source() -> None:
    before, after = neighbors("aab"), sourced(neighbors("abcc"), ["", "", '["1","phone"]', '["2","phone"]'])
    found = compare_models(before, after)
    assert [(row.label, row.source, row.added, row.removed) for row in found.examples] == [("a", "", 0, 1), ("c", "phone", 2, 0)]
    assert (found.weights, found.otherwise) == ((), False)


def sourced(model: MLModel, origins: list[str]) -> MLModel:
    assert len(origin_rows(origins, "test")) == len(origins)
    return model._changed(lambda spec: write_contents(spec, {"origins": origins}))


async def test_versions_are_compared_with_their_base_with_each_other_and_with_models() -> None:
    base = network(0.0, 0.0)
    async with MLModelStore(MemoryBackend()) as store:
        for number in (3.0, 5.0):
            await store.commit(network(number, 0.0), base, user="anna")
        whole = await store.commit(base, name="whole")
        assert rows(await store.diff("line", "anna"))["dense.weights"][1] == 5
        assert rows(await store.diff("line", "anna", "HEAD~1"))["dense.weights"][1] == 2
        assert rows(await store.diff("line", "anna", after="HEAD~1"))["dense.weights"][1] == 3
        assert rows(await store.diff("line", "anna", network(1.0, 0.0)))["dense.weights"][1] == 4
        with pytest.raises(MLStoreError, match="kept without a base"):
            await store.diff(whole.model)


def test_it_is_plain_data() -> None:
    found = compare_models(network(1.0), network(2.0))
    told = json.loads(json.dumps(found.as_dict()))
    assert told["weights"][0] == {
        "name": "dense.weights", "before": 1, "after": 1, "changed": 1, "norm": 1.0, "relative": 1.0, "largest": 1.0,
    }  # fmt: skip
    assert (told["same"], told["otherwise"], told["unchanged"]) == (False, False, 1)
