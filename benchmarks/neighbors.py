"""Nearest neighbours here and in scikit-learn: the same samples and queries, in turns; medians and ratios.

    python benchmarks/neighbors.py [--seconds 5] [--threads 2] [--shrink 1]

Predicting: 1000 queries against 10,000 samples of 256 numbers, through ``MLModel.predict`` and scikit-learn's brute force;
labels are compared first. Adding 100 samples to an index of 100,000: a step of the learner against scikit-learn's ``fit``
of them all, its only way. Prints a Markdown table; a ratio below 1 means that tailor is faster. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from tailor import MLModel, MLModelConfiguration
from tailor.kernels import Array
from tailor.runtime.format import KNearestNeighborsClassifierBuilder, model_bytes
from tailor.runtime.models.neighbors import NeighborsLearner

PAUSE = 0.02
"""Seconds before each turn, in which the threads of the one before go to sleep."""

CLASSES, NEIGHBOURS = 10, 5


def drawn(count: int, size: int, seed: int) -> tuple[Array, list[str]]:
    """Samples ``[count, size]`` around a centre a class, so that labels mean something."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, CLASSES, count)
    centres = np.random.default_rng(0).standard_normal((CLASSES, size))
    return (centres[places] + rng.standard_normal((count, size))).astype(np.float32), [f"class {place}" for place in places]


def classifier(samples: Array, labels: list[str]) -> Any:
    builder = KNearestNeighborsClassifierBuilder("x", "label", samples.shape[1], "none", NEIGHBOURS)
    builder.add_samples(samples, labels)
    return builder.spec


def medians(runs: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Milliseconds of each, run in turns."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(found.values()))) < 3:
        for name, run in runs.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            run()
            found[name].append((time.perf_counter() - begin) * 1e3)
    return {name: statistics.median(times) for name, times in found.items()}


def row(work: str, times: dict[str, float], goal: str, peer: str) -> str:
    ours = times["tailor"]
    return f"| {work} | {ours:.3g} | {peer} {times[peer]:.3g} | {ours / times[peer]:.2g} | {goal} |"


def predicting(threads: int, seconds: float, shrink: int) -> str:
    samples, labels = drawn(10_000 // shrink, 256, 1)
    queries, _ = drawn(1000, 256, 2)
    model = MLModel(model_bytes(classifier(samples, labels)), MLModelConfiguration(threads=threads))
    peer = KNeighborsClassifier(NEIGHBOURS, algorithm="brute", n_jobs=threads).fit(samples, labels)
    rows = [{"x": query} for query in queries]
    ours, theirs = [answer["label"] for answer in model.predict(rows)], peer.predict(queries).tolist()
    different = sum(one != other for one, other in zip(ours, theirs, strict=True))
    assert different <= 5, f"expected the labels that scikit-learn finds, got {different} others"  # of ties, either may be right
    times = medians({"tailor": lambda: model.predict(rows), "brute force": lambda: peer.predict(queries)}, seconds)
    return row(f"1000 queries, {len(samples):,} x 256", times, "1.0", "brute force")


def adding(algorithm: str, name: str, goal: str, seconds: float, shrink: int) -> str:
    samples, labels = drawn(100_000 // shrink, 64, 3)
    more, more_labels = drawn(100, 64, 4)
    learner = NeighborsLearner(classifier(samples, labels), "model")
    whole, whole_labels = np.concatenate((samples, more)), labels + more_labels
    peer = KNeighborsClassifier(NEIGHBOURS, algorithm=algorithm)
    columns = {"x": more, "label": more_labels}
    times = medians({"tailor": lambda: learner.step(columns, 100, None), name: lambda: peer.fit(whole, whole_labels)}, seconds)
    return row(f"100 samples more, {len(samples):,} x 64", times, goal, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line of the table")
    parser.add_argument("--threads", type=int, default=2, help="for each engine")
    parser.add_argument("--shrink", type=int, default=1, help="so many times fewer samples")
    options = parser.parse_args()
    print("| work | tailor, ms | scikit-learn, ms | ratio | goal |")
    print("|---|---:|---:|---:|---:|")
    with threadpool_limits(options.threads):
        print(predicting(options.threads, options.seconds, options.shrink), flush=True)
        print(adding("kd_tree", "kd-tree", "0.02", options.seconds, options.shrink), flush=True)
        print(adding("brute", "brute force", "0.1", options.seconds, options.shrink), flush=True)


if __name__ == "__main__":
    main()
