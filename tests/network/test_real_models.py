"""Real models: what they answer and how they learn, against PyTorch and NumPy working from the same weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from tailor.kernels import SGD, Adam, Array
from tailor.runtime.format import decode_weights, layers, load_model
from tailor.runtime.models.network import NetworkPredictor
from tailor.runtime.models.network_learner import NetworkLearner
from tests.places import shared_model

FIRST_LOSSES = [2.4594, 2.3689, 2.3032, 2.2845, 2.2520]


@cache
def digits() -> tuple[Array, Array]:
    with np.load(shared_model("mnist_test_10k.npz")) as file:
        return file["pixels"], file["labels"]


@cache
def mnist_losses() -> list[float]:
    """The mean losses of the 40 mini-batches of the first epoch, images 0 to 4999 in order."""
    pixels, labels = digits()
    learner = NetworkLearner(load_model(shared_model("MNIST_Model.mlmodel")), "MNIST_Model")
    means = []
    for start in range(0, 5000, 128):
        cut = slice(start, min(start + 128, 5000))
        columns = {"image": (pixels[cut, None] / np.float32(255)), "output_true": labels[cut, None].astype(np.int32)}
        losses = learner.step(columns, cut.stop - start, Adam(1e-4))
        means.append(float(np.mean(np.asarray(losses))))
    learner.close()
    return means


def test_the_first_losses_of_a_real_update() -> None:
    assert mnist_losses()[:5] == pytest.approx(FIRST_LOSSES, rel=1e-3)


def test_an_epoch_of_a_real_update_like_pytorch(torch: Any) -> None:
    parameters = NetworkLearner(load_model(shared_model("MNIST_Model.mlmodel")), "MNIST_Model", 1).parameters
    w = {name: torch.tensor(array, requires_grad=True) for name, array in parameters.items()}
    descent = torch.optim.Adam(w.values(), lr=1e-4)
    functional = torch.nn.functional
    pixels, labels = digits()
    expected = []
    for start in range(0, 5000, 128):
        cut = slice(start, min(start + 128, 5000))
        x = torch.tensor(pixels[cut, None] / np.float32(255))
        x = functional.max_pool2d(torch.relu(functional.conv2d(x, w["conv1.weights"], w["conv1.bias"])), 2)
        x = functional.max_pool2d(torch.relu(functional.conv2d(x, w["conv2.weights"], w["conv2.bias"])), 2)
        x = x.permute(0, 2, 3, 1).flatten(1)  # the model flattens with the channels last
        x = torch.relu(functional.linear(x, w["hidden1.weights"], w["hidden1.bias"]))
        loss = functional.cross_entropy(
            functional.linear(x, w["hidden2.weights"], w["hidden2.bias"]), torch.tensor(labels[cut], dtype=torch.int64)
        )
        descent.zero_grad()
        loss.backward()
        descent.step()
        expected.append(loss.item())
    assert len(expected) == 40
    np.testing.assert_allclose(mnist_losses(), expected, rtol=1e-3)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    pixels, labels = digits()
    columns = {"image": pixels[:128, None] / np.float32(255), "output_true": labels[:128, None].astype(np.int32)}
    learners = [NetworkLearner(load_model(shared_model("MNIST_Model.mlmodel")), "MNIST_Model", threads) for threads in (1, 2, 3)]
    for learner in learners:
        for _ in range(2):
            learner.step(columns, 128, Adam(1e-4))
        learner.close()
        for name, array in learners[0].parameters.items():
            np.testing.assert_array_equal(learner.parameters[name], array, err_msg=name)


def test_a_real_regressor_learns_as_worked_out_in_numpy() -> None:
    table = np.loadtxt(shared_model("HousePrices.csv"))
    spec = load_model(shared_model("HousePrices_updatable.mlmodel"))
    numbers = np.delete(table, [3, 8, 13], axis=1)
    numbers = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    river = table[:, 3].astype(int)
    road = np.searchsorted(np.unique(table[:, 8]), table[:, 8])
    price = table[:, 13:]
    columns = {"categoricalInput1": river[:, None], "categoricalInput2": road[:, None], "numericalInput": numbers, "output_true": price}
    typed = {name: column.astype(np.float32) for name, column in columns.items()}

    shapes = {"embedding1": (2, 2), "embedding2": (5, 9), "dense1": (64, 18), "dense2": (32, 64), "dense3": (1, 32)}
    records = {record.name: record.params for record in layers(spec.neuralNetwork)}
    w = {name: decode_weights(records[name].weights, shape).astype(np.float64) for name, shape in shapes.items()}
    b = {name: decode_weights(records[name].bias, shapes[name][:1]).astype(np.float64) for name in ("dense1", "dense2", "dense3")}

    learner = NetworkLearner(spec, "HousePrices")
    means = []
    for start in [*range(0, 506, 32)] * 3:
        cut = slice(start, start + 32)
        losses = learner.step({name: column[cut] for name, column in typed.items()}, len(price[cut]), SGD(0.001))
        x0 = np.concatenate([numbers[cut], w["embedding1"][:, river[cut]].T, w["embedding2"][:, road[cut]].T], axis=1)
        x1 = np.maximum(x0 @ w["dense1"].T + b["dense1"], 0)
        x2 = np.maximum(x1 @ w["dense2"].T + b["dense2"], 0)
        error = x2 @ w["dense3"].T + b["dense3"] - price[cut]
        np.testing.assert_allclose(losses, error[:, 0] ** 2, rtol=1e-3, atol=1e-3)
        means.append(float(np.mean(np.asarray(losses))))
        g3 = 2 * error / len(error)
        g2 = (g3 @ w["dense3"]) * (x2 > 0)
        g1 = (g2 @ w["dense2"]) * (x1 > 0)
        for name, g, x in (("dense3", g3, x2), ("dense2", g2, x1), ("dense1", g1, x0)):
            w[name] -= 0.001 * g.T @ x
            b[name] -= 0.001 * g.sum(axis=0)
    learner.close()
    assert np.mean(means[-16:]) < 0.5 * np.mean(means[:16])


def test_a_real_classifier_reads_digits() -> None:
    pixels, labels = digits()
    predictor = NetworkPredictor(load_model(shared_model("MNIST_classifier.mlmodel")), "MNIST_classifier")
    made = predictor.predict({"image": pixels[:500]}, 500)
    right = [label == expected for label, expected in zip(made["classLabel"], labels[:500].tolist(), strict=True)]
    assert np.mean(right) > 0.95
    assert all(sum(row.values()) == pytest.approx(1, rel=1e-5) for row in made["prediction"])


def test_a_real_image_network_gives_its_input_back() -> None:
    spec = load_model(shared_model("Image2Image.mlmodel"))
    image = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    made = NetworkPredictor(spec, "Image2Image").predict({spec.description.input[0].name: image}, 1)
    np.testing.assert_array_equal(made[spec.description.output[0].name], image)
