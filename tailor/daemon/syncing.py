"""The store and others, each brought to what the other has: after updates, by time, and when somebody asks; several places side by side."""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from pathlib import Path
from typing import TypeAlias

from anyio import CancelScope, CapacityLimiter, Event, Lock, create_task_group, current_time, fail_after, to_thread

from tailor import MLModelError, MLModelStore, MLNotFoundError, MLStoreError, MLSynced, MLSyncReport
from tailor.client import SyncRecord

from .configuration import Remote, Sync
from .ledger import Ledger, LedgerError

Tell: TypeAlias = Callable[..., Awaitable[object]]
"""``tell(kind, text, model=..., user=..., **detail)``: an event."""

LATER = 2.0
"""Seconds from an update to the sync, which takes those along that come meanwhile."""

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 3600.0
"""Seconds until a place that failed is asked again; each time twice as long."""

LONGEST = 6 * 3600.0
"""Seconds that a sync may take; what it has moved by then it need not move again."""

SIDE_BY_SIDE = 4
"""Places that are synced at the same time. More would meet at a user's head, which each looks at five times at most."""

AT_ONCE = 16
"""Names, and objects each way, that are on their way to and from one place at the same time."""

MOVED = ("pulled", "merged")
"""What may become of a user's model by which it is another one here."""

