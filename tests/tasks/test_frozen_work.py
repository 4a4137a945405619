"""The frozen part of a model is computed once an example, and the updated model is the same to the bit as if it were not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import correlate

from tailor import (
    MLArrayBatchProvider,
    MLFeatureError,
    MLModel,
    MLModelConfiguration,
    MLParameterError,
    MLPredictionCancelledError,
    MLTaskCancelledError,
    MLUpdateContext,
    MLUpdateError,
    MLUpdateProgressHandlers,
    MLUpdateTask,
)
from tailor import MLParameterKey as Key
from tailor import MLUpdateProgressEvent as Event
from tailor.runtime.format import NeuralNetworkBuilder, SgdParams, array_feature, image_feature
from tailor.runtime.format.features import string_feature
from tailor.runtime.models.network_learner import NetworkLearner
from tailor.runtime.network import stopping
from tailor.runtime.update.kept import Kept
from tests.models.hand_made import classifier, pipeline
from tests.network.models import digits_builder, images, teach, weights

pytestmark = pytest.mark.anyio

COUNT, EPOCHS = 21, 2  # mini-batches of 16 and of 5
FEATURES = 6


def extractor() -> Any:
    """Gray images 8 x 8 -> convolution, ReLU, pooling, a dense layer of few outputs, which BLAS makes."""
    builder = NeuralNetworkBuilder([image_feature("image", 8, 8)], [array_feature("input", (FEATURES,))])
    builder.add_convolution("conv", 1, 4, 3, 3, 1, 1, "same", 1, weights(1, 4, 1, 3, 3), weights(2, 4, 1)[:, 0], True, "image", "c")
    builder.add_activation("relu", "RELU", "c", "r")
    builder.add_pooling("pool", 2, 2, 2, 2, "MAX", "VALID", "r", "p")
    builder.add_flatten("flat", 0, "p", "f")
    builder.add_inner_product("dense", weights(3, FEATURES, 64), None, 64, FEATURES, False, "f", "input")
    return builder.spec


def head(features: int = FEATURES) -> Any:
    """A classifier of the extractor's answers: a dense layer that stays, one that learns."""
    labels = ["cat", "dog", "emu"]
    builder = NeuralNetworkBuilder([array_feature("input", (features,))], [array_feature("scores", (3,))], "classifier", labels)
    builder.add_inner_product("still", weights(4, 5, features), None, features, 5, False, "input", "s")
    builder.add_inner_product("dense", weights(5, 3, 5), weights(6, 3, 1)[:, 0], 5, 3, True, "s", "logits")
    builder.add_softmax("softmax", "logits", "scores")
    return teach(builder, ("dense",))


def joined(last: Any) -> MLModel:
    """A pipeline of the extractor and a classifier that learns."""
    whole = pipeline([extractor(), last], [image_feature("image", 8, 8)], last.description.output, updatable=True)
    label = last.description.predictedFeatureName
    whole.description.predictedFeatureName = label
    whole.description.ClearField("trainingInput")
    whole.description.trainingInput.extend([image_feature("image", 8, 8), string_feature(label)])
    return MLModel.from_spec(whole, "model")


MODELS: dict[str, Callable[[], MLModel]] = {
    "a head on a frozen body": lambda: MLModel.from_spec(teach(digits_builder(["cat", "dog", "emu"]), ("dense",)), "model"),
    "network and network": lambda: joined(head()),
    "network and neighbours": lambda: joined(classifier([], [], dimensions=FEATURES)),
}


class Pictures:
    """Labelled pictures; ``read`` says how often each was."""

    count = COUNT

    def __init__(self, label: str, augments: bool = False) -> None:
        self.read: Counter[int] = Counter()
        self.augments = augments
        self._label = label

    def features_at(self, index: int) -> Mapping[str, object]:
        self.read[index] += 1
        return {"image": images(COUNT)[index], self._label: ["cat", "dog", "emu"][index % 3]}


def configured(model: MLModel, cache_bytes: int = 1 << 20) -> MLModelConfiguration:
    iterative = Key.EPOCHS in model.description.parameter_descriptions_by_key
    parameters = {Key.EPOCHS: EPOCHS, Key.SHUFFLE: True, Key.SEED: 5} if iterative else None
    return MLModelConfiguration(parameters=parameters, cache_bytes=cache_bytes)


async def updated(case: str, cache_bytes: int = 1 << 20, augments: bool = False) -> tuple[bytes, set[int]]:
    """The updated model, and how often examples were read."""
    model = MODELS[case]()
    data = Pictures(model.description.predicted_feature_name, augments)
    context = await MLUpdateTask(model, data, configured(model, cache_bytes))
    assert set(data.read) == set(range(COUNT))
    return context.model.to_bytes(), set(data.read.values())


