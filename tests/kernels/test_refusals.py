"""What does not fit is refused: the message says what was expected and what came."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tailor.kernels import OPS, Array
from tests.kernels.cases import CASES
from tests.kernels.cases.case import Message, same, valid

SLIDE = {"kind": "max", "kernel": (3, 3)}

SHAPES: list[tuple[str, list[tuple[int, ...]], dict[str, Any], str]] = [
    ("activation.PReLU", [(3, 2, 2), (2,)], {}, "alpha: expected 3 numbers.*got shape [2]"),
    ("activation.PReLU", [(3,), (3,)], {}, "at least 3 axes, got shape [3]"),
    ("activation.parametricSoftplus", [(3, 2, 2), (3,), (4,)], {}, "beta: expected 3 numbers.*got shape [4]"),
    ("convolution", [(2, 5, 5), (4, 3, 3, 3)], {}, "3 channels.*got shape [2, 5, 5]"),
    ("convolution", [(3, 5, 5), (4, 3, 3, 3)], {"groups": 2}, "6 channels.*2 groups.*got shape [3, 5, 5]"),
    ("convolution", [(3, 5, 5), (4, 3, 3, 3), (3,)], {}, "bias: expected 4 numbers, got shape [3]"),
    ("convolution", [(3, 2, 5), (4, 3, 3, 3)], {}, "height of at least 3.*got 2 and 0 of padding"),
    ("convolution", [(3, 5, 4), (4, 3, 3, 3)], {"dilation": (2, 2)}, "width of at least 5.*got 4"),
    ("convolution", [(5, 5), (4, 3, 3, 3)], {}, "at least 3 axes, got shape [5, 5]"),
    ("convolution", [(4, 5, 5), (3, 4, 3, 3)], {"deconvolution": True}, "3 channels.*got shape [4, 5, 5]"),
    ("convolution", [(3, 1, 1), (3, 4, 3, 3)], {"deconvolution": True, "amounts": (2, 1, 0, 0)}, "padding below.*size 3, got 2 and 1"),
    ("pooling", [(3, 2, 5)], SLIDE, "height of at least 3.*got 2"),
    ("pooling", [(5, 5)], SLIDE, "at least 3 axes, got shape [5, 5]"),
    ("innerProduct", [(2, 5), (4, 6)], {}, "6 numbers in its last 1 axes, got shape [2, 5]"),
    ("innerProduct", [(2, 6, 1, 2), (4, 6)], {}, "6 numbers in its last 3 axes, got shape [2, 6, 1, 2]"),
    ("innerProduct", [(2, 6), (4, 6), (6,)], {}, "bias: expected 4 numbers, got shape [6]"),
    ("embedding", [(2, 1, 1), (4, 6)], {}, "at least 4 axes, got shape [2, 1, 1]"),
    ("embedding", [(2, 3, 1, 1), (4, 6)], {}, "last three axes have length 1, got shape [2, 3, 1, 1]"),
    ("embedding", [(2, 1, 1, 1), (4, 6), (6,)], {}, "bias: expected 4 numbers, got shape [6]"),
    ("softmax", [(3, 2)], {}, "at least 3 axes, got shape [3, 2]"),
    ("batchnorm", [(3, 2, 2), (2,), (3,)], {"epsilon": 1e-5, "statistics": "batch"}, "gamma has 2 numbers.*got shape [3, 2, 2]"),
    ("batchnorm", [(2, 2), (2,), (2,)], {"epsilon": 1e-5, "statistics": "batch"}, "at least 3 axes, got shape [2, 2]"),
    ("add", [(3, 2), (3, 4)], {"alpha": 0.0}, "agree along axis -1 or have length 1 there, got shapes [[3, 2], [3, 4]]"),
    ("multiply", [(3, 2), (2,), (2, 2)], {"alpha": 0.0}, "agree along axis -2"),
    ("flatten", [(3, 2)], {"channel_last": False}, "at least 3 axes, got shape [3, 2]"),
    (
        "reshape",
        [(1, 1, 3, 2, 2)],
        {"shape": (2, 2, 2), "channel_last": False},
        "8 elements.*target shape [2, 2, 2], got shape [1, 1, 3, 2, 2]",
    ),
    ("reshape", [(3, 2, 2)], {"shape": (2, 2, 3), "channel_last": False}, "at least 5 axes, got shape [3, 2, 2]"),
    ("permute", [(3, 2, 2)], {"axes": (0, 1, 2, 3)}, "at least 5 axes, got shape [3, 2, 2]"),
    ("concat", [(3, 2, 2), (3, 2, 1)], {"axis": -3}, "differ along axis -3 only, got shapes [[3, 2, 2], [3, 2, 1]]"),
    ("concat", [(3, 2, 2), (2, 2)], {"axis": -3}, "differ along axis -3 only"),
    ("concat", [(3, 2, 2), (3, 2, 2)], {"axis": -5}, "at least 5 axes, got shape [3, 2, 2]"),
    ("addBroadcastable", [(3, 2), (3, 4)], {}, "agree along axis -1 or have length 1 there, got shapes [[3, 2], [3, 4]]"),
    ("whereBroadcastable", [(3,), (2,), (1,)], {}, "agree along axis -1"),
    ("lessThan", [(3, 2), (2, 2)], {"alpha": 0.0}, "agree along axis -2"),
    ("logicalAnd", [(3,), (2,)], {}, "agree along axis -1"),
    ("max", [], {}, "expected one input or more, got none"),
    ("average", [(3, 2), (2, 2)], {}, "agree along axis -2"),
    ("dot", [(3, 1, 1), (4, 1, 1)], {"cosine": False}, "one shape.*got shapes [[3, 1, 1], [4, 1, 1]]"),
    ("dot", [(3, 1, 2), (3, 1, 2)], {"cosine": True}, "[..., C, 1, 1], got shapes [[3, 1, 2], [3, 1, 2]]"),
    ("scale", [(3, 2, 2), (2,)], {}, "shape [1] or [3] or [1, 2, 2] or [3, 2, 2], got shape [2]"),
    ("bias", [(3, 2, 2), (3, 1, 1)], {}, "stored numbers.*got shape [3, 1, 1]"),
    ("bias", [(3, 2), (3,)], {}, "at least 3 axes, got shape [3, 2]"),
    ("reduce", [(3, 2)], {"operation": "SUM", "axes": (-3, -2, -1), "epsilon": 0.0}, "at least 3 axes, got shape [3, 2]"),
    ("reduceSum", [(3, 2)], {"axes": (2,), "keep": False}, "an axis from -2 to 1 of an input of 2 axes, got 2"),
    ("reduceMean", [(3, 2)], {"axes": (1, -1), "keep": True}, "axes that differ, got [1, -1]"),
    ("reduceMax", [(3, 0)], {"axes": (1,), "keep": True}, "elements to choose the max of, got shape [3, 0]"),
    ("argMin", [(3, 2)], {"axis": -3, "remove": False}, "an axis from -2 to 1 of an input of 2 axes, got -3"),
    ("cumSum", [(3, 2)], {"axis": 2, "exclusive": False, "reverse": False}, "an axis from -2 to 1"),
    ("cumSum", [(3, 2), (2,)], {"axis": 0, "exclusive": False, "reverse": False}, "one number as the axis, got shape [2]"),
    ("softmaxND", [(3, 2)], {"axis": 2}, "an axis from -2 to 1"),
    ("softmaxND", [(3, 0)], {"axis": 1}, "elements along axis 1, got shape [3, 0]"),
    ("layerNormalization", [(3, 2), (3,), (3,)], {"epsilon": 0.0}, "last axes are [3], got shape [3, 2]"),
    ("mvn", [(3, 2)], {}, "at least 3 axes, got shape [3, 2]"),
]


def pattern(text: str) -> str:
    return text.replace("[", r"\[").replace("]", r"\]")


@pytest.mark.parametrize(("op", "shapes", "attributes", "said"), SHAPES, ids=lambda value: value if isinstance(value, str) else "")
def test_shapes_that_do_not_fit(op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        OPS[op].shape(*shapes, **attributes)


def read(op: str, changes: dict[str, Any]) -> None:
    """Reads the message of the op's first case with some fields changed."""
    message = next(case.message for case in CASES if case.op == op)

    def decode(message: Message, field: str, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape)

    OPS[op].read(Message(**{**vars(message), **changes}), decode)


