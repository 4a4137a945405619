"""Parts that are private to Apple: kept as they are, named, and replaced by classes that callers provide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

import tailor
from tailor import (
    MLArrayBatchProvider,
    MLFormatError,
    MLModel,
    MLModelDescription,
    MLModelError,
    MLUnsupportedError,
    MLUpdateTask,
)
from tailor.runtime.custom_models import PrivatePart
from tailor.runtime.format import (
    Model,
    array_feature,
    image_feature,
    make_pipeline,
    sequence_feature,
    string_feature,
)
from tailor.runtime.models.private import PARTS
from tests.models.hand_made import X, classifier

PRIVATE = get_args(PrivatePart)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What a test provided is taken back."""
    yield
    for part in PRIVATE:
        tailor.register_model_provider(part, None)


DATA = bytes(range(200))
WORDS, LABEL = string_feature("text"), string_feature("label")
OUTPUT_NAMES = {
    "tokensOutputFeatureName": "tokens",
    "tokenTagsOutputFeatureName": "tags",
    "tokenLocationsOutputFeatureName": "locations",
    "tokenLengthsOutputFeatureName": "lengths",
}


def private(part: str) -> Model:
    """A model that is private to Apple, with the features that its type has."""
    made = Model(specificationVersion=6)
    message = getattr(made, part)
    if part.endswith("Print"):
        kind = message.scene if part == "visionFeaturePrint" else message.sound
        kind.version = 1
        made.description.input.append(image_feature("image", 4, 4, "RGB") if part == "visionFeaturePrint" else array_feature("audio", [16]))
        made.description.output.append(array_feature("input", [2]))
        return made
    message.revision, message.language, message.modelParameterData = 2, "en-US", DATA
    made.description.input.append(WORDS)
    if part == "wordTagger":
        for field, name in OUTPUT_NAMES.items():
            setattr(message, field, name)
            made.description.output.append(sequence_feature(name, str if name in ("tokens", "tags") else int))
        message.stringTags.vector.extend(["NOUN", "VERB"])
    elif part == "wordEmbedding":
        made.description.output.append(array_feature("vector", [3], "double"))
    else:
        made.description.output.append(LABEL)
        message.stringClassLabels.vector.extend(["good", "bad"])
    return made


TEXT = {"revision": 2, "language": "en-US", "modelParameterData": DATA}
# what the provider is given, what it answers
PROVIDED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "textClassifier": (TEXT | {"stringClassLabels": ("good", "bad")}, {"label": "bad"}),
    "wordTagger": (
        TEXT | OUTPUT_NAMES | {"stringTags": ("NOUN", "VERB")},
        {"tokens": ["dogs", "bark"], "tags": ["NOUN", "VERB"], "locations": [0, 5], "lengths": [4, 4]},
    ),
    "gazetteer": (TEXT | {"stringClassLabels": ("good", "bad")}, {"label": "good"}),
    "wordEmbedding": (TEXT, {"vector": np.array([1.0, 2.0, 3.0])}),
    "visionFeaturePrint": ({"type": "scene", "version": 1}, {"input": np.array([1, 2], np.float32)}),
    "audioFeaturePrint": ({"type": "sound", "version": 1}, {"input": np.array([1, 2], np.float32)}),
}
INPUTS = {"visionFeaturePrint": {"image": Image.new("RGB", (4, 4))}, "audioFeaturePrint": {"audio": np.zeros(16, np.float32)}}


def test_every_private_part_has_its_case() -> None:
    assert set(PROVIDED) == set(PARTS) == set(PRIVATE)


@pytest.mark.parametrize("part", PRIVATE)
def test_a_private_part_is_named_until_a_class_is_provided(part: Any) -> None:
    own, answer = PROVIDED[part]
    model = MLModel.from_spec(private(part), "print")
    row = INPUTS.get(part, {"text": "dogs bark"})
    with pytest.raises(
        MLUnsupportedError,
        match=rf"^model 'print' is an? {part}: what it computes is private to Apple; .*register_model_provider\('{part}'",
    ):
        model.predict(row)
    given: list[Any] = []

    class Provider:
        def __init__(self, parameters: Mapping[str, Any], description: MLModelDescription) -> None:
            given.append((dict(parameters), list(description.output_descriptions_by_name)))

        def predict(self, inputs: Mapping[str, Any]) -> Any:
            given.append(list(inputs))
            return answer

    tailor.register_model_provider(part, Provider)
    np.testing.assert_equal(model.predict([row, row]), [answer, answer])
    assert given == [(own, list(answer)), [*row], [*row]]


@pytest.mark.parametrize("part", PRIVATE)
def test_a_private_part_is_saved_as_it_is_and_can_be_looked_at(part: str, tmp_path: Path) -> None:
    spec = private(part)
    data = spec.SerializeToString(deterministic=True)
    (tmp_path / "one.mlmodel").write_bytes(data)
    model = MLModel(tmp_path / "one.mlmodel")
    assert model.model_type == part
    assert list(model.description.output_descriptions_by_name) == list(PROVIDED[part][1])
    if part in ("textClassifier", "gazetteer"):
        assert model.description.class_labels == ("good", "bad")
    model.write(tmp_path / "two.mlmodel")
    assert (tmp_path / "two.mlmodel").read_bytes() == data


