from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tailor.kernels import (
    Array,
    categorical_cross_entropy,
    categorical_cross_entropy_gradient,
    mean_squared_error,
    mean_squared_error_gradient,
    softmax_cross_entropy_gradient,
)
from tests.kernels.cases.case import numbers

P = np.array([[0.25, 0.5, 0.25], [0.125, 0.125, 0.75]])
TARGET = np.array([1, 2])


def differences(loss: Callable[[Array], Array], x: Array, step: float = 1e-6) -> Array:
    """Central differences of the sum of losses."""
    found = np.empty_like(x)
    for at in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[at] = step
        found[at] = (loss(x + moved).sum() - loss(x - moved).sum()) / (2 * step)
    return found


def test_cross_entropy_by_hand() -> None:
    np.testing.assert_allclose(categorical_cross_entropy(P, TARGET), [np.log(2.0), np.log(4 / 3)])
    np.testing.assert_allclose(categorical_cross_entropy_gradient(P, TARGET), [[0, -2.0, 0], [0, 0, -4 / 3]])
    np.testing.assert_allclose(softmax_cross_entropy_gradient(P, TARGET), [[0.25, -0.5, 0.25], [0.125, 0.125, -0.25]])


def test_cross_entropy_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
    logits = torch.tensor(numbers(5, 4), requires_grad=True)
    target = np.array([0, 3, 1, 1, 2])
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor(target), reduction="none")
    losses.sum().backward()
    p = torch.softmax(logits, dim=1).detach().numpy()
    np.testing.assert_allclose(categorical_cross_entropy(p, target), losses.detach().numpy())
    np.testing.assert_allclose(softmax_cross_entropy_gradient(p, target), logits.grad.numpy(), atol=1e-12)


def test_mean_squared_error_by_hand() -> None:
    y, target = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 4.0], [0.0, 4.0]])
    np.testing.assert_array_equal(mean_squared_error(y, target), [2.0, 5.0])
    np.testing.assert_array_equal(mean_squared_error_gradient(y, target), [[0.0, -2.0], [3.0, 1.0]])


def test_gradients_are_those_of_central_differences() -> None:
    np.testing.assert_allclose(
        categorical_cross_entropy_gradient(P, TARGET), differences(lambda p: categorical_cross_entropy(p, TARGET), P), rtol=1e-6
    )
    y, target = numbers(3, 2, 4), numbers(3, 2, 4, seed=1)
    np.testing.assert_allclose(
        mean_squared_error_gradient(y, target), differences(lambda x: mean_squared_error(x, target), y), rtol=1e-6, atol=1e-8
    )


def test_float32_stays_float32_and_nothing_is_changed() -> None:
    p, y = P.astype("f4"), numbers(2, 3).astype("f4")
    p.flags.writeable = y.flags.writeable = False
    target64 = numbers(2, 3, seed=1)
    answers = [f(p, TARGET) for f in (categorical_cross_entropy, categorical_cross_entropy_gradient, softmax_cross_entropy_gradient)]
    answers += [f(y, target64) for f in (mean_squared_error, mean_squared_error_gradient)]
    assert {answer.dtype for answer in answers} == {np.dtype("f4")}


def test_a_probability_of_zero_is_a_large_loss_not_an_infinite_one() -> None:
    p = np.array([[0.0, 1.0]], "f4")
    assert 87.0 < categorical_cross_entropy(p, np.array([0]))[0] < 88.0
    assert np.isfinite(categorical_cross_entropy_gradient(p, np.array([0]))).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: categorical_cross_entropy(P, np.array([1, 3])), "class indices from 0 to 2, got 3"),
        (lambda: categorical_cross_entropy(P, np.array([-1, 0])), "class indices from 0 to 2, got -1"),
        (lambda: categorical_cross_entropy(P, np.array([1.0, 0.0])), "class indices as integers, got float64"),
        (lambda: softmax_cross_entropy_gradient(P, np.array([1])), r"one class index each, got shapes \[2, 3\] and \[1\]"),
        (lambda: categorical_cross_entropy_gradient(P[0], TARGET), r"probabilities \[N, C\].*got shapes \[3\]"),
        (lambda: mean_squared_error(P, P[:, :2]), r"target of shape \[2, 3\], got \[2, 2\]"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Array], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