MESSAGES: list[tuple[str, dict[str, Any], str]] = [
    ("convolution", {"kernelSize": [3]}, "kernelSize: expected two positive numbers, height and width, got [3]"),
    ("convolution", {"stride": [0, 1]}, "stride: expected two positive numbers.*got [0, 1]"),
    ("convolution", {"dilationFactor": [1, 1, 1]}, "dilationFactor: expected two positive numbers.*got [1, 1, 1]"),
    ("convolution", {"isDeconvolution": True, "outputShape": [4]}, "outputShape: expected two positive numbers.*got [4]"),
    ("convolution", {"nGroups": 3}, "3 groups divide, got 1 output channels and 1 kernel channels"),
    ("convolution", {"outputChannels": 0}, "got 0 output channels"),
    ("convolution", {"oneof": None}, "padding: expected one of valid and same, got none"),
    (
        "convolution",
        {"valid": SimpleNamespace(paddingAmounts=SimpleNamespace(borderAmounts=[SimpleNamespace(startEdgeSize=1, endEdgeSize=1)]))},
        "paddingAmounts: expected two pairs, height and width, got 1",
    ),
    ("pooling", {"type": 3}, "type: expected one of 0 .max., 1 .average., 2 .L2., got 3"),
    ("pooling", {"oneof": None}, "padding: expected one of valid and same, got none"),
    (
        "pooling",
        {"oneof": "includeLastPixel", "includeLastPixel": SimpleNamespace(paddingAmounts=[1])},
        "paddingAmounts: expected two numbers, height and width, got [1]",
    ),
    ("reshape", {"targetShape": [2, 4]}, "targetShape: expected 3 or 4 positive sizes, got [2, 4]"),
    ("reshape", {"targetShape": [2, -1, 4]}, "targetShape: expected 3 or 4 positive sizes, got [2, -1, 4]"),
    ("permute", {"axis": [0, 1, 2, 2]}, "axis: expected an order of 0, 1, 2, 3, got [0, 1, 2, 2]"),
    ("permute", {"axis": [0, 1]}, "axis: expected an order of 0, 1, 2, 3, got [0, 1]"),
    ("unary", {"type": 8}, "expected an operation from 0 to 7, got 8"),
    ("clip", {"minVal": 2.0, "maxVal": 1.0}, "minVal: expected at most maxVal, 1.0, got 2.0"),
    ("scale", {"shapeScale": [3, 2]}, "a shape of one or three axes, got [3, 2]"),
    ("reduce", {"mode": 9, "axis": 1}, "axis: expected C, H or W for ARGMAX, got HW"),
    ("layerNormalization", {"normalizedShape": []}, "normalizedShape: expected one positive size or more, got []"),
    ("lrn", {"localSize": 0}, "localSize: expected 1 or more, got 0"),
    ("lrn", {"k": -1.0}, "k: expected a positive number, got -1.0"),
]


