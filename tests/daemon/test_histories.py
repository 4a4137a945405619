"""Histories of users' models: what is told of versions, and what is taken back in the store and in the ledger alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from tailor import MLConflictError, MLModelStore, MLNotFoundError, MLStoreError
from tailor.client import NewForgetting
from tailor.daemon.histories import Histories
from tailor.daemon.ledger import Ledger, open_ledger
from tailor.daemon.turns import Turns
from tailor.persistence import BackendError, MemoryBackend
from tailor.persistence.testing import Killed
from tests.daemon.ledger.made import MODEL, at, clock, plan, row, states
from tests.store.models import network
from tests.store.test_forget import ANNA, BASE, BERT, CLEO, points

pytestmark = pytest.mark.anyio

FORGETS = {"ids": ["bert/1"], "labels": ["b"], "sources": ["camera"]}


@dataclass
class Past:
    """A user with versions in a store and examples in a ledger, both called ``model`` and ``user``."""

    ledger: Ledger
    store: MLModelStore
    moved: list[tuple[str, str]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.histories = Histories(self.ledger, self.store, Turns(), moved=lambda *whose: self.moved.append(whose), tell=self._tell)

    async def _tell(self, kind: str, text: str, **detail: Any) -> None:
        self.events.append(kind)

    async def forget(self, **what: Any) -> tuple[int, int, list[str]]:
        told = await self.histories.forget("model", "user", NewForgetting(**what))
        return told.examples, told.replaced, told.remains

    async def known(self) -> list[list[str | None]]:
        """The ids of the examples that each version has, the oldest first."""
        log = await self.store.log("model", "user")
        return [[example.id for example in (await self.store.model("model", "user", version=one)).examples] for one in reversed(log)]


@asynccontextmanager
async def past(folder: Path, *versions: Sequence[Any], default: bool = True) -> AsyncIterator[Past]:
    """Versions of a classifier that have learned these rows; the ledger knows every one of the last's, and one more that waits."""
    async with MLModelStore(MemoryBackend()) as store, open_ledger(folder / "ledger.sqlite", now=clock) as ledger:
        await ledger.put_model(MODEL)
        await ledger.add_user("model", "user", at(0))
        for rows in versions:
            base = BASE if default else None
            await store.commit(points(*rows, default=default), base, user="user", name="model", extra={"update": f"{len(rows):032x}"})
        if versions:
            known = [row(id, label=label, source=source) for label, _, id, source in versions[-1]]
            await ledger.add_examples("model", "user", known, at(1))
            await ledger.plan_update(plan("f" * 32))
            await ledger.end_update("f" * 32, "completed", ended_at=at(2), keep_content=True)
        await ledger.add_examples("model", "user", [row("bert/2", label="b", source="camera")], at(3))
        yield Past(ledger, store)


async def test_a_history_tells_which_update_made_a_version_and_what_its_guard_said(tmp_path: Path) -> None:
    async with past(tmp_path, [ANNA], [ANNA, BERT]) as it:
        told = await it.histories.history("model", "user")
        assert [record.update for record in told] == [f"{2:032x}", f"{1:032x}"]
        assert told[0].parents == [told[1].identifier] and told[1].parents == []
        assert [record.verdict for record in told] == [None, None]
        assert await it.histories.history("model", "user", most=1) == told[:1]
        assert await it.histories.history("model", "nobody") == []


async def test_a_rollback_is_a_new_version_like_the_old_one(tmp_path: Path) -> None:
    async with past(tmp_path, [ANNA], [ANNA, BERT]) as it:
        told = await it.histories.rollback("model", "user", "HEAD~1")
        assert told == (await it.histories.history("model", "user"))[0]
        assert await it.known() == [["anna/1"], ["anna/1", "bert/1"], ["anna/1"]]
        assert (it.moved, it.events) == ([("model", "user")], ["rolled_back"])
        for to in ("HEAD~9", "nothing", "000000", "~"):
            with pytest.raises(MLNotFoundError):
                await it.histories.rollback("model", "user", to)
        with pytest.raises(MLNotFoundError):
            await it.histories.rollback("model", "nobody", "HEAD")


async def test_one_who_gets_no_answer_of_a_rollback_may_have_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with past(tmp_path, [ANNA], [ANNA, BERT]) as it:
        rollback = it.store.rollback

        async def lost(*given: Any, **more: Any) -> None:
            await rollback(*given, **more)
            raise Killed

        monkeypatch.setattr(it.store, "rollback", lost)
        with pytest.raises(Killed):
            await it.histories.rollback("model", "user", "HEAD~1")
        assert (len(await it.known()), it.moved) == (3, [("model", "user")])


@pytest.mark.parametrize(("by", "left"), [("ids", ["bert/2"]), ("labels", []), ("sources", [])])
async def test_what_is_forgotten_is_nowhere_any_more(by: str, left: list[str], tmp_path: Path) -> None:
    async with past(tmp_path, [ANNA], [ANNA, BERT], [CLEO, BERT]) as it:
        gone = {"bert/1", "bert/2", *({"anna/1"} if by == "sources" else ())} - set(left)
        examples, replaced, remains = await it.forget(**{by: FORGETS[by]})
        in_ledger = gone - {"anna/1"}  # of which the ledger knows nothing
        assert (examples, replaced, remains) == (len(in_ledger), 3 if by == "sources" else 2, [])
        assert {id for version in await it.known() for id in version} == {"anna/1", "cleo/1", "bert/1"} - gone
        kept = await it.ledger.examples("model", "user")
        assert {one.id for one in kept if one.state == "forgotten" and one.size == 0} == in_ledger
        assert {one.id for one in kept if one.state != "forgotten"} == {"cleo/1", "bert/1", "bert/2"} - gone
        assert (it.moved, it.events) == ([("model", "user")], ["forgotten"])


