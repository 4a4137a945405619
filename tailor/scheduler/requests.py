"""Background requests: what an application asks to be launched for, and the rules for asking (Apple's BGTaskScheduler).

Times are aware datetimes: requests outlive the program, and with it every clock that counts from its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from .conditions import Conditions

MOST_DELAY = timedelta(days=7)
MOST_REFRESH, MOST_PROCESSING = 1, 10


class BGTaskSchedulerErrorCode(IntEnum):
    """Apple's numbers for why a request is refused."""

    UNAVAILABLE = 1
    TOO_MANY_PENDING_TASK_REQUESTS = 2
    NOT_PERMITTED = 3


class BGTaskSchedulerError(RuntimeError):
    """A request was refused; nothing has changed. ``code`` says why as Apple's does."""

    def __init__(self, code: BGTaskSchedulerErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class BGTaskRequest:
    """Asks for one launch of the handler registered for ``identifier``, not before ``earliest_begin_date`` (``None``: any time).

    Raises ``ValueError`` for an empty identifier and for a date without a time zone.
    """

    identifier: str
    earliest_begin_date: datetime | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.identifier, str) or not self.identifier:
            raise ValueError(f"request: expected an identifier that is a non-empty string, got {self.identifier!r}")
        begin = self.earliest_begin_date
        if begin is not None and begin.utcoffset() is None:
            raise ValueError(f"request {self.identifier!r}: earliest_begin_date: expected a time with a zone, got {begin}")

    @property
    def conditions(self) -> Conditions:
        """What must hold for the launch."""
        return Conditions()

    def due(self, now: datetime) -> bool:
        """Whether its time has come."""
        return self.earliest_begin_date is None or self.earliest_begin_date <= now


@dataclass(frozen=True, slots=True)
class BGAppRefreshTaskRequest(BGTaskRequest):
    """A short launch, of half a minute, to fetch what is new."""


@dataclass(frozen=True, slots=True)
class BGProcessingTaskRequest(BGTaskRequest):
    """A launch of minutes, for work that may wait until the machine is free."""

    requires_external_power: bool = False
    requires_network_connectivity: bool = False

    @property
    def conditions(self) -> Conditions:
        """What must hold for the launch."""
        return Conditions(external_power=self.requires_external_power, network=self.requires_network_connectivity)


class PendingRequests:
    """The requests that wait for their launch, one an identifier, in the order in which they were submitted."""

    def __init__(self, requests: Iterable[BGTaskRequest] = ()) -> None:
        self._pending = {request.identifier: request for request in requests}

    def __iter__(self) -> Iterator[BGTaskRequest]:
        return iter(list(self._pending.values()))

    def __len__(self) -> int:
        return len(self._pending)

    def submit(self, request: BGTaskRequest, registered: Iterable[str], now: datetime) -> None:
        """Adds a request, in place of one of the same identifier.

        Raises ``BGTaskSchedulerError`` where nobody registered for its identifier, where its date is more than a week away,
        and where 1 refresh or 10 processing requests of other identifiers are pending; nothing has changed then.
        """
        who = f"request {request.identifier!r}"
        known = sorted(registered)
        if request.identifier not in known:
            listed = ", ".join(map(repr, known)) or "none"
            raise BGTaskSchedulerError(
                BGTaskSchedulerErrorCode.NOT_PERMITTED, f"{who}: expected an identifier that a handler is registered for ({listed})"
            )
        begin = request.earliest_begin_date
        if begin is not None and begin > now + MOST_DELAY:
            raise BGTaskSchedulerError(
                BGTaskSchedulerErrorCode.NOT_PERMITTED, f"{who}: earliest_begin_date: expected at most a week from now, got {begin}"
            )
        refresh = isinstance(request, BGAppRefreshTaskRequest)
        alike = [
            other.identifier
            for other in self._pending.values()
            if isinstance(other, BGAppRefreshTaskRequest) == refresh and other.identifier != request.identifier
        ]
        most, kind = (MOST_REFRESH, "refresh") if refresh else (MOST_PROCESSING, "processing")
        if len(alike) >= most:
            raise BGTaskSchedulerError(
                BGTaskSchedulerErrorCode.TOO_MANY_PENDING_TASK_REQUESTS,
                f"{who}: expected at most {most} pending {kind} request{'s' * (most > 1)}, got one more than {', '.join(map(repr, alike))}",
            )
        self._pending.pop(request.identifier, None)
        self._pending[request.identifier] = request

    def cancel(self, identifier: str) -> bool:
        """Whether a request of that identifier was pending; it is no more."""
        return self._pending.pop(identifier, None) is not None

    def cancel_all(self) -> None:
        """Cancels every pending request."""
        self._pending.clear()

    def due(self, now: datetime) -> list[BGTaskRequest]:
        """Those whose time has come, whoever has waited longest for it first; conditions are for the caller to look at."""
        ready = [(request.earliest_begin_date, place, request) for place, request in enumerate(self._pending.values()) if request.due(now)]
        ready.sort(key=lambda entry: (entry[0] is not None, entry[0] or now, entry[1]))
        return [request for *_, request in ready]
