"""SciPy's correlate with strides and holes; deconvolution as SciPy's full convolution of stuffed zeros; PyTorch for groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import signal

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers, same, valid


def correlated(
    x: Array, w: Array, b: Array | None = None, *, stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1), pad: Any = 0
) -> Array:
    """``pad``: ((top, bottom), (left, right)), or 0."""
    holes = np.zeros((*w.shape[:2], (w.shape[2] - 1) * dilation[0] + 1, (w.shape[3] - 1) * dilation[1] + 1))
    holes[:, :, :: dilation[0], :: dilation[1]] = w
    images = np.pad(x.reshape(-1, *x.shape[-3:]), ((0, 0), (0, 0), *(pad or ((0, 0), (0, 0)))))
    maps = [[signal.correlate(image, kernel, "valid")[0, :: stride[0], :: stride[1]] for kernel in holes] for image in images]
    out = np.array(maps).reshape(*x.shape[:-3], len(w), *maps[0][0].shape)
    return out if b is None else out + b.reshape(-1, 1, 1)


def spread(x: Array, w: Array, b: Array, *, stride: tuple[int, int], cut: tuple[slice, slice]) -> Array:
    """A deconvolution of one group: ``cut`` is what is left of height and width."""
    stuffed = np.zeros((*x.shape[:-2], (x.shape[-2] - 1) * stride[0] + 1, (x.shape[-1] - 1) * stride[1] + 1))
    stuffed[..., :: stride[0], :: stride[1]] = x
    images = stuffed.reshape(-1, *stuffed.shape[-3:])
    maps = [[sum(signal.convolve(c, k) for c, k in zip(image, w[:, o], strict=True))[cut] for o in range(w.shape[1])] for image in images]
    return np.array(maps).reshape(*x.shape[:-3], w.shape[1], *maps[0][0].shape) + b.reshape(-1, 1, 1)


def case(note: str, x: Array, w: Array, b: Array | None, reference: Any, border: dict[str, Any], **changes: Any) -> Case:
    attributes: dict[str, Any] = {
        "groups": 1,
        "deconvolution": False,
        "stride": (1, 1),
        "dilation": (1, 1),
        "padding": "valid",
        "amounts": (0, 0, 0, 0),
        "output": None,
    } | changes
    deconvolution, output = attributes["deconvolution"], attributes["output"]
    message = Message(
        outputChannels=w.shape[1] * attributes["groups"] if deconvolution else w.shape[0],
        kernelChannels=w.shape[0] if deconvolution else w.shape[1],
        nGroups=attributes["groups"] if attributes["groups"] > 1 else 0,
        kernelSize=list(w.shape[2:]) if w.shape[2:] != (3, 3) else [],
        stride=list(attributes["stride"]) if attributes["stride"] != (1, 1) else [],
        dilationFactor=list(attributes["dilation"]),
        isDeconvolution=deconvolution,
        hasBias=b is not None,
        weights=0,
        bias=0,
        outputShape=list(output or ()),
        **border,
    )
    weights = {"weights": w} if b is None else {"weights": w, "bias": b}
    return Case("convolution", (x,), reference, message, attributes, weights, note=note)


X, W, B = numbers(1, 2, 3, 5, 6), numbers(4, 3, 3, 3), numbers(4)
Z, V, U = numbers(2, 1, 3, 3, 4), numbers(3, 2, 3, 2), numbers(2)
GROUPS = numbers(4, 2, 2, 2)

def by_input(note: str, *arrays: Array) -> Case:
    """Weights, and bias, as inputs: the message has neither, nor need it know their size."""
    constant = case(note, X, W, None, correlated, valid())
    del constant.message.weights
    return replace(constant, inputs=arrays, weights={})


CASES = (
    case("literal", np.arange(9.0).reshape(1, 3, 3), np.array([[[[1.0, 0.0], [0.0, -1.0]]]]), None, np.full((1, 2, 2), -4.0), valid()),
    case("valid", X, W, B, correlated, valid()),
    case("no bias", X, W, None, correlated, valid()),
    case("pointwise", X, numbers(2, 3, 1, 1), U, correlated, valid()),
    case("pointwise, stride", X, numbers(2, 3, 1, 1), U, lambda *a: correlated(*a, stride=(2, 3)), valid(), stride=(2, 3)),
    case(
        "padding, stride, dilation",
        X,
        numbers(4, 3, 2, 3),
        B,
        lambda *a: correlated(*a, stride=(2, 1), dilation=(3, 2), pad=((1, 2), (0, 3))),
        valid(1, 2, 0, 3),
        stride=(2, 1),
        dilation=(3, 2),
        amounts=(1, 2, 0, 3),
    ),
    # 5 rows, stride 2: 3 windows reach 7 rows, 2 of padding; 6 columns, stride 2: 7 columns, 1 of padding
    case("same", X, W, B, lambda *a: correlated(*a, stride=(2, 2), pad=((1, 1), (0, 1))), same(), stride=(2, 2), padding="same"),
    case(
        "same top left",
        X,
        W,
        B,
        lambda *a: correlated(*a, stride=(2, 2), pad=((1, 1), (1, 0))),
        same(1),
        stride=(2, 2),
        padding="same_top_left",
    ),
    case(
        "same, stride past kernel",
        X,
        numbers(4, 3, 1, 1),
        B,
        lambda *a: correlated(*a, stride=(3, 3)),
        same(),
        stride=(3, 3),
        padding="same",
    ),
    case(
        "groups",
        numbers(2, 4, 5, 4),
        GROUPS,
        B,
        by_torch(lambda t, f, x, w, b: f.conv2d(x, w, b, stride=(1, 2), groups=2)),
        valid(),
        groups=2,
        stride=(1, 2),
    ),
    case(
        "depthwise",
        numbers(2, 4, 5, 4),
        numbers(4, 1, 3, 3),
        B,
        by_torch(lambda t, f, x, w, b: f.conv2d(x, w, b, groups=4)),
        valid(),
        groups=4,
    ),
    case(
        "deconvolution, literal",
        np.array([[[1.0, 2.0]]]),
        np.array([[[[1.0, 10.0, 100.0]]]]),
        None,
        np.array([[[1.0, 10.0, 102.0, 20.0, 200.0]]]),
        valid(),
        deconvolution=True,
        stride=(1, 2),
    ),
    case(
        "deconvolution",
        Z,
        V,
        U,
        lambda *a: spread(*a, stride=(2, 3), cut=(slice(1, None), slice(0, -2))),
        valid(1, 0, 0, 2),
        deconvolution=True,
        stride=(2, 3),
        amounts=(1, 0, 0, 2),
    ),
    case(
        "deconvolution, dilation",
        Z,
        V,
        U,
        by_torch(lambda t, f, x, w, b: f.conv_transpose2d(x[:, 0], w, b, stride=(2, 1), padding=(1, 0), dilation=(2, 3))[:, None]),
        valid(1, 1, 0, 0),
        deconvolution=True,
        stride=(2, 1),
        dilation=(2, 3),
        amounts=(1, 1, 0, 0),
    ),
    # full size 7 x 5, cut to 6 x 4: the odd pixel goes from the bottom and right, or from the top and left
    case(
        "deconvolution, same",
        Z,
        V,
        U,
        lambda *a: spread(*a, stride=(2, 1), cut=(slice(0, -1), slice(0, -1))),
        same(),
        deconvolution=True,
        stride=(2, 1),
        padding="same",
    ),
    case(
        "deconvolution, same top left",
        Z,
        V,
        U,
        lambda *a: spread(*a, stride=(2, 1), cut=(slice(1, None), slice(1, None))),
        same(1),
        deconvolution=True,
        stride=(2, 1),
        padding="same_top_left",
    ),
    case(
        "deconvolution, output shape",
        Z,
        V,
        U,
        lambda *a: spread(*a, stride=(2, 1), cut=(slice(1, -1), slice(0, None))),
        valid(),
        deconvolution=True,
        stride=(2, 1),
        output=(5, 5),
    ),
    case(
        "deconvolution, output shape that the padding gives",
        Z,
        V,
        U,
        lambda *a: spread(*a, stride=(2, 1), cut=(slice(2, None), slice(0, None))),
        valid(2, 0, 0, 0),
        deconvolution=True,
        stride=(2, 1),
        amounts=(2, 0, 0, 0),
        output=(5, 5),
    ),
    case(
        "deconvolution, groups",
        numbers(2, 4, 3, 3),
        GROUPS,
        B,
        by_torch(lambda t, f, x, w, b: f.conv_transpose2d(x, w, b, stride=2, padding=1, groups=2)),
        valid(1, 1, 1, 1),
        groups=2,
        deconvolution=True,
        stride=(2, 2),
        amounts=(1, 1, 1, 1),
    ),
    by_input("weights as input", X, W),
    by_input("weights and bias as inputs", X, W, B),
)
