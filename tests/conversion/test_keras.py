"""Keras models, converted by coremltools: they answer as Keras does, and learn as it does what is trainable.

Needs a TensorFlow that coremltools can read (2.12 to 2.15, which come with Keras 2).
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import tailor
from tailor import MLArrayBatchProvider, MLModelConfiguration, MLParameterKey, MLUpdateTask
from tailor.building import SgdParams
from tests.format.peers import coremltools

pytestmark = pytest.mark.filterwarnings("ignore")
RNG = np.random.default_rng(8)
IMAGES, LABELS = RNG.random((6, 6, 6, 1), np.float32), [2, 0, 1, 1, 2, 0]


def keras() -> Any:
    """Keras 2; skips the test where there is none."""
    coremltools()
    tensorflow = pytest.importorskip("tensorflow", reason="needs TensorFlow 2.12 to 2.15", exc_type=ImportError)
    if not tensorflow.__version__.startswith(("2.12", "2.13", "2.14", "2.15")):
        pytest.skip(f"needs TensorFlow 2.12 to 2.15 with Keras 2, got {tensorflow.__version__}")
    return importlib.import_module("tensorflow").keras


def network(frozen: bool = True) -> Any:
    layers = keras().layers
    made = keras().Sequential(
        [
            layers.Input((6, 6, 1), name="x"),
            layers.Conv2D(3, 3, activation="relu", trainable=not frozen, name="front"),
            layers.BatchNormalization(trainable=not frozen, name="norm"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(5, activation="tanh", name="middle"),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )
    for weight in made.weights:
        signs = [-1, 1] if len(weight.shape) > 1 else [1]  # a variance is positive
        weight.assign(RNG.uniform(0.2, 1, weight.shape) * RNG.choice(signs, weight.shape))
    return made


@pytest.mark.anyio
async def test_a_model_learns_as_in_keras_and_only_what_is_trainable() -> None:
    module = network()
    given = [array.copy() for array in module.get_weights()]
    optimizer = SgdParams(lr=0.25, batch=3)
    model = tailor.convert(module, outputs=["y"], respect_trainable=True, loss="categorical_cross_entropy", optimizer=optimizer)
    for array, kept in zip(module.get_weights(), given, strict=True):
        np.testing.assert_array_equal(array, kept)
    learning = [layer.name for layer in model.layers if layer.updatable]
    assert len(learning) == 2 and {layer.kind for layer in model.layers if layer.updatable} == {"innerProduct"}

    def agree(model: tailor.MLModel) -> None:
        answers = np.concatenate([answer["y"] for answer in model.predict([{"x": image[None]} for image in IMAGES])])
        np.testing.assert_allclose(answers, module.predict(IMAGES, verbose=0), rtol=2e-4, atol=1e-6)

    agree(model)
    data = MLArrayBatchProvider([{"x": image[None], "y_true": [label]} for image, label in zip(IMAGES, LABELS, strict=True)])
    context = await MLUpdateTask(model, data, MLModelConfiguration(parameters={MLParameterKey.SHUFFLE: False}))
    module.compile(keras().optimizers.SGD(0.25), "sparse_categorical_crossentropy")
    module.fit(IMAGES, np.array(LABELS), batch_size=3, epochs=1, shuffle=False, verbose=0)
    agree(context.model)


def test_what_cannot_be_updated_is_named() -> None:
    with pytest.warns(UserWarning, match=r"norm/gamma:0, norm/beta:0 required a gradient, but cannot be updated"):
        model = tailor.convert(network(frozen=False), outputs=["y"], respect_trainable=True)
    assert [layer.kind for layer in model.layers if layer.updatable] == ["convolution", "innerProduct", "innerProduct"]
