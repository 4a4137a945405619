"""What makes no sense is refused when it is said: who, what was expected, what came."""

from __future__ import annotations

from collections.abc import Callable
from re import escape
from typing import Any

import pytest

from tailor.scheduler import Budget, Job, ProcessLane, Scheduler, ThreadLane

MOMENT = "seconds on the scheduler's clock"


def job(**fields: Any) -> Job:
    return Job(identifier="a", **fields)


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (Budget, {"deadline": "noon"}, f"budget: deadline: expected {MOMENT}, got 'noon'"),
        (Budget, {"deadline": None}, f"budget: deadline: expected {MOMENT}, got None"),
        (Budget, {"seconds": "60"}, "budget: seconds: expected 0 or more, got '60'"),
        (Budget, {"steps": None}, "budget: steps: expected 0 or more, got None"),
        (Budget, {"energy": "low"}, "budget: energy: expected one of NONE, LOW, NORMAL, got 'low'"),
        (job, {"tags": None}, "job 'a': tags: expected non-empty strings, got None"),
        (job, {"lanes": 3}, "job 'a': lanes: expected non-empty strings, got 3"),
        (job, {"share": None}, "job 'a': share, model: expected strings, got None, ''"),
        (job, {"model": 3}, "job 'a': share, model: expected strings, got '', 3"),
        (job, {"budget": 60}, "job 'a': budget: expected Budget, got 60"),
        (job, {"conditions": {}}, "job 'a': conditions: expected Conditions, got {}"),
        (ThreadLane, {"workers": "2"}, "lane: expected at least one worker, got '2'"),
        (ProcessLane, {"workers": 1.5}, "lane: expected at least one worker, got 1.5"),
        (Scheduler, {"cores": "2"}, "cores: expected a whole number of at least 1, got '2'"),
        (Scheduler, {"limits": 3}, "scheduler: limits: expected a mapping from names, got 3"),
        (Scheduler, {"limits": {"x": "1"}}, "limit of tag 'x': expected a whole number of at least 1, got '1'"),
        (Scheduler, {"weights": ["ann"]}, "scheduler: weights: expected a mapping from names, got ['ann']"),
        (Scheduler, {"weights": {"ann": "2"}}, "weight of share 'ann': expected a number above 0, got '2'"),
        (Scheduler, {"lanes": ["cpu"]}, "scheduler: lanes: expected a mapping from names, got ['cpu']"),
        (Scheduler, {"lanes": {"cpu": 2}}, "scheduler: lanes: expected lanes, such as ThreadLane, by name, got 2 as 'cpu'"),
        (Scheduler, {"sensors": 3}, "scheduler: sensors: expected what reads the machine, as PsutilSensors does, or None, got 3"),
    ],
)
def test_it_says_who_what_was_expected_and_what_came(make: Callable[..., object], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=escape(message)):
        make(**fields)