@pytest.mark.parametrize("case", MODELS)
async def test_the_updated_model_is_the_same_wherever_frozen_work_is_kept(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = 1 if case == "network and neighbours" else EPOCHS
    kept, once = await updated(case)
    assert once == {1}
    assert await updated(case, 0) == (kept, {1})  # in a file
    assert await updated(case, augments=True) == (kept, {epochs})  # not at all
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    assert await updated(case, 0) == (kept, {epochs})  # made anew each time
    partly = await updated(case, 300)
    assert partly == (kept, {1, epochs})
    assert kept != MODELS[case]().to_bytes()


@pytest.mark.parametrize("body", ["a convolution", "a wide dense layer, which BLAS adds up otherwise in a batch"])
def test_an_example_has_the_same_values_in_any_company(body: str) -> None:
    count = 37
    if body == "a convolution":
        spec, inputs = teach(digits_builder(["cat", "dog", "emu"]), ("dense",)), {"image": images(count)}
    else:
        spec, inputs = head(512), {"input": weights(7, count, 512)}
    learner = NetworkLearner(spec, "m", 2)
    columns = {**inputs, "classLabel": ["cat"] * count}
    together = learner.prepared(columns, count)
    assert learner.frozen
    for row in range(count):
        alone = learner.prepared({name: column[row : row + 1] for name, column in columns.items()}, 1)
        for name, column in together.items():
            np.testing.assert_array_equal(column[row], alone[name][0])
    learner.close()


def test_examples_of_different_shapes_have_borders_of_different_shapes() -> None:
    builder = NeuralNetworkBuilder([image_feature("image", 8, 8)], [array_feature("mean", (2,))])
    builder.add_convolution("still", 1, 3, 3, 3, 1, 1, "same", 1, weights(1, 3, 1, 3, 3), None, False, "image", "s")
    builder.add_convolution("conv", 3, 2, 1, 1, 1, 1, "same", 1, weights(2, 2, 3, 1, 1), None, False, "s", "c")
    builder.add_pooling("pool", 1, 1, 1, 1, "AVERAGE", "VALID", "c", "mean", is_global=True)
    builder.make_updatable(["conv"])
    builder.set_mean_squared_error_loss("loss", "mean")
    builder.set_sgd_optimizer(SgdParams(lr=1e-6, batch=4))
    builder.set_epochs(1)
    learner = NetworkLearner(builder.spec, "m", 1)
    pictures = [images(1)[0], np.full((5, 12), 3, np.uint8)]
    prepared = learner.prepared({"image": pictures, "mean_true": np.zeros((2, 2))}, 2)
    assert [row.shape[-3:] for row in prepared["value s"]] == [(3, 8, 8), (3, 5, 12)]
    kept = Kept(2, 1 << 20)
    kept.columns(np.arange(2), lambda numbers: prepared)
    again = kept.columns(np.arange(2), lambda numbers: {})
    losses = [np.asarray(learner.judge(columns, 2)["loss"]) for columns in (prepared, again)]
    np.testing.assert_array_equal(*losses)
    for picture, loss in zip(pictures, losses[0], strict=True):  # by hand: correlate with zeros around, mix the channels, average
        planes = [correlate(picture.astype(np.float64), kernel[0], mode="constant").mean() for kernel in weights(1, 3, 1, 3, 3)]
        assert loss == pytest.approx(np.mean((weights(2, 2, 3, 1, 1)[:, :, 0, 0] @ planes) ** 2), rel=1e-4)
    learner.close()


def test_frozen_work_can_be_stopped_between_layers() -> None:
    learner = NetworkLearner(teach(digits_builder(), ("dense",)), "m", 2)
    with stopping(lambda: True), pytest.raises(MLPredictionCancelledError, match="stopped before layer 'conv'"):
        learner.prepared({"image": images(4), "scores_true": np.zeros((4, 1))}, 4)


def test_where_nothing_is_frozen_in_front_nothing_is_to_be_kept() -> None:
    assert not NetworkLearner(teach(digits_builder(), ("conv",)), "m", 1).frozen
    assert not NetworkLearner(teach(digits_builder()), "m", 1).frozen


@pytest.mark.parametrize("end", ["completes", "is cancelled", "fails"])
async def test_nothing_is_left_of_the_file(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = MODELS["a head on a frozen body"]()
    seen = []

    def handler(context: MLUpdateContext) -> None:
        seen.append((os.listdir(tmp_path), repr(task._training.examples._kept)))
        if end == "is cancelled":
            context.task.cancel()
        elif end == "fails":
            raise ZeroDivisionError

    handlers = MLUpdateProgressHandlers(Event.EPOCH_END, handler)
    task = MLUpdateTask(model, Pictures("classLabel"), configured(model, 0), progress_handlers=handlers)
    ended = "completes"
    try:
        await task
    except MLTaskCancelledError:
        ended = "is cancelled"
    except MLUpdateError:
        ended = "fails"
    assert ended == end
    assert seen[0] == ([], "<Kept: of 21 examples 21 in a file>")
    assert repr(task._training.examples._kept) == "<Kept: of 21 examples none>"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("case", ["a head on a frozen body", "network and network"])
async def test_a_target_that_does_not_fit_names_its_example(case: str) -> None:
    model = MODELS[case]()
    label = model.description.predicted_feature_name
    rows = [{"image": picture, label: "cow" if number == 17 else "cat"} for number, picture in enumerate(images(COUNT))]
    with pytest.raises(
        MLFeatureError, match=rf"epoch 0, mini-batch \d: example 17: training input '{label}': expected one of .* got 'cow'"
    ):
        await MLUpdateTask(model, MLArrayBatchProvider(rows), configured(model))


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "1 GB"])
def test_the_memory_to_keep_in_is_a_number_of_bytes(wrong: Any) -> None:
    with pytest.raises(MLParameterError, match="cache_bytes: expected a whole number of at least 0, got"):
        MLModelConfiguration(cache_bytes=wrong)
