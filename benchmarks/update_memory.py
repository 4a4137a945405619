"""The memory that an update takes, at its peak, against the sum of what it says it takes.

    python benchmarks/update_memory.py [--images 5000] [--threads 2]

MNIST_Model's network (see ``update_epoch.py``), Adam, mini-batches of 128, two epochs: all of it learns, or the last layer alone with
what the rest makes of each image kept in memory, in a file, or hardly at all. The sum is of parameters that learn, what the optimizer
remembers of them, their gradients, every value that the network makes of one mini-batch, frozen weights as they are packed for
predicting, and what is kept of the images. Measured is the peak of what ``tracemalloc`` sees while the task is made and runs: all
arrays and objects, and neither the interpreter with its libraries nor the threads' stacks, which resident memory would count; pages
of a file that is mapped belong to the system, which takes them back when it needs them. An update of a few images comes first, so that
nothing is imported or compiled under way. Megabytes; prints a Markdown table.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from collections.abc import Mapping
from math import prod
from typing import Any

import anyio
from update_epoch import BATCH, digits, model

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLParameterKey, MLUpdateTask
from tailor.kernels import Array, warm_up
from tailor.runtime.models.network_learner import NetworkLearner
from tailor.runtime.network import Plans

LEAST = 1 << 16
"""Bytes of the smallest memory to keep values in."""


def taught(head_only: bool) -> MLModel:
    """The network, of which all or the last layer learns."""
    spec = model()
    for layer in spec.neuralNetwork.layers:
        if layer.isUpdatable and head_only and layer.name != "hidden2":
            params = getattr(layer, layer.WhichOneof("layer"))
            layer.isUpdatable = params.weights.isUpdatable = params.bias.isUpdatable = False
    return MLModel.from_spec(spec, "digits")


def made_of_a_batch(plans: Plans | None) -> int:
    """Bytes of all values that a network makes of one mini-batch, its inputs included."""
    if plans is None:
        return 0
    plan = plans.plan({"image": (1, 1, 1, 28, 28)} if "image" in plans.graph.inputs else {plans.graph.inputs[0]: (1, 1, 500, 1, 1)})
    return 4 * BATCH * sum(prod(shape) for shape in plan.shapes.values() if shape is not None)


def total(arrays: Mapping[str, Array]) -> int:
    return sum(array.nbytes for array in arrays.values())


def measured(network: MLModel, pixels: Array, labels: Array, threads: int, cache_bytes: int) -> tuple[int, dict[str, int]]:
    """The peak of an update, and the sum by its parts."""
    parameters = {MLParameterKey.EPOCHS: 2, MLParameterKey.MINI_BATCH_SIZE: BATCH}
    configuration = MLModelConfiguration(parameters=parameters, threads=threads, cache_bytes=cache_bytes)
    data = MLArrayBatchProvider({"image": pixels, "output_true": labels})
    parts: dict[str, int] = {}

    async def update() -> None:
        task = MLUpdateTask(network, data, configuration)
        learner: Any = task._training.learner
        assert isinstance(learner, NetworkLearner)
        await task
        own, slots = total(learner.parameters), total(learner.slots)
        frozen = 0 if learner._front is None else total(learner._front.graph.parameters)
        values = made_of_a_batch(learner._front) + made_of_a_batch(learner.trainer.plans)
        row = 4 * 500 + 8  # what the head is given, and the class
        kept = min(len(pixels) * row, cache_bytes) if learner.frozen else 0
        parts.update(parameters=own, optimizer=slots, gradients=own, batch=values, frozen=frozen, kept=kept)

    gc.collect()
    tracemalloc.start()
    anyio.run(update)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    warm_up()
    pixels, labels = digits(options.images)
    rows = {
        "all learns": (taught(False), 1 << 28),
        "the head learns, kept in memory": (taught(True), 1 << 28),
        "the head learns, kept in a file": (taught(True), LEAST),
    }
    names = ("parameters", "optimizer", "gradients", "batch", "frozen", "kept")
    print(f"{options.images} digits, mini-batches of {BATCH}, threads: {options.threads}. Megabytes.\n")
    print("| update | " + " | ".join(names) + " | sum | peak | peak / sum |")
    print("|---|" + "---:|" * (len(names) + 3))
    for name, (network, cache_bytes) in rows.items():
        measured(network, pixels[:BATCH], labels[:BATCH], options.threads, cache_bytes)
        peak, parts = measured(network, pixels, labels, options.threads, cache_bytes)
        cells = [*parts.values(), sum(parts.values()), peak]
        print(f"| {name} | " + " | ".join(f"{cell / 1e6:.1f}" for cell in cells) + f" | {peak / sum(parts.values()):.2f} |", flush=True)


if __name__ == "__main__":
    main()
