"""The main job, start to end: a drawing classifier ships to everybody, and one user teaches it drawings of their own.

On scikit-learn's handwritten digits (1,797 images of 8x8 pixels):

1. the app's maker trains a small network on the digits 0 to 6, cuts it at its embedding, joins it with a nearest neighbour
   classifier into an updatable Core ML pipeline, and shows that a few examples of each digit;
2. a user shows it some examples each of 7, 8 and 9, which it has never seen;
3. the updated model is written, and kept as a snapshot of what changed; restored from base and snapshot, it answers the same.

Run by ``make demo``, or ``python examples/demo.py [--output FOLDER]``. Exits with 1 where a check fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits

from tailor import (
    MLArrayBatchProvider,
    MLMetricKey,
    MLModel,
    MLModelConfiguration,
    MLParameterKey,
    MLUpdateContext,
    MLUpdateProgressEvent,
    MLUpdateProgressHandlers,
    MLUpdateTask,
    restore_snapshot,
    take_snapshot,
    write_snapshot,
)
from tailor.runtime.format import (
    AdamParams,
    KNearestNeighborsClassifierBuilder,
    NeuralNetworkBuilder,
    array_feature,
    decode_weights,
    image_feature,
    layers,
    make_pipeline,
)

KNOWN, NEW = range(7), range(7, 10)
SIZE, CHANNELS, EMBEDDING = 8, (16, 32), 64
FLAT = CHANNELS[1] * (SIZE // 2) ** 2
EPOCHS, BATCH = 20, 32
BASE_EXAMPLES, USER_EXAMPLES = 20, 15

Weights = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
SHAPES = {
    "conv1": (CHANNELS[0], 1, 3, 3),
    "conv2": (CHANNELS[1], CHANNELS[0], 3, 3),
    "embed": (EMBEDDING, FLAT),
    "classify": (len(KNOWN), EMBEDDING),
}

console = Console(highlight=False)


@dataclass(frozen=True)
class Digits:
    """Images uint8 ``[N, 8, 8]``, white on black, and what they show."""

    images: NDArray[np.uint8]
    digits: NDArray[np.int64]

    def only(self, wanted: range, most: int | None = None) -> Digits:
        """The images of the wanted digits; of each digit the first ``most``."""
        rows = np.concatenate([np.flatnonzero(self.digits == digit)[:most] for digit in wanted])
        return Digits(self.images[rows], self.digits[rows])

    def examples(self) -> MLArrayBatchProvider:
        """As examples for the classifier, labelled with text."""
        return MLArrayBatchProvider({"drawing": self.images, "label": [str(digit) for digit in self.digits]})


def load() -> tuple[Digits, Digits]:
    """Images to learn from, and held-back ones to judge by: one half each, always the same."""
    data = load_digits()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(2019).permutation(len(images))
    halves = np.array_split(order, 2)
    learn, judge = (Digits(images[rows], data.target[rows]) for rows in halves)
    return learn, judge


def begin_with(seed: int) -> Weights:
    """Weights to begin with: He's normal initialisation, biases zero."""
    generator = np.random.default_rng(seed)
    return {
        name: ((generator.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32), np.zeros(shape[0], np.float32))
        for name, shape in SHAPES.items()
    }


def extractor(weights: Weights, output: str) -> NeuralNetworkBuilder:
    """A network from a drawing to ``EMBEDDING`` numbers."""
    drawing = image_feature("drawing", SIZE, SIZE, description="a digit, white on black")
    feature = array_feature(output, (EMBEDDING,) if output == "embedding" else (len(KNOWN),))
    net = NeuralNetworkBuilder([drawing], [feature])
    net.set_pre_processing_parameters("drawing", image_scale=1 / 255)
    before = "drawing"
    for name, (channels, inputs) in {"conv1": (CHANNELS[0], 1), "conv2": (CHANNELS[1], CHANNELS[0])}.items():
        net.add_convolution(name, inputs, channels, 3, 3, 1, 1, "same", 1, *weights[name], True, before, f"{name}_out")
        net.add_activation(f"{name}_relu", "RELU", f"{name}_out", f"{name}_active")
        before = f"{name}_active"
    net.add_pooling("pool", 2, 2, 2, 2, "MAX", "VALID", before, "pooled")
    net.add_flatten("flatten", 0, "pooled", "flat")
    net.add_inner_product("embed", *weights["embed"], FLAT, EMBEDDING, True, "flat", "embedding")
    return net


