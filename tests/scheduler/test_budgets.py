"""Budgets, kept to on a clock of the test's own: work takes as long as the test says."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass, field

import anyio
import pytest

from tailor.scheduler import Budget, BudgetExhausted, Costs, EnergyClass, Job, Scheduler, Surroundings, Ticket
from tailor.scheduler.testing import FakeSensors, InlineLane
from tests.scheduler.timed import virtual

pytestmark = pytest.mark.anyio


def scheduler(costs: Costs | None = None, sensors: FakeSensors | None = None) -> Scheduler:
    return Scheduler({"cpu": InlineLane()}, cores=1, costs=costs, sensors=sensors)


def known(seconds: float = 1.0) -> Costs:
    """Steps of the model ``m`` have always taken so long."""
    costs = Costs()
    for _ in range(40):
        costs.learn("m", "cpu", seconds, 1)
    return costs


def job(budget: Budget) -> Job:
    return Job(identifier="a", budget=budget, model="m")


@dataclass
class Work:
    """Takes its turns, ``stretch`` steps in each at most, until no step more fits: when each turn ended, and with how many steps."""

    ticket: Ticket[None]
    seconds: float = 1.0
    stretch: float = 3
    turns: list[tuple[float, int]] = field(default_factory=list)

    async def __call__(self) -> int:
        before = self.steps
        while True:
            try:
                async with self.ticket.turn() as turn:
                    steps = int(min(turn.steps, self.stretch))
                    await anyio.sleep(steps * self.seconds)
                    turn.used(steps * self.seconds, steps)
            except BudgetExhausted:
                return self.steps - before
            self.turns.append((anyio.current_time(), steps))

    @property
    def steps(self) -> int:
        return sum(steps for _, steps in self.turns)


@virtual()
@pytest.mark.parametrize("kind", ["deadline", "seconds"])
@pytest.mark.parametrize(
    ("length", "reserve", "steps"), [(0.9, 0, 0), (1.1, 0, 1), (7.9, 0, 7), (7.9, 2.5, 5), (7.9, 7, 0), (100.1, 1, 99)]
)
async def test_no_step_is_begun_that_cannot_end_in_time(kind: str, length: float, reserve: float, steps: int) -> None:
    async with scheduler(known()) as running:
        begin = anyio.current_time()
        budget = Budget(deadline=begin + length) if kind == "deadline" else Budget(seconds=length)
        work = Work(running.submit(job(budget)))
        work.ticket.reserve = reserve
        assert await work() == steps
        assert anyio.current_time() - begin == pytest.approx(steps)
        work.ticket.finish()


@virtual()
async def test_of_what_nobody_knows_one_step_is_taken_first() -> None:
    async with scheduler() as running:
        work = Work(running.submit(job(Budget(deadline=anyio.current_time() + 100))))
        await work()
        assert work.turns[0][1] == 1
        work.ticket.finish()


@virtual()
async def test_a_budget_is_never_restarted_but_another_one_may_be_given() -> None:
    async with scheduler(known()) as running:
        work = Work(running.submit(job(Budget(seconds=5.5))))
        async with work.ticket.turn() as turn:
            await anyio.sleep(2)
            turn.used(2, 2)
        await anyio.sleep(1000)  # waiting is not working
        assert await work() == 3
        assert await work() == 0
        work.ticket.renew(Budget(seconds=2.5))
        assert await work() == 2
        begin = anyio.current_time()
        work.ticket.renew(Budget(deadline=begin + 10.5))
        await anyio.sleep(6)  # but deadlines come nearer
        assert await work() == 4
        assert await work() == 0
        work.ticket.renew(Budget(deadline=anyio.current_time() + 10.5, steps=2))
        assert await work() == 2
        work.ticket.finish()


@virtual()
@pytest.mark.parametrize("costs", [None, known()], ids=["unknown", "known"])
async def test_steps_are_counted_exactly(costs: Costs | None) -> None:
    async with scheduler(costs) as running:
        work = Work(running.submit(job(Budget(steps=7))))
        assert await work() == 7
        work.ticket.renew(Budget(steps=3))
        assert await work() == 3
        work.ticket.finish()


@virtual()
@pytest.mark.parametrize("late", [0.0, 5.0])
async def test_of_a_deadline_already_past_nothing_is_begun(late: float) -> None:
    async with scheduler() as running:
        begin = anyio.current_time()
        work = Work(running.submit(job(Budget(deadline=begin - late))))
        assert await work() == 0
        with pytest.raises(BudgetExhausted, match="'b': budget: expected room for one step, got 0 s"):
            await running.submit(Job(identifier="b", budget=Budget(deadline=begin - late)), lambda: None)
        assert anyio.current_time() == begin
        work.ticket.finish()


@virtual()
async def test_no_energy_waits_for_external_power() -> None:
    sensors = FakeSensors()
    sensors.set(external_power=False, battery=0.9)
    async with scheduler(sensors=sensors) as running, anyio.create_task_group() as group:
        begin = anyio.current_time()
        work = Work(running.submit(job(Budget(steps=2, energy=EnergyClass.NONE))))
        group.start_soon(work)
        await anyio.sleep(3600)
        assert work.turns == []
        sensors.set(external_power=True)
        await anyio.sleep(60)  # the machine is looked at every half minute
        assert work.steps == 2 and 3600 < work.turns[0][0] - begin <= 3640
        work.ticket.finish()


@virtual()
async def test_low_energy_works_a_tenth_of_the_time_on_battery() -> None:
    sensors = FakeSensors()
    sensors.set(external_power=False, battery=0.9)
    async with scheduler(sensors=sensors) as running:
        begin = anyio.current_time()
        work = Work(running.submit(job(Budget(steps=5, energy=EnergyClass.LOW))), stretch=1)
        assert await work() == 5
        assert [round(ended - begin) for ended, _ in work.turns] == [1, 11, 21, 31, 41]  # nine seconds of rest after each
        running.set_surroundings(Surroundings(external_power=True))
        await anyio.sleep(9)
        work.ticket.renew(Budget(steps=5, energy=EnergyClass.LOW))
        begin = anyio.current_time()
        assert await work() == 5
        assert anyio.current_time() - begin == pytest.approx(5)
        work.ticket.finish()


@virtual()
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.4])
async def test_budgets_are_kept_to_and_used(noise: float) -> None:
    """As an update has them: stretches of 50 ms, steps of 4 ms that differ, whole stretches too, and a checkpoint at the end."""
    draw = random.Random(7)

    def varied(seconds: float) -> float:
        return seconds * draw.lognormvariate(-noise * noise / 2, noise)

    uses, overs = [], []
    async with scheduler() as running:
        ticket = running.submit(job(Budget()))
        for number in range(200):
            length = 0.05 * 40 ** (number * 7919 % 200 / 199)  # from 50 ms to 2 s
            begin = anyio.current_time()
            ticket.renew(Budget(deadline=begin + length))
            while True:
                cost = ticket.checkpoint_cost
                ticket.reserve = 0.0 if cost is None else cost.at_most(1)
                step = 0.004 * (1 + noise * draw.uniform(-0.5, 0.5))
                try:
                    async with ticket.turn() as turn:
                        spent, steps = 0.0, 0
                        while steps < turn.steps and spent < 0.05 and (not steps or spent + turn.step <= turn.seconds):
                            took = varied(step)
                            await anyio.sleep(took)
                            spent, steps = spent + took, steps + 1
                        turn.used(spent, steps)
                except BudgetExhausted:
                    break
            saving = varied(0.003)
            await anyio.sleep(saving)
            ticket.checkpointed(saving)
            used = anyio.current_time() - begin
            uses.append(min(1.0, used / length))
            overs.append(used - length)
        ticket.finish()
    assert statistics.mean(uses) >= 0.85
    assert max(overs) <= 0.004 + 0.010  # one step, and 10 ms
    assert min(uses) > 0.2 and not math.isclose(min(overs), max(overs))
