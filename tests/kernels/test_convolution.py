"""What the laws do not reach: blocks of examples."""

from __future__ import annotations

import numpy as np
import pytest

from tailor.kernels import OPS
from tailor.kernels.layers import convolution
from tests.kernels.cases.case import numbers


@pytest.mark.parametrize(("deconvolution", "weights"), [(False, (4, 3, 2, 2)), (True, (3, 4, 2, 2))])
@pytest.mark.parametrize("elements", [1, 2 * 3 * 4 * 16])
def test_blocks_of_examples_do_not_show(
    monkeypatch: pytest.MonkeyPatch, deconvolution: bool, weights: tuple[int, ...], elements: int
) -> None:
    op = OPS["convolution"]
    assert op.backward is not None
    x, w, b = numbers(5, 3, 5, 5), numbers(*weights), numbers(4)
    answers = []
    for limit in (1 << 20, elements):
        monkeypatch.setattr(convolution, "COLUMN_ELEMENTS", limit)
        y = op.forward(x, w, b, deconvolution=deconvolution)
        answers.append((y, *op.backward(numbers(*y.shape), y, x, w, b, needs=(True,) * 3, deconvolution=deconvolution)))
    for together, apart in zip(*answers, strict=True):
        np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-12)


def test_no_examples_are_an_answer_too() -> None:
    op = OPS["convolution"]
    assert op.backward is not None
    x, w = np.zeros((0, 3, 5, 5), "f4"), np.ones((4, 3, 2, 2), "f4")
    y = op.forward(x, w)
    assert y.shape == (0, 4, 4, 4)
    dx, dw = op.backward(y, y, x, w, needs=(True, True))
    assert dx is not None and dx.shape == x.shape
    np.testing.assert_array_equal(dw, np.zeros_like(w))