def test_objects_have_names_and_two_outputs() -> None:
    spec = private("visionFeaturePrint")
    spec.visionFeaturePrint.objects.version = 1
    spec.visionFeaturePrint.objects.output.extend(["fine", "coarse"])
    del spec.description.output[:]
    spec.description.output.extend([array_feature("fine", [2, 2]), array_feature("coarse", [1])])
    given: list[Any] = []

    class Provider:
        def __init__(self, parameters: Mapping[str, Any], description: Any) -> None:
            given.append(dict(parameters))

        def predict_batch(self, columns: Mapping[str, Any], count: int) -> Any:
            given.append(columns["image"].shape)
            return {"fine": np.ones((count, 2, 2)), "coarse": np.zeros((count, 1))}

    tailor.register_model_provider("visionFeaturePrint", Provider)
    answers = MLModel.from_spec(spec).predict([{"image": Image.new("RGB", (4, 4))}] * 3)
    assert [answer["fine"].tolist() for answer in answers] == [[[1.0, 1.0]] * 2] * 3
    assert given == [{"type": "objects", "version": 1, "output": ("fine", "coarse")}, (3, 4, 4, 3)]


class Brightness:
    """The share of red and of blue: an extractor that anybody can check."""

    def __init__(self, parameters: Mapping[str, Any], description: MLModelDescription) -> None:
        assert parameters == {"type": "scene", "version": 1}

    def predict_batch(self, columns: Mapping[str, Any], count: int) -> Mapping[str, Any]:
        return {"input": columns["image"][..., [0, 2]].mean(axis=(1, 2)) / 255}


@pytest.mark.anyio
async def test_a_pipeline_with_a_feature_print_predicts_and_learns_with_the_callers_own_extractor(tmp_path: Path) -> None:
    spec = make_pipeline("classifier", [private("visionFeaturePrint"), classifier([[0, 0]], ["dark"], k=1)], ["print", "neighbours"])
    path = tmp_path / "stickers.mlmodel"
    path.write_bytes(spec.SerializeToString())
    red, blue = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
    examples = MLArrayBatchProvider([{"image": red, "label": "red"}, {"image": blue, "label": "blue"}])
    with pytest.raises(
        MLUnsupportedError, match="model 'print' of model 'stickers.mlmodel' is a visionFeaturePrint: what it computes is priv"
    ):
        MLModel(path).predict({"image": red})
    with pytest.raises(MLUnsupportedError, match="model 'print' of model 'stickers.mlmodel' is a visionFeaturePrint"):
        await MLUpdateTask(path, examples)

    tailor.register_model_provider("visionFeaturePrint", Brightness)
    assert MLModel(path).predict({"image": red})["label"] == "dark"
    updated = (await MLUpdateTask(path, examples)).model
    updated.write(path)
    again = MLModel(path)
    assert [answer["label"] for answer in again.predict([{"image": picture} for picture in (red, blue, Image.new("RGB", (4, 4)))])] == [
        "red",
        "blue",
        "dark",
    ]
    assert again.spec.pipelineClassifier.pipeline.models[0] == private("visionFeaturePrint")


def cleared(part: str, field: str) -> Model:
    spec = private(part)
    getattr(spec, part).ClearField(field)
    return spec


def with_output(part: str, feature: Any) -> Model:
    spec = private(part)
    spec.description.output[0].CopyFrom(feature)
    return spec


def with_input(part: str, feature: Any) -> Model:
    spec = private(part)
    spec.description.input[0].CopyFrom(feature)
    return spec


def versionless(part: str) -> Model:
    spec = private(part)
    getattr(spec, part).scene.version = 0
    return spec


def without_outputs(part: str) -> Model:
    spec = private(part)
    del spec.description.output[:]
    return spec


REFUSED: dict[str, tuple[Model, str]] = {
    "no revision": (cleared("textClassifier", "revision"), "revision: expected at least 1, got 0"),
    "an old revision": (cleared("gazetteer", "revision"), "revision: expected at least 2, got 0"),
    "no data": (cleared("wordEmbedding", "modelParameterData"), "modelParameterData: expected bytes, got none"),
    "no labels": (cleared("gazetteer", "stringClassLabels"), "stringClassLabels: expected one or more, got none"),
    "no tags": (cleared("wordTagger", "stringTags"), "stringTags: expected one or more, got none"),
    "tags without a name": (
        cleared("wordTagger", "tokenTagsOutputFeatureName"),
        r"output 'tags': expected one that the model names \(tokens, locations, lengths\), got another",
    ),
    "no type": (cleared("visionFeaturePrint", "scene"), "VisionFeaturePrintType: expected a type of feature print, got none"),
    "no version": (versionless("visionFeaturePrint"), "scene: expected a version of at least 1, got 0"),
    "a number to print": (with_input("visionFeaturePrint", X), "input 'x': expected a feature of type image, got a double"),
    "an image to classify": (
        with_input("textClassifier", image_feature("i", 2, 2)),
        "input 'i': expected a feature of type string, got an",
    ),
    "a number as print": (with_output("audioFeaturePrint", X), "output 'x': expected a feature of type multi_array, got a double"),
    "no outputs": (without_outputs("textClassifier"), "expected an output, got none"),
}


@pytest.mark.parametrize(("spec", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_private_parts_that_say_too_little_are_refused(spec: Model, told: str) -> None:
    model = MLModel.from_spec(spec)
    assert model.description.is_updatable is False, "it can be looked at"
    with pytest.raises(MLFormatError, match=f"^model 'model': {told}"):
        model._ready()


def test_only_private_parts_have_providers() -> None:
    with pytest.raises(MLModelError, match="register_model_provider: expected one of textClassifier, .*, got 'soundAnalysisPreprocessing'"):
        tailor.register_model_provider("soundAnalysisPreprocessing", Brightness)  # type: ignore[arg-type]


def test_errors_about_long_parameters_are_short() -> None:
    spec = private("textClassifier")
    spec.textClassifier.modelParameterData = bytes(10**6)
    with pytest.raises(MLUnsupportedError) as caught:
        MLModel.from_spec(spec).predict({"text": "dogs bark"})
    assert len(str(caught.value)) < 700
