"""PyTorch modules, converted by coremltools: they answer as PyTorch does, and learn as it does what required a gradient."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import tailor
from tailor import (
    MLArrayBatchProvider,
    MLFormatError,
    MLModel,
    MLModelConfiguration,
    MLModelError,
    MLParameterKey,
    MLUnsupportedError,
    MLUpdateTask,
)
from tailor.building import AdamParams, NeuralNetworkBuilder, SgdParams
from tests.format.peers import coremltools

# Of what coremltools and PyTorch warn each other, and of outputs that are renamed.
pytestmark = pytest.mark.filterwarnings("ignore")
COUNT, CLASSES = 6, 3
LABELS = ["a", "b", "c"]
TARGETS = [0, 2, 1, 1, 0, 2]
IMAGES = {"x": (1, 1, 8, 8)}


def torch() -> Any:
    """PyTorch; skips the test where it, or coremltools, is absent."""
    coremltools()
    return pytest.importorskip("torch", reason="needs PyTorch")


def network(frozen: Sequence[int], softmax: bool = False) -> Any:
    """Two convolutions, a batch normalisation with statistics, two inner products; layers numbered ``frozen`` need no gradient."""
    nn = torch().nn
    torch().manual_seed(1)
    layers = [
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2, bias=False),
        nn.ReLU(), nn.Flatten(), nn.Linear(45, 7), nn.Tanh(), nn.Linear(7, CLASSES),
    ]  # fmt: skip
    module = nn.Sequential(*layers, *([nn.Softmax(1)] if softmax else []))
    for array, low in ((module[1].running_mean, -0.5), (module[1].running_var, 0.5), (module[1].weight, 0.5)):
        nn.init.uniform_(array, low, 1)
    for number in frozen:
        module[number].requires_grad_(False)
    return module.eval()


def images() -> Any:
    return torch().rand(COUNT, 1, 8, 8, generator=torch().Generator().manual_seed(2))


def examples(model: MLModel) -> MLArrayBatchProvider:
    """The images, with the target that the model asks for."""
    name, target = model.description.training_input_descriptions_by_name
    assert (name, target) in (("x", "y_true"), ("x", "classLabel"))
    values = [[number] if target == "y_true" else LABELS[number] for number in TARGETS]
    return MLArrayBatchProvider([{"x": image[None].numpy(), target: value} for image, value in zip(images(), values, strict=True)])


def answers(model: MLModel) -> Any:
    return np.concatenate([answer["y"] for answer in model.predict([{"x": image[None].numpy()} for image in images()])])


def weights(model: MLModel) -> dict[str, bytes]:
    """The bytes of every layer."""
    return {layer.name: layer.SerializeToString() for layer in NeuralNetworkBuilder(spec=model).nn_spec.layers}


def teach(module: Any, logits: Any) -> None:
    """An epoch of PyTorch's own: gradient descent of rate 0.25 on batches of two."""
    functional = importlib.import_module("torch.nn.functional")
    optimizer = torch().optim.SGD([parameter for parameter in module.parameters() if parameter.requires_grad], 0.25)
    for first in range(0, COUNT, 2):
        optimizer.zero_grad()
        rows = slice(first, first + 2)
        functional.cross_entropy(logits(images()[rows]), torch().tensor(TARGETS[rows])).backward()
        optimizer.step()


# What Core ML lets gradients pass through, and what comes after the loss's softmax.
BETWEEN = {
    "convolution", "innerProduct", "batchnorm", "pooling", "flatten", "activation.ReLU", "activation.tanh",
    "softmax", "squeeze",
}  # fmt: skip

CASES = {
    "frozen front": ([0, 1], False, None),
    "frozen front, probabilities": ([0, 1], True, None),
    "frozen front, labels": ([0, 1], True, LABELS),
    "all but the normalisation": ([1], False, None),
}


@cache
def converted(case: str) -> MLModel:
    frozen, softmax, labels = CASES[case]
    return tailor.convert(
        network(frozen, softmax), inputs=IMAGES, outputs=["y"], class_labels=labels, respect_trainable=True,
        loss="categorical_cross_entropy", optimizer=SgdParams(lr=0.25, batch=2), epochs=1, allowed_epochs=[1, 2, 3],
    )  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES)
async def test_a_module_learns_as_in_pytorch_and_only_what_required_a_gradient(case: str) -> None:
    frozen, softmax, labels = CASES[case]
    module, model = network(frozen, softmax), converted(case)
    learning = [layer.name for layer in model.layers if layer.updatable]
    assert len(learning) == sum(number not in frozen for number in (0, 4, 7, 9))
    assert {layer.kind for layer in model.layers} <= BETWEEN

    def agree(model: MLModel) -> None:
        expected = module(images()).detach().numpy()
        if labels is None:
            np.testing.assert_allclose(answers(model), expected, rtol=2e-4, atol=2e-6)
            return
        for image, row in zip(images(), expected, strict=True):
            answer = model.predict({"x": image[None].numpy()})
            assert answer["y"] == pytest.approx(dict(zip(LABELS, row, strict=True)), rel=2e-4)

    agree(model)
    configuration = MLModelConfiguration(parameters={MLParameterKey.SHUFFLE: False})
    context = await MLUpdateTask(model, examples(model), configuration)
    before, after = weights(model), weights(context.model)
    assert [name for name in before if before[name] != after[name]] == learning
    teach(module, logits=module[:-1] if softmax else module)
    agree(context.model)


