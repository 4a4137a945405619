from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
from scipy import special, stats

from tailor.kernels import Array

from .case import Case, Message, by_torch, numbers

X = numbers(2, 3, 2, 2)
POSITIVE = np.abs(X) + 0.2
SOURCES: dict[str, Any] = {
    "reduceSum": lambda t, f, x, a: t.sum(x, a),
    "reduceMean": lambda t, f, x, a: t.mean(x, a),
    "reduceL1": lambda t, f, x, a: t.linalg.vector_norm(x, 1, a),
    "reduceL2": lambda t, f, x, a: t.linalg.vector_norm(x, 2, a),
    "reduceMax": lambda t, f, x, a: t.amax(x, a),
    "reduceMin": lambda t, f, x, a: t.amin(x, a),
    "reduceLogSum": lambda t, f, x, a: t.log(t.sum(x, a)),
    "reduceSumSquare": lambda t, f, x, a: t.linalg.vector_norm(x, 2, a) ** 2,
    "reduceLogSumExp": lambda t, f, x, a: t.logsumexp(x, a),
    "reduceProd": lambda t, f, x, a: t.exp(t.sum(t.log(x), a)),
}
MODES = ["SUM", "AVG", "PROD", "LOGSUM", "SUMSQUARE", "L1", "L2", "MAX", "MIN", "ARGMAX"]
AXES = {"CHW": (-3, -2, -1), "HW": (-2, -1), "C": (-3,), "H": (-2,), "W": (-1,)}
IMAGES: dict[str, Any] = {
    "SUM": lambda x, a: np.add.reduce(x, a, keepdims=True),
    "AVG": lambda x, a: np.average(x, axis=a, keepdims=True),
    "PROD": lambda x, a: np.multiply.reduce(x, a, keepdims=True),
    "LOGSUM": lambda x, a: np.log(np.multiply.reduce(x + 1e-6, a, keepdims=True)),
    "L1": lambda x, a: np.add.reduce(np.where(x < 0, -x, x), a, keepdims=True),
    "MAX": lambda x, a: np.maximum.reduce(x, a, keepdims=True),
    "MIN": lambda x, a: np.minimum.reduce(x, a, keepdims=True),
}


def reduction(op: str, note: str, axes: tuple[int, ...] | None, keep: bool, reference: Any, x: Array) -> Case:
    message = Message(axes=axes or (), keepDims=keep, reduceAll=axes is None)
    return Case(op, (x,), reference, message, {"axes": axes, "keep": keep}, note=note)


def reductions(op: str) -> tuple[Case, ...]:
    """Along one axis and several, kept or not; along all, which leaves one axis of length 1."""
    source, x = SOURCES[op], POSITIVE if op in ("reduceLogSum", "reduceProd") else X

    def by(*axes: int, shape: tuple[int, ...]) -> Any:
        return by_torch(lambda t, f, x: source(t, f, x, axes).reshape(shape))

    return (
        reduction(op, "one", (1,), False, by(1, shape=(2, 2, 2)), x),
        reduction(op, "several, kept", (-1, 0), True, by(0, 3, shape=(1, 3, 2, 1)), x),
        reduction(op, "several", (-4, 2), False, by(0, 2, shape=(3, 2)), x),
        reduction(op, "all", None, False, by(0, 1, 2, 3, shape=(1,)), x),
        reduction(op, "all, kept", None, True, by(0, 1, shape=(1, 1)), x[0, 0]),
        reduction(op, "the only one", (0,), False, by(0, shape=(1,)), x[0, :, 0, 0]),
    )


def image(mode: str, axis: str, reference: Any, x: Array = X, epsilon: float = 0.0, note: str = "") -> Case:
    message = Message(mode=MODES.index(mode), axis=list(AXES).index(axis), epsilon=epsilon)
    attributes = {"operation": mode, "axes": AXES[axis], "epsilon": epsilon or 1e-6}
    return Case("reduce", (x,), reference, message, attributes, note=f"{mode} {axis} {note}".strip())


def images(mode: str) -> tuple[Case, ...]:
    x = POSITIVE if mode == "LOGSUM" else X
    return tuple(image(mode, axis, lambda x, a=AXES[axis]: IMAGES[mode](x, a), x) for axis in AXES)


def place(op: str, note: str, x: Array, axis: int, remove: bool, reference: Any) -> Case:
    return Case(op, (x,), reference, Message(axis=axis, removeDim=remove), {"axis": axis, "remove": remove}, note=note)


