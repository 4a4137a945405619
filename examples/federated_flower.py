"""Federated learning with Flower: clients teach a Core ML model digits of their own, a server averages what they have learned.

    pip install 'tailor[federated]'
    python examples/federated_flower.py MNIST_Model.mlmodel mnist_test_10k.npz

The model: updatable, ``image`` float32 ``[1, 28, 28]`` from 0 to 1 to ten probabilities ``output``, learning from the digit
``output_true``. The digits: ``pixels`` uint8 ``[N, 28, 28]`` and ``labels`` ``[N]``. All of it runs in Flower's simulation, on this
machine. ``client`` is what a Flower app names as its ClientApp, but for its digits: elsewhere they would be its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import numpy as np

# Before they are imported: neither reports to anybody that it runs.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation
except ImportError as error:
    sys.exit(f"this example needs Flower: pip install 'tailor[federated]' ({error})")

from tailor import MLArrayBatchProvider, MLModel, MLUpdateTask
from tailor import MLParameterKey as Key

JUDGED = 1000
"""So many digits at the end of the file are no client's: the server judges by them."""

SIMULATION = {"init_args": {"include_dashboard": False, "object_store_memory": 100_000_000}, "client_resources": {"num_cpus": 1}}
"""Every client has a processor to itself; what they send is small."""


def digits(path: str | Path, rows: slice) -> tuple[Any, Any]:
    """Images float32 ``[N, 1, 28, 28]`` from 0 to 1, and labels int32 ``[N, 1]``."""
    with np.load(path) as data:
        return data["pixels"][rows, None].astype(np.float32) / np.float32(255), data["labels"][rows, None].astype(np.int32)


def packed(model: MLModel) -> ArrayRecord:
    """What the model learns, as Flower sends it."""
    return ArrayRecord({str(key): Array(array) for key, array in model.trainable_parameters().items()})


def unpacked(model: MLModel, arrays: ArrayRecord) -> MLModel:
    """The model with what Flower has sent."""
    return model.with_parameters({Key.parse(name): array.numpy() for name, array in arrays.items()})


def share_right(model: MLModel, path: str) -> float:
    """The share of the server's digits that the model names rightly."""
    images, labels = digits(path, slice(-JUDGED, None))
    answers = model.predict([{"image": image} for image in images])
    return float(np.mean([answer["output"].argmax() for answer in answers] == labels[:, 0]))


client = ClientApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Goes on from the server's weights with this client's own digits, and sends back its weights."""
    config = message.content["config"]
    number, clients = int(context.node_config["partition-id"]), int(context.node_config["num-partitions"])
    images, labels = digits(config["digits"], slice(number, config["examples"] * clients, clients))
    examples = MLArrayBatchProvider({"image": images, "output_true": labels})

    async def learn(model: MLModel) -> MLModel:
        return (await MLUpdateTask(model, examples)).model

    base = MLModel(config["model"]).with_parameters({Key.EPOCHS: 1, Key.LEARNING_RATE: 0.001, Key.SEED: number})
    learned = anyio.run(learn, unpacked(base, message.content["arrays"]))
    metrics = MetricRecord({"num-examples": len(images)})
    return Message(RecordDict({"arrays": packed(learned), "metrics": metrics}), reply_to=message)


def server(model: str, path: str, examples: int, rounds: int, shares: dict[int, float]) -> ServerApp:
    """A server that averages ``rounds`` times, and notes in ``shares`` how many digits are right after each; 0 is before the first."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        base = MLModel(model)

        def judge(number: int, arrays: ArrayRecord) -> MetricRecord:
            shares[number] = share_right(unpacked(base, arrays), path)
            return MetricRecord({"accuracy": shares[number]})

        config = ConfigRecord({"model": model, "digits": path, "examples": examples})
        FedAvg(fraction_evaluate=0.0).start(grid, packed(base), num_rounds=rounds, timeout=600, train_config=config, evaluate_fn=judge)

    return app


def main() -> int:
    """Reads the command line and runs the simulation; the exit code says whether the model got better."""
    parser = argparse.ArgumentParser(description="Teach an updatable MNIST model digits, on several clients.")
    parser.add_argument("model", type=Path, help="an updatable model of digits")
    parser.add_argument("digits", type=Path, help="an archive of pixels and labels")
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--examples", type=int, default=1000, help="how many digits each client has")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    there, wanted = len(digits(given.digits, slice(None))[1]), given.clients * given.examples + JUDGED
    if there < wanted:
        parser.error(f"expected at least {wanted} digits, {given.examples} a client and {JUDGED} to judge by, got {there}")
    shares: dict[int, float] = {}
    app = server(str(given.model.resolve()), str(given.digits.resolve()), given.examples, given.rounds, shares)
    run_simulation(app, client, num_supernodes=given.clients, backend_config=SIMULATION)
    for number, share in sorted(shares.items()):
        print(f"after round {number}: {share:.1%} right")
    return 0 if shares.get(given.rounds, 0.0) > shares[0] else 1


if __name__ == "__main__":
    sys.exit(main())
