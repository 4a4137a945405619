"""Support vector machines: the classifier and the regressor.

Source: ``SVM.proto`` of the format. Where it is silent, LIBSVM is followed, whose models it holds. LIBSVM's nu machines can
come out with coefficients that are infinite, so those are let through; a decision that is no number goes to the second class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tailor.kernels import Array, check_elements, generalized_linear, vector_machines

from ..errors import MLFormatError
from ..format import read_floats
from .coefficients import check_finite, read_numbers, read_rows
from .family import Column, Columns
from .inputs import NumberInputs
from .labels import Classes
from .transform import ARRAY, DOUBLE, one_output

PIECE_NUMBERS = 1 << 18
"""Numbers that an array holds at a time, about; the answers do not depend on it."""


class _Machine:
    """The kernel and the support vectors, ``count`` of them, which both begin with."""

    def __init__(self, spec: Any, message: Any, who: str) -> None:
        self._inputs = NumberInputs.of(spec, who)
        self._kernel = _read_kernel(message.kernel, who)
        held = message.WhichOneof("supportVectors")
        if held is None:
            raise MLFormatError(f"{who}: expected sparse or dense support vectors, got neither")
        rows = getattr(message, held).vectors
        vectors = _sparse(rows, self._inputs.width, who) if held == "sparseSupportVectors" else _dense(rows, self._inputs, who)
        self.count, self._width = vectors.shape
        self._vectors = np.ascontiguousarray(vectors.T)

    def pieces(self, columns: Columns, count: int, compute: Callable[[Array], Array], width: int) -> Array:
        """``compute`` of the kernel's values ``[rows, vectors]``, some rows at a time, joined; ``width``: numbers that it needs a row."""
        x = self._inputs.matrix(columns, count, self._width)
        step = max(1, PIECE_NUMBERS // max(1, width, self.count, self._width))
        parts = [compute(self._kernel.values(x[start : start + step], self._vectors)) for start in range(0, max(count, 1), step)]
        return np.concatenate(parts)


class SVMClassifierPredictor:
    """Predicts class labels, and probabilities where the model knows how.

    With ``probA`` and ``probB`` the most probable class is the answer, otherwise the one that wins most of its pairs.
    Raises ``MLFormatError`` where the message contradicts itself, and where it has a probabilities output but not those.
    """

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message = spec.supportVectorClassifier
        self._classes = Classes.of(spec, message, who)
        self._machine = _Machine(spec, message, who)
        count, vectors = len(self._classes.labels), self._machine.count
        self._counts = _read_counts(message.numberOfSupportVectorsPerClass, count, vectors, who)
        if len(message.coefficients) != count - 1:
            raise MLFormatError(
                f"{who}: coefficients: expected {count - 1} rows, one less than there are classes, got {len(message.coefficients)}"
            )
        coefficients = read_rows(message.coefficients, "alpha", f"{who}: coefficients")
        if count > 1 and coefficients.shape[1] != vectors:
            raise MLFormatError(f"{who}: coefficients: expected {vectors} numbers a row, one a support vector, got {coefficients.shape[1]}")
        self._coefficients = np.ascontiguousarray(coefficients.reshape(count - 1, vectors).T)
        pairs = count * (count - 1) // 2

        def read_pairs(field: str) -> Array:
            return read_numbers(message, field, f"{who}: {field}", pairs, f"one for each two of {count} classes")

        self._rho = read_pairs("rho")
        self._sigmoids: tuple[Array, Array] | None = None
        if not pairs or any(len(read_floats(message, field)) for field in ("probA", "probB")):
            self._sigmoids = read_pairs("probA"), read_pairs("probB")
        elif self._classes.probabilities_name:
            raise MLFormatError(
                f"{who}: probA and probB: expected {pairs} numbers each, for the output {self._classes.probabilities_name!r}, got none"
            )

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``. Of classes that are equally good, the first one is the answer."""
        classes = len(self._classes.labels)

        def judged(values: Array) -> Array:
            decided = vector_machines.decisions(values, self._counts, self._coefficients, self._rho)
            if self._sigmoids is None:
                return vector_machines.votes(decided, classes)
            return vector_machines.probabilities(decided, *self._sigmoids, classes)

        shares = self._machine.pieces(columns, count, judged, classes**2)
        return self._classes.answer(None if self._sigmoids is None else shares, shares.argmax(axis=1))


class SVMRegressorPredictor:
    """Predicts a number. Raises ``MLFormatError`` where the message contradicts itself."""

    def __init__(self, spec: Any, parameters: Mapping[str, object], who: str) -> None:
        message = spec.supportVectorRegressor
        self._machine = _Machine(spec, message, who)
        vectors = self._machine.count
        self._coefficients = read_numbers(message.coefficients, "alpha", f"{who}: coefficients", vectors, "one a support vector")[:, None]
        self._offset = np.array([-message.rho])
        self._output = one_output(spec, who, (DOUBLE, ARRAY))
        self._output.check_size(1, "a regressor")

    def predict(self, columns: Columns, count: int) -> dict[str, Column]:
        """See ``Predictor``."""

        def judged(values: Array) -> Array:
            return generalized_linear.weighted_sums(values, self._coefficients, self._offset)

        numbers = self._machine.pieces(columns, count, judged, 1)
        return {self._output.feature.name: self._output.write(numbers)}


def _read_kernel(message: Any, who: str) -> vector_machines.Kernel:
    kind = message.WhichOneof("kernel")
    if kind is None:
        raise MLFormatError(f"{who}: kernel: expected a linear, RBF, polynomial or sigmoid kernel, got none")
    told = getattr(message, kind)
    if kind == "linearKernel":
        return vector_machines.Kernel("linear")
    if not 0 <= told.gamma < np.inf:
        raise MLFormatError(f"{who}: kernel: {kind}.gamma: expected a number of at least 0, got {told.gamma}")
    if kind == "rbfKernel":
        return vector_machines.Kernel("rbf", told.gamma)
    if not np.isfinite(told.c):
        raise MLFormatError(f"{who}: kernel: {kind}.c: expected a finite number, got {told.c}")
    if kind == "sigmoidKernel":
        return vector_machines.Kernel("sigmoid", told.gamma, told.c)
    if told.degree < 0:
        raise MLFormatError(f"{who}: kernel: {kind}.degree: expected a number of at least 0, got {told.degree}")
    return vector_machines.Kernel("polynomial", told.gamma, told.c, told.degree)


def _dense(rows: Any, inputs: NumberInputs, who: str) -> Array:
    vectors = read_rows(rows, "values", f"{who}: denseSupportVectors")
    if not len(vectors):
        return np.zeros((0, inputs.width or 0))
    inputs.check_width(vectors.shape[1], "a support vector")
    return check_finite(vectors, f"{who}: denseSupportVectors")


def _sparse(rows: Any, width: int | None, who: str) -> Array:
    """Sparse vectors as rows of ``width`` numbers, by default as many as the largest index says; indices count from 1."""
    where = f"{who}: sparseSupportVectors"
    counts = [len(row.nodes) for row in rows]
    indices = np.array([node.index for row in rows for node in row.nodes], np.int64)
    if width is None:
        width = int(indices.max(initial=0))
    outside = (indices < 1) | (indices > width)
    if outside.any():
        raise MLFormatError(f"{where}: expected indices from 1 to {width}, the number of inputs, got {indices[outside][0]}")
    try:
        check_elements((len(rows), width))
    except ValueError as error:
        raise MLFormatError(f"{where}: {error}") from error
    made = np.zeros((len(rows), width))
    made[np.repeat(np.arange(len(rows)), counts), indices - 1] = [node.value for row in rows for node in row.nodes]
    return check_finite(made, where)


def _read_counts(numbers: Any, classes: int, vectors: int, who: str) -> list[int]:
    counts = list(numbers)
    if len(counts) != classes or sum(counts) != vectors or min(counts) < 0:
        raise MLFormatError(
            f"{who}: numberOfSupportVectorsPerClass: expected {classes} numbers of at least 0 with the sum {vectors}, "
            f"got {len(counts)} of at least {min(counts, default=0)} with the sum {sum(counts)}"
        )
    return counts
