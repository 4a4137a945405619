"""The dispatcher: who gets which lane, on cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import tailor.scheduler.dispatch as dispatch
from tailor.scheduler import (
    Budget,
    Conditions,
    DependencyFailed,
    Dispatcher,
    EnergyClass,
    Job,
    Priority,
    Standing,
    Surroundings,
)

BATTERY, PLUGGED = Surroundings(external_power=False), Surroundings(external_power=True)
POWER = Conditions(external_power=True)


def asking(dispatcher: Dispatcher, name: str, now: float = 0.0, *, narrow: bool = True, **fields: Any) -> None:
    """Submits a job, which asks for a turn."""
    dispatcher.submit(Job(identifier=name, **fields), now, narrow=narrow)
    dispatcher.ask(name, now)


def begun(dispatcher: Dispatcher, now: float = 0.0) -> list[str]:
    return [turn.identifier for turn in dispatcher.decide(now).turns]


def one_by_one(dispatcher: Dispatcher, seconds: float = 1.0) -> list[str]:
    """The order in which jobs go on a lane of one worker, a turn each."""
    order, now = [], 0.0
    while names := begun(dispatcher, now):
        order += names
        now += seconds
        for name in names:
            dispatcher.end_turn(name, seconds, 1, now)
            dispatcher.finish(name, True, now)
    return order


# Order


def test_priority_then_deadline_then_age() -> None:
    dispatcher = Dispatcher({"cpu": 1})
    fields: list[tuple[str, dict[str, Any]]] = [
        ("old", {}),
        ("due late", {"deadline": 900.0}),
        ("due soon", {"deadline": 100.0}),
        ("in the background", {"priority": Priority.BACKGROUND, "deadline": 1.0}),
        ("due by its budget", {"budget": Budget(deadline=500.0)}),
        ("young", {}),
        ("wanted now", {"priority": Priority.USER_INTERACTIVE}),
    ]
    for name, given in fields:
        asking(dispatcher, name, **given)
    assert one_by_one(dispatcher) == [
        "wanted now", "due soon", "due by its budget", "due late", "old", "young", "in the background",
    ]  # fmt: skip


def test_shares_have_time_by_their_weights() -> None:
    dispatcher = Dispatcher({"cpu": 1}, weights={"ann": 3.0})
    for share in ("ann", "bob"):
        dispatcher.submit(Job(identifier=share, share=share), 0.0)
    turns = []
    for now in range(12):
        for share in ("ann", "bob"):
            if dispatcher.entry(share).standing is Standing.RESTING:  # type: ignore[union-attr]
                dispatcher.ask(share, float(now))
        turns += begun(dispatcher, float(now))
        dispatcher.end_turn(turns[-1], 1.0, 1, now + 1.0)
    assert (turns.count("ann"), turns.count("bob")) == (9, 3)


def test_a_job_that_comes_back_keeps_its_age() -> None:
    dispatcher = Dispatcher({"cpu": 1})
    for name in "abc":
        asking(dispatcher, name)
    assert begun(dispatcher) == ["a"]
    dispatcher.end_turn("a", 0.0, 1, 1.0)
    dispatcher.ask("a", 1.0)
    assert begun(dispatcher, 1.0) == ["a"]


def test_the_first_may_leave_and_the_others_go_on() -> None:
    dispatcher = Dispatcher({"cpu": 1})
    for name in "abcd":
        asking(dispatcher, name)
    dispatcher.finish("a", False, 0.0)
    dispatcher.rest("c", 0.0)
    dispatcher.ask("c", 0.0)
    assert one_by_one(dispatcher) == ["b", "c", "d"]


# Preemption, cores, limits


def test_a_more_urgent_job_asks_the_least_urgent_turn_back() -> None:
    dispatcher = Dispatcher({"cpu": 2}, cores=2)
    asking(dispatcher, "low", priority=Priority.BACKGROUND)
    asking(dispatcher, "middle", priority=Priority.UTILITY)
    assert begun(dispatcher) == ["middle", "low"]
    asking(dispatcher, "also low", priority=Priority.BACKGROUND)
    assert dispatcher.decide(1.0).yields == []  # only who is less urgent has to go
    asking(dispatcher, "high", priority=Priority.USER_INITIATED)
    (turn,) = dispatcher.decide(2.0).yields
    assert (turn.identifier, turn.yields, turn.why) == ("low", True, "job 'high' is more urgent")
    assert dispatcher.decide(3.0).yields == []  # asked once
    dispatcher.end_turn("low", 1.0, 1, 4.0)
    dispatcher.ask("low", 4.0)
    assert begun(dispatcher, 4.0) == ["high"]


def test_a_more_urgent_job_is_heard_though_others_like_it_wait_already() -> None:
    dispatcher = Dispatcher({"cpu": 1, "gpu0": 1})
    for name in ("at work", "waits", "waits too"):
        asking(dispatcher, name)
    assert begun(dispatcher) == ["at work"]
    asking(dispatcher, "high", priority=Priority.USER_INTERACTIVE)
    assert [turn.identifier for turn in dispatcher.decide(1.0).yields] == ["at work"]


def test_a_job_that_could_not_begin_asks_nobody_for_a_place() -> None:
    dispatcher = Dispatcher({"cpu": 1}, around=BATTERY)
    asking(dispatcher, "low", priority=Priority.BACKGROUND)
    assert begun(dispatcher) == ["low"]
    asking(dispatcher, "kept", priority=Priority.USER_INTERACTIVE, conditions=POWER)
    assert dispatcher.decide(1.0).yields == []
    asking(dispatcher, "high", priority=Priority.USER_INITIATED)
    assert [turn.identifier for turn in dispatcher.decide(2.0).yields] == ["low"]


def test_cores_are_shared_out_among_those_that_begin() -> None:
    dispatcher = Dispatcher({"cpu": 3, "gpu0": 1}, cores=4)
    asking(dispatcher, "alone", narrow=False)
    asking(dispatcher, "device", narrow=False, lanes=("gpu0",))
    assert [(turn.identifier, turn.threads) for turn in dispatcher.decide(0.0).turns] == [("alone", 4), ("device", 1)]
    asking(dispatcher, "second", narrow=False)
    asking(dispatcher, "third", narrow=False)
    decisions = dispatcher.decide(1.0)
    assert (decisions.turns, [turn.identifier for turn in decisions.yields]) == ([], ["alone"])
    assert decisions.yields[0].why == "job 'second' needs a core"
    dispatcher.end_turn("alone", 1.0, 1, 2.0)
    dispatcher.ask("alone", 2.0)
    assert [(turn.identifier, turn.threads) for turn in dispatcher.decide(2.0).turns] == [("alone", 2), ("second", 1), ("third", 1)]


def test_work_that_nobody_tells_of_cores_has_one() -> None:
    dispatcher = Dispatcher({"cpu": 2}, cores=2)
    asking(dispatcher, "plain", narrow=True)
    assert [turn.threads for turn in dispatcher.decide(0.0).turns] == [1]
    asking(dispatcher, "other", narrow=True)
    assert begun(dispatcher, 1.0) == ["other"]


def test_a_job_that_is_kept_takes_no_cores_from_others() -> None:
    dispatcher = Dispatcher({"cpu": 2}, cores=2, around=BATTERY)
    asking(dispatcher, "kept", conditions=POWER, narrow=False)
    asking(dispatcher, "free", narrow=False)
    assert [(turn.identifier, turn.threads) for turn in dispatcher.decide(0.0).turns] == [("free", 2)]


def test_a_job_for_which_one_core_is_too_slow_has_them_all() -> None:
    dispatcher = Dispatcher({"cpu": 1}, cores=4)
    dispatcher.costs.learn("m", "cpu", 4.0, 1)
    dispatcher.costs.learn("m", "cpu x4", 1.0, 1)
    asking(dispatcher, "a", narrow=False, model="m", budget=Budget(seconds=3.5))  # one takes 1 s, at most 3
    assert [(turn.threads, turn.step) for turn in dispatcher.decide(0.0).turns] == [(4, 3.0)]


def test_no_more_jobs_of_a_tag_are_at_work_than_may() -> None:
    dispatcher = Dispatcher({"cpu": 4}, cores=4, limits={"disk": 1})
    for name, tags in [("a", {"disk"}), ("b", {"disk", "net"}), ("c", {"net"})]:
        asking(dispatcher, name, tags=tags)
    assert begun(dispatcher) == ["a", "c"]
    assert dispatcher.keeps("b") == ("tag", "disk")
    dispatcher.end_turn("a", 1.0, 1, 1.0)
    assert begun(dispatcher, 1.0) == ["b"]


# What keeps jobs


def test_conditions_keep_a_job_and_take_its_turn_back() -> None:
    dispatcher = Dispatcher({"cpu": 1}, around=BATTERY)
    asking(dispatcher, "a", conditions=POWER)
    assert begun(dispatcher) == [] and dispatcher.keeps("a") == ("conditions", POWER)
    dispatcher.surroundings(PLUGGED)
    assert begun(dispatcher, 1.0) == ["a"]
    dispatcher.surroundings(BATTERY)
    (turn,) = dispatcher.decide(2.0).yields
    assert turn.why == "external power: expected the machine to be plugged in, got it runs on battery"
    dispatcher.end_turn("a", 1.0, 1, 3.0)
    dispatcher.ask("a", 3.0)
    assert begun(dispatcher, 3.0) == []


def test_energy_is_spared_on_battery() -> None:
    dispatcher = Dispatcher({"cpu": 1}, around=PLUGGED)
    asking(dispatcher, "none", budget=Budget(energy=EnergyClass.NONE))
    assert begun(dispatcher) == ["none"]
    dispatcher.surroundings(BATTERY)
    assert [turn.why for turn in dispatcher.decide(1.0).yields] == ["the machine runs on battery"]
    dispatcher.end_turn("none", 1.0, 1, 1.0)
    dispatcher.ask("none", 1.0)
    asking(dispatcher, "low", 1.0, budget=Budget(energy=EnergyClass.LOW))
    assert begun(dispatcher, 1.0) == ["low"]
    dispatcher.end_turn("low", 2.0, 1, 3.0)  # a tenth of the time: 2 of 20 seconds
    dispatcher.hold("low", 4.0, "something else, for less time")
    dispatcher.ask("low", 3.0)
    assert begun(dispatcher, 20.9) == [] and dispatcher.next_time() == 21.0
    assert begun(dispatcher, 21.0) == ["low"]
    dispatcher.end_turn("low", 2.0, 1, 23.0)
    dispatcher.ask("low", 23.0)
    dispatcher.finish("none", True, 23.0)
    assert begun(dispatcher, 24.0) == []
    dispatcher.surroundings(PLUGGED)  # there is nothing to spare any more
    assert begun(dispatcher, 24.0) == ["low"]


def test_a_job_waits_for_its_time() -> None:
    dispatcher = Dispatcher({"cpu": 1})
    asking(dispatcher, "a", not_before=5.0)
    assert begun(dispatcher) == [] and dispatcher.next_time() == 5.0
    asking(dispatcher, "b", 4.0)
    assert begun(dispatcher, 4.0) == ["b"]
    dispatcher.end_turn("b", 1.0, 1, 5.0)
    assert begun(dispatcher, 5.0) == ["a"] and dispatcher.next_time() == math.inf


def test_a_job_waits_for_those_before_it() -> None:
    dispatcher = Dispatcher({"cpu": 3}, cores=3)
    asking(dispatcher, "a")
    asking(dispatcher, "b")
    asking(dispatcher, "c", after={"a", "b"})
    assert begun(dispatcher) == ["a", "b"]
    for name, then in [("a", []), ("b", ["c"])]:
        dispatcher.end_turn(name, 1.0, 1, 1.0)
        assert dispatcher.finish(name, True, 1.0) == []
        assert begun(dispatcher, 1.0) == then


def test_those_after_a_job_that_failed_fail_one_after_the_other() -> None:
    dispatcher = Dispatcher({"cpu": 1})
    asking(dispatcher, "a")
    asking(dispatcher, "b", after={"a"})
    asking(dispatcher, "c", after={"b"})
    asking(dispatcher, "d", after={"a", "b"})
    assert dispatcher.finish("a", False, 0.0) == ["b", "d"]
    assert dispatcher.finish("b", False, 0.0) == ["c", "d"]
    assert [dispatcher.finish(name, False, 0.0) for name in "cd"] == [[], []]
    assert len(dispatcher) == 0 and begun(dispatcher) == []
    with pytest.raises(DependencyFailed, match="'e' comes after 'c', which did not end well"):
        dispatcher.submit(Job(identifier="e", after={"c"}), 0.0)  # type: ignore[arg-type]


def test_outcomes_are_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "REMEMBERED", 3)
    dispatcher = Dispatcher({"cpu": 1})

    def done(name: str, ok: bool = True) -> None:
        dispatcher.submit(Job(identifier=name), 0.0)
        dispatcher.finish(name, ok, 0.0)

    for name in "abc":
        done(name)
    done("a", False)  # another one of that name
    done("d")
    assert [dispatcher.outcome(name) for name in "abcd"] == [False, None, True, True]


# Lanes that change


def test_a_lane_may_grow_shrink_and_go() -> None:
    dispatcher = Dispatcher({"gpu0": 1, "gpu1": 1})
    for name, lanes in [("a", ("gpu0",)), ("b", ("gpu0",)), ("c", ("gpu0", "gpu1"))]:
        asking(dispatcher, name, lanes=lanes)
    assert begun(dispatcher) == ["a", "c"]
    dispatcher.set_capacity("gpu0", 2)
    assert begun(dispatcher, 1.0) == ["b"]
    dispatcher.set_capacity("gpu0", 1)
    dispatcher.end_turn("a", 1.0, 1, 2.0)
    dispatcher.ask("a", 2.0)
    assert begun(dispatcher, 2.0) == []
    dispatcher.set_capacity("gpu0", 0)
    assert dispatcher.decide(3.0).stranded == ["a"]  # it asks, and may go nowhere else
    assert dispatcher.exclude("c", "gpu0") and not dispatcher.exclude("c", "gpu1")
    dispatcher.end_turn("b", 1.0, 1, 4.0)
    dispatcher.ask("b", 4.0)
    assert dispatcher.decide(4.0).stranded == ["b"]


# Budgets


@pytest.mark.parametrize(
    ("budget", "later"),
    [
        (Budget(steps=0), 0.0),
        (Budget(deadline=-1.0), 0.0),
        (Budget(deadline=0.0), 0.0),
        (Budget(seconds=0.0), 0.0),
        (Budget(deadline=7.0), 7.0),
    ],
)
def test_a_budget_that_is_used_up_lets_a_job_wait_no_longer(budget: Budget, later: float) -> None:
    dispatcher = Dispatcher({"cpu": 1})
    asking(dispatcher, "busy", priority=Priority.USER_INTERACTIVE)
    begun(dispatcher)
    asking(dispatcher, "a", budget=budget)
    if later:
        assert dispatcher.decide(0.0).exhausted == [] and dispatcher.next_time() == later
    assert dispatcher.decide(later).exhausted == ["a"]
    assert dispatcher.decide(later).exhausted == []
    entry = dispatcher.entry("a")
    assert entry is not None and entry.standing is Standing.RESTING
    dispatcher.renew("a", Budget(steps=1), later)
    dispatcher.ask("a", later)
    assert dispatcher.decide(later).exhausted == []


@pytest.mark.parametrize("reserve", [0.0, 0.1, 0.3, 1 / 3])
@pytest.mark.parametrize("deadline", [0.3, 0.7, 1e6 + 0.1])
def test_no_job_waits_past_its_deadline(deadline: float, reserve: float) -> None:
    dispatcher = Dispatcher({"cpu": 1})
    asking(dispatcher, "busy", priority=Priority.USER_INTERACTIVE)
    begun(dispatcher)
    dispatcher.submit(Job(identifier="a", budget=Budget(deadline=deadline)), -1.0).reserve = reserve
    dispatcher.ask("a", -1.0)
    ends = dispatcher.next_time()
    assert ends == pytest.approx(deadline - reserve)
    assert dispatcher.decide(ends).exhausted == ["a"]  # whatever the rounding


def test_a_step_that_does_not_fit_is_not_begun() -> None:
    dispatcher = Dispatcher({"cpu": 1})
    dispatcher.costs.learn("m", "cpu", 2.0, 1)  # at most 6
    asking(dispatcher, "a", model="m", budget=Budget(seconds=5.9))
    decisions = dispatcher.decide(0.0)
    assert (decisions.turns, decisions.exhausted) == ([], ["a"])
    asking(dispatcher, "b", model="m", budget=Budget(seconds=6.1))
    (turn,) = dispatcher.decide(0.0).turns
    assert (turn.steps, turn.seconds, turn.step) == (1, 6.1, 6.0)


def test_a_budget_may_change_while_the_job_waits() -> None:
    dispatcher = Dispatcher({"cpu": 1})
    asking(dispatcher, "busy")
    begun(dispatcher)
    asking(dispatcher, "a", deadline=50.0)
    asking(dispatcher, "b", deadline=40.0)
    dispatcher.renew("a", Budget(deadline=30.0), 1.0)
    assert [job.identifier for job in dispatcher.queue] == ["a", "b"] and dispatcher.next_time() == 30.0
    dispatcher.renew("a", Budget(), 2.0)  # it is due at 50 still, whatever its budget
    assert [job.identifier for job in dispatcher.queue] == ["b", "a"]
    assert dispatcher.decide(30.0).exhausted == []


# What makes no sense


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda found: Dispatcher({"cpu": 0}), "lane 'cpu': expected a whole number of at least 1, got 0"),
        (lambda found: Dispatcher({"cpu": 1}, cores=0), "cores: expected a whole number of at least 1, got 0"),
        (lambda found: Dispatcher({"cpu": 1}, limits={"x": 0}), "limit of tag 'x': expected a whole number of at least 1, got 0"),
        (lambda found: Dispatcher({"cpu": 1}, weights={"x": 0.0}), "weight of share 'x': expected a number above 0"),
        (lambda found: found.submit("a", 0.0), "dispatcher: expected a Job, got 'a'"),
        (lambda found: found.submit(Job(identifier="a"), 0.0), "'a': expected an identifier that is not in use"),
        (lambda found: found.submit(Job(identifier="b", lanes=("gpu",)), 0.0), "'b': lanes: expected one of 'cpu', got 'gpu'"),
        (
            lambda found: found.submit(Job(identifier="b", after=frozenset("z")), 0.0),
            "'b': after: expected jobs that were submitted, got 'z'",
        ),
        (lambda found: found.ask("a", 0.0), "'a': expected one that rests, got one that is at work"),
        (lambda found: found.finish("a", True, 0.0), "'a': expected one without a turn, got one at work on lane 'cpu'"),
    ],
)
def test_what_makes_no_sense_changes_nothing(make: Callable[[Dispatcher], Any], message: str) -> None:
    dispatcher = Dispatcher({"cpu": 1})
    asking(dispatcher, "a")
    begun(dispatcher)
    with pytest.raises(ValueError, match=message):
        make(dispatcher)
    assert [entry.job.identifier for entry in dispatcher] == ["a"]
    dispatcher.end_turn("a", 1.0, 1, 1.0)
    dispatcher.ask("a", 1.0)
    assert begun(dispatcher, 1.0) == ["a"]
