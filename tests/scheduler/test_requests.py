"""The documented rules of background requests: who may ask, for when, and how often."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from tailor.scheduler import (
    BGAppRefreshTaskRequest,
    BGProcessingTaskRequest,
    BGTaskRequest,
    BGTaskSchedulerError,
    BGTaskSchedulerErrorCode,
    Conditions,
)
from tailor.scheduler.requests import check_request

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
NAMES = [f"p{number}" for number in range(12)] + ["r0", "r1"]
TEN: list[BGTaskRequest] = [BGProcessingTaskRequest(f"p{number}") for number in range(10)]
Code = BGTaskSchedulerErrorCode


@pytest.mark.parametrize(
    ("pending", "request_", "code", "message"),
    [
        ([], BGProcessingTaskRequest("other"), Code.NOT_PERMITTED, "'other': expected an identifier that a handler is registered for"),
        ([], BGProcessingTaskRequest("p0", NOW + timedelta(days=7, seconds=1)), Code.NOT_PERMITTED, "'p0': earliest_begin_date: .*a week"),
        ([BGAppRefreshTaskRequest("r0")], BGAppRefreshTaskRequest("r1"), Code.TOO_MANY_PENDING_TASK_REQUESTS, "at most 1 pending refresh"),
        (
            TEN,
            BGProcessingTaskRequest("p10"),
            Code.TOO_MANY_PENDING_TASK_REQUESTS,
            "at most 10 pending processing requests, got one more than 'p0', 'p1'",
        ),
    ],
    ids=["never registered", "more than a week", "second refresh", "eleventh"],
)
def test_a_request_against_the_rules_is_refused(pending: list[BGTaskRequest], request_: BGTaskRequest, code: Code, message: str) -> None:
    with pytest.raises(BGTaskSchedulerError, match=message) as refused:
        check_request(request_, pending, NAMES, NOW)
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("pending", "request_"),
    [
        (TEN, BGProcessingTaskRequest("p3", requires_external_power=True)),
        (TEN, BGAppRefreshTaskRequest("r0")),
        (TEN[:9], BGProcessingTaskRequest("p10")),
        ([BGAppRefreshTaskRequest("r0")], BGAppRefreshTaskRequest("r0", NOW)),
        ([BGAppRefreshTaskRequest("r0")], BGProcessingTaskRequest("r0")),
        ([], BGProcessingTaskRequest("p0", NOW + timedelta(days=7))),
        ([], BGProcessingTaskRequest("p0", NOW - timedelta(days=700))),
    ],
    ids=["in place of one of ten", "refresh beside ten", "tenth", "in place of the refresh", "another kind", "in a week", "long ago"],
)
def test_a_request_within_the_rules_is_not(pending: list[BGTaskRequest], request_: BGTaskRequest) -> None:
    before = list(pending)
    check_request(request_, pending, NAMES, NOW)
    assert pending == before


def test_a_request_is_of_one_of_the_two_kinds() -> None:
    with pytest.raises(TypeError, match="expected a BGAppRefreshTaskRequest or a BGProcessingTaskRequest, got BGTaskRequest"):
        check_request(BGTaskRequest("p0"), [], NAMES, NOW)


@pytest.mark.parametrize(
    ("request_", "conditions"),
    [
        (BGAppRefreshTaskRequest("r0"), Conditions()),
        (BGProcessingTaskRequest("p0"), Conditions()),
        (BGProcessingTaskRequest("p0", requires_external_power=True), Conditions(external_power=True)),
        (BGProcessingTaskRequest("p0", requires_network_connectivity=True), Conditions(network=True)),
    ],
)
def test_a_request_says_what_must_hold(request_: BGTaskRequest, conditions: Conditions) -> None:
    assert request_.conditions == conditions


@pytest.mark.parametrize(("begin", "due"), [(None, True), (NOW, True), (NOW + timedelta(microseconds=1), False)])
def test_a_request_is_due_from_its_date_on(begin: datetime | None, due: bool) -> None:
    assert BGAppRefreshTaskRequest("r0", begin).due(NOW) is due


@pytest.mark.parametrize("begin", [datetime(2026, 1, 2), date(2026, 1, 2), time(8, tzinfo=UTC), timedelta(hours=1), 3600.0, "tomorrow"])
def test_a_date_is_a_datetime_with_a_zone(begin: Any) -> None:
    for kind in (BGProcessingTaskRequest, BGAppRefreshTaskRequest):
        with pytest.raises(ValueError, match=f"'p0': earliest_begin_date: expected a datetime with a zone, got {re.escape(repr(begin))}"):
            kind("p0", begin)


@pytest.mark.parametrize("name", ["requires_external_power", "requires_network_connectivity"])
@pytest.mark.parametrize("given", ["no", 1, None])
def test_what_is_required_is_true_or_false(name: str, given: Any) -> None:
    with pytest.raises(ValueError, match=f"'p0': {name}: expected True or False, got {given!r}"):
        BGProcessingTaskRequest("p0", **{name: given})
