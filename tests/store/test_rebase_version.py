"""A version moved to a new base, as the next version of its name."""

from __future__ import annotations

import pytest

from tailor import MLModel, MLModelStore, MLStoreError
from tailor.persistence import MemoryBackend
from tests.store.test_merge_examples import BASE, BASE_ROWS, Row, classifier, origin
from tests.store.test_rebase import OLD, PERSONAL, network, weights_of

pytestmark = pytest.mark.anyio

A: Row = ("a", 1.0, origin("a"))
B: Row = ("b", 2.0, origin("b"))
N: Row = ("new", 7.0, origin("n"))
NEW = classifier([*BASE_ROWS, N])


async def labels(kept: MLModelStore, branch: str = "main") -> list[str]:
    return [str(example.label) for example in (await kept.model("points", branch=branch)).examples]


async def test_what_was_learned_is_the_next_version_of_the_new_base() -> None:
    async with MLModelStore(MemoryBackend(), device="phone") as kept:
        before = await kept.commit(PERSONAL, OLD, name="net")
        told, planned = await kept.rebase("net", onto=network(first=3), dry_run=True)
        assert told == before == await kept.head("net")
        version, report = await kept.rebase("net", onto=network(first=3), message="version 3")
        assert report == planned and report.complete
        assert (version.parents, version.device, version.message) == ((before.identifier,), "phone", "version 3")
        assert version.metadata["rebase"] == {"from": OLD.content_hash, "weights": "difference", **report.as_dict()}
        assert weights_of(await kept.model("net"))["first.weights"] == [3.5, 3, 3, 2.5]
        assert [row.name for row in (await kept.diff("net")).weights] == ["first.weights", "last.bias"], "from the new base"
        assert weights_of(await kept.model("net", version="HEAD~1")) == weights_of(PERSONAL), "and the old one is still there"
        again, nothing = await kept.rebase("net", onto=network(first=3))
        assert (again, nothing.moved, nothing.left) == (version, {}, {})


async def test_what_was_removed_stays_removed_on_the_new_base_and_in_merges_on_it() -> None:
    async with MLModelStore(MemoryBackend()) as kept:
        first = await kept.commit(classifier([*BASE_ROWS, A, B]), BASE, name="points")
        await kept.commit(classifier([*BASE_ROWS, A, B, B]), BASE, name="points", branch="tablet", onto=first)
        await kept.commit(classifier([BASE_ROWS[0], A]), BASE, name="points")
        for branch in ("main", "tablet"):
            await kept.rebase("points", onto=NEW, branch=branch)
        assert await labels(kept) == ["old", "new", "a"]
        assert await labels(kept, "tablet") == ["old", "old", "new", "a", "b", "b"]
        await kept.merge("points", "", "tablet")
        assert await labels(kept) == ["old", "new", "a", "b"]


async def test_examples_that_go_with_the_old_base_do_not_count_as_forgotten() -> None:
    async with MLModelStore(MemoryBackend()) as kept:
        await kept.commit(classifier([*BASE_ROWS, A]), BASE, name="points")
        await kept.rebase("points", onto=classifier([N]))
        assert await labels(kept) == ["new", "a"]
        await kept.rebase("points", onto=NEW)
        assert await labels(kept) == ["old", "old", "new", "a"]


async def test_a_version_that_was_kept_whole_needs_its_old_base() -> None:
    async with MLModelStore(MemoryBackend()) as kept:
        await kept.commit(PERSONAL, name="net")
        with pytest.raises(MLStoreError, match="expected the base that [0-9a-f]{12} was made of"):
            await kept.rebase("net", onto=network(first=3))
        await kept.rebase("net", onto=network(first=3), old_base=OLD, weights="replace")
        assert weights_of(await kept.model("net"))["first.weights"] == [1.5, 1, 1, 0.5]


@pytest.mark.parametrize(("onto", "said"), [(network(hidden=3), "got nothing:\nleft first.weights"), (BASE, "no such layer")])
async def test_where_nothing_can_be_moved_nothing_is_written(onto: MLModel, said: str) -> None:
    async with MLModelStore(MemoryBackend()) as kept:
        before = await kept.commit(PERSONAL, OLD, name="net")
        with pytest.raises(MLStoreError, match=said):
            await kept.rebase("net", onto=onto)
        assert await kept.head("net") == before
        with pytest.raises(MLStoreError, match="expected a model that is kept here, got other"):
            await kept.rebase("other", onto=OLD)
