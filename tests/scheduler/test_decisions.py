"""The pure decisions: budgets, costs, conditions. Numbers are worked out by hand, time is what the test says."""

from __future__ import annotations

import math
from datetime import time
from typing import Any

import pytest

from tailor.scheduler import (
    Allowance,
    Budget,
    Conditions,
    Costs,
    EnergyClass,
    Estimate,
    Job,
    QuietHours,
    Spent,
    Surroundings,
    steps_that_fit,
)


@pytest.mark.parametrize(
    ("budget", "spent", "now", "left"),
    [
        (Budget(), Spent(100.0, 7), 50.0, Allowance()),
        (Budget(deadline=60.0), Spent(100.0, 7), 50.0, Allowance(seconds=10.0)),
        (Budget(seconds=120.0), Spent(100.0, 7), 50.0, Allowance(seconds=20.0)),
        (Budget(deadline=60.0, seconds=105.0, steps=10), Spent(100.0, 7), 50.0, Allowance(seconds=5.0, steps=3)),
        (Budget(deadline=60.0), Spent(), 70.0, Allowance(seconds=0.0)),  # a deadline already past
        (Budget(steps=5), Spent(1.0, 9), 0.0, Allowance(steps=0)),
    ],
)
def test_what_is_left_of_a_budget(budget: Budget, spent: Spent, now: float, left: Allowance) -> None:
    assert budget.left(spent, now) == left


def test_what_was_spent_stays_spent() -> None:
    spent = Spent().and_more(2.0, 3).and_more(1.5, 1)
    assert (spent.seconds, spent.steps) == (3.5, 4)


def test_work_within_other_work_has_the_tighter_bounds() -> None:
    outer, inner = Budget(deadline=10.0, steps=5, energy=EnergyClass.LOW), Budget(deadline=20.0, seconds=3.0)
    assert inner.within(outer) == outer.within(inner) == Budget(10.0, 3.0, 5, EnergyClass.LOW)


@pytest.mark.parametrize(
    ("allowance", "step", "reserve", "steps"),
    [
        (Allowance(), Estimate(1.0, 0.0, 9), 0.0, math.inf),
        (Allowance(steps=4), None, 0.0, 4),
        (Allowance(seconds=10.0), None, 0.0, 1),  # nobody knows: one, to learn
        (Allowance(seconds=0.0), None, 0.0, 0),
        (Allowance(seconds=10.0), Estimate(1.0, 0.0, 9), 0.0, 10),
        (Allowance(seconds=10.0), Estimate(1.0, 0.0, 9), 0.5, 9),
        (Allowance(seconds=10.0, steps=3), Estimate(1.0, 0.0, 9), 0.0, 3),
        (Allowance(seconds=1.9), Estimate(1.0, 0.25, 9), 0.0, 0),  # one may take 1 + 4 x 0.25
        (Allowance(seconds=2.0), Estimate(1.0, 0.25, 9), 0.0, 1),
        (Allowance(seconds=12.0), Estimate(1.0, 0.25, 9), 0.0, 9),  # nine: 9 + 4 x 0.25 x 3; ten would be 13.2
        (Allowance(seconds=5.0), Estimate(0.0, 0.0, 9), 5.1, 0),
    ],
)
def test_no_more_steps_are_begun_than_can_end_in_time(allowance: Allowance, step: Estimate | None, reserve: float, steps: float) -> None:
    assert steps_that_fit(allowance, step, reserve) == steps


def test_costs_are_learned_by_model_and_lane() -> None:
    costs = Costs()
    assert costs.of("m", "cpu") is None
    costs.learn("m", "cpu", seconds=0.8, steps=4)
    assert costs.of("m", "cpu") == Estimate(0.2, 0.1, 4)  # the first: half of it for the deviation
    costs.learn("m", "cpu", seconds=1.0, steps=1)
    known = costs.of("m", "cpu")
    assert known is not None and (known.mean, known.deviation) == pytest.approx((0.2 + 0.8 / 8, 0.1 + (0.8 - 0.1) / 4))
    costs.learn("m", "gpu", seconds=0.1, steps=1)
    assert costs.best("m", ("cpu", "gpu")) == "gpu"
    assert costs.best("m", ("cpu", "tpu")) == "tpu"  # never tried
    assert costs.best("other", ("cpu", "gpu")) == "cpu"
    costs.learn("m", "cpu", seconds=9.0, steps=0)
    assert Costs(costs.plain()).of("m", "cpu") == known


