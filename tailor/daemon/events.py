"""What happened, told to those who follow and kept for those who come later."""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import Any
from weakref import WeakSet

import anyio

from tailor.client import EventRecord

from .ledger import Ledger, LedgerError

LOG = logging.getLogger(__name__)

KINDS = {
    "daemon_started": "it is ready",
    "daemon_stopping": "it takes nothing more on, and ends what it has begun",
    "model_registered": "a model is there, or another in its place",
    "model_removed": "a model is gone",
    "user_added": "a model has a user more",
    "user_removed": "a user is gone, with all examples",
    "examples_added": "examples are kept; detail: how many",
    "examples_refused": "examples were not kept, and why",
    "update_planned": "an update has taken its examples, and waits",
    "update_begun": "an update runs",
    "update_progress": "an epoch or a mini-batch has ended; not kept",
    "update_paused": "an update stopped at a checkpoint, until it is resumed",
    "update_resumed": "an update goes on from its checkpoint",
    "update_ended": "an update is over, and how",
    "versions_merged": "two versions that came of one became one again",
    "rolled_back": "a user's model is an earlier version again",
    "forgotten": "examples were forgotten",
    "sync_ended": "a store is level with ours",
    "sync_failed": "a sync came to nothing, and why",
    "settings_reloaded": "other settings hold from now on",
    "settings_refused": "settings could not be read; those before go on",
    "file_read": "files of a watched folder became examples; detail: how many",
    "file_refused": "a file of a watched folder did not, and why",
    "watch_waits": "a watched folder is not followed, or what is in it cannot be kept now, and why",
    "watch_goes_on": "it is again",
    "trouble": "something went wrong that nobody asked for; the daemon goes on",
    "missed": "only to one who follows: so many (count) came and went before they could be told; not kept",
}
"""Every kind of event, and what it says."""

ROOM = 1000  # events that wait for one who follows
PAGE = 200  # events that are read at a time for one who is behind


class Followed:
    """Events as they come: ``async for event in events.follow()``. ``aclose()`` ends it, as letting go of it does.

    Raises ``LedgerError`` where earlier events cannot be read.
    """

    def __init__(self, ledger: Ledger, given: int, is_behind: bool) -> None:
        self._ledger = ledger
        self._given = given  # the sequence of the last one given
        self._is_behind = is_behind  # the next ones are to be read from the ledger
        self._tells_missed = given > 0 or not is_behind  # not one who asks for all that are kept
        self._read: deque[EventRecord] = deque()
        self._came: deque[tuple[EventRecord, bool]] = deque()
        self._news = anyio.Event()
        self._is_closed = False

    def __aiter__(self) -> Followed:
        return self

    async def __anext__(self) -> EventRecord:
        while True:
            event = self._next_at_hand()
            if event is not None:
                self._given = event.sequence
                return event
            if self._is_closed:
                raise StopAsyncIteration
            if self._is_behind:
                await self._catch_up()
            else:
                self._news = anyio.Event()
                await self._news.wait()

    async def aclose(self) -> None:
        """Ends it: who waits for the next event is told that there is none."""
        self.close()

    def close(self) -> None:
        """As ``aclose``. What is at hand is still given."""
        self._is_closed = True
        self._news.set()

    def offer(self, event: EventRecord, is_kept: bool) -> None:
        """Takes an event that happens now. Where too many wait, progress goes first; then the others, which the ledger has."""
        if len(self._came) >= ROOM:
            kept = deque(waits for waits in self._came if waits[1])
            self._is_behind = self._is_behind or len(kept) == len(self._came)
            self._came = deque() if self._is_behind else kept
        if not self._is_behind:
            self._came.append((event, is_kept))
        self._news.set()

    def _next_at_hand(self) -> EventRecord | None:
        if self._read:
            return self._read.popleft()
        while self._came and not self._is_behind:
            event, is_kept = self._came.popleft()
            if event.sequence > self._given - (not is_kept):  # else it was read from the ledger, or is progress from before that
                return event
        return None

    async def _catch_up(self) -> None:
        """Reads the next events that are kept. Those that come meanwhile wait behind them; some are both."""
        self._came.clear()
        self._is_behind = False
        try:
            page = await self._ledger.events(after=self._given, most=PAGE)
        except BaseException:  # or it was cancelled: all is still to be read
            self._is_behind = True
            raise
        self._is_behind = self._is_behind or len(page) == PAGE
        if page and (count := page[0].sequence - self._given - 1) and self._tells_missed:
            text = f"{count} events came and went before they could be told: so many are not kept"
            self._read.append(
                EventRecord(sequence=page[0].sequence - 1, time=self._ledger.now(), kind="missed", text=text, detail={"count": count})
            )
        self._read.extend(page)
        self._tells_missed = True


