"""What the scheduler itself costs: a turn, a job that waits, a decision, a cancellation; and what two lanes gain on two cores.

* A task of no work, from submission to its end on a thread lane, against ``anyio.to_thread.run_sync`` called directly under the same
  limiter, in short batches that take turns: ratio of medians, and of the fastest batches, which other programs disturb least.
* Memory of a job that waits (tracemalloc), and what it takes to submit and to drain so many.
* A decision, with many jobs that wait: a turn ends, and the next is decided on. The first, which looks at all kinds of jobs, is apart.
* Many jobs that wait, cancelled at once.
* Two updates of one thread each, on two lanes and one after the other, in turns; and one after the other with all cores for each.
  Beside them what two processes gain that do the same, in which nothing is shared: the rest is the machine's.

Prints Markdown tables.

    python benchmarks/scheduler.py [--rounds 300] [--waiting 100000] [--decisions 10000] [--examples 4096] [--runs 5] [--processes 3]
"""

from __future__ import annotations

import argparse
import gc
import math
import multiprocessing
import statistics
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from anyio import to_thread
from budgets import LABELS, PIXELS, model

from tailor import Conditions, MLArrayBatchProvider, MLModel, MLModelConfiguration, MLUpdateTask, Priority, Runtime
from tailor import MLParameterKey as Key
from tailor.scheduler import Dispatcher, Job, JobCancelled, Scheduler, Surroundings, ThreadLane

BATCH = 15
MODELS = Path(__file__).parents[2] / "shared" / "models"
CONVOLUTIONS = "MNIST_Model"
GOALS = {"turn": 1.5, "memory": 1024, "decision": 1e-3, "lanes": 0.65}


def nothing() -> None:
    """No work."""


async def turns(rounds: int) -> list[tuple[str, list[float]]]:
    """Seconds of one piece of no work, by way: directly, run, submitted and awaited."""
    limiter = anyio.CapacityLimiter(1)
    async with Scheduler({"cpu": ThreadLane()}) as scheduler:
        number = 0

        async def directly() -> None:
            await to_thread.run_sync(nothing, limiter=limiter)

        async def run() -> None:
            await scheduler.run(nothing)

        async def submitted() -> None:
            nonlocal number
            number += 1
            await scheduler.submit(Job(identifier=str(number)), nothing)

        ways: dict[str, Callable[[], Awaitable[None]]] = {"directly": directly, "run": run, "submit": submitted}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, way in ways.items():
                begin = time.perf_counter()
                for _ in range(BATCH):
                    await way()
                seconds[name].append((time.perf_counter() - begin) / BATCH)
    return [(name, found[1:]) for name, found in seconds.items()]


def print_turns(rounds: int) -> None:
    """The table of turns."""
    print("| a task of no work | median us | fastest us | ratio of medians | of the fastest | goal |\n|---|---:|---:|---:|---:|---:|")
    for backend in ("asyncio", "trio"):
        (_, directly), *others = anyio.run(turns, rounds, backend=backend)
        base = statistics.median(directly), min(directly)
        print(f"| {backend}, directly | {base[0] * 1e6:.0f} | {base[1] * 1e6:.0f} | 1 | 1 | |")
        for name, seconds in others:
            found = statistics.median(seconds), min(seconds)
            ratios = " | ".join(f"{mine / theirs:.2f}" for mine, theirs in zip(found, base, strict=True))
            print(f"| {backend}, {name} | {found[0] * 1e6:.0f} | {found[1] * 1e6:.0f} | {ratios} | {GOALS['turn']} |")


async def waiting(count: int, traced: bool) -> tuple[float, float, float]:
    """Bytes of a job that waits, where traced, and seconds to submit and to drain it."""
    gate = threading.Event()
    async with Scheduler({"cpu": ThreadLane()}) as scheduler:
        scheduler.submit(Job(identifier="first"), gate.wait)
        names = [f"job {number}" for number in range(count)]
        gc.collect()
        if traced:
            tracemalloc.start()
        begin = time.perf_counter()
        for name in names:
            scheduler.submit(Job(identifier=name), nothing)
        submitted = time.perf_counter() - begin
        gc.collect()
        size = tracemalloc.get_traced_memory()[0] if traced else 0
        tracemalloc.stop()
        for name in names if traced else ():
            scheduler.cancel(name)
        begin = time.perf_counter()
        gate.set()
    return size / count, submitted / count, (time.perf_counter() - begin) / count


