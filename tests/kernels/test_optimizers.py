from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor.kernels import SGD, Adam, Array, Optimizer
from tests.kernels.cases.case import numbers

OPTIMIZERS = [
    SGD(0.1),
    SGD(0.1, 0.9),
    SGD(0.1, weight_decay=0.3),
    SGD(0.1, 0.9, 0.3),
    Adam(0.01),
    Adam(0.05, 0.8, 0.95, 1e-4),
    Adam(0.05, 0.8, 0.95, 1e-4, weight_decay=0.3),
]
SHAPES = {"a": (7, 5), "b": (3,), "c": (2, 1, 2, 2)}


def start(dtype: str) -> dict[str, Array]:
    return {name: numbers(*shape).astype(dtype) for name, shape in SHAPES.items()}


def gradients(count: int, dtype: str) -> dict[str, Array]:
    return {name: numbers(*shape, seed=count).astype(dtype) for name, shape in SHAPES.items()}


def trained(optimizer: Optimizer, dtype: str = "f4", steps: int = 6) -> dict[str, Array]:
    parameters = start(dtype)
    slots = optimizer.init(parameters)
    for count in range(1, steps + 1):
        optimizer.step(parameters, gradients(count, dtype), slots, count)
    return parameters | slots


def torch_twin(torch: Any, optimizer: Any, parameters: list[Any]) -> Any:
    if isinstance(optimizer, SGD):
        return torch.optim.SGD(parameters, lr=optimizer.learning_rate, momentum=optimizer.momentum, weight_decay=optimizer.weight_decay)
    kind = torch.optim.AdamW if optimizer.weight_decay else torch.optim.Adam
    betas = (optimizer.beta1, optimizer.beta2)
    return kind(parameters, lr=optimizer.learning_rate, betas=betas, eps=optimizer.epsilon, weight_decay=optimizer.weight_decay)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [("f8", 1e-12), ("f4", 1e-5)])
def test_steps_are_those_of_pytorch(optimizer: Any, dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in start(dtype).items()}
    twin = torch_twin(torch, optimizer, list(tensors.values()))
    for count in range(1, 7):
        for name, g in gradients(count, dtype).items():
            tensors[name].grad = torch.tensor(g)
        twin.step()
    for name, tensor in tensors.items():
        np.testing.assert_allclose(trained(optimizer, dtype)[name], tensor.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_momentum_by_hand() -> None:
    w, slots = {"w": np.array([1.0])}, {"w/velocity": np.array([0.0])}
    SGD(0.5, 0.5).step(w, {"w": np.array([2.0])}, slots, 1)
    assert (w["w"][0], slots["w/velocity"][0]) == (0.0, -1.0)
    SGD(0.25, 0.5).step(w, {"w": np.array([2.0])}, slots, 2)  # the new rate does not change the old velocity
    assert (w["w"][0], slots["w/velocity"][0]) == (-1.0, -1.0)


def test_the_first_step_of_adam_is_the_rate_whatever_the_gradient() -> None:
    # both moments are corrected to the gradient and its square: w - rate * g / (|g| + epsilon)
    w = {"w": np.zeros(3)}
    optimizer = Adam(0.125, epsilon=0.0)
    optimizer.step(w, {"w": np.array([4.0, -0.001, 1e6])}, optimizer.init(w), 1)
    np.testing.assert_allclose(w["w"], [-0.125, 0.125, -0.125], rtol=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_state_is_plain_arrays_by_name_and_the_arrays_are_changed_in_place(optimizer: Any) -> None:
    parameters = start("f4")
    slots = optimizer.init(parameters)
    assert all(name.partition("/")[0] in SHAPES and slot.dtype == np.float32 and not slot.any() for name, slot in slots.items())
    kept, before = dict(parameters | slots), start("f4")
    given = {name: g for name, g in gradients(1, "f4").items() if name != "b"}
    for g in given.values():
        g.flags.writeable = False
    optimizer.step(parameters, given, slots, 1)
    assert all((parameters | slots)[name] is array for name, array in kept.items())
    assert not np.array_equal(parameters["a"], before["a"])
    np.testing.assert_array_equal(parameters["b"], before["b"])  # no gradient, no step
    assert not any(slot.any() for name, slot in slots.items() if name.startswith("b/"))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_any_way_of_cutting_the_elements_gives_the_same_bits(optimizer: Any) -> None:
    parameters = start("f4")
    slots = optimizer.init(parameters)
    for count in range(1, 7):
        for cut in (slice(0, 4), slice(4, None)):
            parts = [
                {name: array.reshape(-1)[cut] for name, array in group.items()} for group in (parameters, gradients(count, "f4"), slots)
            ]
            optimizer.step(*parts, count)
    for name, array in trained(optimizer).items():
        np.testing.assert_array_equal((parameters | slots)[name], array)


def test_what_cannot_be_changed_in_place_is_refused() -> None:
    g, fixed = np.ones((2, 3), "f4"), np.ones((2, 3), "f4")
    fixed.flags.writeable = False
    for w, said in (
        (np.ones((3, 2), "f4"), r"w: expected float32 \[2, 3\], as its gradient is, got float32 \[3, 2\]"),
        (np.ones((2, 3)), r"w: expected float32 \[2, 3\].*got float64 \[2, 3\]"),
        (np.ones((3, 2), "f4").T, "w: expected a C-contiguous array that can be written"),
        (fixed, "w: expected a C-contiguous array that can be written"),
    ):
        with pytest.raises(ValueError, match=said):
            SGD(0.1).step({"w": w}, {"w": g}, {}, 1)
    with pytest.raises(ValueError, match="count: expected the number of the step, from 1, got 0"):
        Adam(0.1).step({"w": g.copy()}, {"w": g}, {}, 0)