def trainable(weights: Weights) -> MLModel:
    """The extractor with a classifier of the known digits on top, all of it updatable."""
    net = extractor(weights, "probabilities")
    net.add_activation("embed_relu", "RELU", "embedding", "embedding_active")
    net.add_inner_product("classify", *weights["classify"], EMBEDDING, len(KNOWN), True, "embedding_active", "scores")
    net.add_softmax("softmax", "scores", "probabilities")
    net.make_updatable(list(SHAPES))
    net.set_categorical_cross_entropy_loss("loss", "probabilities")
    net.set_adam_optimizer(AdamParams(lr=0.002, batch=BATCH))
    net.set_epochs(EPOCHS, allowed_set=range(1, EPOCHS + 1))
    return MLModel.from_spec(net.spec, "trainable")


def trained_weights(model: MLModel) -> Weights:
    """The weights that training left in the network."""
    found: Weights = {}
    for layer in layers(model.spec.neuralNetwork):
        if layer.name in SHAPES:
            shape = SHAPES[layer.name]
            weight = decode_weights(layer.params.weights, shape, layer.name)
            found[layer.name] = (weight, decode_weights(layer.params.bias, shape[:1], layer.name))
    return found


def drawing_classifier(weights: Weights) -> MLModel:
    """The model that ships: the trained extractor, frozen, then nearest neighbours that have seen nothing yet."""
    neighbours = KNearestNeighborsClassifierBuilder("embedding", "label", EMBEDDING, "unknown", number_of_neighbors=3)
    neighbours.weighting_scheme = "inverse_distance"
    spec = make_pipeline("classifier", [extractor(weights, "embedding").spec, neighbours.spec], ["extractor", "neighbours"])
    spec.description.metadata.shortDescription = "Says which digit a drawing shows; can be taught others."
    spec.description.metadata.author = "tailor's demo, on the UCI handwritten digits of scikit-learn"
    return MLModel.from_spec(spec, "Drawing")


