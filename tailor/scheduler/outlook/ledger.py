"""For how long each job was kept by what, kept account of while time passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field

from ..conditions import Conditions
from ..dispatch import Dispatcher
from ..turn import Entry, Standing

Account = defaultdict[str, float]


def _account() -> Account:
    return defaultdict(float)


@dataclass(slots=True, eq=False)
class _Kind:
    """Jobs in the queue that whatever keeps one of them keeps all: what does now, ``since`` when, and seconds under what did before."""

    name: str
    since: float
    account: Account = field(default_factory=_account)
    jobs: set[str] = field(default_factory=set)

    def settle(self, now: float) -> Account:
        """The seconds up to now."""
        if now > self.since:
            self.account[self.name] += now - self.since
        self.since = now
        return self.account


class Ledger:
    """Seconds under each reason, by job. The reasons are named as those of ``why``; conditions by what did not hold.

    What waits is looked at by its kinds, of which there are few, as the queue keeps them; ``lanes`` is that none was free, or that others
    went before. Watches ``dispatcher`` from ``now`` on; whoever moves the time calls ``look`` before, and sets ``now``.
    """

    def __init__(self, dispatcher: Dispatcher, now: float) -> None:
        self.now = self._begun = now
        self.under: defaultdict[str, Account] = defaultdict(_account)
        self.exhausted: set[str] = set()
        """The jobs that rest because their budget has no room for a step."""
        self._dispatcher = dispatcher
        self._kinds: dict[Hashable, _Kind] = {}
        self._marks: dict[str, tuple[Hashable, Account]] = {}
        self._open: set[Hashable] = set()  # kinds that the last decision did not come to
        self._around = dispatcher.around
        for entry in dispatcher:
            if entry.standing is Standing.WAITING:
                self._enter(entry.job.identifier)
        dispatcher.watch, dispatcher.queue.watch = self._moves, self._keeps

    def look(self) -> None:
        """Asks what keeps those that the last decision did not come to, because nothing was free before."""
        if self._around is not self._dispatcher.around:
            self._around = self._dispatcher.around
            self._open.update(self._kinds)
        for name in self._open & self._kinds.keys():
            kind = self._kinds[name]
            kind.settle(self.now)
            kind.name = self._named(self._dispatcher.keeps(next(iter(kind.jobs))))
        self._open.clear()

    def close(self) -> None:
        """Takes in what goes on still."""
        for entry in self._dispatcher:
            self._moves(entry, entry.standing, self.now)

    def _moves(self, entry: Entry, to: Standing, now: float) -> None:
        """A job is about to stand elsewhere: settles the account of where it stood."""
        identifier, since = entry.job.identifier, max(entry.since, self._begun)
        under = self.under[identifier]
        match entry.standing:
            case Standing.WAITING:
                self._leave(identifier, under)
            case Standing.HELD:
                early = max(0.0, min(now, entry.not_before) - since)
                _add(under, "time", early)
                _add(under, "jobs before it", now - since - early)
            case Standing.AT_WORK:
                _add(under, "at work", now - since)
            case Standing.RESTING:
                _add(under, "budget" if identifier in self.exhausted else "at rest", now - since)
        if to is Standing.WAITING:
            self._enter(identifier)

    def _enter(self, identifier: str) -> None:
        name = self._dispatcher.queue.kind(identifier)
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = _Kind(self._named(self._dispatcher.queue.keeps(identifier)), self.now)
            self._open.add(name)
        kind.jobs.add(identifier)
        self._marks[identifier] = name, kind.settle(self.now).copy()

    def _leave(self, identifier: str, under: Account) -> None:
        name, before = self._marks.pop(identifier)
        kind = self._kinds[name]
        for reason, seconds in kind.settle(self.now).items():
            _add(under, reason, seconds - before[reason])
        kind.jobs.remove(identifier)
        if not kind.jobs:
            del self._kinds[name]

    def _keeps(self, name: Hashable, keeps: Hashable | None) -> None:
        """Something else keeps a kind of jobs from now on."""
        kind = self._kinds.get(name)
        if kind is not None:
            kind.settle(self.now)
            kind.name = self._named(keeps)
            (self._open.add if keeps is None else self._open.discard)(name)

    def _named(self, keeps: Hashable | None) -> str:
        match keeps:
            case ("conditions", Conditions() as conditions):
                return " and ".join(unmet.name for unmet in conditions.unmet(self._dispatcher.around))
            case (str(name), *_):
                return name
            case _:
                return "lanes"


def _add(account: Account, name: str, seconds: float) -> None:
    if seconds > 0:
        account[name] += seconds
