"""What does not fit the layers that move, resize, choose and multiply: the message says what was expected and what came."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import OPS

from .cases.padding import border
from .test_refusals import read

POOL = {"kind": "max", "kernel": (2, 2, 2)}
PATCH = {"size": (2, 2), "method": "upsample", "mode": "corners", "normalized": False, "scale": 1.0}
PAD = {"value": 0.0, "to_size": False}
PRODUCT = {"transposed": (False, False), "stored": 0}
BOXES = {"iou": 0.5, "score": 0.5, "most": 3, "per_class": False}
CROP = {"amounts": (0, 0, 0, 0), "offset": (0, 0)}
HUGE = 10**12

SHAPES: list[tuple[str, list[tuple[int, ...]], dict[str, Any], str]] = [
    ("convolution3d", [(2, 5, 5, 5), (4, 3, 3, 3, 3)], {}, "3 channels.*got shape [2, 5, 5, 5]"),
    ("convolution3d", [(5, 5, 5), (4, 3, 3, 3, 3)], {}, "at least 4 axes, got shape [5, 5, 5]"),
    ("convolution3d", [(3, 5, 5, 5), (4, 3, 3, 3, 3), (3,)], {}, "bias: expected 4 numbers, got shape [3]"),
    ("convolution3d", [(3, 5, 4, 5), (4, 3, 3, 3, 3)], {"dilation": (2, 2, 2)}, "height of at least 5.*got 4 and 0 of padding"),
    (
        "convolution3d",
        [(3, 1, 1, 1), (3, 4, 3, 3, 3)],
        {"deconvolution": True, "padding": "custom", "borders": (2, 1, 0, 0, 0, 0)},
        "depth 3, got 2 and 1",
    ),
    ("convolution3d", [(3, 1, 1, 1), (3, 4, 1, 1, 1)], {"deconvolution": True, "output": (1, 1, HUGE)}, "expected at most"),
    ("pooling3d", [(3, 1, 5, 5)], POOL, "depth of at least 2.*got 1"),
    ("pooling3d", [(5, 5)], POOL, "at least 3 axes, got shape [5, 5]"),
    ("globalPooling3d", [(5, 5)], {"kind": "max"}, "at least 3 axes, got shape [5, 5]"),
    ("globalPooling3d", [(5, 0, 5)], {"kind": "max"}, "with elements, got shape [5, 0, 5]"),
    ("crop", [(1, 4, 4)], CROP | {"amounts": (2, 2, 0, 0)}, "rows within the 4.*those from 2 to 2"),
    ("crop", [(1, 4, 4), (1, 2, 4)], CROP | {"offset": (1, 1)}, "columns within the 4.*those from 1 to 5"),
    ("crop", [(1, 4, 4), (2, 2)], CROP, "the same rank, got shapes [1, 4, 4] and [2, 2]"),
    ("padding", [(4,)], {"kind": "constant", "value": 0.0, "amounts": (1, 1, 1, 1)}, "at least 2 axes, got shape [4]"),
    (
        "padding",
        [(3, 4)],
        {"kind": "reflection", "value": 0.0, "amounts": (3, 0, 0, 0)},
        "reflection of fewer pixels.*got [3, 0, 0, 0] for shape [3, 4]",
    ),
    ("padding", [(3, 4)], {"kind": "constant", "value": 0.0, "amounts": (HUGE, 0, 0, 0)}, "expected at most"),
    ("constantPad", [(3, 4)], PAD | {"amounts": (1, 1)}, "expected 4 amounts, two an axis of shape [3, 4], got 2"),
    ("constantPad", [(3, 4), (3,)], PAD | {"amounts": ()}, "expected 4 amounts.*got shape [3]"),
    ("constantPad", [(3,)], PAD | {"amounts": (4, 4), "to_size": True}, "at one end of an axis, got 4 and 4"),
    ("constantPad", [(3,)], PAD | {"amounts": (0, HUGE)}, "expected at most"),
    ("upsample", [(4, 4)], {"factors": (2.0, 2.0), "method": "nearest"}, "at least 3 axes, got shape [4, 4]"),
    ("upsample", [(1, 4, 4)], {"factors": (0.2, 1.0), "method": "half_pixel"}, "leave a pixel, got [0.2, 1.0]"),
    ("upsample", [(1, 4, 4)], {"factors": (1e6, 1e6), "method": "nearest"}, "expected at most"),
    ("resizeBilinear", [(1, 0, 4)], {"size": (2, 2), "method": "upsample"}, "with pixels, got shape [1, 0, 4]"),
    ("resizeBilinear", [(1, 4, 4)], {"size": (HUGE, 2), "method": "upsample"}, "expected at most"),
    ("cropResize", [(1, 1, 3, 4, 4), (2, 1, 3, 1, 1)], PATCH, "boxes [N, 1, 4 or 5, 1, 1], got shape [2, 1, 3, 1, 1]"),
    ("cropResize", [(2, 1, 3, 4, 4), (2, 1, 4, 1, 1)], PATCH, "an image [1, B, C, H, W].*got shapes [2, 1, 3, 4, 4]"),
    ("cropResize", [(1, 1, 3, 4, 4), (2, 1, 4, 1, 1)], PATCH | {"size": (HUGE, 2)}, "expected at most"),
    ("reorganizeData", [(1, 3, 4)], {"mode": "space_to_depth", "block": 2}, "2 divides, got shape [1, 3, 4]"),
    ("reorganizeData", [(6, 3, 4)], {"mode": "pixel_shuffle", "block": 2}, "4 divides, got shape [6, 3, 4]"),
    ("batchedMatmul", [(2, 3), (2, 3)], PRODUCT, "can be multiplied, got shapes [2, 3] and [2, 3]"),
    ("batchedMatmul", [(2, 3, 4), (3, 4, 5)], PRODUCT, "can be multiplied, got shapes [2, 3, 4] and [3, 4, 5]"),
    ("batchedMatmul", [(2, 3), (4, 2)], PRODUCT | {"stored": 1}, "2 numbers in its last axis, got shape [2, 3]"),
    ("batchedMatmul", [(2, 3)], PRODUCT, "two inputs, or one and the weights of the layer, got 1"),
    ("embeddingND", [(2, 3), (4, 6)], {}, "last axis has length 1, got shape [2, 3]"),
    ("embeddingND", [(2, 1), (4, 6), (6,)], {}, "bias: expected 4 numbers, got shape [6]"),
    ("NonMaximumSuppression", [(1, 5, 3), (1, 5, 2)], BOXES, "boxes [B, N, 4] and scores [B, N, C], got shapes [1, 5, 3]"),
    ("NonMaximumSuppression", [(1, 5, 4), (1, 5, 2), (2,)], BOXES, "thresholds of one number each, got shapes [[2]]"),
    ("NonMaximumSuppression", [(1, 5, 4), (1, 5, 2)], BOXES | {"most": HUGE}, "expected at most"),
]

MESSAGES: list[tuple[str, dict[str, Any], str]] = [
    ("convolution3d", {"kernelDepth": 0}, "kernel: expected three positive numbers.*got [0, 2, 2]"),
    ("convolution3d", {"strideWidth": -1}, "stride: expected three positive numbers.*got [1, 1, -1]"),
    ("convolution3d", {"nGroups": 3}, "3 groups divide, got 1 input channels and 1 output channels"),
    ("convolution3d", {"isDeconvolution": True, "outputShape": [4]}, "outputShape: expected three positive numbers.*got [4]"),
    ("convolution3d", {"paddingType": 4}, "paddingType: expected one of 0 .custom.*got 4"),
    ("convolution3d", {"paddingType": 0, "customPaddingLeft": -1}, "customPadding: expected numbers of 0 or more, got [0, 0, 0, 0, -1, 0]"),
    ("pooling3d", {"type": 2}, "type: expected one of 0 .max., 1 .average., got 2"),
    ("globalPooling3d", {"type": 2}, "type: expected one of 0 .max., 1 .average., got 2"),
    ("padding", {"oneof": None}, "PaddingType: expected one of constant.*got none"),
    (
        "padding",
        {"paddingAmounts": SimpleNamespace(borderAmounts=border(1, 1, 1, 1).borderAmounts[:1])},
        "paddingAmounts: expected two pairs.*got 1",
    ),
    ("crop", {"offset": [1]}, "offset: expected two numbers, height and width, got [1]"),
    ("upsample", {"scalingFactor": [2]}, "two factors, height and width, got [2]"),
    ("upsample", {"fractionalScalingFactor": [np.array([1.5, np.nan], "<f4").tobytes()], "mode": 1}, "positive numbers, got [1.5, nan]"),
    (
        "upsample",
        {"fractionalScalingFactor": [np.array([1.5, 1.5], "<f4").tobytes()]},
        "whole numbers for nearest neighbours, got [1.5, 1.5]",
    ),
    ("upsample", {"linearUpsampleMode": 3}, "linearUpsampleMode up to 2, got 0 and 3"),
    ("resizeBilinear", {"targetSize": [3]}, "targetSize: expected two numbers, height and width, got [3]"),
    ("resizeBilinear", {"mode": SimpleNamespace(samplingMethod=4)}, "samplingMethod: expected 0 to 3, got 4"),
    ("cropResize", {"boxIndicesMode": SimpleNamespace(boxMode=4)}, "boxMode: expected 0 to 3, got 4"),
    ("reorganizeData", {"blockSize": 1}, "blockSize above 1, got 1 and 1"),
]


def pattern(text: str) -> str:
    return re.sub(r"([\[\]])", r"\\\1", text)


@pytest.mark.parametrize(("op", "shapes", "attributes", "said"), SHAPES, ids=lambda value: value if isinstance(value, str) else "")
def test_shapes_that_do_not_fit(op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        OPS[op].shape(*shapes, **attributes)


@pytest.mark.parametrize(("op", "changes", "said"), MESSAGES, ids=lambda value: value if isinstance(value, str) else "")
def test_messages_that_contradict_the_format(op: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        read(op, changes)


@pytest.mark.parametrize(
    ("op", "arrays", "attributes", "said"),
    [
        ("embeddingND", [np.array([[5.0]]), np.zeros((3, 5))], {}, "indices from 0 to 4, got 5$"),
        ("constantPad", [np.zeros(2), np.array([0.5, 1])], PAD | {"amounts": ()}, "amounts from 0 to .*, got 0.5$"),
        ("constantPad", [np.zeros(2), np.array([0, -1.0])], PAD | {"amounts": ()}, "amounts from 0 to .*, got -1$"),
        ("constantPad", [np.zeros(2), np.array([0, np.nan])], PAD | {"amounts": ()}, "amounts from 0 to .*, got nan$"),
        ("constantPad", [np.zeros(2), np.array([0, 1e12])], PAD | {"amounts": ()}, "amounts from 0 to .*, got 1e.12$"),
        ("constantPad", [np.zeros(2), np.array([2**29, 2**29])], PAD | {"amounts": ()}, "expected at most"),
        (
            "cropResize",
            [np.zeros((1, 2, 1, 3, 3)), np.array([2.0, 0, 0, 1, 1]).reshape(1, 1, 5, 1, 1)],
            PATCH,
            "images from 0 to 1, got 2$",
        ),
        ("cropResize", [np.zeros((1, 2, 1, 3, 3)), np.full((1, 1, 4, 1, 1), np.inf)], PATCH, "finite numbers, got inf$"),
        (
            "NonMaximumSuppression",
            [np.zeros((1, 2, 4)), np.zeros((1, 2, 1)), *[np.array([x]) for x in (0.5, 0.5, -1.0)]],
            BOXES,
            "numbers of boxes from 0 to .*, got -1$",
        ),
        (
            "NonMaximumSuppression",
            [np.zeros((1, 2, 4)), np.zeros((1, 2, 1)), *[np.array([x]) for x in (0.5, 0.5, 2**29)]],
            BOXES,
            "expected at most",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_that_do_not_fit(op: str, arrays: list[Any], attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        OPS[op].forward(*arrays, **attributes)
