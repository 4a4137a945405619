"""Who is told of events: streams, whoever else listens, and the log.

Nothing is made for nobody: who tells of what happens often asks ``heard`` first.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from types import TracebackType

import anyio
import anyio.lowlevel

from .events import Event, EventsMissed, JobFinished, Outcome

LOGGER = logging.getLogger("tailor.scheduler")
LOGGER.addHandler(logging.NullHandler())  # what an application does not ask for is not printed

MOST_EVENTS = 1024


class Observers:
    """Whoever is told of the events of one scheduler. To be used from the event loop's thread.

    ``heard`` says whether anybody listens to what happens often: events that nobody hears need not be made. What goes wrong
    is logged by default, and so is emitted always.
    """

    def __init__(self) -> None:
        self.missed = 0
        """Events that streams have dropped, ever."""
        self._listeners: list[Callable[[Event], None]] = []
        self._streams: set[EventStream] = set()
        self.closed = False

    @property
    def heard(self) -> bool:
        """Whether anybody listens, or the log takes what is no warning."""
        return bool(self._listeners) or LOGGER.isEnabledFor(logging.INFO)

    def emit(self, event: Event) -> None:
        """Tells everybody. A listener that raises is named in the log; the others, and the scheduler, go on."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # what watches the work never stops it
                LOGGER.exception("listener %r raised at: %s", listener, event)
        level = logging.WARNING if isinstance(event, JobFinished) and event.outcome is Outcome.FAILED else event.level
        if LOGGER.isEnabledFor(level):
            LOGGER.log(level, "%s", event, extra=as_fields(event))

    def add(self, listener: Callable[[Event], None]) -> None:
        """Calls ``listener`` with every event from now on, at once, on the event loop: it is to return soon."""
        self._listeners = [*self._listeners, listener]

    def remove(self, listener: Callable[[Event], None]) -> None:
        """Calls ``listener`` no more; does nothing where it is not called."""
        self._listeners = [other for other in self._listeners if other != listener]

    def stream(self, most: int = MOST_EVENTS) -> EventStream:
        """The events from the moment at which the stream is entered; of those that wait to be read, the ``most`` newest."""
        return EventStream(self, most)

    def close(self) -> None:
        """Ends all streams, once they have been read to their end."""
        self.closed = True
        for stream in list(self._streams):
            stream.close()


class EventStream:
    """``async with observers.stream() as events: async for event in events``: what happens, in order, from then on.

    Where more than ``most`` events wait to be read, the oldest are dropped, and ``EventsMissed`` comes in their place. The stream
    ends when the scheduler does. Several readers share one: each event goes to one of them. Raises ``ValueError`` for a
    bound that is not a whole number above 0.
    """

    def __init__(self, observers: Observers, most: int) -> None:
        if not isinstance(most, int) or most < 1:
            raise ValueError(f"events: most: expected a whole number of 1 or more, got {most!r}")
        self._observers = observers
        self._events: deque[Event] = deque(maxlen=most)
        self._missed: EventsMissed | None = None
        self._news: anyio.Event | None = None
        self._closed = False

    async def __aenter__(self) -> EventStream:
        if self._observers.closed:
            self.close()
        else:
            self._observers._streams.add(self)
            self._observers.add(self._put)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._events.clear()
        self._missed = None
        self.close()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        await anyio.lowlevel.checkpoint()
        while True:
            if (missed := self._missed) is not None:
                self._missed = None
                return missed
            if self._events:
                return self._events.popleft()
            if self._closed:
                raise StopAsyncIteration
            self._news = self._news or anyio.Event()
            await self._news.wait()

    def close(self) -> None:
        """Takes no more events, and lets who waits for one read to the end."""
        self._closed = True
        self._observers._streams.discard(self)
        self._observers.remove(self._put)
        self._wake()

    def _put(self, event: Event) -> None:
        if len(self._events) == self._events.maxlen:
            before = self._missed.count if self._missed is not None else 0
            self._missed = EventsMissed(self._events[0].time, before + 1)
            self._observers.missed += 1
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


def as_fields(event: Event) -> dict[str, object]:
    """An event in plain values: its kind as ``event``, and its fields."""
    plain: dict[str, object] = {"event": type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        plain[field.name] = value.value if isinstance(value, Enum) else value
    return plain
