"""Concurrent predictions on one model: one by one, and in dynamic batches.

So many clients each ask for a prediction, wait for the answer, and ask for the next: ``model.prediction``, on anyio's own worker threads;
``Runtime().prediction``, on its one worker; and the same with ``batching``. They take turns, so that whatever else the machine does falls
on all of them. Every answer is compared with that of ``model.predict``: equal to the bit. Latency is what a client waits for one answer,
over all turns. The model is MNIST_classifier where it is there (``../shared/models``), else a network of its layers with made-up weights.
Prints a Markdown table.

    python benchmarks/batching.py [--clients 64] [--turns 9] [--seconds 1] [--most 32] [--wait 0] [--backend asyncio]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np

from tailor import MLBatching, MLModel, MLModelConfiguration, Runtime
from tailor.runtime.format import NeuralNetworkBuilder, image_feature, int64_feature

GOAL = 1.5
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "models"
Predict = Callable[[Any], Awaitable[Any]]


def network() -> Any:
    """The layers of MNIST_classifier."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return rng.normal(0, 0.05, shape).astype(np.float32)

    net = NeuralNetworkBuilder([image_feature("image", 28, 28)], [int64_feature("classLabel")], "classifier", list(range(10)))
    net.add_convolution("conv1", 1, 32, 3, 3, 1, 1, "valid", 1, weights(32, 1, 3, 3), weights(32), True, "image", "c1")
    net.add_activation("relu1", "RELU", "c1", "r1")
    net.add_convolution("conv2", 32, 32, 3, 3, 1, 1, "valid", 1, weights(32, 32, 3, 3), weights(32), True, "r1", "c2")
    net.add_activation("relu2", "RELU", "c2", "r2")
    net.add_pooling("pool", 2, 2, 2, 2, "MAX", "VALID", "r2", "p")
    net.add_flatten("flatten", 1, "p", "f")
    net.add_inner_product("dense1", weights(128, 4608), weights(128), 4608, 128, True, "f", "d1")
    net.add_activation("relu3", "RELU", "d1", "r3")
    net.add_inner_product("dense2", weights(10, 128), weights(10), 128, 10, True, "r3", "d2")
    net.add_softmax("softmax", "d2", "probabilities")
    return net.spec


async def load(predict: Predict, rows: list[Any], answers: list[Any], seconds: float) -> tuple[int, list[float]]:
    """Predictions made, and how long each took, where there is a client for each of ``rows`` for so long."""
    waits: list[float] = []
    end = time.perf_counter() + seconds

    async def client(row: Any, expected: Any) -> None:
        going = True
        while going:
            begin = time.perf_counter()
            answer = await predict(row)
            now = time.perf_counter()
            waits.append(now - begin)
            assert answer == expected, "an answer in a batch differs from the one by itself"
            going = now < end

    async with anyio.create_task_group() as group:
        for row, answer in zip(rows, answers, strict=True):
            group.start_soon(client, row, answer)
    return len(waits), waits


async def measure(chosen: argparse.Namespace) -> None:
    path = FOLDER / "MNIST_classifier.mlmodel"
    configuration = MLModelConfiguration(threads=chosen.threads)
    model = MLModel(path, configuration) if path.exists() else MLModel.from_spec(network(), "a network like it", configuration)
    pixels = np.random.default_rng(1).integers(0, 256, (chosen.clients, 28, 28), np.uint8)
    rows = [{"image": picture} for picture in pixels]
    answers = [model.predict(row) for row in rows]
    async with Runtime() as plain, Runtime(batching=MLBatching(chosen.most, chosen.wait)) as batching:
        ways: dict[str, Predict] = {
            "one by one, in a thread": model.prediction,
            "one by one, in a runtime": lambda row: plain.prediction(model, row),
            "in batches, in a runtime": lambda row: batching.prediction(model, row),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        waits: dict[str, list[float]] = {name: [] for name in ways}
        works: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(chosen.turns + 1):  # the first is to warm up
            for name, predict in ways.items():
                begin, worked = time.perf_counter(), time.process_time()
                count, took = await load(predict, rows, answers, chosen.seconds)
                if turn:
                    rates[name].append(count / (time.perf_counter() - begin))
                    works[name].append((time.process_time() - worked) / count * 1e3)
                    waits[name] += took
    median = {name: statistics.median(rates[name]) for name in ways}
    *alone, _ = median.values()
    print(f"{model.name}, {chosen.clients} clients, {chosen.turns} turns of {chosen.seconds:g} s, {chosen.backend}. Goal: {GOAL}.\n")
    print("| | predictions a second | latency, ms: median | 99 in 100 within | processor time each, ms | times the faster one by one |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in ways:
        p50, p99 = np.percentile(waits[name], [50, 99]) * 1e3
        work, ratio = statistics.median(works[name]), median[name] / max(alone)
        print(f"| {name} | {median[name]:.0f} | {p50:.1f} | {p99:.1f} | {work:.2f} | {ratio:.2f} |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--clients", type=int, default=64, help="that ask at the same time")
    arguments.add_argument("--turns", type=int, default=9, help="of each way (one more, first, does not count)")
    arguments.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    arguments.add_argument("--most", type=int, default=32, help="examples in a batch")
    arguments.add_argument("--wait", type=float, default=0.0, help="seconds that the first of a batch waits for others")
    arguments.add_argument("--threads", type=int, default=None, help="for a prediction or batch")
    arguments.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    chosen = arguments.parse_args()
    anyio.run(measure, chosen, backend=chosen.backend)


if __name__ == "__main__":
    main()
