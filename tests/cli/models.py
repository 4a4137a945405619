"""Small models and data for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tailor import MLModel
from tailor.cli import main
from tailor.runtime.format import (
    KNearestNeighborsClassifierBuilder,
    NeuralNetworkBuilder,
    SgdParams,
    array_feature,
    image_feature,
    make_pipeline,
)


def neighbors(path: Path) -> Path:
    """A nearest neighbour classifier of points [2], k = 1, which knows nothing yet and then answers ``nobody``."""
    builder = KNearestNeighborsClassifierBuilder("point", "label", 2, "nobody", number_of_neighbors=1)
    builder.spec.description.metadata.author = "A. Uthor"
    builder.spec.description.metadata.license = "MIT"
    MLModel.from_spec(builder.spec).write(path)
    return path


def regression(path: Path) -> Path:
    """y = x . w, w = 0 to begin with; SGD on the squared error, learning rate 0.5 in [0, 1], batches of 2, 1 to 100 epochs."""
    builder = NeuralNetworkBuilder([array_feature("x", (2,))], [array_feature("y", (1,))])
    builder.add_inner_product("dense", np.zeros((1, 2)), np.zeros(1), 2, 1, True, "x", "y")
    builder.make_updatable(["dense"])
    builder.set_mean_squared_error_loss("loss", array_feature("y", (1,)))
    builder.set_sgd_optimizer(SgdParams(lr=0.5, batch=2))
    builder.set_epochs(1, allowed_set=range(1, 101))
    builder.set_shuffle(False)
    MLModel.from_spec(builder.spec).write(path)
    return path


def drawings(path: Path) -> Path:
    """A pipeline of 2x2 grey images: their four pixels, then one nearest neighbour."""
    network = NeuralNetworkBuilder([image_feature("drawing", 2, 2)], [array_feature("pixels", (4,))])
    network.add_flatten("flat", 0, "drawing", "flattened")
    network.add_inner_product("same", np.eye(4), None, 4, 4, False, "flattened", "pixels")
    classifier = KNearestNeighborsClassifierBuilder("pixels", "label", 4, "nobody", number_of_neighbors=1)
    MLModel.from_spec(make_pipeline("classifier", [network.spec, classifier.spec])).write(path)
    return path


def picture(path: Path, *pixels: int) -> Path:
    """A 2x2 grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8).reshape(2, 2)).save(path)
    return path


def picture_folder(folder: Path) -> Path:
    """Bright and dark images in folders named so."""
    for number in range(3):
        picture(folder / "bright" / f"{number}.png", 250, 251, 252, 253 - number)
        picture(folder / "dark" / f"{number}.png", 1, 2, 3, 4 + number)
    return folder


class Terminal:
    """Runs the command line in this process, and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: object) -> int:
        """The exit code of ``tailor ARGUMENTS``."""
        self._capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        self.out, self.err = self._capsys.readouterr()
        return status
