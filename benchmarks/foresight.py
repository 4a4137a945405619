"""What it takes to ask a scheduler: why, when, how much so far, and what if.

With many jobs waiting for two workers: ``why`` of the last of them, ``statistics``, ``forecast`` of the last of them (all the others are
played before it). Then a week of jobs, many of them kept by the power, the load or the hour, played by ``simulate``; and what an
event costs that nobody hears, and one that goes to a stream. Times are of this process's processor; the least of some turns.
Prints a Markdown table.

    python benchmarks/foresight.py [--waiting 10000] [--jobs 5000] [--turns 3]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from datetime import datetime
from datetime import time as clock

from tailor.scheduler import Conditions, Dispatcher, Job, JobStarted, Observers, Priority, QuietHours, Trace, Work, daily, simulate
from tailor.scheduler.outlook.forecast import forecast
from tailor.scheduler.outlook.statistics import statistics
from tailor.scheduler.outlook.why import why

MONDAY = datetime(2026, 11, 16, 8)
PATTERN = {
    clock(7): {"external_power": False, "processor_use": 0.6},
    clock(12): {"processor_use": 0.2},
    clock(13): {"processor_use": 0.7},
    clock(22): {"external_power": True, "processor_use": 0.1},
}
CONDITIONS = [
    Conditions(),
    Conditions(),
    Conditions(external_power=True),
    Conditions(most_processor_use=0.5),
    Conditions(quiet_hours=(QuietHours(clock(7), clock(20)),)),
]


def crowded(jobs: int) -> Dispatcher:
    """Two workers, and so many jobs of eight shares that want them."""
    found, draw = Dispatcher({"cpu": 2}, cores=2), random.Random(1)
    for _ in range(100):
        found.costs.learn("m", "cpu", 1.0, 1)
    for number in range(jobs):
        job = Job(identifier=str(number), model="m", share=draw.choice("abcdefgh"), priority=Priority(draw.randrange(4)))
        found.submit(job, 0.0).steps_left = draw.randrange(1, 50)
        found.ask(job.identifier, 0.0)
    found.decide(0.0)
    return found


def week(jobs: int) -> Trace:
    """A week on three lanes."""
    draw = random.Random(1)
    works = []
    for number in range(jobs):
        job = Job(
            identifier=str(number),
            priority=Priority(draw.randrange(4)),
            share=draw.choice("abcdefgh"),
            conditions=draw.choice(CONDITIONS),
            tags=draw.choice([frozenset(), frozenset({"t"})]),
            lanes=draw.choice([("cpu",), ("gpu0", "cpu"), ("process",)]),
            model=draw.choice("mno"),
        )
        seconds = {"cpu": 1.0, "gpu0": 0.3, "process": 0.9}
        works.append(Work(job=job, at=draw.uniform(0, 5 * 86400), steps=draw.randrange(1, 200), seconds=seconds))
    around = daily(PATTERN, begins=MONDAY, days=7)
    return Trace(works=works, around=around, begins=MONDAY, lanes={"cpu": 2, "gpu0": 1, "process": 2}, cores=2, limits={"t": 1})


def least(turns: int, work: Callable[[], object]) -> float:
    """Seconds of the shortest turn."""
    found = []
    for _ in range(turns):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def events(many: int, observers: Observers) -> None:
    for _ in range(many):
        if observers.heard:
            observers.emit(JobStarted(1.0, "a", "cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    dispatcher, trace = crowded(options.waiting), week(options.jobs)
    last = list(dispatcher.queue)[-1].identifier
    deaf, hearing, many = Observers(), Observers(), 10_000
    stream = hearing.stream()
    hearing.add(stream._put)
    rows = [
        (f"why, {options.waiting:,} jobs", least(options.turns, lambda: why(dispatcher, last, 1.0)) * 1e3, "ms"),
        (f"statistics, {options.waiting:,} jobs", least(options.turns, lambda: statistics(dispatcher, 1.0)) * 1e3, "ms"),
        (f"forecast, {options.waiting:,} jobs before it", least(1, lambda: forecast(dispatcher, last, 1.0)), "s"),
        (f"simulate, a week of {options.jobs:,} jobs", least(options.turns, lambda: simulate(trace)), "s"),
        ("an event that nobody hears", least(options.turns, lambda: events(many, deaf)) / many * 1e6, "us"),
        ("an event for a stream", least(options.turns, lambda: events(many, hearing)) / many * 1e6, "us"),
    ]
    print("| what | time |\n|---|---:|")
    for name, took, unit in rows:
        print(f"| {name} | {took:.3g} {unit} |")


if __name__ == "__main__":
    main()
