"""Drawings and a classifier of drawings, for the examples that need some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tailor import MLModel
from tailor.building import KNearestNeighborsClassifierBuilder, NeuralNetworkBuilder, array_feature, image_feature, make_pipeline

DRAWING = "UpdatableDrawingClassifier"
SIZE, PIXELS, EMBEDDING = 28, 28 * 28, 32

Images = NDArray[np.uint8]


def drawings(what: str, count: int, seed: int) -> Images:
    """Drawings, white on black, uint8 ``[count, 28, 28]``: ``what`` is a shape or a digit, each a bit elsewhere."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        image = Image.new("L", (SIZE, SIZE))
        pen = ImageDraw.Draw(image)
        x, y = (int(place) for place in random.integers(2, 8, 2))
        box = [x, y, x + 17, y + 17]
        match what:
            case "circle":
                pen.ellipse(box, outline=255, width=2)
            case "square":
                pen.rectangle(box, outline=255, width=2)
            case "cross":
                pen.line(box, fill=255, width=2)
                pen.line([x, y + 17, x + 17, y], fill=255, width=2)
            case "triangle":
                pen.polygon([x, y + 17, x + 17, y + 17, x + 8, y], outline=255, width=2)
            case "stripes":
                for row in range(0, 18, 6):
                    pen.line([x, y + row, x + 17, y + row], fill=255, width=2)
            case digit:
                small = Image.new("L", (8, 12))
                ImageDraw.Draw(small).text((1, 0), digit, fill=255)
                image.paste(small.resize((16, 20)), (x, y - 2))
        made.append(np.asarray(image))
    return np.stack(made)


def make_classifier(folder: Path) -> Path:
    """The model as an app could ship it, with the inputs and outputs of Apple's own: it knows no drawing yet."""
    random = np.random.default_rng(1)
    eye = NeuralNetworkBuilder([image_feature("drawing", SIZE, SIZE)], [array_feature("embedding", (EMBEDDING,))])
    eye.set_pre_processing_parameters("drawing", image_scale=1 / 255)
    eye.add_flatten("flatten", 0, "drawing", "flat")
    weights = (random.normal(size=(EMBEDDING, PIXELS)) / 28).astype(np.float32)
    eye.add_inner_product("embed", weights, np.zeros(EMBEDDING, np.float32), PIXELS, EMBEDDING, True, "flat", "embedding")
    memory = KNearestNeighborsClassifierBuilder("embedding", "label", EMBEDDING, "unknown", number_of_neighbors=3)
    path = folder / f"{DRAWING}.mlmodel"
    MLModel.from_spec(make_pipeline("classifier", [eye.spec, memory.spec], ["eye", "memory"]), DRAWING).write(path)
    return path