class Events:
    """The events of a daemon; ``most`` of them are kept in the ledger.

    Their sequence only grows, over restarts too. One that is not kept has that of the last that is: who comes back asks for what is
    ``after`` the last sequence they have seen.
    """

    def __init__(self, ledger: Ledger, most: int) -> None:
        self.most = most
        self._ledger = ledger
        self._last = ledger.last_event
        self._followers: WeakSet[Followed] = WeakSet()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Events: {self._last} told, {len(self._followers)} following{', closed' if self._is_closed else ''}>"

    async def tell(
        self, kind: str, text: str, *, model: str | None = None, user: str | None = None, update: str | None = None, **detail: Any
    ) -> EventRecord:
        """Keeps an event (``KINDS``) and gives it to all who follow. ``detail``: what JSON has; all else becomes text.

        It never fails what it tells about: where the ledger cannot be written, that is logged, and only those who follow are told.
        """
        text, detail = _plain(text, detail)
        try:
            with anyio.CancelScope(shield=True):  # what happened is told, even by one who is being cancelled; it takes one commit
                event = await self._ledger.add_event(kind, text, model=model, user=user, update=update, detail=detail, most=self.most)
        except LedgerError as error:
            LOG.warning("an event could not be kept (%s: %s): %s", kind, text, error)
            return self._pass_on(kind, text, model, user, update, detail)
        self._last = event.sequence
        self._offer(event, True)
        return event

    def progress(
        self, kind: str, text: str, *, model: str | None = None, user: str | None = None, update: str | None = None, **detail: Any
    ) -> EventRecord:
        """Gives an event to all who follow now; it is not kept, and lost to those who are slow."""
        text, detail = _plain(text, detail)
        return self._pass_on(kind, text, model, user, update, detail)

    def follow(self, after: int | None = None) -> Followed:
        """All events from this call on, none twice, none left out; first, with ``after``, what is kept of those after that sequence.

        Where some of those are no longer kept, or one who follows is so slow that some are gone, an event of kind ``missed`` has their
        ``count``. ``after=0``: all that are kept.
        """
        given = self._last if after is None else min(max(after, 0), self._ledger.last_event)
        follower = Followed(self._ledger, given, is_behind=given < self._last)
        if self._is_closed:
            follower.close()
        self._followers.add(follower)
        return follower

    def close(self) -> None:
        """Ends all that follow, once they have had what is at hand. What is told later is kept only."""
        self._is_closed = True
        for follower in list(self._followers):
            follower.close()

    def _pass_on(
        self, kind: str, text: str, model: str | None, user: str | None, update: str | None, detail: dict[str, Any]
    ) -> EventRecord:
        event = EventRecord(
            sequence=self._last, time=self._ledger.now(), kind=kind, text=text, model=model, user=user, update=update, detail=detail
        )
        self._offer(event, False)
        return event

    def _offer(self, event: EventRecord, is_kept: bool) -> None:
        for follower in () if self._is_closed else list(self._followers):
            follower.offer(event, is_kept)


def _plain(text: str, detail: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Both as JSON has them: names of files, for one, may be no proper text."""
    proper = json.dumps([text, detail], default=str, skipkeys=True, ensure_ascii=False).encode("utf-8", "replace")
    text, detail = json.loads(proper)
    return text, detail