async def test_what_only_waits_is_forgotten_without_any_version(tmp_path: Path) -> None:
    async with past(tmp_path) as it:
        assert await it.forget(ids=["bert/2"]) == (1, 0, [])
        assert await states(it.ledger) == {"bert/2": "forgotten"}


async def test_what_is_nowhere_cannot_be_forgotten(tmp_path: Path) -> None:
    async with past(tmp_path, [ANNA]) as it:
        for what in ({}, {"ids": ["dora/1"], "labels": [3]}):
            with pytest.raises(MLNotFoundError, match="expected ids, labels or sources.*got (none|'dora/1', 3, which none has)"):
                await it.forget(**what)
        assert await it.known() == [["anna/1"]]
        assert it.events == []


async def test_a_store_that_refuses_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    async with past(tmp_path, [ANNA, BERT], [BERT], default=False) as it:
        with pytest.raises(MLStoreError, match="expected an example to stay"):
            await it.forget(sources=["camera"])
        assert await it.known() == [["anna/1", "bert/1"], ["bert/1"]]
        assert await states(it.ledger) == {"bert/1": "learned", "bert/2": "waiting"}


async def test_who_is_killed_between_the_two_forgets_the_rest_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with past(tmp_path, [ANNA, BERT]) as it:

        async def killed(*given: Any) -> int:
            raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(it.ledger, "forget_examples", killed)
            await it.forget(labels=["b"])
        assert (await it.known())[-1] == ["anna/1"] and it.moved == [("model", "user")]
        assert await states(it.ledger) == {"anna/1": "learned", "bert/1": "learned", "bert/2": "waiting"}
        # an update learns what still waits, before anybody asks again
        await it.store.commit(points(ANNA, ("b", 7.0, "bert/2", "camera")), BASE, user="user", name="model")
        assert (await it.forget(labels=["b"]))[0] == 2
        assert {id for version in await it.known() for id in version} == {"anna/1"}
        assert await states(it.ledger) == {"anna/1": "learned", "bert/1": "forgotten", "bert/2": "forgotten"}


async def test_while_an_update_is_open_nothing_is_taken_back(tmp_path: Path) -> None:
    async with past(tmp_path, [ANNA], [ANNA, BERT]) as it:
        await it.ledger.plan_update(plan("e" * 32))
        for what in (it.histories.rollback("model", "user", "HEAD~1"), it.forget(ids=["anna/1"])):
            with pytest.raises(MLConflictError, match=f"got {'e' * 32}; let it end or cancel it"):
                await what
        assert (await it.known(), it.moved) == ([["anna/1"], ["anna/1", "bert/1"]], [])


async def test_an_update_is_not_planned_while_something_is_forgotten(tmp_path: Path) -> None:
    turns, order = Turns(), list[str]()

    async def turn(user: str, name: str) -> None:
        async with turns.of("model", user):
            order.append(f"{name} begins")
            for _ in range(5):
                await checkpoint()
            order.append(f"{name} ends")

    async with anyio.create_task_group() as group:
        group.start_soon(turn, "ada", "a")
        group.start_soon(turn, "ada", "b")
        group.start_soon(turn, "bob", "c")
    mine = [one for one in order if not one.startswith("c")]
    assert mine in (["a begins", "a ends", "b begins", "b ends"], ["b begins", "b ends", "a begins", "a ends"])
    assert order.index("c begins") < 4, "another user waits for nobody"


async def test_who_does_not_wait_for_a_turn_is_told_once_it_is_over() -> None:
    turns, told = Turns(), list[str]()

    async def hold(*, task_status: TaskStatus[None]) -> None:
        async with turns.of("model", "ada"):
            task_status.started()
            await anyio.sleep_forever()

    async def now(user: str) -> None:
        async with turns.of("model", user, wait=False):
            told.append(user)

    turns.when_free("model", "ada", partial(told.append, "nobody has it"))
    async with anyio.create_task_group() as group:
        await group.start(hold)
        with pytest.raises(anyio.WouldBlock):
            await now("ada")
        for text in ("replaced", "it is over"):
            turns.when_free("model", "ada", partial(told.append, text))
        await now("bob")
        assert told == ["nobody has it", "bob"]
        group.cancel_scope.cancel()
    await now("ada")
    assert told == ["nobody has it", "bob", "it is over", "ada"]


class Broken(MemoryBackend):
    """A place that answers nothing."""

    asked = 0

    async def read_many(self, keys: Sequence[str], *, most: int) -> dict[str, Any]:
        self.asked += 1
        raise BackendError("broken: expected an answer, got none")


async def test_a_place_that_is_out_of_order_is_not_asked_for_everybody(tmp_path: Path) -> None:
    place = Broken()
    async with past(tmp_path) as it, MLModelStore(place) as it.histories._store:
        told = await it.histories.last("model", [f"user{number}" for number in range(100)])
    assert (len(told), {str(error) for error in told.values()}) == (100, {"broken: expected an answer, got none"})
    assert place.asked < 10


async def test_weights_cannot_forget_and_that_is_said(tmp_path: Path) -> None:
    async with past(tmp_path) as it:
        await it.store.commit(network(1.0, 2.0), network(0.0, 0.0), user="user", name="model")
        examples, replaced, remains = await it.forget(ids=["bert/2"])
        assert (examples, replaced, len(remains)) == (1, 0, 1)
        assert "have learned of them stays: to be sure, roll back" in remains[0]
