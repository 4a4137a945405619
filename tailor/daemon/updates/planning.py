"""Whose examples become an update: looks at users whose examples have come, and at all of them when time has made one due."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

import anyio

from tailor import MLModelError, MLUpdateError
from tailor.runtime.models import last_classifier

from ..configuration import Updates
from ..ledger import KeptUpdate, KeptUser, LedgerError, NewPlan
from .parameters import checked_parameters
from .parts import Parts, place_failed
from .rules import Due, decide

LONGEST = timedelta(hours=1)
"""After which all are looked at again, whatever the clock was set to meanwhile."""
PACE = 100
"""To look at all users once takes at most one part in so many of the time."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 600.0
"""Seconds until a place that failed is tried again: twice as long each time."""


MOST_FAILURES = 5
"""In a row, after which the others are looked at a moment later: the place may be out of order, and not one user's part of it."""


class _Failed(NamedTuple):
    """For whom nothing could be planned: ``until`` when they are passed over, on the loop's clock, after how long a ``pause``."""

    until: float
    pause: float
    text: str


class Planning:
    """Plans updates in the ledger. One task calls ``plan_due``, and does so when ``wake`` says that there is something to look at."""

    def __init__(self, parts: Parts, wake: Callable[[], object]) -> None:
        self.is_stopped = False
        self._parts = parts
        self._wake = wake
        self._changed: set[tuple[str, str]] = set()
        self._next = -math.inf  # when all are to be looked at, on the loop's clock
        self._failed: dict[tuple[str, str], _Failed] = {}
        self._checked: dict[str, tuple[str, Updates]] = {}
        self._told: dict[str, str] = {}
        self._place_told = False

    def changed(self, model: str, user: str) -> None:
        """Says that something is another way with a user, whom ``plan_due`` looks at then."""
        self._changed.add((model, user))

    def all_changed(self) -> None:
        """Says that it may be so with anybody."""
        self._next = -math.inf

    @property
    def next(self) -> float:
        """When ``plan_due`` should be called though nothing has happened, on the loop's clock."""
        return -math.inf if self._changed else self._next

    async def plan_due(self, planned: Callable[[KeptUpdate], None]) -> None:
        """Plans an update for everybody for whom one is due, and tells each to ``planned``. Raises nothing but a cancellation.

        A model that cannot learn by the settings is passed over, and told of once; what fails is tried again after a pause.
        """
        changed, self._changed = self._changed, set()
        try:
            if anyio.current_time() >= self._next:
                await self._look_at_all(planned)
            else:
                for model, user in changed:
                    if self.is_stopped:
                        return
                    known = await self._parts.ledger.user(model, user)
                    if known is not None:
                        await self._try(known, planned)
        except LedgerError as error:
            self._next = anyio.current_time() + FIRST_PAUSE
            await self._tell_of_a_place(f"no update can be planned now: {error}")

    async def plan(
        self,
        user: KeptUser,
        reason: Literal["examples", "interval", "command"],
        *,
        parameters: Mapping[str, Any] | None = None,
        again: bool = False,
        wait: bool = True,
    ) -> KeptUpdate | None:
        """Plans an update of what waits of ``user``, once it is its turn; ``None`` where nothing waits, or one is open.

        Raises ``MLUpdateError`` and ``MLParameterError`` where the model cannot learn so, ``MLStoreError`` and ``LedgerError``; without
        ``wait`` ``anyio.WouldBlock`` where somebody else has a turn of this user.
        """
        parts, rules = self._parts, self._parts.rules(user.model)
        told = {**rules.parameters, **(parameters or {})}

        async def taken(base: str) -> KeptUpdate | None:
            await self.check(user.model, told, base)
            async with parts.turns.of(user.model, user.user, wait=wait):
                head = await parts.store.last(user.model, user.user)
                plan = NewPlan(
                    identifier=uuid.uuid4().hex,
                    model=user.model,
                    user=user.user,
                    reason=reason,
                    most=rules.most_examples,
                    onto=None if head is None else head.identifier,
                    base=base,
                    parameters=told,
                    made_at=parts.now(),
                    again=again,
                    learned_too=rules.learn_from == "all",
                )
                with anyio.CancelScope(shield=True):  # what the ledger has is known here too
                    update = await parts.ledger.plan_update(plan)
            return update

        update = await parts.registry.for_base(user.model, taken)
        if update is not None:
            self._failed.pop((user.model, user.user), None)
            text = f"{user.model}/{user.user}: an update of {update.examples} examples is planned, {SAID[reason]}"
            await parts.events.tell(
                "update_planned", text, model=user.model, user=user.user, update=update.identifier, reason=reason, examples=update.examples
            )
        return update

    def failed(self, model: str, user: str) -> str:
        """What keeps an update of this user from being planned, if anything does."""
        failed = self._failed.get((model, user))
        return "" if failed is None else failed.text

    async def check(self, model: str, parameters: Mapping[str, Any], digest: str | None = None) -> None:
        """Raises ``MLUpdateError`` and ``MLParameterError`` where a model cannot learn by the settings with these parameters."""
        base = await self._parts.registry.base(model, digest)
        if not base.description.is_updatable:
            raise MLUpdateError(f"model {model!r}: expected one that can be updated, got one that cannot")
        if self._parts.rules(model).learn_from == "all" and last_classifier(base.spec) is not None:
            told = "what they have learned once would count twice"
            raise MLUpdateError(f"model {model!r}: updates.learn_from: expected 'new' for nearest neighbours, got 'all': {told}")
        checked_parameters(base, parameters)

    async def _look_at_all(self, planned: Callable[[KeptUpdate], None]) -> None:
        begun = anyio.current_time()
        self._next = begun + LONGEST.total_seconds()
        waiting, failures = await self._parts.ledger.waiting(), 0
        still = {(known.model, known.user) for known in waiting}
        self._failed = {key: failed for key, failed in self._failed.items() if key in still}  # nothing waits of others
        for known in sorted(waiting, key=self._passed_over_until):  # who failed before keeps nobody from being looked at
            failures = 0 if await self._try(known, planned) else failures + 1
            if self.is_stopped:
                return
            if failures == MOST_FAILURES:
                now = anyio.current_time()
                self._next = now + max(FIRST_PAUSE, now - begun)
                return
        now = anyio.current_time()
        self._next = max(self._next, now + PACE * (now - begun))

    def _passed_over_until(self, known: KeptUser) -> float:
        failed = self._failed.get((known.model, known.user))
        return -math.inf if failed is None else failed.until

    async def _try(self, known: KeptUser, planned: Callable[[KeptUpdate], None]) -> bool:
        """Looks at a user, unless that failed a moment ago; whether it went well. What failed is tried again, later each time."""
        key, now = (known.model, known.user), anyio.current_time()
        before = self._failed.get(key)
        if before is not None and now < before.until:
            self._next = min(self._next, before.until)
            return True
        try:
            await self._look_at(known, planned)
        except (MLModelError, OSError) as error:
            pause = FIRST_PAUSE if before is None else min(LONGEST_PAUSE, 2 * before.pause)
            self._failed[key] = _Failed(now + pause, pause, str(error))
            self._next = min(self._next, now + pause)
            await self._tell_of_a_place(f"{known.model}/{known.user}: no update can be planned now, and it is tried again: {error}")
            return False
        self._failed.pop(key, None)
        return True

    async def _look_at(self, known: KeptUser, planned: Callable[[KeptUpdate], None]) -> None:
        now = self._parts.now()
        decided = decide(known, self._parts.rules(known.model), now)
        if not isinstance(decided, Due):
            if decided.look_at is not None:
                self._next = min(self._next, anyio.current_time() + min(LONGEST, decided.look_at - now).total_seconds())
            return
        if not await self._can_learn(known.model):
            return
        try:
            update = await self.plan(known, decided.reason, wait=False)
        except anyio.WouldBlock:  # others do not wait for this one's turn
            self._parts.turns.when_free(known.model, known.user, partial(self._free, known.model, known.user))
            return
        self._place_told = False
        if update is not None:
            planned(update)

    def _free(self, model: str, user: str) -> None:
        self.changed(model, user)
        self._wake()

    async def _can_learn(self, model: str) -> bool:
        """Whether the settings and the model go together; where they do not, tells of it, once."""
        of = self._parts.registry.digest(model), self._parts.rules(model)
        if self._checked.get(model) == of:
            return True
        try:
            await self.check(model, of[1].parameters)
        except MLModelError as error:
            if place_failed(error):
                raise
            text = f"model {model} makes no updates: {error}"
            if self._told.get(model) != text:
                self._told[model] = text
                await self._parts.events.tell("trouble", text, model=model)
            return False
        self._checked[model] = of
        self._told.pop(model, None)
        return True

    async def _tell_of_a_place(self, text: str) -> None:
        """Tells of the first failure only, until something was planned again: of a place that fails, everybody's update would tell."""
        if not self._place_told:
            self._place_told = True
            await self._parts.events.tell("trouble", text)


SAID = {"examples": "for so many wait", "interval": "for they wait long enough", "command": "for somebody asked for it"}
