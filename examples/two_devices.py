"""One person, two devices: each learns on its own, both are synced through a third place, and both end with all that was learned.

1. On device A Ada draws circles and crosses, and writes the digits 0 to 4. It teaches its copies of the two models that the app shipped,
   keeps them in its store, and syncs that with a place between the devices.
2. Device B, a process of its own with a store of its own, knows nothing of it: there she draws squares and stripes, and writes 5 to 9. When
   it is synced it finds that both have gone on, and merges: of the drawing classifier's nearest neighbours all examples, of the digits'
   network the average of the weights.
3. A is synced again. Both stores name the same versions, and either classifier knows all four drawings.

The place between is a folder by default; ``--between`` takes any that a store can be in (``s3://bucket/models``, ``https://...``). The
models are made here, or read from a folder with ``--models``: ``UpdatableDrawingClassifier.mlmodel``, ``MNIST_Model.mlmodel``.

Run it as ``python examples/two_devices.py [--between PLACE] [--models FOLDER] [--output FOLDER]``. Exits with 1 where a check fails.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import numpy as np
from drawings import DRAWING, PIXELS, SIZE, drawings, make_classifier

from tailor import MLArrayBatchProvider, MLModel, MLModelConfiguration, MLModelStore, MLParameterKey, MLUpdateTask
from tailor.building import AdamParams, NeuralNetworkBuilder, array_feature

DIGITS = "MNIST_Model"
USER = "ada"
LEARNS = {"A": (("circle", "cross"), range(5)), "B": (("square", "stripes"), range(5, 10))}
EXAMPLES, WRITTEN = 6, 128


def make_models(folder: Path) -> None:
    """The two models as an app could ship them, with the inputs and outputs that Apple's and Flower's have."""
    make_classifier(folder)
    random = np.random.default_rng(2)
    net = NeuralNetworkBuilder([array_feature("image", (1, SIZE, SIZE))], [array_feature("output", (10,))])
    net.add_flatten("flatten", 0, "image", "flat")
    weights = (random.normal(size=(10, PIXELS)) / 28).astype(np.float32)
    net.add_inner_product("classify", weights, np.zeros(10, np.float32), PIXELS, 10, True, "flat", "scores")
    net.add_softmax("softmax", "scores", "output")
    net.make_updatable(["classify"])
    net.set_categorical_cross_entropy_loss("loss", "output")
    net.set_adam_optimizer(AdamParams(lr=0.01, batch=WRITTEN))
    net.set_epochs(5, allowed_set=range(1, 11))
    MLModel.from_spec(net.spec, DIGITS).write(folder / f"{DIGITS}.mlmodel")


async def learn(device: str, place: Path, models: Path) -> None:
    """On one device: both models learn what its user draws, and are kept."""
    shapes, digits = LEARNS[device]
    seed = ord(device)
    shown = np.concatenate([drawings(shape, EXAMPLES, seed) for shape in shapes])
    labels = [shape for shape in shapes for _ in range(EXAMPLES)]
    written = np.concatenate([drawings(str(digit), WRITTEN, seed) for digit in digits])[:, None].astype(np.float32) / 255
    truth = np.repeat(np.array(digits, np.int32), WRITTEN)[:, None]
    taught = {
        DRAWING: MLArrayBatchProvider({"drawing": shown, "label": labels}),
        DIGITS: MLArrayBatchProvider({"image": written, "output_true": truth}),
    }
    async with MLModelStore(place, device=f"device {device}") as store:
        for name, data in taught.items():
            base = MLModel(models / f"{name}.mlmodel")
            seeded = {MLParameterKey.SEED: 1} if name == DIGITS else {}
            context = await MLUpdateTask(base, data, MLModelConfiguration(parameters=seeded))
            version = await store.commit(context, base, user=USER, name=name, message=f"drawn on device {device}")
            print(f"  device {device}: {name} has learned from {data.count} examples, version {version.identifier[:12]}")


async def bring_together(device: str, place: Path, between: str) -> None:
    """On one device: its store and the place between learn what the other has; what was learned apart is merged."""
    async with MLModelStore(place, device=f"device {device}") as store, MLModelStore(between) as other:
        report = await store.sync(other)
        for row in report.names:
            print(f"  device {device}: {row.model} {row.outcome}, {row.objects} objects of {row.bytes / 1000:.0f} kB", row.reason)
        if not report.names:
            print(f"  device {device}: nothing to do")


async def on_device(device: str, learns: bool, folder: Path, between: str, models: Path) -> None:
    """What a device does, in a process of its own: it learns, if it is to, and is synced."""
    options = ["--device", device, "--output", str(folder), "--between", between, "--models", str(models), *(["--learn"] if learns else [])]
    done = await anyio.run_process([sys.executable, __file__, *options], stderr=None)
    print(done.stdout.decode(), end="")


def share_right(network: MLModel) -> float:
    """How many new digits a network reads right."""
    digits = np.concatenate([drawings(str(digit), 20, seed=8) for digit in range(10)])[:, None].astype(np.float32) / 255
    read = [int(np.argmax(answer["output"])) for answer in network.predict([{"image": digit} for digit in digits])]
    return float(np.mean(np.array(read) == np.repeat(np.arange(10), 20)))


async def compare(folder: Path, models: Path) -> bool:
    """Whether both devices ended with the same, and with all of it."""
    async with MLModelStore(folder / "A") as first, MLModelStore(folder / "B") as second:
        heads = [{version.model: version.identifier for version in await store.heads()} for store in (first, second)]
        classifiers = [await store.model(DRAWING, USER) for store in (first, second)]
        network = await second.model(DIGITS, USER)
        merged = {version.model: version.parents for version in await second.heads()}
    shapes = [shape for learned, _ in LEARNS.values() for shape in learned]
    labels = [[example.label for example in model.examples] for model in classifiers]
    new = [{"drawing": drawings(shape, 1, seed=7)[0]} for shape in shapes]
    answers = [answer["label"] for answer in classifiers[0].predict(new)]
    before, after = share_right(MLModel(models / f"{DIGITS}.mlmodel")), share_right(network)
    checks = {
        "both devices name the same versions": heads[0] == heads[1] and set(heads[0]) == {DRAWING, DIGITS},
        "each was merged of what the two had learned": all(len(parents) == 2 for parents in merged.values()),
        f"the merged classifier knows the examples of both: {sorted(set(labels[0]))}": sorted(labels[0]) == sorted(shapes * EXAMPLES),
        "on either device it is the same, byte for byte": classifiers[0].to_bytes() == classifiers[1].to_bytes(),
        f"new drawings of {', '.join(shapes)} are taken for {', '.join(map(str, answers))}": answers == shapes,
        f"the digits' network reads {after:.0%} of new digits, {before:.0%} as it was shipped": after > before,
    }
    print("Checks")
    for what, passed in checks.items():
        print(f"  {'yes' if passed else 'NO '}  {what}")
    return all(checks.values())


async def show(folder: Path, between: str, models: Path) -> bool:
    """All of it; true where every check passed."""
    for step, (device, learns) in enumerate((("A", True), ("B", True), ("A", False)), start=1):
        print(f"{step}. Device {device} {'learns what Ada draws on it, and ' if learns else ''}is synced through {between}")
        await on_device(device, learns, folder, between, models)
    return await compare(folder, models)


def main() -> int:
    """Reads the command line and runs the example; the exit code."""
    parser = argparse.ArgumentParser(description="Two devices that learn apart end with the same models.")
    parser.add_argument("--between", help="the place between them: a folder, a file or a URL (default: a new folder)")
    parser.add_argument("--models", type=Path, help=f"a folder with {DRAWING}.mlmodel and {DIGITS}.mlmodel (default: small ones are made)")
    parser.add_argument("--output", type=Path, help="a new folder for both devices' stores (default: one that is removed again)")
    parser.add_argument("--device", choices=LEARNS, help=argparse.SUPPRESS)
    parser.add_argument("--learn", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.device:
        store = given.output / given.device
        if given.learn:
            anyio.run(learn, given.device, store, given.models)
        anyio.run(bring_together, given.device, store, given.between)
        return 0
    with TemporaryDirectory() as temporary:
        folder, models = given.output or Path(temporary), given.models or Path(temporary)
        if given.models is None:
            make_models(models)
        folder.mkdir(parents=True, exist_ok=True)
        return 0 if anyio.run(show, folder, given.between or str(folder / "between"), models) else 1


if __name__ == "__main__":
    sys.exit(main())
