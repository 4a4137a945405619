"""Real networks: each agrees with the same layers in PyTorch, and every real model predicts, or says what it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tailor import (
    MLDictionaryConstraint,
    MLFeatureDescription,
    MLFormatError,
    MLImageConstraint,
    MLModel,
    MLModelError,
    MLMultiArrayConstraint,
    MLUnsupportedError,
    register_custom_layer,
)
from tailor.kernels import Array
from tailor.runtime.format import network_of
from tests.models.layer_by_layer import preprocessed, run_layers
from tests.places import shared_model

NETWORKS: dict[str, dict[str, int]] = {
    "CustomSwishLayer.mlmodel": {},
    "HousePrices_updatable.mlmodel": {"categoricalInput1": 2, "categoricalInput2": 9},
    "Image2Image.mlmodel": {},
    "MNIST_Model.mlmodel": {},
    "MNIST_classifier.mlmodel": {},
    "PoseHourglass.mlmodel": {},
    "TinyDrawingEmbedding.mlmodel": {},
    "UpdatableDrawingClassifier.mlmodel": {},
    "Waifu2xUpscale.mlmodel": {},
}
"""Real networks, and how many categories those of their inputs have that are categories."""

OTHERS: dict[str, dict[str, int]] = {
    "BostonGLM.mlmodel": {},
    "DocumentClassification.mlmodel": {},
    "NamesDT.mlmodel": {},
    "OneHotPipeline.mlmodel": {"input": 2},
    "SentimentPolarity.mlmodel": {},
    "TreesRanker_a_z.mlmodel": {},
    "UpdatableKNN_kdtree.mlmodel": {},
}
"""Real models of other types that predict, and how many categories those of their inputs have that are categories."""

LACKING: dict[str, tuple[type[MLModelError], str]] = {
    "BasicPitch.mlpackage": (MLUnsupportedError, "ML Program"),
    "Corrupt_prerelease_format.mlmodel": (MLFormatError, "Corrupt_prerelease_format"),
}
"""Real models that cannot predict yet: the error, and what it names."""


class Swish:
    """x * sigmoid(x), the class that CustomSwishLayer asks for."""

    def __init__(self, parameters: Mapping[str, Any], weights: Sequence[Array]) -> None:
        assert parameters["beta"] == 0.01

    def output_shapes(self, input_shapes: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
        return input_shapes

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return [x / (1 + np.exp(-x)) for x in inputs]


@pytest.fixture
def swish() -> Iterator[None]:
    register_custom_layer("Swish", Swish)
    yield
    register_custom_layer("Swish", None)


def made_up(feature: MLFeatureDescription, random: np.random.Generator, categories: int | None = None) -> Any:
    """A value that fits ``feature``, from its description alone."""
    constraint = feature.constraint
    match constraint:
        case MLImageConstraint():
            size = (constraint.pixels_high, constraint.pixels_wide)
            return random.integers(0, 256, size if constraint.color_space.name == "GRAYSCALE" else (*size, 3), np.uint8)
        case MLMultiArrayConstraint():
            numbers = random.random(constraint.shape) if categories is None else random.integers(0, categories, constraint.shape)
            return numbers.astype(constraint.data_type.dtype)
        case MLDictionaryConstraint():
            return {"a": 1.0}
    return 1.0


def as_array(value: Any, labels: Sequence[object]) -> Array:
    """An output of one example as the network had it."""
    if isinstance(value, Image.Image):
        return np.moveaxis(np.asarray(value.convert("RGB"), np.float32), -1, 0)
    return np.array([value[label] for label in labels], np.float32) if isinstance(value, dict) else np.asarray(value)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("swish")
def test_a_real_network_agrees_with_its_layers_in_pytorch(torch: Any, name: str) -> None:
    model = MLModel(shared_model(name))
    if model.models:
        model = model.models[0][1]
    network = network_of(model.spec)
    random, described = np.random.default_rng(7), model.description.input_descriptions_by_name
    rows = [{key: made_up(feature, random, NETWORKS[name].get(key)) for key, feature in described.items()} for _ in range(2)]
    columns = {key: np.stack([row[key] for row in rows]) for key in described}
    for key, feature in described.items():
        if isinstance(feature.constraint, MLImageConstraint):
            columns[key] = preprocessed(network, feature.constraint.color_space.name, columns[key])
    expected = run_layers(torch, network, columns)

    together, alone = model.predict(rows), [model.predict(row) for row in rows]
    outputs = [key for key in model.description.output_descriptions_by_name if key in expected]
    assert outputs
    for number in range(len(rows)):
        for key in outputs:
            reference = expected[key][number]
            for answers in (together, alone):
                made = as_array(answers[number][key], model.description.class_labels)
                np.testing.assert_allclose(made.squeeze(), reference.squeeze(), rtol=1e-4, atol=1e-4 * np.abs(reference).max())
        assert set(together[number]) == set(model.description.output_descriptions_by_name)


def test_the_classifier_of_digits_is_right_as_often_as_its_layers_in_pytorch(torch: Any) -> None:
    with np.load(shared_model("mnist_test_10k.npz")) as file:
        pixels, labels = file["pixels"], file["labels"]
    model = MLModel(shared_model("MNIST_classifier.mlmodel"))
    made = np.array([answer["classLabel"] for answer in model.predict([{"image": image} for image in pixels])])
    network = network_of(model.spec)
    labels_in_order, last = np.array(model.description.class_labels), network.layers[-1].output[0]
    for start in range(0, len(pixels), 500):
        part = slice(start, start + 500)
        scores = run_layers(torch, network, {"image": preprocessed(network, "GRAYSCALE", pixels[part])})[last]
        np.testing.assert_array_equal(made[part], labels_in_order[scores.reshape(len(scores), -1).argmax(axis=1)])
    assert (made == labels).mean() > 0.98


def test_every_real_model_is_listed_here() -> None:
    folder = shared_model("MODELS.md").parent
    assert {path.name for path in folder.glob("*.ml*")} == {*NETWORKS, *OTHERS, *LACKING}


@pytest.mark.parametrize("name", [*NETWORKS, *OTHERS, *LACKING])
@pytest.mark.usefixtures("swish")
def test_a_real_model_predicts_or_says_what_it_lacks(name: str) -> None:
    path = shared_model(name)
    random = np.random.default_rng(3)

    def predict() -> dict[str, Any]:
        model = MLModel(path)
        categories = {**NETWORKS, **OTHERS}.get(name, {})
        described = model.description.input_descriptions_by_name
        answer = model.predict({key: made_up(feature, random, categories.get(key)) for key, feature in described.items()})
        assert set(answer) == set(model.description.output_descriptions_by_name)
        return answer

    if name in LACKING:
        error, word = LACKING[name]
        with pytest.raises(error, match=re.escape(word)):
            predict()
        return
    for value in predict().values():
        if isinstance(value, np.ndarray):
            assert np.isfinite(value).all()
        elif isinstance(value, dict):
            assert sum(value.values()) == pytest.approx(1, rel=1e-4) or not value
        else:
            assert isinstance(value, (str, int, float, Image.Image))