async def cancelled(count: int) -> float:
    """Seconds to cancel so many jobs that wait and are waited for, to the end of the last."""
    gate = threading.Event()
    async with Scheduler({"cpu": ThreadLane()}) as scheduler, anyio.create_task_group() as group:
        scheduler.submit(Job(identifier="first"), gate.wait)
        tickets = [scheduler.submit(Job(identifier=f"job {number}"), nothing) for number in range(count)]
        heard = 0

        async def wait(number: int) -> None:
            nonlocal heard
            try:
                await tickets[number]
            except JobCancelled:
                heard += 1

        for number in range(count):
            group.start_soon(wait, number)
        await anyio.wait_all_tasks_blocked()
        begin = time.perf_counter()
        for ticket in tickets:
            ticket.cancel()
        while heard < count:
            await anyio.lowlevel.checkpoint()
        seconds = time.perf_counter() - begin
        assert scheduler.waiting == 0 and not len(scheduler.dispatcher.queue), "nothing is left"
        gate.set()
    return seconds


def print_waiting(count: int, storm: int) -> None:
    """The table of jobs that wait."""
    print("\n| jobs that wait | bytes each | submit us each | drain us each | goal |\n|---:|---:|---:|---:|---:|")
    for size in (count // 10, count):
        _, submit, drain = anyio.run(waiting, size, False)
        each, _, _ = anyio.run(waiting, size, True)
        print(f"| {size:,} | {each:.0f} | {submit * 1e6:.1f} | {drain * 1e6:.1f} | {GOALS['memory']} bytes |")
    print(f"\n{storm:,} jobs that wait and are waited for, cancelled at once: {anyio.run(cancelled, storm):.2f} s, and nothing is left.")


def cases(count: int) -> Iterator[tuple[str, Dispatcher, list[Job], bool]]:
    """So many jobs that wait, in ways that decisions may find hard; whether conditions change between decisions."""
    one, three = {"cpu": 1}, {"cpu": 1, "process": 1, "gpu0": 1}
    lanes = ("cpu",), ("process",), ("gpu0", "cpu")
    power = Conditions(external_power=True)

    def jobs(**fields: Callable[[int], Any]) -> list[Job]:
        return [Job(identifier=str(n), **{name: make(n) for name, make in fields.items()}) for n in range(count)]

    yield "alike", Dispatcher(one), jobs(), False
    mixed = jobs(priority=lambda n: Priority(n % 4), deadline=lambda n: 1e6 + n * 7919 % count)
    yield "deadlines and priorities", Dispatcher(one), mixed, False
    yield "a share each", Dispatcher(one), jobs(share=str), False
    yield "a share each, three kinds of lanes", Dispatcher(three, cores=3), jobs(share=str, lanes=lambda n: lanes[n % 3]), False
    yield "all on a full lane but a few", Dispatcher(three, cores=3), jobs(share=str, lanes=lambda n: lanes[0 if n % 100 else 1]), False
    yield "a tag in ten limited", Dispatcher(three, limits={"t0": 1}), jobs(share=str, tags=lambda n: frozenset({f"t{n % 10}"})), False
    limits = {f"t{n}": 1 for n in range(100)}
    yield "a hundred tags, all limited", Dispatcher(three, limits=limits), jobs(tags=lambda n: frozenset({f"t{n % 100}"})), False
    yield "conditions that change", Dispatcher(three), jobs(share=str, conditions=lambda n: power if n % 2 else Conditions()), True
    yield "a hundred conditions that change", Dispatcher(three), jobs(conditions=lambda n: Conditions(least_battery=n % 100 / 100)), True
    yield "a model each, two lanes", Dispatcher(three), jobs(model=str, lanes=lambda n: lanes[2]), False


def decisions(dispatcher: Dispatcher, jobs: list[Job], changes: bool, most: int) -> tuple[float, list[float]]:
    """Seconds of the first decision, and of those after turns that end."""
    for job in jobs:
        dispatcher.submit(job, 0.0)
        dispatcher.ask(job.identifier, 0.0)
    begin = time.perf_counter()
    dispatcher.decide(0.0)
    first = time.perf_counter() - begin
    seconds: list[float] = []
    now = 1.0
    while len(seconds) < most and dispatcher.turns:
        turn = next(iter(dispatcher.turns.values()))
        now += 1.0
        begin = time.perf_counter()
        dispatcher.end_turn(turn.identifier, 1.0, 0, now)
        dispatcher.finish(turn.identifier, True, now)
        if changes:
            dispatcher.surroundings(Surroundings(external_power=len(seconds) % 4 < 2, battery=0.5 + 0.4 * math.sin(now)))
        dispatcher.decide(now)
        seconds.append(time.perf_counter() - begin)
    return first, seconds


def print_decisions(count: int) -> None:
    """The table of decisions."""
    print(f"\n| {count:,} jobs that wait | median us | 99 % us | the first, us | goal |\n|---|---:|---:|---:|---:|")
    for name, dispatcher, jobs, changes in cases(count):
        gc.collect()
        first, seconds = decisions(dispatcher, jobs, changes, min(count // 2, 2000))
        found = statistics.median(seconds), sorted(seconds)[int(len(seconds) * 0.99)], first, GOALS["decision"]
        print(f"| {name} | {' | '.join(f'{cell * 1e6:.0f}' for cell in found)} |")


def update(name: str, examples: int, threads: int | None, runtime: Runtime | None) -> MLUpdateTask:
    """One epoch: of convolutions, mini-batches of 128 that take some 60 ms, or of dense layers, of 32 that take some 4 ms."""
    rng = np.random.default_rng(1)
    shape = (1, 28, 28) if name == CONVOLUTIONS else (PIXELS,)
    network = MLModel(MODELS / "MNIST_Model.mlmodel") if name == CONVOLUTIONS else model(1024)
    data = {"image": rng.random((examples, *shape), np.float32), "output_true": rng.integers(0, LABELS, (examples, 1)).astype(np.int32)}
    configuration = MLModelConfiguration(parameters={Key.SEED: 1, Key.EPOCHS: 1}, threads=threads)
    return MLUpdateTask(network, MLArrayBatchProvider(data), configuration, runtime=runtime)


async def updated(name: str, examples: int, workers: int, threads: int, times: int = 2) -> float:
    """Seconds of so many updates on so many lanes."""
    async with Runtime(workers=workers) as runtime:
        tasks = [update(name, examples, threads, runtime) for _ in range(times)]
        begin = time.perf_counter()
        for task in tasks:
            task.resume()
        for task in tasks:
            await task
        return time.perf_counter() - begin


def alone(name: str, examples: int, begin: Any, ends: Any) -> None:
    """One update in a process of its own, begun when the other one is ready."""
    anyio.run(updated, name, 256, 1, 1, 1)
    begin.wait()
    ends.put(anyio.run(updated, name, examples, 1, 1, 1))


def side_by_side(name: str, examples: int) -> float:
    """Seconds of two updates in two processes, which share nothing but the machine."""
    context = multiprocessing.get_context("spawn")
    barrier, ends = context.Barrier(2), context.Queue()
    processes = [context.Process(target=alone, args=(name, examples, barrier, ends)) for _ in range(2)]
    for process in processes:
        process.start()
    seconds = max(ends.get() for _ in processes)
    for process in processes:
        process.join()
    return seconds


def print_updates(network: str, examples: int, runs: int, in_processes: int) -> None:
    """The table of two updates of one network."""
    cores = Scheduler().dispatcher.cores
    ways = {
        "one after the other, 1 thread": (1, 1),
        "two lanes, 1 thread each": (2, 1),
        "one after the other, all cores": (1, cores),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(runs + 1):
        for name, (workers, threads) in ways.items():
            took = anyio.run(updated, network, examples, workers, threads)
            if number:
                seconds[name].append(took)
    base = next(iter(seconds.values()))
    if in_processes:
        seconds["two processes, 1 thread each"] = [side_by_side(network, examples) for _ in range(in_processes)]
    print(f"\n| two updates, {network}, {cores} cores | median s | fastest s | ratio of medians | of the fastest | goal |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, found in seconds.items():
        ratios = f"{statistics.median(found) / statistics.median(base):.2f} | {min(found) / min(base):.2f}"
        goal = GOALS["lanes"] if name.startswith("two lanes") else ""
        print(f"| {name} | {statistics.median(found):.2f} | {min(found):.2f} | {ratios} | {goal} |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--rounds", type=int, default=300, help=f"batches of {BATCH} turns of each kind")
    arguments.add_argument("--waiting", type=int, default=100_000, help="jobs that wait")
    arguments.add_argument("--decisions", type=int, default=10_000, help="jobs that wait when it is decided, or cancelled")
    arguments.add_argument("--examples", type=int, default=4096, help="of each of the two updates")
    arguments.add_argument("--runs", type=int, default=5, help="of the two updates in each way")
    arguments.add_argument("--processes", type=int, default=3, help="runs in two processes")
    chosen = arguments.parse_args()
    if chosen.rounds:
        print_turns(chosen.rounds)
    if chosen.waiting:
        print_waiting(chosen.waiting, chosen.decisions)
    if chosen.decisions:
        print_decisions(chosen.decisions)
    if chosen.runs:
        if (MODELS / "MNIST_Model.mlmodel").exists():
            print_updates(CONVOLUTIONS, chosen.examples // 2, chosen.runs, chosen.processes)
        print_updates("dense layers", chosen.examples, chosen.runs, chosen.processes)


if __name__ == "__main__":
    main()
