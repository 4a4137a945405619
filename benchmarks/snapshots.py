"""Snapshots on disk: writing and restoring against writing, flushing and reading the same bytes; peak memory; the size of a delta.

    python benchmarks/snapshots.py [--megabytes 1000] [--turns 5] [--folder FOLDER]

The model is a network of dense layers of float32 weights, made here. Of each row, tailor's way and the plain one take turns in one process;
medians. Memory is that of a process of its own each: the most that it held, less what it held after its imports (and, where the snapshot
is made from memory, after that). Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

PIECE = 2**20
TENSOR = 4_000_000  # bytes of a layer's weights: the largest tensor
ABOUT = datetime(2026, 1, 1, tzinfo=UTC)


def make(folder: Path, megabytes: int) -> None:
    """The model's file and its snapshot."""
    from tailor import MLModel, take_snapshot, write_snapshot
    from tailor.runtime.format import NeuralNetworkBuilder, array_feature

    side, count, random = 1000, max(1, megabytes * 10**6 // TENSOR), np.random.default_rng(0)
    builder = NeuralNetworkBuilder([array_feature("x", (side,))], [array_feature("y", (side,))])
    values = ["x", *(f"h{place}" for place in range(1, count)), "y"]
    for place in range(count):
        weights = random.standard_normal((side, side), np.float32)
        builder.add_inner_product(f"dense{place}", weights, None, side, side, False, values[place], values[place + 1])
    model = MLModel.from_spec(builder.spec)
    model.write(folder / "model.mlmodel")
    write_snapshot(folder / "full.tailor", take_snapshot(model))


def plain_write(path: Path, chunks: Iterator[bytes | memoryview]) -> None:
    with path.open("wb", buffering=0) as file:
        for chunk in chunks:
            file.write(chunk)
        os.fsync(file.fileno())


def pieces(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[at : at + PIECE] for at in range(0, len(view), PIECE))


def file_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            yield piece


Way = Callable[[], object]


def ways(folder: Path) -> dict[str, tuple[Callable[[], Way], Callable[[], Way]]]:
    """By row: tailor's way and the plain one; each is made ready first, which is not measured."""
    from tailor import restore_to
    from tailor.persistence import DeltaSnapshot, FileBytes, FullSnapshot, Metadata, SetValue, open_snapshot, read_snapshot, write_snapshot

    model, full, delta, out = folder / "model.mlmodel", folder / "full.tailor", folder / "delta.tailor", folder / "out"
    about = Metadata(ABOUT)

    def tensors() -> DeltaSnapshot:
        flat = np.fromfile(model, "f4", count=model.stat().st_size // TENSOR * TENSOR // 4)
        parts = np.array_split(flat, max(1, flat.nbytes // TENSOR))
        return DeltaSnapshot(about, "0" * 64, {f"dense{place}": SetValue(part) for place, part in enumerate(parts)})

    def write_full() -> Way:
        snapshot = FullSnapshot(about, model.read_bytes())
        return lambda: write_snapshot(out, snapshot)

    def write_plain() -> Way:
        data = model.read_bytes()
        return lambda: plain_write(out, iter(pieces(data)))

    def write_tensors() -> Way:
        snapshot = tensors()
        return lambda: write_snapshot(out, snapshot)

    def read_tensors() -> Way:
        if not delta.exists():
            write_snapshot(delta, tensors())

        def read() -> int:
            with open_snapshot(delta) as reader:
                return sum(len(name) for name, _ in reader.changes())

        return read

    def copy() -> Way:
        return lambda: plain_write(out, file_pieces(model))

    return {
        "full, from memory to file": (write_full, write_plain),
        "full, from file to file": (lambda: lambda: write_snapshot(out, FullSnapshot(about, FileBytes(model))), copy),
        "delta of all tensors, from memory to file": (write_tensors, write_plain),
        "full, to memory": (lambda: lambda: read_snapshot(full), lambda: model.read_bytes),
        "full, to a model file": (lambda: lambda: restore_to(full, out), copy),
        "delta, tensor by tensor": (read_tensors, lambda: model.read_bytes),
    }


def peak(row: str, folder: Path) -> int:
    """Bytes that this process comes to hold in tailor's way, beyond what it held when that was ready."""
    way = ways(folder)[row][0]()
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what is held now
    way()
    return held("VmHWM") - before


def held(name: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def head_only() -> tuple[int, int]:
    """Bytes of a delta of a network whose last layer has changed, and of the tensors in it."""
    from tailor import MLModel, take_snapshot
    from tailor.persistence import snapshot_bytes
    from tailor.runtime.format import NeuralNetworkBuilder, array_feature, read_contents, write_contents

    random = np.random.default_rng(0)
    builder = NeuralNetworkBuilder([array_feature("x", (64,))], [array_feature("y", (10,))])
    builder.add_inner_product("body", random.random((256, 64), np.float32), np.zeros(256, np.float32), 64, 256, True, "x", "h")
    builder.add_inner_product("head", random.random((10, 256), np.float32), np.zeros(10, np.float32), 256, 10, True, "h", "y")
    base = MLModel.from_spec(builder.spec)
    spec = type(base.spec)()
    spec.CopyFrom(base.spec)
    head = {name: value + np.float32(1) for name, value in read_contents(spec).items() if name.startswith("head.")}
    write_contents(spec, head)
    return len(snapshot_bytes(take_snapshot(MLModel.from_spec(spec), base))), sum(value.nbytes for value in head.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: the system's temporary folder)")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(peak(options.peak[0], Path(options.peak[1])))
        return
    with TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make(folder, options.megabytes)
        print(f"{(folder / 'model.mlmodel').stat().st_size / 1e6:.0f} MB, {options.turns} turns\n")
        print("| | tailor, MB/s | plain, MB/s | share | peak memory, MB |\n|---|---|---|---|---|")
        for row, both in ways(folder).items():
            times: tuple[list[float], list[float]] = ([], [])
            ready = [way() for way in both]
            for _ in range(options.turns):
                for way, taken in zip(ready, times, strict=True):
                    begin = time.perf_counter()
                    way()
                    taken.append(time.perf_counter() - begin)
            del ready
            ours, plain = ((folder / "model.mlmodel").stat().st_size / 1e6 / statistics.median(taken) for taken in times)
            memory = "-"
            if Path("/proc/self/clear_refs").exists():
                command = [sys.executable, __file__, "--peak", row, name]
                memory = f"{int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e6:.0f}"
            print(f"| {row} | {ours:.0f} | {plain:.0f} | {ours / plain:.2f} | {memory} |", flush=True)
    size, tensors = head_only()
    print(f"\n| a head that changed | bytes |\n|---|---|\n| its tensors | {tensors} |\n| its delta | {size} |")


if __name__ == "__main__":
    main()
