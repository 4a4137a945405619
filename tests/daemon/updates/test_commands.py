"""Commands that come at an awkward moment: none is lost, none undoes another, and what cannot be kept leaves the update as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from tailor import MLModelStore, MLParameterError, MLTaskStateError
from tailor.client import NewForgetting, NewUpdate
from tailor.daemon.configuration import Settings
from tailor.daemon.daemon import Daemon
from tailor.daemon.events import Events
from tailor.daemon.ledger import Ledger, LedgerError
from tailor.persistence import MemoryBackend
from tests.daemon.updates.daemons import BASE, EPOCHS, LEARN, ended, examples, learned, opened, rows, taught, until
from tests.daemon.updates.test_engine import MANUAL, Machine, bits, registered, states

pytestmark = pytest.mark.anyio


async def planned(daemon: Daemon) -> str:
    """An update that waits for a place."""
    daemon._engine._most = 0
    await daemon.add_examples("m", "ann", examples(rows(4)))
    return (await daemon.update("m", "ann", NewUpdate())).identifier


def place_is_free(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, change: str, state: str) -> None:
    """Lets an update have a place at the moment in which the ledger is to be told ``state``, and begin where it can."""
    really = getattr(Ledger, change)

    async def changed(ledger: Ledger, identifier: str, *args: Any, **more: Any) -> Any:
        if state in (*args, more.get("state")):
            daemon._engine._most = 2
            daemon._engine._fill()
            if identifier in daemon._engine.alive:
                await until(daemon, "update_begun")
        return await really(ledger, identifier, *args, **more)

    monkeypatch.setattr(Ledger, change, changed)


async def test_one_that_is_paused_does_not_begin_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon:
        identifier = await planned(daemon)
        place_is_free(daemon, monkeypatch, "change_update", "paused")
        assert (await daemon.pause(identifier)).state == "paused"
        assert identifier not in daemon._engine.alive
        await daemon.resume(identifier)
        assert (await ended(daemon, identifier)).state == "completed"


async def test_one_that_is_cancelled_does_not_begin_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon:
        identifier = await planned(daemon)
        place_is_free(daemon, monkeypatch, "end_update", "cancelled")
        assert (await daemon.cancel(identifier)).state == "cancelled"
        if (running := daemon._engine.alive.get(identifier)) is not None:
            await running.over.wait()
        assert await states(daemon) == (0, 0, 0, 4)
        assert await daemon.history("m", "ann") == []


async def test_a_pause_that_cannot_be_kept_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    await registered(tmp_path, backend)
    really = Ledger.change_update

    async def change_update(ledger: Ledger, identifier: str, **more: Any) -> Any:
        if more.get("state") == "paused":
            raise LedgerError("ledger: expected room on the disk, got none", "disk full")
        return await really(ledger, identifier, **more)

    monkeypatch.setattr(Ledger, "change_update", change_update)
    async with Machine(tmp_path, backend) as machine:
        identifier = await machine.begun()
        with pytest.raises(LedgerError, match="expected room"):
            await machine.daemon.pause(identifier)
        machine.plug_in()
        with anyio.fail_after(30):
            assert (await ended(machine.daemon, identifier)).state == "completed"


async def test_parameters_that_are_set_as_it_begins_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, really = MemoryBackend(), Events.tell
    async with opened(tmp_path, backend, MANUAL) as daemon:

        async def tell(events: Events, kind: str, *args: Any, **more: Any) -> Any:
            if kind == "update_begun":
                await daemon.set_parameters(more["update"], {"learningRate": 0.03125})
            return await really(events, kind, *args, **more)

        monkeypatch.setattr(Events, "tell", tell)
        await daemon.add_examples("m", "ann", examples(rows(4)))
        made = await daemon.update("m", "ann", NewUpdate())
        assert (await ended(daemon, made.identifier)).parameters["learningRate"] == 0.03125
    assert await bits(backend) == (await learned(BASE, rows(4), learningRate=0.03125)).content_hash


async def test_parameters_that_it_begins_with_are_not_set_once_it_has_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really, reached, begun = Ledger.change_update, anyio.Event(), anyio.Event()
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon, anyio.create_task_group() as group:

        async def ask(identifier: str) -> None:
            with pytest.raises(MLParameterError, match="expected one that can change once an update has begun"):
                await daemon.set_parameters(identifier, {"epochs": EPOCHS + 5})

        async def change_update(ledger: Ledger, identifier: str, **more: Any) -> Any:
            if "parameters" in more:  # it had not begun when that was looked at
                reached.set()
                await begun.wait()
            elif "begun_at" in more and not reached.is_set():
                group.start_soon(ask, identifier)
                await reached.wait()
            changed = await really(ledger, identifier, **more)
            if "begun_at" in more:
                begun.set()
            return changed

        monkeypatch.setattr(Ledger, "change_update", change_update)
        await daemon.add_examples("m", "ann", examples(rows(4)))
        made = await daemon.update("m", "ann", NewUpdate())
        done = await ended(daemon, made.identifier)
    assert (done.parameters["epochs"], done.epoch) == (EPOCHS, EPOCHS - 1)


async def test_parameters_are_not_set_once_it_has_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really, refused = Ledger.change_update, list[str]()
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon:

        async def change_update(ledger: Ledger, identifier: str, **more: Any) -> Any:
            if more.get("state") == "committing":
                try:
                    await daemon.set_parameters(identifier, {"learningRate": 0.03125})
                except MLTaskStateError as error:
                    refused.append(str(error))
            return await really(ledger, identifier, **more)

        monkeypatch.setattr(Ledger, "change_update", change_update)
        await daemon.add_examples("m", "ann", examples(rows(4)))
        done = await ended(daemon, (await daemon.update("m", "ann", NewUpdate())).identifier)
    assert done.parameters == LEARN.parameters and len(refused) == 1 and "got one that is being committed" in refused[0]


async def test_what_is_forgotten_for_one_user_keeps_nobody_else_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, begun, go_on, really = MemoryBackend(), anyio.Event(), anyio.Event(), MLModelStore.forget
    await registered(tmp_path, backend, users=2)

    async def forget(*args: Any, **more: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await really(*args, **more)

    monkeypatch.setattr(MLModelStore, "forget", forget)
    async with opened(tmp_path, backend, MANUAL) as daemon, anyio.create_task_group() as group:
        group.start_soon(daemon.forget, "m", "user00", NewForgetting(ids=["e0"]))
        await begun.wait()
        await daemon.reload(Settings(updates=replace(LEARN, examples=3)))  # both are due
        with anyio.fail_after(30):
            await taught(daemon, 4, "user01")
            assert (await daemon.user("m", "user00")).waiting == 4
            go_on.set()
            await taught(daemon, 3, "user00")


async def test_who_asks_and_goes_leaves_no_update_behind_that_nobody_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Ledger.plan_update
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(4)))
        with anyio.CancelScope() as scope:

            async def plan_update(*args: Any) -> Any:
                made = await really(*args)
                scope.cancel()
                await checkpoint()
                return made

            monkeypatch.setattr(Ledger, "plan_update", plan_update)
            await daemon.update("m", "ann", NewUpdate())
        (update,) = await daemon.updates()
        with anyio.fail_after(30):
            assert (await ended(daemon, update.identifier)).state == "completed"


async def test_a_place_that_fails_by_any_error_ends_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really, failed = MLModelStore.commit, False

    async def commit(*args: Any, **more: Any) -> Any:
        nonlocal failed
        if not failed:
            failed = True
            raise RuntimeError("no room") from OSError("disk full")
        return await really(*args, **more)

    monkeypatch.setattr(MLModelStore, "commit", commit)
    async with opened(tmp_path, MemoryBackend(), MANUAL) as daemon:
        await daemon.add_examples("m", "ann", examples(rows(4)))
        made = await daemon.update("m", "ann", NewUpdate())
        assert "no room" in (await until(daemon, "trouble")).text
        await daemon.resume(made.identifier)
        assert (await ended(daemon, made.identifier)).state == "completed"
