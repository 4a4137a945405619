"""Background requests: what an application asks to be launched for, and the rules for asking (Apple's BGTaskScheduler).

Times are aware datetimes: requests outlive the program, and with it every clock that counts from its start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from .budget import Budget
from .conditions import Conditions
from .errors import SchedulerError
from .job import Job, Priority

MOST_DELAY = timedelta(days=7)
MOST_REFRESH, MOST_PROCESSING = 1, 10
REFRESH_SECONDS, PROCESSING_SECONDS = 30.0, 180.0
NOTICE = 5.0
"""Seconds before the end of a launch, at which its handler is told."""
AT_ONCE = 2
"""How many launches go on at the same time."""

LANE = "background"
"""The lane of launches."""


class BGTaskSchedulerErrorCode(IntEnum):
    """Apple's numbers for why a request is refused."""

    UNAVAILABLE = 1
    TOO_MANY_PENDING_TASK_REQUESTS = 2
    NOT_PERMITTED = 3


class BGTaskSchedulerError(SchedulerError):
    """A request was refused; nothing has changed. ``code`` says why as Apple's does."""

    def __init__(self, code: BGTaskSchedulerErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class BGTaskRequest:
    """Asks for one launch of the handler registered for ``identifier``, not before ``earliest_begin_date`` (``None``: any time).

    Raises ``ValueError`` for an empty identifier, for a date without a time zone, and for what is none of these.
    """

    identifier: str
    earliest_begin_date: datetime | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.identifier, str) or not self.identifier:
            raise ValueError(f"request: expected an identifier that is a non-empty string, got {self.identifier!r}")
        begin = self.earliest_begin_date
        if begin is not None and (not isinstance(begin, datetime) or begin.utcoffset() is None):
            raise ValueError(f"request {self.identifier!r}: earliest_begin_date: expected a datetime with a zone, got {begin!r}")

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

    def __post_init__(self) -> None:
        BGTaskRequest.__post_init__(self)  # a class with slots is made anew: super() would look for the one that it was made of
        for name in ("requires_external_power", "requires_network_connectivity"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"request {self.identifier!r}: {name}: expected True or False, got {getattr(self, name)!r}")

    @property
    def conditions(self) -> Conditions:
        """What must hold for the launch."""
        return Conditions(external_power=self.requires_external_power, network=self.requires_network_connectivity)


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request as a store keeps it, until its launch has ended.

    ``number``    its place in the order of submission: the lower, the earlier.
    ``launches``  how many launches of it have begun of which none has ended, as their process died under them.
    """

    request: BGTaskRequest
    number: int
    launches: int = 0


def check_request(request: BGTaskRequest, pending: Iterable[BGTaskRequest], registered: Iterable[str], now: datetime) -> None:
    """Raises where ``request`` may not be submitted beside those that are pending; one of its own identifier it replaces.

    Raises ``BGTaskSchedulerError`` where nobody registered for its identifier, where its date is more than a week away, and
    where 1 refresh or 10 processing requests of other identifiers are pending; ``TypeError`` where it is neither of the two.
    """
    if not isinstance(request, BGAppRefreshTaskRequest | BGProcessingTaskRequest):
        raise TypeError(f"expected a BGAppRefreshTaskRequest or a BGProcessingTaskRequest, got {type(request).__name__}")
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
        for other in pending
        if isinstance(other, BGAppRefreshTaskRequest) == refresh and other.identifier != request.identifier
    ]
    most, kind = (MOST_REFRESH, "refresh") if refresh else (MOST_PROCESSING, "processing")
    if len(alike) >= most:
        raise BGTaskSchedulerError(
            BGTaskSchedulerErrorCode.TOO_MANY_PENDING_TASK_REQUESTS,
            f"{who}: expected at most {most} pending {kind} request{'s' * (most > 1)}, got one more than {', '.join(map(repr, alike))}",
        )


def request_job(request: BGTaskRequest, conditions: Conditions, not_before: float) -> Job:
    """The job that waits for a request's launch, under ``conditions``, until ``not_before`` at least."""
    return Job(
        identifier=request.identifier,
        priority=Priority.BACKGROUND,
        tags=frozenset({LANE}),
        lanes=(LANE,),
        not_before=not_before,
        conditions=conditions,
        budget=Budget(steps=1),  # one launch; its seconds are its own, and not of the job, which may be launched again
        model=f"{LANE} {request.identifier}",
    )
