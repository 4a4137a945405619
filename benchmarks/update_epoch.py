"""An epoch of training MNIST_Model's network, here and in PyTorch eager: same weights, same batches, same threads.

Epochs of the two take turns, so that whatever else the machine does falls on both; medians are compared. Uses the real
model and digits from ../shared/models where they are, else the same architecture with seeded random weights and pixels.
With ``--threads 1`` processor time is measured: for machines that others use. Prints a Markdown table. Needs PyTorch.

    python benchmarks/update_epoch.py [--epochs 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tailor.kernels import Adam, Array
from tailor.runtime.format import (
    AdamParams,
    NeuralNetworkBuilder,
    array_feature,
    load_model,
)
from tailor.runtime.models.network_learner import NetworkLearner

MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"
BATCH, IMAGES, RATE, GOAL = 128, 5000, 1e-4, 1.0


def model() -> Any:
    """MNIST_Model's message, or one of the same architecture."""
    path = MODELS / "MNIST_Model.mlmodel"
    if path.exists():
        return load_model(path)
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Array:
        bound = np.prod(shape[1:]) ** -0.5
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    builder = NeuralNetworkBuilder([array_feature("image", (1, 28, 28))], [array_feature("output", (10,))])
    value = "image"
    for number, (channels, kernel) in enumerate(((1, 3), (32, 2)), start=1):
        builder.add_convolution(
            f"conv{number}",
            channels,
            32,
            kernel,
            kernel,
            1,
            1,
            "valid",
            1,
            weights(32, channels, kernel, kernel),
            weights(32, 1)[:, 0],
            True,
            value,
            f"c{number}",
        )
        builder.add_activation(f"relu{number}", "RELU", f"c{number}", f"r{number}")
        builder.add_pooling(f"pooling{number}", 2, 2, 2, 2, "MAX", "VALID", f"r{number}", f"p{number}")
        value = f"p{number}"
    builder.add_flatten("flatten1", 1, value, "f")
    builder.add_inner_product("hidden1", weights(500, 1152), weights(500, 1)[:, 0], 1152, 500, True, "f", "h1")
    builder.add_activation("relu3", "RELU", "h1", "r3")
    builder.add_inner_product("hidden2", weights(10, 500), weights(10, 1)[:, 0], 500, 10, True, "r3", "h2")
    builder.add_softmax("softmax", "h2", "output")
    builder.make_updatable(["conv1", "conv2", "hidden1", "hidden2"])
    builder.set_categorical_cross_entropy_loss("loss", "output")
    builder.set_adam_optimizer(AdamParams(lr=RATE, batch=BATCH))
    return builder.spec


def digits(count: int) -> tuple[Array, Array]:
    """Pixels from 0 to 1, float32 ``[count, 1, 28, 28]``, and labels int32 ``[count, 1]``."""
    path = MODELS / "mnist_test_10k.npz"
    if path.exists():
        with np.load(path) as file:
            return (file["pixels"][:count, None] / np.float32(255)).astype(np.float32), file["labels"][:count, None].astype(np.int32)
    rng = np.random.default_rng(1)
    return rng.random((count, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, (count, 1), dtype=np.int32)


def torch_network(parameters: dict[str, Array]) -> torch.nn.Module:
    """The same network in PyTorch, from copies of the same weights."""
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 32, 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1152, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip
    with torch.no_grad():
        for place, name in ((0, "conv1"), (3, "conv2"), (7, "hidden1"), (9, "hidden2")):
            layer: Any = network[place]
            weights = parameters[f"{name}.weights"]
            if name == "hidden1":  # the model flattens with the channels last, PyTorch with the channels first
                weights = weights.reshape(500, 6, 6, 32).transpose(0, 3, 1, 2)
            layer.weight.copy_(torch.from_numpy(weights.reshape(layer.weight.shape)))
            layer.bias.copy_(torch.from_numpy(parameters[f"{name}.bias"]))
    return network


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--epochs", type=int, default=5, help="epochs timed of each (one more, first, is not)")
    arguments.add_argument("--threads", type=int, default=2, help="for each; with 1, processor time is measured")
    arguments.add_argument("--images", type=int, default=IMAGES, help="in an epoch")
    chosen = arguments.parse_args()
    torch.set_num_threads(chosen.threads)
    clock, what = (time.process_time, "processor time") if chosen.threads == 1 else (time.perf_counter, "time")

    pixels, labels = digits(chosen.images)
    cuts = [slice(start, start + BATCH) for start in range(0, chosen.images, BATCH)]
    learner = NetworkLearner(model(), "MNIST_Model", threads=chosen.threads)
    network = torch_network(learner.parameters)
    descent = torch.optim.Adam(network.parameters(), lr=RATE)
    images, classes = torch.from_numpy(pixels), torch.from_numpy(labels[:, 0].astype(np.int64))

    def ours() -> float:
        total = 0.0
        for cut in cuts:
            columns = {"image": pixels[cut], "output_true": labels[cut]}
            losses = learner.step(columns, len(labels[cut]), Adam(RATE))
            total += 0.0 if losses is None else float(losses.sum())
        return total / chosen.images

    def theirs() -> float:
        total = 0.0
        for cut in cuts:
            descent.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(images[cut]), classes[cut])
            loss.backward()
            descent.step()
            total += float(loss.detach()) * len(labels[cut])
        return total / chosen.images

    seconds: dict[str, list[float]] = {"tailor": [], "PyTorch": []}
    for epoch in range(chosen.epochs + 1):
        for name, run in (("tailor", ours), ("PyTorch", theirs)):
            begin = clock()
            loss = run()
            seconds[name].append(clock() - begin)
            print(f"epoch {epoch}: {name:8} {seconds[name][-1]:6.3f} s, mean loss {loss:.4f}", file=sys.stderr)
    times = [seconds[name][1:] for name in ("tailor", "PyTorch")]
    cells = [f"{statistics.median(found):.3f} ({min(found):.3f})" for found in times]
    ratios = [f"{least(times[0]) / least(times[1]):.2f}" for least in (statistics.median, min)]
    print(f"{chosen.images} digits an epoch, batches of {BATCH}, threads: {chosen.threads} each. Seconds of {what}: median (minimum).\n")
    print("| epochs | tailor | PyTorch | tailor / PyTorch: medians | minima | goal |")
    print("|---:|---:|---:|---:|---:|---:|")
    print(f"| {chosen.epochs} | " + " | ".join((*cells, *ratios)) + f" | {GOAL:.1f} |")
    learner.close()


if __name__ == "__main__":
    main()
