"""What becomes of updates: kept, refused, failed, paused, cancelled, held; always told, and nothing lost."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from tailor import (
    Budget,
    MLConflictError,
    MLModelStore,
    MLNotFoundError,
    MLParameterError,
    MLStoreError,
    MLTaskStateError,
    MLUpdateError,
    Runtime,
)
from tailor.client import NewModel, NewUpdate
from tailor.daemon.configuration import Conditions, Examples, Guard, Model, Settings, Updates
from tailor.daemon.daemon import Daemon
from tailor.daemon.examples import LedgerExamples
from tailor.daemon.ledger import KeptUpdate, Ledger, LedgerError
from tailor.daemon.updates import planning, running
from tailor.persistence import MemoryBackend
from tailor.runtime.update.hold_out import held_out
from tailor.scheduler import Surroundings
from tailor.scheduler.testing import FakeSensors
from tests.daemon.updates.daemons import BASE, LEARN, PATIENCE, Flaky, ended, examples, learned, opened, rows, taught, until
from tests.store.models import neighbors, network

pytestmark = pytest.mark.anyio

MANUAL = replace(LEARN, examples=0)
ON_POWER = replace(LEARN, conditions=Conditions(external_power=True))


async def bits(backend: MemoryBackend, user: str = "ann") -> str:
    async with MLModelStore(backend) as store:
        return (await store.model("m", user)).content_hash


async def states(daemon: Daemon, user: str = "ann") -> tuple[int, int, int, int]:
    told = await daemon.user("m", user)
    return told.waiting, told.taken, told.learned, told.set_aside


async def test_an_update_goes_on_from_the_last_version(tmp_path: Path) -> None:
    backend, first, second = MemoryBackend(), rows(4), rows(5, seed=2)
    async with opened(tmp_path, backend) as daemon:
        for number, part in enumerate((first, second)):
            await daemon.add_examples("m", "ann", examples(part, 4 * number))
            planned = await until(daemon, "update_planned", examples=len(part))
            done = await ended(daemon, planned.update or "")
            assert (done.state, done.reason, done.error) == ("completed", "examples", None)
        history = await daemon.history("m", "ann")
        assert [version.update for version in history] == [update.identifier for update in await daemon.updates()]
        assert (await daemon.updates())[0].onto == history[1].identifier
        assert await states(daemon) == (0, 0, 9, 0)
    assert await bits(backend) == (await learned(await learned(BASE, first), second)).content_hash


async def test_a_command_takes_what_waits_with_parameters_of_its_own(tmp_path: Path) -> None:
    backend = MemoryBackend()
    async with opened(tmp_path, backend, MANUAL) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(3)))
        assert "only a command" in (await daemon.why_user("m", "ann")).text
        for given, error in (({"epochs": 0}, "epochs"), ({"colour": 1}, "colour"), ({"beta1": 0.5}, "does not have it")):
            with pytest.raises(MLParameterError, match=error):
                await daemon.update("m", "ann", NewUpdate(parameters=given))
        made = await daemon.update("m", "ann", NewUpdate(parameters={"epochs": 7}))
        assert (await ended(daemon, made.identifier)).epoch == 6
        with pytest.raises(MLConflictError, match="expected examples that wait"):
            await daemon.update("m", "ann", NewUpdate())
        with pytest.raises(MLNotFoundError):
            await daemon.update("m", "bob", NewUpdate())
    assert await bits(backend) == (await learned(BASE, rows(3), epochs=7)).content_hash


async def test_a_guard_that_refuses_keeps_the_model_and_sets_the_examples_aside(tmp_path: Path) -> None:
    out = set(held_out(10, 0.2, 0).tolist())
    data = [{"x": [1.0, 0.0], "y_true": [0.5 if number in out else 1.0]} for number in range(10)]  # the base knows those held out
    async with opened(tmp_path, MemoryBackend(), replace(MANUAL, guard=Guard())) as daemon:
        await daemon.add_examples("m", "ann", examples(data))
        done = await ended(daemon, (await daemon.update("m", "ann", NewUpdate())).identifier)
        assert done.state == "refused" and done.verdict is not None and done.verdict["accepted"] is False and done.version is None
        assert await states(daemon) == (0, 0, 0, 10)
        assert await daemon.history("m", "ann") == []
        assert "guard" in (await daemon.why(done.identifier)).text
        assert "10 more are set aside" in (await daemon.why_user("m", "ann")).text
        again = await ended(daemon, (await daemon.update("m", "ann", NewUpdate(again=True))).identifier)
        assert (again.state, again.examples) == ("refused", 10)
        await daemon.add_examples("m", "bob", examples(data[:4]))  # too few to judge by
        done = await ended(daemon, (await daemon.update("m", "bob", NewUpdate())).identifier)
        assert (done.state, done.verdict) == ("completed", None)


async def test_an_update_that_fails_sets_its_examples_aside_and_ends_no_other(tmp_path: Path) -> None:
    alike = [{"point": [1.0], "label": "a"}] * 6  # nothing that a guard could judge by
    model = neighbors("ab")
    async with opened(tmp_path, MemoryBackend(), replace(LEARN, parameters={}, guard=Guard()), model=model) as daemon:
        await daemon.add_examples("m", "ann", examples(alike))
        failed = await ended(daemon, (await until(daemon, "update_planned")).update or "")
        assert failed.state == "failed" and "label" in (failed.error or "")
        assert await states(daemon) == (0, 0, 0, 6)
        await daemon.add_examples("m", "bob", examples([*alike[:4], *({"point": [2.0], "label": "b"} for _ in range(4))]))
        planned = await until(daemon, "update_planned", examples=8)
        assert (await ended(daemon, planned.update or "")).state == "completed"


class Machine:
    """A daemon on a machine that is plugged in when the test says so."""

    def __init__(self, folder: Path, backend: MemoryBackend, updates: Updates = ON_POWER, **settings: Any) -> None:
        self.folder, self.backend, self.settings = folder, backend, Settings(updates=updates, workers=2, **settings)
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Machine:
        sensors = FakeSensors()
        sensors.set(external_power=False)
        store = await self.stack.enter_async_context(MLModelStore(self.backend))
        self.runtime = await self.stack.enter_async_context(Runtime(sensors=sensors))
        made = Daemon(self.settings, self.folder / "state", store, runtime=self.runtime)
        self.daemon = await self.stack.enter_async_context(made)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.stack.__aexit__(*error)

    def plug_in(self) -> None:
        self.runtime.scheduler.set_surroundings(Surroundings(external_power=True))

    async def waiting(self, others: int) -> None:
        """Until two updates wait for power, and so many for a place."""
        followed = self.daemon.events()
        with anyio.fail_after(PATIENCE):
            while (await self.daemon.status()).updates != {"running": 2, "waiting": others}:
                await anext(followed)

    async def begun(self) -> str:
        """The update that waits for power."""
        return (await until(self.daemon, "update_begun")).update or ""


async def registered(folder: Path, backend: MemoryBackend, users: int = 1) -> None:
    """Leaves users with examples that wait for an update."""
    async with opened(folder, backend, MANUAL) as daemon:
        for number in range(users):
            await daemon.add_examples("m", "ann" if users == 1 else f"user{number:02}", examples(rows(4)))


async def test_what_keeps_an_update_is_told_and_a_pause_survives_a_restart(tmp_path: Path) -> None:
    backend = MemoryBackend()
    await registered(tmp_path, backend)
    async with Machine(tmp_path, backend) as machine:
        daemon, identifier = machine.daemon, await machine.begun()
        why = await daemon.why(identifier)
        assert "external power: expected the machine to be plugged in" in why.text
        assert "external power" in (await daemon.why_user("m", "ann")).text
        told = await daemon.forecast(identifier)
        assert told.end is None and told.unknown
        assert (await daemon.pause(identifier)).state == "paused"
        assert (await daemon.pause(identifier)).state == "paused"
        assert "paused it" in (await daemon.why(identifier)).text
        assert (await daemon.status()).updates == {"paused": 1}
    async with Machine(tmp_path, backend) as machine:
        machine.plug_in()
        assert (await machine.daemon.update_record(identifier)).state == "paused"
        assert (await machine.daemon.set_parameters(identifier, {"learningRate": 0.03125})).parameters["learningRate"] == 0.03125
        with pytest.raises(MLParameterError, match="once an update has begun"):
            await machine.daemon.set_parameters(identifier, {"epochs": 9})
        await machine.daemon.resume(identifier)
        done = await ended(machine.daemon, identifier)
        assert done.state == "completed"
        for ask in (machine.daemon.pause, machine.daemon.resume, machine.daemon.cancel):
            with pytest.raises(MLTaskStateError, match="completed"):
                await ask(identifier)
    assert await bits(backend) == (await learned(BASE, rows(4), learningRate=0.03125)).content_hash


async def test_a_pause_holds_though_the_daemon_stops_at_the_same_moment(tmp_path: Path) -> None:
    backend = MemoryBackend()
    await registered(tmp_path, backend)
    async with Machine(tmp_path, backend) as machine:
        identifier = await machine.begun()
        async with anyio.create_task_group() as group:
            group.start_soon(machine.daemon.pause, identifier)
            machine.daemon.stop()
    async with opened(tmp_path, backend) as daemon:
        assert (await daemon.update_record(identifier)).state == "paused"


async def test_users_whose_models_cannot_be_found_keep_nobody_else_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, damaged, asked = MemoryBackend(), True, list[str]()
    await registered(tmp_path, backend, users=8)
    really = MLModelStore.last

    async def last(self: MLModelStore, name: str, user: str = "", **more: Any) -> Any:
        asked.append(user)
        if damaged and user != "user07":
            raise MLStoreError(f"store: {name}/{user}: expected a head, got damage")
        return await really(self, name, user, **more)

    monkeypatch.setattr(MLModelStore, "last", last)
    monkeypatch.setattr(planning, "FIRST_PAUSE", 0.01)
    async with opened(tmp_path, backend) as daemon:
        await until(daemon, "update_planned")
        assert asked[:8] == [f"user{number:02}" for number in range(8)]  # after five failures a pause, and then those not looked at yet
        await taught(daemon, 4, "user07")
        assert "got damage" in (await daemon.why_user("m", "user00")).text
        assert [event.kind for event in await daemon.recent(most=1000)].count("trouble") <= 2
        await daemon.remove_user("m", "user06")
        damaged = False
        for number in range(6):
            await taught(daemon, 4, f"user{number:02}")
        await daemon.add_user("m", "user06")
        with anyio.fail_after(PATIENCE):
            while "got damage" in (await daemon.why_user("m", "user06")).text:  # which was another user's
                await checkpoint()


async def test_a_command_does_what_rules_could_not_and_nothing_is_wrong_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def last(*args: Any, **more: Any) -> Any:
        raise MLStoreError("store: expected a head, got damage")

    monkeypatch.setattr(planning, "FIRST_PAUSE", 1000.0)
    async with opened(tmp_path, MemoryBackend()) as daemon:
        with monkeypatch.context() as damaged:
            damaged.setattr(MLModelStore, "last", last)
            await daemon.add_examples("m", "ann", examples(rows(4)))
            await until(daemon, "trouble")
            assert "got damage" in (await daemon.why_user("m", "ann")).text
        await daemon.update("m", "ann", NewUpdate())
        assert "got damage" not in (await daemon.why_user("m", "ann")).text


async def test_nothing_is_planned_once_the_daemon_stops(tmp_path: Path) -> None:
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon:
        one, planned = planning.Planning(dataclasses.replace(daemon._parts, settings=Settings(updates=LEARN)), lambda: None), list[str]()

        def stop(update: KeptUpdate) -> None:
            planned.append(update.user)
            one.is_stopped = True

        await one.plan_due(stop)  # all; of those that come now only these are looked at
        for user in ("ann", "bob"):
            await daemon.add_examples("m", user, examples(rows(4)))
            one.changed("m", user)
        await one.plan_due(stop)
        assert len(planned) == 1


async def test_what_is_cancelled_is_set_aside(tmp_path: Path) -> None:
    backend = MemoryBackend()
    await registered(tmp_path, backend)
    async with Machine(tmp_path, backend) as machine:
        identifier = await machine.begun()
        assert (await machine.daemon.cancel(identifier)).state == "cancelled"
        assert await states(machine.daemon) == (0, 0, 0, 4)
        machine.plug_in()
        again = await machine.daemon.update("m", "ann", NewUpdate(again=True))
        assert (await ended(machine.daemon, again.identifier)).state == "completed"
        with pytest.raises(MLNotFoundError):
            await machine.daemon.cancel("nobody")
    assert list((tmp_path / "state" / "checkpoints").iterdir()) == []


async def test_of_many_that_are_due_few_are_alive(tmp_path: Path) -> None:
    backend = MemoryBackend()
    await registered(tmp_path, backend, users=8)
    async with Machine(tmp_path, backend) as machine:
        daemon = machine.daemon
        await machine.waiting(6)
        *_, last = await daemon.updates(states=["waiting"])
        assert (await daemon.status()).models_in_memory <= 3
        first = (await daemon.updates(states=["waiting"]))[0]  # the newest
        assert "5 wait before it" in (await daemon.why(first.identifier)).text
        assert "wait before" not in (await daemon.why(last.identifier)).text
        assert (await daemon.cancel(last.identifier)).state == "cancelled"
        machine.plug_in()
        for update in await daemon.updates():
            assert (await ended(daemon, update.identifier)).state == ("cancelled" if update.identifier == last.identifier else "completed")


async def test_what_waits_for_power_keeps_nobody_waiting_who_needs_none(tmp_path: Path) -> None:
    backend = MemoryBackend()
    await registered(tmp_path, backend, users=4)
    BASE.save(tmp_path / "m.mlmodel")
    models = {"m": Model(path=str(tmp_path / "m.mlmodel"), updates=ON_POWER)}
    async with Machine(tmp_path, backend, LEARN, models=models) as machine:
        daemon = machine.daemon
        await machine.waiting(2)
        await daemon.register("free", NewModel(data=BASE.to_bytes()))
        await daemon.add_examples("free", "ann", examples(rows(4)))
        assert (await until(daemon, "update_ended", state="completed")).model == "free"
        assert (await daemon.status()).updates == {"running": 2, "waiting": 2}


async def test_one_whose_budget_is_used_up_goes_on_after_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_step(seconds: float, steps: float) -> Budget:  # whatever a step takes on this machine
        return Budget(steps=1)

    monkeypatch.setattr(running, "Budget", one_step)
    backend = MemoryBackend()
    await registered(tmp_path, backend, users=4)
    asked = replace(ON_POWER, budget=1.0, parameters={**LEARN.parameters, "epochs": 3})
    async with Machine(tmp_path, backend, asked) as machine:
        await machine.waiting(2)
        machine.plug_in()
        for number in range(4):
            await taught(machine.daemon, 4, f"user{number:02}")
        told = {event.text for event in await machine.daemon.recent(most=1000) if event.kind == "update_paused"}
        assert told == {"suspended: its budget is used up, and others go first"}
    expected = (await learned(BASE, rows(4), epochs=3)).content_hash
    assert {await bits(backend, f"user{number:02}") for number in range(4)} == {expected}


async def test_a_budget_that_no_step_fits_in_ends_no_update(tmp_path: Path) -> None:
    backend = MemoryBackend()
    async with opened(tmp_path, backend, replace(LEARN, budget=1e-6)) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(4)))
        assert (await ended(daemon, (await until(daemon, "update_planned")).update or "")).state == "completed"
    assert await bits(backend) == (await learned(BASE, rows(4))).content_hash


async def test_a_store_that_fails_is_tried_again_and_nothing_is_lost(tmp_path: Path) -> None:
    backend = Flaky()
    async with opened(tmp_path, backend, MANUAL) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(4)))
        backend.broken = True
        made = await daemon.update("m", "ann", NewUpdate())
        trouble = await until(daemon, "trouble")
        assert trouble.update == made.identifier and "expected room on the disk" in trouble.text
        held = await daemon.update_record(made.identifier)
        assert held.state == "committing" and "expected room" in (held.error or "")
        assert "tried again in" in (await daemon.why(made.identifier)).text
        with pytest.raises(MLTaskStateError, match="being committed"):
            await daemon.cancel(made.identifier)
        assert await states(daemon) == (0, 4, 0, 0)
        await daemon.add_examples("m", "ann", examples(rows(1), 4))  # goes on meanwhile
    async with opened(tmp_path, backend, MANUAL) as daemon:  # which finds it broken still
        await until(daemon, "trouble", after=trouble.sequence)
        backend.broken = False
        await daemon.resume(made.identifier)
        done = await ended(daemon, made.identifier)
        assert (done.state, done.error) == ("completed", None)
        assert await states(daemon) == (1, 0, 4, 0)
        assert len(await daemon.history("m", "ann")) == 1
    assert await bits(backend) == (await learned(BASE, rows(4))).content_hash


async def test_a_ledger_that_cannot_say_that_an_update_has_ended_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, asked = MemoryBackend(), 0
    really = Ledger.end_update

    async def end_update(self: Ledger, *args: Any, **more: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise LedgerError("ledger: expected room on the disk, got none", "disk full")
        return await really(self, *args, **more)

    monkeypatch.setattr(Ledger, "end_update", end_update)
    async with opened(tmp_path, backend) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(4)))
        await daemon.resume((await until(daemon, "trouble")).update or "")
        await taught(daemon, 4)
        assert len(await daemon.history("m", "ann")) == 1 and asked == 2
    assert await bits(backend) == (await learned(BASE, rows(4))).content_hash


@pytest.mark.parametrize("older", [False, True], ids=["before the first version", "behind a version"])
async def test_what_somebody_else_commits_meanwhile_is_merged(tmp_path: Path, older: bool) -> None:
    backend, model = MemoryBackend(), neighbors("ab")
    mine, theirs = [{"point": [float(number)], "label": "a"} for number in (10, 11, 12, 13)], neighbors("abc")
    async with MLModelStore(backend) as store:
        if older:
            await store.commit(model, model, name="m", user="ann", message="as it was")
    async with opened(tmp_path, backend, replace(MANUAL, parameters={}), model=model) as daemon:
        await daemon.add_examples("m", "ann", examples(mine))
    async with Machine(tmp_path, backend, replace(ON_POWER, parameters={})) as machine:
        identifier = await machine.begun()
        async with MLModelStore(backend) as store:
            await store.commit(theirs, model, name="m", user="ann")
        machine.plug_in()
        done = await ended(machine.daemon, identifier)
        assert done.state == "completed"
        assert "somebody else has committed" in (await until(machine.daemon, "versions_merged")).text
        assert await states(machine.daemon) == (0, 0, 4, 0)
    async with MLModelStore(backend) as store:
        merged = await store.model("m", "ann")
        assert (await store.head("m", "ann")).identifier == done.version
        assert len(merged.examples) == 3 + 4


async def test_what_cannot_be_merged_stays_on_a_branch_of_its_own(tmp_path: Path) -> None:
    backend, theirs = MemoryBackend(), network(2.0, 2.0)
    await registered(tmp_path, backend)
    async with Machine(tmp_path, backend) as machine:
        identifier = await machine.begun()
        async with MLModelStore(backend) as store:
            head = await store.commit(theirs, name="m", user="ann")  # whole: of another base, that is
        machine.plug_in()
        done = await ended(machine.daemon, identifier)
        assert done.state == "completed" and await states(machine.daemon) == (0, 0, 4, 0)
        assert f"update-{identifier}" in (await until(machine.daemon, "trouble")).text
    async with MLModelStore(backend) as store:
        assert (await store.head("m", "ann")).identifier == head.identifier
        mine = await store.model("m", "ann", branch=f"update-{identifier}")
        assert mine.content_hash == (await learned(BASE, rows(4))).content_hash


async def test_all_that_is_kept_may_be_learned_again_but_not_by_nearest_neighbours(tmp_path: Path) -> None:
    backend, every = MemoryBackend(), replace(MANUAL, learn_from="all")
    async with opened(tmp_path, backend, every, examples=Examples(keep_learned=True)) as daemon:
        for part in (rows(3), rows(2, seed=2)):
            await daemon.add_examples("m", "ann", examples(part, 3 if len(part) == 2 else 0))
            done = await ended(daemon, (await daemon.update("m", "ann", NewUpdate())).identifier)
        assert done.examples == 5 and await states(daemon) == (0, 0, 5, 0)
    model = await learned(await learned(BASE, rows(3)), [*rows(3), *rows(2, seed=2)])
    assert await bits(backend) == model.content_hash
    points = [{"point": [1.0], "label": "a"}] * 4
    refused = replace(LEARN, learn_from="all", parameters={})
    async with opened(tmp_path / "points", MemoryBackend(), refused, model=neighbors("a")) as daemon:
        await daemon.add_examples("m", "ann", examples(points))
        trouble = await until(daemon, "trouble")
        assert "nearest neighbours" in trouble.text and trouble.model == "m"
        assert "nearest neighbours" in (await daemon.why_user("m", "ann")).text
        with pytest.raises(MLUpdateError, match="would count twice"):
            await daemon.update("m", "ann", NewUpdate())


async def test_to_leave_suspends_what_runs_and_the_next_goes_on_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, read, data = MemoryBackend(), 0, rows(4)
    really = LedgerExamples.features_at
    async with opened(tmp_path, backend, replace(MANUAL, checkpoint_seconds=3600.0)) as daemon:

        def features_at(self: LedgerExamples, index: int) -> dict[str, Any]:
            nonlocal read
            read += 1
            if read == 7:  # in the second epoch
                anyio.from_thread.run_sync(daemon.stop)
            return really(self, index)

        monkeypatch.setattr(LedgerExamples, "features_at", features_at)
        await daemon.add_examples("m", "ann", examples(data))
        made = await daemon.update("m", "ann", NewUpdate(parameters={"epochs": 20}))
        await daemon._engine.over.wait()
        assert (await daemon.status()).state == "stopping"
        assert (await daemon.add_examples("m", "ann", examples(rows(1), 4))).waiting == 1  # until the very end
        left = await daemon.update_record(made.identifier)
        assert left.state == "waiting" and left.epoch is not None
    assert [path.name for path in (tmp_path / "state" / "checkpoints").iterdir()] == [made.identifier]
    async with opened(tmp_path, backend, MANUAL) as daemon:
        done = await ended(daemon, made.identifier)
        assert done.state == "completed" and len(done.losses) == 20
        kinds = [event.kind for event in await daemon.recent(update=made.identifier)]
        assert sorted(kinds) == sorted(["update_planned", "update_begun", "update_paused", "update_resumed", "update_ended"])
    assert await bits(backend) == (await learned(BASE, data, epochs=20)).content_hash