async def update(model: MLModel, data: MLArrayBatchProvider, title: str, epochs: int | None = None) -> MLUpdateContext:
    """Updates a model with a progress bar."""
    event = MLUpdateProgressEvent
    parameters = {} if epochs is None else {MLParameterKey.EPOCHS: epochs, MLParameterKey.SEED: 1}
    columns = (TextColumn("  {task.description:<34}"), BarColumn(24), TextColumn("{task.fields[loss]:<12}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task(title, total=epochs or 1, loss="")

        def show(context: MLUpdateContext) -> None:
            loss = context.metrics.get(MLMetricKey.LOSS_VALUE)
            told = f"loss {loss:.4f}" if loss is not None else f"{data.count} examples"
            bars.update(bar, completed=int(context.metrics[MLMetricKey.EPOCH_INDEX]) + 1, loss=told)

        handlers = MLUpdateProgressHandlers(event.EPOCH_END, show)
        return await MLUpdateTask(model, data, MLModelConfiguration(parameters=parameters), progress_handlers=handlers)


def keep_drawings(folder: Path, drawings: Digits) -> None:
    """Writes PNG files into sub-folders named by digit: ``7/0.png``."""
    for digit in NEW:
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(drawings.images[drawings.digits == digit]):
            Image.fromarray(image).save(folder / str(digit) / f"{number}.png")


def share_right(model: MLModel, data: Digits) -> NDArray[np.bool_]:
    """Which images the model labels right, ``[N]``."""
    answers = model.predict([{"drawing": image} for image in data.images])
    return np.array([answer["label"] == str(digit) for answer, digit in zip(answers, data.digits, strict=True)])


def compare(judge: Digits, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Table:
    """Shares right before and after, by group and by new digit."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("  held-back images", "count", "before", "after"):
        table.add_column(heading, justify="left" if heading.strip().startswith("held") else "right")
    groups: list[tuple[str, range]] = [("all digits", range(10)), ("0 to 6, which it knew", KNOWN), ("7 to 9, which it was taught", NEW)]
    for name, wanted in [*groups, *((f"  {digit}", range(digit, digit + 1)) for digit in NEW)]:
        rows = np.isin(judge.digits, list(wanted))
        table.add_row(f"  {name}", str(int(rows.sum())), f"{before[rows].mean():.1%}", f"{after[rows].mean():.1%}")
    return table


async def demo(output: Path, epochs: int = EPOCHS) -> bool:
    """Runs the demo, writing into the folder ``output``; true where every check passed."""
    began = time.monotonic()
    learn, judge = load()

    console.print("[bold]1. The app's maker[/] trains on the digits 0 to 6 and ships an updatable model")
    known = learn.only(KNOWN)
    training = MLArrayBatchProvider({"drawing": known.images, "probabilities_true": known.digits.astype(np.int32)[:, None]})
    trained = await update(trainable(begin_with(seed=7)), training, f"training on {training.count} drawings", epochs)
    empty = drawing_classifier(trained_weights(trained.model))
    shipped = await update(empty, learn.only(KNOWN, BASE_EXAMPLES).examples(), f"showing it {BASE_EXAMPLES} of each")
    shipped.model.write(output / "Drawing.mlmodel")

    console.print("[bold]2. A user[/] teaches it 7, 8 and 9")
    base = MLModel(output / "Drawing.mlmodel")
    before = share_right(base, judge)
    mine = await update(base, learn.only(NEW, USER_EXAMPLES).examples(), f"showing it {USER_EXAMPLES} of each")
    after = share_right(mine.model, judge)
    console.print(compare(judge, before, after))

    keep_drawings(output / "drawings", learn.only(NEW, USER_EXAMPLES))
    keep_drawings(output / "others", judge.only(NEW, 5))

    console.print("[bold]3. What is kept[/]")
    mine.model.write(output / "Mine.mlmodel")
    write_snapshot(output / "Mine.snapshot", take_snapshot(mine, base=base))
    restored = restore_snapshot(output / "Mine.snapshot", base=output / "Drawing.mlmodel")
    for name in ("Drawing.mlmodel", "Mine.mlmodel", "Mine.snapshot"):
        console.print(f"  {output / name}: {(output / name).stat().st_size / 1000:.0f} kB", markup=False)
    console.print(f"  {output / 'drawings'}, {output / 'others'}: what it was taught, and others", markup=False)

    drawings = [{"drawing": image} for image in judge.images]
    fresh, again = MLModel(output / "Mine.mlmodel").predict(drawings), restored.predict(drawings)
    new, old = np.isin(judge.digits, list(NEW)), np.isin(judge.digits, list(KNOWN))
    checks = {
        "the new digits were unknown before": not before[new].any(),
        "at least 85% of the new digits are right after": after[new].mean() >= 0.85,
        "of the digits it knew, at most 5% are lost": after[old].mean() >= before[old].mean() - 0.05,
        "the written model answers as the one in memory": fresh == mine.model.predict(drawings),
        "restored from base and snapshot, it answers the same, bit for bit": again == fresh,
        "and writes the same bytes": restored.to_bytes() == (output / "Mine.mlmodel").read_bytes(),
    }
    console.print("[bold]Checks[/]")
    for what, passed in checks.items():
        console.print(f"  {'[green]yes[/]' if passed else '[red]NO [/]'}  {what}")
    console.print(f"{time.monotonic() - began:.1f} seconds")
    return all(checks.values())


def main() -> int:
    """Reads the command line and runs the demo; the exit code."""
    parser = argparse.ArgumentParser(description="Teach a drawing classifier new digits.")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="where models and snapshot are written")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    return 0 if anyio.run(demo, output) else 1


if __name__ == "__main__":
    sys.exit(main())
