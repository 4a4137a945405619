"""Stores of models that are synced: what was learned apart is merged alike everywhere, what was forgotten is forgotten on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelStore, MLStoreError, MLUpdateTask
from tailor.persistence import MemoryBackend
from tests.cli.models import neighbors

pytestmark = pytest.mark.anyio


@pytest.fixture
def base(tmp_path: Path) -> MLModel:
    return MLModel(neighbors(tmp_path / "n.mlmodel"))


async def teach(store: MLModelStore, base: MLModel, *labels: str) -> str:
    """Teaches the last version, or the base, a label each; the new version's identifier."""
    model = await store.model("n", "ada") if await store.heads("n", "ada") else base
    rows = [{"point": [float(sum(map(ord, label))), 1.0], "label": label} for label in labels]
    return (await store.commit((await MLUpdateTask(model, MLArrayBatchProvider(rows))).model, base, user="ada")).identifier


async def labels(store: MLModelStore, version: str = "HEAD") -> list[str]:
    return sorted(str(example.label) for example in (await store.model("n", "ada", version=version)).examples)


async def test_three_devices_end_with_all_that_was_learned(base: MLModel) -> None:
    stores = [MLModelStore(MemoryBackend(f"memory:{name}"), device=name) for name in ("a", "b", "c")]
    between = MLModelStore(MemoryBackend("memory:between"))
    for store, label in zip(stores, ("east", "north", "west"), strict=True):
        await teach(store, base, label)
    outcomes = [(await store.sync(between)).names for store in (*stores, *stores)]
    assert [row.outcome for rows in outcomes for row in rows] == ["pushed", "merged", "merged", "pulled", "pulled"]
    heads = [[version.identifier for version in await store.heads()] for store in (*stores, between)]
    assert heads == heads[:1] * 4 and len(heads[0]) == 1
    assert [await labels(store) for store in stores] == [["east", "north", "west"]] * 3


async def test_two_devices_that_merge_apart_agree(base: MLModel) -> None:
    one, two = (MLModelStore(MemoryBackend(f"memory:{name}")) for name in "ab")
    await teach(one, base, "east")
    await teach(two, base, "north")
    assert [(await store.sync(other, "pull")).names[0].outcome for store, other in ((one, two),)] == ["merged"]
    assert [row.outcome for row in (await one.sync(two)).names] == ["pushed"]
    assert (await one.head("n", "ada")).identifier == (await two.head("n", "ada")).identifier


async def test_what_was_forgotten_on_one_side_is_forgotten_on_both(base: MLModel) -> None:
    one, two = (MLModelStore(MemoryBackend(f"memory:{name}")) for name in "ab")
    first = await teach(one, base, "east", "north")
    await one.sync(two)
    await teach(two, base, "west")
    await one.forget("n", "ada", labels=["north"])
    report = await one.sync(two)
    assert [row.outcome for row in report.names] == ["merged"] and report.unsettled == ()
    for store in (one, two):
        assert await labels(store) == ["east", "west"] and await labels(store, first) == ["east"]
        for version in await store.log("n", "ada"):
            assert "north" not in await labels(store, version.identifier)


async def test_terms_that_cannot_be() -> None:
    one, two = (MLModelStore(MemoryBackend(f"memory:{name}")) for name in "ab")
    with pytest.raises(MLStoreError, match="direction: expected 'push', 'pull' or 'both', got 'up'"):
        await one.sync(two, "up")  # type: ignore[arg-type]
    with pytest.raises(MLStoreError, match="policy: expected"):
        await one.sync(two, merge="best")  # type: ignore[arg-type]
    assert (await one.sync(two)).names == ()
