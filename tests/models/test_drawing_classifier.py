"""Apple's drawing classifier, taught digits: a network, then nearest neighbours that start empty."""

from __future__ import annotations

import numpy as np
import pytest

from tailor import MLArrayBatchProvider, MLUpdateTask
from tailor.kernels import Array
from tailor.runtime.format import Model, load_model
from tailor.runtime.models import PipelinePredictor, build_predictor
from tests.places import shared_model


@pytest.fixture(scope="module")
def digits() -> tuple[Array, list[str]]:
    with np.load(shared_model("mnist_test_10k.npz")) as data:
        return data["pixels"], data["labels"].astype(str).tolist()


@pytest.fixture
def classifier() -> Model:
    return load_model(shared_model("UpdatableDrawingClassifier.mlmodel"))


@pytest.fixture(scope="module")
def embedding() -> Model:
    return load_model(shared_model("TinyDrawingEmbedding.mlmodel"))


def test_the_front_is_the_embedding_network(classifier: Model, embedding: Model, digits: tuple[Array, list[str]]) -> None:
    images, labels = digits[0][:50], digits[1][:50]
    front = build_predictor(classifier, {}, "drawing")
    assert isinstance(front, PipelinePredictor)
    columns = front.front_columns({"drawing": images, "label": labels}, 50)
    assert list(columns) == ["embedding", "label"]
    assert columns["label"] == labels
    output = embedding.description.output[0].name
    alone = build_predictor(embedding, {}, "embedding").predict({embedding.description.input[0].name: images}, 50)[output]
    np.testing.assert_array_equal(columns["embedding"], alone)
    assert np.asarray(alone).shape == (50, 128)
    assert np.asarray(alone).dtype == np.float32


def test_untaught_it_answers_unknown(classifier: Model, digits: tuple[Array, list[str]]) -> None:
    made = build_predictor(classifier, {}, "drawing").predict({"drawing": digits[0][:2]}, 2)
    assert made == {"label": ["unknown", "unknown"], "labelProbs": [{}, {}]}


# The shares come from PyTorch for the network and NumPy for the neighbours, with the same examples, k and weighting.
@pytest.mark.anyio
@pytest.mark.parametrize(("examples", "share"), [(10, 0.546), (30, 0.648)])
async def test_taught_a_few_examples_of_each_digit_it_labels_others(digits: tuple[Array, list[str]], examples: int, share: float) -> None:
    pixels, labels = digits
    taught = [place for digit in "0123456789" for place in np.flatnonzero(np.array(labels) == digit)[:examples]]
    lessons = MLArrayBatchProvider([{"drawing": pixels[place], "label": labels[place]} for place in taught])
    context = await MLUpdateTask(shared_model("UpdatableDrawingClassifier.mlmodel"), lessons)
    answers = context.model.predict([{"drawing": drawing} for drawing in pixels[5000:7000]])
    right = [answer["label"] == label for answer, label in zip(answers, labels[5000:7000], strict=True)]
    assert np.mean(right) == pytest.approx(share, abs=0.005)
    for answer in answers:
        shares = answer["labelProbs"]
        assert list(shares) == list("0123456789")
        assert sum(shares.values()) == pytest.approx(1)
        assert shares[answer["label"]] == max(shares.values())
