"""The examples of docs/extending.md run as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tailor
from tailor.runtime.format import Model, NeuralNetworkBuilder, array_feature, double_feature, image_feature, make_pipeline, save_model
from tailor.runtime.models.private import PARTS
from tests.models.hand_made import classifier

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The page's examples, in a folder with the models that they name."""
    monkeypatch.chdir(tmp_path)
    yield re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    tailor.register_custom_model("Celsius", None)
    tailor.register_model_provider("visionFeaturePrint", None)


def celsius() -> Model:
    made = Model(specificationVersion=4)
    made.customModel.className = "Celsius"
    made.customModel.parameters["offset"].doubleValue = 32.0
    made.description.input.append(double_feature("fahrenheit"))
    made.description.output.append(double_feature("celsius"))
    return made


def stickers() -> Model:
    front = Model(specificationVersion=4)
    front.visionFeaturePrint.scene.version = 1
    front.description.input.append(image_feature("image", 8, 8, "RGB"))
    front.description.output.append(array_feature("input", [3]))
    return make_pipeline("classifier", [front, classifier([], [], dimensions=3)])


def doubling() -> Model:
    builder = NeuralNetworkBuilder([array_feature("x", [2])], [array_feature("y", [2])])
    builder.add_inner_product("twice", 2 * np.eye(2, dtype=np.float32), None, 2, 2, False, "x", "y")
    return builder.spec


def test_the_custom_model_predicts(examples: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    save_model(celsius(), "Celsius.mlmodel")
    exec(examples[0], {})
    assert capsys.readouterr().out == "{'celsius': 10.0}\n"


@pytest.mark.anyio
async def test_the_extractor_takes_part_in_an_update(examples: list[str]) -> None:
    save_model(stickers(), "Stickers.mlmodel")
    names: dict[str, Any] = {}
    exec(examples[1], names)
    pictures = {color: Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")}
    model = await names["personalise"](pictures)
    assert [model.predict({"image": picture})["label"] for picture in pictures.values()] == list(pictures)


def test_the_linked_models_are_found(examples: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    spec = doubling()
    head = Model(specificationVersion=4)
    head.description.CopyFrom(spec.description)
    head.linkedModel.linkedModelFile.linkedModelFileName.defaultValue = "Small.mlmodelc"
    for folder in ("heads", "extractors"):
        Path(folder).mkdir()
    save_model(head, "heads/Cats.mlmodel")
    for name in ("Small", "Large"):
        save_model(spec, f"extractors/{name}.mlmodel")
    names: dict[str, Any] = {}
    exec(examples[2], names)
    assert capsys.readouterr().out == "{'y': array([2., 4.], dtype=float32)}\n"
    Path("extractors/Small.mlmodel").unlink()
    assert names["head"].predict({"x": [1.0, 2.0]})["y"].tolist() == [2.0, 4.0]


def test_the_page_lists_every_private_part() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)) == set(PARTS)
