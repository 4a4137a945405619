"""An epoch of training and a batch of predictions, on the CPU and on each accelerator that is found.

The network has three convolutions of 32, 64 and 128 channels over images of 64 x 64 and two dense layers, with seeded random weights.
Measured with everything on its way included: mini-batches go there, losses and at the end of the epoch what was learned come back.
The first epoch and the first batch are not counted. Prints a Markdown table, with the largest difference of the answers; where there
is no accelerator it says so, and the table is of the CPU alone.

    python benchmarks/accelerators.py [--images 2048] [--batch 128] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from tailor.kernels import SGD, Array
from tailor.runtime.accelerators import Device, accelerators
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature
from tailor.runtime.models.network import NetworkPredictor
from tailor.runtime.models.network_learner import NetworkLearner

SIZE, CLASSES, OPTIMIZER = 64, 10, SGD(0.01, 0.9)


def weights(seed: int, *shape: int) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def network() -> Any:
    """The network's message, updatable."""
    builder = NeuralNetworkBuilder([array_feature("image", (3, SIZE, SIZE))], [array_feature("scores", (CLASSES,))])
    value, channels, learning = "image", 3, []
    for number, more in enumerate((32, 64, 128)):
        name = f"conv{number}"
        kernel, bias = weights(number, more, channels, 3, 3), np.zeros(more, np.float32)
        builder.add_convolution(name, channels, more, 3, 3, 1, 1, "same", 1, kernel, bias, True, value, f"c{number}")
        builder.add_activation(f"relu{number}", "RELU", f"c{number}", f"r{number}")
        builder.add_pooling(f"pool{number}", 2, 2, 2, 2, "MAX", "VALID", f"r{number}", f"p{number}")
        value, channels = f"p{number}", more
        learning.append(name)
    builder.add_flatten("flat", 0, value, "f")
    inputs = channels * (SIZE // 8) ** 2
    builder.add_inner_product("dense0", weights(7, 256, inputs), np.zeros(256, np.float32), inputs, 256, True, "f", "d")
    builder.add_activation("relu", "RELU", "d", "r")
    builder.add_inner_product("dense1", weights(8, CLASSES, 256), np.zeros(CLASSES, np.float32), 256, CLASSES, True, "r", "logits")
    builder.add_softmax("softmax", "logits", "scores")
    builder.make_updatable([*learning, "dense0", "dense1"])
    builder.set_categorical_cross_entropy_loss("loss", "scores")
    builder.set_sgd_optimizer(SgdParams(lr=0.01, batch=16, momentum=0.9))
    builder.set_epochs(1)
    return builder.spec


def timed(work: Callable[[], object], rounds: int) -> float:
    """The median of the seconds that ``work`` takes, once it has been done before."""
    seconds = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])


def measure(spec: Any, images: Array, classes: Array, device: Device | None, options: argparse.Namespace) -> tuple[float, float, Array]:
    """Seconds of an epoch and of a batch of predictions, and the predictions."""
    with device.at_work() if device is not None else nullcontext():
        predictor = NetworkPredictor(spec, "network")
        columns = {"image": images[: options.batch]}
        predicting = timed(lambda: predictor.predict(columns, options.batch), options.rounds)
        scores = np.asarray(predictor.predict(columns, options.batch)["scores"])
        here = NetworkLearner(spec, "network")
        learner = here if device is None else here.resident(device)

        def epoch() -> None:
            for start in range(0, len(images), options.batch):
                rows = slice(start, start + options.batch)
                batch = {"image": images[rows], "scores_true": classes[rows]}
                learner.step(batch, len(classes[rows]), OPTIMIZER)
            learner.state()

        learning = timed(epoch, options.rounds)
        here.close()
    return learning, predicting, scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.batch = min(options.batch, options.images)
    rng = np.random.default_rng(0)
    images = rng.random((options.images, 3, SIZE, SIZE), np.float32)
    classes = rng.integers(0, CLASSES, (options.images, 1)).astype(np.int32)
    spec, devices = network(), accelerators()
    if not devices:
        print("There is no accelerator here that CuPy can use: the CPU alone is measured.\n")
    print(
        f"| where | an epoch of {options.images} images | {options.batch} predictions | times as fast | largest difference of an answer |"
    )
    print("|---|---|---|---|---|")
    first: tuple[float, float, Array] | None = None
    for device in (None, *devices):
        learning, predicting, scores = measured = measure(spec, images, classes, device, options)
        first = first or measured
        name = "CPU" if device is None else f"{device.name}, {device.model}"
        faster = f"{first[0] / learning:.1f}, {first[1] / predicting:.1f}"
        print(f"| {name} | {learning:.3f} s | {predicting * 1000:.1f} ms | {faster} | {np.abs(scores - first[2]).max():.1e} |")


if __name__ == "__main__":
    main()
