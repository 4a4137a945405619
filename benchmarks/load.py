"""Loading a network of 100 MB: time against reading the file, and peak memory against its size.

    python benchmarks/load.py [--megabytes 100] [--turns 9] [--ours]

The network (dense layers of float32 weights) is made here. Plain reading, tailor and coremltools take turns in one process;
medians and minima. Memory is that of a process of its own each: the most that it held, less what it held after its imports.
Needs coremltools, unless ``--ours`` leaves it out; prints a Markdown table.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

SIDE = 1000  # of the weights of a layer: four megabytes
GOALS = {"time": 5.0, "memory": 3.0}


def make(path: Path, megabytes: float) -> None:
    """Writes a network of about that size."""
    from tailor import MLModel
    from tailor.runtime.format import NeuralNetworkBuilder, array_feature

    builder = NeuralNetworkBuilder([array_feature("x", (SIDE,))], [array_feature("y", (SIDE,))])
    count, random = max(1, round(megabytes * 1e6 / (4 * SIDE * SIDE))), np.random.default_rng(0)
    values = ["x", *(f"h{place}" for place in range(1, count)), "y"]
    for place in range(count):
        weights = random.standard_normal((SIDE, SIDE), np.float32) / np.float32(SIDE**0.5)
        builder.add_inner_product(f"dense{place}", weights, None, SIDE, SIDE, False, values[place], values[place + 1])
    MLModel.from_spec(builder.spec).write(path)


def read(path: Path) -> Callable[[], object]:
    return path.read_bytes


def tailor(path: Path) -> Callable[[], object]:
    from tailor import MLModel

    return lambda: MLModel(path)


def tailor_answer(path: Path) -> Callable[[], object]:
    from tailor import MLModel

    return lambda: MLModel(path).predict({"x": np.ones(SIDE, np.float32)})


def coremltools(path: Path) -> Callable[[], object]:
    from coremltools import utils

    return lambda: utils.load_spec(str(path))


WAYS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "reading the file": read,
    "tailor": tailor,
    "tailor, and a prediction": tailor_answer,
    "coremltools.utils.load_spec": coremltools,
}


def peak(name: str, path: Path) -> int:
    """In a process of its own: bytes that it held at most, less those it held before."""
    import resource

    def most() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    run = WAYS[name](path)  # imports
    WAYS[name](path.with_name("small.mlmodel"))()  # what is imported late, and compiled, is not the model's doing
    before = most()
    kept = run()
    after = most()
    del kept
    return after - before


def timed(ways: list[str], path: Path, turns: int) -> dict[str, list[float]]:
    runs = {name: WAYS[name](path) for name in ways}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            gc.collect()
            begin = time.perf_counter()
            made = run()
            if turn:  # the first one fetches the file and imports
                seconds[name].append(time.perf_counter() - begin)
            del made
    return seconds


def child(*arguments: str) -> str:
    """What this program prints, run by another process with ``arguments``."""
    return subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=100.0)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--ours", action="store_true", help="leave coremltools out")
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(Path(options.make[0]), float(options.make[1]))
        make(Path(options.make[0]).with_name("small.mlmodel"), 0)
        return
    if options.peak:
        print(peak(options.peak[0], Path(options.peak[1])))
        return
    ways = [name for name in WAYS if not (options.ours and WAYS[name] is coremltools)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "large.mlmodel"
        # By others, and first: on Linux a process begins with its parent's peak.
        child("--make", str(path), str(options.megabytes))
        peaks = {name: int(child("--peak", name, str(path))) for name in ways}
        size = path.stat().st_size
        seconds = timed(ways, path, options.turns)
    plain = statistics.median(seconds["reading the file"]), min(seconds["reading the file"])
    print(
        f"{size / 1e6:.0f} MB, {options.turns} turns; goals for tailor: {GOALS['time']:g} x reading, {GOALS['memory']:g} x the file's size"
    )
    print()
    print("| | ms, median (min) | x reading, median (min) | peak memory, MB | x the file's size |")
    print("|---|---:|---:|---:|---:|")
    for name, found in seconds.items():
        middle, least = statistics.median(found), min(found)
        ratios = f"{middle / plain[0]:.2f} ({least / plain[1]:.2f})"
        print(f"| {name} | {middle * 1e3:.0f} ({least * 1e3:.0f}) | {ratios} | {peaks[name] / 1e6:.0f} | {peaks[name] / size:.2f} |")


if __name__ == "__main__":
    main()
