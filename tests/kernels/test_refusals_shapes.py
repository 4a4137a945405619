"""Layers that move numbers refuse what does not fit: by shape, by message, and by the values that say where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tailor.kernels import OPS
from tailor.kernels.layers.slice import Bounds
from tests.kernels.test_refusals import pattern, read

BOUNDS = Bounds((0, 1), (2, 2), (1, 1))
EVEN = {"axis": 0, "pieces": 2, "sizes": ()}
UPDATE = {"mode": "update"}

SHAPES: list[tuple[str, list[tuple[int, ...]], dict[str, Any], str]] = [
    ("transpose", [(3, 2)], {"axes": (0, 2)}, "an order of the 2 axes of an input of shape [3, 2], got [0, 2]"),
    ("transpose", [(3, 2)], {"axes": (0,)}, "an order of the 2 axes"),
    ("transpose", [(1, 2)], {"axes": (0, 1, 2)}, "an order of the 2 axes"),
    ("squeeze", [(3, 1)], {"axes": (0,)}, "length 1 along axes [0], got shape [3, 1]"),
    ("squeeze", [(3, 1)], {"axes": (2,)}, "an axis from -2 to 1 of an input of 2 axes, got 2"),
    ("squeeze", [(3, 1)], {"axes": (1, -1)}, "axes that differ, got [1, -1]"),
    ("expandDims", [(3,)], {"axes": (3, 0)}, "an axis from -3 to 2"),
    ("flattenTo2D", [(3, 2)], {"axis": 3}, "an axis from -2 to 1 of an input of 2 axes, got 3"),
    ("reshapeLike", [(3, 2), (5,)], {}, "the same number of elements, got shapes [3, 2] and [5]"),
    ("reshapeStatic", [(3, 2)], {"shape": (4, -1)}, "the 6 elements of an input of shape [3, 2], got [4, -1]"),
    ("reshapeStatic", [(3, 2)], {"shape": (0, 2, 1)}, "the 6 elements.*got [0, 2, 1]"),
    ("rankPreservingReshape", [(3, 2)], {"shape": (6,)}, "an input of 1 axes for the target shape [6], got shape [3, 2]"),
    ("reshapeDynamic", [(3, 2), (2, 1)], {}, "an input of rank 1, got shape [2, 1]"),
    ("tile", [(3, 2)], {"reps": (1, 2, 3)}, "1 to 2 positive numbers for an input of shape [3, 2], got [1, 2, 3]"),
    ("tile", [(3, 2)], {"reps": ()}, "1 to 2 positive numbers.*got []"),
    ("tile", [(3, 2), (3,)], {"reps": ()}, "1 to 2 numbers for an input of shape [3, 2], got 3"),
    ("sequenceRepeat", [(3, 2, 2)], {"times": 2}, "at least 5 axes, got shape [3, 2, 2]"),
    ("broadcastToStatic", [(3, 2)], {"shape": (3, 4)}, "can be broadcast to shape [3, 4], got shape [3, 2]"),
    ("broadcastToLike", [(3, 2), (2,)], {}, "can be broadcast to shape [2], got shape [3, 2]"),
    ("broadcastToDynamic", [(3, 2), (1,)], {}, "2 sizes or more for an input of shape [3, 2], got 1"),
    ("stack", [(3, 2), (3, 1)], {"axis": 0}, "one shape, got shapes [[3, 2], [3, 1]]"),
    ("stack", [(3,), (3,)], {"axis": 2}, "an axis from -2 to 1"),
    ("concatND", [(3, 2), (3, 1)], {"axis": 0, "interleave": False}, "differ along axis 0 only, got shapes [[3, 2], [3, 1]]"),
    ("concatND", [(3, 2), (3, 1)], {"axis": 1, "interleave": True}, "one shape, got shapes [[3, 2], [3, 1]]"),
    ("splitND", [(1, 2)], EVEN, "2 or more along axis 0 to split, got shape [1, 2]"),
    ("splitND", [(3, 2)], {"axis": 0, "pieces": 2, "sizes": (1, 1)}, "add up to 3 along axis 0 of shape [3, 2], got [1, 1]"),
    ("split", [(3, 2, 2)], {"pieces": 2}, "channels 2 divides, got shape [3, 2, 2]"),
    ("slice", [(3, 2)], {"axis": -3, "start": 0, "end": 1, "stride": 1}, "an axis from -2 to 1"),
    (
        "slice",
        [(3, 2)],
        {"axis": -1, "start": 2, "end": 0, "stride": 1},
        "something from 2 to 0 along axis -1, got an input of shape [3, 2]",
    ),
    ("sliceStatic", [(3,)], {"bounds": BOUNDS}, "beginIds: expected 1 numbers for an input of shape [3], got [0, 1]"),
    ("sliceStatic", [(3,)], {"bounds": Bounds((3,), (0,), (1,), (), (), (True,))}, "a place from -3 to 2 along axis 0, got 3"),
    ("sliceDynamic", [(3, 2), (1,)], {"bounds": BOUNDS}, "beginIds: expected 2 numbers for an input of shape [3, 2], got shape [1]"),
    ("sliceDynamic", [(3, 2), (2,), (2,), (3,)], {"bounds": BOUNDS}, "strides: expected 2 numbers"),
    ("sliceDynamic", [(3, 2)], {"bounds": BOUNDS}, "2 to 7 inputs, got 1"),
    ("sliceBySize", [(3, 2), (1,)], {"axis": 1, "size": 3}, "3 places or more along axis 1 and one beginning.*[3, 2] and [1]"),
    ("slidingWindows", [(3, 2)], {"axis": 1, "size": 3, "step": 1}, "3 places or more along axis 1, got an input of shape [3, 2]"),
    ("reverse", [(3, 2)], {"turned": (True,)}, "2 marks for an input of shape [3, 2], got 1"),
    ("reverseSeq", [(3, 2), (2,)], {"batch_axis": 0, "sequence_axis": 1}, "3 lengths.*got shape [2]"),
    ("reverseSeq", [(3, 2), (2,)], {"batch_axis": 1, "sequence_axis": -1}, "not the sequence axis, got 1 and -1"),
    ("gather", [(3, 2), (2,)], {"axis": 2}, "an axis from -2 to 1"),
    ("gatherND", [(3, 2), (4, 3)], {}, "last axis has 1 to 2 places, got shape [4, 3]"),
    ("gatherAlongAxis", [(3, 2), (3, 1)], {"axis": 0}, "differ along axis 0 only from shape [3, 2], got shape [3, 1]"),
    ("scatter", [(3, 2), (4,), (4, 1)], {"axis": 0, **UPDATE}, "updates of shape [4, 2], got shape [4, 1]"),
    ("scatterND", [(3, 2), (4, 2), (4, 2)], UPDATE, "updates of shape [4], got shape [4, 2]"),
    ("scatterAlongAxis", [(3, 2), (1, 2), (3, 2)], {"axis": 0, **UPDATE}, "updates of shape [1, 2], got shape [3, 2]"),
]


@pytest.mark.parametrize(("op", "shapes", "attributes", "said"), SHAPES, ids=lambda value: value if isinstance(value, str) else "")
def test_shapes_that_do_not_fit(op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        OPS[op].shape(*shapes, **attributes)


MESSAGES: list[tuple[str, dict[str, Any], str]] = [
    ("squeeze", {"axes": [], "squeezeAll": False}, "axes: expected one or more without squeezeAll, got none"),
    ("expandDims", {"axes": []}, "axes: expected one or more, got none"),
    ("reshapeStatic", {"targetShape": [-1, -1]}, "targetShape: .*got [-1, -1]"),
    ("broadcastToStatic", {"targetShape": [2, 0]}, "targetShape: expected one or more positive sizes, got [2, 0]"),
    ("splitND", {"numSplits": 1, "splitSizes": []}, "numSplits: expected two or more pieces, got 1"),
    ("split", {"nOutputs": 0}, "nOutputs: expected two or more pieces, got 0"),
    ("slice", {"axis": 3}, "axis: expected one of 0 .channel., 1 .height., 2 .width., got 3"),
    ("slice", {"stride": 0}, "stride: expected a positive number, got 0"),
    ("sliceStatic", {"beginIds": [0, 1]}, "as many beginIds, endIds and strides, got [0, 1]"),
    ("sliceStatic", {"strides": [0]}, "strides: expected numbers other than 0, got [0]"),
    ("sliceBySize", {"size": 0}, "size: expected a positive number, got 0"),
    ("slidingWindows", {"step": 0}, "a positive windowSize and step, got 3 and 0"),
    ("scatter", {"mode": 7}, "mode: expected a number from 0 to 6, got 7"),
]


@pytest.mark.parametrize(("op", "changes", "said"), MESSAGES, ids=lambda value: value if isinstance(value, str) else "")
def test_messages_that_contradict_the_format(op: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        read(op, changes)


X = np.zeros((3, 2))
VALUES: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("reshapeDynamic", [X, [4, -1]], {}, "the 6 elements.*got [4, -1]"),
    ("reshapeDynamic", [X, [-1, -1]], {}, "-1 once at most, got [-1, -1]"),
    ("reshapeDynamic", [X, [6.5]], {}, "sizes from .*got 6.5"),
    ("tile", [X, [0]], {"reps": ()}, "1 to 2 positive numbers.*got [0]"),
    ("tile", [X, [1e9]], {"reps": ()}, "at most 1073741824 elements, got shape [3, 2000000000]"),
    ("tile", [X], {"reps": (1 << 40, 1)}, "at most 1073741824 elements"),
    ("sequenceRepeat", [np.zeros((1, 1, 1, 1, 1))], {"times": 1 << 62}, "at most 1073741824 elements"),
    ("broadcastToStatic", [X], {"shape": (1 << 40, 3, 2)}, "at most 1073741824 elements"),
    ("broadcastToDynamic", [X, [3, -2]], {}, "sizes from 0 to 1073741824, got -2"),
    ("sliceDynamic", [X, [0, 0], [1, 1], [1, 0]], {"bounds": BOUNDS}, "strides: expected a number other than 0 for axis 1, got [1, 0]"),
    ("sliceDynamic", [X, [0, 0]], {"bounds": Bounds((), (1,), (1, 1))}, "endIds: expected a number for axis 1, got [1]"),
    ("sliceBySize", [X, [2]], {"axis": 0, "size": 2}, "a beginning from -3 to 1, got 2"),
    ("sliceBySize", [X, [-1]], {"axis": 0, "size": 2}, "2 places along axis 0 of shape [3, 2], got them from 2 on"),
    ("reverseSeq", [X, [1, 2, 3]], {"batch_axis": 0, "sequence_axis": 1}, "lengths from 0 to 2, got 3"),
    ("gather", [X, [[0, 3]]], {"axis": 0}, "indices from -3 to 2, got 3"),
    ("gather", [X, [0.5]], {"axis": 0}, "indices from -3 to 2, got 0.5"),
    ("gather", [X, [np.nan]], {"axis": 0}, "got nan"),
    ("gatherND", [X, [[0, 2]]], {}, "indices from -2 to 1, got 2"),
    ("gatherAlongAxis", [X, [[0, -4]]], {"axis": 0}, "indices from -3 to 2, got -4"),
    ("scatter", [X, [3], np.zeros((1, 2))], {"axis": 0, **UPDATE}, "indices from -3 to 2, got 3"),
    ("scatterND", [X, [[0, 2]], [0]], UPDATE, "indices from -2 to 1, got 2"),
    ("scatterAlongAxis", [X, [[0, 3]], [[0, 0]]], {"axis": 0, **UPDATE}, "indices from -3 to 2, got 3"),
]


@pytest.mark.parametrize(("op", "values", "attributes", "said"), VALUES, ids=lambda value: value if isinstance(value, str) else "")
def test_values_that_point_nowhere(op: str, values: list[Any], attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=pattern(said)):
        OPS[op].forward(*(np.array(value, float) for value in values), **attributes)