def test_an_even_cost_is_known_better_and_better() -> None:
    costs = Costs()
    for _ in range(40):
        costs.learn("m", "cpu", seconds=0.5, steps=1)
    known = costs.of("m", "cpu")
    assert known is not None and known.mean == pytest.approx(0.5) and known.at_most(1) < 0.501


def test_steps_measured_together_weigh_as_many() -> None:
    together, single = Costs(), Costs()
    for costs in (together, single):
        costs.learn("m", "cpu", seconds=1.0, steps=1)
    together.learn("m", "cpu", seconds=6.0, steps=3)
    for _ in range(3):
        single.learn("m", "cpu", seconds=2.0, steps=1)
    one, other = together.of("m", "cpu"), single.of("m", "cpu")
    assert one is not None and other is not None and one.mean == pytest.approx(other.mean) and one.steps == other.steps


NIGHT, NOON = QuietHours(time(22), time(6, 30)), QuietHours(time(12), time(13))
PLUGGED = Surroundings(external_power=True, network=True, processor_use=0.2, free_memory=8 << 30, battery=0.9, clock=time(15))


@pytest.mark.parametrize(
    ("conditions", "around", "unmet"),
    [
        (Conditions(), Surroundings(), []),
        (Conditions(True, True, 0.5, 1 << 30, 0.5, (NIGHT, NOON)), PLUGGED, []),
        (Conditions(external_power=True), Surroundings(external_power=False), ["external power"]),
        (
            Conditions(external_power=True, network=True, least_battery=0.5),
            Surroundings(),
            [],
        ),  # no battery, and a network as far as is known
        (Conditions(network=True), Surroundings(network=False), ["network"]),
        (Conditions(most_processor_use=0.1), PLUGGED, ["idle processors"]),
        (Conditions(most_processor_use=0.1), Surroundings(), ["idle processors"]),
        (Conditions(least_free_memory=9 << 30), PLUGGED, ["free memory"]),
        (Conditions(least_battery=0.95), PLUGGED, ["battery"]),
        (Conditions(quiet_hours=(NIGHT,)), Surroundings(clock=time(23)), ["quiet hours"]),
        (Conditions(quiet_hours=(NIGHT,)), Surroundings(clock=time(6, 29)), ["quiet hours"]),
        (Conditions(quiet_hours=(NIGHT,)), Surroundings(clock=time(6, 30)), []),
        (Conditions(quiet_hours=(NOON,)), Surroundings(clock=time(12)), ["quiet hours"]),
        (Conditions(quiet_hours=(NOON,)), Surroundings(clock=time(11, 59)), []),
    ],
)
def test_what_does_not_hold_is_named(conditions: Conditions, around: Surroundings, unmet: list[str]) -> None:
    assert [one.name for one in conditions.unmet(around)] == unmet


def test_an_unmet_condition_makes_a_sentence() -> None:
    (unmet,) = Conditions(least_battery=0.5).unmet(Surroundings(battery=0.31))
    assert str(unmet) == "battery: expected at least 50%, got 31%"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Job(identifier=""), "identifier.*''"),
        (lambda: Job(identifier="a", priority=7), "'a': priority: expected one of BACKGROUND, .*got 7"),  # type: ignore[arg-type]
        (lambda: Job(identifier="a", deadline=math.nan), "'a': deadline.*nan"),
        (lambda: Job(identifier="a", lanes=()), "'a': lanes: expected at least one"),
        (lambda: Job(identifier="a", tags="user"), "'a': tags.*'user'"),  # type: ignore[arg-type]
        (lambda: Job(identifier="a", after={"a"}), "'a': after.*itself"),  # type: ignore[arg-type]
        (lambda: Budget(seconds=-1.0), "seconds: expected 0 or more, got -1.0"),
        (lambda: Budget(steps=math.nan), "steps.*nan"),
        (lambda: Conditions(least_battery=1.5), "least_battery: expected 0 to 1, got 1.5"),
        (lambda: Conditions(least_free_memory=-1), "least_free_memory: expected 0 or more, got -1"),
        (lambda: QuietHours(time(1), time(1)), "quiet hours"),
        (lambda: Costs().learn("m", "cpu", math.inf, 1), "seconds.*inf"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
