from __future__ import annotations

from typing import Any

import numpy as np

from tailor.kernels import Array

from .case import Case, Message, numbers

DATA = numbers(3, 2, 4)


def constant(op: str, data: Array, reference: Any, note: str = "") -> Case:
    return Case(op, (), reference, Message(shape=list(data.shape), data=None), {}, {"data": data}, note=note)


def static(op: str, reference: Array, note: str, attributes: dict[str, Any], **message: Any) -> Case:
    return Case(op, (), reference, Message(**message), attributes, note=note)


def filled(note: str, value: float, *shape: int) -> Case:
    message = {"value": value, "targetShape": list(shape)}
    return static("fillStatic", np.zeros(shape) + value, note, {"value": value, "target_shape": shape}, **message)


def like(note: str, value: float, *shape: int) -> Case:
    return Case("fillLike", (numbers(*shape),), lambda x: 0 * x + value, Message(value=value), {"value": value}, note=note)


def dynamic(note: str, value: float, *shape: int) -> Case:
    return Case("fillDynamic", (np.array(shape, float),), np.zeros(shape) + value, Message(value=value), {"value": value}, note=note)


def stairs(note: str, start: float, end: float, step: float, right: Array) -> tuple[Case, ...]:
    """One range, with none to three of its numbers as inputs; the attributes that inputs stand for are not looked at."""
    fields = {"startValue": start, "endValue": end, "stepSizeValue": step}
    ends = {"end": end, "start": start, "step": step}
    made = [static("rangeStatic", right, note, ends, **fields)]
    for inputs in (1, 2, 3):
        values = tuple(np.array([value] if inputs < 3 else value) for value in (end, start, step)[:inputs])
        rest = {"start": start if inputs < 2 else 77.0, "step": step if inputs < 3 else 77.0}
        message = Message(startValue=rest["start"], stepSizeValue=rest["step"])
        made.append(Case("rangeDynamic", values, right, message, rest, note=f"{note}, {inputs} inputs"))
    return tuple(made)


CASES = (
    constant("loadConstant", DATA, lambda data: data.reshape(1, 1, 3, 2, 4)),
    *(constant("loadConstantND", numbers(*shape), lambda data: data, f"rank {len(shape)}") for shape in ((3,), (2, 3), (2, 1, 3, 1, 2))),
    filled("rank 1", 0.0, 4),
    filled("rank 5", -2.5, 1, 2, 3, 1, 2),
    filled("no elements", 3.0, 2, 0),
    like("rank 1", 1.5, 4),
    like("rank 5", -2.5, 1, 2, 3, 1, 2),
    dynamic("rank 1", 1.5, 4),
    dynamic("rank 5", -2.5, 1, 2, 3, 1, 2),
    dynamic("no elements", 3.0, 2, 0),
    *stairs("up", 5.0, 8.0, 2.0, np.array([5.0, 7.0])),
    *stairs("down", 10.0, 5.0, -0.6, np.array([10.0, 9.4, 8.8, 8.2, 7.6, 7.0, 6.4, 5.8, 5.2])),
    *stairs("one step is too far", -10.4, 1.0, 12.2, np.array([-10.4])),
    *stairs("towards the other side", 3.0, 1.0, 1.5, np.zeros(0)),
    static(
        "rangeStatic",
        np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        "tenths of float32",
        {"end": float(np.float32(0.7)), "start": 0.0, "step": float(np.float32(0.1))},
        startValue=0.0,
        endValue=float(np.float32(0.7)),
        stepSizeValue=float(np.float32(0.1)),
    ),
)