@pytest.mark.parametrize(("op", "changes", "said"), MESSAGES, ids=lambda value: value if isinstance(value, str) else "")
def test_messages_that_contradict_the_format(op: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        read(op, changes)


@pytest.mark.parametrize(("op", "changes"), [("convolution", valid(1, 0, 2, 0)), ("pooling", same(1))])
def test_the_tables_messages_are_otherwise_read(op: str, changes: dict[str, Any]) -> None:
    read(op, changes)


@pytest.mark.parametrize(("index", "got"), [(5.0, "5"), (-1.0, "-1"), (2.5, "2.5"), (np.nan, "nan"), (np.inf, "inf")])
def test_an_embedding_refuses_indices_it_has_not(index: float, got: str) -> None:
    x, w = np.array([0.0, index]).reshape(2, 1, 1, 1), np.zeros((3, 5))
    with pytest.raises(ValueError, match=f"expected indices from 0 to 4, got {got}$"):
        OPS["embedding"].forward(x, w)


@pytest.mark.parametrize(
    ("axis", "said"), [(2.0, "from -2 to 1.*got 2"), (0.5, "whole number, got 0.5"), (np.nan, "whole number, got nan")]
)
def test_a_running_sum_refuses_an_axis_it_has_not(axis: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OPS["cumSum"].forward(np.zeros((3, 2)), np.array([axis]), axis=0, exclusive=False, reverse=False)
