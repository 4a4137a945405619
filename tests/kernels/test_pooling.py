"""What the laws do not reach: ties, for which there are no central differences, and windows without pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor.kernels import OPS, Array

POOLING = OPS["pooling"]


def gradient(x: Array, g: Array, **attributes: Any) -> Array:
    assert POOLING.backward is not None
    (answer,) = POOLING.backward(g, POOLING.forward(x, **attributes), x, needs=(True,), **attributes)
    return np.asarray(answer)


@pytest.mark.parametrize("stride", [(2, 2), (1, 1)])
def test_a_tie_is_won_by_the_first_row_by_row(stride: tuple[int, int]) -> None:
    x = np.array([[[0.0, 7.0], [7.0, 7.0]]])
    found = gradient(x, np.array([[[3.0]]]), kind="max", kernel=(2, 2), stride=stride)
    np.testing.assert_array_equal(found, [[[0.0, 3.0], [0.0, 0.0]]])


@pytest.mark.parametrize(("kernel", "stride", "amount"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0), (3, 3, 0)])
def test_ties_are_won_as_in_pytorch(kernel: int, stride: int, amount: int) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
    random = np.random.default_rng(2)
    x = torch.tensor(random.integers(0, 3, (4, 3, 9, 8)).astype("f8"), requires_grad=True)
    y = torch.nn.functional.max_pool2d(x, kernel, stride, padding=amount)
    g = random.standard_normal(y.shape)
    y.backward(torch.tensor(g))
    attributes = {"kind": "max", "kernel": (kernel,) * 2, "stride": (stride,) * 2, "amounts": (amount,) * 4}
    np.testing.assert_allclose(gradient(x.detach().numpy(), g, **attributes), x.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3)])
def test_not_a_number_is_not_hidden(kernel: tuple[int, int]) -> None:
    x = np.zeros((1, 6, 6))
    x[0, 1, 1] = np.nan
    y = POOLING.forward(x, kind="max", kernel=kernel, stride=kernel)
    assert np.isnan(y[0, 0, 0]) and np.isfinite(y[0, 1:]).all()


@pytest.mark.parametrize(("kind", "nothing"), [("max", -np.inf), ("average", 0.0), ("l2", 0.0)])
def test_a_window_without_pixels(kind: str, nothing: float) -> None:
    # by the format's formula 5 pixels in strides of 3 make ceil(4 / 3) + 1 = 3 windows, at 0, 3 and 6
    attributes = {"kind": kind, "kernel": (1, 1), "stride": (1, 3), "padding": "include_last_pixel"}
    x = np.array([[[1.0, 2.0, 3.0, 4.0, 5.0]]])
    np.testing.assert_array_equal(POOLING.forward(x, **attributes), [[[1.0, 4.0, nothing]]])
    expected = [[[1.0, 0.0, 0.0, 1.0, 0.0]]]
    np.testing.assert_array_equal(gradient(x, np.ones((1, 1, 3)), **attributes), expected)
