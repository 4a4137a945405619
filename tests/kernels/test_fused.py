"""What a fused convolution answers, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor.kernels import FUSED_CONVOLUTION, Array

SLIDING: dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int], dict[str, Any]]] = {
    "large": ((2, 32, 40, 40), (96, 32, 3, 3), {"padding": "same", "stride": (1, 1)}),
    "stride and padding": ((1, 3, 33, 31), (8, 3, 7, 7), {"amounts": (3, 3, 3, 3), "stride": (2, 2)}),
    "pointwise": ((1, 64, 56, 56), (32, 64, 1, 1), {}),
    "pointwise, few pixels": ((2, 256, 7, 7), (512, 256, 1, 1), {}),
    "pointwise, stride": ((1, 64, 29, 29), (64, 64, 1, 1), {"stride": (2, 2)}),
    "few pixels": ((1, 128, 7, 7), (256, 128, 3, 3), {"amounts": (1, 1, 1, 1)}),
    "groups": ((2, 32, 20, 20), (48, 8, 3, 3), {"groups": 4, "dilation": (2, 1)}),
    "depthwise": ((1, 96, 57, 57), (96, 1, 3, 3), {"groups": 96, "amounts": (1, 1, 1, 1)}),
    "depthwise, stride, many": ((2, 6, 20, 21), (12, 1, 3, 3), {"groups": 6, "stride": (2, 2), "amounts": (1, 1, 1, 1)}),
    "depthwise, large": ((1, 4, 20, 20), (4, 1, 5, 5), {"groups": 4, "dilation": (2, 1), "amounts": (2, 2, 2, 2)}),
    "small examples": ((9, 1, 8, 8), (4, 1, 3, 3), {}),
}


def numbers(*shape: int) -> Array:
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


def by_torch(x: Array, w: Array, bias: Array, sliding: dict[str, Any]) -> Array:
    torch = pytest.importorskip("torch", reason="needs PyTorch, an independent source of answers")
    amounts = (1, 1, 1, 1) if sliding.get("padding") == "same" else sliding.get("amounts", (0, 0, 0, 0))
    images = torch.nn.functional.pad(torch.tensor(x, dtype=torch.float64), (amounts[2], amounts[3], amounts[0], amounts[1]))
    doubles = (torch.tensor(array, dtype=torch.float64) for array in (w, bias))
    numbers = sliding.get("stride", (1, 1)), 0, sliding.get("dilation", (1, 1)), sliding.get("groups", 1)
    return np.asarray(torch.nn.functional.conv2d(images, *doubles, *numbers).numpy())


@pytest.mark.parametrize("case", SLIDING)
def test_the_answer_is_that_of_the_layers_one_by_one(case: str) -> None:
    x_shape, w_shape, sliding = SLIDING[case]
    x, w, bias = numbers(*x_shape), numbers(*w_shape), numbers(w_shape[0])
    plain = by_torch(x, w, bias, sliding)
    other = numbers(*plain.shape)
    for adding in (None, {"alpha": 0.0}):
        arrays = (x, w, bias) if adding is None else (x, other, w, bias)
        attributes = {"adding": adding, "limits": (-0.5, 6.0), **sliding}
        y = FUSED_CONVOLUTION.forward(*arrays, **attributes)
        wanted = np.clip(plain if adding is None else plain + other, -0.5, 6.0)
        assert y.dtype == np.float32 and y.shape == FUSED_CONVOLUTION.shape(*(a.shape for a in arrays), **attributes)
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)


def test_what_is_added_may_be_broadcast_and_float64_stays() -> None:
    x, w, bias, other = numbers(2, 1, 3, 8, 8), numbers(4, 3, 3, 3), numbers(4), numbers(2, 4, 1, 1)
    attributes = {"adding": {"alpha": 0.0}, "limits": (0.0, np.inf)}
    stacked = FUSED_CONVOLUTION.batched
    assert stacked is not None
    for kind in (np.float32, np.float64):
        arrays = [array.astype(kind) for array in (x, other, w, bias)]
        y = FUSED_CONVOLUTION.forward(*arrays, **(stacked(attributes, (4, 3)) or {}))
        assert y.dtype == kind
        wanted = np.maximum(by_torch(x[:, 0], w, bias, {}) + other, 0)[:, None]
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)


def test_no_layer_of_a_file_is_read_as_a_fused_one() -> None:
    with pytest.raises(ValueError, match="only rewriting makes"):
        FUSED_CONVOLUTION.read(None, lambda *_: numbers(1))
