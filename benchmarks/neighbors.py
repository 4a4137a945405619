"""Nearest neighbours here and in scikit-learn: the same samples and queries, in turns; medians and ratios.

    python benchmarks/neighbors.py [--seconds 5] [--threads 2] [--shrink 1]

Predicting: 1000 queries against 10,000 samples of 256 numbers by brute force, and against 100,000 of 3 by a kd-tree, through
``MLModel.predict`` and scikit-learn's; labels are compared first. Adding 100 samples to 100,000 of 64: a step of the learner, and
a whole update with the first prediction afterwards, against scikit-learn's ``fit`` of them all, its only way, and its first
prediction; then 100 updates of one sample each, which scikit-learn fits 100 times. Prints a Markdown table; a ratio below 1
means that tailor is faster. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import anyio
import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLUpdateTask
from tailor.kernels import Array
from tailor.runtime.format import KNearestNeighborsClassifierBuilder, model_bytes
from tailor.runtime.models.neighbors import NeighborsLearner

PAUSE = 0.02
"""Seconds before each turn, in which the threads of the one before go to sleep."""

CLASSES, NEIGHBOURS = 10, 5
NAMES = {"brute": "brute force", "kd_tree": "kd-tree"}


def drawn(count: int, size: int, seed: int) -> tuple[Array, list[str]]:
    """Samples ``[count, size]`` around a centre a class, so that labels mean something."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, CLASSES, count)
    centres = np.random.default_rng(0).standard_normal((CLASSES, size))
    return (centres[places] + rng.standard_normal((count, size))).astype(np.float32), [f"class {place}" for place in places]


def classifier(samples: Array, labels: list[str], index_type: str = "linear") -> Any:
    builder = KNearestNeighborsClassifierBuilder("x", "label", samples.shape[1], "none", NEIGHBOURS, index_type=index_type)
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


def predicting(algorithm: str, count: int, size: int, threads: int, seconds: float) -> str:
    samples, labels = drawn(count, size, 1)
    labels = ["even" if int(label[-1]) % 2 == 0 else "odd" for label in labels]  # five votes for two labels do not tie
    queries, _ = drawn(1000, size, 2)
    spec = classifier(samples, labels, "kd_tree" if algorithm == "kd_tree" else "linear")
    model = MLModel(model_bytes(spec), MLModelConfiguration(threads=threads))
    peer = KNeighborsClassifier(NEIGHBOURS, algorithm=algorithm, n_jobs=threads).fit(samples, labels)
    rows = [{"x": query} for query in queries]
    ours, theirs = [answer["label"] for answer in model.predict(rows)], peer.predict(queries).tolist()
    different = sum(one != other for one, other in zip(ours, theirs, strict=True))
    assert different <= 5, f"expected the labels that scikit-learn finds, got {different} others"  # of equally near ones, either may vote
    name = NAMES[algorithm]
    times = medians({"tailor": lambda: model.predict(rows), name: lambda: peer.predict(queries)}, seconds)
    return row(f"1000 queries, {len(samples):,} x {size}", times, "1.0", name)


def adding(algorithm: str, goal: str, seconds: float, shrink: int) -> str:
    samples, labels = drawn(100_000 // shrink, 64, 3)
    more, more_labels = drawn(100, 64, 4)
    learner = NeighborsLearner(classifier(samples, labels), "model")
    whole, whole_labels = np.concatenate((samples, more)), labels + more_labels
    peer = KNeighborsClassifier(NEIGHBOURS, algorithm=algorithm)
    columns = {"x": more, "label": more_labels}
    name = NAMES[algorithm]
    times = medians({"tailor": lambda: learner.step(columns, 100, None), name: lambda: peer.fit(whole, whole_labels)}, seconds)
    return row(f"100 samples more, {len(samples):,} x 64", times, goal, name)


def updating(algorithm: str, times_more: int, goal: str, seconds: float, shrink: int) -> str:
    """``times_more`` updates, of 100 samples in all, each with a prediction behind it."""
    samples, labels = drawn(100_000 // shrink, 64, 3)
    more, more_labels = drawn(100, 64, 4)
    base = MLModel.from_spec(classifier(samples, labels, "kd_tree" if algorithm == "kd_tree" else "linear"))
    base.predict({"x": more[0]})
    size = 100 // times_more
    found: list[str] = []

    async def update() -> None:
        model = base
        for start in range(0, 100, size):
            some = slice(start, start + size)
            model = (await MLUpdateTask(model, MLArrayBatchProvider({"x": more[some], "label": more_labels[some]}))).model
            found.append(model.predict({"x": more[0]})["label"])

    def fit() -> None:
        for start in range(0, 100, size):
            whole, whole_labels = np.concatenate((samples, more[: start + size])), labels + more_labels[: start + size]
            peer = KNeighborsClassifier(NEIGHBOURS, algorithm=algorithm).fit(whole, whole_labels)
            found.append(peer.predict(more[:1])[0])

    times = medians({"tailor": lambda: anyio.run(update), NAMES[algorithm]: fit}, seconds)
    assert len(set(found)) == 1, f"expected one label, got {set(found)}"
    work = "an update with 100 more" if times_more == 1 else f"{times_more} updates with one more"
    return row(f"{work}, and a prediction, {len(samples):,} x 64", times, goal, NAMES[algorithm])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line of the table")
    parser.add_argument("--threads", type=int, default=2, help="for each engine")
    parser.add_argument("--shrink", type=int, default=1, help="so many times fewer samples")
    options = parser.parse_args()
    print("| work | tailor, ms | scikit-learn, ms | ratio | goal |")
    print("|---|---:|---:|---:|---:|")
    with threadpool_limits(options.threads):
        print(predicting("brute", 10_000 // options.shrink, 256, options.threads, options.seconds), flush=True)
        print(predicting("kd_tree", 100_000 // options.shrink, 3, options.threads, options.seconds), flush=True)
        print(adding("kd_tree", "0.02", options.seconds, options.shrink), flush=True)
        print(adding("brute", "0.1", options.seconds, options.shrink), flush=True)
        print(updating("kd_tree", 1, "0.1", options.seconds, options.shrink), flush=True)
        print(updating("brute", 1, "1.0", options.seconds, options.shrink), flush=True)
        print(updating("brute", 100, "0.1", options.seconds, options.shrink), flush=True)


if __name__ == "__main__":
    main()
