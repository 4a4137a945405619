"""Networks here, in ONNX Runtime and in PyTorch eager: the same weights, two threads each, in turns; medians and ratios.

    python benchmarks/networks.py [--networks SqueezeNet,LSTM] [--batches 1,16] [--seconds 8] [--threads 2]

The networks are made here with random weights and reach tailor through coremltools' converter (the LSTM through its
builder), ONNX Runtime through PyTorch's exporter. Answers are compared first. A turn is as many runs as fit into a tenth of a
second; whoever is next waits until the threads of the one before have gone to sleep, for some spin. With ``--threads 1`` processor
time is measured instead of the clock on the wall, which does not count waiting for a core: for machines that others use. Prints
a Markdown table; a ratio below 1 means that tailor is faster than the better of the two. Needs the extra ``peers``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from contest.engines import Run, built_lstm, converted, eager, exported, onnx_lstm
from contest.images import mobilenet, resnet50, squeezenet
from contest.sequences import INPUT, STEPS, TOKENS, WIDTH, lstm, transformer
from torch import nn

from tailor.kernels import Array, warm_up

IMAGE = (3, 224, 224)
PAUSE, TURN = 0.06, 0.1
"""Seconds before each turn: a thread of ONNX Runtime spins for 48 ms after a run (processor time says), one of PyTorch for 9.
Seconds of a turn, at least: kernels of virtual machines put the threads of whoever has rested on one processor for some runs.
"""
NAMES = ("tailor", "ONNX Runtime", "PyTorch")


@dataclass(frozen=True)
class Contest:
    """A network, the shape of one example, and the ratio to reach, by batch (0: any)."""

    net: Callable[[], nn.Module]
    shape: tuple[int, ...]
    goals: dict[int, float] = field(default_factory=dict)


CONTESTS = {
    "SqueezeNet": Contest(squeezenet, IMAGE, {1: 1.2}),
    "MobileNetV2": Contest(mobilenet, IMAGE, {1: 1.3}),
    "ResNet-50": Contest(resnet50, IMAGE, {1: 1.2}),
    "Transformer": Contest(transformer, (TOKENS, WIDTH), {0: 1.2}),
    "LSTM": Contest(lstm, (STEPS, INPUT), {0: 1.2}),
}


def contestants(net: nn.Module, shape: tuple[int, ...], batch: int, threads: int) -> list[Run]:
    """Functions from ``[batch, *shape]`` (of an LSTM: ``[steps, batch, input]``) to answers, in the order of ``NAMES``."""
    if isinstance(net, nn.LSTM):
        return [built_lstm(net, batch, threads), onnx_lstm(net, batch, threads), eager(net)]
    return [converted(net, shape, threads), exported(net, shape, threads), eager(net)]


def example(net: nn.Module, shape: tuple[int, ...], batch: int) -> Array:
    x = np.random.default_rng(batch).standard_normal((batch, *shape), np.float32)
    return np.ascontiguousarray(x.swapaxes(0, 1)) if isinstance(net, nn.LSTM) else x


def check(name: str, runs: list[Run], x: Array) -> None:
    wanted = runs[-1](x).ravel()
    for engine, run in zip(NAMES, runs, strict=True):
        off = float(np.abs(run(x).ravel() - wanted).max() / np.abs(wanted).max())
        assert off < 1e-3, f"{name}: {engine} is off by {off:g}"


def measure(runs: list[Run], x: Array, seconds: float, fewest: int, clock: Callable[[], float]) -> list[list[float]]:
    """Milliseconds of each run, in turns of ``TURN`` or one run, for ``seconds`` and at least ``fewest`` runs."""
    times: list[list[float]] = [[] for _ in runs]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < fewest:
        for run, found in zip(runs, times, strict=True):
            time.sleep(PAUSE)
            over = time.perf_counter() + TURN
            while True:
                begin = clock()
                run(x)
                found.append((clock() - begin) * 1e3)
                if time.perf_counter() > over:
                    break
    return times


def row(name: str, batch: int, times: list[list[float]], goal: float | None) -> str:
    cells = [f"{statistics.median(found):.1f} ({min(found):.1f})" for found in times]
    ratios = [least(times[0]) / min(map(least, times[1:])) for least in (statistics.median, min)]
    cells += [f"{ratio:.2f}" for ratio in ratios] + ["" if goal is None else f"{goal:.1f}"]
    return f"| {name} | {batch} | {len(times[0])} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join(CONTESTS), help="which, by comma")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each line of the table")
    parser.add_argument("--runs", type=int, default=8, help="for each line of the table, at least")
    parser.add_argument("--threads", type=int, default=2, help="for each engine; with 1, processor time is measured")
    options = parser.parse_args()
    names = options.networks.split(",")
    if unknown := [name for name in names if name not in CONTESTS]:
        parser.error(f"--networks: expected some of {', '.join(CONTESTS)}, got {', '.join(unknown)}")
    clock, what = (time.process_time, "processor time") if options.threads == 1 else (time.perf_counter, "time")
    torch.set_num_threads(options.threads)
    warm_up()
    print(f"Threads: {options.threads} each. Milliseconds of {what}: median (minimum).\n")
    print("| network | batch | runs | " + " | ".join(NAMES) + " | tailor / best: medians | minima | goal |")
    print("|---|" + "---:|" * 8)
    for name in names:
        contest = CONTESTS[name]
        torch.manual_seed(0)
        net = contest.net().eval()
        runs: list[Run] = []
        for batch in map(int, options.batches.split(",")):
            if not runs or isinstance(net, nn.LSTM):  # the others take batches of any size
                runs = contestants(net, contest.shape, batch, options.threads)
            x = example(net, contest.shape, batch)
            check(name, runs, x)
            times = measure(runs, x, options.seconds, options.runs, clock)
            print(row(name, batch, times, contest.goals.get(batch, contest.goals.get(0))), flush=True)


if __name__ == "__main__":
    main()
