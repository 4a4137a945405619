from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tailor.kernels import Array
from tailor.kernels.layers.slice import Bounds

from .case import Case, Message, by_torch, numbers

CUBE = numbers(5, 5, 5)
NO = (False, False, False)
YES = (True, True, True)


def old(note: str, x: Array, reference: Any, axis: int, start: int, end: int, stride: int = 1) -> Case:
    message = Message(axis=axis, startIndex=start, endIndex=end, stride=stride)
    return Case("slice", (x,), reference, message, {"axis": axis - 3, "start": start, "end": end, "stride": stride}, note=note)


def static(note: str, x: Array, reference: Any, bounds: Bounds) -> Case:
    return Case("sliceStatic", (x,), reference, Message(beginIds=list(bounds.begin), **fields(bounds)), {"bounds": bounds}, note=note)


def fields(bounds: Bounds) -> dict[str, list[Any]]:
    masks = {"beginMasks": list(bounds.from_start), "endMasks": list(bounds.to_end), "squeezeMasks": list(bounds.dropped)}
    return {"endIds": list(bounds.end), "strides": list(bounds.steps), **masks}


def dynamic(note: str, reference: Any, bounds: Bounds, *values: Sequence[float], x: Array = CUBE) -> Case:
    inputs = (x, *(np.array(value, float) for value in values))
    return Case("sliceDynamic", inputs, reference, Message(**fields(bounds)), {"bounds": bounds}, smooth=(0,), note=note)


def sized(note: str, x: Array, reference: Any, axis: int, size: int, begin: float) -> Case:
    attributes = {"axis": axis, "size": size}
    return Case("sliceBySize", (x, np.array([begin])), reference, Message(**attributes), attributes, smooth=(0,), note=note)


def windows(note: str, x: Array, axis: int, size: int, step: int) -> Case:
    """PyTorch puts a window's numbers last."""
    place = axis % x.ndim + 1
    reference = by_torch(lambda torch, functional, t: t.unfold(axis, size, step).movedim(-1, place).contiguous())
    message = Message(axis=axis, windowSize=size, step=step)
    return Case("slidingWindows", (x,), reference, message, {"axis": axis, "size": size, "step": step}, note=note)


# the comment of the format works this one out
EXAMPLE = Bounds((1, 2, 3), (3, -3, 2), (2, 2, 2), (True, False, True), (False, True, True), ())
GIVEN = replace(EXAMPLE, begin=())
DROPPED = Bounds((1, 2, 3), (3, -3, 2), (2, 2, 2), (True, False, True), (False, True, True), (False, True, False))
BACK = Bounds((-1, 3, 4), (0, -4, -5), (-2, -1, -3), NO, NO, NO)
OPEN = Bounds((), (1,) * 5, (1,) * 5, (False,) * 5, (False,) * 5, ())

CASES = (
    old("channel", numbers(4, 2, 3), lambda x: np.array([x[1], x[2]]), 0, 1, 3),
    old("height, to the last but one", numbers(2, 5, 2), lambda x: np.delete(x, [0, 2, 4], axis=1), 1, 1, -1, 2),
    old("width, to the end", numbers(1, 1, 2, 1, 4), lambda x: x[..., np.array([2, 3])], 2, -2, 0),
    old("beyond the end", numbers(2, 3), lambda x: x[:, [0, 2]], 2, 0, 9, 2),
    static("literal", np.arange(6.0), np.array([1.0, 3.0]), Bounds((1,), (5,), (2,), (False,), (False,), (False,))),
    static("masks", CUBE, lambda x: np.take(np.take(np.take(x, [0, 2], 0), [2, 4], 1), [0, 2, 4], 2), EXAMPLE),
    static("a dropped axis", CUBE, lambda x: np.take(np.take(np.take(x, [0, 2], 0), 2, 1), [0, 2, 4], 1), DROPPED),
    static("backwards", CUBE, lambda x: np.take(np.take(np.take(x, [4, 2], 0), [3, 2], 1), [4, 1], 2), BACK),
    static("all dropped", numbers(2, 3), lambda x: x.flat[5], Bounds((1, -1), (0, 0), (1, 1), (), (), (True, True))),
    dynamic("ends", lambda x, *_: x[np.ix_([1], [2, 3], [0, 1])], OPEN, (1, 2, 0), (2, -1, 2)),
    dynamic("only beginnings", lambda x, *_: np.take(np.take(np.take(x, [0, 2], 0), [2, 4], 1), [0, 2, 4], 2), GIVEN, (1, 2, 3)),
    dynamic(
        "everything",
        lambda x, *_: x[np.ix_([4, 2, 0], [3, 4])][:, :, 2],
        OPEN,
        *((2, 3, 2), (0, 1, 0), (-2, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 1)),
    ),
    dynamic("one axis", np.array([2.0, 3.0]), OPEN, (1,), (3,), (1,), (0,), x=np.array([1.0, 2, 3, 4])),
    sized("middle", numbers(2, 5, 2), lambda x, begin: np.hsplit(x, [1, 4])[1], 1, 3, 1.0),
    sized("from the end", numbers(4, 3), lambda x, begin: np.array([x[2], x[3]]), -2, 2, -2.0),
    windows("one axis", numbers(6), 0, 3, 1),
    windows("steps", numbers(2, 7, 2), 1, 3, 2),
    windows("steps over", numbers(2, 3, 8), -1, 2, 3),
    windows("from the end", numbers(3, 5, 2, 2), -3, 2, 2),
)
