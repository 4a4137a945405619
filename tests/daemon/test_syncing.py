"""Syncs by rule and by command: each store has what the other has, and one that is broken keeps nothing else from its work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from tailor import MLModelStore, MLNotFoundError, MLStoreKeys, write_key_file
from tailor.daemon import syncing as module
from tailor.daemon.configuration import Remote, Sync
from tailor.daemon.ledger import Ledger, LedgerError, open_ledger
from tailor.daemon.syncing import Syncing, named
from tests.daemon.ledger.made import clock
from tests.store.models import network
from tests.store.test_forget import ANNA, BASE, BERT, CLEO, Row, points

pytestmark = pytest.mark.anyio


@dataclass
class Side:
    """This device. ``moved``: of whom it was told that their models are others; ``*`` that everybody's may be."""

    ledger: Ledger
    store: MLModelStore
    moved: list[str] = field(default_factory=list)
    events: list[tuple[str, str | None, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = anyio.Event()

    def syncing(self, *places: Path | str, **rules: Any) -> Syncing:
        settings = Sync(remotes=[Remote(place=str(place)) for place in places], **rules)
        return Syncing(
            self.ledger, self.store, settings, tell=self.tell, now=clock,
            moved=lambda model, user: self.moved.append(user), all_moved=lambda: self.moved.append("*"),
        )  # fmt: skip

    async def tell(self, kind: str, text: str, *, user: str | None = None, **detail: Any) -> None:
        self.events.append((kind, user, text))
        self._news.set()

    def told(self, kind: str) -> list[str]:
        return [text for one, _, text in self.events if one == kind]

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(20):
            while not condition():
                self._news = anyio.Event()
                await self._news.wait()


@asynccontextmanager
async def side(folder: Path) -> AsyncIterator[Side]:
    async with MLModelStore(folder / "here") as store, open_ledger(folder / "ledger.sqlite", now=clock) as ledger:
        yield Side(ledger, store)


@asynccontextmanager
async def running(syncing: Syncing) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(syncing.run)
        yield
        group.cancel_scope.cancel()


async def taught(store: MLModelStore, user: str, *rows: Row) -> None:
    await store.commit(points(*rows), BASE, user=user, name="points")


async def users_at(place: Path) -> list[str]:
    async with MLModelStore(place) as store:
        return sorted(version.user for version in await store.heads())


async def test_either_has_what_the_other_has_and_whose_models_moved_is_told(tmp_path: Path) -> None:
    async with side(tmp_path) as it:
        await taught(it.store, "ada", ANNA)
        await taught(it.store, "cleo", CLEO)
        async with MLModelStore(tmp_path / "there") as there:
            await there.sync(it.store, "pull")
            await taught(there, "bob", BERT)
            await taught(there, "cleo", CLEO, BERT)
            await taught(it.store, "cleo", CLEO, ANNA)
        (told,) = await it.syncing(tmp_path / "there").sync()
        assert (told.ok, told.place) == (True, str(tmp_path / "there"))
        assert told.text.startswith("1 pulled, 1 merged, 1 equal from the start; ")
        assert await users_at(tmp_path / "there") == ["ada", "bob", "cleo"]
        examples = (await it.store.model("points", "cleo")).examples
        assert sorted(str(example.id) for example in examples) == ["anna/1", "bert/1", "cleo/1"]
        assert sorted(it.moved) == ["bob", "cleo"]
        assert [(kind, user) for kind, user, _ in it.events] == [("versions_merged", "cleo"), ("sync_ended", None)]
        assert await it.ledger.syncs() == [told]


@pytest.mark.parametrize(("direction", "expected"), [("push", (["ada", "bob"], ["bob"])), ("pull", (["ada"], ["ada", "bob"]))])
async def test_only_the_side_moves_that_may(direction: Any, expected: Any, tmp_path: Path) -> None:
    async with side(tmp_path) as it, MLModelStore(tmp_path / "there") as there:
        await taught(it.store, "bob", BERT)
        await taught(there, "ada", ANNA)
        syncing = it.syncing()
        syncing.reload(Sync(remotes=[Remote(place=str(tmp_path / "there"), direction=direction)]))
        await syncing.sync()
        assert (await users_at(tmp_path / "there"), await users_at(tmp_path / "here")) == expected


async def test_updates_are_synced_and_so_is_what_was_left_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATER", 0.0)
    async with side(tmp_path) as it:
        await taught(it.store, "ada", ANNA)
        syncing = it.syncing(tmp_path / "there")
        async with running(syncing):
            await it.until(lambda: len(it.told("sync_ended")) == 1)
            assert await users_at(tmp_path / "there") == ["ada"]
            await taught(it.store, "bob", BERT)
            syncing.updated()
            await it.until(lambda: len(it.told("sync_ended")) == 2)
            assert await users_at(tmp_path / "there") == ["ada", "bob"]


async def test_what_one_place_brings_the_others_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATER", 0.0)
    async with side(tmp_path) as it:
        syncing = it.syncing(tmp_path / "one", tmp_path / "other")
        async with running(syncing):
            await it.until(lambda: len(it.told("sync_ended")) == 2)
            async with MLModelStore(tmp_path / "one") as one:
                await taught(one, "ada", ANNA)
            syncing.updated()
            await it.until(lambda: any("1 pushed" in text for text in it.told("sync_ended")))
        assert await users_at(tmp_path / "other") == ["ada"]


async def test_by_time_it_is_synced_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATER", 0.0)
    async with side(tmp_path) as it, running(it.syncing(tmp_path / "there", after_updates=False, interval=0.01)):
        await it.until(lambda: len(it.told("sync_ended")) == 3)


async def test_without_a_rule_it_is_synced_when_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATER", 0.0)
    async with side(tmp_path) as it:
        await taught(it.store, "ada", ANNA)
        syncing = it.syncing(tmp_path / "there", after_updates=False)
        async with running(syncing):
            syncing.updated()
            await anyio.wait_all_tasks_blocked()
            assert not (tmp_path / "there").exists()
            await syncing.sync()
            assert await users_at(tmp_path / "there") == ["ada"]


async def test_a_place_that_is_broken_is_left_alone_longer_and_longer_and_stops_no_other(tmp_path: Path) -> None:
    broken, good = tmp_path / "broken", tmp_path / "good"
    broken.write_text("a file")
    async with side(tmp_path) as it:
        await taught(it.store, "ada", ANNA)
        syncing = it.syncing(broken, good)
        pauses = []
        for _ in range(11):
            told = await syncing.sync()
            assert [one.ok for one in told] == [False, True] and told[0].text
            pauses.append(syncing._places[0].pause)
        assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
        assert await users_at(good) == ["ada"] and it.moved == ["*"] * 11, "who knows what moved before it failed"
        broken.unlink()
        assert [one.ok for one in await syncing.sync()] == [True, True]
        assert (syncing._places[0].pause, await users_at(broken)) == (0, ["ada"])
        assert {one.place: one.ok for one in await it.ledger.syncs()} == {str(broken): True, str(good): True}


async def test_one_that_failed_is_tried_again_after_its_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LATER": 0.0, "FIRST_PAUSE": 0.01}.items():
        monkeypatch.setattr(module, name, value)
    (tmp_path / "there").write_text("a file")
    async with side(tmp_path) as it, running(it.syncing(tmp_path / "there")):
        await it.until(lambda: len(it.told("sync_failed")) == 2)
        (tmp_path / "there").unlink()
        await it.until(lambda: it.told("sync_ended") != [])


async def test_who_goes_in_the_middle_leaves_the_sync_to_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with side(tmp_path) as it:
        await taught(it.store, "ada", ANNA)
        syncing, begun = it.syncing(tmp_path / "there"), anyio.Event()

        async def endless(*given: Any, **more: Any) -> None:
            begun.set()
            await anyio.sleep_forever()

        with monkeypatch.context() as patch:
            patch.setattr(module, "LATER", 0.0)
            patch.setattr(it.store, "sync", endless)
            with anyio.fail_after(20):
                async with running(syncing):
                    await begun.wait()
        assert it.moved == ["*"] and it.events == []
        assert syncing._places[0].due <= anyio.current_time()
        assert [one.ok for one in await syncing.sync()] == [True]


async def test_a_place_that_hangs_holds_no_other_and_is_cut_off_where_the_settings_drop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATER", 0.0)
    bad, good = tmp_path / "bad", tmp_path / "good"
    async with side(tmp_path) as it:
        await taught(it.store, "ada", ANNA)
        syncing, real, hanging, told = it.syncing(bad, good), it.store.sync, anyio.Event(), []

        async def sync(other: MLModelStore, *given: Any, **more: Any) -> Any:
            if other.name == str(bad):
                hanging.set()
                await anyio.sleep_forever()
            return await real(other, *given, **more)

        async def command() -> None:
            told.extend(await syncing.sync())

        monkeypatch.setattr(it.store, "sync", sync)
        async with running(syncing):
            await it.until(lambda: len(it.told("sync_ended")) == 1)
            await hanging.wait()
            with anyio.fail_after(20):
                async with anyio.create_task_group() as group:
                    group.start_soon(command)
                    await it.until(lambda: len(it.told("sync_ended")) == 2)
                    assert told == []
                    syncing.reload(Sync(remotes=[Remote(place=str(good))]))
        assert [(one.place, one.ok) for one in told] == [(str(bad), False), (str(good), True)]
        assert "cut off: the settings that were read again have no such place" in told[0].text
        assert [one.place for one in await it.ledger.syncs()] == [str(good)]


async def test_a_few_places_are_synced_side_by_side_and_told_in_the_settings_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with side(tmp_path) as it:
        places = [str(tmp_path / name) for name in "fedcba"]
        real, at_once, most, full = it.store.sync, 0, 0, anyio.Event()

        async def sync(*given: Any, **more: Any) -> Any:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            if at_once == 4:
                await anyio.wait_all_tasks_blocked()
                full.set()
            await full.wait()
            at_once -= 1
            return await real(*given, **more)

        monkeypatch.setattr(it.store, "sync", sync)
        with anyio.fail_after(20):
            assert [one.place for one in await it.syncing(*places).sync()] == places
        assert most == 4


async def test_who_is_synced_at_the_same_time_is_not_in_each_others_way(tmp_path: Path) -> None:
    """All have learned something else of one user, and each sync merges that with a head that the others move."""
    async with side(tmp_path) as it:
        await taught(it.store, "ada", ANNA)
        places = [tmp_path / str(number) for number in range(module.SIDE_BY_SIDE)]
        for number, place in enumerate(places):
            async with MLModelStore(place) as there:
                await there.sync(it.store, "pull")
                await taught(there, "ada", ANNA, ("b", float(number), f"there/{number}", "scan"))
        await taught(it.store, "ada", ANNA, CLEO)
        assert [one.ok for one in await it.syncing(*places).sync()] == [True] * len(places)
        examples = (await it.store.model("points", "ada")).examples
        expected = ["anna/1", "cleo/1", *(f"there/{number}" for number in range(len(places)))]
        assert sorted(str(example.id) for example in examples) == expected


async def test_a_ledger_that_fails_ends_no_syncing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATER", 0.0)
    async with side(tmp_path) as it:
        keep, failures = it.ledger.keep_sync, [LedgerError("full", "disk full"), ZeroDivisionError()]

        async def fails(record: Any) -> None:
            if failures:
                raise failures.pop()
            await keep(record)

        monkeypatch.setattr(it.ledger, "keep_sync", fails)
        async with running(it.syncing(tmp_path / "there", interval=0.01)):
            await it.until(lambda: it.told("sync_ended") != [])


async def test_other_settings_hold_at_once_and_pauses_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken").write_text("a file")
    async with side(tmp_path) as it:
        await taught(it.store, "ada", ANNA)
        syncing = it.syncing(tmp_path / "broken")
        await syncing.sync()
        monkeypatch.setattr(module, "LATER", 0.0)
        async with running(syncing):
            syncing.reload(Sync(remotes=[Remote(place=str(tmp_path / "broken")), Remote(place=str(tmp_path / "there"))]))
            await it.until(lambda: it.told("sync_ended") != [])
        assert (await users_at(tmp_path / "there"), len(it.told("sync_failed"))) == (["ada"], 1)


async def test_what_cannot_be_a_place_is_told_without_its_password(tmp_path: Path) -> None:
    async with side(tmp_path) as it:
        told = await it.syncing(tmp_path / "here", "https://ada:secret@host:notaport/x", "gopher:x").sync()
        assert [one.ok for one in told] == [False] * 3
        assert "expected another store, got the daemon's own" in told[0].text
        assert told[1].place == "https://host:notaport/x"
        assert all("secret" not in text for _, _, text in it.events)
        with pytest.raises(MLNotFoundError, match=r"expected a place to sync with in \[\[sync.remotes\]\], got none"):
            await it.syncing().sync()
    assert named("https://ada:secret@host/x") == "https://host/x"


async def test_an_encrypted_place_is_opened_by_its_key_file(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="needs cryptography, which the crypto extra installs")
    await MLStoreKeys(tmp_path / "there").create(write_key_file(tmp_path / "key"))
    async with side(tmp_path) as it:
        await it.store.commit(network(1.0), user="ada", name="line")
        syncing = it.syncing(tmp_path / "there")
        assert "expected the key of this store" in (await syncing.sync())[0].text
        syncing.reload(Sync(remotes=[Remote(place=str(tmp_path / "there"), key_file=str(tmp_path / "key"))]))
        assert (await syncing.sync())[0].ok
