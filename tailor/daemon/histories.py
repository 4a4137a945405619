"""What became of users' models, and what is taken back: older versions, and examples that are to be forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from tailor import MLConflictError, MLForgetReport, MLModelStore, MLNotFoundError, MLStoreError, MLStoreMissingError, MLVersion
from tailor.client import Forgotten, NewForgetting, VersionRecord
from tailor.persistence import BackendError

from .ledger import Ledger
from .turns import Turns

Tell: TypeAlias = Callable[..., Awaitable[object]]
"""``tell(kind, text, model=..., user=..., **detail)``: an event."""

Moved: TypeAlias = Callable[[str, str], None]
"""``moved(model, user)``: the user's model is another one now; what is in memory of it is not to be used any more."""

SHOWN = 12
"""Digits of an identifier that people are shown."""

MOST_FAILURES = 3
"""In a row, after which a place is out of order, and not one user's part of it."""

UPDATE, VERDICT = "update", "guard"
"""Keys in a version's metadata: the identifier of the update that made it, and what its guard decided."""


class Histories:
    """Versions of users' models in a store. Whether a user is registered is for others to ask."""

    def __init__(self, ledger: Ledger, store: MLModelStore, turns: Turns, *, moved: Moved, tell: Tell) -> None:
        self._ledger = ledger
        self._store = store
        self._turns = turns
        self._moved = moved
        self._tell = tell

    async def history(self, model: str, user: str, *, most: int = 100) -> list[VersionRecord]:
        """The newest first; none where every update is still to come. Raises ``MLStoreError``."""
        try:
            return [as_record(version) for version in await self._store.log(model, user, most=most)]
        except MLStoreMissingError:
            return []

    async def last(self, model: str, users: Sequence[str]) -> dict[str, str | MLStoreError | None]:
        """The identifier of the last version of each of these users' models, by user, all read together; where it cannot be read, why.

        A place that fails for ``MOST_FAILURES`` in a row is out of order, and is not asked for the others.
        """
        if len(users) > 1:
            with suppress(MLStoreError):  # whose it is, is found out one by one
                found = await self._store.last_identifiers(model, users)
                return {user: found.get(user) for user in users}
        told: dict[str, str | MLStoreError | None] = {}
        failures = 0
        for user in users:
            try:
                told[user] = (await self._store.last_identifiers(model, [user])).get(user)
                failures = 0
            except MLStoreError as error:
                told[user] = error
                failures += isinstance(error.__cause__, BackendError)
                if failures == MOST_FAILURES:
                    return {**dict.fromkeys(users, error), **told}
        return told

    async def rollback(self, model: str, user: str, to: str) -> VersionRecord:
        """Makes a version like the older one ``to`` the last one.

        Raises ``MLNotFoundError`` for a version that there is not, ``MLConflictError`` while an update is open, for it goes on from what is
        to be taken back; ``MLStoreError`` where the store fails, ``MLStoreConflictError`` where another device has committed meanwhile.
        """
        async with self._turns.of(model, user):
            await self._refuse_while_updating(model, user, "to be rolled back")
            try:
                version = await self._store.rollback(model, user, to=to)
            finally:  # one who is cancelled, or had no answer, may have rolled it back
                self._moved(model, user)
        text = f"{model}/{user} is as it was in {to}, as version {version.identifier[:SHOWN]}"
        await self._tell("rolled_back", text, model=model, user=user, version=version.identifier, to=to)
        return as_record(version)

    async def forget(self, model: str, user: str, what: NewForgetting) -> Forgotten:
        """Takes examples out of every version of the user's model, and out of what the daemon holds for updates; their ids stay, so that
        they are not learned again.

        The store is first, for it may refuse; then nothing is changed. A daemon that is killed between the two has examples left that wait
        or were kept: forgetting them again takes these out, and once more out of the store what an update has learned of them meanwhile.

        Raises ``MLNotFoundError`` where nothing of that is here, ``MLConflictError`` while an update is open, which has to be cancelled
        first, ``MLStoreError`` where the store fails, or a model would have no answer left.
        """
        wanted = [*what.ids, *what.labels, *what.sources]
        if not wanted:
            raise MLNotFoundError(f"{model}/{user}: expected ids, labels or sources of examples to forget, got none")
        async with self._turns.of(model, user):
            await self._refuse_while_updating(model, user, "to forget")
            try:
                report = await self._store.forget(model, user, ids=what.ids, labels=what.labels, sources=what.sources)
            except MLStoreMissingError:
                report = MLForgetReport(self._store.name, model, user)
            finally:
                self._moved(model, user)
            examples = await self._ledger.forget_examples(model, user, what.ids, what.labels, what.sources)
        if not (examples or report.examples or report.trained):
            got = ", ".join(map(repr, wanted[:5])) + (" ..." if len(wanted) > 5 else "")
            raise MLNotFoundError(f"{model}/{user}: expected ids, labels or sources of examples that are here, got {got}, which none has")
        forgotten = Forgotten(examples=examples, replaced=len(report.rewritten) + len(report.dropped), remains=remains(report))
        await self._tell("forgotten", said(forgotten), model=model, user=user, examples=examples, replaced=forgotten.replaced)
        return forgotten

    async def _refuse_while_updating(self, model: str, user: str, purpose: str) -> None:
        known = await self._ledger.user(model, user)
        if known is not None and known.update is not None:
            got = f"got {known.update}; let it end or cancel it, and ask again"
            raise MLConflictError(f"{model}/{user}: expected no update under way {purpose}, {got}")


def as_record(version: MLVersion) -> VersionRecord:
    """What the wire has of a version."""
    update, verdict = version.metadata.get(UPDATE), version.metadata.get(VERDICT)
    return VersionRecord(
        identifier=version.identifier,
        created_at=version.created_at,
        parents=list(version.parents),
        device=version.device,
        message=version.message,
        update=update if isinstance(update, str) else None,
        metrics=dict(version.metrics),
        verdict=dict(verdict) if isinstance(verdict, dict) else None,
        pruned=version.pruned,
    )


def remains(report: MLForgetReport) -> list[str]:
    """What a store could not forget, in words."""
    told = []
    if report.base:
        told.append(f"{report.base} of the examples are in the model as it was registered, which stays as it is")
    if report.trained:
        weights = ", ".join(report.trained[:5]) + (f" and {len(report.trained) - 5} more" if len(report.trained) > 5 else "")
        told.append(f"whatever the weights {weights} have learned of them stays: to be sure, roll back to a version before")
    return told


def said(forgotten: Forgotten) -> str:
    """What was forgotten, in a line."""
    return f"{forgotten.examples} examples that the daemon held are forgotten, and {forgotten.replaced} versions have none of them any more"