def running(note: str, reference: Any, x: Array, axis: int = 0, exclusive: bool = False, reverse: bool = False, *given: Array) -> Case:
    attributes = {"axis": axis, "exclusive": exclusive, "reverse": reverse}
    message = Message(axis=axis, excludeFinalSum=exclusive, reverse=reverse)
    return Case("cumSum", (x, *given), reference, message, attributes, smooth=(0,), note=note)


SUMMED = np.array([4.0, 6.0, 7.0])
LARGE = np.array([[1000.0, 1000.0], [-1000.0, -1000.0]])

CASES = (
    *(case for op in SOURCES for case in reductions(op)),
    reduction("reduceProd", "zeros", (1,), False, np.array([0.0, 0.0, 24.0]), np.array([[0.0, 2, 3], [0, 5, 0], [2, 3, 4]])),
    reduction("reduceLogSumExp", "no overflow", (-1,), False, np.log(2.0) + LARGE[:, 0], LARGE),
    reduction("reduceMax", "no axes are all", None, False, np.array([3.0]), np.array([[1.0, 3.0], [2.0, 0.0]])),
    reduction("reduceL2", "literal", (0,), False, np.array([5.0, 13.0]), np.array([[3.0, 5.0], [-4.0, 12.0]])),
    *(case for mode in ("SUM", "AVG", "PROD", "LOGSUM", "L1", "MAX", "MIN") for case in images(mode)),
    *(
        image("SUMSQUARE", axis, by_torch(lambda t, f, x, a=a: t.linalg.vector_norm(x, 2, a, keepdim=True) ** 2))
        for axis, a in AXES.items()
    ),
    *(image("L2", axis, by_torch(lambda t, f, x, a=a: t.linalg.vector_norm(x, 2, a, keepdim=True))) for axis, a in AXES.items()),
    *(image("ARGMAX", axis, by_torch(lambda t, f, x, a=AXES[axis][0]: t.argmax(x, a, keepdim=True).double())) for axis in ("C", "H", "W")),
    image("LOGSUM", "HW", np.full((1, 1, 1), np.log(24.0)), np.array([[[0.0, 1.0], [2.0, 3.0]]]), 1.0, "epsilon, literal"),
    image("SUM", "CHW", lambda x: x.reshape(1, 2, -1).sum(axis=2).reshape(1, 2, 1, 1, 1), X[None], note="rank 5"),
    image("AVG", "HW", lambda x: np.array([[stats.tmean(x.ravel())]]), X[0, 0], note="rank 2"),
    place("argMax", "literal", np.array([[1.0, 5.0, 5.0], [7.0, 0.0, 2.0]]), 1, True, np.array([1.0, 0.0])),
    place("argMin", "literal", np.array([[1.0, 5.0, 1.0], [7.0, 0.0, 2.0]]), -1, False, np.array([[0.0], [1.0]])),
    place("argMax", "rank 1", numbers(5), 0, True, lambda x: np.array([float(list(x).index(max(x)))])),
    place("argMin", "rank 4", X, -3, True, by_torch(lambda t, f, x: t.argmin(x, 1).double())),
    place("argMax", "rank 4, kept", X, 1, False, by_torch(lambda t, f, x: t.argmax(x, 1, keepdim=True).double())),
    running("literal", np.array([4.0, 10.0, 17.0]), SUMMED),
    running("exclusive", np.array([0.0, 4.0, 10.0]), SUMMED, 0, True),
    running("reverse", np.array([17.0, 13.0, 7.0]), SUMMED, -1, False, True),
    running("exclusive, reverse", np.array([13.0, 7.0, 0.0]), SUMMED, 0, True, True),
    running("middle axis", by_torch(lambda t, f, x: t.cumsum(x, 1)), X, 1),
    running("from the end", lambda x: np.stack(list(accumulate(x.swapaxes(0, 2)))).swapaxes(0, 2), X, -2),
    running("axis given", by_torch(lambda t, f, x, a: t.cumsum(x, 3)), X, 0, False, False, np.array([-1.0])),
    running("axis given, exclusive", by_torch(lambda t, f, x, a: t.cumsum(x, 1) - x), X, 0, True, False, np.array([1.0])),
    reduction("reduceLogSumExp", "SciPy", (1, 2), True, lambda x: special.logsumexp(x, axis=(1, 2), keepdims=True), X),
)
