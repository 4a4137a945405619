"""What single calls of the ledger keep, tell and refuse. Counts and states in any order of calls: test_laws.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from math import inf, isnan, nan
from typing import Any

import pytest

from tailor import MLConflictError, MLLimitError, MLNotFoundError
from tailor.client import Added, SyncRecord
from tailor.daemon.configuration import Limits
from tailor.daemon.ledger import FinalState, KeptModel, Ledger, LedgerBusy, LedgerConflict, LedgerError, LedgerFull, LedgerMissing, NewRow
from tailor.daemon.ledger.tables import updates

from .made import MODEL, START, at, plan, row, rows, states

pytestmark = pytest.mark.anyio


async def test_an_example_is_kept_as_it_came(ledger: Ledger) -> None:
    time = datetime(2025, 12, 31, 23, 59, 59, 999999, timezone(timedelta(hours=-3, minutes=-30)))
    given = NewRow("né'\0\"", b"\0digest", b"\0\xffbody", 2**62, "sourçe", time)
    assert await ledger.add_examples("model", "user", [given], at(1)) == Added(accepted=1, duplicates=0, waiting=1)
    (kept,) = await ledger.examples("model", "user")
    assert (kept.id, kept.source, kept.time, kept.received_at, kept.size) == ("né'\0\"", "sourçe", time, at(1), 6)
    assert kept.time is not None and kept.time.utcoffset() == timedelta(0)
    await ledger.plan_update(plan("one"))
    (trained,) = await ledger.training_rows("one")
    assert ledger.content(trained.sequence) == b"\0\xffbody"


@pytest.mark.parametrize(("count", "again"), [(1, 1), (4, 2), (5, 5), (49, 0), (556, 300), (1001, 1001)])
async def test_batches_of_any_length_are_whole_and_in_order(ledger: Ledger, count: int, again: int) -> None:
    ids = [f"{number}" for number in range(count)]
    assert (await ledger.add_examples("model", "user", rows(*ids), START)).accepted == count
    told = await ledger.add_examples("model", "user", rows(*ids[:again], "new", *ids[:again]), START)
    assert told == Added(accepted=1, duplicates=2 * again, waiting=count + 1)
    assert list(await states(ledger)) == [*ids, "new"]
    await ledger.plan_update(plan("one", most=10_000))
    assert [ledger.content(one.sequence).decode() for one in await ledger.training_rows("one")] == [*ids, "new"]


async def test_the_same_id_with_other_content_is_a_conflict_and_nothing_is_kept(ledger: Ledger) -> None:
    await ledger.add_examples("model", "user", rows("a"), START)
    with pytest.raises(LedgerConflict, match="example 2: .* got 'a' with other content") as refused:
        await ledger.add_examples("model", "user", [*rows("b", "c"), row("a", b"else"), row("b", b"else")], START)
    assert (refused.value.index, refused.value.id) == (2, "a")
    with pytest.raises(LedgerConflict, match="example 1: .* got 'd'"):
        await ledger.add_examples("model", "another", [row("d"), row("d", b"else")], START)
    assert await states(ledger) == {"a": "waiting"}
    assert await ledger.user("model", "another") is None
    assert isinstance(refused.value, MLConflictError)


LIMIT_CASES: dict[str, tuple[dict[str, int], Callable[[Ledger, Limits], Awaitable[Any]]]] = {
    "examples_per_user": (
        {"examples_per_user": 3},
        lambda ledger, limits: ledger.add_examples("model", "user", rows("3", "4"), START, limits),
    ),
    "bytes_per_user": (
        {"bytes_per_user": 5},
        lambda ledger, limits: ledger.add_examples("model", "user", [row("3", b"four")], START, limits),
    ),
    "bytes": ({"bytes": 5}, lambda ledger, limits: ledger.add_examples("model", "other", [row("3", b"four")], START, limits)),
    "users": ({"users": 1}, lambda ledger, limits: ledger.add_user("model", "other", START, limits)),
    "models_per_user": ({"models_per_user": 1}, lambda ledger, limits: ledger.add_examples("second", "user", rows("1"), START, limits)),
    "models": ({"models": 2}, lambda ledger, limits: ledger.put_model(replace(MODEL, name="third"), limits)),
}


@pytest.mark.parametrize("which", LIMIT_CASES)
async def test_a_limit_is_kept_to_the_last_one(ledger: Ledger, which: str) -> None:
    given, more = LIMIT_CASES[which]
    await ledger.put_model(replace(MODEL, name="second"))
    await ledger.add_examples("model", "user", rows("1", "2"), START)
    before = await ledger.totals()
    with pytest.raises(LedgerFull, match=f"limits.{which}: expected {given[which]} at most, got {given[which] + 1}") as full:
        await more(ledger, Limits(**given))
    assert (full.value.which, full.value.limit) == (which, given[which])
    assert isinstance(full.value, MLLimitError)
    assert await ledger.totals() == before
    await more(ledger, Limits(**{which: given[which] + 1}))
    assert await ledger.totals() != before


async def test_what_is_full_takes_duplicates_and_other_models_in_the_same_place(ledger: Ledger) -> None:
    await ledger.add_examples("model", "user", rows("1", "2"), START)
    full = Limits(examples_per_user=2, bytes_per_user=2, bytes=2, users=1, models=1)
    assert await ledger.add_examples("model", "user", rows("2", "1"), START, full) == Added(accepted=0, duplicates=2, waiting=2)
    assert not await ledger.add_user("model", "user", START, full)
    await ledger.put_model(replace(MODEL, base="cd" * 32), full)
    assert await ledger.model("model") == replace(MODEL, base="cd" * 32, users=1)


MISSING: dict[str, Callable[[Ledger], Awaitable[Any]]] = {
    "no model 'none'": lambda ledger: ledger.add_examples("none", "user", rows("a"), START),
    "no model 'no'": lambda ledger: ledger.add_user("no", "user", START),
    "model 'model' has no user 'none'": lambda ledger: ledger.examples("model", "none"),
    "has no user 'nobody'": lambda ledger: ledger.forget_examples("model", "nobody", ids=["a"]),
    "has no user 'ann'": lambda ledger: ledger.plan_update(plan("one", "ann")),
    "user 'user' of model 'model' has no example 'none'": lambda ledger: ledger.examples("model", "user", after="none"),
    "no update 'none'": lambda ledger: ledger.change_update("none", epoch=1),
    "no update 'ended'": lambda ledger: ledger.end_update("ended", "failed", ended_at=START),
    "no update 'rows'": lambda ledger: ledger.training_rows("rows"),
    "no update 'page'": lambda ledger: ledger.updates(after="page"),
}


@pytest.mark.parametrize("named", MISSING)
async def test_what_is_not_there_is_named(ledger: Ledger, named: str) -> None:
    await ledger.add_user("model", "user", START)
    with pytest.raises(LedgerMissing, match=named) as missing:
        await MISSING[named](ledger)
    assert isinstance(missing.value, MLNotFoundError)


async def test_asking_for_one_that_is_not_there_answers_so(ledger: Ledger) -> None:
    assert (await ledger.model("none"), await ledger.user("model", "none"), await ledger.update("none")) == (None, None, None)
    assert (await ledger.remove_model("none"), await ledger.remove_user("model", "none")) == (False, False)
    with pytest.raises(LedgerMissing, match="example number 7"):
        ledger.content(7)


async def test_what_an_open_update_needs_stays(ledger: Ledger) -> None:
    await ledger.add_examples("model", "user", [row("a", label="cat"), row("b", label="dog", source="x")], START)
    await ledger.plan_update(plan("one", most=1))
    for removal in (
        ledger.forget_examples("model", "user", labels=["dog", "cat"]),
        ledger.remove_user("model", "user"),
        ledger.remove_model("model"),
    ):
        with pytest.raises(LedgerBusy):
            await removal
    assert await states(ledger) == {"a": "taken", "b": "waiting"}
    assert await ledger.forget_examples("model", "user", ids=["none"], sources=["x"]) == 1
    await ledger.end_update("one", "cancelled", ended_at=START)
    assert await ledger.forget_examples("model", "user", ids=["a", "b"]) == 1
    assert await states(ledger) == {"a": "forgotten", "b": "forgotten"}
    assert await ledger.add_examples("model", "user", [row("a", b"else")], START) == Added(accepted=0, duplicates=1, waiting=0)
    assert await ledger.remove_user("model", "user") and await ledger.remove_model("model")
    assert await ledger.models() == []


async def test_learned_examples_that_are_learned_again_are_not_forgotten_meanwhile(ledger: Ledger) -> None:
    await ledger.add_examples("model", "user", rows("old", "older"), START)
    await ledger.plan_update(plan("one"))
    await ledger.end_update("one", "completed", version="v1", ended_at=START, keep_content=True)
    await ledger.add_examples("model", "user", rows("new"), START)
    planned = await ledger.plan_update(plan("two", most=1, learned_too=True))
    assert planned is not None and planned.examples == 3
    assert [one.id for one in await ledger.training_rows("two")] == ["old", "older", "new"]
    with pytest.raises(LedgerBusy, match="example 'old': .* cancel it first"):
        await ledger.forget_examples("model", "user", ids=["old"])
    await ledger.end_update("two", "failed", ended_at=START)
    assert await states(ledger) == {"old": "learned", "older": "learned", "new": "set_aside"}


async def test_an_update_is_kept_as_it_changes(ledger: Ledger) -> None:
    await ledger.add_examples("model", "user", rows("a"), START)
    parameters = {"epochs": 3, "learning_rate": 0.1, "shuffle": False}
    made = await ledger.plan_update(replace(plan("one"), parameters=parameters, onto="v0", made_at=at(1)))
    assert made is not None and (made.state, made.parameters, made.onto, made.made_at, made.attempts) == (
        "waiting",
        parameters,
        "v0",
        at(1),
        0,
    )
    assert await ledger.plan_update(plan("two")) is None
    await ledger.change_update("one", state="running", attempts=1, epoch=0, losses=[0.1, inf, nan], begun_at=at(2), error="at first")
    kept = await ledger.update("one")
    assert kept is not None and (kept.state, kept.attempts, kept.epoch, kept.begun_at, kept.error) == ("running", 1, 0, at(2), "at first")
    assert kept.losses[:2] == (0.1, inf) and isnan(kept.losses[2])
    assert (await ledger.change_update("one", error=None, losses=[])).error is None
    with pytest.raises(LedgerError, match="end_update ends it"):
        await ledger.change_update("one", state="failed")
    ended = await ledger.end_update("one", "completed", version="v1", verdict={"kept": True, "by": [1.5]}, ended_at=at(3))
    assert (ended.state, ended.version, ended.verdict, ended.ended_at) == ("completed", "v1", {"kept": True, "by": [1.5]}, at(3))
    assert await ledger.change_update("one", state="running", epoch=9) == ended
    assert await ledger.end_update("one", "failed", error="no", ended_at=at(4)) == ended
    assert await ledger.update("one") == ended
    with pytest.raises(LedgerError, match="update 'one': expected one that is open, got one that has ended: completed"):
        await ledger.training_rows("one")
    await ledger.add_examples("model", "user", rows("b"), START)
    with pytest.raises(LedgerError, match="identifier") as refused:
        await ledger.plan_update(plan("one"))
    assert refused.value.kind == "refused" and (await states(ledger))["b"] == "waiting"


async def test_pages_lead_on_to_the_end(ledger: Ledger) -> None:
    users = [f"user{number}" for number in range(7)]
    for number, user in enumerate(users):
        await ledger.add_examples("model", user, rows(*(f"e{index}" for index in range(5))), at(10 - number))
        await ledger.plan_update(plan(f"update{number}", user, most=1 + number % 2))
    await ledger.end_update("update3", "failed", ended_at=START)

    async def pages(page: Callable[[str], Awaitable[list[Any]]], key: str) -> list[str]:
        found: list[str] = []
        while page_ := await page(found[-1] if found else ""):
            assert len(page_) <= 2
            found += [getattr(one, key) for one in page_]
        return found

    assert await pages(lambda after: ledger.users("model", after, 2), "user") == users
    assert await pages(lambda after: ledger.examples("model", "user1", None, after, 2), "id") == ["e0", "e1", "e2", "e3", "e4"]
    assert await pages(lambda after: ledger.examples("model", "user1", "waiting", after, 2), "id") == ["e2", "e3", "e4"]
    assert await pages(lambda after: ledger.updates(after=after, most=2), "identifier") == [
        f"update{number}" for number in (6, 5, 4, 3, 2, 1, 0)
    ]
    assert await pages(lambda after: ledger.updates("model", "user3", (), after, 2), "identifier") == ["update3"]
    waiting = await pages(lambda after: ledger.updates(states=["waiting", "paused"], after=after, most=2), "identifier")
    assert waiting == [f"update{number}" for number in (6, 5, 4, 2, 1, 0)]
    assert [update.identifier for update in await ledger.open_updates()] == waiting[::-1]
    for number in (5, 1):
        await ledger.end_update(f"update{number}", "completed", version="v", ended_at=START)
    assert [user.user for user in await ledger.waiting()] == ["user5", "user3", "user1"], "who waits longest comes first"


async def test_of_updates_that_have_ended_the_last_are_kept(ledger: Ledger) -> None:
    async def end(number: int, state: FinalState, most: int) -> list[str]:
        await ledger.add_examples("model", "user", rows(f"e{number}"), START)
        await ledger.plan_update(plan(f"{number}"))
        await ledger.end_update(f"{number}", state, ended_at=START, most=most)
        return [update.identifier for update in await ledger.updates("model", "user")]

    await ledger.add_examples("model", "other", rows("a"), START)
    await ledger.plan_update(plan("other", "other"))
    for number in range(5):
        told = await end(number, "failed" if number == 1 else "completed", 3)
    assert told == ["4", "3", "2", "1"], "what is set aside says by whom"
    assert {one.id: one.update for one in await ledger.examples("model", "user")} == {"e0": None, **{f"e{n}": f"{n}" for n in range(1, 5)}}
    assert await ledger.update("other") is not None
    assert await end(5, "completed", 1) == ["5", "1"]
    await ledger.forget_examples("model", "user", ids=["e1"])
    assert await end(6, "cancelled", 1) == ["6"]


async def test_updates_of_a_state_are_found_without_looking_at_all_others(ledger: Ledger) -> None:
    asked: list[str] = []

    def page(connection: sqlite3.Connection) -> list[str]:
        connection.set_trace_callback(asked.append)
        updates.page(connection, None, None, ["running", "paused"], "", 100)
        connection.set_trace_callback(None)
        return [str(row) for sql in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]

    steps = await ledger._readers.read(page)
    assert len(asked) == 2 and any("updates_by_state" in step for step in steps)
    assert not any("SCAN" in step or "TEMP B-TREE" in step for step in steps)


async def test_events_are_numbered_and_the_last_are_kept(ledger: Ledger) -> None:
    assert ledger.last_event == 0
    for number in range(1, 8):
        event = await ledger.add_event(
            "kind", f"{number}", model="model", update="even" if number % 2 == 0 else None, detail={"n": number}, most=5
        )
        assert (event.sequence, event.time, event.detail) == (number, START, {"n": number})
    assert ledger.last_event == 7

    async def sequences(**given: Any) -> list[int]:
        return [event.sequence for event in await ledger.events(**given)]

    assert await ledger.events(after=6) == [event]
    assert await sequences() == [3, 4, 5, 6, 7]
    assert await sequences(most=2) == [6, 7]
    assert await sequences(after=0, most=2) == [3, 4]
    assert await sequences(before=6, most=2) == [4, 5]
    assert await sequences(after=3, before=7, update="even") == [4, 6]


async def test_the_last_sync_with_each_place_is_kept(ledger: Ledger) -> None:
    made = [SyncRecord(place=place, at=at(time), ok=time > 1, text=f"{time}") for place, time in (("a", 1), ("b", 2), ("a", 3))]
    for sync in made:
        await ledger.keep_sync(sync)
    assert await ledger.syncs() == [made[2], made[1]]


UNKEEPABLE: dict[str, dict[str, Any]] = {
    "number": {"label": 2**63},
    "half a character": {"source": "\ud800"},
}


@pytest.mark.parametrize("what", UNKEEPABLE)
async def test_what_sqlite_cannot_keep_is_refused(ledger: Ledger, what: str) -> None:
    with pytest.raises(LedgerError, match="expected what SQLite can keep") as refused:
        await ledger.add_examples("model", "user", [row("a"), row("b", **UNKEEPABLE[what])], START)
    assert refused.value.kind == "refused"
    assert (await ledger.totals()).users == 0


async def test_a_time_without_a_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="expected a time with a zone, got 2026-01-02T00:00:00"):
        await ledger.put_model(KeptModel("other", "ab", "kind", 1, datetime(2026, 1, 2)))
    assert [model.registered_at for model in await ledger.models()] == [START.astimezone(UTC)]
