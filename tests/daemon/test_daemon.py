"""The daemon as one object: what is asked of it, and what it says to what cannot be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from msgspec.structs import replace

from tailor import (
    MLConflictError,
    MLFeatureError,
    MLLimitError,
    MLModel,
    MLModelError,
    MLModelStore,
    MLNotFoundError,
    MLParameterError,
    MLUpdateError,
)
from tailor.client import NewExample, NewExamples, NewForgetting, NewModel, NewUpdate
from tailor.daemon.configuration import Limits, Settings, Updates
from tailor.daemon.configuration.settings import Http
from tailor.daemon.daemon import Daemon
from tailor.daemon.ledger import Ledger
from tailor.daemon.models.registry import TRIES
from tailor.daemon.updates.engine import PATIENCE
from tailor.persistence import Body, MemoryBackend
from tests.daemon.updates.daemons import BASE, LEARN, Mortal, dying, ended, examples, opened, rows, taught, until
from tests.store.models import neighbors, network

pytestmark = pytest.mark.anyio

MANUAL = replace(LEARN, examples=0)


def refused() -> NewExamples:
    return NewExamples(examples=[NewExample(features={"x": [1.0, 2.0], "y_true": [1.0]}), NewExample(features={"x": [1.0]})])


Ask: TypeAlias = Callable[[Daemon], Awaitable[object]]

REFUSED: list[tuple[Ask, type[MLModelError], str]] = [
    (lambda daemon: daemon.model("none"), MLNotFoundError, "one of m, got 'none'"),
    (lambda daemon: daemon.remove_model("none"), MLNotFoundError, "'none'"),
    (lambda daemon: daemon.remove_model("m"), MLConflictError, "users"),
    (lambda daemon: daemon.register("m", NewModel(data=network(1.0).to_bytes())), MLConflictError, "to replace the model"),
    (lambda daemon: daemon.register("n", NewModel(data=b"not a model")), MLModelError, "'n'"),
    (lambda daemon: daemon.add_user("none", "ann"), MLNotFoundError, "'none'"),
    (lambda daemon: daemon.user("m", "bob"), MLNotFoundError, "'bob'"),
    (lambda daemon: daemon.users("none"), MLNotFoundError, "'none'"),
    (lambda daemon: daemon.remove_user("m", "bob"), MLNotFoundError, "'bob'"),
    (lambda daemon: daemon.add_examples("none", "ann", examples(rows(1))), MLNotFoundError, "'none'"),
    (lambda daemon: daemon.add_examples("m", "ann", refused()), MLFeatureError, "example 1: .*'x'|example 1: .*y_true"),
    (lambda daemon: daemon.add_examples("m", "ann", examples(rows(1, seed=9))), MLConflictError, "'e0'"),
    (lambda daemon: daemon.add_examples("m", "ann", examples(rows(9), 100)), MLLimitError, "examples_per_user"),
    (lambda daemon: daemon.add_examples("m", "bob", examples(rows(1))), MLLimitError, "users"),
    (lambda daemon: daemon.examples("m", "bob"), MLNotFoundError, "'bob'"),
    (lambda daemon: daemon.predict("m", "bob", [{"x": [1.0, 1.0]}]), MLNotFoundError, "'bob'"),
    (lambda daemon: daemon.predict("m", "ann", [{"x": [1.0, 1.0]}, {"x": [1.0]}]), MLFeatureError, "example 1"),
    (lambda daemon: daemon.update("m", "bob", NewUpdate()), MLNotFoundError, "'bob'"),
    (lambda daemon: daemon.updates(model="none"), MLNotFoundError, "'none'"),
    (lambda daemon: daemon.update_record("u"), MLNotFoundError, "'u'"),
    (lambda daemon: daemon.why("u"), MLNotFoundError, "'u'"),
    (lambda daemon: daemon.forecast("u"), MLNotFoundError, "'u'"),
    (lambda daemon: daemon.history("m", "bob"), MLNotFoundError, "'bob'"),
    (lambda daemon: daemon.rollback("m", "ann", "HEAD~1"), MLNotFoundError, "m/ann"),
    (lambda daemon: daemon.forget("m", "ann", NewForgetting(ids=["e99"])), MLNotFoundError, "e99"),
    (lambda daemon: daemon.sync(), MLNotFoundError, "remotes"),
]


async def test_what_cannot_be_is_told_and_changes_nothing(tmp_path: Path) -> None:
    limits = Limits(examples_per_user=8, users=1)
    async with opened(tmp_path, MemoryBackend(), MANUAL, limits=limits) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(2)))

        async def everything() -> object:
            return await daemon.models(), await daemon.users("m"), await daemon.examples("m", "ann"), await daemon.updates()

        before = await everything()
        for ask, error, told in REFUSED:
            with pytest.raises(error, match=told):
                await ask(daemon)
            assert await everything() == before


async def test_a_day_of_a_daemon(tmp_path: Path) -> None:
    backend = MemoryBackend()
    async with opened(tmp_path, backend, MANUAL) as daemon:
        followed = daemon.events()
        assert (await daemon.add_user("m", "ann")).next == "no example waits for an update"
        assert (await daemon.predict("m", "ann", [{"x": [2.0, 1.0]}])).outputs[0]["y"] == pytest.approx([0.5])  # 2/2 - 1/2
        sent = examples(rows(4))
        added = await daemon.add_examples("m", "ann", sent)
        assert (added.accepted, added.duplicates, added.waiting) == (4, 0, 4)
        again = await daemon.add_examples("m", "ann", sent)
        assert (again.accepted, again.duplicates, again.waiting) == (0, 4, 4)
        made = await daemon.update("m", "ann", NewUpdate())
        with pytest.raises(MLConflictError, match=made.identifier):
            await daemon.update("m", "ann", NewUpdate())
        done = await ended(daemon, made.identifier)
        user = await daemon.user("m", "ann")
        assert (user.version, user.learned, user.update) == (done.version, 4, None)
        assert (await daemon.predict("m", "ann", [{"x": [2.0, 1.0]}])).version == done.version
        assert [version.identifier for version in await daemon.history("m", "ann")] == [done.version]
        await daemon.add_examples("m", "ann", examples(rows(4, seed=3), 4))
        second = await ended(daemon, (await daemon.update("m", "ann", NewUpdate())).identifier)
        back = await daemon.rollback("m", "ann", "HEAD~1")
        assert back.parents == [second.version]
        assert (await daemon.predict("m", "ann", [{"x": [2.0, 1.0]}])).version == back.identifier
        status = await daemon.status()
        assert (status.models, status.users, status.waiting, status.updates, status.state) == (1, 1, 0, {}, "running")
        await daemon.remove_user("m", "ann")
        await daemon.remove_model("m")
        assert await daemon.models() == []
        daemon.stop()
        kinds = [event.kind async for event in followed]
        assert kinds.count("update_ended") == 2 and kinds[-2:] == ["user_removed", "model_removed"]
        assert len(await daemon.recent(most=1000)) >= len([kind for kind in kinds if kind != "update_progress"]) - 2


async def test_a_head_that_is_damaged_is_told_of_and_keeps_no_other_user_from_being_told(tmp_path: Path) -> None:
    backend = MemoryBackend()
    async with opened(tmp_path, backend, MANUAL) as daemon:
        kept: dict[str, str | None] = {"dora": None}
        for user in ("ann", "bob", "cleo", "dora"):
            await daemon.add_user("m", user)
        async with MLModelStore(backend) as store:
            for user in ("ann", "bob", "cleo"):
                kept[user] = (await store.commit(network(1.0, 1.0), BASE, user=user, name="m")).identifier
        assert {one.user: one.version for one in await daemon.users("m")} == kept
        (head,) = [entry.key for entry in await backend.list("heads/") if "bob" in entry.key]
        await backend.write(head, Body.of(b"damaged"))
        told = {one.user: one for one in await daemon.users("m")}
        assert {user: one.version for user, one in told.items()} == {**kept, "bob": None}
        assert [user for user, one in told.items() if one.trouble is not None] == ["bob"]
        assert told["bob"] == await daemon.user("m", "bob") and head in (told["bob"].trouble or "")


async def test_what_was_made_for_a_model_that_is_replaced_meanwhile_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = network(0.5, -0.5)
    once.spec.neuralNetwork.updateParams.epochs.set.values[:] = [1]
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon:

        def replaced_before(change: str, *models: MLModel) -> None:
            """What is to be kept was made for the model that is there, and then comes one of these, each time another."""
            really, left = getattr(Ledger, change), list(models)

            async def changed(*args: Any, **more: Any) -> Any:
                if left:
                    await daemon.register("m", NewModel(data=left.pop(0).to_bytes(), replace=True))
                return await really(*args, **more)

            monkeypatch.setattr(Ledger, change, changed)

        replaced_before("add_examples", neighbors("ab"))
        with pytest.raises(MLFeatureError, match="point"):
            await daemon.add_examples("m", "ann", examples(rows(4)))
        await daemon.register("m", NewModel(data=BASE.to_bytes(), replace=True))
        replaced_before("add_examples", *(network(0.5, float(number)) for number in range(TRIES)))
        with pytest.raises(MLConflictError, match="replaced it meanwhile; ask again"):
            await daemon.add_examples("m", "ann", examples(rows(4)))
        assert await daemon.users("m") == []
        replaced_before("add_examples", BASE)
        assert (await daemon.add_examples("m", "ann", examples(rows(4)))).accepted == 4
        replaced_before("plan_update", once)
        with pytest.raises(MLParameterError, match="epochs"):  # the settings' are checked against the new one
            await daemon.update("m", "ann", NewUpdate())
        assert (await daemon.user("m", "ann")).waiting == 4


async def test_time_makes_an_update_due(tmp_path: Path) -> None:
    time = datetime(2026, 6, 1, 12, tzinfo=UTC)
    updates = replace(LEARN, examples=0, interval=3600.0)
    async with opened(tmp_path, MemoryBackend(), updates, now=lambda: time) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(1)))
        assert "another 1 h would make an update" in (await daemon.why_user("m", "ann")).text
        time += timedelta(hours=1)
        await daemon.add_examples("m", "bob", examples(rows(1)))
        daemon._engine.planning.all_changed()
        await taught(daemon, 1)
        assert [(update.user, update.reason) for update in await daemon.updates()] == [("ann", "interval")]


async def test_other_settings_hold_from_now_on_and_some_from_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(3)))
        settings = Settings(updates=replace(LEARN, examples=3), workers=2, limits=Limits(users=1), http=Http(body_bytes=1 << 20))
        await daemon.reload(settings)
        told = await until(daemon, "settings_reloaded")
        assert (told.detail["changed"], told.detail["next_start"]) == (["updates", "limits", "http.body_bytes"], ["workers"])
        await taught(daemon, 3)
        with pytest.raises(MLLimitError, match="users"):
            await daemon.add_user("m", "bob")


async def test_parameters_that_do_not_fit_the_model_are_told_once_and_cost_no_example(tmp_path: Path) -> None:
    async with opened(tmp_path, MemoryBackend(), Updates(examples=1, parameters={"beta1": 0.5})) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(1)))
        trouble = await until(daemon, "trouble")
        await daemon.add_examples("m", "ann", examples(rows(1), 1))
        assert "beta1" in trouble.text and "beta1" in (await daemon.why_user("m", "ann")).text
        await daemon.reload(Settings(updates=LEARN))
        await daemon.add_examples("m", "ann", examples(rows(2), 2))
        await taught(daemon, 4)
        assert [event.kind for event in await daemon.recent(most=1000)].count("trouble") == 1


async def test_a_model_that_cannot_learn_still_answers(tmp_path: Path) -> None:
    spec = BASE.spec
    fixed = network(0.5, -0.5)
    fixed.spec.isUpdatable = False
    assert spec.isUpdatable
    fixed.spec.neuralNetwork.ClearField("updateParams")
    for layer in fixed.spec.neuralNetwork.layers:
        layer.isUpdatable = False
    del fixed.spec.description.trainingInput[:]
    async with opened(tmp_path, MemoryBackend(), LEARN) as daemon:
        await daemon.register("fixed", NewModel(data=fixed.spec.SerializeToString()))
        await daemon.add_user("fixed", "ann")
        with pytest.raises(MLUpdateError, match="fixed"):
            await daemon.add_examples("fixed", "ann", examples(rows(1)))
        assert (await daemon.predict("fixed", "ann", [{"x": [2.0, 1.0]}])).outputs[0]["y"] == pytest.approx([0.5])


async def test_the_error_of_a_block_leaves_it_as_it_came(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with opened(tmp_path, MemoryBackend()) as daemon:
            await daemon.add_examples("m", "ann", examples(rows(4)))
            raise ZeroDivisionError
    async with opened(tmp_path, MemoryBackend()) as daemon:
        await taught(daemon, 4)


async def test_what_ends_the_process_again_and_again_is_not_taken_up_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    async with opened(tmp_path, backend, MANUAL) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(4)))
        made = await daemon.update("m", "ann", NewUpdate())
        await daemon.pause(made.identifier)
        await daemon._ledger.change_update(made.identifier, state="running", attempts=PATIENCE)
    made_of: list[Mortal] = dying(monkeypatch, 10**9)
    async with opened(tmp_path, backend, MANUAL) as daemon:
        assert made_of
        assert "each time the daemon ended" in (await daemon.why(made.identifier)).text
        assert (await until(daemon, "trouble")).update == made.identifier
        await daemon.resume(made.identifier)  # a person may have mended it
        assert (await ended(daemon, made.identifier)).state == "completed"
