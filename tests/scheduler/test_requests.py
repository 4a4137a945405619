"""The documented rules of background requests: who may ask, for when, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tailor.scheduler import (
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    BGTaskRequest,
    BGTaskSchedulerError,
    BGTaskSchedulerErrorCode,
    PendingRequests,
)

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
NAMES = [f"p{number}" for number in range(12)] + ["r0", "r1"]
Code = BGTaskSchedulerErrorCode


def pending(*requests: BGTaskRequest) -> PendingRequests:
    waiting = PendingRequests()
    for request in requests:
        waiting.submit(request, NAMES, NOW)
    return waiting


@pytest.mark.parametrize(
    ("before", "request_", "code", "message"),
    [
        ([], BGProcessingTaskRequest("other"), Code.NOT_PERMITTED, "'other': expected an identifier that a handler is registered for"),
        ([], BGProcessingTaskRequest("p0", NOW + timedelta(days=7, seconds=1)), Code.NOT_PERMITTED, "'p0': earliest_begin_date: .*a week"),
        ([BGAppRefreshTaskRequest("r0")], BGAppRefreshTaskRequest("r1"), Code.TOO_MANY_PENDING_TASK_REQUESTS, "at most 1 pending refresh"),
        (
            [BGProcessingTaskRequest(f"p{number}") for number in range(10)],
            BGProcessingTaskRequest("p10"),
            Code.TOO_MANY_PENDING_TASK_REQUESTS,
            "at most 10 pending processing requests, got one more than 'p0', 'p1'",
        ),
    ],
    ids=["never registered", "more than a week", "second refresh", "eleventh"],
)
def test_a_request_against_the_rules_changes_nothing(
    before: list[BGTaskRequest], request_: BGTaskRequest, code: Code, message: str
) -> None:
    waiting = pending(*before)
    with pytest.raises(BGTaskSchedulerError, match=message) as refused:
        waiting.submit(request_, NAMES, NOW)
    assert refused.value.code is code and list(waiting) == before


def test_the_same_identifier_replaces_what_is_pending_even_when_all_places_are_taken() -> None:
    waiting = pending(*[BGProcessingTaskRequest(f"p{number}") for number in range(10)], BGAppRefreshTaskRequest("r0"))
    newer = BGProcessingTaskRequest("p3", requires_external_power=True)
    waiting.submit(newer, NAMES, NOW)
    assert len(waiting) == 11 and newer in list(waiting)
    assert newer.conditions.external_power and not newer.conditions.network


def test_due_are_those_whose_time_has_come_longest_first() -> None:
    week, hour, minute = (NOW + delta for delta in (timedelta(days=7), -timedelta(hours=1), -timedelta(minutes=1)))
    waiting = pending(
        BGProcessingTaskRequest("p0", week),
        BGProcessingTaskRequest("p1", minute),
        BGAppRefreshTaskRequest("r0"),
        BGProcessingTaskRequest("p2", hour),
    )
    assert [request.identifier for request in waiting.due(NOW)] == ["r0", "p2", "p1"]
    assert [request.identifier for request in waiting.due(week)] == ["r0", "p2", "p1", "p0"]


def test_cancelling_takes_requests_away() -> None:
    waiting = pending(BGProcessingTaskRequest("p0"), BGProcessingTaskRequest("p1"))
    assert waiting.cancel("p0") and not waiting.cancel("p0")
    assert [request.identifier for request in waiting] == ["p1"]
    waiting.cancel_all()
    assert len(waiting) == 0


def test_a_date_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="'p0': earliest_begin_date: expected a time with a zone"):
        BGProcessingTaskRequest("p0", datetime(2026, 1, 2))
