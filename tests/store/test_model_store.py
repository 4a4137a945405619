"""A store of models: what is kept comes back, versions are found by what people call them, and nothing is lost where two write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLModel, MLModelStore, MLStoreConflictError, MLStoreError, MLUpdateTask, take_snapshot
from tailor.persistence import DeltaSnapshot, DirectoryBackend, MemoryBackend, Name
from tailor.runtime.store.failures import at_the_door
from tests.store.models import neighbors, network

pytestmark = pytest.mark.anyio

BASE = network(0.5, -0.5)
POINTS = neighbors("a")


def bits(model: MLModel) -> str:
    return model.content_hash


@pytest.mark.parametrize(
    ("model", "base"),
    [(network(1.0, 2.0), BASE), (network(1.0, 2.0), None), (neighbors("ab"), POINTS), (neighbors("ab"), None), (BASE, BASE)],
    ids=["a network", "all of a network", "neighbours", "all of neighbours", "nothing learned"],
)
async def test_what_is_kept_comes_back_bit_for_bit(model: MLModel, base: MLModel | None) -> None:
    async with MLModelStore(MemoryBackend(), device="phone") as store:
        kept = await store.commit(model, base, user="anna", message="hello")
        assert bits(await store.model(kept.model, "anna")) == bits(model)
        assert (kept.user, kept.branch, kept.device, kept.message, kept.parents) == ("anna", "main", "phone", "hello", ())
        assert [version.identifier for version in await store.heads()] == [kept.identifier]
        assert (await store.last(kept.model, "anna"), await store.last(kept.model, "bert")) == (kept, None)
        assert await store.last_identifiers(kept.model, ["bert", "anna"]) == {"anna": kept.identifier}
        against = await store.base(kept)
        assert (base is None) is (against is None)
        assert base is None or against is None or bits(against) == bits(base)


async def test_the_base_is_kept_once_for_all_and_not_written_for_a_second_version() -> None:
    base = network(*np.arange(50_000.0).tolist())
    size = len(base.to_bytes())
    learned = [network(*np.arange(50_000.0).tolist(), bias=float(step)) for step in (1, 2)]
    backend = MemoryBackend()
    async with MLModelStore(backend) as store:
        for user in ("anna", "bert"):
            await store.commit(learned[0], base, user=user)
        written = sum(entry.size for entry in await backend.list("objects/"))
        assert size < written < 1.1 * size
        before = {entry.key: entry.tag for entry in await backend.list("objects/")}
    async with MLModelStore(backend) as store:  # which remembers nothing
        await store.commit(learned[1], base, user="anna")
        new = [entry for entry in await backend.list("objects/") if before.get(entry.key) != entry.tag]
        assert len(new) == 2  # a snapshot and a version
        assert sum(entry.size for entry in new) < 3000


async def test_an_update_is_kept_with_what_is_known_of_it() -> None:
    data = MLArrayBatchProvider([{"x": [1.0, 0.0], "y_true": [2.0]}, {"x": [0.0, 1.0], "y_true": [1.0]}])
    context = await MLUpdateTask(BASE, data)
    async with MLModelStore(MemoryBackend()) as store:
        kept = await store.commit(context, BASE)
        # half of (0.5 - 2)^2 and (-0.5 - 1)^2 each
        assert kept.metrics["lossValue"] == pytest.approx(2.25)
        assert kept.parameters["learningRate"] == 0.125
        assert kept.metadata["examples"] == 2
        assert kept.metadata["model_hash"] == bits(context.model)


async def test_a_snapshot_is_kept_with_what_it_says() -> None:
    model = network(1.0, 2.0)
    snapshot = take_snapshot(model, BASE)
    async with MLModelStore(MemoryBackend()) as store:
        kept = await store.commit(snapshot, BASE, name="m")
        assert kept.created_at == snapshot.metadata.created_at
        assert bits(await store.model("m")) == bits(model)


async def test_half_precision_is_rounded_and_its_examples_are_the_rounded_ones() -> None:
    async with MLModelStore(MemoryBackend()) as store:
        await store.commit(network(1.0, 1 / 3), BASE, half=True, name="n")
        weights = dict((await store.model("n")).trainable_parameters().items())
        got = next(value for key, value in weights.items() if "weights" in str(key))
        np.testing.assert_array_equal(got.ravel(), np.array([1.0, 1 / 3], np.float16).astype(np.float32))


async def test_what_is_the_last_version_already_is_not_kept_again() -> None:
    model = network(1.0, 2.0)
    async with MLModelStore(MemoryBackend()) as store:
        first = await store.commit(model, BASE)
        assert (await store.commit(model, BASE)).identifier == first.identifier
        said = await store.commit(model, BASE, message="as I said")
        other = await store.commit(model, network(0.25, 0.25, name="line"))
        assert [version.identifier for version in await store.log("line")] == [other.identifier, said.identifier, first.identifier]


async def test_versions_are_found_by_what_people_call_them() -> None:
    async with MLModelStore(MemoryBackend()) as store:
        versions = [await store.commit(network(number, 0.0), BASE, user="anna") for number in (1.0, 2.0, 3.0)]
        aside = await store.commit(network(9.0, 0.0), BASE, user="anna", branch="aside", onto=versions[0])
        alien = await store.commit(network(8.0, 0.0), BASE, user="bert")
        await store.tag("line", "anna", "spring", "HEAD~1")
        first, second, third = (version.identifier for version in versions)
        for called, expected in (
            ("HEAD", third), ("HEAD~", second), ("HEAD~1", second), ("HEAD~2", first), ("HEAD~0", third),
            ("spring", second), ("spring~1", first), (first, first), (second[:6], second), (f"{third[:20]}~2", first),
            (aside.identifier[:10], aside.identifier),
        ):  # fmt: skip
            assert (await store.head("line", "anna", version=called)).identifier == expected, called
        assert bits(await store.model("line", "anna", version=versions[1])) == bits(network(2.0, 0.0))
        wrong: tuple[tuple[Any, str], ...] = (
            ("HEAD~3", "a version 3 steps before HEAD, got only 2"),
            ("summer", "(tags: spring), got 'summer'"),
            (alien.identifier, "which none has"),
            ("0" * 6, "which none has"),
            (third[:5], "which none has"),
            ("", "expected HEAD, a tag"),
            ("HEAD~x", "expected"),
            (None, "got None"),
            (alien, "got one of line/bert/main"),
        )
        for called, message in wrong:
            with pytest.raises(MLStoreError) as raised:
                await store.model("line", "anna", version=called)
            assert message in str(raised.value)
        with pytest.raises(MLStoreError, match="of this model there is line/anna/aside, line/anna/main, line/bert/main"):
            await store.model("line")


async def test_tags_stay_with_their_version() -> None:
    async with MLModelStore(MemoryBackend()) as store:
        first, second = [await store.commit(network(number, 0.0), BASE) for number in (1.0, 2.0)]
        await store.tag("line", "", "good", first)
        await store.tag("line", "", "good", first)
        with pytest.raises(MLStoreConflictError, match="expected a new tag, got 'good'"):
            await store.tag("line", "", "good", second)
        assert await store.tags("line") == {"good": first.identifier}
        await store.tag("line", "", "good", second, replace=True)
        assert await store.tags("line") == {"good": second.identifier}
        await store.untag("line", "", "good")
        assert await store.tags("line") == {}
        for tag in ("HEAD", "a~1", "abcdef", "12345678", "", "x" * 100, "a\nb"):
            with pytest.raises(MLStoreError):
                await store.tag("line", "", tag)
        with pytest.raises(MLStoreError, match="'good', which none"):
            await store.untag("line", "", "good")


async def test_who_says_what_a_model_was_made_of_puts_nothing_aside() -> None:
    async with MLModelStore(MemoryBackend()) as store:
        first = await store.commit(network(1.0, 0.0), BASE)
        second = await store.commit(network(2.0, 0.0), BASE, onto=first)
        assert second.parents == (first.identifier,)
        with pytest.raises(MLStoreConflictError, match="commit to a branch of its own, and merge"):
            await store.commit(network(3.0, 0.0), BASE, onto=first)
        beside = await store.commit(network(3.0, 0.0), BASE, onto=first, branch="phone")
        assert beside.parents == (first.identifier,)
        assert [version.identifier for version in await store.log("line")] == [second.identifier, first.identifier]
        with pytest.raises(MLStoreError, match="expected a version of the same model and user"):
            await store.commit(network(3.0, 0.0), BASE, user="anna", onto=first)


async def test_what_else_is_told_of_a_version_is_kept_with_it() -> None:
    model = network(1.0, 2.0)
    async with MLModelStore(MemoryBackend(), device="phone") as store:
        first = await store.commit(model, BASE, extra={"update": "u1"}, first=True)
        again = await store.commit(model, BASE, extra={"update": "u2", "more": [1, {"a": None}]}, onto=first)
        assert again.identifier != first.identifier
        told = [(version.device, version.metadata["update"], version.metadata.get("more")) for version in await store.log("line")]
        assert told == [("phone", "u2", [1, {"a": None}]), ("phone", "u1", None)]
        with pytest.raises(MLStoreError, match="extra: expected names that tailor has no use for, got 'examples', 'model_hash'"):
            await store.commit(network(3.0, 0.0), BASE, extra={"model_hash": "", "examples": 3})
        with pytest.raises(MLStoreConflictError, match="expected no version yet"):
            await store.commit(network(3.0, 0.0), BASE, first=True)
        assert (await store.head("line")).identifier == again.identifier


async def test_of_commits_at_one_moment_each_is_kept_or_told() -> None:
    kept: list[str] = []
    told: list[MLStoreConflictError] = []
    async with MLModelStore(MemoryBackend()) as store:

        async def commit(number: float) -> None:
            try:
                kept.append((await store.commit(network(number, 0.0), BASE)).identifier)
            except MLStoreConflictError as error:
                told.append(error)

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(commit, float(number + 1))
        assert len(kept) + len(told) == 6
        assert {version.identifier for version in await store.log("line")} == set(kept)


async def test_to_roll_back_loses_nothing() -> None:
    async with MLModelStore(MemoryBackend(), device="tablet") as store:
        first, second = [await store.commit(network(number, 0.0), BASE, message=f"{number}") for number in (1.0, 2.0)]
        back = await store.rollback("line", to="HEAD~1")
        assert bits(await store.model("line")) == bits(network(1.0, 0.0))
        assert (back.parents, back.device, back.message) == ((second.identifier,), "tablet", "")
        assert (back.metadata["rollback"], back.metadata["examples"]) == (first.identifier, 0)
        await store.rollback("line", to=second)
        assert bits(await store.model("line")) == bits(network(2.0, 0.0))
        assert len(await store.log("line")) == 4
        assert [version.identifier for version in await store.log("line", version=second, most=1)] == [second.identifier]


async def test_examples_that_are_gone_are_remembered_as_gone() -> None:
    async with MLModelStore(MemoryBackend()) as store:
        await store.commit(neighbors("ab"), POINTS)
        await store.commit(neighbors("bc"), POINTS)
        await store.commit(neighbors("c"), POINTS)
        head = await store.store.head(Name("points"))
        assert head is not None
        snapshot = await store.store.snapshot((await store.store.version(head.version)).snapshot)
        assert isinstance(snapshot, DeltaSnapshot)
        removed = snapshot.metadata.extra["removed"]
        assert isinstance(removed, dict)
        assert sorted(removed.values()) == [1, 1]  # the base's "a", and the "b" that was learned
        assert "removed" not in (await store.head("points")).metadata  # versions stay for ever, and small


async def test_pruned_versions_stay_in_the_log_and_say_so() -> None:
    clock = 1_000_000.0
    backend = MemoryBackend(clock=lambda: clock)
    async with MLModelStore(backend) as store:
        versions = [await store.commit(network(number, 0.0), BASE) for number in (1.0, 2.0, 3.0, 4.0)]
        await store.tag("line", "", "dear", versions[1])
        clock += 3 * 86_400
        dry = await store.prune(last=2, dry_run=True)
        done = await store.prune(last=2)
        assert [version.identifier for version in done.pruned] == [versions[0].identifier]
        assert (dry.pruned, done.kept) == (done.pruned, 3)
        assert [version.pruned for version in await store.log("line")] == [False, False, False, True]
        with pytest.raises(MLStoreError, match="whose snapshot was pruned"):
            await store.model("line", version=versions[0])
        assert bits(await store.model("line", version="dear")) == bits(network(2.0, 0.0))
        with pytest.raises(MLStoreError, match="last: expected an integer above 0, got 0"):
            await store.prune(last=0)
        assert (await store.prune()).pruned == ()


async def test_a_branch_of_what_was_pruned_has_its_base_again() -> None:
    clock = 1_000_000.0
    backend = MemoryBackend(clock=lambda: clock)
    async with MLModelStore(backend) as store:
        first = await store.commit(network(1.0, 0.0), BASE)
        await store.commit(network(2.0, 0.0), network(9.0, 9.0))
        clock += 3 * 86_400
        assert len((await store.prune(last=1)).pruned) == 1
        await store.commit(network(3.0, 0.0), BASE, onto=first, branch="late")
        assert (await store.verify()).whole
    async with MLModelStore(backend) as store:
        assert bits(await store.model("line", branch="late")) == bits(network(3.0, 0.0))


async def test_damage_is_found_and_named() -> None:
    backend = MemoryBackend()
    async with MLModelStore(backend) as store:
        kept = await store.commit(network(1.0, 0.0), BASE)
        assert (await store.verify()).whole
        version = await store.store.version(kept.identifier)
        assert version.base is not None
        for digest in (version.snapshot, version.base, kept.identifier):
            key = f"objects/{digest[:2]}/{digest}"
            data, entry = backend._kept[key]
            backend._kept[key] = data[:-40] + bytes((data[-40] ^ 1,)) + data[-39:], entry
            assert key in [problem.key for problem in (await store.verify()).problems]
            async with MLModelStore(backend) as other:
                with pytest.raises(MLStoreError, match=f"{digest}.*damaged"):
                    await other.model("line")
            backend._kept[key] = data, entry
        assert (await store.verify()).whole


async def test_one_file_holds_a_store_and_diverged_names_become_branches(tmp_path: Path) -> None:
    archive = tmp_path / "all.tailor"
    async with MLModelStore(MemoryBackend()) as one, MLModelStore(MemoryBackend()) as other:
        await one.commit(network(1.0, 0.0), BASE, user="anna")
        await one.commit(network(1.0, 0.0), BASE, user="bert")
        await one.export_to(archive)
        assert {row.outcome for row in await other.import_from(archive)} == {"created"}
        await one.commit(network(2.0, 0.0), BASE, user="anna")
        theirs = await one.commit(network(2.0, 0.0), BASE, user="bert")
        await other.commit(network(3.0, 0.0), BASE, user="bert")
        await one.export_to(archive, [("line", None)])
        rows = {row.user: (row.outcome, row.beside) for row in await other.import_from(archive)}
        beside = f"imported-{theirs.identifier[:12]}"
        assert rows == {"anna": ("moved", ""), "bert": ("diverged", beside)}
        assert bits(await other.model("line", "bert")) == bits(network(3.0, 0.0))
        assert bits(await other.model("line", "bert", branch=beside)) == bits(network(2.0, 0.0))
        await one.export_to(archive, [("line", "anna")])
        assert [(row.user, row.outcome) for row in await other.import_from(archive)] == [("anna", "unchanged")]
        with pytest.raises(MLStoreError, match="got line/cleo"):
            await one.export_to(archive, [("line", "cleo")])
        with pytest.raises(MLStoreError, match="absent.*file that can be written"):
            await one.export_to(tmp_path / "absent" / "all.tailor")
        (tmp_path / "no.tailor").write_bytes(b"no archive at all")
        with pytest.raises(MLStoreError, match="expected a tailor archive"):
            await other.import_from(tmp_path / "no.tailor")


async def test_names_are_never_paths(tmp_path: Path) -> None:
    names = ["../../x", "/etc/passwd", "a/b", "a\\b", ".", "..", "con", "C:", "\U0001f600" * 3, "=2e", "", "A", "a"]
    async with MLModelStore(tmp_path / "store") as store:
        for user in names:
            await store.commit(network(1.0, 0.0), BASE, user=user, name="m")
        assert {version.user for version in await store.heads("m")} == set(names)
        impossible: tuple[Any, ...] = ("a\nb", "x" * 100, "\U0001f600" * 60, "\ud800", 5, None)
        for user in impossible:
            with pytest.raises(MLStoreError, match="name"):
                await store.commit(network(1.0, 0.0), BASE, user=user, name="m")
    assert os.listdir(tmp_path) == ["store"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda store: store.commit(network(1.0), BASE), "weights"),
        (lambda store: store.commit(BASE, "absent.mlmodel"), "absent.mlmodel"),
        (lambda store: store.log("line"), "got line//main, of which there is nothing"),
        (lambda store: store.rollback("line", to="HEAD"), "of which there is nothing"),
        (lambda store: store.diff("line"), "of which there is nothing"),
    ],
)
async def test_wrong_input_is_told_and_nothing_is_kept(call: Callable[[MLModelStore], Any], message: str) -> None:
    async with MLModelStore(MemoryBackend()) as store:
        with pytest.raises(RuntimeError, match=message):  # MLModelError's parent: all of these are of the family
            await call(store)
        assert await store.heads() == []


def test_errors_of_the_system_and_of_groups_are_translated() -> None:
    full = OSError(28, "No space left on device", "/x/y")
    for raised in (full, ExceptionGroup("", [ExceptionGroup("", [full])])):
        with pytest.raises(MLStoreError, match="/x/y: expected .* got No space left on device"), at_the_door():
            raise raised


async def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a store")
    with pytest.raises(MLStoreError, match="Not a directory"):
        async with MLModelStore(DirectoryBackend(tmp_path / "file" / "store")) as store:
            await store.commit(BASE)


async def test_prune_takes_what_a_killed_writer_has_left(tmp_path: Path) -> None:
    async with MLModelStore(tmp_path / "store") as store:
        await store.commit(BASE)
        left = [tmp_path / "store" / "objects" / f".tailor-{digit * 16}.tmp" for digit in "ab"]
        for path, hours in zip(left, (1, 30), strict=True):
            path.write_bytes(b"half")
            os.utime(path, (time.time() - 3600 * hours,) * 2)
        await store.prune(last=1, dry_run=True)
        assert [path.exists() for path in left] == [True, True]
        await store.prune(last=1)
        assert [path.exists() for path in left] == [True, False]
