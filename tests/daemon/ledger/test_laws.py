"""Whatever is done in whatever order, the ledger says what a plain list says that is counted anew each time."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tailor.daemon.configuration import Limits
from tailor.daemon.ledger import KeptModel, Ledger, LedgerBusy, LedgerConflict, LedgerFull, NewPlan, Totals, open_ledger

from .made import START, at, clock, row
from .reference import Reference, Refused

LIMITS = Limits(examples_per_user=12, bytes_per_user=60, bytes=100, users=4, models_per_user=2)
MODELS = ("a", "b", "c")
keys = st.tuples(st.sampled_from(MODELS), st.sampled_from(("ann", "bob", "cy")))
labels = st.sampled_from((None, 1, "1", "cat"))
sources = st.sampled_from((None, "x", "y"))
ids = st.sampled_from([f"id{number}" for number in range(9)] + ["", "é\0ü"])
bodies = st.sampled_from((b"same", b"same", b"same", b"other one", b""))
new_rows = st.lists(
    st.builds(lambda id, body, label, source: row(id, body, label=label, source=source), ids, bodies, labels, sources), max_size=7
)


class Machine(RuleBasedStateMachine):
    """Every change is done to both, and both are compared whole."""

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.path = Path(self.cleanup.enter_context(TemporaryDirectory())) / "ledger.sqlite"
        self.portal: BlockingPortal = self.cleanup.enter_context(start_blocking_portal())
        self.reference = Reference(LIMITS)
        self.moments = self.number = 0
        self.opened = ExitStack()

    @initialize()
    def begin(self) -> None:
        self.open()
        for name in MODELS:
            self.ask(self.ledger.put_model, KeptModel(name, "ab", "kind", 1, START))

    def open(self) -> None:
        self.opened.close()
        self.ledger: Ledger = self.opened.enter_context(self.portal.wrap_async_context_manager(open_ledger(self.path, now=clock)))

    def ask(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        async def asked() -> Any:
            return await method(*args, **kwargs)

        return self.portal.call(asked)

    def teardown(self) -> None:
        self.opened.close()
        self.cleanup.close()

    def later(self) -> datetime:
        self.moments += 1
        return at(self.moments)

    def both(self, expected: Any, got: Any) -> None:
        """Calls both; they answer the same, or refuse the same."""
        try:
            answer = expected()
        except Refused as refused:
            try:
                got()
            except LedgerFull as error:
                assert refused.args == (error.which,)
            except LedgerConflict as error:
                assert refused.args == ("conflict", error.index, error.id)
            except LedgerBusy:
                assert refused.args == ("busy",)
            else:
                raise AssertionError(f"expected {refused.args}, got an answer") from refused
        else:
            assert got() == answer

    @rule(key=keys, rows=new_rows)
    def add(self, key: tuple[str, str], rows: list[Any]) -> None:
        now = self.later()

        def added() -> tuple[int, int, int]:
            answer = self.ask(self.ledger.add_examples, *key, rows, now, LIMITS)
            return answer.accepted, answer.duplicates, answer.waiting

        self.both(lambda: self.reference.add(*key, rows, now), added)

    @precondition(lambda self: self.reference.users)
    @rule(data=st.data(), most=st.integers(1, 6), again=st.booleans(), learned_too=st.booleans())
    def plan(self, data: Any, most: int, again: bool, learned_too: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.reference.users)))
        self.number += 1
        new = NewPlan(f"update{self.number}", *key, "command", most, "v0", "ab", {"epochs": 2}, at(0), again, learned_too)

        def planned() -> int | None:
            answer = self.ask(self.ledger.plan_update, new)
            return None if answer is None else answer.examples

        self.both(lambda: self.reference.plan(self.reference.users[key], new.identifier, most, again, learned_too), planned)

    @precondition(lambda self: any(user.update for user in self.reference.users.values()))
    @rule(
        data=st.data(),
        state=st.sampled_from(("completed", "completed", "refused", "failed", "cancelled")),
        keep=st.booleans(),
        twice=st.booleans(),
    )
    def end(self, data: Any, state: Any, keep: bool, twice: bool) -> None:
        user = data.draw(st.sampled_from([user for user in self.reference.users.values() if user.update]))
        ended = self.ask(self.ledger.end_update, user.update, state, ended_at=at(1), version=f"of {user.update}", keep_content=keep)
        if twice:
            again = self.ask(self.ledger.end_update, user.update, "completed", ended_at=at(2), version="another")
            assert again == ended
        assert (ended.state, ended.ended_at, ended.is_open) == (state, at(1), False)
        self.reference.end(user, state, f"of {user.update}", keep)

    @precondition(lambda self: self.reference.users)
    @rule(
        data=st.data(),
        ids=st.lists(ids, max_size=3),
        labels=st.lists(st.sampled_from((1, "1", "dog")), max_size=1),
        sources=st.lists(st.just("x"), max_size=1),
    )
    def forget(self, data: Any, ids: list[str], labels: list[Any], sources: list[str]) -> None:
        key = data.draw(st.sampled_from(sorted(self.reference.users)))
        user = self.reference.users[key]
        self.both(
            lambda: self.reference.forget(user, ids, labels, sources),
            lambda: self.ask(self.ledger.forget_examples, *key, ids, labels, sources),
        )

    @precondition(lambda self: self.reference.users)
    @rule(data=st.data())
    def remove_user(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.reference.users)))
        if self.reference.users[key].update is None:
            del self.reference.users[key]
            assert self.ask(self.ledger.remove_user, *key)
            return
        try:
            self.ask(self.ledger.remove_user, *key)
        except LedgerBusy:
            return
        raise AssertionError("a user with an open update was removed")

    @rule()
    def reopen(self) -> None:
        self.open()

    @invariant()
    def level(self) -> None:
        self.portal.call(self.compare)

    async def compare(self) -> None:
        ledger, users = self.ledger, self.reference.users
        kept = [user for name in MODELS for user in await ledger.users(name)]
        assert kept == [users[key].told(*key) for key in sorted(users)]
        waits = sum(len(user.of("waiting")) for user in users.values())
        assert await ledger.totals() == Totals(len(MODELS), len(users), waits, sum(user.size() for user in users.values()))
        assert [model.users for model in await ledger.models()] == [sum(key[0] == name for key in users) for name in MODELS]
        waiting = [key for key, user in users.items() if user.of("waiting") and user.update is None]
        assert sorted((user.model, user.user) for user in await ledger.waiting()) == sorted(waiting)
        assert {update.identifier for update in await ledger.open_updates()} == {user.update for user in users.values() if user.update}
        for key, user in users.items():
            found = await ledger.examples(*key)
            assert [(record.id, record.state, record.size, record.update, record.version, record.received_at) for record in found] == [
                (one.row.id, one.state, len(one.body or b""), one.update, one.version, one.received_at) for one in user.examples
            ]
            if user.update is not None:
                training = await ledger.training_rows(user.update)
                assert [(row.id, row.source, ledger.content(row.sequence)) for row in training] == [
                    (one.row.id, one.row.source, one.body) for one in user.training()
                ]


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=8, stateful_step_count=30, deadline=None)
