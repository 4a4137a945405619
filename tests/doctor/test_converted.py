"""PyTorch modules as coremltools converts them today come out untrainable; the doctor makes them trainable.

They answer as before to 1e-5, and learn as in PyTorch, from the same weights on the same batches, to 1e-3.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailor import (
    MLArrayBatchProvider,
    MLMetricKey,
    MLModel,
    MLModelConfiguration,
    MLParameterKey,
    MLUpdateProgressEvent,
    MLUpdateProgressHandlers,
    MLUpdateTask,
)
from tailor.building import SgdParams
from tests.cli.models import Terminal
from tests.format.peers import coremltools

# Of what coremltools and PyTorch warn each other.
pytestmark = pytest.mark.filterwarnings("ignore")
COUNT, BATCH, EPOCHS, RATE = 12, 4, 3, 0.2
LABELS = ["a", "b", "c"]


def torch() -> Any:
    """PyTorch; skips the test where it, or coremltools, is absent."""
    coremltools()
    return pytest.importorskip("torch", reason="needs PyTorch")


def image_network() -> Any:
    nn = torch().nn
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2), nn.Sigmoid(), nn.Flatten(),
        nn.Linear(45, 7), nn.Tanh(), nn.Linear(7, 3), nn.Softmax(1),
    )  # fmt: skip


def products() -> Any:
    """Reshapes, and matrix products written out."""

    class Products(torch().nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            nn = torch().nn
            self.front = nn.Conv2d(1, 4, 3)
            self.middle = nn.Parameter(torch().randn(144, 5) / 12)
            self.middle_bias = nn.Parameter(torch().randn(5) / 3)
            self.head = nn.Parameter(torch().randn(1, 5, 3))
            self.head_bias = nn.Parameter(torch().randn(3) / 3)

        def forward(self, x: Any) -> Any:
            x = torch().flatten(torch().relu(self.front(x)), 1)
            x = torch().tanh(torch().matmul(x, self.middle) + self.middle_bias).unsqueeze(1)
            return torch().softmax((torch().matmul(x, self.head) + self.head_bias).squeeze(1), -1)

    return Products()


MODULES: dict[str, tuple[Callable[[], Any], bool, set[str], int]] = {
    # the module; whether it is converted with class labels; what makes it untrainable; how many layers learn afterwards
    "convolutions": (image_network, False, {"reshapeStatic", "softmaxND"}, 4),
    "a classifier": (image_network, True, {"reshapeStatic", "softmaxND"}, 4),
    "matrix products": (products, False, {"reshapeStatic", "expandDims", "batchedMatmul", "squeeze", "softmaxND"}, 3),
}


@cache
def module(case: str) -> Any:
    torch().manual_seed(4)
    return MODULES[case][0]().eval()


@cache
def converted(case: str) -> bytes:
    """What coremltools writes."""
    ct = coremltools()
    options = {"classifier_config": ct.ClassifierConfig(LABELS)} if MODULES[case][1] else {}
    traced = torch().jit.trace(module(case), torch().zeros(1, 1, 8, 8))
    made = ct.convert(traced, inputs=[ct.TensorType("x", (1, 1, 8, 8))], convert_to="neuralnetwork", **options)
    return bytes(made.get_spec().SerializeToString())


def images() -> Any:
    return torch().rand(COUNT, 1, 8, 8, generator=torch().Generator().manual_seed(2))


def targets() -> Any:
    return (torch().arange(COUNT) * 7) % 3


def probabilities(model: MLModel) -> Any:
    """What the model says of the images, ``[COUNT, 3]``."""
    name = model.description.predicted_probabilities_name or next(iter(model.description.output_descriptions_by_name))
    made = [answer[name] for answer in model.predict([{"x": image[None].numpy()} for image in images()])]
    return np.array([[one[label] for label in LABELS] if isinstance(one, dict) else one.reshape(-1) for one in made])


def taught(module: Any) -> list[float]:
    """PyTorch's losses, batch by batch."""
    functional = importlib.import_module("torch.nn.functional")
    optimizer = torch().optim.SGD(module.parameters(), RATE)
    losses = []
    for _ in range(EPOCHS):
        for first in range(0, COUNT, BATCH):
            rows = slice(first, first + BATCH)
            loss = functional.nll_loss(torch().log(module(images()[rows])), targets()[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
    return losses


@pytest.mark.anyio
@pytest.mark.parametrize("case", MODULES)
async def test_a_converted_module_is_made_trainable_and_learns_as_in_pytorch(case: str, tmp_path: Path) -> None:
    _, labelled, blocking, learning = MODULES[case]
    before = MLModel(converted(case))
    found = before.trainability()
    assert not found.accepted_by_core_ml and not found.accepted_by_tailor
    assert blocking <= {row.kind for row in before.layers}
    assert all(row.core_ml for row in found.layers)

    model, report = before.repaired(optimizer=SgdParams(lr=RATE, batch=BATCH), parameters={MLParameterKey.EPOCHS: EPOCHS})
    assert report.after.findings == (), report
    assert all(repair.applied for repair in report.repairs)
    np.testing.assert_allclose(probabilities(model), probabilities(before), rtol=0, atol=1e-5)
    np.testing.assert_allclose(probabilities(model), module(case)(images()).detach().numpy(), rtol=0, atol=1e-5)
    assert sum(row.updatable for row in model.layers) == learning

    model.write(tmp_path / "fixed.mlmodel")
    spec = coremltools().utils.load_spec(str(tmp_path / "fixed.mlmodel"))
    assert spec.isUpdatable and spec.WhichOneof("Type") == model.model_type

    losses: list[float] = []
    events = MLUpdateProgressEvent.MINI_BATCH_END
    handlers = MLUpdateProgressHandlers(events, lambda context: losses.append(context.metrics[MLMetricKey.LOSS_VALUE]))
    name, target = MLModel(tmp_path / "fixed.mlmodel").description.training_input_descriptions_by_name
    rows = [
        {name: image[None].numpy(), target: LABELS[label] if labelled else [label]}
        for image, label in zip(images(), targets().tolist(), strict=True)
    ]
    configuration = MLModelConfiguration(parameters={MLParameterKey.SHUFFLE: False})
    context = await MLUpdateTask(
        MLModel(tmp_path / "fixed.mlmodel"), MLArrayBatchProvider(rows), configuration, progress_handlers=handlers
    )
    mirror = importlib.import_module("copy").deepcopy(module(case))
    assert losses == pytest.approx(taught(mirror), rel=1e-3)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    np.testing.assert_allclose(probabilities(context.model), mirror(images()).detach().numpy(), rtol=1e-3, atol=1e-5)


def test_on_the_command_line_too(tailor: Terminal, tmp_path: Path) -> None:
    """From what coremltools writes to a model that has learnt, by commands alone."""
    before, fixed, data = (tmp_path / name for name in ("converted.mlmodel", "fixed.mlmodel", "data.npz"))
    before.write_bytes(converted("matrix products"))
    (output,) = MLModel(before).description.output_descriptions_by_name
    np.savez(data, **{"x": images().numpy()[:, None], f"{output}_true": targets().numpy()[:, None].astype(np.int32)})

    def run(*arguments: object) -> Any:
        assert tailor(*arguments, "--json") == 0, tailor.err
        return json.loads(tailor.out)

    assert not run("doctor", before)["acceptedByCoreML"]
    told = run("doctor", before, "--repair", "-o", fixed, "--set", "epochs=4", "--set", "learningRate=0.2")
    assert told["after"]["acceptedByCoreML"] and told["after"]["acceptedByTailor"] and told["before"]["findings"]
    assert max(repair["difference"] or 0 for repair in told["repairs"]) < 1e-5
    losses = run("update", fixed, "--data", data, "-o", tmp_path / "learnt.mlmodel", "--no-shuffle")["losses"]
    assert len(losses) == 4 and losses[-1] < losses[0]


@pytest.fixture
def tailor(capsys: pytest.CaptureFixture[str]) -> Terminal:
    """The command line."""
    return Terminal(capsys)
