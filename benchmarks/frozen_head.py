"""A head of one dense layer learns on a frozen MobileNetV2: here, and in PyTorch with and without features kept by hand.

    python benchmarks/frozen_head.py [--images 100] [--epochs 50] [--rounds 3] [--threads 2]

One network with random weights (it reaches tailor through ``tailor.convert``), the same images in the same order, mini-batches of 10,
SGD; the heads are compared first. Timed are whole updates, the first pass through the frozen layers included: ``MLUpdateTask`` with
features kept in memory and in a file, and PyTorch where the features of all images are computed once, by hand. The plain PyTorch loop
runs the frozen layers (without gradients) in every epoch; one epoch is timed and multiplied. The runs take turns; medians are compared.
With ``--threads 1`` processor time is measured: for machines that others use. Prints a Markdown table. Needs the extra ``peers``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import anyio
import numpy as np
import torch
from contest.images import mobilenet
from torch import nn

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLParameterKey, MLUpdateTask, convert
from tailor.building import SgdParams
from tailor.kernels import Array, warm_up
from tailor.runtime.format import read_contents

CLASSES, BATCH, RATE, SIZE = 10, 10, 0.01, 224
PAUSE = 0.06
"""Seconds before each turn, in which the threads of the one before go to sleep."""
AHEAD, BESIDE = 20.0, 1.2
"""How many times faster than the plain loop, and how much slower than features kept by hand, at most."""


def frozen() -> nn.Sequential:
    """MobileNetV2 of which only the last layer learns, with few classes."""
    torch.manual_seed(0)
    net = nn.Sequential(*list(mobilenet().eval().requires_grad_(False).children())[:-1], nn.Linear(1280, CLASSES))
    return net.eval()


def converted(net: nn.Module, epochs: int) -> MLModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert(
            net,
            inputs={"x": (1, 3, SIZE, SIZE)},
            class_labels=[f"class {number}" for number in range(CLASSES)],
            respect_trainable=True,
            loss="categorical_cross_entropy",
            optimizer=SgdParams(lr=RATE, batch=BATCH),
            epochs=epochs,
        )


def updated(model: MLModel, images: Array, labels: Array, configuration: MLModelConfiguration) -> Array:
    """The head's weights after an update."""
    label = model.description.predicted_feature_name
    data = MLArrayBatchProvider({"x": images[:, None], label: [f"class {number}" for number in labels]})

    async def update() -> MLModel:
        return (await MLUpdateTask(model, data, configuration)).model

    learned = read_contents(anyio.run(update).spec)
    head = next(layer.name for layer in model.spec.neuralNetworkClassifier.layers if layer.isUpdatable)
    return np.asarray(learned[f"{head}.weights"])


def taught(net: nn.Sequential, features: Callable[[slice], torch.Tensor], labels: torch.Tensor, epochs: int) -> Array:
    """The head's weights after training a copy of it in PyTorch on ``features`` of the images of each mini-batch."""
    head = nn.Linear(1280, CLASSES)
    head.load_state_dict(net[-1].state_dict())
    descent = torch.optim.SGD(head.parameters(), lr=RATE)
    for _ in range(epochs):
        for start in range(0, len(labels), BATCH):
            rows = slice(start, start + BATCH)
            descent.zero_grad()
            nn.functional.cross_entropy(head(features(rows)), labels[rows]).backward()
            descent.step()
    return head.weight.detach().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each that are timed (one more, first, is not)")
    parser.add_argument("--threads", type=int, default=2, help="for each; with 1, processor time is measured")
    options = parser.parse_args()
    clock, what = (time.process_time, "processor time") if options.threads == 1 else (time.perf_counter, "time")
    torch.set_num_threads(options.threads)
    warm_up()
    net = frozen()
    body, model = net[:-1], converted(net, options.epochs)
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((options.images, 3, SIZE, SIZE), np.float32), rng.integers(0, CLASSES, options.images)
    pixels, classes = torch.from_numpy(images), torch.from_numpy(labels)

    def features(rows: slice) -> torch.Tensor:
        with torch.no_grad():
            return body(pixels[rows])

    def ours(cache_bytes: int) -> Array:
        return updated(
            model,
            images,
            labels,
            MLModelConfiguration(parameters={MLParameterKey.SHUFFLE: False}, threads=options.threads, cache_bytes=cache_bytes),
        )

    def by_hand() -> Array:
        kept = torch.cat([features(slice(start, start + BATCH)) for start in range(0, options.images, BATCH)])
        return taught(net, lambda rows: kept[rows], classes, options.epochs)

    runs: dict[str, Callable[[], Array]] = {
        "tailor": lambda: ours(1 << 28),
        "tailor, in a file": lambda: ours(0),
        "PyTorch, features kept by hand": by_hand,
        "PyTorch, plain": lambda: taught(net, features, classes, 1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    heads: dict[str, Array] = {}
    for turn in range(options.rounds + 1):
        for name, run in runs.items():
            time.sleep(PAUSE)
            begin = clock()
            heads[name] = run()
            seconds[name].append((clock() - begin) * (options.epochs if name == "PyTorch, plain" else 1))
            print(f"turn {turn}: {name:32} {seconds[name][-1]:8.3f} s", file=sys.stderr)
    wanted = heads["PyTorch, features kept by hand"]
    for name in ("tailor", "tailor, in a file"):
        off = float(np.abs(heads[name].reshape(wanted.shape) - wanted).max() / np.abs(wanted).max())
        assert off < 1e-3, f"{name}: the head is off by {off:g}"
    medians = {name: statistics.median(found[1:]) for name, found in seconds.items()}
    print(
        f"{options.images} images, {options.epochs} epochs, mini-batches of {BATCH}, threads: {options.threads} each. Seconds of {what}, "
        f"medians of {options.rounds}; of the plain loop one epoch's, multiplied.\n"
    )
    print("| run | seconds | tailor is faster by | goal |")
    print("|---|---:|---:|---:|")
    goals = {"PyTorch, plain": f"{AHEAD:.0f}", "PyTorch, features kept by hand": f"{1 / BESIDE:.2f}"}
    for name, found in medians.items():
        print(f"| {name} | {found:.2f} | {found / medians['tailor']:.2f} | {goals.get(name, '')} |")


if __name__ == "__main__":
    main()
