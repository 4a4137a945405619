"""The dispatcher against a model that looks at everything each time, over random lives of jobs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tailor.scheduler import Budget, Conditions, Dispatcher, EnergyClass, Job, Priority, Standing, Surroundings
from tests.scheduler.dispatching import NEVER, Known, Model, needs_cores

PLUGGED = Surroundings(external_power=True)
POWER = Conditions(external_power=True)
LANES = {"cpu": 2, "process": 1, "gpu0": 1}
LIMITS = {"t": 1, "u": 2}
WEIGHTS = {"ann": 2.0}
CORES = 2
kinds = st.fixed_dictionaries(
    {
        "priority": st.sampled_from([Priority.BACKGROUND, Priority.UTILITY, Priority.USER_INTERACTIVE]),
        "share": st.sampled_from(["", "ann"]),
        "deadline": st.sampled_from([math.inf, math.inf, 5.0, 9.0]),
        "tags": st.sampled_from([frozenset(), frozenset(), frozenset("t"), frozenset("tu")]),
        "lanes": st.sampled_from([("cpu",), ("cpu",), ("gpu0", "cpu"), ("process", "cpu"), ("gpu0",)]),
        "not_before": st.sampled_from([NEVER, NEVER, NEVER, 2.0]),
        "conditions": st.sampled_from([Conditions(), Conditions(), POWER]),
        "budget": st.sampled_from([Budget(), Budget(), Budget(steps=2), Budget(deadline=6.0), Budget(energy=EnergyClass.NONE)]),
    }
)
some_jobs = st.lists(
    st.tuples(kinds, st.sets(st.integers(0, 9), max_size=1), st.booleans(), st.sampled_from([True, True, False])), min_size=2, max_size=6
)


class Decisions(RuleBasedStateMachine):
    """Jobs come, ask, work and end while time goes by; after each step the dispatcher and the model decide alike."""

    @initialize(jobs=some_jobs)
    def start(self, jobs: list[tuple[dict[str, Any], set[int], bool, bool]]) -> None:
        self.dispatcher = Dispatcher(LANES, cores=CORES, limits=LIMITS, weights=WEIGHTS, around=PLUGGED)
        self.model = Model(dict(LANES), CORES, LIMITS, WEIGHTS)
        self.now, self.count = 0.0, 0
        self.exhausted: list[str] = []
        self.submit(jobs)

    def pick(self, number: int, among: Callable[[Known], bool]) -> Known | None:
        found = [known for known in self.model.jobs.values() if among(known)]
        return found[number % len(found)] if found else None

    @rule(jobs=some_jobs)
    def submit(self, jobs: list[tuple[dict[str, Any], set[int], bool, bool]]) -> None:
        for fields, after, narrow, asks in jobs:
            others = [known for number in after if (known := self.pick(number, lambda known: True)) is not None]
            self.count += 1
            budget = fields["budget"]
            times = {"deadline": self.now + fields["deadline"], "not_before": self.now + fields["not_before"]}
            if math.isfinite(budget.deadline):
                times["budget"] = Budget(deadline=self.now + budget.deadline)
            names = frozenset(other.job.identifier for other in others)
            job = Job(identifier=f"job {self.count:03}", after=names, **(fields | times))
            self.dispatcher.submit(job, self.now, narrow=narrow)
            self.model.jobs[job.identifier] = Known(job, self.count, narrow)
            if asks:
                self.ask(0, job.identifier)

    @rule(number=st.integers(0, 9), name=st.none())
    def ask(self, number: int, name: str | None) -> None:
        known = self.model.jobs[name] if name else self.pick(number, lambda known: not known.asks and known.lane is None)
        if known is not None:
            known.asks = True
            self.dispatcher.ask(known.job.identifier, self.now)
            self.exhausted += self.model.looks(self.now)

    @rule(number=st.integers(0, 9))
    def rest(self, number: int) -> None:
        if (known := self.pick(number, lambda known: known.asks)) is not None:
            known.asks = known.queued = False
            self.dispatcher.rest(known.job.identifier, self.now)

    @rule(number=st.integers(0, 9), seconds=st.sampled_from([0.0, 0.5, 2.0]), again=st.booleans())
    def end_turn(self, number: int, seconds: float, again: bool) -> None:
        if (known := self.pick(number, lambda known: known.lane is not None)) is not None:
            name = known.job.identifier
            # what a step takes is learned of none: where nothing is known, the first lane with room is taken
            self.dispatcher.costs.learn = lambda *_: None  # type: ignore[method-assign]
            self.dispatcher.end_turn(name, seconds, 1, self.now)
            self.model.ends(name, seconds, 1)
            if again:
                self.ask(0, name)

    @rule(number=st.integers(0, 9), ok=st.sampled_from([True, True, False]))
    def finish(self, number: int, ok: bool) -> None:
        if (known := self.pick(number, lambda known: known.lane is None)) is not None:
            ending = [known.job.identifier]
            while ending:
                name = ending.pop()
                if name in self.model.jobs:
                    failed = self.dispatcher.finish(name, ok, self.now)
                    assert failed == self.model.finishes(name, ok)
                    ending += failed
            self.exhausted += self.model.looks(self.now)

    @rule(number=st.integers(0, 9), budget=st.sampled_from([Budget(), Budget(steps=1), Budget(energy=EnergyClass.NONE)]))
    def renew(self, number: int, budget: Budget) -> None:
        if (known := self.pick(number, lambda known: True)) is not None:
            entry = self.dispatcher.entry(known.job.identifier)
            assert entry is not None
            asked, known.queued = known.asks, False
            self.dispatcher.renew(known.job.identifier, budget, self.now)
            known.job, known.steps = entry.job, 0
            if asked:
                self.exhausted += self.model.looks(self.now)

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait_for_what_comes(self) -> None:
        if math.isfinite(self.dispatcher.next_time()):
            self.now = max(self.now, self.dispatcher.next_time())

    @rule(power=st.sampled_from([True, False, None]))
    def surroundings(self, power: bool | None) -> None:
        self.model.power = power
        self.dispatcher.surroundings(Surroundings(external_power=power))

    @rule(lane=st.sampled_from(list(LANES)), most=st.integers(1, 3))
    def set_capacity(self, lane: str, most: int) -> None:
        self.model.capacity[lane] = most
        self.dispatcher.set_capacity(lane, most)

    @precondition(lambda self: hasattr(self, "dispatcher"))
    @invariant()
    def decide(self) -> None:
        exhausted = self.exhausted + self.model.looks(self.now)
        self.exhausted = []
        model, found = self.model, self.dispatcher.decide(self.now)
        assert sorted(found.exhausted) == sorted(exhausted) and found.stranded == []
        assert [(turn.identifier, turn.lane, turn.threads) for turn in found.turns] == model.begins()
        asked_back = [model.jobs[turn.identifier] for turn in found.yields if turn.identifier in self.dispatcher.turns]
        assert all(map(model.may_be_asked_back, asked_back))
        in_the_way = model.must_ask_back()
        assert not in_the_way or any(self.dispatcher.turns[known.job.identifier].yields for known in in_the_way)
        self.agrees()

    def agrees(self) -> None:
        assert {entry.job.identifier for entry in self.dispatcher} == self.model.jobs.keys()  # none is lost
        for entry in self.dispatcher:
            known = self.model.jobs[entry.job.identifier]
            assert (entry.turn is not None) == (known.lane is not None) == (entry.standing is Standing.AT_WORK)
            assert (entry.standing is Standing.WAITING) == known.queued
        turns = self.dispatcher.turns.values()
        assert sum(turn.threads for turn in turns if needs_cores(turn.lane)) + self.dispatcher.free_cores == CORES
        assert self.dispatcher.free_cores >= 0
        for tag, most in LIMITS.items():
            assert sum(tag in self.model.jobs[turn.identifier].job.tags for turn in turns) <= most


TestDecisions = Decisions.TestCase
TestDecisions.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