MOST_TOLD = 100
"""Users of whom one sync tells by events of their own."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Place:
    """A remote, on the event loop's clock: when it is to be synced, when at the earliest, and how long it was last left alone.

    ``is_begun``: a task is about to sync it, or does. ``asked``: everybody who is about to, or does, to be told that it is gone.
    """

    remote: Remote
    due: float = inf
    earliest: float = -inf
    pause: float = 0.0
    is_begun: bool = False
    asked: set[CancelScope] = field(default_factory=set)


class Syncing:
    """``run`` follows the rules of ``[sync]`` until it is cancelled; ``sync`` is for commands. Whatever a place does stops nothing else.

    Of one place there is one sync at a time. Several of the same store at once are as safe as those of several devices: heads move by
    compare-and-set, and who comes second looks again; what is to be forgotten the store takes out for one after the other.

    ``device``  what this device is called, told with versions that a merge makes.
    ``moved``   is told of each user whose model is another one now; ``all_moved`` that this may be so of everybody's.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: MLModelStore,
        settings: Sync,
        *,
        moved: Callable[[str, str], None],
        all_moved: Callable[[], None],
        tell: Tell,
        now: Callable[[], datetime],
        device: str = "",
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._moved = moved
        self._all_moved = all_moved
        self._tell = tell
        self._now = now
        self._device = device
        self._turns: defaultdict[str, Lock] = defaultdict(Lock)
        self._room = CapacityLimiter(SIDE_BY_SIDE)
        self._news = Event()
        self._settings = settings
        self._places = [_Place(remote) for remote in settings.remotes]

    async def run(self) -> None:
        """Until it is cancelled. At the start everything is synced: nobody knows what an earlier daemon came to."""
        self._begin()
        limiter, spare = to_thread.current_default_thread_limiter(), 2 * AT_ONCE * SIDE_BY_SIDE
        limiter.total_tokens += spare  # threads that hang in places are to be lacking nowhere else
        try:
            async with create_task_group() as group:
                while True:
                    self._news = Event()
                    resting = [place for place in self._places if not place.is_begun]
                    for place in resting:
                        if place.due <= current_time():
                            place.is_begun = True
                            group.start_soon(self._by_itself, place)
                    with CancelScope(deadline=min((place.due for place in resting if not place.is_begun), default=inf)):
                        await self._news.wait()
        finally:
            limiter.total_tokens -= spare

    def updated(self) -> None:
        """A user's model has learned something."""
        self._there_is_news()

    def _there_is_news(self, source: _Place | None = None) -> None:
        """Of an update here, or from a place that need not hear of it."""
        if self._settings.after_updates:
            for place in self._places:
                if place is not source:
                    place.due = min(place.due, max(current_time() + LATER, place.earliest))
            self._news.set()

    def reload(self, settings: Sync) -> None:
        """Other settings from now on; pauses of places that stay go on. A sync with one that is gone, or is another now, is cut off."""
        known = {place.remote: place for place in self._places}
        self._settings = settings
        self._places = [known.pop(remote) if remote in known else _Place(remote) for remote in settings.remotes]
        for gone in known.values():
            for scope in gone.asked:
                scope.cancel()
        self._begin()
        self._news.set()

    async def sync(self) -> list[SyncRecord]:
        """With every place now; what came of each, as the settings name them. Raises ``MLNotFoundError`` where they name none."""
        if not self._places:
            raise MLNotFoundError("sync: expected a place to sync with in [[sync.remotes]], got none")
        places = list(self._places)
        records: dict[_Place, SyncRecord] = {}
        failures: list[LedgerError] = []

        async def one(place: _Place) -> None:
            try:
                records[place] = await self._synced(place)
            except LedgerError as error:  # raised below, once the other places are done
                failures.append(error)

        async with create_task_group() as group:
            for place in places:
                group.start_soon(one, place)
        if failures:
            raise failures[0]
        return [records[place] for place in places]

    def _begin(self) -> None:
        by_itself = self._settings.after_updates or self._settings.interval > 0
        for place in self._places:
            place.due = max(current_time() + LATER, place.earliest) if by_itself else inf

    async def _by_itself(self, place: _Place) -> None:
        try:
            await self._synced(place)
        except Exception:  # whatever it is, the ledger's full disk or a fault of ours, it ends neither the daemon nor later syncs
            log.exception("what came of a sync cannot be kept")
        finally:
            place.is_begun = False
            self._news.set()

    async def _synced(self, place: _Place) -> SyncRecord:
        """A sync with one place, and when it is to be the next time."""
        with CancelScope() as scope:
            place.asked.add(scope)
            try:
                async with self._turns[place.remote.place], self._room:
                    return await self._in_turn(place)
            finally:
                place.asked.discard(scope)
        text = "cut off: the settings that were read again have no such place, or another key or direction for it"
        return SyncRecord(place=named(place.remote.place), at=self._now(), ok=False, text=text)

    async def _in_turn(self, place: _Place) -> SyncRecord:
        due, place.due = place.due, inf
        try:
            record, report = await self._tried(place.remote)
        except BaseException:  # who asked has gone, or the place, or the daemon goes
            place.due = min(due, place.due)
            self._news.set()
            raise
        if report is not None and any(row.outcome in MOVED for row in report.names):
            self._there_is_news(place)
        if record.ok:
            place.pause, place.earliest = 0.0, -inf
            if self._settings.interval > 0:
                place.due = min(place.due, current_time() + self._settings.interval)
        else:
            place.pause = min(max(FIRST_PAUSE, 2 * place.pause), LONGEST_PAUSE)
            place.earliest = current_time() + place.pause
            place.due = place.earliest if self._settings.after_updates or self._settings.interval > 0 else inf
        self._news.set()
        await self._ledger.keep_sync(record)
        await self._told(record, report)
        return record

    async def _told(self, record: SyncRecord, report: MLSyncReport | None) -> None:
        told = [] if report is None else [row for row in report.names if row.outcome in SAID]
        for row in told[:MOST_TOLD]:
            text = f"{row.model}/{row.user}: {SAID[row.outcome]} {record.place}{row.reason and f': {row.reason}'}"
            kind = "versions_merged" if row.outcome == "merged" else "trouble"
            await self._tell(kind, text, model=row.model, user=row.user)
        await self._tell("sync_ended" if record.ok else "sync_failed", f"{record.place}: {record.text}", place=record.place)

    async def _tried(self, remote: Remote) -> tuple[SyncRecord, MLSyncReport | None]:
        name = named(remote.place)
        settled = False
        try:
            with fail_after(LONGEST):
                report = await self._brought_together(remote)
            settled = True
        except Exception as error:  # whatever it is: one place that is broken keeps neither the others nor the daemon from their work
            if not isinstance(error, MLModelError):
                log.warning("sync with %s", name, exc_info=error)
            late = isinstance(error, TimeoutError)
            text = f"expected an end within {LONGEST:.0f} seconds" if late else str(error) or type(error).__name__
            return SyncRecord(place=name, at=self._now(), ok=False, text=text), None
        finally:
            if not settled:  # cancelled or failed anywhere: nobody knows whose models have moved by then
                self._all_moved()
        for row in report.names:
            if row.outcome in MOVED or report.forgotten:
                self._moved(row.model, row.user)
        return SyncRecord(place=name, at=self._now(), ok=not report.unsettled, text=said(report)), report

    async def _brought_together(self, remote: Remote) -> MLSyncReport:
        key = Path(remote.key_file) if remote.key_file is not None else None
        async with MLModelStore(remote.place, key=key, device=self._device) as other:
            if other.name == self._store.name:
                raise MLStoreError(f"sync: expected another store, got the daemon's own, {other.name}")
            return await self._store.sync(other, remote.direction, most_at_once=AT_ONCE)


SAID = {
    "merged": "what was learned apart is merged, by a sync with",
    "branches": "what was learned apart is kept on branches, by a sync with",
    "diverged": "what was learned apart stays apart, in a sync with",
    "refused": "damaged or missing, in a sync with",
    "busy": "moves all the time, in a sync with",
}
"""Of which users a sync tells, and how: by what became of their models."""


def named(place: str) -> str:
    """A place as people may read it: without a password."""
    try:
        return MLModelStore(place).name
    except MLModelError:
        return re.sub(r"//[^/]*@", "//", place)


def said(report: MLSyncReport) -> str:
    """What came of a sync, in a line: what somebody has to look after in front."""
    every: tuple[MLSynced, ...] = (*report.names, *report.tags)
    counts = [*Counter(row.outcome for row in every).items(), ("equal from the start", report.equal)]
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts if count) or "nothing there"
    wrong = "".join(f"{row.model}/{row.user} {row.outcome}{row.reason and f': {row.reason}'}; " for row in report.unsettled[:3])
    return f"{wrong}{told}; {report.objects} objects of {report.bytes} bytes moved"