@pytest.mark.anyio
async def test_a_regression_learns_as_in_pytorch_by_adam() -> None:
    module = network([0, 1, 4])
    model = tailor.convert(
        module, inputs={"x": images()[:1]}, outputs=["y"], respect_trainable=True, loss="mean_squared_error",
        optimizer=AdamParams(lr=0.01, batch=3),
    )  # fmt: skip
    targets = torch().rand(COUNT, CLASSES, generator=torch().Generator().manual_seed(3))
    data = MLArrayBatchProvider([{"x": x[None].numpy(), "y_true": y[None].numpy()} for x, y in zip(images(), targets, strict=True)])
    context = await MLUpdateTask(model, data, MLModelConfiguration(parameters={MLParameterKey.SHUFFLE: False}))
    optimizer = torch().optim.Adam([p for p in module.parameters() if p.requires_grad], 0.01)
    for rows in (slice(0, 3), slice(3, 6)):
        optimizer.zero_grad()
        ((module(images()[rows]) - targets[rows]) ** 2).mean().backward()
        optimizer.step()
    np.testing.assert_allclose(answers(context.model), module(images()).detach().numpy(), rtol=1e-3, atol=1e-5)


def test_the_module_given_stays_as_it_is() -> None:
    module = network([0]).train()
    state = {name: array.clone() for name, array in module.state_dict().items()}
    with pytest.warns(UserWarning, match=r"convert: 1\.weight, 1\.bias required a gradient, but cannot be updated"):
        model = tailor.convert(module, inputs=IMAGES, outputs=["y"], respect_trainable=True)
    assert module.training and all(torch().equal(array, state[name]) for name, array in module.state_dict().items())
    assert not model.description.is_updatable
    assert [layer.kind for layer in model.layers if layer.updatable] == ["convolution", "innerProduct", "innerProduct"]
    assert model.description.output_descriptions_by_name["y"].constraint.shape == (1, CLASSES)  # type: ignore[union-attr]


def test_without_respect_nothing_is_marked_and_weights_are_merged() -> None:
    module = network([])
    model = tailor.convert(module, inputs=[coremltools().TensorType("x", (1, 1, 8, 8))], outputs=["y"])
    assert not any(layer.updatable for layer in model.layers) and "batchnorm" not in [layer.kind for layer in model.layers]
    np.testing.assert_allclose(answers(model), module(images()).detach().numpy(), rtol=2e-4, atol=2e-6)
    traced = tailor.convert(torch().jit.trace(module, images()[:1]), inputs=IMAGES, outputs=["y"])
    np.testing.assert_array_equal(answers(traced), answers(model))


def test_whole_numbers_go_in_as_such_and_an_embedding_stays_as_it_is() -> None:
    nn = torch().nn
    module = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 2))
    words = torch().tensor([[4, 0, 2]])
    for inputs in ({"x": words}, [coremltools().TensorType("x", (1, 3), dtype=np.int32)]):
        with pytest.warns(UserWarning, match=r"convert: 0\.weight required a gradient"):
            model = tailor.convert(module, inputs=inputs, outputs=["y"], respect_trainable=True)
        np.testing.assert_allclose(model.predict({"x": words.numpy()})["y"], module(words).detach().numpy(), rtol=1e-5, atol=1e-6)
        assert [layer.kind for layer in model.layers if layer.updatable] == ["innerProduct"]


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no inputs": ({}, MLFormatError, "inputs of a PyTorch module"),
    "a loss and nothing that learns": (
        {"inputs": IMAGES, "loss": "mean_squared_error"}, MLFormatError, "respect_trainable=True with a loss",
    ),
    "another loss": (
        {"inputs": IMAGES, "loss": "hinge", "respect_trainable": True},
        MLFormatError, "categorical_cross_entropy or mean_.* got 'hinge'",
    ),
    "cross entropy of many": (
        {"inputs": {"x": (2, 1, 8, 8)}, "loss": "categorical_cross_entropy", "respect_trainable": True},
        MLFormatError, r"of shape \[2, 3\]",
    ),
    "squares of labels": (
        {"inputs": IMAGES, "loss": "mean_squared_error", "respect_trainable": True, "class_labels": LABELS},
        MLFormatError, "categorical_cross_entropy for a classifier",
    ),
    "inputs of another shape": ({"inputs": {"x": (1, 2, 8, 8)}}, MLUnsupportedError, "that coremltools can convert .* 2 channels"),
    "labels that are none": (
        {"inputs": IMAGES, "class_labels": [1.5]}, MLUnsupportedError, "expected a model that coremltools can convert",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_refused(case: str) -> None:
    options, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        tailor.convert(network([0, 1]), **options)


def test_a_loss_needs_something_that_learns() -> None:
    with pytest.raises(MLFormatError, match="expected a convolution or an inner product that required a gradient, got none"):
        tailor.convert(network([0, 1, 4, 7, 9]), inputs=IMAGES, loss="mean_squared_error", respect_trainable=True)


def test_other_things_are_no_models() -> None:
    with pytest.raises(MLModelError, match=r"expected a torch\.nn\.Module or a Keras model, got list"):
        tailor.convert([])


def test_without_coremltools_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = network([])
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(ModuleNotFoundError, match=r"tailor\.convert: coremltools is not installed; pip install 'tailor\[convert\]'"):
        tailor.convert(module, inputs=IMAGES)
