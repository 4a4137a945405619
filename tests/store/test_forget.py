"""Forgetting in a store: no version of the past, no branch and no other store shows what was forgotten, and nothing else is lost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from tailor import MLModel, MLModelStore, MLStoreConflictError, MLStoreError
from tailor.building import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, SgdParams, array_feature
from tailor.persistence import Body, Entry, MemoryBackend, Name, Store, StoreError, Version, sync
from tailor.persistence.testing import Fault, FaultyBackend, Killed
from tailor.runtime.format import write_contents

pytestmark = pytest.mark.anyio

# label, the one number of its sample, id, source
ANNA, BERT, CLEO = ("a", 1.0, "anna/1", "camera"), ("b", 2.0, "bert/1", "camera"), ("c", 3.0, "cleo/1", "scan")
DORA = ("d", 4.0, "dora/1", "scan")
Row = tuple[str, float, str, str]


def points(*rows: Row, default: bool = True) -> MLModel:
    builder = KNearestNeighborsClassifierBuilder("point", "label", 1, "nobody", number_of_neighbors=1)
    if not default:
        builder.spec.kNearestNeighborsClassifier.ClearField("defaultStringLabel")
    contents: dict[str, Any] = {
        "samples": np.array([row[1] for row in rows], np.float32).reshape(-1, 1),
        "labels": [row[0] for row in rows],
        "origins": [f'["{row[2]}","{row[3]}"]' for row in rows],
    }
    model = MLModel.from_spec(builder.spec, "points")
    return model._changed(lambda spec: write_contents(spec, contents)) if rows else model


BASE = points()


async def taught(store: MLModelStore, *steps: Sequence[Row], base: MLModel | None = BASE, user: str = "u") -> list[str]:
    return [(await store.commit(points(*rows), base, user=user, name="points")).identifier for rows in steps]


async def ids(store: MLModelStore, version: str = "HEAD", branch: str = "main") -> list[str | None]:
    return [example.id for example in (await store.model("points", "u", version=version, branch=branch)).examples]


def holds(backend: MemoryBackend, *texts: bytes) -> list[str]:
    """The keys of the objects in which one of the texts is."""
    return [key for key, (data, _) in backend._kept.items() if any(text in data for text in texts)]


@pytest.mark.parametrize("base", [BASE, None], ids=["deltas", "full"])
async def test_no_version_of_the_past_shows_it_and_all_else_is_there(base: MLModel | None) -> None:
    backend = MemoryBackend()
    async with MLModelStore(backend) as store:
        first, second, third = await taught(store, [ANNA], [ANNA, BERT], [ANNA, BERT, CLEO], base=base)
        report = await store.forget("points", "u", ids=["bert/1"])
        assert (report.examples, set(report.rewritten), report.dropped, report.base, report.trained) == (1, {second, third}, (), 0, ())
        assert [await ids(store, version) for version in (first, second, third)] == [["anna/1"], ["anna/1"], ["anna/1", "cleo/1"]]
        assert await ids(store) == ["anna/1", "cleo/1"]
        assert [version.identifier for version in await store.log("points", "u")][1:] == [third, second, first], "the past is the same"
        assert holds(backend, b"bert/1") == [], "no byte of it is left"
        assert holds(backend, b"anna/1") != []


async def test_a_label_and_a_source_are_forgotten_in_every_branch() -> None:
    async with MLModelStore(MemoryBackend()) as store:
        await taught(store, [ANNA, BERT])
        head = await store.head("points", "u")
        await store.commit(points(ANNA, BERT, DORA), BASE, user="u", name="points", branch="other", onto=head)
        report = await store.forget("points", "u", labels=["a"], sources=["scan"])
        assert report.examples == 2
        assert (await ids(store), await ids(store, branch="other")) == (["bert/1"], ["bert/1"])


async def test_only_the_last_version_where_the_past_may_keep_it() -> None:
    async with MLModelStore(MemoryBackend()) as store:
        first, _ = await taught(store, [ANNA], [ANNA, BERT])
        report = await store.forget("points", "u", ids=["anna/1"], past=False)
        assert (report.rewritten, await ids(store), await ids(store, first)) == ((), ["bert/1"], ["anna/1"])
        assert await store.forget_again("points", "u") == ()


async def test_what_has_no_answer_left_is_refused_of_the_last_version_and_dropped_of_the_past() -> None:
    backend = MemoryBackend()
    async with MLModelStore(backend) as store:

        async def commit(*rows: Row) -> str:
            bare = points(default=False)
            return (await store.commit(points(*rows, default=False), bare, user="u", name="points")).identifier

        first = await commit(ANNA)
        before = dict(backend._kept)
        with pytest.raises(MLStoreError, match="expected an example to stay"):
            await store.forget("points", "u", ids=["anna/1"])
        assert backend._kept == before
        await commit(ANNA, BERT)
        report = await store.forget("points", "u", ids=["anna/1"])
        assert (report.dropped, await ids(store)) == ((first,), ["bert/1"])
        with pytest.raises(MLStoreError, match="whose snapshot was pruned"):
            await store.model("points", "u", version=first)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "expected ids, labels or sources of examples to forget, got none"),
        ({"ids": ["nobody/1"]}, "got none that any has"),
        ({"ids": ["anna/1"], "name": "circles"}, "got circles/u, of which there is nothing"),
    ],
    ids=["nothing", "of nobody", "of no model"],
)
async def test_what_cannot_be_forgotten_is_told(asked: dict[str, Any], said: str) -> None:
    async with MLModelStore(MemoryBackend()) as store:
        await taught(store, [ANNA])
        with pytest.raises(MLStoreError, match=said):
            await store.forget(**{"name": "points", "user": "u"} | asked)
        assert await ids(store) == ["anna/1"]


async def test_weights_cannot_forget_and_the_report_names_those_that_learned() -> None:
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("y", (1,))])
    builder.add_inner_product("dense", np.zeros((1, 2)), np.zeros(1), 2, 1, True, "x", "y")
    builder.make_updatable(["dense"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (1,)))
    builder.set_sgd_optimizer(SgdParams(lr=0.1, batch=10))
    builder.set_epochs(1)
    base = MLModel.from_spec(builder.spec, "line")
    async with MLModelStore(MemoryBackend()) as store:
        (key,) = [key for key in base.trainable_parameters() if "bias" in str(key).lower()]
        await store.commit(base.with_parameters({key: [1.0]}), base, name="line")
        report = await store.forget("line", ids=["anna/1"])
        assert (report.examples, report.heads, report.rewritten) == (0, (), ())
        assert report.trained == ("dense.bias",)


async def test_what_comes_back_with_another_devices_past_is_forgotten_again() -> None:
    here, there = MemoryBackend("memory:here"), MemoryBackend("memory:there")
    async with MLModelStore(here) as ours, MLModelStore(there) as theirs:
        (first,) = await taught(ours, [ANNA])
        await sync(Store(here), Store(there))
        (second,) = await taught(theirs, [ANNA, CLEO])
        await ours.forget("points", "u", ids=["anna/1"])
        await sync(Store(here), Store(there))
        head = await ours.store.head(Name("points", "u"))
        assert head is not None
        last = await ours.store.version(head.version)
        joined = Version(last.metadata, "0" * 64, (head.version, second), last.base)
        await ours.store.commit(head.name, joined, await ours.store.snapshot(last.snapshot), head)
        assert await ids(ours, second) == ["anna/1", "cleo/1"], "it came with the other's past"
        assert await ours.forget_again("points", "u") == (second,)
        assert (await ids(ours, second), await ids(ours, first)) == (["cleo/1"], [])
        assert holds(here, b"anna/1") == []
        assert holds(there, b"anna/1") != [], "nobody has told it yet"
        await sync(Store(here), Store(there))
        assert set(await theirs.forget_again("points", "u")) == {first, second}
        assert holds(there, b"anna/1") == []
        assert {key: data for key, (data, _) in here._kept.items() if key.startswith("objects/")} == {
            key: data for key, (data, _) in there._kept.items() if key.startswith("objects/")
        }, "both found the same to put in its place"


@pytest.mark.parametrize("default", [True, False], ids=["rewritten", "dropped"])
async def test_what_stands_in_since_another_was_forgotten_goes_too(default: bool) -> None:
    backend = MemoryBackend()
    async with MLModelStore(backend) as store:
        for rows in ([ANNA, BERT], [ANNA, BERT, CLEO]):
            await store.commit(points(*rows, default=default), points(default=default), user="u", name="points")
        await store.forget("points", "u", ids=["anna/1"])
        report = await store.forget("points", "u", ids=["bert/1"])
        assert bool(report.dropped) is not default
        assert await ids(store) == ["cleo/1"]
        assert holds(backend, b"anna/1", b"bert/1") == []
        assert (await store.verify()).whole


async def test_stopped_between_the_mark_and_the_snapshot_it_is_dropped_when_done_again() -> None:
    backend = MemoryBackend()
    async with MLModelStore(backend) as store:
        for rows in ([ANNA], [ANNA, BERT]):
            version = await store.commit(points(*rows, default=False), points(default=False), user="u", name="points")
        first = version.parents[0]
        await backend.write(f"pruned/{first}", Body.of(b""))
        assert await ids(store, first) == ["anna/1"], "who is stopped before it is removed has not pruned it"
        assert (await store.forget("points", "u", ids=["anna/1"])).dropped == (first,)
        assert holds(backend, b"anna/1") == []
        with pytest.raises(MLStoreError, match="whose snapshot was pruned"):
            await store.model("points", "u", version=first)


async def test_what_is_committed_meanwhile_is_not_lost() -> None:
    inner = MemoryBackend()

    class Meddling(FaultyBackend):
        """Where somebody commits while the past is searched."""

        async def list(self, prefix: str) -> list[Entry]:
            if prefix == "pruned/":
                committed.extend(await taught(MLModelStore(inner), [ANNA, BERT, CLEO]))
            return await super().list(prefix)

    committed: list[str] = []
    async with MLModelStore(inner) as store:
        await taught(store, [ANNA, BERT])
        with pytest.raises(MLStoreConflictError, match="somebody else was first"):
            await MLModelStore(Meddling(inner)).forget("points", "u", ids=["anna/1"])
        assert (await store.head("points", "u")).identifier == committed[0]
        await store.forget("points", "u", ids=["anna/1"])
        assert await ids(store) == ["bert/1", "cleo/1"]


async def branched(ours: MLModelStore, theirs: MLModelStore) -> None:
    """Anna is forgotten on both sides; then theirs has a new branch, which began before."""
    await taught(ours, [ANNA, BERT])
    await ours.sync(theirs)
    before = await theirs.head("points", "u")
    await ours.forget("points", "u", ids=["anna/1"])
    await ours.sync(theirs)
    await theirs.commit(points(ANNA, BERT, CLEO), BASE, user="u", name="points", branch="old", onto=before)


async def test_who_forgets_at_the_same_time_undoes_nothing_of_it() -> None:
    backend = MemoryBackend()
    async with MLModelStore(backend) as store:
        await taught(store, [ANNA, BERT], [ANNA, BERT, CLEO])
        async with anyio.create_task_group() as group:
            for row in (ANNA, BERT):
                group.start_soon(partial(store.forget, "points", "u", ids=[row[2]]))
        assert await ids(store) == ["cleo/1"]
        assert holds(backend, b"anna/1", b"bert/1") == []


async def test_an_old_branch_brings_nothing_back() -> None:
    here, there = MemoryBackend("memory:here"), MemoryBackend("memory:there")
    async with MLModelStore(here) as ours, MLModelStore(there) as theirs:
        await branched(ours, theirs)
        assert [row.outcome for row in (await ours.sync(theirs)).names] == ["pulled"]
        assert holds(here, b"anna/1") + holds(there, b"anna/1") == []
        assert await ids(ours, branch="old") == await ids(theirs, branch="old") == ["bert/1", "cleo/1"]


async def test_an_archive_brings_nothing_back(tmp_path: Path) -> None:
    here, there = MemoryBackend("memory:here"), MemoryBackend("memory:there")
    async with MLModelStore(here) as ours, MLModelStore(there) as theirs:
        await branched(ours, theirs)
        await theirs.export_to(tmp_path / "all")
        assert "created" in [row.outcome for row in await ours.import_from(tmp_path / "all")]
        assert await ids(ours, branch="old") == ["bert/1", "cleo/1"]
        assert holds(here, b"anna/1") == []


@pytest.mark.parametrize(("anyio_backend", "fault"), [*(("asyncio", fault) for fault in Fault), ("trio", Fault.KILL)])
async def test_stopped_anywhere_and_done_again_nothing_is_left_of_it(fault: Fault) -> None:
    for n in itertools.count():
        inner = MemoryBackend()
        async with MLModelStore(inner) as store:
            first, second = await taught(store, [ANNA], [ANNA, BERT])
        faulty = FaultyBackend(inner, {n: fault})
        with suppress(Killed, MLStoreError, StoreError):
            await MLModelStore(faulty).forget("points", "u", ids=["anna/1"])
        async with MLModelStore(inner) as store:
            assert await ids(store, second) in (["anna/1", "bert/1"], ["bert/1"])
            await store.forget_again("points", "u")
            with suppress(MLStoreError):  # where all was done before the fault
                await store.forget("points", "u", ids=["anna/1"])
            assert [await ids(store, version) for version in (first, second, "HEAD")] == [[], ["bert/1"], ["bert/1"]]
        assert holds(inner, b"anna/1") == []
        if not faulty.failed:
            break
    assert n > 10
