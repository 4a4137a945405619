"""Versions merged in a store: who came from whom, what two devices make of the same two, branches, and a guard that refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tailor import (
    MLModel,
    MLModelStore,
    MLStoreConflictError,
    MLStoreError,
    MLUpdateContext,
    MLUpdateGuard,
    MLUpdateTask,
    MLVersion,
)
from tailor.persistence import Body, MemoryBackend, Name
from tailor.runtime.format import read_contents
from tests.store.test_merge_examples import BASE, BASE_ROWS, Row, classifier, origin
from tests.tasks.models import regression_model, regression_provider

pytestmark = pytest.mark.anyio

A: Row = ("a", 1.0, origin("a", "2026-01-03"))
B: Row = ("b", 2.0, origin("b", "2026-01-01"))
C: Row = ("c", 3.0, origin("c", "2026-01-02"))


def store(device: str = "phone", backend: MemoryBackend | None = None) -> MLModelStore:
    return MLModelStore(backend or MemoryBackend(), device=device)


async def commit(kept: MLModelStore, *rows: Row, branch: str = "main", onto: MLVersion | None = None) -> MLVersion:
    return await kept.commit(classifier([*BASE_ROWS, *rows]), BASE, name="points", branch=branch, onto=onto)


async def labels(kept: MLModelStore, branch: str = "main") -> list[str]:
    return [str(example.label) for example in (await kept.model("points", branch=branch)).examples]


async def test_two_branches_become_one_that_both_know_to_be_their_child() -> None:
    async with store() as kept:
        first = await commit(kept, A)
        ours = await commit(kept, A, B)
        theirs = await commit(kept, A, C, branch="tablet", onto=first)
        report = await kept.merge("points", "", "tablet")
        assert (report.outcome, report.branches) == ("merged", {})
        assert await labels(kept) == ["old", "old", "b", "c", "a"]
        version = await kept.head("points")
        assert version == report.version
        assert version.parents == tuple(sorted([ours.identifier, theirs.identifier]))
        assert version.created_at == max(ours.created_at, theirs.created_at) and version.device == ""
        merge = version.metadata["merge"]
        assert (merge["ancestor"], merge["policy"]) == (first.identifier, "union")
        assert (await kept.merge("points", "", "tablet")).outcome == "nothing"
        assert (await kept.merge("points", "", "main", branch="tablet")).outcome == "forwarded"
        assert (await kept.head("points", branch="tablet")).identifier == version.identifier


async def copied(source: MemoryBackend, target: MLModelStore) -> None:
    """What a sync would bring: all objects, no heads."""
    for key, (data, _) in (await source.read_many([entry.key for entry in await source.list("objects/")], most=2**30)).items():
        await target.store.backend.write(key, Body.of(data))


async def test_two_devices_that_merge_the_same_two_get_the_same_version() -> None:
    backends = {name: MemoryBackend() for name in ("phone", "tablet")}
    async with store("phone", backends["phone"]) as phone, store("tablet", backends["tablet"]) as tablet:
        one, two = await commit(phone, A, B), await commit(tablet, A, C)
        await copied(backends["tablet"], phone)
        await copied(backends["phone"], tablet)
        there = await phone.merge("points", "", two)
        here = await tablet.merge("points", "", one)
        assert there.outcome == here.outcome == "merged"
        assert there.version.identifier == here.version.identifier
        assert await labels(phone) == await labels(tablet) == ["old", "old", "b", "c", "a"]


async def test_what_one_branch_forgot_stays_forgotten_in_later_merges_too() -> None:
    async with store() as kept:
        first = await commit(kept, A, B)
        await commit(kept, A, B, C, branch="tablet", onto=first)
        await commit(kept, A)
        await kept.merge("points", "", "tablet")
        assert await labels(kept) == ["old", "old", "c", "a"]
        await commit(kept, A, C)
        await commit(kept, A, B, C, C, branch="tablet")
        await kept.merge("points", "", "tablet")
        assert await labels(kept) == ["old", "old", "c", "c", "a"]
        await commit(kept, A, B)
        assert await labels(kept) == ["old", "old", "a", "b"], "taught anew it is there, whatever was forgotten before"
        await kept.merge("points", "", "main", branch="tablet")
        assert "b" in await labels(kept, "tablet")


async def test_what_was_rolled_back_does_not_come_back_and_what_is_rolled_forward_stays() -> None:
    async with store() as kept:
        first = await commit(kept, A)
        second = await commit(kept, A, B)
        await commit(kept, A, B, C, branch="tablet", onto=second)
        back = await kept.rollback("points", to=first)
        assert await labels(kept) == ["old", "old", "a"] and "removed" not in back.metadata
        await kept.merge("points", "", "tablet")
        assert await labels(kept) == ["old", "old", "c", "a"]
        await kept.rollback("points", to=second)
        await kept.merge("points", "", await commit(kept, A, B, C, ("d", 4.0, origin("d", "2026-01-04")), branch="tablet"))
        assert await labels(kept) == ["old", "old", "b", "a", "d"]


async def trained(model: MLModel, count: int) -> MLUpdateContext:
    return await MLUpdateTask(model, regression_provider(count))


async def test_networks_are_averaged_by_the_examples_learned_since_they_parted() -> None:
    base = regression_model()
    async with store() as kept:
        first = await trained(base, 10)
        parent = await kept.commit(first, base, name="net")
        ours, theirs = await trained(first.model, 4), await trained(first.model, 12)
        await kept.commit(ours, base, name="net")
        await kept.commit(theirs, base, name="net", branch="tablet", onto=parent)
        report = await kept.merge("net", "", "tablet")
        sides = [report.version.metadata["merge"]["examples"][side] for side in report.version.parents]
        assert sorted(sides) == [12, 36], "three epochs of each"
        got = read_contents((await kept.model("net")).spec)
        before, one, two = (read_contents(context.model.spec) for context in (first, ours, theirs))
        for name in got:
            start, left, right = (np.asarray(contents[name], np.float64) for contents in (before, one, two))
            np.testing.assert_allclose(np.asarray(got[name]), start + (12 * (left - start) + 36 * (right - start)) / 48, rtol=1e-6)


async def test_a_policy_may_keep_both_and_the_other_is_called_by_its_device() -> None:
    base, backends = regression_model(), [MemoryBackend(), MemoryBackend()]
    async with store("phone", backends[0]) as phone, store("tablet", backends[1]) as tablet:
        ours = await phone.commit(await trained(base, 4), base, name="net")
        theirs = await tablet.commit(await trained(base, 12), base, name="net")
        await copied(backends[1], phone)
        for dry_run, kept in ((True, ["main"]), (False, ["main", "tablet"])):
            report = await phone.merge("net", "", theirs, policy="branches", dry_run=dry_run)
            assert (report.outcome, report.version, report.branches) == ("branches", ours, {"tablet": theirs.identifier})
            assert [head.branch for head in await phone.heads("net")] == kept
        assert (await phone.merge("net", "", "tablet", policy="branches")).branches == {}, "it is on one already"
        later = await tablet.commit(await trained(base, 8), base, name="net")
        apart = await tablet.commit(await trained(base, 6), base, name="net", branch="apart")
        await copied(backends[1], phone)
        assert (await phone.merge("net", "", later, policy="branches")).branches == {"tablet": later.identifier}, "it comes of it"
        assert (await phone.merge("net", "", apart, policy="branches")).branches == {apart.identifier[:12]: apart.identifier}


async def test_a_merge_that_is_worse_than_the_better_side_is_refused_and_both_are_kept() -> None:
    base = regression_model()
    guard = MLUpdateGuard(hold_out=None, reference=regression_provider(20))
    good = await trained((await trained(base, 40)).model, 40)
    async with store() as kept:
        await kept.commit(good, base, name="net")
        theirs = await kept.commit(base.with_delta({}), base, name="net", branch="x", examples=5)
        report = await kept.merge("net", "", theirs, guard=guard)
        assert report.outcome == "branches" and report.verdict is not None and not report.verdict.accepted
        assert (await kept.head("net")).parents == ()
        assert report.as_dict()["verdict"]["accepted"] is False


def by_half(ancestor: Any, sides: Sequence[Any], examples: Any) -> dict[str, Any]:
    return {name: ancestor[name] + sum(side[name] - ancestor[name] for side in sides) / 2 for name in ancestor}


async def test_a_function_is_given_the_base_where_no_version_is_shared() -> None:
    base = regression_model()
    async with store() as kept:
        for branch, count in (("main", 4), ("tablet", 12)):
            await kept.commit(await trained(base, count), base, name="net", branch=branch)
        report = await kept.merge("net", "", "tablet", policy=by_half)
        assert report.version.metadata["merge"]["function"] == "tests.store.test_merge_versions.by_half"
        version = await kept.store.version(report.version.identifier)
        assert report.version.metadata["merge"]["ancestor"] == version.base


async def test_what_cannot_be_merged_changes_nothing() -> None:
    async with store() as kept:
        first = await commit(kept, A)
        other_base = BASE._changed(lambda spec: setattr(spec.description.metadata, "author", "x"))
        await kept.commit(other_base, other_base, name="points", branch="new", onto=first)
        await commit(kept, A, B)
        head = await kept.head("points")
        for others, said in (
            ("new", "expected versions of one base, got .* rebase"),
            ("none", "expected the name of a version"),
            ((), "got none"),
        ):
            with pytest.raises(MLStoreError, match=said):
                await kept.merge("points", "", others)
        assert await kept.head("points") == head


async def test_a_head_that_moves_meanwhile_is_left_where_it_went(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    async with store(backend=backend) as kept, store("other", backend) as other:
        first = await commit(kept, A)
        await commit(kept, A, B, branch="tablet", onto=first)
        await commit(kept, A, C)
        found = kept.store.branches

        async def overtaken(name: Name) -> Any:
            monkeypatch.undo()
            await commit(other, A)
            return await found(name)

        monkeypatch.setattr(kept.store, "branches", overtaken)
        with pytest.raises(MLStoreConflictError):
            await kept.merge("points", "", "tablet")
        assert await labels(kept) == ["old", "old", "a"]


async def test_versions_of_another_model_are_not_merged_with() -> None:
    async with store() as kept:
        network = await kept.commit(regression_model(), regression_model(), name="net")
        await commit(kept, A)
        with pytest.raises(MLStoreError, match="expected a version of the same model and user, got one of net"):
            await kept.merge("points", "", network)


async def test_versions_that_were_kept_whole_are_merged_whole() -> None:
    async with store() as kept:
        first = await kept.commit(classifier([A]), name="points")
        await kept.commit(classifier([A, B]), name="points", branch="tablet", onto=first)
        await kept.commit(classifier([A, C]), name="points")
        version = (await kept.merge("points", "", "tablet")).version
        assert await labels(kept) == ["b", "c", "a"]
        assert (await kept.store.version(version.identifier)).base is None


async def test_a_sync_that_merges_nothing_takes_each_devices_versions_to_all_places() -> None:
    base, between = regression_model(), store("")
    async with store("phone") as phone, store("tablet") as tablet, between:
        ours = (await phone.commit(await trained(base, 4), base, name="net")).identifier
        theirs = (await tablet.commit(await trained(base, 12), base, name="net")).identifier
        for device in (phone, tablet, phone):
            await device.sync(between, merge="branches")
        for kept, last in ((phone, ours), (between, ours), (tablet, theirs)):
            heads = {head.branch: head.identifier for head in await kept.heads("net")}
            assert heads == {"main": last, "phone": ours, "tablet": theirs}
        later = (await tablet.commit(await trained(base, 8), base, name="net")).identifier
        for device in (tablet, phone):
            await device.sync(between, merge="branches")
        assert (await phone.head("net", branch="tablet")).identifier == later, "and goes on from there"


async def test_two_devices_that_sync_through_a_third_place_end_with_one_version() -> None:
    async with store("phone") as phone, store("tablet") as tablet, store("") as between:
        await commit(phone, A, B)
        await commit(tablet, A, C)
        for device in (phone, tablet, phone):
            await device.sync(between)
        heads = {(await kept.head("points")).identifier for kept in (phone, tablet, between)}
        assert len(heads) == 1 and await labels(phone) == ["old", "old", "b", "c", "a"]
